/* What a role of RabbitMQ may say, as JSON or as a text of it; and names in paths of the API. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "rabbitmq/config.h"
#include "rabbitmq/role.h"
#include "rabbitmq/target.h"
#include "support/failalloc.h"

static void
assert_json(const json_t *value, const char *text)
{
	char *found = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	json_free_t jansson_free;

	assert_string_equal(found, text);
	json_get_alloc_funcs(NULL, &jansson_free);
	jansson_free(found);
}

static void
permissions_are_read_from_a_text_and_from_json_alike(void **state)
{
	static const char *const roles[] = {
	    "{\"tags\": \"management, monitoring\", \"vhosts\": \"{\\\"/\\\": {\\\"write\\\": "
	    "\\\".*\\\", "
	    "\\\"read\\\": \\\"^a\\\"}}\", \"vhost_topics\": \"{\\\"/\\\": {\\\"amq.topic\\\": "
	    "{\\\"write\\\": \\\"w\\\"}}}\"}",
	    "{\"tags\": [\"management\", \"monitoring\"], \"vhosts\": {\"/\": {\"write\": \".*\", "
	    "\"read\": \"^a\"}}, \"vhost_topics\": {\"/\": {\"amq.topic\": {\"write\": \"w\"}}}}"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
		struct leased_err err = LEASED_ERR_INIT;
		json_t *object = json_loads(roles[i], 0, NULL);

		assert_non_null(object);
		if (rabbitmq_role_read(object, &role, &err) != 0)
			fail_msg("refused: %s", err.text);
		assert_string_equal(role.tags, "management,monitoring");
		assert_json(role.permissions,
		    "[{\"configure\":\"\",\"read\":\"^a\",\"vhost\":\"/\",\"write\":\".*\"}]");
		assert_json(role.topics,
		    "[{\"exchange\":\"amq.topic\",\"read\":\"\",\"vhost\":\"/\",\"write\":\"w\"}]");
		rabbitmq_role_clear(&role);
		json_decref(object);
	}
}

static void
a_role_that_says_nothing_gives_nothing(void **state)
{
	static const char *const roles[] = {"{}", "{\"tags\": \"\", \"vhosts\": \"\"}",
	    "{\"vhosts\": {}, \"tags\": []}", "{\"vhosts\": null}"};

	(void)state;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
		struct leased_err err = LEASED_ERR_INIT;
		json_t *object = json_loads(roles[i], 0, NULL);

		assert_int_equal(rabbitmq_role_read(object, &role, &err), 0);
		assert_string_equal(role.tags, "");
		assert_int_equal(
		    json_array_size(role.permissions) + json_array_size(role.topics), 0);
		rabbitmq_role_clear(&role);
		json_decref(object);
	}
}

static void
what_is_misspelled_is_refused_by_the_name_of_its_setting(void **state)
{
	static const struct {
		const char *role, *reason;
	} cases[] = {{"{\"vhosts\": \"{\"}", "vhosts"}, {"{\"vhosts\": \"[]\"}", "vhosts"},
	    {"{\"vhosts\": 7}", "vhosts"},
	    {"{\"vhosts\": {\"/\": \".*\"}}", "permissions look like"},
	    {"{\"vhosts\": {\"/\": {\"writes\": \".*\"}}}", "permissions look like"},
	    {"{\"vhosts\": {\"/\": {\"write\": 7}}}", "regular expression"},
	    {"{\"vhosts\": {\"\": {\"write\": \"\"}}}", "virtual host"},
	    {"{\"vhosts\": {\"..\": {\"write\": \"\"}}}", "virtual host"},
	    {"{\"vhosts\": \"{\\\"/\\\": {}, \\\"/\\\": {}}\"}", "vhosts"},
	    {"{\"vhost_topics\": {\"/\": {\"x\": {\"configure\": \"\"}}}}", "vhost_topics"},
	    {"{\"vhost_topics\": {\"/\": 7}}", "vhost_topics"}, {"{\"tags\": 7}", "tags"},
	    {"{\"tags\": [7]}", "tags"}, {"{\"tags\": \"a,,b\"}", "tags"},
	    {"{\"tags\": \"a,\"}", "tags"}, {"{\"tags\": \"a b\"}", "tags"},
	    {"{\"tags\": [\"a,b\"]}", "tags"}, {"{\"tags\": [\"\"]}", "tags"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
		struct leased_err err = LEASED_ERR_INIT;
		json_t *object = json_loads(cases[i].role, 0, NULL);

		assert_non_null(object);
		if (rabbitmq_role_read(object, &role, &err) != LEASED_EINVAL ||
		    strstr(err.text, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].role, err.text);
		rabbitmq_role_clear(&role);
		json_decref(object);
	}
}

static void
a_name_in_a_path_is_one_element_of_it(void **state)
{
	static const struct {
		const char *name, *target;
	} cases[] = {{"/", "/api/users/%2F?x=1"}, {"a/../b", "/api/users/a%2F..%2Fb?x=1"},
	    {"a b%2F?#", "/api/users/a%20b%252F%3F%23?x=1"}, {"A-z0_.~", "/api/users/A-z0_.~?x=1"},
	    {"\xc3\xa9\n", "/api/users/%C3%A9%0A?x=1"}, {"", "/api/users/?x=1"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *elements[] = {"users", cases[i].name};
		char *target = rabbitmq_target(elements, 2, "x=1");

		assert_string_equal(target, cases[i].target);
		free(target);
	}
}

static void
a_configuration_needs_its_fields_and_shows_no_secret(void **state)
{
	static const char *const wrong[] = {"{}",
	    "{\"connection_uri\": \"u\", \"username\": \"n\"}",
	    "{\"connection_uri\": \"u\", \"password\": \"s3cret\"}",
	    "{\"username\": \"n\", \"password\": \"s3cret\"}",
	    "{\"connection_uri\": 7, \"username\": \"n\", \"password\": \"s3cret\"}",
	    "{\"connection_uri\": \"u\", \"username\": \"a:b\", \"password\": \"s3cret\"}",
	    "{\"connection_uri\": \"u\", \"username\": \"n\", \"password\": [\"s3cret\"]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct rabbitmq_config *config = NULL;
		struct leased_err err = LEASED_ERR_INIT;
		json_t *object = json_loads(wrong[i], 0, NULL);

		assert_int_equal(rabbitmq_config_new(object, &config, &err), LEASED_EINVAL);
		assert_null(config);
		assert_null(strstr(err.text, "s3cret"));
		json_decref(object);
	}
}

static int
attempt(void *arg)
{
	struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
	struct rabbitmq_config *config = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r = rabbitmq_role_read(arg, &role, &err);

	rabbitmq_role_clear(&role);
	if (r == 0)
		r = rabbitmq_config_new(arg, &config, &err);
	rabbitmq_config_free(config);
	return (r);
}

static void
out_of_memory_is_said_and_nothing_leaks(void **state)
{
	json_t *object = json_pack("{s:s, s:s, s:{s:{s:{s:s}}}, s:s, s:s, s:s}", "tags", "a,b",
	    "vhosts", "{\"/\": {\"read\": \"x\"}}", "vhost_topics", "/", "e", "write", "w",
	    "connection_uri", "u", "username", "n", "password", "p");

	(void)state;
	assert_non_null(object);
	assert_true(failalloc_each(attempt, object) > 8);
	json_decref(object);
}

/* Of jansson's memory only what our allocators give is counted. */
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
	    cmocka_unit_test(permissions_are_read_from_a_text_and_from_json_alike),
	    cmocka_unit_test(a_role_that_says_nothing_gives_nothing),
	    cmocka_unit_test(what_is_misspelled_is_refused_by_the_name_of_its_setting),
	    cmocka_unit_test(a_name_in_a_path_is_one_element_of_it),
	    cmocka_unit_test(a_configuration_needs_its_fields_and_shows_no_secret),
	    cmocka_unit_test(out_of_memory_is_said_and_nothing_leaks),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
