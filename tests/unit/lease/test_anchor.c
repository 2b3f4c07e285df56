/*
 * Lease time across jumps of the wall clock, restarts and reboots (design: Time).
 */
#include "lease/stats.h"
#include "unit/lease/fixture.h"

#define MINUTE_US (INT64_C(60) * 1000000)
#define HOUR_US (INT64_C(60) * MINUTE_US)

static void
wall_clock_jumps_move_nothing_while_it_runs(void **state)
{
	struct fix *f = *state;
	int64_t start_ms = leases_now_ms(f->leases);
	struct answer a = make(f, 60);

	wclock_fake_jump(&f->clock, 24 * HOUR_US);
	settle(f);
	assert_int_equal(leases_now_ms(f->leases), start_ms);
	assert_true(account_of(f, &a)->armed);
	wclock_fake_jump(&f->clock, -48 * HOUR_US);
	later(f, 59500);
	assert_true(account_of(f, &a)->armed);
	later(f, 1000);
	assert_null(account_of(f, &a));
	/* What people read follows the wall clock. */
	assert_int_equal(
	    leases_wall_ms(f->leases, leases_now_ms(f->leases)), wclock_wall_ms(&f->clock.clock));
}

static void
restart_in_the_same_boot_trusts_boot_time_only(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	int64_t now_ms;

	later(f, 10000);
	now_ms = leases_now_ms(f->leases);
	wclock_fake_jump(&f->clock, -24 * HOUR_US);
	fix_crash(f, false);
	assert_int_equal(leases_now_ms(f->leases), now_ms);
	wclock_fake_jump(&f->clock, 72 * HOUR_US);
	fix_crash(f, false);
	settle(f);
	assert_int_equal(leases_now_ms(f->leases), now_ms);
	assert_true(account_of(f, &a)->armed);
}

static void
reboot_of_minutes_goes_on_by_the_wall_clock(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 600), b = make(f, 3600);
	int64_t now_ms = leases_now_ms(f->leases);

	wclock_fake_reboot(&f->clock, 20 * MINUTE_US);
	fix_crash(f, false);
	assert_int_equal(leases_now_ms(f->leases), now_ms + 1200000);
	settle(f);
	assert_null(account_of(f, &a));
	assert_true(account_of(f, &b)->armed);
	check_at_rest(f);
}

static void
long_jump_over_a_reboot_waits_for_five_minutes_at_most(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	int64_t now_ms = leases_now_ms(f->leases);

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, 48 * HOUR_US);
	fix_crash(f, false);
	settle(f);
	assert_int_equal(leases_now_ms(f->leases), now_ms);
	later(f, 200000);
	assert_true(account_of(f, &a)->armed);
	fix_crash(f, false); /* a restart meanwhile forgets nothing and starts nothing afresh */
	later(f, 99000);
	assert_true(account_of(f, &a)->armed);
	later(f, 2000);
	assert_null(account_of(f, &a));
	assert_in_range(leases_now_ms(f->leases) - now_ms, 48 * 3600000, 48 * 3600000 + 310000);
}

static void
long_jump_is_taken_at_once_when_the_clock_is_confirmed(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, 48 * HOUR_US);
	fix_crash(f, false);
	later(f, 5000);
	assert_true(account_of(f, &a)->armed);
	f->clock.is_synchronized = true;
	later(f, 1500);
	assert_null(account_of(f, &a));
}

/* A reboot over two days, and nobody on this machine who knows what time it is. */
static struct answer
reboot_in_doubt(struct fix *f)
{
	struct answer a = make(f, 3600);

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, 48 * HOUR_US);
	fix_crash(f, false);
	later(f, 2000);
	assert_true(account_of(f, &a)->armed);
	return (a);
}

/* What is asked for is refused, and the reason says what to do. */
static void
refused_for_now(struct fix *f, const struct answer *old)
{
	struct lease_issue issue = issue_of(f, 3600);
	struct lease_renew renew = {.row = old->row, .ttl = issue.ttl};
	struct answer a = {0}, b = {0};

	lease_issue_start(f->leases, &issue, on_issued, &a);
	lease_renew_start(f->leases, &renew, on_renewed, &b);
	settle(f);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(b.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(a.err.text, "ask again in"));
	assert_non_null(strstr(b.err.text, "not confirmed yet"));
	assert_true(leases_clock_in_doubt(f->leases));
}

static void
nothing_is_made_whose_end_would_move(void **state)
{
	struct fix *f = *state;
	struct answer a = reboot_in_doubt(f), b;

	refused_for_now(f, &a);
	later(f, 200000);
	fix_crash(f, false);
	refused_for_now(f, &a);
	later(f, 100000); /* nothing confirmed it: it moves all the same */
	assert_false(leases_clock_in_doubt(f->leases));
	assert_null(account_of(f, &a));
	b = make(f, 3600);
	later(f, 3500000);
	assert_true(account_of(f, &b)->armed);
	later(f, 101000);
	assert_null(account_of(f, &b));
}

static void
clock_that_stands_in_the_past_keeps_nobody_waiting_for_ever(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 36000), b;

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, -8760 * HOUR_US);
	fix_crash(f, false);
	later(f, 2000);
	refused_for_now(f, &a);
	later(f, 299000);
	assert_false(leases_clock_in_doubt(f->leases));
	assert_false(leases_clock_is_confirmed(f->leases));
	b = make(f, 60);
	later(f, 59000);
	assert_true(account_of(f, &b)->armed);
	later(f, 2000);
	assert_null(account_of(f, &b));
	assert_true(account_of(f, &a)->armed);
}

