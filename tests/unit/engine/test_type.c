/*
 * The table of mount types: which row a path below a mount has, and what is said where there is
 * none.
 */
#include "engine/type.h"
#include "unit/engine/fixture.h"

static bool
is_x(const char *name, size_t len)
{
	return (len == 3 && strcmp(name, "x/y") == 0);
}

static const struct engine_path paths[] = {
    {.verb = "config", .is_listed = true, .kind = "a"},
    {.verb = "config/ca", .is_whole = true},
    {.verb = "deep", .is_name = is_x},
};
static const struct engine_type type = {.name = "test", .paths = paths, .path_count = 3};

static const char *
found(const char *path)
{
	static char text[64];
	const char *name = NULL;
	const struct engine_path *row = engine_path_find(&type, path, &name);

	if (row == NULL)
		return ("");
	(void)snprintf(text, sizeof(text), "%s|%s", row->verb, name);
	return (text);
}

static void
the_longest_verb_has_the_path(void **state)
{
	(void)state;
	assert_string_equal(found("config"), "config|");
	assert_string_equal(found("config/"), "config|");
	assert_string_equal(found("config/main"), "config|main");
	assert_string_equal(found("config/ca"), "config/ca|");
	assert_string_equal(found("config/cab"), "config|cab");
}

static void
what_follows_a_verb_must_be_a_name_of_its_row(void **state)
{
	const char *name;

	(void)state;
	assert_string_equal(found("config/a/b"), "");
	assert_string_equal(found("config/ca/x"), "");
	assert_string_equal(found("config/ca/"), "config/ca|");
	assert_string_equal(found("configs"), "");
	assert_string_equal(found("deep"), "");
	assert_string_equal(found("deep/x"), "");
	assert_string_equal(found("deep/x/y"), "deep|x/y");
	assert_string_equal(found(""), "");
	assert_null(engine_path_find(NULL, "config", &name));
}

static void
a_mount_answers_by_its_type(void **state)
{
	struct fix *f = *state;
	struct answer answer = {0};

	mount_ask(f, "db2/", "{\"type\": \"database\", \"options\": {\"a\": \"b\"}}", &answer);
	assert_int_equal(answer.code, LEASED_EINVAL);
	answer_clear(&answer);
	mount_ask(f, "db2/", "{\"type\": \"nothing\"}", &answer);
	assert_int_equal(answer.code, LEASED_EINVAL);
	assert_non_null(strstr(answer.err.text, "mounts types database"));
	answer_clear(&answer);
	refused(f, ENGINE_READ, "nothing/x", NULL, LEASED_ENOENT, "a database has config");
	refused(f, ENGINE_READ, "roles", NULL, LEASED_EINVAL, "unsupported operation");
	refused(f, ENGINE_LIST, "creds/", NULL, LEASED_ENOENT, "unsupported path");
	refused(f, ENGINE_PATCH, "roles/app", "{}", LEASED_EINVAL, "unsupported operation");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_longest_verb_has_the_path),
	    cmocka_unit_test(what_follows_a_verb_must_be_a_name_of_its_row),
	    cmocka_unit_test_setup_teardown(a_mount_answers_by_its_type, fix_setup, fix_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
