/* Templates: what fills a slot stays within its place, wherever that is; and slots that there are
 * not, or that have no place, are refused with the place named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/http/template.h"

#define ALL (~0u)

static const char hostile[] = "a/../b?c=d&e#f%00\"'\\;--{{password}}<\xc3\xa9";

static json_t *
values_of(const char *name)
{
	return (json_pack("{s:s, s:s, s:i, s:{s:s, s:s, s:[s,s], s:{s:s}}}", "name", name,
	    "password", "Aa1-secret", "ttl", 60, "role", "privilege", "READ", "empty", "", "scopes",
	    "one", "two", "item", "x", "y"));
}

static char *
filled(const char *text, enum http_place place, const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *values = values_of(name), *template = json_string(text);
	char *result = NULL;

	if (http_template_check(template, place, ALL, "here", &err) != 0 ||
	    http_template_fill(template, place, values, "here", &result, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	json_decref(template);
	json_decref(values);
	return (result);
}

static void
assert_filled(const char *text, enum http_place place, const char *name, const char *expected)
{
	char *result = filled(text, place, name);

	assert_string_equal(result, expected);
	free(result);
}

static void
assert_not_filled(const json_t *template, enum http_place place, const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *values = values_of(name);
	char *result = NULL;

	assert_int_equal(
	    http_template_fill(template, place, values, "here", &result, &err), LEASED_EINVAL);
	assert_null(result);
	assert_non_null(strstr(err.text, "here"));
	if (strchr(name, '|') == NULL)
		assert_null(strstr(err.text, name)); /* it may be a secret */
	json_decref(values);
}

static void
assert_refused(json_t *template, enum http_place place, unsigned known, const char *reason)
{
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(http_template_check(template, place, known, "here", &err), LEASED_EINVAL);
	if (strstr(err.text, reason) == NULL || strstr(err.text, "here") == NULL)
		fail_msg("refused with: %s", err.text);
	json_decref(template);
}

static void
a_value_is_escaped_by_its_place(void **state)
{
	const char *percent = "x/a%2F..%2Fb%3Fc%3Dd%26e%23f%2500%22%27%5C%3B--%7B%7Bpassword%7D%7D%"
			      "3C%C3%A9";

	(void)state;
	assert_filled("x/{{name}}", HTTP_PATH, hostile, percent);
	assert_filled("x {{name}}", HTTP_QUERY, "a b&c=d", "x%20a%20b%26c%3Dd");
	assert_filled("{{ name }}={{name}}", HTTP_FORM, "+%", "%2B%25%3D%2B%25");
	assert_filled("Bearer {{name}}", HTTP_HEADER, "a\"b", "Bearer a\"b");
	assert_filled("{{name}}", HTTP_JSON, hostile, hostile);
	assert_filled("a {b} }} {", HTTP_JSON, "x", "a {b} }} {");
	assert_filled("in {{ttl}} s", HTTP_JSON, "x", "in 60 s");
	assert_filled("{{role.privilege|READ|WRITE}}", HTTP_PLAIN, "x", "READ");
}

static void
what_a_header_cannot_hold_is_refused(void **state)
{
	static const char *const values[] = {
	    "a\r\nX-Evil: 1", "a\nb", "a\rb", "a\tb", "\x01", "\x7f"};
	json_t *template = json_string("{{name}}");

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_not_filled(template, HTTP_HEADER, values[i]);
		assert_not_filled(template, HTTP_LOGIN_NAME, values[i]);
		assert_not_filled(template, HTTP_LOGIN_WORD, values[i]);
	}
	assert_not_filled(template, HTTP_LOGIN_NAME, "user:other");
	json_decref(template);
}

static void
json_is_filled_within_strings_only(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *body = json_pack("{s:s, s:[s, i], s:s, s:s}", "n", "{{name}}", "list", "<{{name}}>",
	    7, "ttl", "{{ttl:number}}", "scopes", "{{role.scopes:json}}");
	json_t *values = values_of("\",\"admin\":true,\"x\":\""), *result = NULL;

	(void)state;
	assert_int_equal(http_template_check_json(body, ALL, "here", &err), 0);
	assert_int_equal(http_template_fill_json(body, values, "here", &result, &err), 0);
	assert_int_equal(json_object_size(result), 4);
	assert_string_equal(
	    json_string_value(json_object_get(result, "n")), "\",\"admin\":true,\"x\":\"");
	assert_int_equal(json_integer_value(json_object_get(result, "ttl")), 60);
	assert_int_equal(json_array_size(json_object_get(result, "scopes")), 2);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(result, "list"), 1)), 7);
	json_decref(body);
	json_decref(result);
	body = json_pack("{s:s}", "{{name}}", "x");
	assert_int_equal(http_template_check_json(body, ALL, "here", &err), LEASED_EINVAL);
	json_decref(body);
	body = json_string("{{name:number}}");
	assert_int_equal(
	    http_template_fill_json(body, values, "here", &result, &err), LEASED_EINVAL);
	json_decref(body);
	json_decref(values);
}

static json_t *
statement(const char *text)
{
	return (json_pack("{s:s}", "influxql", text));
}

