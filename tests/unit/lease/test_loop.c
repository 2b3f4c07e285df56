/*
 * Leases on a real loop: the store's threads, the timer, the machine's clock. Run under
 * ThreadSanitizer as well: what a transaction reads while the loop goes on is its own.
 */
#include "unit/lease/fixture.h"

#include <event2/event.h>
#include <ftw.h>
#include <unistd.h>

#define LEASES 60

struct world {
	struct fix *f;
	struct event_base *loop;
	struct event *pump;
	char dir[64];
	struct answer made[LEASES], ended[LEASES];
};

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	fake_port_pump(w->f->fake);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct timeval each = {0, 500};

	snprintf(w->dir, sizeof(w->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->loop = event_base_new();
	w->f = fix_new_loop(w->loop, w->dir);
	w->pump = event_new(w->loop, -1, EV_PERSIST, on_pump, w);
	event_add(w->pump, &each);
	*state = w;
	return (0);
}

static int
on_remove(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
	(void)info;
	(void)kind;
	(void)ftw;
	return (remove(path));
}

static int
teardown(void **state)
{
	struct world *w = *state;

	(void)row_of(w->f, -1);
	event_free(w->pump);
	fix_free(w->f);
	event_base_free(w->loop);
	(void)nftw(w->dir, on_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return (0);
}

static void
wait_for(struct world *w, const struct answer *answers)
{
	for (unsigned i = 0; i < LEASES; i++)
		while (answers[i].count == 0)
			assert_int_equal(event_base_loop(w->loop, EVLOOP_ONCE), 0);
}

static void
issue_all(struct world *w, int64_t ttl_s)
{
	for (unsigned i = 0; i < LEASES; i++) {
		struct lease_issue issue = issue_of(w->f, ttl_s);

		lease_issue_start(w->f->leases, &issue, on_issued, &w->made[i]);
	}
}

static void
leases_live_and_end_by_the_loops_timer(void **state)
{
	struct world *w = *state;
	struct answer renewed = {0};
	struct lease_renew request = {.ttl = issue_of(w->f, 60).ttl};
	int64_t end_ms;

	issue_all(w, 1);
	wait_for(w, w->made);
	end_ms = leases_now_ms(w->f->leases) + 8000;
	request.row = w->made[0].row;
	lease_renew_start(w->f->leases, &request, on_renewed, &renewed);
	for (unsigned i = 0; i < LEASES; i++) {
		assert_int_equal(w->made[i].code, 0);
		lease_delivery(w->f->leases, w->made[i].row, i % 3 != 0);
	}
	while (row_count(w->f) > 1 || renewed.count == 0) {
		assert_int_equal(event_base_loop(w->loop, EVLOOP_ONCE), 0);
		assert_true(leases_now_ms(w->f->leases) < end_ms);
	}
	assert_int_equal(fake_port_account_count(w->f->fake), row_count(w->f));
}

static void
revocations_are_answered_when_the_account_is_gone(void **state)
{
	struct world *w = *state;

	issue_all(w, 3600);
	wait_for(w, w->made);
	for (unsigned i = 0; i < LEASES; i++)
		lease_revoke_start(
		    w->f->leases, w->made[i].row, 10000, "req-3", on_revoked, &w->ended[i]);
	wait_for(w, w->ended);
	for (unsigned i = 0; i < LEASES; i++)
		assert_int_equal(w->ended[i].state, LEASE_REVOKE_GONE);
	assert_int_equal(fake_port_account_count(w->f->fake), 0);
}

static void
stopping_in_the_middle_answers_everybody_once(void **state)
{
	struct world *w = *state;

	issue_all(w, 3600);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(event_base_loop(w->loop, EVLOOP_ONCE), 0);
	leases_timer_stop(w->f->timer);
	w->f->timer = NULL;
	fake_port_port(w->f->fake)->events = (struct plugin_port_events){0};
	leases_free(w->f->leases);
	w->f->leases = NULL;
	for (unsigned i = 0; i < LEASES; i++) {
		assert_int_equal(w->made[i].count, 1);
		assert_true(w->made[i].code == 0 || w->made[i].code == LEASED_ECANCELED);
	}
	fix_open(w->f);
	for (unsigned i = 0; i < LEASES; i++)
		if (w->made[i].code == 0)
			assert_true(row_is(w->f, w->made[i].row, STORE_LEASE_LIVE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		leases_live_and_end_by_the_loops_timer, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		revocations_are_answered_when_the_account_is_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		stopping_in_the_middle_answers_everybody_once, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
