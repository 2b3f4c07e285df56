/*
 * Forms and queries.
 */
#include "api/parse.h"
#include "unit/api/edge.h"

static void
check(const char *text, bool query, const char *wanted)
{
	json_t *object = NULL, *expected = json_loads(wanted, 0, NULL);
	struct leased_err err;

	assert_int_equal(api_form_decode(text, strlen(text), query, &object, &err), 0);
	assert_true(json_equal(object, expected));
	json_decref(object);
	json_decref(expected);
}

static void
fields_are_decoded_once(void **state)
{
	(void)state;
	check("", false, "{}");
	check("a=b", false, "{\"a\":\"b\"}");
	check("a=b&c=d%20e+f", false, "{\"a\":\"b\",\"c\":\"d e f\"}");
	check("a", false, "{\"a\":\"\"}");
	check("a=&=b&&", false, "{\"a\":\"\"}");
	check("a=b=c", false, "{\"a\":\"b=c\"}");
	check("%61=%2541", false, "{\"a\":\"%41\"}");
	check("\xc3\xa4=%C3%B6", false, "{\"\xc3\xa4\":\"\xc3\xb6\"}");
}

static void
repeats_are_joined_or_listed(void **state)
{
	(void)state;
	check("a=1&a=2&a=3", false, "{\"a\":\"1,2,3\"}");
	check("a=1&b=x&a=2&a=3", true, "{\"a\":[\"1\",\"2\",\"3\"],\"b\":\"x\"}");
}

static void
what_is_no_text_is_refused(void **state)
{
	static const char *const bad[] = {
	    "a=%", "a=%4", "a=%zz", "%=a", "a=%00", "a=%ff", "a=\xff", "%ff=a", "a=%c3"};
	struct leased_err err;
	json_t *object = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    api_form_decode(bad[i], strlen(bad[i]), false, &object, &err), LEASED_EINVAL);
		assert_null(object);
	}
}

static void
too_many_fields_are_refused(void **state)
{
	char text[2500];
	struct leased_err err;
	json_t *object = NULL;

	(void)state;
	memset(text, '&', sizeof(text));
	assert_int_equal(api_form_decode(text, sizeof(text), false, &object, &err), LEASED_EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_are_decoded_once),
	    cmocka_unit_test(repeats_are_joined_or_listed),
	    cmocka_unit_test(what_is_no_text_is_refused),
	    cmocka_unit_test(too_many_fields_are_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
