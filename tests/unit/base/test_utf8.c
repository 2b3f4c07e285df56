/*
 * Texts for people: cut where a character ends, with a mark, and valid whatever came in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <leased/error.h>

#include "base/utf8.h"

/* "e" with an accent, the euro, a face: of two, three and four bytes. */
static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82"};
#define EACH(i) for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++)

/* before times an 'a', then count times a character. */
static void
fill(char *text, size_t before, const char *character, size_t count)
{
	memset(text, 'a', before);
	text += before;
	for (; count > 0; count--, text += strlen(character))
		memcpy(text, character, strlen(character));
	*text = '\0';
}

static void
a_short_text_is_left_alone(void **state)
{
	const char *text = "caf\xc3\xa9";

	(void)state;
	assert_ptr_equal(UTF8_SHORT(text, 5), text);
	assert_string_equal(UTF8_SHORT(NULL, 5), "");
}

static void
a_long_text_is_cut_in_its_middle_between_characters(void **state)
{
	char text[4096];

	(void)state;
	EACH(i)
	for (size_t before = 0; before < 5; before++)
		for (size_t max = 0; max < 700; max++) {
			struct utf8_short room;
			const char *cut;

			fill(text, before, characters[i], 900);
			cut = utf8_shorten(text, max, &room);
			assert_true(strlen(cut) <= (max > 4 ? max : 4));
			assert_true(utf8_is_valid(cut, strlen(cut)));
			assert_non_null(strstr(cut, "[..]"));
		}
	assert_string_equal(UTF8_SHORT("0123456789abcdef", 10), "0123[..]ef");
}

static void
an_error_is_valid_text_wherever_it_was_cut(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char text[2048];

	(void)state;
	EACH(i)
	for (size_t before = 0; before < 520; before++) {
		fill(text, before, characters[i], 200);
		(void)leased_err_set(&err, LEASED_EINVAL, "%s", text);
		assert_true(utf8_is_valid(err.text, strlen(err.text)));
		(void)leased_err_set(&err, LEASED_EINVAL, "%.200s!", text);
		assert_true(utf8_is_valid(err.text, strlen(err.text)));
		(void)leased_err_prefix(&err, "%s", text);
		assert_true(utf8_is_valid(err.text, strlen(err.text)));
		if (strlen(text) >= sizeof(err.text))
			assert_non_null(strstr(err.text, " [cut]"));
	}
}

static void
what_is_no_character_becomes_a_question_mark(void **state)
{
	char text[] = "a\xff\xc3(\xe2\x82 \xc3\xa9";

	(void)state;
	utf8_mend(text);
	assert_string_equal(text, "a?\?(?\? \xc3\xa9");
}

static void
what_a_terminal_may_not_be_shown_becomes_question_marks(void **state)
{
	char text[] = "a\x1b[2J\xff \xc3\xa9\xe2\x80\xae\n";

	(void)state;
	utf8_mend_shown(text);
	assert_string_equal(text, "a?[2J? \xc3\xa9?\?\?\?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_short_text_is_left_alone),
	    cmocka_unit_test(a_long_text_is_cut_in_its_middle_between_characters),
	    cmocka_unit_test(an_error_is_valid_text_wherever_it_was_cut),
	    cmocka_unit_test(what_is_no_character_becomes_a_question_mark),
	    cmocka_unit_test(what_a_terminal_may_not_be_shown_becomes_question_marks),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
