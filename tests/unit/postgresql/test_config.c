/* The PostgreSQL plugin's configuration: safe defaults, one source for each value, and passwords
 * that no URL can break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "postgresql/config.h"
#include "support/failalloc.h"

static struct postgresql_config *
config_of(json_t *object)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_config *config = NULL;

	if (postgresql_config_new(object, &config, &err) != 0)
		fail_msg("refused: %s", err.text);
	json_decref(object);
	return (config);
}

static void
assert_refused(json_t *object, const char *reason, const char *never_shown)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_config *config = NULL;

	assert_int_equal(postgresql_config_new(object, &config, &err), LEASED_EINVAL);
	assert_null(config);
	if (strstr(err.text, reason) == NULL)
		fail_msg("refused with: %s", err.text);
	if (never_shown != NULL && strstr(err.text, never_shown) != NULL)
		fail_msg("shows a secret: %s", err.text);
	json_decref(object);
}

static json_t *
on_host(const char *host)
{
	return (json_pack("{s:s, s:s, s:s}", "host", host, "username", "leased", "password", "pw"));
}

static json_t *
by_url(const char *url)
{
	return (json_pack(
	    "{s:s, s:s, s:s}", "connection_url", url, "username", "le:a@sed", "password", "p/w?"));
}

static void
assert_keyword(
    const struct postgresql_config *config, enum postgresql_keyword keyword, const char *value)
{
	assert_non_null(config->keywords[keyword]);
	assert_string_equal(config->keywords[keyword], value);
}

static void
tls_is_verified_unless_every_host_is_on_this_machine(void **state)
{
	static const struct {
		const char *host, *sslmode, *binding;
	} cases[] = {
	    {"db.example", "verify-full", "require"},
	    {"10.0.0.1", "verify-full", "require"},
	    {"128.0.0.1", "verify-full", "require"},
	    {"127.0.0.1.example", "verify-full", "require"},
	    {"localhost.example", "verify-full", "require"},
	    {"localhost,db.example", "verify-full", "require"},
	    {"db.example,/run/postgresql", "verify-full", "require"},
	    {"localhost,", "verify-full", "require"},
	    {"::2", "verify-full", "require"},
	    {"localhost", "prefer", "prefer"},
	    {"127.0.0.1", "prefer", "prefer"},
	    {"127.8.9.1,::1", "prefer", "prefer"},
	    {"/run/postgresql", "prefer", "prefer"},
	};
	struct postgresql_config *config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		config = config_of(on_host(cases[i].host));
		assert_keyword(config, POSTGRESQL_SSLMODE, cases[i].sslmode);
		assert_keyword(config, POSTGRESQL_CHANNEL_BINDING, cases[i].binding);
		if (strcmp(cases[i].sslmode, "verify-full") == 0)
			assert_keyword(
			    config, POSTGRESQL_SSLROOTCERT, "/etc/ssl/certs/ca-certificates.crt");
		postgresql_config_free(config);
	}
}

static void
what_is_said_wins_over_the_defaults(void **state)
{
	json_t *object = on_host("db.example");
	struct postgresql_config *config;

	(void)state;
	(void)json_object_set_new(object, "sslmode", json_string("disable"));
	(void)json_object_set_new(object, "port", json_integer(6432));
	(void)json_object_set_new(object, "scram_iterations", json_string("1"));
	config = config_of(object);
	assert_keyword(config, POSTGRESQL_SSLMODE, "disable");
	assert_keyword(config, POSTGRESQL_CHANNEL_BINDING, "prefer");
	assert_keyword(config, POSTGRESQL_PORT, "6432");
	assert_keyword(config, POSTGRESQL_DBNAME, "postgres");
	assert_int_equal(config->scram_iterations, 1);
	assert_false(config->send_password);
	postgresql_config_free(config);
}

static void
slots_of_a_url_are_places_and_no_text(void **state)
{
	static const char *const urls[] = {
	    "postgresql://{{username}}:{{password}}@db.example:6432/app?sslmode=require",
	    "postgres://{{username}}:{{password}}@db.example:6432/app?sslmode=require",
	    "host=db.example port=6432 dbname=app user={{username}} password={{password}} "
	    "sslmode=require",
	    "host=db.example port=6432 dbname=app user='{{name}}' password='{{password}}' "
	    "sslmode=require",
	    "postgresql://db.example:6432/app?sslmode=require",
	};
	struct postgresql_config *config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		config = config_of(by_url(urls[i]));
		assert_keyword(config, POSTGRESQL_HOST, "db.example");
		assert_keyword(config, POSTGRESQL_PORT, "6432");
		assert_keyword(config, POSTGRESQL_DBNAME, "app");
		assert_keyword(config, POSTGRESQL_SSLMODE, "require");
		assert_string_equal(config->username, "le:a@sed");
		assert_string_equal(leased_secret_reveal(config->password), "p/w?");
		postgresql_config_free(config);
	}
}

static void
a_url_of_nothing_but_slots_is_refused_and_overruns_nothing(void **state)
{
	char url[8 * 40 + 1] = "";
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_config *config = NULL;
	json_t *object;

	(void)state;
	for (unsigned i = 0; i < 40; i++) /* the shortest slot grows the most; ASan looks */
		memcpy(url + i * 8, "{{name}}", 9);
	object = json_pack("{s:s}", "connection_url", url);
	assert_int_equal(postgresql_config_new(object, &config, &err), LEASED_EINVAL);
	assert_null(config);
	json_decref(object);
}

