/* The Redis plugin's configuration: nodes by one setting or the other, TLS unless every node is on
 * this machine, and never TLS that nobody checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis/config.h"
#include "support/failalloc.h"

static struct redis_config *
config_of(json_t *object)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_config *config = NULL;

	if (redis_config_new(object, &config, &err) != 0)
		fail_msg("refused: %s", err.text);
	json_decref(object);
	return (config);
}

static void
assert_refused(json_t *object, const char *reason, const char *never_shown)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_config *config = NULL;

	assert_int_equal(redis_config_new(object, &config, &err), LEASED_EINVAL);
	assert_null(config);
	if (strstr(err.text, reason) == NULL)
		fail_msg("refused with: %s", err.text);
	if (never_shown != NULL && strstr(err.text, never_shown) != NULL)
		fail_msg("shows a secret: %s", err.text);
	json_decref(object);
}

static void
addresses_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text, *host, *shown;
		unsigned port;
		bool is_name, is_local;
	} cases[] = {
	    {"redis.example:6380", "redis.example", "redis.example:6380", 6380, true, false},
	    {"redis.example", "redis.example", "redis.example:6379", 6379, true, false},
	    {"10.0.0.1:1", "10.0.0.1", "10.0.0.1:1", 1, false, false},
	    {"127.9.9.9", "127.9.9.9", "127.9.9.9:6379", 6379, false, true},
	    {"127.0.0.1.example", "127.0.0.1.example", "127.0.0.1.example:6379", 6379, true, false},
	    {"localhost:7", "localhost", "localhost:7", 7, false, true},
	    {"[::1]:8", "::1", "[::1]:8", 8, false, true},
	    {"[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:6379", 6379, false, false},
	    {"::1", "::1", "[::1]:6379", 6379, false, true},
	    {"/run/redis/redis.sock", "/run/redis/redis.sock", "/run/redis/redis.sock", 0, false,
		true}};
	static const char *const wrong[] = {"", ":6379", "a:0", "a:65536", "a:b", "a:", "[::1",
	    "[::1]x", "[]:1", "redis://a", "a b", "u@a", "a\n", "a?b", "a#b", "[/]", "a/b"};
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_address address;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (redis_address_read(cases[i].text, &address, &err) != 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_string_equal(address.host, cases[i].host);
		assert_string_equal(address.text, cases[i].shown);
		assert_int_equal(address.port, cases[i].port);
		assert_int_equal(address.is_name, cases[i].is_name);
		assert_int_equal(address.is_local, cases[i].is_local);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (redis_address_read(wrong[i], &address, &err) != LEASED_EINVAL)
			fail_msg("taken: %s", wrong[i]);
}

static void
tls_is_used_unless_every_node_is_on_this_machine(void **state)
{
	struct redis_config *config;

	(void)state;
	config = config_of(json_pack("{s:s}", "host", "localhost"));
	assert_false(config->is_tls || config->is_exposed);
	assert_string_equal(config->username, "default");
	redis_config_free(config);
	config = config_of(json_pack("{s:s, s:i}", "host", "redis.example", "port", 6380));
	assert_true(config->is_tls);
	assert_string_equal(config->nodes.items[0].text, "redis.example:6380");
	redis_config_free(config);
	config = config_of(json_pack("{s:[s,s]}", "nodes", "localhost:1", "redis.example:2"));
	assert_true(config->is_tls);
	redis_config_free(config);
	config =
	    config_of(json_pack("{s:s, s:b}", "nodes", "localhost:1, redis.example:2", "tls", 0));
	assert_true(!config->is_tls && config->is_exposed && config->nodes.count == 2);
	redis_config_free(config);
	config = config_of(
	    json_pack("{s:s, s:[s]}", "host", "localhost", "gone_nodes", "redis.example:2"));
	assert_true(!config->is_tls && config->nodes.count == 1 && config->gone.count == 1);
	redis_config_free(config);
	config = config_of(json_pack("{s:s, s:s}", "host", "127.0.0.1", "tls", "true"));
	assert_true(config->is_tls);
	redis_config_free(config);
}

/* As a command line has it. */
static void
nodes_may_be_a_list_in_a_text(void **state)
{
	static const char *const lists[] = {"[\"a:1\",\"[::1]:2\"]", " [ \"a:1\" , \"[::1]:2\" ] ",
	    "a:1,[::1]:2", "a:1 , [::1]:2 ,"};
	struct redis_config *config;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		config = config_of(json_pack("{s:s}", "nodes", lists[i]));
		assert_int_equal(config->nodes.count, 2);
		assert_string_equal(config->nodes.items[0].text, "a:1");
		assert_string_equal(config->nodes.items[1].text, "[::1]:2");
		redis_config_free(config);
	}
	config = config_of(json_pack("{s:s}", "nodes", "[::1]:7000,[::2]"));
	assert_string_equal(config->nodes.items[0].text, "[::1]:7000");
	assert_string_equal(config->nodes.items[1].text, "[::2]:6379");
	redis_config_free(config);
	config = config_of(json_pack("{s:s, s:s}", "host", "a", "nodes", "[]"));
	assert_int_equal(config->nodes.count, 1);
	redis_config_free(config);
	assert_refused(json_pack("{s:s}", "nodes", "[\"a:1\",\"b:2\""), "list in JSON", NULL);
	assert_refused(json_pack("{s:s}", "nodes", "[\"a:1\",7]"), "list of texts", NULL);
	assert_refused(json_pack("{s:s}", "nodes", "[\"a\",\"a:6379\"]"), "twice", NULL);
	assert_refused(json_pack("{s:s}", "nodes", "[\"[::1]\",\"a b\"]"), "no host", NULL);
}

