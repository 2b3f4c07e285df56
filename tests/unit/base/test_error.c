/*
 * Errors: texts, cuts, prefixes, and names on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <leased/error.h>

static void
set_fills_and_returns_the_code(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(leased_err_set(&err, LEASED_EINVAL, "no %s", "name"), LEASED_EINVAL);
	assert_int_equal(err.code, LEASED_EINVAL);
	assert_string_equal(err.text, "no name");
	assert_int_equal(leased_err_set(NULL, LEASED_EIO, "nobody reads this"), LEASED_EIO);
}

static void
set_may_quote_its_own_text(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	leased_err_set(&err, LEASED_EIO, "inner");
	leased_err_set(&err, LEASED_EIO, "outer: %s", err.text);
	assert_string_equal(err.text, "outer: inner");
}

static void
text_that_does_not_fit_is_marked_as_cut(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char long_text[1000];

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	leased_err_set(&err, LEASED_EIO, "%s", long_text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_string_equal(err.text + sizeof(err.text) - 7, " [cut]");

	leased_err_set(&err, LEASED_EIO, "%.*s", (int)sizeof(err.text) - 1, long_text);
	assert_string_equal(err.text + sizeof(err.text) - 7, "xxxxxx");

	leased_err_prefix(&err, "while testing");
	assert_int_equal(strncmp(err.text, "while testing: xxx", 18), 0);
	assert_string_equal(err.text + sizeof(err.text) - 7, " [cut]");
}

static void
cut_keeps_characters_whole(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char long_text[1001] = "";
	size_t shift, i, end;

	(void)state;
	for (shift = 0; shift < 2; shift++) {
		memset(long_text, 'x', shift);
		for (i = shift; i + 2 < sizeof(long_text); i += 2)
			memcpy(long_text + i, "\xc3\xa9", 3);
		leased_err_set(&err, LEASED_EIO, "%s", long_text);
		end = strlen(err.text) - strlen(" [cut]");
		assert_string_equal(err.text + end, " [cut]");
		assert_int_equal((unsigned char)err.text[end - 1], 0xa9);
	}
}

static void
prefix_keeps_the_code(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	leased_err_set(&err, LEASED_EREFUSED, "permission denied");
	assert_int_equal(leased_err_prefix(&err, "role %s", "shop"), LEASED_EREFUSED);
	assert_string_equal(err.text, "role shop: permission denied");
	(void)leased_err_prefix(NULL, "fine");
}

static void
every_code_has_a_name_of_its_own(void **state)
{
	int code;

	(void)state;
	for (code = LEASED_OK; code >= LEASED_EBUG; code--) {
		assert_int_equal(leased_code_from_name(leased_code_name(code)), code);
		assert_true(code == LEASED_EBUG || strcmp(leased_code_name(code), "bug") != 0);
	}
	assert_string_equal(leased_code_name(1), "bug");
	assert_string_equal(leased_code_name(LEASED_EBUG - 1), "bug");
	assert_int_equal(leased_code_from_name("nonsense"), LEASED_EPROTO);
	assert_int_equal(leased_code_from_name(NULL), LEASED_EPROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(set_fills_and_returns_the_code),
	    cmocka_unit_test(set_may_quote_its_own_text),
	    cmocka_unit_test(text_that_does_not_fit_is_marked_as_cut),
	    cmocka_unit_test(cut_keeps_characters_whole),
	    cmocka_unit_test(prefix_keeps_the_code),
	    cmocka_unit_test(every_code_has_a_name_of_its_own),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
