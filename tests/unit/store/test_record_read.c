/*
 * Records are read back as jansson would read them; what is no record of ours is left to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "store/row.h"

static json_t *
read_text(const char *text)
{
	return (store_record_read((const uint8_t *)text, strlen(text)));
}

static void
what_the_writer_wrote_is_read_as_it_was(void **state)
{
	static const char *const records[] = {"[]", "{}", "[1,-1,0,-0,9223372036854775807]",
	    "[1,\"\",\"a\",\"\xc3\xbc\",true,false,null,{\"a\":{\"b\":[1,2]},\"c\":\"\"}]",
	    "[\"a\\\"b\\\\c\\u0000d\\u0001\",2]", "{\"a\":1,\"a\":2}"};

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		json_t *want = json_loads(records[i], JSON_ALLOW_NUL, NULL);
		json_t *got = read_text(records[i]);

		assert_non_null(want);
		assert_non_null(got);
		assert_true(json_equal(want, got));
		json_decref(want);
		json_decref(got);
	}
}

static void
what_it_does_not_know_is_left_to_jansson(void **state)
{
	static const char *const texts[] = {"", "[", "[1", "[1,", "[1,]", "[1]x", "[ 1]", "[1.5]",
	    "[1e3]", "[01]", "[-]", "[9223372036854775808]", "[10000000000000000000]", "[\"a]",
	    "[\"\\", "[\"\\x\"]", "[\"\xff\"]", "[\"\t\"]", "{\"a\"}", "{\"a\":}",
	    "{\"a\\u0062\":1}", "{1:2}", "[tru]", "[,]", "nul"};
	char deep[200];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_null(read_text(texts[i]));
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	assert_null(read_text(deep));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_the_writer_wrote_is_read_as_it_was),
	    cmocka_unit_test(what_it_does_not_know_is_left_to_jansson),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
