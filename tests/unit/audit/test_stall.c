/*
 * A machine that stands still: records that nobody takes in time are refused, and taken again as
 * soon as the audit's thread runs.
 */
#include "unit/audit/fixture.h"

#include <event2/event.h>

#include "base/log.h"

#define TURNS 1000
#define TURN_MS 10

static void
turn(struct event_base *loop)
{
	struct timeval wait = {0, TURN_MS * 1000};

	(void)event_base_loopexit(loop, &wait);
	(void)event_base_dispatch(loop);
}

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

static int
record(struct fixture *f, struct event_base *loop)
{
	struct audit_event event = {
	    .what = AUDIT_REQUEST, .id = "an-id", .operation = "read", .path = "a", .status = 200};
	int code = 1;

	audit_record(f->audit, &event, on_written, &code);
	for (int i = 0; i < TURNS && code == 1; i++)
		turn(loop);
	return (code);
}

static void
records_are_taken_again_after_a_standstill_in_which_none_was_under_way(void **state)
{
	struct fixture *f = *state;
	struct event_base *loop = event_base_new();
	struct audit_event event = {.what = AUDIT_REQUEST, .id = "another", .path = "b"};
	int code = 1;
	struct audit_config config = {
	    .path = f->path, .store = f->store, .clock = &f->clock.clock, .loop = loop};

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_non_null(loop);
	assert_int_equal(audit_new(&config, &f->audit, NULL), 0);
	assert_int_equal(record(f, loop), 0);
	/* The thread stands still and has taken nothing, while the loop's clock goes on. */
	assert_true(audit_thread_end(f->audit));
	f->audit->has_thread = true;
	audit_record(f->audit, &event, on_written, &code);
	wclock_fake_advance(&f->clock, INT64_C(60) * 1000 * 1000);
	for (int i = 0; i < TURNS && code == 1; i++)
		turn(loop);
	assert_int_equal(code, LEASED_ETIMEDOUT);
	assert_false(audit_healthy(f->audit));
	assert_int_equal(record(f, loop), LEASED_EUNAVAIL);
	f->audit->ending = f->audit->ended = false;
	assert_int_equal(audit_thread_start(f->audit, NULL), 0);
	for (int i = 0; i < TURNS && !audit_healthy(f->audit); i++)
		turn(loop);
	assert_true(audit_healthy(f->audit));
	assert_int_equal(record(f, loop), 0);
	f->audit->wait_ms = 0; /* the store is the test's own to move, and that clock stands */
	fixture_audit_end(f);
	assert_int_equal(fixture_verify(f), 0);
	event_base_free(loop);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(records_are_taken_again_after_a_standstill_in_which_none_was_under_way),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("audit: stall", tests, NULL, NULL));
}
