/* Answers: where values stand in them (RFC 6901), what they mean, and what of them is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/http/config.h"

static json_t *
json_of(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return (value);
}

static void
pointers_are_those_of_rfc_6901(void **state)
{
	static const struct {
		const char *pointer, *found; /* as JSON; NULL: nothing */
	} cases[] = {{"/foo/0", "\"bar\""}, {"/foo/1", "\"baz\""}, {"/foo/2", NULL},
	    {"/foo/-", NULL}, {"/foo/01", NULL}, {"/foo/+1", NULL}, {"/foo/1x", NULL},
	    {"/foo/", NULL}, {"/", "0"}, {"/a~1b", "1"}, {"/m~0n", "8"}, {"/c%d", "2"}, {"/ ", "7"},
	    {"/foo/0/x", NULL}, {"/nowhere", NULL}, {"/foo/99999999999999999999", NULL}};
	json_t *document =
	    json_of("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\" \":7,\"m~n\":8}");
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_ptr_equal(http_pointer_get(document, ""), document);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *found = http_pointer_get(document, cases[i].pointer);
		json_t *expected = cases[i].found != NULL ? json_of(cases[i].found) : NULL;

		assert_int_equal(http_pointer_check(cases[i].pointer, "here", &err), 0);
		if ((found == NULL) != (expected == NULL) ||
		    (found != NULL && json_equal(found, expected) == 0))
			fail_msg("%s", cases[i].pointer);
		json_decref(expected);
	}
	assert_int_equal(http_pointer_check("foo", "here", &err), LEASED_EINVAL);
	assert_int_equal(http_pointer_check("/a~2", "here", &err), LEASED_EINVAL);
	assert_int_equal(http_pointer_check("/a~", "here", &err), LEASED_EINVAL);
	json_decref(document);
}

static struct http_config *
config_of(const char *more)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct http_config *config = NULL;
	json_t *given = json_of("{\"base_url\":\"https://a\",\"create\":{\"path\":\"/c\",\"json\":"
				"{\"n\":\"{{name}}\",\"p\":\"{{password}}\"}},"
				"\"revoke\":{\"path\":\"/r\",\"json\":{\"n\":\"{{name}}\"}}}"),
	       *rest = json_of(more);

	(void)json_object_update(given, rest);
	if (http_config_new(given, &config, &err) != 0)
		fail_msg("refused: %s", err.text);
	json_decref(given);
	json_decref(rest);
	return (config);
}

static void
a_rule_comes_before_the_status_and_a_requests_own_first(void **state)
{
	struct http_config *config = config_of(
	    "{\"answers\":[{\"at\":\"/error\",\"is\":\"no such user\",\"means\":\"gone\"},"
	    "{\"status\":[400,422],\"at\":\"/error\",\"contains\":\"taken\",\"means\":\"exists\"},"
	    "{\"status\":418,\"means\":\"retry\"},{\"at\":\"/code\",\"is\":16,\"means\":\"login\"},"
	    "{\"at\":\"/error\",\"means\":\"fail\"}]}");
	json_t *request =
	    json_of("{\"answers\":[{\"at\":\"/error\",\"is\":\"odd\",\"means\":\"ok\"}]}");
	static const struct {
		long status;
		const char *body;
		enum http_meaning meaning;
	} cases[] = {{200, "{}", HTTP_OK}, {204, NULL, HTTP_OK},
	    {200, "{\"error\":\"no such user\"}", HTTP_GONE},
	    {400, "{\"error\":\"name is taken\"}", HTTP_EXISTS},
	    {500, "{\"error\":\"name is taken\"}", HTTP_FAIL}, {418, "{}", HTTP_RETRY},
	    {500, "{\"code\":16}", HTTP_EXPIRED}, {200, "{\"error\":\"odd\"}", HTTP_OK},
	    {200, "{\"error\":{\"deep\":1}}", HTTP_FAIL}, {404, NULL, HTTP_FAIL},
	    {404, "{}", HTTP_GONE}, {410, NULL, HTTP_FAIL}, {410, "{}", HTTP_GONE},
	    {409, NULL, HTTP_EXISTS}, {401, NULL, HTTP_DENIED}, {403, "[]", HTTP_DENIED},
	    {429, NULL, HTTP_RETRY}, {503, NULL, HTTP_RETRY}, {400, NULL, HTTP_FAIL},
	    {304, NULL, HTTP_FAIL}, {0, NULL, HTTP_FAIL}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *body = cases[i].body != NULL ? json_of(cases[i].body) : NULL;

		if (http_answer_meaning(config, request, cases[i].status, body, false) !=
		    cases[i].meaning)
			fail_msg("%ld %s", cases[i].status, cases[i].body);
		json_decref(body);
	}
	json_decref(request);
	http_config_free(config);
}

static void
a_text_is_shown_from_the_configured_field_only_and_hides_secrets(void **state)
{
	struct http_config *config = config_of("{\"error_text\":\"/error\"}");
	struct http_config *silent = config_of("{}");
	json_t *body =
	    json_of("{\"error\":\"bad token t0p-secret in 'Aa1-pw' \\u0007x k\\u00e9pt!\","
		    "\"debug\":\"Aa1-pw\"}");
	json_t *values =
	    json_of("{\"name\":\"l-x\",\"password\":\"Aa1-pw\",\"kept\":\"k\\u00e9pt!\","
		    "\"connection\":{\"username\":\"token\",\"token\":\"t0p-secret\"},"
		    "\"values\":{\"short\":\"in\"}}");
	char text[100];

	(void)state;
	http_answer_text(config, NULL, body, values, text, sizeof(text));
	assert_string_equal(text, "bad token ********** in '******'  x ******");
	http_answer_text(silent, NULL, body, values, text, sizeof(text));
	assert_string_equal(text, "");
	http_answer_text(config, NULL, NULL, values, text, sizeof(text));
	assert_string_equal(text, "");
	json_decref(body);
	json_decref(values);
	http_config_free(config);
	http_config_free(silent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pointers_are_those_of_rfc_6901),
	    cmocka_unit_test(a_rule_comes_before_the_status_and_a_requests_own_first),
	    cmocka_unit_test(a_text_is_shown_from_the_configured_field_only_and_hides_secrets),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