static void
assert_statement(const char *text, const char *name, const char *expected)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *template = statement(text), *values = values_of(name);
	char *result = NULL;

	if (http_template_check(template, HTTP_FORM, ALL, "here", &err) != 0 ||
	    http_template_fill(template, HTTP_FORM, values, "here", &result, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(result, expected);
	free(result);
	json_decref(template);
	json_decref(values);
}

static void
influxql_is_quoted_and_then_escaped_for_its_place(void **state)
{
	static const char *const controls[] = {"a\nb", "a\rb", "a\tb", "\x01"};
	json_t *template = statement("DROP USER \"{{name}}\"");

	(void)state;
	assert_statement("DROP USER \"{{name}}\"", "x\"; DROP USER \"root",
	    "DROP%20USER%20%22x%5C%22%3B%20DROP%20USER%20%5C%22root%22");
	assert_statement("P '{{name}}'", "x' --\\", "P%20%27x%5C%27%20--%5C%5C%27");
	assert_statement("GRANT {{role.privilege|READ|ALL}} ON \"a\\\"b\" TO '{{name}}'", "x",
	    "GRANT%20READ%20ON%20%22a%5C%22b%22%20TO%20%27x%27");
	for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
		assert_not_filled(template, HTTP_FORM, controls[i]);
	json_decref(template);
}

static void
influxql_that_hides_a_slot_is_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
	    {"DROP USER {{name}}", "outside of quotes"},
	    {"DROP USER \"a\" {{name}}", "outside of quotes"},
	    {"DROP USER \"a\\\" {{name}}", "quote is not closed"},
	    {"DROP USER \"{{name}}", "quote is not closed"},
	    {"SELECT 1 -- \"{{name}}\"", "outside of quotes"},
	    {"SELECT /* \"{{name}}\" */ 1", "outside of quotes"},
	    {"SELECT =~ /\"{{name}}\"/", "outside of quotes"},
	    {"DROP USER \"{{name}}\"; DROP USER \"root\"", "outside of quotes"},
	    {"X '\\{{name}}'", "backslash stands before a slot"},
	    {"X \"{{ttl:number}}\"", "types are for JSON"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(statement(cases[i].text), HTTP_FORM, ALL, cases[i].reason);
	assert_refused(statement("\"{{name}}\""), HTTP_PATH, ALL, "must be a text");
	assert_refused(statement("'{{password}}'"), HTTP_QUERY, ALL, "is a secret");
}

static void
what_is_no_slot_or_has_no_value_here_is_refused(void **state)
{
	static const struct {
		const char *text, *reason;
		enum http_place place;
		unsigned known;
	} cases[] = {
	    {"{{nmae}}", "there is no slot", HTTP_JSON, ALL},
	    {"{{}}", "is no slot", HTTP_JSON, ALL},
	    {"{{name", "is no slot", HTTP_JSON, ALL},
	    {"{{name}", "is no slot", HTTP_JSON, ALL},
	    {"{{{name}}}", "is no slot", HTTP_JSON, ALL},
	    {"{{name.x}}", "there is no slot", HTTP_JSON, ALL},
	    {"{{connection}}", "there is no slot", HTTP_JSON, ALL},
	    {"{{connection.base_url}}", "there is no slot", HTTP_JSON, ALL},
	    {"{{role..x}}", "is no slot", HTTP_JSON, ALL},
	    {"{{.role}}", "is no slot", HTTP_JSON, ALL},
	    {"{{name|}}", "is no slot", HTTP_JSON, ALL},
	    {"{{name:text}}", "the types are", HTTP_JSON, ALL},
	    {"x{{ttl:number}}", "must be a whole string", HTTP_JSON, ALL},
	    {"{{ttl:number}}", "must be a whole string", HTTP_HEADER, ALL},
	    {"{{password}}", "has no value in this request", HTTP_JSON, HTTP_KNOWS_NAME},
	    {"{{values.x}}", "has no value in this request", HTTP_JSON, HTTP_KNOWS_NAME},
	    {"/x/{{password}}", "is a secret", HTTP_PATH, ALL},
	    {"{{connection.token}}", "is a secret", HTTP_QUERY, ALL},
	    {"{{login.token}}", "is a secret", HTTP_PATH, ALL},
	    {"{{name}}", "nobody knows how to escape", HTTP_PLAIN, ALL},
	    {"/a?b", "cannot stand in a path", HTTP_PATH, ALL},
	    {"/a b", "cannot stand in a path", HTTP_PATH, ALL},
	    {"a\r\nb", "control character", HTTP_HEADER, ALL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(
		    json_string(cases[i].text), cases[i].place, cases[i].known, cases[i].reason);
	assert_refused(json_integer(7), HTTP_HEADER, ALL, "must be a text");
}

static void
a_value_that_is_none_of_the_choices_is_refused(void **state)
{
	static const char *const texts[] = {"{{name|READ|WRITE}}", "{{role.nowhere}}",
	    "{{role.scopes}}", "{{role.item}}", "{{name|read}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *template = json_string(texts[i]);

		assert_not_filled(template, HTTP_PLAIN, "READ|WRITE");
		json_decref(template);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_is_escaped_by_its_place),
	    cmocka_unit_test(what_a_header_cannot_hold_is_refused),
	    cmocka_unit_test(json_is_filled_within_strings_only),
	    cmocka_unit_test(influxql_is_quoted_and_then_escaped_for_its_place),
	    cmocka_unit_test(influxql_that_hides_a_slot_is_refused),
	    cmocka_unit_test(what_is_no_slot_or_has_no_value_here_is_refused),
	    cmocka_unit_test(a_value_that_is_none_of_the_choices_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
