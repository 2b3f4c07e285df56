/*
 * Requirements of base/jdec: limits before building, strictness, weak typing by table, durations,
 * the nearest name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/jdec.h"
#include "support/failalloc.h"

static int
parse(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *value = NULL;
	int r = jdec_parse(text, strlen(text), NULL, &value, &err);

	assert_true((r == 0) == (value != NULL));
	assert_true(r == 0 || err.text[0] != '\0');
	json_decref(value);
	return (r);
}

static void
good_documents_parse(void **state)
{
	static const char *const good[] = {"{}", "[]", "null", "1", "\"x\"",
	    " {\"a\": [1, 2.5, -3, true, null]} ", "{\"a\":9223372036854775807}",
	    "{\"a\":\"\\u00e9\\ud83d\\ude00\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(parse(good[i]), 0);
}

static void
bad_documents_are_refused(void **state)
{
	static const char *const bad[] = {"", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}",
	    "{'a':1}", "01", "+1", ".5", "NaN", "Infinity", "1e400", "{\"a\":9223372036854775808}",
	    "{\"a\":1}x", "{\"a\":1}{}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
	    "\"\\ud800\"", "\"\\u0000\"", "\"\xc0\x80\"", "\"\xff\"", "\"a\nb\"", "\"\\x41\"",
	    "// c\n{}", "\xef\xbb\xbf{}", "]", "nul", "\"", "\"\\", "\"\\u12"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i]), LEASED_EINVAL);
}

static void
a_raw_nul_is_refused(void **state)
{
	json_t *value;

	(void)state;
	assert_int_equal(jdec_parse("{}\0", 3, NULL, &value, NULL), LEASED_EINVAL);
	assert_int_equal(jdec_parse("\"a\0b\"", 5, NULL, &value, NULL), LEASED_EINVAL);
	assert_int_equal(jdec_parse("null\0", 5, NULL, &value, NULL), LEASED_EINVAL);
}

static void
depth_is_limited_exactly(void **state)
{
	char text[64];

	(void)state;
	for (size_t depth = 15; depth <= 17; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\0';
		assert_int_equal(parse(text), depth <= 16 ? 0 : LEASED_ETOOBIG);
	}
}

/* A list of count numbers: count + 1 tokens. */
static char *
numbers(size_t count)
{
	char *text = calloc(1, 2 * count + 3), *at = text;

	assert_non_null(text);
	*at++ = '[';
	for (size_t i = 0; i < count; i++) {
		*at++ = '1';
		*at++ = i + 1 < count ? ',' : ']';
	}
	return (text);
}

static void
tokens_are_limited_exactly(void **state)
{
	char *fits = numbers(9999), *over = numbers(10000);

	(void)state;
	assert_int_equal(parse(fits), 0);
	assert_int_equal(parse(over), LEASED_ETOOBIG);
	free(fits);
	free(over);
}

static void
strings_are_limited_and_the_limit_is_the_callers(void **state)
{
	const struct jdec_limits small = {.depth = 2, .tokens = 4, .string_len = 3};
	json_t *value;

	(void)state;
	assert_int_equal(jdec_parse("\"abc\"", 5, &small, &value, NULL), 0);
	json_decref(value);
	assert_int_equal(jdec_parse("\"abcd\"", 6, &small, &value, NULL), LEASED_ETOOBIG);
	assert_int_equal(jdec_parse("{\"abcd\":1}", 10, &small, &value, NULL), LEASED_ETOOBIG);
	assert_int_equal(jdec_parse("\"\\n\\n\\n\"", 8, &small, &value, NULL), 0);
	json_decref(value);
	assert_int_equal(jdec_parse("[[[", 3, &small, &value, NULL), LEASED_ETOOBIG);
}

static void
a_number_of_a_megabyte_is_refused(void **state)
{
	char *text = malloc(1 << 20);
	json_t *value;

	(void)state;
	assert_non_null(text);
	memset(text, '1', 1 << 20);
	assert_int_equal(jdec_parse(text, 1 << 20, NULL, &value, NULL), LEASED_ETOOBIG);
	free(text);
}

/* KiB; TSan keeps several bytes beside each that is touched. */
#ifdef __SANITIZE_THREAD__
#define BOMB_RSS_MAX 16384
#else
#define BOMB_RSS_MAX 4096
#endif

