/* The lexer of SQL templates: where statements end, where a slot may stand, and what is refused
 * with which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "engine/sqltemplate.h"
#include "support/failalloc.h"

#define PG ENGINE_SQLTEMPLATE_POSTGRESQL
#define MY ENGINE_SQLTEMPLATE_MYSQL
#define ALL (ENGINE_SQLTEMPLATE_NAME | ENGINE_SQLTEMPLATE_PASSWORD | ENGINE_SQLTEMPLATE_EXPIRATION)

static void
assert_parts(enum engine_sqltemplate_dialect dialect, const char *text, const char *expected)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;
	json_t *wanted = json_loads(expected, 0, NULL);

	if (engine_sqltemplate_element(text, strlen(text), dialect, ALL, &statements, NULL, &err) !=
	    0)
		fail_msg("%s\nrefused: %s", text, err.text);
	assert_non_null(wanted);
	if (!json_equal(statements, wanted))
		fail_msg("%s\nis cut in another way", text);
	json_decref(wanted);
	json_decref(statements);
}

static void
assert_statements(enum engine_sqltemplate_dialect dialect, const char *text, size_t count)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;

	if (engine_sqltemplate_element(text, strlen(text), dialect, ALL, &statements, NULL, &err) !=
	    0)
		fail_msg("%s\nrefused: %s", text, err.text);
	if (json_array_size(statements) != count)
		fail_msg("%s\nis %zu statements", text, json_array_size(statements));
	json_decref(statements);
}

/* Refused, with reason in the text. */
static void
assert_refused(enum engine_sqltemplate_dialect dialect, const char *text, const char *reason)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;

	if (engine_sqltemplate_element(text, strlen(text), dialect, ALL, &statements, NULL, &err) ==
	    0)
		fail_msg("%s\nis not refused", text);
	assert_int_equal(err.code, LEASED_EINVAL);
	assert_null(statements);
	if (strstr(err.text, reason) == NULL)
		fail_msg("%s\nis refused with: %s", text, err.text);
}

static void
quoted_and_bare_slots_become_typed_parts(void **state)
{
	(void)state;
	assert_parts(PG,
	    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';",
	    "[[{\"sql\":\"CREATE ROLE \"},{\"identifier\":\"name\"},{\"sql\":\" LOGIN PASSWORD "
	    "\"},{\"literal\":\"password\"},{\"sql\":\" VALID UNTIL "
	    "\"},{\"literal\":\"expiration\"}]]");
	assert_parts(PG, "a {{username}} {{password}}, {{expiration}}",
	    "[[{\"sql\":\"a \"},{\"identifier\":\"name\"},{\"sql\":\" "
	    "\"},{\"literal\":\"password\"},"
	    "{\"sql\":\", \"},{\"literal\":\"expiration\"}]]");
	assert_parts(PG, "SELECT f('{{name}}')",
	    "[[{\"sql\":\"SELECT f(\"},{\"literal\":\"name\"},{\"sql\":\")\"}]]");
	assert_parts(PG, "{{name}}", "[[{\"identifier\":\"name\"}]]");
	assert_parts(PG, "x public.\"{{name}}\".y",
	    "[[{\"sql\":\"x public.\"},{\"identifier\":\"name\"},{\"sql\":\".y\"}]]");
	assert_parts(MY, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
	    "[[{\"sql\":\"CREATE USER \"},{\"literal\":\"name\"},{\"sql\":\"@'%' IDENTIFIED BY "
	    "\"},{\"literal\":\"password\"}]]");
	assert_parts(
	    MY, "GRANT x TO `{{name}}`", "[[{\"sql\":\"GRANT x TO \"},{\"identifier\":\"name\"}]]");
}

