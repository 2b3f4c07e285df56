/*
 * Requirements of base/path: one canonical spelling, everything else refused; prefixes on '/'
 * boundaries; names; queries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/path.h"

static const struct {
	const char *raw;
	int code;
	const char *path;
} cases[] = {
    {"/", 0, "/"},
    {"/v1/sys/health", 0, "/v1/sys/health"},
    {"/v1/sys/", 0, "/v1/sys/"},
    {"/v1/a%20b", 0, "/v1/a b"},
    {"/v1/a+b", 0, "/v1/a+b"},
    {"/v1/a%2Bb", 0, "/v1/a+b"},
    {"/v1/%252e", 0, "/v1/%2e"},
    {"/v1/a%2fb", 0, "/v1/a/b"},
    {"/v1/%c3%a9", 0, "/v1/\xc3\xa9"},
    {"/v1/...", 0, "/v1/..."},
    {"/v1/.a", 0, "/v1/.a"},
    {"/v1/a..b", 0, "/v1/a..b"},
    {"/v1//a", LEASED_EEXIST, "/v1/a"},
    {"//", LEASED_EEXIST, "/"},
    {"/v1/a%2f/b//", LEASED_EEXIST, "/v1/a/b/"},
    {"/v1%2f%2fa", LEASED_EEXIST, "/v1/a"},
    {"", LEASED_EINVAL, NULL},
    {"v1", LEASED_EINVAL, NULL},
    {"%2fv1", LEASED_EINVAL, NULL},
    {"/v1/a/../sys/health", LEASED_EINVAL, NULL},
    {"/v1/a/%2e%2e/sys/health", LEASED_EINVAL, NULL},
    {"/v1/a/%2E./sys/health", LEASED_EINVAL, NULL},
    {"/v1/a%2f..%2fsys/health", LEASED_EINVAL, NULL},
    {"/v1//../a", LEASED_EINVAL, NULL},
    {"/..", LEASED_EINVAL, NULL},
    {"/.", LEASED_EINVAL, NULL},
    {"/v1/./a", LEASED_EINVAL, NULL},
    {"/v1/a/.", LEASED_EINVAL, NULL},
    {"/v1/sys/health%00x", LEASED_EINVAL, NULL},
    {"/v1/sys/health%zz", LEASED_EINVAL, NULL},
    {"/v1/sys/health%", LEASED_EINVAL, NULL},
    {"/v1/sys/health%2", LEASED_EINVAL, NULL},
    {"/v1/sys/health%0d%0aX:y", LEASED_EINVAL, NULL},
    {"/v1/sys/h\xe9"
     "alth",
	LEASED_EINVAL, NULL},
    {"/v1/\xc3\xa9", LEASED_EINVAL, NULL},
    {"/v1/secret/%ff", LEASED_EINVAL, NULL},
    {"/v1/%c0%af", LEASED_EINVAL, NULL},
    {"/v1/%ed%a0%80", LEASED_EINVAL, NULL},
    {"/v1/%c2%85", LEASED_EINVAL, NULL},
    {"/v1/%e2%80%ae", LEASED_EINVAL, NULL},
    {"/v1/%7f", LEASED_EINVAL, NULL},
    {"/v1/a b", LEASED_EINVAL, NULL},
    {"/v1/a#b", LEASED_EINVAL, NULL},
    {"/v1/\x01", LEASED_EINVAL, NULL},
};

static void
paths_are_decoded_once_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		char path[64];
		int r = path_decode(cases[i].raw, strlen(cases[i].raw), path, sizeof(path), &err);

		if (r != cases[i].code ||
		    (cases[i].path != NULL && strcmp(path, cases[i].path) != 0))
			fail_msg("'%s': %d '%s'", cases[i].raw, r, path);
	}
}

static void
a_raw_nul_and_a_path_too_long_are_refused(void **state)
{
	char path[8];

	(void)state;
	assert_int_equal(path_decode("/a\0b", 4, path, sizeof(path), NULL), LEASED_EINVAL);
	assert_int_equal(path_decode("/abcdef", 7, path, sizeof(path), NULL), 0);
	assert_int_equal(path_decode("/abcdefg", 8, path, sizeof(path), NULL), LEASED_EINVAL);
	assert_int_equal(path_decode("/%61%62", 7, path, sizeof(path), NULL), 0);
}

/* However a path is spelled: it is refused, or it is the canonical one, which decodes to itself. */
static void
ten_thousand_spellings_are_canonical_or_refused(void **state)
{
	static const char *const parts[] = {"/", "//", "%2f", "%2F", "a", "%61", ".", "%2e", "%2E",
	    "..", "%", "%25", "\xc3\xa9", "%c3%a9", "+", "%00", "b%20"};
	unsigned seed = 42;
	size_t accepted = 0;

	(void)state;
	for (int n = 0; n < 10000; n++) {
		char raw[128] = "/", path[128], encoded[384] = "", again[128];

		for (int i = 0; i < 6; i++) {
			seed = seed * 1103515245u + 12345u;
			(void)strlcat(raw, parts[(seed >> 16) % (sizeof(parts) / sizeof(parts[0]))],
			    sizeof(raw));
		}
		if (path_decode(raw, strlen(raw), path, sizeof(path), NULL) == LEASED_EINVAL)
			continue;
		accepted++;
		assert_null(strstr(path, "//"));
		assert_null(strstr(path, "/../"));
		assert_null(strstr(path, "/./"));
		for (const char *c = path; *c != '\0'; c++) {
			if (*c == '/' || (*c >= 'a' && *c <= 'z'))
				snprintf(encoded + strlen(encoded), 2, "%c", *c);
			else
				snprintf(encoded + strlen(encoded), 4, "%%%02x", (unsigned char)*c);
		}
		assert_int_equal(
		    path_decode(encoded, strlen(encoded), again, sizeof(again), NULL), 0);
		assert_string_equal(path, again);
	}
	assert_true(accepted > 100);
}

