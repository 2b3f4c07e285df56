/*
 * What lease/ counts: each figure moves by what it stands for and by nothing else, and a restart
 * or a dead backend is seen in it.
 */
#include "lease/stats.h"
#include "unit/lease/fixture.h"

#define HOUR_US (INT64_C(3600) * 1000000)

/* The value of the sample that starts with name (labels included), -1: there is none. The static
 * ones go on from test to test. */
static double
sample(struct fix *f, const char *name)
{
	struct metrics_page *page = metrics_page_new(METRICS_PROMETHEUS);
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL, line[160];
	double value = -1;
	const char *found;
	size_t len;

	assert_non_null(page);
	metrics_page_static(page);
	leases_metrics(f->leases, page);
	assert_int_equal(metrics_page_finish(page, 0, &text, &len, &err), 0);
	(void)snprintf(line, sizeof(line), "\n%s ", name);
	if ((found = strstr(text, line)) != NULL)
		value = strtod(found + strlen(line), NULL);
	free(text);
	metrics_page_free(page);
	return (value);
}

static struct lease_connection_stats
stats_of(struct fix *f)
{
	struct lease_connection_stats stats;

	leases_connection_stats(f->leases, f->connection, &stats);
	return (stats);
}

static void
lateness_is_counted_once_a_lease_by_what_ended_it(void **state)
{
	struct fix *f = *state;
	double expired = sample(f, "leased_end_lateness_seconds_count{cause=\"expired\"}");
	double asked = sample(f, "leased_end_lateness_seconds_count{cause=\"asked\"}");
	struct answer a = make(f, 10), b = make(f, 3600);

	later(f, 12000);
	assert_null(account_of(f, &a));
	assert_true(
	    expired + 1 == sample(f, "leased_end_lateness_seconds_count{cause=\"expired\"}"));
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	assert_true(asked + 1 == sample(f, "leased_end_lateness_seconds_count{cause=\"asked\"}"));
	assert_true(
	    expired + 1 == sample(f, "leased_end_lateness_seconds_count{cause=\"expired\"}"));
}

static void
lateness_is_counted_from_the_end_however_often_it_was_tried(void **state)
{
	static const char minute[] =
	    "leased_end_lateness_seconds_bucket{cause=\"expired\",le=\"60.0\"}";
	static const char all[] = "leased_end_lateness_seconds_count{cause=\"expired\"}";
	struct fix *f = *state;
	struct answer a = make(f, 10);
	double within = sample(f, minute), count = sample(f, all);

	account_of(f, &a)->stubborn = true;
	later(f, 90000);
	assert_true(sample(f, all) == count);
	account_of(f, &a)->stubborn = false;
	later(f, 90000);
	assert_true(sample(f, all) == count + 1);
	assert_true(sample(f, minute) == within);
}

static void
mints_are_timed_when_they_succeed_and_counted_by_error_when_not(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0}, b = {0};
	double minted = sample(f, "leased_mint_seconds_count");

	(void)make(f, 60);
	assert_true(sample(f, "leased_mint_seconds_count") == minted + 1);
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no grant");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, LEASED_EREFUSED);
	fake_port_set_down(f->fake, true);
	lease_issue_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_EUNAVAIL);
	assert_true(sample(f, "leased_mint_seconds_count") == minted + 1);
	assert_true(sample(f, "leased_mint_failures_total{error=\"refused\"}") == 1);
	assert_true(sample(f, "leased_mint_failures_total{error=\"unavailable\"}") == 1);
}

static void
gone_leases_are_counted_by_what_ended_them(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 3600);

	(void)a;
	later(f, 12000);
	(void)revoke_row(f, b.row);
	assert_true(sample(f, "leased_leases_gone_total{cause=\"expired\"}") == 1);
	assert_true(sample(f, "leased_leases_gone_total{cause=\"revoked\"}") == 1);
	assert_true(sample(f, "leased_leases_gone_total{cause=\"failed_mint\"}") == -1);
}

