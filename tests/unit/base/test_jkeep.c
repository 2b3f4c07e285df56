/*
 * A kept value: it comes back whole, from locked memory, and is not lost when memory runs out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/crypto.h>
#include <string.h>

#include "base/jkeep.h"
#include "support/failalloc.h"

static json_t *
example(void)
{
	return (json_pack("{s:s,s:s,s:[i,b,n],s:{s:s}}", "password", "canary-9d", "text",
	    "\xc3\xa9 \"\\ \n", "list", 7, 1, "inner", "key", "value"));
}

static void
what_is_kept_comes_back(void **state)
{
	struct jkeep keep = {0};
	json_t *again, *expected = example();

	(void)state;
	assert_false(jkeep_is_set(&keep));
	assert_null(jkeep_get(&keep));
	jkeep_set(&keep, example());
	assert_true(jkeep_is_set(&keep));
	assert_int_equal(CRYPTO_secure_allocated(keep.text), 1);
	assert_null(keep.plain);
	for (int i = 0; i < 2; i++) {
		assert_non_null(again = jkeep_get(&keep));
		assert_true(json_equal(again, expected));
		json_decref(again);
	}
	jkeep_set(&keep, json_pack("{s:i}", "other", 1));
	assert_non_null(again = jkeep_get(&keep));
	assert_int_equal(json_integer_value(json_object_get(again, "other")), 1);
	json_decref(again);
	jkeep_set(&keep, NULL);
	assert_false(jkeep_is_set(&keep));
	json_decref(expected);
}

static int
keep_and_look(void *arg)
{
	struct jkeep keep = {0};
	json_t *value = example(), *again;
	int r = LEASED_ENOMEM;

	(void)arg;
	if (value == NULL)
		return (r);
	jkeep_set(&keep, value);
	if (!jkeep_is_set(&keep))
		fail_msg("it is lost");
	if ((again = jkeep_get(&keep)) != NULL)
		r = 0;
	if (again != NULL &&
	    strcmp(json_string_value(json_object_get(again, "password")), "canary-9d") != 0)
		fail_msg("it is not whole");
	json_decref(again);
	jkeep_set(&keep, NULL);
	return (r);
}

static void
it_is_whole_or_not_there_when_memory_runs_out(void **state)
{
	(void)state;
	assert_true(failalloc_each(keep_and_look, NULL) > 10);
}

static int
set_up(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	return (leased_secret_setup(&err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_kept_comes_back),
	    cmocka_unit_test(it_is_whole_or_not_there_when_memory_runs_out),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
