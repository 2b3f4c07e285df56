/*
 * Signatures that are sent to a worker before it has answered the one before: each gets its own
 * answer, and a worker that dies or lies costs those that it had been sent.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fixture.h"

#define CALLS 8

static struct outcomes outs[CALLS];

static int
setup(void **state)
{
	int r = fix_setup(state);

	((struct fix *)*state)->ahead = 4;
	memset(outs, 0, sizeof(outs));
	return (r);
}

static int
teardown(void **state)
{
	for (unsigned i = 0; i < CALLS; i++)
		json_decref(outs[i].result);
	return (fix_teardown(state));
}

static struct plugin_call *
sign(struct fix *fix, unsigned n)
{
	char params[64];

	(void)snprintf(params, sizeof(params), "{\"key\":\"%u\",\"claims\":{}}", n);
	return (fix_call(fix, PLUGIN_OP_SIGN, params, &outs[n]));
}

static void
open_and_sign(struct fix *fix, const char *mode, unsigned count)
{
	fix_open_program(fix, "evil", mode, fix->gate);
	for (unsigned n = 0; n < count; n++)
		assert_non_null(sign(fix, n));
	for (unsigned n = 0; n < count; n++)
		fix_until(fix, &outs[n].count, 1);
	fix_run_ms(fix, 20);
	for (unsigned n = 0; n < count; n++)
		assert_int_equal(outs[n].count, 1);
}

static void
check_signed(unsigned n)
{
	char token[16];

	(void)snprintf(token, sizeof(token), "%u.a.b", n);
	assert_int_equal(outs[n].code, 0);
	assert_string_equal(json_string_value(json_object_get(outs[n].result, "token")), token);
}

static void
a_worker_is_sent_the_next_before_it_has_answered_the_first(void **state)
{
	open_and_sign(*state, "ahead", 8);
	for (unsigned n = 0; n < 8; n++) {
		check_signed(n);
		assert_int_equal(outs[n].order, n + 1);
	}
}

static void
answers_in_another_order_are_nobodys(void **state)
{
	struct fix *fix = *state;

	open_and_sign(fix, "ahead_swapped", 4);
	for (unsigned n = 0; n < 4; n++) {
		assert_int_equal(outs[n].code, LEASED_ECRASHED);
		assert_non_null(strstr(outs[n].text, "nobody waits for"));
	}
	assert_int_equal(fix->gone, 1);
}

static void
a_worker_that_dies_costs_what_it_was_sent_and_the_next_has_the_rest(void **state)
{
	struct fix *fix = *state;

	open_and_sign(fix, "ahead_crash", 8);
	/* Its death may be heard of before its last answers. */
	for (unsigned n = 0; n < 2; n++)
		if (outs[n].code != LEASED_ECRASHED)
			check_signed(n);
	for (unsigned n = 2; n < 4; n++)
		assert_int_equal(outs[n].code, LEASED_ECRASHED);
	check_signed(7);
	assert_int_equal(fix->gone, 1);
}

static void
a_session_for_a_signature_breaks_the_protocol(void **state)
{
	struct fix *fix = *state;

	open_and_sign(fix, "ahead_session", 4);
	assert_int_equal(outs[0].code, LEASED_ECRASHED);
	assert_non_null(strstr(outs[0].text, "a session for a signature"));
}

static void
canceling_one_ends_all_that_its_worker_was_sent(void **state)
{
	struct fix *fix = *state;
	struct plugin_call *call;

	fix_open_program(fix, "evil", "ahead", fix->gate);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	(void)sign(fix, 0);
	call = sign(fix, 1);
	(void)sign(fix, 2);
	fix_run_ms(fix, 50);
	plugin_call_cancel(call);
	fix_until(fix, &outs[0].count, 1);
	fix_until(fix, &outs[2].count, 1);
	assert_int_equal(outs[0].code, LEASED_ECRASHED);
	assert_int_equal(outs[2].code, LEASED_ECRASHED);
	assert_int_equal(fix->gone, 1);
	assert_int_equal(outs[1].count, 0);
}

static void
signatures_without_an_end_leave_other_calls_their_turn(void **state)
{
	struct fix *fix = *state;

	fix_open_program(fix, "evil", "good", fix->gate);
	for (unsigned n = 0; n < CALLS; n++)
		(void)sign(fix, n);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	for (unsigned n = 0; n < CALLS; n++)
		fix_until(fix, &outs[n].count, 1);
	fix_until(fix, &fix->other.count, 1);
	assert_true(fix->other.order < CALLS);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_worker_is_sent_the_next_before_it_has_answered_the_first),
	    TEST(answers_in_another_order_are_nobodys),
	    TEST(a_worker_that_dies_costs_what_it_was_sent_and_the_next_has_the_rest),
	    TEST(a_session_for_a_signature_breaks_the_protocol),
	    TEST(canceling_one_ends_all_that_its_worker_was_sent),
	    TEST(signatures_without_an_end_leave_other_calls_their_turn),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