static void
clock_that_drifted_by_two_minutes_is_no_doubt(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	int64_t now_ms = leases_now_ms(f->leases);

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, -2 * MINUTE_US);
	fix_crash(f, false);
	assert_int_equal(leases_now_ms(f->leases), now_ms); /* never below the anchor */
	assert_true(leases_clock_is_confirmed(f->leases));
	(void)make(f, 60);
	later(f, 61000);
	assert_null(account_of(f, &a));
}

static void
backend_says(struct fix *f, const char *host, int64_t off_us)
{
	fake_port_set_opened(f->fake, host, f->clock.wall_now_us + off_us, f->clock.boot_now_us);
}

static void
long_jump_is_taken_when_a_backends_clock_agrees(void **state)
{
	struct fix *f = *state;
	struct answer a = reboot_in_doubt(f);

	backend_says(f, "db.example", 4 * MINUTE_US);
	later(f, 1500);
	assert_null(account_of(f, &a));
}

static void
backend_whose_clock_says_otherwise_confirms_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = reboot_in_doubt(f);

	backend_says(f, "db.example", -48 * HOUR_US); /* our clock is the wrong one */
	later(f, 100000);
	assert_true(account_of(f, &a)->armed);
	backend_says(f, "db.example", -6 * MINUTE_US);
	later(f, 10000);
	assert_true(account_of(f, &a)->armed);
	/* Ours is set right: what the backend said once goes on with the time since. */
	wclock_fake_jump(&f->clock, -6 * MINUTE_US);
	later(f, 1500);
	assert_null(account_of(f, &a));
}

static void
backend_on_this_machine_has_our_clock_and_confirms_nothing(void **state)
{
	static const char *const hosts[] = {"/run/postgresql", "127.0.0.1", "localhost", "::1",
	    "db.example,127.0.0.1", "::ffff:127.0.0.1", ""};
	struct fix *f = *state;
	struct answer a = reboot_in_doubt(f);

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		backend_says(f, hosts[i], 0);
		later(f, 1500);
		assert_true(account_of(f, &a)->armed);
	}
	backend_says(f, "10.0.0.7", 0);
	later(f, 1500);
	assert_null(account_of(f, &a));
}

static void
backend_confirms_a_clock_that_was_set_after_it_stood_in_the_past(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, -8760 * HOUR_US);
	fix_crash(f, false);
	backend_says(f, "db.example", 8784 * HOUR_US);
	later(f, 600000);
	assert_true(account_of(f, &a)->armed);
	wclock_fake_jump(&f->clock, 8784 * HOUR_US);
	later(f, 1500);
	assert_null(account_of(f, &a));
}

static void
clock_that_stands_in_the_past_gives_nobody_extra_days(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	int64_t now_ms;

	later(f, 40000);
	now_ms = leases_now_ms(f->leases);
	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, -8760 * HOUR_US); /* a dead clock */
	fix_crash(f, false);
	/* never below the last anchor, which is at most 30 s old */
	assert_in_range(leases_now_ms(f->leases), (uintmax_t)(now_ms - 30000), (uintmax_t)now_ms);
	later(f, 600000);
	assert_true(account_of(f, &a)->armed);
	wclock_fake_jump(&f->clock, 8784 * HOUR_US); /* the network is there: a day has passed */
	f->clock.is_synchronized = true;
	later(f, 1500);
	assert_null(account_of(f, &a));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

static void
clock_that_was_set_back_over_an_orderly_stop_gives_nobody_time(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 20);
	int64_t before_ms;

	later(f, 15000); /* the anchor is older than this */
	before_ms = leases_now_ms(f->leases);
	leases_free(f->leases);
	store_pump(f->store);
	wclock_fake_reboot(&f->clock, -HOUR_US);
	fake_port_port(f->fake)->events = (struct plugin_port_events){0};
	fake_port_crash(f->fake);
	fix_open(f);
	assert_true(leases_now_ms(f->leases) >= before_ms);
	later(f, 6000);
	assert_null(account_of(f, &a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(wall_clock_jumps_move_nothing_while_it_runs),
	    TEST(restart_in_the_same_boot_trusts_boot_time_only),
	    TEST(clock_that_was_set_back_over_an_orderly_stop_gives_nobody_time),
	    TEST(reboot_of_minutes_goes_on_by_the_wall_clock),
	    TEST(long_jump_over_a_reboot_waits_for_five_minutes_at_most),
	    TEST(long_jump_is_taken_at_once_when_the_clock_is_confirmed),
	    TEST(nothing_is_made_whose_end_would_move),
	    TEST(clock_that_stands_in_the_past_keeps_nobody_waiting_for_ever),
	    TEST(clock_that_drifted_by_two_minutes_is_no_doubt),
	    TEST(long_jump_is_taken_when_a_backends_clock_agrees),
	    TEST(backend_whose_clock_says_otherwise_confirms_nothing),
	    TEST(backend_on_this_machine_has_our_clock_and_confirms_nothing),
	    TEST(backend_confirms_a_clock_that_was_set_after_it_stood_in_the_past),
	    TEST(clock_that_stands_in_the_past_gives_nobody_extra_days),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