/* Early: what lies behind the first MiB cannot be read at all. */
static void
a_bomb_of_32_mib_is_refused_early_and_without_memory(void **state)
{
	static const char *const bombs[] = {"[],", "{\"\":[", "1,", "\"\"", "[", "\"\\u0041\","};
	size_t size = 32u << 20, readable = 1u << 20;
	char *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rusage before, after;
	json_t *value;

	(void)state;
	assert_true(text != MAP_FAILED);
	assert_int_equal(mprotect(text + readable, size - readable, PROT_NONE), 0);
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		size_t unit = strlen(bombs[i]);

		text[0] = '[';
		for (size_t at = 1; at < readable; at++)
			text[at] = bombs[i][(at - 1) % unit];
		(void)getrusage(RUSAGE_SELF, &before);
		/* Two strings in a row are no JSON, whatever follows. */
		assert_int_equal(jdec_parse(text, size, NULL, &value, NULL),
		    strcmp(bombs[i], "\"\"") == 0 ? LEASED_EINVAL : LEASED_ETOOBIG);
		(void)getrusage(RUSAGE_SELF, &after);
		assert_true(after.ru_maxrss - before.ru_maxrss <= BOMB_RSS_MAX);
	}
	assert_int_equal(munmap(text, size), 0);
}

static void
a_mistake_is_located_and_the_input_is_not_quoted(void **state)
{
	static const char text[] = "{\n  \"password\": hunter2\n}";
	struct leased_err err = LEASED_ERR_INIT;
	json_t *value;

	(void)state;
	assert_int_equal(jdec_parse(text, strlen(text), NULL, &value, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "line 2, column "));
	assert_null(strstr(err.text, "hunter2"));
}

struct body {
	char *name;
	struct leased_secret *password;
	bool flag, flag_seen;
	int64_t count, ttl;
	struct jdec_list statements, policies;
	json_t *meta, *any;
};

static const struct jdec_field body_fields[] = {
    JDEC_FIELD(struct body, name, JDEC_STRING),
    JDEC_FIELD(struct body, password, JDEC_SECRET),
    JDEC_FIELD_SEEN(struct body, flag, flag_seen, JDEC_BOOL),
    JDEC_FIELD(struct body, count, JDEC_INT),
    JDEC_FIELD(struct body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct body, statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct body, policies, JDEC_COMMA_LIST),
    JDEC_FIELD(struct body, meta, JDEC_STRING_MAP),
    JDEC_FIELD(struct body, any, JDEC_JSON),
    {"old", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};

/* Decodes text; body must be cleared by the caller. */
static int
decode(const char *text, struct body *body, json_t **ret_unknown, struct leased_err *err)
{
	json_t *object;
	int r;

	memset(body, 0, sizeof(*body));
	assert_int_equal(jdec_parse(text, strlen(text), NULL, &object, err), 0);
	r = jdec_decode(object, body_fields, body, ret_unknown, err);
	json_decref(object);
	return (r);
}

static void
every_kind_is_decoded(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *unknown = NULL;
	struct body body;

	(void)state;
	assert_int_equal(
	    decode("{\"name\":\"n\",\"password\":\"p\",\"flag\":true,\"count\":7,\"ttl\":\"1h\","
		   "\"statements\":[\"a\",\"b\"],"
		   "\"policies\":[\"x\"],\"meta\":{\"k\":\"v\"},\"any\":[1],\"old\":{}}",
		&body, &unknown, &err),
	    0);
	assert_null(unknown);
	assert_string_equal(body.name, "n");
	assert_string_equal(leased_secret_reveal(body.password), "p");
	assert_true(body.flag);
	assert_true(body.flag_seen);
	assert_int_equal(body.count, 7);
	assert_int_equal(body.ttl, 3600);
	assert_int_equal(body.statements.count, 2);
	assert_string_equal(body.statements.items[1], "b");
	assert_string_equal(body.policies.items[0], "x");
	assert_string_equal(json_string_value(json_object_get(body.meta, "k")), "v");
	assert_int_equal(json_array_size(body.any), 1);
	jdec_clear(body_fields, &body);
	assert_null(body.name);
	assert_null(body.any);
	jdec_clear(body_fields, &body);
}

static void
weak_forms_are_taken_as_the_api_has_them(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct body body;

	(void)state;
	assert_int_equal(decode("{\"name\":1.5,\"password\":42,\"flag\":\"\",\"count\":\"12\","
				"\"ttl\":90.9,\"statements\":\"a; b, c\","
				"\"policies\":\" a ,b,,c \",\"meta\":[\"k=v=w\"]}",
			     &body, NULL, &err),
	    0);
	assert_string_equal(body.name, "1.5");
	assert_string_equal(leased_secret_reveal(body.password), "42");
	assert_false(body.flag);
	assert_true(body.flag_seen);
	assert_int_equal(body.count, 12);
	assert_int_equal(body.ttl, 90);
	assert_int_equal(body.statements.count, 1);
	assert_string_equal(body.statements.items[0], "a; b, c");
	assert_int_equal(body.policies.count, 3);
	assert_string_equal(body.policies.items[2], "c");
	assert_string_equal(json_string_value(json_object_get(body.meta, "k")), "v=w");
	jdec_clear(body_fields, &body);
	assert_int_equal(decode("{\"flag\":\"T\",\"count\":\"\",\"statements\":\"\",\"policies\":"
				"\"\",\"meta\":\"\"}",
			     &body, NULL, &err),
	    0);
	assert_true(body.flag);
	assert_int_equal(body.count, 0);
	assert_int_equal(body.statements.count, 0);
	assert_int_equal(body.policies.count, 0);
	assert_int_equal(json_object_size(body.meta), 0);
	jdec_clear(body_fields, &body);
}

static void
null_is_absent(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct body body;

	(void)state;
	assert_int_equal(
	    decode("{\"name\":null,\"flag\":null,\"ttl\":null,\"meta\":null}", &body, NULL, &err),
	    0);
	assert_null(body.name);
	assert_false(body.flag_seen);
	assert_null(body.meta);
	jdec_clear(body_fields, &body);
	assert_int_equal(jdec_decode(NULL, body_fields, &body, NULL, &err), 0);
}

static void
mistyped_fields_are_refused_by_name_without_their_value(void **state)
{
	static const char *const bad[] = {"{\"name\":[]}", "{\"password\":{}}",
	    "{\"flag\":\"yes\"}", "{\"count\":\"1x\"}", "{\"count\":1.5}", "{\"count\":\" 1\"}",
	    "{\"ttl\":-5}", "{\"ttl\":-0.5}", "{\"ttl\":\"soon\"}", "{\"ttl\":true}",
	    "{\"ttl\":1e300}", "{\"ttl\":0.4}", "{\"statements\":{}}", "{\"policies\":[[]]}",
	    "{\"meta\":[\"novalue\"]}", "{\"meta\":{\"k\":{}}}", "{\"meta\":7}",
	    "{\"count\":\"99999999999999999999\"}"};
	struct leased_err err = LEASED_ERR_INIT;
	struct body body;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(decode(bad[i], &body, NULL, &err), LEASED_EINVAL);
		assert_int_equal(strncmp(err.text, "Field validation failed: ", 25), 0);
		jdec_clear(body_fields, &body);
	}
	assert_int_equal(decode("{\"flag\":\"hunter2\"}", &body, NULL, &err), LEASED_EINVAL);
	assert_null(strstr(err.text, "hunter2"));
	assert_non_null(strstr(err.text, "flag"));
	jdec_clear(body_fields, &body);
}