static void
statements_end_at_semicolons_outside_quotes_and_comments(void **state)
{
	(void)state;
	assert_parts(
	    PG, " a ; b;;\n ; c ", "[[{\"sql\":\"a\"}],[{\"sql\":\"b\"}],[{\"sql\":\"c\"}]]");
	assert_statements(PG, "a ';' b", 1);
	assert_statements(PG, "a 'it''s; so' b", 1);
	assert_statements(PG, "a \"x;\"\"y;\" b", 1);
	assert_statements(PG, "a $$;$$; b", 2);
	assert_statements(PG, "a $t$ ; $$ ; $T$ ; $t$; b", 2);
	assert_statements(PG, "a $1; b$$; c$$", 3);
	assert_statements(PG, "a -- x; y\n b", 1);
	assert_statements(PG, "a /* ; /* ; */ ; */ b", 1);
	assert_statements(PG, "CREATE RULE r AS ON INSERT TO t DO (a; b); c", 2);
	assert_statements(PG, "a; -- the end", 1);
	assert_statements(PG, "/* nothing */ ; -- here", 0);
	assert_statements(PG, "", 0);
}

static void
backslashes_escape_where_the_server_says_so_and_only_there(void **state)
{
	(void)state;
	assert_statements(PG, "a '\\'; b", 2); /* standard_conforming_strings: no escape */
	assert_statements(PG, "a E'\\'; b'; c", 2);
	assert_statements(PG, "a e'\\\\'; b", 2);
	assert_statements(PG, "abce'\\'; b", 2); /* a word that ends in e is no prefix */
	assert_refused(PG, "a E'\\'; b", "never closed");
	assert_statements(MY, "a '\\'; b'; c", 2);
	assert_statements(MY, "a \"\\\"; b\"; c", 2);
	assert_statements(MY, "a `\\`; b", 2);
}

static void
mysql_comments_are_not_those_of_postgresql(void **state)
{
	(void)state;
	assert_statements(MY, "a # x; y\n b", 1);
	assert_statements(MY, "a -- x; y\n b", 1);
	assert_statements(MY, "a --x; y", 2);
	assert_statements(MY, "a /* /* ; */ ; b", 2);
	assert_statements(PG, "a # x; y", 2);
	assert_statements(PG, "a ` x; y", 2);
	assert_refused(MY, "/*! a; */ b", "executes");
	assert_refused(MY, "/*M!100 a */ b", "executes");
}

static void
an_element_with_end_outside_quotes_is_one_statement(void **state)
{
	(void)state;
	assert_parts(PG,
	    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; end; GRANT x TO {{name}};",
	    "[[{\"sql\":\"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; end; GRANT x TO "
	    "\"},{\"identifier\":\"name\"},{\"sql\":\";\"}]]");
	assert_statements(PG, "a; 'END'; b", 3);
	assert_statements(PG, "a; $$ END $$; b", 3);
	assert_statements(PG, "a; b -- END", 2);
	assert_statements(PG, "a; LEND; b", 3);
	assert_statements(PG, "a; \"END\"; b", 3);
}