static void
prefixes_hold_on_slash_boundaries(void **state)
{
	(void)state;
	assert_true(path_has_prefix("database/creds", "database"));
	assert_true(path_has_prefix("database/creds", "database/"));
	assert_true(path_has_prefix("database", "database/"));
	assert_true(path_has_prefix("database/", "database"));
	assert_false(path_has_prefix("database2/creds", "database"));
	assert_false(path_has_prefix("data", "database"));
	assert_true(path_has_prefix("anything", ""));
	assert_true(path_has_prefix("/anything", "/"));
	assert_true(path_has_prefix("database/creds/app", "database/creds"));
	assert_false(path_has_prefix("database/creds/app", "database/creds/ap"));
}

static void
names_follow_the_pattern_of_the_contract(void **state)
{
	static const char *const good[] = {"a", "A_9", "a-b.c", "_", "shop-rw", "a..b"};
	static const char *const bad[] = {
	    "", "-a", "a-", ".a", "a.", "a/b", "a b", "a@b", "\xc3\xa9", "a%", "."};
	char longest[257];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(path_is_name(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(path_is_name(bad[i], strlen(bad[i])));
	memset(longest, 'a', sizeof(longest));
	assert_true(path_is_name(longest, 255));
	assert_false(path_is_name(longest, 256));
	assert_false(path_is_name("a\0b", 3));
}

static void
query_parameters_are_found_and_decoded(void **state)
{
	char value[16];
	bool bad;

	(void)state;
	assert_true(path_query_get("list=true", "list", value, sizeof(value), &bad));
	assert_string_equal(value, "true");
	assert_true(path_query_get("a=1&list=x%20y+z&list=2", "list", value, sizeof(value), &bad));
	assert_string_equal(value, "x y z");
	assert_true(path_query_get("&&l%69st=1", "list", value, sizeof(value), &bad));
	assert_true(path_query_get("list", "list", value, sizeof(value), &bad));
	assert_string_equal(value, "");
	assert_true(path_query_get("list=a=b", "list", value, sizeof(value), &bad));
	assert_string_equal(value, "a=b");
	assert_false(path_query_get("", "list", value, sizeof(value), &bad));
	assert_false(bad);
	assert_false(path_query_get("listing=1", "list", value, sizeof(value), &bad));
	assert_false(bad);
}

static void
broken_query_parameters_are_told(void **state)
{
	static const char *const queries[] = {"list=%zz", "list=%", "list=%00", "list=%0a",
	    "list=%ff", "list=12345678901234567", "%zz=1&list=1"};
	char value[16];
	bool bad;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		assert_false(path_query_get(queries[i], "list", value, sizeof(value), &bad));
		assert_true(bad);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_decoded_once_or_refused),
	    cmocka_unit_test(a_raw_nul_and_a_path_too_long_are_refused),
	    cmocka_unit_test(ten_thousand_spellings_are_canonical_or_refused),
	    cmocka_unit_test(prefixes_hold_on_slash_boundaries),
	    cmocka_unit_test(names_follow_the_pattern_of_the_contract),
	    cmocka_unit_test(query_parameters_are_found_and_decoded),
	    cmocka_unit_test(broken_query_parameters_are_told),
	};

	return (cmocka_run_group_tests_name("path", tests, NULL, NULL));
}
