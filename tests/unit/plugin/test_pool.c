/*
 * Calls to real workers: they end exactly once, in order, in time, whatever a worker does.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"

static void
a_call_is_answered_by_a_worker_whose_session_is_durable(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "good", 2);
	assert_null(plugin_port_description(fix->port));
	fix_mint(fix, 5000, &fix->out);
	assert_int_equal(fix->out.count, 0);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
	assert_string_equal(json_string_value(json_object_get(fix->out.result, "handle")), "7");
	assert_true(fix->sessions >= 1);
	assert_true(strlen(fix->out.worker) > 2);
	assert_string_equal(fix->port->server, "evil");
	assert_string_equal(
	    json_string_value(json_object_get(plugin_port_description(fix->port), "name")), "evil");
	fix_run_ms(fix, 20);
	assert_int_equal(fix->out.count, 1);
}

static void
what_waits_and_what_runs_is_counted(void **state)
{
	struct fix *fix = *state;
	struct plugin_port_stats stats;

	fix->hold_sessions = true;
	fix_open(fix, "good", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->sessions, 1);
	fix_mint(fix, 5000, &fix->out);
	fix_mint(fix, 5000, &fix->out);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	plugin_port_stats(fix->port, &stats);
	assert_int_equal(stats.workers, 1);
	assert_int_equal(stats.workers_died, 0);
	assert_int_equal(stats.running, 1);
	assert_int_equal(stats.mints_waiting, 3); /* what runs is the open */
	assert_int_equal(stats.ends_waiting, 1);
	assert_int_equal(stats.removals_waiting, 0);
	plugin_session_ack(fix->held, 0);
	fix->hold_sessions = false;
	fix_until(fix, &fix->out.count, 3);
	fix_until(fix, &fix->other.count, 1);
	plugin_port_stats(fix->port, &stats);
	assert_int_equal(stats.running + stats.mints_waiting + stats.ends_waiting, 0);
}

static void
nothing_is_done_before_the_session_is_acknowledged(void **state)
{
	struct fix *fix = *state;

	fix->hold_sessions = true;
	fix_open(fix, "good", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->sessions, 1);
	fix_run_ms(fix, 50);
	assert_int_equal(fix->out.count, 0);
	plugin_session_ack(fix->held, 0);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
}

static void
an_ack_that_comes_after_its_worker_died_is_harmless(void **state)
{
	struct fix *fix = *state;

	fix->hold_sessions = true;
	fix_open(fix, "good", 1);
	fix_until(fix, &fix->sessions, 1);
	plugin_port_close(fix->port);
	fix_until(fix, &fix->gone, 1);
	fix_run_ms(fix, 5);
	fix->port = NULL;
	plugin_session_ack(fix->held, 0);
}

static void
a_refused_session_fails_the_open_and_the_connection_backs_off(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix->refuse_sessions = true;
	fix_open(fix, "good", 1);
	assert_int_equal(plugin_port_ready(fix->port, &err), 0);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EUNAVAIL);
	assert_true(fix->out.not_sent);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
}

/* ECRASHED, its own worker only, told after the reaping; the next call finds a new worker at once.
 */
static void
crashes(struct fix *fix, const char *mode)
{
	struct plugin_port_stats stats;
	unsigned took;

	fix_open(fix, mode, 2);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_ECRASHED);
	assert_false(fix->out.not_sent);
	assert_false(fix->out.answered);
	assert_true(fix->out.gone_before);
	assert_null(strstr(fix->out.text, "canary-password"));
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	took = fix_until(fix, &fix->other.count, 1);
	assert_int_equal(fix->other.code, 0);
	assert_true(took < 1000); /* no back-off for what one call did */
	plugin_port_stats(fix->port, &stats);
	assert_in_range(stats.workers_died, 1, 2);
	assert_in_range(stats.workers, 1, 2);
	assert_string_not_equal(fix->other.worker, fix->out.worker);
	assert_int_equal(fix->recovered, 0);
}