static void
a_url_may_hold_the_login_itself(void **state)
{
	struct postgresql_config *config = config_of(json_pack(
	    "{s:s}", "connection_url", "postgresql://bob:pa%2Fss%40w@[::1]:5433/app%20x"));

	(void)state;
	assert_keyword(config, POSTGRESQL_HOST, "::1");
	assert_keyword(config, POSTGRESQL_DBNAME, "app x");
	assert_keyword(config, POSTGRESQL_SSLMODE, "prefer");
	assert_string_equal(config->username, "bob");
	assert_string_equal(leased_secret_reveal(config->password), "pa/ss@w");
	postgresql_config_free(config);
}

static void
a_url_that_would_mean_something_else_is_refused(void **state)
{
	static const struct {
		const char *url, *reason;
	} cases[] = {
	    {"postgresql://{{username}}:{{password}}@h/db?service=x", "service is not taken"},
	    {"postgresql://{{username}}:{{password}}@h/db?passfile=/etc/x",
		"passfile is not taken"},
	    {"postgresql://{{username}}:{{password}}@h/db?hostaddr=10.0.0.1",
		"hostaddr is not taken"},
	    {"postgresql://{{username}}:{{password}}@h/db?options=-c%20role%3Dx",
		"options is not taken"},
	    {"postgresql://{{username}}:{{password}}@h/db?target_session_attrs=any", "not taken"},
	    {"postgresql://{{username}}:{{password}}@h/{{username}}", "a slot stands in dbname"},
	    {"postgresql://{{username}}:{{password}}@{{password}}/db", "a slot stands in host"},
	    {"postgresql://app-{{username}}:{{password}}@h/db", "stand alone"},
	    {"postgresql://{{username}}:x{{password}}@h/db", "stand alone"},
	    {"postgresql://{{password}}:{{username}}@h/db", "stand alone"},
	    {"postgresql://{{user}}:{{password}}@h/db", "unknown slot"},
	    {"not a url", "libpq cannot read it"},
	    {"postgresql://a:s3cr3t@h:1:2/%zz", "libpq cannot read it"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(by_url(cases[i].url), cases[i].reason, "s3cr3t");
}

static void
each_value_has_one_source(void **state)
{
	json_t *object = by_url("postgresql://bob:{{password}}@h/db");

	(void)state;
	assert_refused(object, "names another user", "p/w?");
	assert_refused(by_url("postgresql://{{username}}:s3cr3t@h/db"), "holds one", "s3cr3t");
	object = by_url("postgresql://{{username}}:{{password}}@h/db");
	(void)json_object_set_new(object, "host", json_string("other"));
	assert_refused(object, "host stands in connection_url too", NULL);
	object = on_host("h");
	(void)json_object_set_new(object, "tls_ca", json_string("PEM"));
	(void)json_object_set_new(object, "sslrootcert", json_string("/x"));
	assert_refused(object, "give one of the two", NULL);
}

static void
bad_values_are_refused_by_name(void **state)
{
	static const struct {
		const char *field, *value, *reason;
	} cases[] = {
	    {"sslmode", "on", "sslmode"},
	    {"scram_iterations", "0", "scram_iterations"},
	    {"scram_iterations", "-1", "scram_iterations"},
	    {"scram_iterations", "4096x", "scram_iterations"},
	    {"scram_iterations", "99999999999", "scram_iterations"},
	    {"connect_timeout", "0", "connect_timeout"},
	    {"password_authentication", "md5", "password_authentication"},
	};
	json_t *object;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object = on_host("h");
		(void)json_object_set_new(object, cases[i].field, json_string(cases[i].value));
		assert_refused(object, cases[i].reason, NULL);
	}
	assert_refused(json_pack("{s:s}", "username", "x"), "host is missing", NULL);
	assert_refused(json_pack("{s:s}", "host", "x"), "username is missing", NULL);
}

static void
certificates_as_text_become_files_that_only_we_can_open(void **state)
{
	json_t *object = on_host("db.example");
	struct postgresql_config *config;
	FILE *file;
	char line[16];

	(void)state;
	(void)json_object_set_new(object, "tls_ca", json_string("CA TEXT\n"));
	config = config_of(object);
	file = fopen(config->keywords[POSTGRESQL_SSLROOTCERT], "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_string_equal(line, "CA TEXT\n");
	(void)fclose(file);
	postgresql_config_free(config);
}

static int
attempt(void *arg)
{
	const json_t *object = arg;
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_config *config = NULL;
	int r = postgresql_config_new(object, &config, &err);

	postgresql_config_free(config);
	return (r);
}

static void
memory_may_fail_anywhere(void **state)
{
	json_t *object = on_host("db.example");

	(void)state;
	assert_true(failalloc_each(attempt, object) > 5);
	json_decref(object);
}

static int
set_up(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	return (leased_secret_setup(&err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tls_is_verified_unless_every_host_is_on_this_machine),
	    cmocka_unit_test(what_is_said_wins_over_the_defaults),
	    cmocka_unit_test(slots_of_a_url_are_places_and_no_text),
	    cmocka_unit_test(a_url_of_nothing_but_slots_is_refused_and_overruns_nothing),
	    cmocka_unit_test(a_url_may_hold_the_login_itself),
	    cmocka_unit_test(a_url_that_would_mean_something_else_is_refused),
	    cmocka_unit_test(each_value_has_one_source),
	    cmocka_unit_test(bad_values_are_refused_by_name),
	    cmocka_unit_test(certificates_as_text_become_files_that_only_we_can_open),
	    cmocka_unit_test(memory_may_fail_anywhere),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
