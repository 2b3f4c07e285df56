/* What a command of the exec plugin wrote, beside its exit status: a result, an error in its words,
 * or nobody knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "plugins/exec/exec.h"
#include "support/failalloc.h"

static int
read_it(int status, const char *text, json_t **ret_result, struct leased_err *err)
{
	struct exec_output output = EXEC_OUTPUT_INIT;
	json_t *secrets = json_pack("[s,s]", "Aa1-password", "abc");
	int r = LEASED_ENOMEM;

	output.status = status;
	if (secrets != NULL && (text == NULL || exec_output_add(&output, text, strlen(text))))
		r = exec_output_read(&output, secrets, ret_result, err);
	exec_output_clear(&output);
	json_decref(secrets);
	return (r);
}

static void
status_and_words_are_read_together(void **state)
{
	static const struct {
		int status;
		const char *text;
		int code;
		const char *shown;
	} cases[] = {
	    {0, "{}", 0, ""},
	    {0, " {\"handle\": \"x\"}\n", 0, ""},
	    {-1, "{}", 0, ""}, /* a service: nobody tells its status */
	    {1, "{}", LEASED_EREFUSED, "can write no file"},
	    {2, NULL, LEASED_EREFUSED, "status 2"},
	    {0, NULL, LEASED_ECRASHED, "without a JSON object"},
	    {-1, NULL, LEASED_ECRASHED, "without a JSON object"},
	    {0, "[]", LEASED_ECRASHED, "without a JSON object"},
	    {0, "{} {}", LEASED_ECRASHED, "without a JSON object"},
	    {0, "{\"a\":1,\"a\":2}", LEASED_ECRASHED, "without a JSON object"},
	    {0, "{\"error\":\"x\"}", LEASED_ECRASHED, "without a JSON object"},
	    {75, "{}", LEASED_ECRASHED, "does not know"},
	    {0, "{\"error\":{\"code\":\"denied\",\"text\":\"no\"}}", LEASED_EDENIED, "no"},
	    {1, "{\"error\":{\"code\":\"exists\",\"text\":\"x\"}}", LEASED_EEXIST, "x"},
	    {-1, "{\"error\":{\"code\":\"not_found\",\"text\":\"x\"}}", LEASED_ENOENT, "x"},
	    {1, "{\"error\":{\"code\":\"bug\",\"text\":\"x\"}}", LEASED_EREFUSED, "x"},
	    {1, "{\"error\":{\"code\":\"no_memory\",\"text\":\"x\"}}", LEASED_EREFUSED, "x"},
	    {1, "{\"error\":{\"code\":\"outcome_unknown\"}}", LEASED_ECRASHED, "no reason"},
	    {1, "{\"error\":{\"text\":\"a\\u0007Aa1-password abc\"}}", LEASED_EREFUSED,
		"a ************ abc"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		json_t *result = NULL;

		if (read_it(cases[i].status, cases[i].text, &result, &err) != cases[i].code ||
		    strstr(err.text, cases[i].shown) == NULL || (result != NULL) != (err.code == 0))
			fail_msg(
			    "%d %s: %d %s", cases[i].status, cases[i].text, err.code, err.text);
		json_decref(result);
	}
}

/* It may have been in the middle of what it had announced. */
static void
what_was_ended_by_a_signal_is_worth_nothing_whatever_it_said(void **state)
{
	struct exec_output output = EXEC_OUTPUT_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *result = NULL;

	(void)state;
	output.signal = 11;
	assert_true(exec_output_add(&output, "{}", 2));
	assert_int_equal(exec_output_read(&output, NULL, &result, &err), LEASED_ECRASHED);
	assert_non_null(strstr(err.text, "signal 11"));
	exec_output_clear(&output);
}

static void
what_is_over_the_limit_is_cut_and_worth_nothing(void **state)
{
	struct exec_output output = EXEC_OUTPUT_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	char bytes[1000];
	json_t *result = NULL;
	size_t added = 0;

	(void)state;
	memset(bytes, ' ', sizeof(bytes));
	bytes[0] = '{';
	while (exec_output_add(&output, bytes, sizeof(bytes)))
		added += sizeof(bytes);
	assert_true(output.is_cut);
	assert_true(added <= EXEC_OUTPUT_MAX && added + sizeof(bytes) > EXEC_OUTPUT_MAX);
	assert_int_equal(output.len, EXEC_OUTPUT_MAX);
	output.status = 0;
	assert_int_equal(exec_output_read(&output, NULL, &result, &err), LEASED_ECRASHED);
	assert_non_null(strstr(err.text, "64 KiB"));
	exec_output_clear(&output);
}

static int
attempt(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *result = NULL;
	int r = read_it(0, arg, &result, &err);

	json_decref(result);
	return (r);
}

static void
every_allocation_may_fail(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(leased_secret_setup(&err), 0);
	assert_true(
	    failalloc_each(attempt, (char *)"{\"handle\":\"x\",\"values\":{\"a\":\"b\"}}") > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(status_and_words_are_read_together),
	    cmocka_unit_test(what_was_ended_by_a_signal_is_worth_nothing_whatever_it_said),
	    cmocka_unit_test(what_is_over_the_limit_is_cut_and_worth_nothing),
	    cmocka_unit_test(every_allocation_may_fail),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
