/*
 * What looks like a JWT, in texts that must not hold one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/jws.h"

#define HEAD "eyJhbGciOiJFUzI1NiJ9"
#define TOKEN HEAD ".eyJqdGkiOiJqLTEifQ.c2lnbmF0dXJlIG9mIGl0"

static void
one_is_found_in_whatever_holds_it(void **state)
{
	(void)state;
	assert_true(jws_is_in(TOKEN));
	assert_true(jws_is_in("identity/oidc/token/" TOKEN "/x"));
	assert_true(jws_is_in("eyJ.eyJ." TOKEN));
	assert_true(jws_is_in("a.b.c " HEAD "." TOKEN));
}

static void
other_names_with_dots_are_none(void **state)
{
	static const char *const others[] = {"", "eyJ", HEAD, HEAD ".", HEAD ".eyJqdGkiOiJqLTEifQ",
	    HEAD ".eyJqdGkiOiJqLTEifQ.", HEAD ".a.b", "database/creds/a-role.of_mine.with-dots",
	    "eyJ.eyJ.eyJ"};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(jws_is_in(others[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_is_found_in_whatever_holds_it),
	    cmocka_unit_test(other_names_with_dots_are_none),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
