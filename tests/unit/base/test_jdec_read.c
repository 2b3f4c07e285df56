/*
 * Reading JSON eight bytes at a time: nothing depends on where in a text a byte stands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/jdec.h"

/* Ours against jansson's strictest mode. The text has its own end of memory, for ASan. */
static void
same_as_jansson(const char *text, size_t len)
{
	char *copy = malloc(len);
	json_t *ours = NULL, *theirs;
	struct leased_err err;
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = jdec_parse(copy, len, NULL, &ours, &err);
	theirs = json_loadb(copy, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	assert_int_equal(r == 0, theirs != NULL);
	if (r == 0)
		assert_true(json_equal(ours, theirs));
	json_decref(ours);
	json_decref(theirs);
	free(copy);
}

static void
what_is_in_a_string_counts_wherever_it_stands(void **state)
{
	static const char *const specials[] = {"\\n", "\\\"", "\\\\", "\"", "\\u00e9",
	    "\\ud83d\\ude00", "\\ud83d", "\xc3\xa9", "\xc3", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
	    "\xed\xa0\x80", "\x01", "\x1f", "\x7f", "\\x", "\\"};
	char text[128];

	(void)state;
	for (size_t s = 0; s < sizeof(specials) / sizeof(specials[0]); s++) {
		for (size_t before = 0; before < 20; before++) {
			for (size_t after = 0; after < 20; after++) {
				int len = snprintf(text, sizeof(text), "[\"%.*s%s%.*s\"]",
				    (int)before, "abcdefghijklmnopqrstuvwxyz", specials[s],
				    (int)after, "abcdefghijklmnopqrstuvwxyz");

				same_as_jansson(text, (size_t)len);
				same_as_jansson(text, (size_t)len - 1);
				same_as_jansson(text, (size_t)len - 2);
			}
		}
	}
}

static void
numbers_are_what_they_say(void **state)
{
	static const char *const numbers[] = {"0", "-0", "-", "9223372036854775807",
	    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "00", "1.",
	    "1.5", "-1.5e3", "1e", "1e+", "1E-2", "1e999", "1e-999", "0.1", "1x",
	    "18446744073709551616"};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		same_as_jansson(numbers[i], strlen(numbers[i]));
}

static void
blanks_end_where_they_end(void **state)
{
	char text[64];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = i == len ? 'x' : " \t\r\n"[i * 7 % 4];
		assert_int_equal(jdec_blanks(text, sizeof(text)), len);
		assert_int_equal(jdec_blanks(text, len), len);
	}
}

static void
a_mistake_is_found_in_its_line(void **state)
{
	char text[64], want[64];
	struct leased_err err;
	json_t *value;

	(void)state;
	for (unsigned lines = 0; lines < 12; lines++) {
		for (unsigned column = 1; column < 12; column++) {
			memset(text, '\n', lines);
			memset(text + lines, ' ', column);
			text[lines + column - 1] = '?';
			assert_int_equal(
			    jdec_parse(text, lines + column, NULL, &value, &err), LEASED_EINVAL);
			(void)snprintf(
			    want, sizeof(want), "line %u, column %u:", lines + 1, column);
			assert_non_null(strstr(err.text, want));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_in_a_string_counts_wherever_it_stands),
	    cmocka_unit_test(numbers_are_what_they_say),
	    cmocka_unit_test(blanks_end_where_they_end),
	    cmocka_unit_test(a_mistake_is_found_in_its_line),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