static void
connection_knows_its_leases_what_is_overdue_and_why(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 3600);
	struct lease_connection_stats stats;

	account_of(f, &a)->stubborn = true;
	later(f, 40000);
	stats = stats_of(f);
	assert_int_equal(stats.overdue, 1);
	assert_in_range(stats.oldest_overdue_ms, 15000, 31000);
	assert_true(stats.end_failures >= 1);
	assert_int_not_equal(stats.error_code, 0);
	assert_in_range(wclock_wall_ms(&f->clock.clock) - stats.error_wall_ms, 0, 30000);
	assert_true(account_of(f, &b)->armed);
	account_of(f, &a)->stubborn = false;
	later(f, 120000);
	stats = stats_of(f);
	assert_int_equal(stats.overdue, 0);
	assert_int_equal(stats.oldest_overdue_ms, 0);
}

static void
last_error_is_known_after_a_restart(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	int before;

	account_of(f, &a)->stubborn = true;
	later(f, 20000);
	before = stats_of(f).error_code;
	assert_int_not_equal(before, 0);
	fake_port_set_down(f->fake, true);
	fix_crash(f, true);
	settle(f);
	later(f, 1000);
	assert_int_equal(stats_of(f).error_code, before);
	assert_int_equal(stats_of(f).end_failures, 0);
}

static void
leases_are_counted_by_the_ceiling_of_their_connection(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer answers[3] = {0};

	(void)snprintf(issue.caps[0].counter, sizeof(issue.caps[0].counter), "conn:%lld",
	    (long long)f->connection);
	issue.caps[0].what = "leases";
	issue.caps[0].limit = 10;
	for (unsigned i = 0; i < 3; i++)
		lease_issue_start(f->leases, &issue, on_issued, &answers[i]);
	later(f, 16000);
	assert_int_equal(stats_of(f).leases, 3);
	for (unsigned i = 0; i < 3; i++)
		(void)revoke_row(f, answers[i].row);
	later(f, 16000);
	assert_int_equal(stats_of(f).leases, 0);
}

static void
recovering_until_what_a_crash_left_is_ended_and_never_for_a_dead_backend(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	(void)make(f, 3600);
	assert_false(leases_are_recovering(f->leases));
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_HANG, 0, "");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	fix_end(f, true);
	fix_open(f);
	assert_true(leases_are_recovering(f->leases));
	assert_true(sample(f, "leased_recovering") == 1);
	fake_port_set_down(f->fake, true);
	assert_false(leases_are_recovering(f->leases));
	fake_port_set_down(f->fake, false);
	later(f, 3000);
	assert_false(leases_are_recovering(f->leases));
	assert_true(sample(f, "leased_recovering") == 0);
}

static void
clock_is_unconfirmed_after_a_long_jump_over_a_reboot(void **state)
{
	struct fix *f = *state;

	(void)make(f, 3600);
	assert_true(leases_clock_is_confirmed(f->leases));
	f->clock.is_synchronized = false;
	wclock_fake_reboot(&f->clock, 48 * HOUR_US);
	fix_crash(f, false);
	settle(f);
	assert_false(leases_clock_is_confirmed(f->leases));
	assert_true(sample(f, "leased_clock_confirmed") == 0);
	f->clock.is_synchronized = true;
	later(f, 1500);
	assert_true(leases_clock_is_confirmed(f->leases));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lateness_is_counted_once_a_lease_by_what_ended_it),
	    TEST(lateness_is_counted_from_the_end_however_often_it_was_tried),
	    TEST(mints_are_timed_when_they_succeed_and_counted_by_error_when_not),
	    TEST(gone_leases_are_counted_by_what_ended_them),
	    TEST(connection_knows_its_leases_what_is_overdue_and_why),
	    TEST(last_error_is_known_after_a_restart),
	    TEST(leases_are_counted_by_the_ceiling_of_their_connection),
	    TEST(recovering_until_what_a_crash_left_is_ended_and_never_for_a_dead_backend),
	    TEST(clock_is_unconfirmed_after_a_long_jump_over_a_reboot),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("lease: stats", tests, NULL, NULL));
}