static void
unknown_fields_are_told_sorted(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *unknown = NULL;
	struct body body;

	(void)state;
	assert_int_equal(decode("{\"zz\":1,\"name\":\"n\",\"aa\":2}", &body, &unknown, &err), 0);
	assert_int_equal(json_array_size(unknown), 2);
	assert_string_equal(json_string_value(json_array_get(unknown, 0)), "aa");
	assert_string_equal(json_string_value(json_array_get(unknown, 1)), "zz");
	json_decref(unknown);
	jdec_clear(body_fields, &body);
}

static void
durations_are_read_as_the_contract_says(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: refused */
	} cases[] = {{"", 0}, {"0", 0}, {"90", 90}, {"+5", 5}, {"1s", 1}, {"1h30m", 5400},
	    {"1.5h", 5400}, {"100ms", -1}, {"0.4s", -1}, {"1ns", -1}, {"0s", 0}, {"0ms", 0},
	    {"1500ms", 1}, {"3d", 259200}, {"1h0m0.9s", 3600}, {".5m", 30}, {"1.s", 1}, {"1us", -1},
	    {"1\xc2\xb5s", -1}, {"2000000\xc2\xb5s", 2}, {"2000000000ns", 2}, {"-0", 0}, {"-5", -1},
	    {"-1h", -1}, {"-1ms", -1}, {"5x", -1}, {"7d12h", -1}, {"1.5d", -1}, {"1.5", -1},
	    {"h", -1}, {".", -1}, {".s", -1}, {"1h ", -1}, {" 1h", -1}, {"1 h", -1}, {"-", -1},
	    {"+", -1}, {"0x10", -1}, {"1e3", -1}, {"1H", -1}, {"d", -1}, {"1mm", -1}, {"1h-5m", -1},
	    {"9223372036", 9223372036}, {"9223372037", -1}, {"99999999999999999999", -1},
	    {"999999999h", -1}, {"106751d", 9223286400}, {"106752d", -1},
	    {"-99999999999999999999", -1}, {"system", -1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		int64_t seconds = -7;
		int r = jdec_duration_s(cases[i].text, &seconds, &err);

		if ((r == 0 ? seconds : -1) != cases[i].seconds)
			fail_msg("'%s': %d, %lld", cases[i].text, r, (long long)seconds);
		assert_true(r == 0 || seconds == -7);
	}
}