static void
a_slot_that_is_a_part_of_something_is_refused(void **state)
{
	static const char *const texts[] = {"a 'x{{name}}'", "a '{{name}}x'", "a \"v-{{name}}\"",
	    "a '{{name}}{{password}}'", "a $$ {{name}} $$", "a $t${{name}}$t$", "a -- {{name}}",
	    "a /* {{name}} */", "a /* /* */ {{name}} */ b", "a x{{name}}", "a {{name}}x",
	    "a {{name}}_x", "a 1{{name}}", "a ''{{name}}", "a {{password}}''",
	    "a '{{password}}''x'", "a \"{{name}}\"\"x\"", "a E'{{password}}'", "a U&'{{password}}'",
	    "a U&\"{{name}}\"", "a B'{{password}}'", "a N'{{password}}'", "a E'x{{name}}'",
	    "a '{{password}}'x", "a {{name}}{{password}}", "a {{password}}'{{password}}'",
	    "a '{{password}}'{{password}}", "a ${{name}}", "a {{name}}$$x$$", "a U&{{name}}",
	    "a $x{{name}}$"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(PG, texts[i], "line 1, column ");
	assert_refused(MY, "a # {{name}}", "a comment");
	assert_refused(MY, "a `x{{name}}`", "an identifier");
	assert_refused(MY, "a '\\'{{name}}'", "a string");
	assert_refused(MY, "a _utf8'{{password}}'", "prefix");
}

static void
two_strings_in_a_row_are_refused_where_the_server_joins_them(void **state)
{
	(void)state;
	assert_refused(PG, "a '{{password}}'\n'x'", "join");
	assert_refused(PG, "a 'x'\n {{password}}", "join");
	assert_refused(PG, "a 'x' -- c\n 'y'", "join");
	assert_refused(PG, "a E'x'\n'\\'; b'", "join");
	assert_refused(MY, "a 'x' 'y'", "join");
	assert_refused(MY, "a 'x' \"y\"", "join");
	assert_statements(PG, "a 'x', 'y'", 1);
	assert_statements(PG, "a 'x';\n'y'", 2);
	assert_statements(PG, "a 'x'\n\"y\"", 1);
	assert_statements(MY, "a 'x' `y`", 1);
}

static void
a_secret_is_never_an_identifier(void **state)
{
	(void)state;
	assert_refused(PG, "a \"{{password}}\"", "single quotes");
	assert_refused(PG, "a \"{{expiration}}\"", "single quotes");
	assert_refused(MY, "a `{{password}}`", "single quotes");
}

static void
an_unknown_slot_is_refused_and_the_nearest_named(void **state)
{
	(void)state;
	assert_refused(PG, "a {{pasword}}", "did you mean {{password}}?");
	assert_refused(PG, "a '{{ name }}'", "no blanks in it: write {{name}}");
	assert_refused(PG, "a {{Name}}", "did you mean {{name}}?");
	assert_refused(PG, "a {{zzzzzzzzzz}}", "there are {{name}}");
	assert_refused(PG, "a '{{1,2},{3,4}}'", "unknown slot");
	assert_refused(PG, "a {{name", "without `}}`");
	assert_refused(PG, "a {{name}\n}", "without `}}`");
	assert_statements(PG, "a '{ {1,2},{3,4}}' }}", 1);
}

static void
what_is_open_at_the_end_is_refused_where_it_began(void **state)
{
	(void)state;
	assert_refused(PG, "a\n b 'x", "line 2, column 4: a quote (') that is never closed");
	assert_refused(PG, "a \"x", "never closed");
	assert_refused(PG, "a $t$ x $$", "dollar quote ($t$)");
	assert_refused(PG, "a /* /* */", "comment");
	assert_refused(PG, "\xc3\xa4\xc3\xb6 'x", "line 1, column 4");
	assert_refused(PG, "a (b; c", "never closed");
	assert_refused(PG, "a (b)); c", "without its");
	assert_refused(MY, "a '\\'", "never closed");
}

static void
a_slot_without_a_value_in_this_list_is_refused(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;
	unsigned used = 0;

	(void)state;
	assert_int_equal(engine_sqltemplate_element("x '{{password}}'", 16, PG,
			     ENGINE_SQLTEMPLATE_NAME, &statements, NULL, &err),
	    LEASED_EINVAL);
	assert_non_null(strstr(err.text, "{{password}} has no value in these statements"));
	assert_int_equal(engine_sqltemplate_element(
			     "x {{name}} '{{expiration}}'", 27, PG, ALL, &statements, &used, &err),
	    0);
	assert_int_equal(used, ENGINE_SQLTEMPLATE_NAME | ENGINE_SQLTEMPLATE_EXPIRATION);
	json_decref(statements);
}

static void
bytes_that_are_no_text_are_refused(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;

	(void)state;
	assert_int_equal(
	    engine_sqltemplate_element("a\0b", 3, PG, ALL, &statements, NULL, &err), LEASED_EINVAL);
	assert_int_equal(engine_sqltemplate_element("a\xff", 2, PG, ALL, &statements, NULL, &err),
	    LEASED_EINVAL);
}

static void
limits_are_told_and_nothing_is_cut(void **state)
{
	size_t len = ENGINE_SQLTEMPLATE_ELEMENT_LEN_MAX + 1, i;
	char *text = malloc(len);
	struct leased_err err = LEASED_ERR_INIT;
	json_t *statements = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', len);
	assert_int_equal(engine_sqltemplate_element(text, len, PG, ALL, &statements, NULL, &err),
	    LEASED_ETOOBIG);
	for (i = 0; i + 1 < len; i += 2)
		memcpy(text + i, "a;", 2);
	assert_int_equal(
	    engine_sqltemplate_element(text, len - 1, PG, ALL, &statements, NULL, &err),
	    LEASED_ETOOBIG);
	assert_non_null(strstr(err.text, "parts"));
	free(text);
}

static void
a_list_names_the_element_that_is_refused(void **state)
{
	char *items[] = {(char *)"CREATE ROLE {{name}}; b", (char *)"c '{{pass}}'"};
	struct jdec_list list = {items, 1};
	struct leased_err err = LEASED_ERR_INIT;
	json_t *elements = NULL;
	unsigned used = 0;

	(void)state;
	assert_int_equal(
	    engine_sqltemplate_list("creation_statements", &list, PG, ALL, &elements, &used, &err),
	    0);
	assert_int_equal(json_array_size(elements), 1);
	assert_int_equal(json_array_size(json_array_get(elements, 0)), 2);
	assert_int_equal(used, ENGINE_SQLTEMPLATE_NAME);
	json_decref(elements);
	elements = NULL;
	list.count = 2;
	assert_int_equal(
	    engine_sqltemplate_list("creation_statements", &list, PG, ALL, &elements, &used, &err),
	    LEASED_EINVAL);
	assert_non_null(strstr(err.text, "creation_statements, element 2: line 1, column 4: "));
	items[1] = (char *)" -- nothing";
	assert_int_equal(
	    engine_sqltemplate_list("creation_statements", &list, PG, ALL, &elements, &used, &err),
	    LEASED_EINVAL);
	assert_non_null(strstr(err.text, "element 2: it holds no statement"));
	assert_null(elements);
}

static int
attempt(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *elements = NULL;
	int r = engine_sqltemplate_list("creation_statements", arg, PG, ALL, &elements, NULL, &err);

	json_decref(elements);
	return (r);
}

static void
memory_may_fail_anywhere(void **state)
{
	char *items[] = {(char *)"CREATE ROLE {{name}} PASSWORD '{{password}}'; b",
	    (char *)"BEGIN ATOMIC a; b; END"};
	struct jdec_list list = {items, 2};

	(void)state;
	assert_true(failalloc_each(attempt, &list) > 10);
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
	    cmocka_unit_test(quoted_and_bare_slots_become_typed_parts),
	    cmocka_unit_test(statements_end_at_semicolons_outside_quotes_and_comments),
	    cmocka_unit_test(backslashes_escape_where_the_server_says_so_and_only_there),
	    cmocka_unit_test(mysql_comments_are_not_those_of_postgresql),
	    cmocka_unit_test(an_element_with_end_outside_quotes_is_one_statement),
	    cmocka_unit_test(a_slot_that_is_a_part_of_something_is_refused),
	    cmocka_unit_test(two_strings_in_a_row_are_refused_where_the_server_joins_them),
	    cmocka_unit_test(a_secret_is_never_an_identifier),
	    cmocka_unit_test(an_unknown_slot_is_refused_and_the_nearest_named),
	    cmocka_unit_test(what_is_open_at_the_end_is_refused_where_it_began),
	    cmocka_unit_test(a_slot_without_a_value_in_this_list_is_refused),
	    cmocka_unit_test(bytes_that_are_no_text_are_refused),
	    cmocka_unit_test(limits_are_told_and_nothing_is_cut),
	    cmocka_unit_test(a_list_names_the_element_that_is_refused),
	    cmocka_unit_test(memory_may_fail_anywhere),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