static void
what_contradicts_itself_is_refused(void **state)
{
	(void)state;
	assert_refused(json_object(), "host is missing", NULL);
	assert_refused(
	    json_pack("{s:s, s:b}", "host", "a", "insecure_tls", 1), "insecure_tls", NULL);
	assert_refused(
	    json_pack("{s:s, s:s}", "host", "a", "insecure_tls", "TRUE"), "insecure_tls", NULL);
	assert_refused(json_pack("{s:s, s:s}", "host", "a", "tls", "perhaps"), "tls", NULL);
	assert_refused(json_pack("{s:s, s:[s]}", "host", "a", "nodes", "b"), "host= port=", NULL);
	assert_refused(json_pack("{s:[s], s:i}", "nodes", "b", "port", 1), "one of the two", NULL);
	assert_refused(json_pack("{s:[s,s]}", "nodes", "a", "a:6379"), "twice", NULL);
	assert_refused(json_pack("{s:[i]}", "nodes", 7), "nodes", NULL);
	assert_refused(json_pack("{s:i}", "nodes", 7), "nodes", NULL);
	assert_refused(json_pack("{s:s, s:s}", "host", "a", "tls_certificate", "x"), "both", NULL);
	assert_refused(json_pack("{s:s, s:b, s:s}", "host", "a", "tls", 0, "ca_cert", "x"),
	    "tls is false", NULL);
	assert_refused(json_pack("{s:s, s:i, s:s}", "host", "a", "port", 0, "password", "s3cret"),
	    "port", "s3cret");
	assert_refused(json_pack("{s:s, s:{s:s}}", "host", "a", "password", "x", "s3cret"),
	    "password", "s3cret");
}

static int
attempt(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_config *config = NULL;
	int r = redis_config_new(arg, &config, &err);

	redis_config_free(config);
	return (r);
}

static void
out_of_memory_is_said_and_nothing_leaks(void **state)
{
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "nodes",
	    "a.example,b.example:1", "username", "leased", "password", "p", "password_candidate",
	    "q", "ca_cert", "/x", "tls_certificate", "c", "private_key", "k");

	(void)state;
	assert_true(failalloc_each(attempt, object) > 6);
	json_decref(object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_are_read_as_people_write_them),
	    cmocka_unit_test(tls_is_used_unless_every_node_is_on_this_machine),
	    cmocka_unit_test(nodes_may_be_a_list_in_a_text),
	    cmocka_unit_test(what_contradicts_itself_is_refused),
	    cmocka_unit_test(out_of_memory_is_said_and_nothing_leaks),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
