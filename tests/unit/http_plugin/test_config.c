/* The http plugin's configuration: what is refused is refused with its place, and what is taken
 * becomes requests that are just what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "plugins/http/config.h"
#include "support/failalloc.h"

static json_t *
json_of(const char *text)
{
	json_error_t where;
	json_t *value = json_loads(text, JSON_DECODE_ANY, &where);

	if (value == NULL)
		fail_msg("%s: %s", text, where.text);
	return (value);
}

static json_t *
document_of(const char *more)
{
	json_t *given = json_of(
	    "{\"base_url\":\"https://a\",\"token\":\"t\",\"username\":\"u\",\"password\":\"p\","
	    "\"headers\":{\"Authorization\":\"Bearer {{connection.token}}\"},"
	    "\"create\":{\"path\":\"/users\",\"json\":{\"n\":\"{{name}}\"}},"
	    "\"revoke\":{\"method\":\"DELETE\",\"path\":\"/users/{{name}}\"}}");
	json_t *rest = json_of(more), *value;
	const char *key;

	json_object_foreach(rest, key, value)
	{
		if (json_is_null(value))
			(void)json_object_del(given, key);
		else
			(void)json_object_set(given, key, value);
	}
	json_decref(rest);
	return (given);
}

static const struct {
	const char *more, *reason;
} wrong[] = {
    {"{\"base_url\":null}", "base_url is missing"},
    {"{\"base_url\":7}", "base_url: must be a text"},
    {"{\"create\":null}", "create is missing"},
    {"{\"create\":[]}", "create: must be"},
    {"{\"create\":7}", "create: must be"},
    {"{\"create\":[{}]}", "create[0].path"},
    {"{\"create\":{\"path\":\"users\"}}", "create[0].path: must be a path"},
    {"{\"create\":{\"path\":\"/a\",\"pth\":1}}", "create[0]: \"pth\" is not known"},
    {"{\"create\":[{\"path\":\"/a\"},{\"path\":\"/a\",\"method\":\"get\"}]}", "create[1].method"},
    {"{\"create\":{\"path\":\"/a\",\"json\":{},\"form\":{}}}", "give one of json"},
    {"{\"create\":{\"path\":\"/a\",\"json\":{\"a\":[{\"b\":\"{{nmae}}\"}]}}}",
	"create[0].json.a[0].b: there is no slot"},
    {"{\"create\":{\"path\":\"/a\",\"values\":{\"x\":\"y\"}}}", "JSON pointer"},
    {"{\"create\":{\"path\":\"/a\",\"json\":\"{{item}}\"}}", "needs for_each"},
    {"{\"create\":{\"path\":\"/a\",\"for_each\":\"values.x\"}}", "for_each: must be"},
    {"{\"create\":{\"path\":\"/a\",\"items\":\"/x\"}}", "items: must be"},
    {"{\"create\":{\"path\":\"/a\",\"headers\":{\"Host\":\"b\"}}}", "set by leased"},
    {"{\"create\":{\"path\":\"/a\",\"headers\":{\"X\\n\":\"b\"}}}", "no name of a header"},
    {"{\"create\":{\"path\":\"/a\",\"content_type\":\"b\"}}", "goes with text"},
    {"{\"create\":{\"path\":\"/a\",\"basic_auth\":{\"username\":\"x\"}}}", "basic_auth.password"},
    {"{\"headers\":{\"Authorization\":\"Bearer abc\"}}", "kept sealed"},
    {"{\"headers\":{\"X-Api-Key\":\"abc\"}}", "kept sealed"},
    {"{\"basic_auth\":{\"username\":\"u\",\"password\":\"p\"}}", "kept sealed"},
    {"{\"headers\":{\"X\":\"{{name}}\"}}", "has no value in this request"},
    {"{\"revoke\":null}", "revoke is missing"},
    {"{\"can_revoke\":false}", "can_revoke is false, and there is revoke"},
    {"{\"can_revoke\":false,\"revoke\":null}", "tells the backend no end"},
    {"{\"can_revoke\":\"no\"}", "can_revoke: must be true or false"},
    {"{\"revoke\":{\"path\":\"/a/{{handle}}\"}}", "revoke uses {{handle}}"},
    {"{\"revoke\":{\"path\":\"/a\",\"headers\":{\"X\":\"{{kept}}\"}}}", "revoke uses {{kept}}"},
    {"{\"revoke\":{\"path\":\"/a\",\"json\":\"{{password}}\"}}", "has no value"},
    {"{\"login\":[{\"path\":\"/a\"},{\"path\":\"/b\"}]}", "login: must be one request"},
    {"{\"login\":{\"path\":\"/a\",\"json\":\"{{login.token}}\"}}", "has no value"},
    {"{\"identity\":{\"path\":\"/a\",\"values\":{\"name\":\"/x\"}}}", "is not known"},
    {"{\"answers\":[{\"means\":\"gone\"}]}", "answers[0]: give status"},
    {"{\"answers\":[{\"status\":404,\"means\":\"lost\"}]}", "answers[0].means"},
    {"{\"answers\":[{\"status\":4,\"means\":\"ok\"}]}", "answers[0].status"},
    {"{\"answers\":[{\"status\":400,\"is\":\"x\",\"means\":\"ok\"}]}", "need at"},
    {"{\"answers\":[{\"at\":\"x\",\"means\":\"ok\"}]}", "answers[0].at"},
    {"{\"error_text\":\"x\"}", "error_text"},
    {"{\"credential\":{\"token\":\"{{values.x}}{{nope}}\"}}", "credential.token"},
    {"{\"credential\":{\"Token\":\"x\"}}", "credential.Token"},
};

static void
what_is_wrong_is_refused_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		struct http_config *config = NULL;
		json_t *document = document_of(wrong[i].more);

		if (http_config_new(document, &config, &err) != LEASED_EINVAL || config != NULL)
			fail_msg("taken: %s", wrong[i].more);
		if (strstr(err.text, wrong[i].reason) == NULL)
			fail_msg("%s was refused with: %s", wrong[i].more, err.text);
		json_decref(document);
	}
}

static struct http_config *
config_of(const char *more)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct http_config *config = NULL;
	json_t *document = document_of(more);

	if (http_config_new(document, &config, &err) != 0)
		fail_msg("%s was refused: %s", more, err.text);
	json_decref(document);
	return (config);
}

static void
what_a_configuration_can_do_follows_from_its_requests(void **state)
{
	struct http_config *config = config_of("{}");

	(void)state;
	assert_true(config->can_revoke);
	assert_false(config->has_password);
	assert_false(config->has_end);
	http_config_free(config);
	config =
	    config_of("{\"can_revoke\":false,\"revoke\":null,\"create\":{\"path\":\"/a\",\"json\":"
		      "{\"p\":\"{{password}}\",\"t\":\"{{ttl:number}}\"}}}");
	assert_false(config->can_revoke);
	assert_true(config->has_password);
	assert_true(config->has_end);
	http_config_free(config);
}

static const json_t *
first(const struct http_config *config, enum http_kind kind)
{
	return (json_array_get(http_config_requests(config, kind), 0));
}

static bool
has_header(const struct http_rendered *rendered, const char *line)
{
	for (size_t i = 0; i < rendered->header_count; i++)
		if (strcmp(rendered->headers[i], line) == 0)
			return (true);
	return (false);
}

static void
a_request_is_what_was_written(void **state)
{
	struct http_config *config =
	    config_of("{\"basic_auth\":{\"username\":\"{{connection.username}}\",\"password\":"
		      "\"{{connection.password}}\"},\"check\":{\"path\":\"/me\"},"
		      "\"create\":{\"path\":\"/v/%2F/{{name}}/x\",\"query\":{\"a b\":\"{{ttl}}\"},"
		      "\"form\":{\"q\":{\"influxql\":\"X '{{password}}'\"},\"n\":\"1&2\"}}}");
	json_t *values =
	    json_of("{\"name\":\"l/..\",\"password\":\"p'w\",\"ttl\":60,\"connection\":"
		    "{\"username\":\"u\",\"password\":\"s\",\"token\":\"t\"}}");
	struct leased_err err = LEASED_ERR_INIT;
	struct http_rendered to;

	(void)state;
	assert_int_equal(http_render(config, HTTP_CREATE, first(config, HTTP_CREATE), values,
			     "create[0]", &to, &err),
	    0);
	assert_string_equal(to.request.method, "POST");
	assert_string_equal(to.request.target, "/v/%2F/l%2F../x?a%20b=60");
	assert_string_equal(to.request.body, "q=X%20%27p%5C%27w%27&n=1%262");
	assert_string_equal(to.request.username, "u");
	assert_string_equal(to.request.password, "s");
	assert_true(has_header(&to, "Authorization: Bearer t"));
	assert_true(has_header(&to, "Content-Type: application/x-www-form-urlencoded"));
	assert_true(to.request.changes);
	http_rendered_clear(&to);
	/* As an account: nothing of the connection's own login. */
	assert_int_equal(http_render(config, HTTP_CHECK, first(config, HTTP_CHECK), values,
			     "check[0]", &to, &err),
	    0);
	assert_int_equal(to.header_count, 0);
	assert_null(to.request.username);
	assert_string_equal(to.request.method, "GET");
	assert_false(to.request.changes);
	http_rendered_clear(&to);
	json_decref(values);
	http_config_free(config);
}