static void
a_negative_duration_says_so(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	int64_t seconds;

	(void)state;
	assert_int_equal(jdec_duration_s("-5", &seconds, &err), LEASED_EINVAL);
	assert_string_equal(err.text, "cannot provide negative value '-5'");
}

static void
the_nearest_name_is_named_only_when_near(void **state)
{
	static const char *const known[] = {"default_ttl", "max_ttl", "policies", "ttl"};

	(void)state;
	assert_string_equal(jdec_nearest("max_tll", known, 4), "max_ttl");
	assert_string_equal(jdec_nearest("Policies", known, 4), "policies");
	assert_string_equal(jdec_nearest("tlt", known, 4), "ttl");
	assert_string_equal(jdec_nearest("defualt_ttl", known, 4), "default_ttl");
	assert_null(jdec_nearest("zzz", known, 4));
	assert_null(jdec_nearest("", known, 4));
	assert_null(jdec_nearest("tt", known, 0));
	assert_string_equal(jdec_nearest_field("polices", body_fields), "policies");
	assert_null(jdec_nearest_field(
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    body_fields));
}

static int
parse_long_string(void *arg)
{
	static const char text[] =
	    "[\"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl\"]";
	json_t *value = NULL;
	int r = jdec_parse(text, sizeof(text) - 1, NULL, &value, arg);

	if (r == 0) {
		assert_int_equal(json_string_length(json_array_get(value, 0)), 58);
		json_decref(value);
	}
	return (r);
}

/* jansson's own answer to that is bad syntax, or a string with characters left out. */
static void
without_memory_nothing_else_is_parsed_than_what_stands_there(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_true(failalloc_each(parse_long_string, &err) > 3);
}

static int
parse_and_decode(void *arg)
{
	static const char text[] =
	    "{\"name\":\"n\",\"password\":\"p\",\"statements\":[\"a\"],\"policies\":\"x,y\","
	    "\"meta\":[\"k=v\"],\"any\":{\"a\":[1.5]},\"what\":1}";
	struct leased_err err = LEASED_ERR_INIT;
	json_t *object = NULL, *unknown = NULL;
	struct body body = {0};
	int r = jdec_parse(text, strlen(text), NULL, &object, &err);

	(void)arg;
	if (r == 0)
		r = jdec_decode(object, body_fields, &body, &unknown, &err);
	jdec_clear(body_fields, &body);
	json_decref(unknown);
	json_decref(object);
	return (r);
}

static void
running_out_of_memory_is_told_at_every_place(void **state)
{
	(void)state;
	assert_true(failalloc_each(parse_and_decode, NULL) > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_documents_parse),
	    cmocka_unit_test(bad_documents_are_refused),
	    cmocka_unit_test(a_raw_nul_is_refused),
	    cmocka_unit_test(depth_is_limited_exactly),
	    cmocka_unit_test(tokens_are_limited_exactly),
	    cmocka_unit_test(strings_are_limited_and_the_limit_is_the_callers),
	    cmocka_unit_test(a_number_of_a_megabyte_is_refused),
	    cmocka_unit_test(a_bomb_of_32_mib_is_refused_early_and_without_memory),
	    cmocka_unit_test(a_mistake_is_located_and_the_input_is_not_quoted),
	    cmocka_unit_test(every_kind_is_decoded),
	    cmocka_unit_test(weak_forms_are_taken_as_the_api_has_them),
	    cmocka_unit_test(null_is_absent),
	    cmocka_unit_test(mistyped_fields_are_refused_by_name_without_their_value),
	    cmocka_unit_test(unknown_fields_are_told_sorted),
	    cmocka_unit_test(durations_are_read_as_the_contract_says),
	    cmocka_unit_test(a_negative_duration_says_so),
	    cmocka_unit_test(the_nearest_name_is_named_only_when_near),
	    cmocka_unit_test(without_memory_nothing_else_is_parsed_than_what_stands_there),
	    cmocka_unit_test(running_out_of_memory_is_told_at_every_place),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("jdec", tests, NULL, NULL));
}