#define CRASH_TEST(name, mode)                                                                     \
	static void name(void **state)                                                             \
	{                                                                                          \
		crashes(*state, mode);                                                             \
	}

CRASH_TEST(a_killed_worker_costs_one_call, "crash")
CRASH_TEST(a_worker_that_exits_costs_one_call, "exit")
CRASH_TEST(a_frame_over_the_limit_kills_that_worker, "huge")
CRASH_TEST(a_frame_of_junk_kills_that_worker, "junk")
CRASH_TEST(a_reply_with_a_wrong_id_kills_that_worker, "wrong_id")
CRASH_TEST(a_reply_to_another_operation_kills_that_worker, "wrong_op")
CRASH_TEST(a_worker_that_closes_its_stream_is_killed, "close")
CRASH_TEST(a_worker_that_floods_with_frames_is_killed, "flood_frames")

static void
a_second_reply_kills_that_worker(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "twice", 2);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->gone, 1);
	assert_int_equal(fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
}

static void
a_reply_that_nobody_asked_for_kills_that_worker(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "unasked", 2);
	fix_until(fix, &fix->gone, 1);
}

static void
a_batch_with_too_few_results_kills_that_worker(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "too_few", 2);
	fix_call(fix, PLUGIN_OP_DISARM,
	    "{\"accounts\":[{\"name\":\"a\",\"role\":{}},{\"name\":\"b\",\"role\":{}}]}",
	    &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_ECRASHED);
}

static void
times_out(struct fix *fix, const char *mode)
{
	unsigned took;

	fix_open(fix, mode, 2);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	fix_mint(fix, 300, &fix->out);
	took = fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_ETIMEDOUT);
	assert_false(fix->out.not_sent);
	assert_false(fix->out.answered);
	assert_true(fix->out.gone_before);
	assert_in_range(took, 290, 1500);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	assert_true(fix_until(fix, &fix->other.count, 2) < 1000);
	assert_int_equal(fix->other.code, 0);
}

#define TIMEOUT_TEST(name, mode)                                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		times_out(*state, mode);                                                           \
	}

TIMEOUT_TEST(a_hung_worker_is_killed_at_its_deadline, "hang")
TIMEOUT_TEST(a_worker_that_drips_its_reply_is_killed_at_its_deadline, "drip")
TIMEOUT_TEST(a_worker_that_floods_the_log_is_killed_at_its_deadline, "flood_log")

static void
what_a_worker_leaves_behind_dies_with_it(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "child", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	fix_run_ms(fix, 500);
	assert_int_equal(access(fix->gate, F_OK), -1);
}

static void
a_refusal_of_one_account_is_no_back_off(void **state)
{
	struct fix *fix = *state;
	struct leased_err err;

	fix_open(fix, "refused", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EREFUSED);
	assert_true(fix->out.not_sent);
	assert_true(fix->out.answered);
	assert_string_equal(fix->out.text, "as the mode says");
	assert_int_equal(plugin_port_ready(fix->port, &err), 0);
	assert_int_equal(fix->gone, 0);
}

static void
an_open_that_fails_backs_off_says_why_and_recovers(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(fix, "open_fails", 2);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EUNAVAIL);
	assert_true(fix->out.not_sent);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
	assert_int_equal(err.code, LEASED_EDENIED); /* what the backend said */
	assert_string_equal(err.text, "as the mode says");
	fix_mint(fix, 5000, &fix->out); /* refused at once, but not before the call returned */
	assert_int_equal(fix->out.count, 1);
	assert_true(fix_until(fix, &fix->out.count, 2) < 500);
	fix_touch_gate(fix);
	fix_until(fix, &fix->recovered, 1);
	assert_int_equal(plugin_port_ready(fix->port, &err), 0);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 3);
	assert_int_equal(fix->out.code, 0);
}

