/*
 * What jenc writes, jansson reads as the same value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/jenc.h"

static void
a_value_is_read_as_it_was_written(void **state)
{
	json_t *value = json_pack("{s:[f,f,f,f], s:I, s:[b,b,n], s:s, s:{}, s:[]}", "reals", 0.1,
	    3.0, -1e300, 5e-324, "least", (json_int_t)INT64_MIN, "words", 1, 0, "text",
	    "\"\\/\n\x01\xc3\xbc", "object", "array");
	struct jenc json = {0};
	json_t *again;

	(void)state;
	jenc_json(&json, value);
	assert_int_equal(jenc_check(&json, NULL), 0);
	again = json_loadb((const char *)json.bytes, json.len, 0, NULL);
	assert_true(json_equal(value, again));
	json_decref(again);
	json_decref(value);
	jenc_clear(&json);
}

static void
nesting_without_end_is_refused(void **state)
{
	json_t *value = json_array(), *outer;
	struct jenc json = {0};

	(void)state;
	for (int i = 0; i < 100; i++) {
		outer = json_pack("[o]", value);
		value = outer;
	}
	jenc_json(&json, value);
	assert_int_equal(jenc_check(&json, NULL), LEASED_EINVAL);
	json_decref(value);
	jenc_clear(&json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_is_read_as_it_was_written),
	    cmocka_unit_test(nesting_without_end_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
