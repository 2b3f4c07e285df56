/* The MySQL plugin's configuration: safe defaults, one source for each value, and passwords that no
 * URL can break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "mysql/config.h"
#include "support/failalloc.h"

#define PEM "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"

static struct maria_config *
config_of(json_t *object)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_config *config = NULL;

	if (maria_config_new(object, &config, &err) != 0)
		fail_msg("refused: %s", err.text);
	json_decref(object);
	return (config);
}

static void
assert_refused(json_t *object, const char *reason)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_config *config = NULL;

	assert_int_equal(maria_config_new(object, &config, &err), LEASED_EINVAL);
	assert_null(config);
	if (strstr(err.text, reason) == NULL)
		fail_msg("refused with: %s", err.text);
	if (strstr(err.text, "s3cret") != NULL)
		fail_msg("shows a secret: %s", err.text);
	json_decref(object);
}

static json_t *
with(const char *field, const char *value)
{
	return (json_pack("{s:s, s:s, s:s, s:s}", "host", "db.example", "username", "leased",
	    "password", "s3cret", field, value));
}

static json_t *
on_host(const char *host)
{
	return (
	    json_pack("{s:s, s:s, s:s}", "host", host, "username", "leased", "password", "s3cret"));
}

static json_t *
by_url(const char *url)
{
	return (json_pack("{s:s, s:s, s:s}", "connection_url", url, "username", "le:a@sed",
	    "password", "s3cret/w?"));
}

static void
a_server_elsewhere_is_verified_and_one_here_needs_no_tls(void **state)
{
	static const char *const here[] = {"127.0.0.1", "127.8.0.1", "localhost", "::1"};
	struct maria_config *config;

	(void)state;
	config = config_of(on_host("db.example"));
	assert_true(config->is_tls);
	assert_string_equal(config->tls_files[MARIA_TLS_CA], "/etc/ssl/certs/ca-certificates.crt");
	assert_int_equal(config->port, 3306);
	assert_string_equal(config->user_host, "%");
	maria_config_free(config);
	for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		config = config_of(on_host(here[i]));
		assert_false(config->is_tls);
		maria_config_free(config);
	}
	config = config_of(
	    json_pack("{s:s, s:s, s:s}", "host", "127.0.0.1", "username", "leased", "tls_ca", PEM));
	assert_true(config->is_tls);
	assert_non_null(strstr(config->tls_files[MARIA_TLS_CA], "/proc/self/fd/"));
	maria_config_free(config);
}

static void
no_tls_is_for_this_machine_only(void **state)
{
	(void)state;
	assert_refused(with("tls_mode", "disable"), "on this machine only");
	assert_refused(with("tls_mode", "prefer"), "must be verify");
	assert_refused(
	    by_url("{{username}}:{{password}}@tcp(10.0.0.1)/?tls=false"), "on this machine only");
	assert_refused(
	    by_url("{{username}}:{{password}}@tcp(10.0.0.1)/?tls=skip-verify"), "always verified");
	assert_refused(
	    json_pack("{s:s, s:s, s:s}", "socket", "/run/s", "username", "x", "tls_mode", "verify"),
	    "has no TLS");
	assert_refused(json_pack("{s:s, s:s, s:s, s:s}", "host", "::1", "username", "x", "tls_mode",
			   "disable", "tls_ca", PEM),
	    "tls_mode = verify");
}

static void
a_host_is_one_host(void **state)
{
	static const char *const bad[] = {
	    "a,b", "a b", "mysql://x", "a;b=c", "/run/x", "a/b", "(x)"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(on_host(bad[i]), "must be one name or address");
	assert_refused(with("socket", "/run/mysqld/mysqld.sock"), "one of the two");
	assert_refused(json_pack("{s:s, s:s}", "socket", "s", "username", "x"), "absolute path");
	assert_refused(json_pack("{s:s}", "username", "x"), "host is missing");
	assert_refused(json_pack("{s:s}", "host", "x"), "username is missing");
}

static void
both_forms_of_a_url_name_the_same_server(void **state)
{
	static const char *const urls[] = {
	    "{{username}}:{{password}}@tcp(db.example:3307)/my_app?tls=true&parseTime=true",
	    "mysql://{{username}}:{{password}}@db.example:3307/my_app?tls=true",
	    "mariadb://{{name}}:{{password}}@db.example:3307/my%5fapp"};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct maria_config *config = config_of(by_url(urls[i]));

		assert_string_equal(config->host, "db.example");
		assert_int_equal(config->port, 3307);
		assert_string_equal(config->database, "my_app");
		assert_string_equal(config->username, "le:a@sed");
		assert_string_equal(leased_secret_reveal(config->password), "s3cret/w?");
		assert_true(config->is_tls);
		maria_config_free(config);
	}
}

static void
a_url_may_name_a_socket_or_an_address(void **state)
{
	struct maria_config *config;

	(void)state;
	config = config_of(by_url("{{username}}:{{password}}@unix(/run/mysqld/mysqld.sock)/"));
	assert_string_equal(config->socket, "/run/mysqld/mysqld.sock");
	assert_null(config->host);
	maria_config_free(config);
	config = config_of(by_url("{{username}}:{{password}}@tcp([::1]:3308)/"));
	assert_string_equal(config->host, "::1");
	assert_int_equal(config->port, 3308);
	maria_config_free(config);
}

static void
a_url_that_holds_a_password_or_half_a_slot_is_refused(void **state)
{
	(void)state;
	assert_refused(by_url("{{username}}:s3cret@tcp(127.0.0.1)/"), "write {{password}}");
	assert_refused(by_url("mysql://root:s3cret@127.0.0.1/"), "write {{password}}");
	assert_refused(by_url("x{{username}}:{{password}}@tcp(127.0.0.1)/"), "whole");
	assert_refused(by_url("{{username}}:{{password}}@tcp({{host}})/"), "whole");
	assert_refused(by_url("{{username}}:{{password}}@tcp(127.0.0.1:0)/"), "port");
	assert_refused(by_url("{{username}}:{{password}}@127.0.0.1"), "cannot be read");
	assert_refused(by_url("{{username}}:{{password}}@tcp(127.0.0.1/"), "cannot be read");
	assert_refused(by_url("mysql://a%zz@127.0.0.1/"), "cannot be read");
	assert_refused(by_url("mysql://a%00b@127.0.0.1/"), "cannot be read");
	assert_refused(by_url("{{username}}:{{password}}@tcp(127.0.0.1)/?allowAllFiles=true"),
	    "not taken here");
}

static void
a_value_is_given_once(void **state)
{
	json_t *object = by_url("other:{{password}}@tcp(127.0.0.1:3306)/");

	(void)state;
	assert_refused(object, "username stands in connection_url too");
	object = by_url("{{username}}:{{password}}@tcp(127.0.0.1:3306)/");
	json_object_set_new(object, "port", json_integer(3306));
	assert_refused(object, "port stands in connection_url too");
}

static void
options_are_checked(void **state)
{
	struct maria_config *config;

	(void)state;
	assert_refused(with("password_authentication", "scram"), "must be hash or password");
	assert_refused(with("connect_timeout", "0"), "from 1 to 60");
	assert_refused(with("port", "65536"), "from 1 to 65535");
	assert_refused(with("user_host", "a b"), "user_host");
	assert_refused(with("user_host", "%`"), "user_host");
	assert_refused(with("expiry_event", "yes"), "true or false");
	assert_refused(with("expiry_event", "true"), "event_schema");
	assert_refused(with("tls_ca", "x"), "PEM");
	config = config_of(json_pack("{s:s, s:i, s:s, s:s, s:b, s:s}", "host", "db.example", "port",
	    3307, "username", "x", "user_host", "10.%", "expiry_event", 1, "database", "app"));
	assert_true(config->has_expiry_event);
	assert_string_equal(config->event_schema, "app");
	assert_string_equal(config->user_host, "10.%");
	assert_null(config->password);
	maria_config_free(config);
}

static int
attempt(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_config *config = NULL;
	int r = maria_config_new(arg, &config, &err);

	maria_config_free(config);
	return (r);
}

static void
without_memory_nothing_is_half_configured(void **state)
{
	json_t *object = by_url("{{username}}:{{password}}@tcp(db.example:3307)/app?tls=true");

	(void)state;
	json_object_set_new(object, "tls_certificate_key", json_string(PEM));
	assert_true(failalloc_each(attempt, object) > 5);
	json_decref(object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_elsewhere_is_verified_and_one_here_needs_no_tls),
	    cmocka_unit_test(no_tls_is_for_this_machine_only),
	    cmocka_unit_test(a_host_is_one_host),
	    cmocka_unit_test(both_forms_of_a_url_name_the_same_server),
	    cmocka_unit_test(a_url_may_name_a_socket_or_an_address),
	    cmocka_unit_test(a_url_that_holds_a_password_or_half_a_slot_is_refused),
	    cmocka_unit_test(a_value_is_given_once),
	    cmocka_unit_test(options_are_checked),
	    cmocka_unit_test(without_memory_nothing_is_half_configured),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