static void
a_failed_ping_backs_off_and_a_good_one_recovers(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(fix, "down", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EUNAVAIL);
	fix_run_ms(fix, 50);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
	assert_int_equal(fix->gone, 0); /* the worker stays */
	fix_touch_gate(fix);
	fix_until(fix, &fix->recovered, 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 2);
	assert_int_equal(fix->out.code, 0);
}

static void
a_retry_timer_that_fires_early_does_not_end_the_retries(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(fix, "down", 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	fix_run_ms(fix, 50);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
	fix->lag_us = 300000; /* the timer is for 1 to 1.25 s from before */
	fix_run_ms(fix, 1400);
	assert_int_equal(fix->recovered, 0);
	fix_touch_gate(fix);
	fix_until(fix, &fix->recovered, 1);
	assert_int_equal(plugin_port_ready(fix->port, &err), 0);
}

static void
a_worker_that_dies_in_open_is_not_started_in_a_loop(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(fix, "open_crashes", 4);
	fix_until(fix, &fix->gone, 1);
	fix_run_ms(fix, 600);
	assert_int_equal(fix->gone, 1);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
	assert_non_null(strstr(err.text, "status 4"));
}

static void
time_in_the_queue_counts_and_leaves_no_trace(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "hang", 1);
	fix_mint(fix, 2000, &fix->other);
	fix_mint(fix, 200, &fix->out);
	assert_in_range(fix_until(fix, &fix->out.count, 1), 190, 1500);
	assert_int_equal(fix->out.code, LEASED_ETIMEDOUT);
	assert_true(fix->out.not_sent);
	assert_string_equal(fix->out.worker, "");
	assert_int_equal(fix->other.count, 0);
}

static void
a_canceled_call_kills_its_worker_and_says_nothing(void **state)
{
	struct fix *fix = *state;
	struct plugin_call *call;

	fix_open(fix, "hang", 1);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	call = fix_mint(fix, 5000, &fix->out);
	fix_run_ms(fix, 30);
	plugin_call_cancel(call);
	fix_until(fix, &fix->gone, 1);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	assert_true(fix_until(fix, &fix->other.count, 2) < 1000);
	assert_int_equal(fix->other.code, 0);
	assert_int_equal(fix->out.count, 0);
	plugin_call_cancel(fix_mint(fix, 5000, &fix->out)); /* not even sent yet */
	fix_run_ms(fix, 30);
	assert_int_equal(fix->out.count, 0);
}

static void
closing_ends_calls_first_and_workers_then(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "hang", 2);
	fix_mint(fix, 5000, &fix->out);
	fix_mint(fix, 5000, &fix->out);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->sessions, 2);
	fix_run_ms(fix, 30);
	plugin_port_close(fix->port);
	assert_int_equal(fix->out.count, 3);
	assert_int_equal(fix->out.code, LEASED_ECANCELED);
	assert_int_equal(fix->gone, 0);
	fix_until(fix, &fix->gone, 2);
	fix_run_ms(fix, 5);
	fix->port = NULL;
}

static void
an_unknown_program_is_said_so(void **state)
{
	static const struct plugin_catalog_row row = {.program = "nosuch", .pool = 1};
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix->port = plugin_port_open(fix->host, &row, json_object(), 0, 9);
	for (unsigned i = 0; i < 200 && plugin_port_ready(fix->port, &err) == 0; i++)
		fix_run_ms(fix, 10);
	assert_int_equal(plugin_port_ready(fix->port, &err), LEASED_EUNAVAIL);
	assert_non_null(strstr(err.text, "nosuch"));
	assert_int_equal(fix->gone, 0);
}

static void
on_lost(void *arg)
{
	++*(unsigned *)arg;
}

