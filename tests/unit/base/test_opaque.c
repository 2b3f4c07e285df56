/*
 * The text of opaque tokens, by what a scanner for secrets is told of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/opaque.h"

#define RANDOM "Ky9Pf34qY6Nb3wWD25RQ4F5Z"
#define TOKEN "lsd_00000001" RANDOM "15uxzS" /* made by another program, with zlib's CRC-32 */

static void
a_token_is_what_others_compute(void **state)
{
	char text[OPAQUE_SIZE];
	struct opaque opaque;

	(void)state;
	assert_int_equal(opaque_format("lsd", 1, RANDOM, text), 0);
	assert_string_equal(text, TOKEN);
	assert_true(opaque_parse(text, &opaque));
	assert_int_equal(opaque.row, 1);
	assert_int_equal(opaque.prefix_len, 3);
	assert_memory_equal(opaque.random, RANDOM, OPAQUE_RANDOM_LEN);
}

static void
no_character_of_it_may_change(void **state)
{
	char text[OPAQUE_SIZE + 1] = TOKEN;
	struct opaque opaque;

	(void)state;
	for (size_t i = 0; i < strlen(TOKEN); i++) {
		text[i] = TOKEN[i] == 'a' ? 'b' : 'a';
		assert_false(opaque_parse(text, &opaque));
		text[i] = TOKEN[i];
	}
	text[strlen(TOKEN) - 1] = '\0';
	assert_false(opaque_parse(text, &opaque));
	(void)strlcpy(text, TOKEN "0", sizeof(text));
	assert_false(opaque_parse(text, &opaque));
	assert_false(opaque_parse("", &opaque));
	assert_false(opaque_parse("_", &opaque));
	assert_false(opaque_parse("lsd_", &opaque));
}

static void
a_prefix_is_short_and_plain(void **state)
{
	static const char *const bad[] = {"", "a", "Ab", "1ab", "a_b", "a-b", "a b",
	    "abcdefghijklmnopq",
	    "\xc3\xa4"
	    "b"};
	char text[OPAQUE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(opaque_prefix_is_good(bad[i]));
		assert_int_equal(opaque_format(bad[i], 1, RANDOM, text), LEASED_EINVAL);
	}
	assert_true(opaque_prefix_is_good("ab"));
	assert_int_equal(
	    opaque_format("abcdefghijklmno1", INT64_C(218340105584895), RANDOM, text), 0);
	assert_int_equal(strlen(text), OPAQUE_SIZE - 1);
	assert_int_equal(
	    opaque_format("ab", INT64_C(218340105584896), RANDOM, text), LEASED_EINVAL);
	assert_int_equal(opaque_format("ab", 0, RANDOM, text), LEASED_EINVAL);
	assert_int_equal(opaque_format("ab", 1, "short", text), LEASED_EINVAL);
}

static void
one_is_found_in_whatever_holds_it(void **state)
{
	(void)state;
	assert_true(opaque_is_in(TOKEN));
	assert_true(opaque_is_in("token/revoke/" TOKEN "/x"));
	assert_true(opaque_is_in("a_b_" TOKEN));
	assert_false(opaque_is_in("token/roles/a_b"));
	assert_false(opaque_is_in("_00000001" RANDOM "15uxzS"));
	assert_false(opaque_is_in(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_is_what_others_compute),
	    cmocka_unit_test(no_character_of_it_may_change),
	    cmocka_unit_test(a_prefix_is_short_and_plain),
	    cmocka_unit_test(one_is_found_in_whatever_holds_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