static void
a_name_that_would_lead_to_another_path_is_refused(void **state)
{
	static const char *const names[] = {".", "..", ""};
	struct http_config *config = config_of("{}");

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		json_t *values =
		    json_pack("{s:s, s:{s:s}}", "name", names[i], "connection", "token", "t");
		struct http_rendered to;

		assert_int_equal(http_render(config, HTTP_REVOKE, first(config, HTTP_REVOKE),
				     values, "revoke[0]", &to, &err),
		    LEASED_EINVAL);
		assert_non_null(strstr(err.text, "revoke[0].path"));
		json_decref(values);
	}
	http_config_free(config);
}

struct parts {
	json_t *document, *values;
};

static int
attempt(void *arg)
{
	const struct parts *parts = arg;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_config *config = NULL;
	struct http_rendered to;
	int r;

	if ((r = http_config_new(parts->document, &config, &err)) != 0)
		return (r);
	r = http_render(
	    config, HTTP_CREATE, first(config, HTTP_CREATE), parts->values, "create[0]", &to, &err);
	if (r == 0)
		http_rendered_clear(&to);
	http_config_free(config);
	return (r);
}

static void
every_allocation_may_fail(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct parts parts;

	(void)state;
	assert_int_equal(leased_secret_setup(&err), 0);
	parts.document = document_of("{\"login\":{\"path\":\"/l\",\"json\":{\"p\":\"x\"}}}");
	parts.values = json_of("{\"name\":\"l-x\",\"connection\":{\"token\":\"t\"}}");
	assert_true(failalloc_each(attempt, &parts) > 5);
	json_decref(parts.document);
	json_decref(parts.values);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
	    cmocka_unit_test(what_a_configuration_can_do_follows_from_its_requests),
	    cmocka_unit_test(a_request_is_what_was_written),
	    cmocka_unit_test(a_name_that_would_lead_to_another_path_is_refused),
	    cmocka_unit_test(every_allocation_may_fail),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