static void
without_the_spawner_calls_are_refused_and_nothing_hangs(void **state)
{
	struct fix *fix = *state;
	unsigned lost = 0;

	fix_open(fix, "hang", 1);
	fix_mint(fix, 60000, &fix->out);
	fix_until(fix, &fix->sessions, 1);
	fix_run_ms(fix, 30);
	plugin_host_on_lost(fix->host, on_lost, &lost);
	assert_int_equal(kill(fix->spawner, SIGKILL), 0);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(lost, 1);
	assert_int_equal(fix->out.code, LEASED_ECRASHED);
	assert_int_equal(fix->gone, 1); /* it died with its parent */
	fix_mint(fix, 500, &fix->out);
	fix_until(fix, &fix->out.count, 2);
	assert_int_not_equal(fix->out.code, 0);
	assert_int_equal(lost, 1);
	plugin_host_on_lost(fix->host, NULL, NULL);
}

static void
a_mute_host_tells_owners_nothing(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "crash", 1);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	plugin_host_mute(fix->host);
	fix_mint(fix, 5000, &fix->out); /* whose worker dies */
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_ECRASHED);
	fix_mint(fix, 5000, &fix->out); /* whose worker gets no session */
	fix_until(fix, &fix->out.count, 2);
	assert_int_equal(fix->out.code, LEASED_EUNAVAIL);
	assert_int_equal(fix->gone, 0);
	assert_int_equal(fix->sessions, 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIXTURE(a_call_is_answered_by_a_worker_whose_session_is_durable),
	    WITH_FIXTURE(nothing_is_done_before_the_session_is_acknowledged),
	    WITH_FIXTURE(what_waits_and_what_runs_is_counted),
	    WITH_FIXTURE(an_ack_that_comes_after_its_worker_died_is_harmless),
	    WITH_FIXTURE(a_refused_session_fails_the_open_and_the_connection_backs_off),
	    WITH_FIXTURE(a_killed_worker_costs_one_call),
	    WITH_FIXTURE(a_worker_that_exits_costs_one_call),
	    WITH_FIXTURE(a_frame_over_the_limit_kills_that_worker),
	    WITH_FIXTURE(a_frame_of_junk_kills_that_worker),
	    WITH_FIXTURE(a_reply_with_a_wrong_id_kills_that_worker),
	    WITH_FIXTURE(a_reply_to_another_operation_kills_that_worker),
	    WITH_FIXTURE(a_worker_that_closes_its_stream_is_killed),
	    WITH_FIXTURE(a_worker_that_floods_with_frames_is_killed),
	    WITH_FIXTURE(a_second_reply_kills_that_worker),
	    WITH_FIXTURE(a_reply_that_nobody_asked_for_kills_that_worker),
	    WITH_FIXTURE(a_batch_with_too_few_results_kills_that_worker),
	    WITH_FIXTURE(a_hung_worker_is_killed_at_its_deadline),
	    WITH_FIXTURE(a_worker_that_drips_its_reply_is_killed_at_its_deadline),
	    WITH_FIXTURE(a_worker_that_floods_the_log_is_killed_at_its_deadline),
	    WITH_FIXTURE(what_a_worker_leaves_behind_dies_with_it),
	    WITH_FIXTURE(a_refusal_of_one_account_is_no_back_off),
	    WITH_FIXTURE(an_open_that_fails_backs_off_says_why_and_recovers),
	    WITH_FIXTURE(a_failed_ping_backs_off_and_a_good_one_recovers),
	    WITH_FIXTURE(a_retry_timer_that_fires_early_does_not_end_the_retries),
	    WITH_FIXTURE(a_worker_that_dies_in_open_is_not_started_in_a_loop),
	    WITH_FIXTURE(time_in_the_queue_counts_and_leaves_no_trace),
	    WITH_FIXTURE(a_canceled_call_kills_its_worker_and_says_nothing),
	    WITH_FIXTURE(closing_ends_calls_first_and_workers_then),
	    WITH_FIXTURE(an_unknown_program_is_said_so),
	    WITH_FIXTURE(without_the_spawner_calls_are_refused_and_nothing_hangs),
	    WITH_FIXTURE(a_mute_host_tells_owners_nothing),
	};

	/* As harden_process() does: a worker that died is an error to look at, not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
