/*
 * The counts that sys/health shows: what has ended and is not gone, how old the oldest is, and that
 * counting many costs no reading of many.
 */
#include "lease/hold.h"
#include "store/store_private.h"
#include "unit/lease/fixture.h"

static struct lease_counts
counts_of(struct fix *f)
{
	struct lease_counts counts;

	leases_counts(f->leases, &counts);
	return (counts);
}

static void
what_is_overdue_is_counted_and_what_only_ends_soon_is_not(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10), c = make(f, 60);

	account_of(f, &a)->stubborn = true;
	snprintf(account_of(f, &b)->blocked, 128, "owns table t");
	later(f, 40000);
	assert_int_equal(counts_of(f).overdue, 2);
	assert_in_range(counts_of(f).oldest_overdue_ms, 15000, 31000);
	assert_int_equal(counts_of(f).in_flight, 0);
	assert_true(account_of(f, &c)->armed);
	account_of(f, &a)->stubborn = false;
	account_of(f, &b)->blocked[0] = '\0';
	later(f, 120000);
	assert_int_equal(counts_of(f).overdue, 0);
	assert_int_equal(counts_of(f).oldest_overdue_ms, 0);
}

static void
the_count_follows_the_end_of_trouble_within_seconds(void **state)
{
	struct fix *f = *state;

	(void)make(f, 10);
	fake_port_set_down(f->fake, true);
	later(f, 40000);
	assert_int_equal(counts_of(f).overdue, 1);
	fake_port_set_down(f->fake, false);
	while (row_count(f) > 0)
		later(f, 200);
	later(f, 3500);
	assert_int_equal(counts_of(f).overdue, 0);
}

static void
a_revocation_that_is_refused_grows_old(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};

	account_of(f, &a)->stubborn = true;
	lease_revoke_start(f->leases, a.row, 0, "req", on_revoked, &r);
	later(f, 100000);
	assert_int_equal(counts_of(f).overdue, 1);
	assert_in_range(counts_of(f).oldest_overdue_ms, 84000, 101000);
	account_of(f, &a)->stubborn = false;
	later(f, 90000);
	assert_int_equal(counts_of(f).overdue, 0);
}

static void
a_stuck_lease_says_since_when_how_often_and_why(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), live = make(f, 3600);
	json_t *shown;

	snprintf(account_of(f, &a)->blocked, 128, "owns table t");
	later(f, 100000);
	assert_non_null(shown = lease_describe(f->leases, row_of(f, a.row)));
	assert_in_range(json_integer_value(json_object_get(shown, "overdue_s")), 89, 91);
	assert_in_range(json_integer_value(json_object_get(shown, "revoke_attempts")), 3, 20);
	assert_string_equal(
	    json_string_value(json_object_get(shown, "revoke_error")), "owns table t");
	json_decref(shown);
	assert_non_null(shown = lease_describe(f->leases, row_of(f, live.row)));
	assert_null(json_object_get(shown, "overdue_s"));
	json_decref(shown);
	account_of(f, &a)->blocked[0] = '\0';
	later(f, 90000);
}

static void
a_lease_that_waits_for_its_backend_or_a_hold_says_so(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	json_t *shown;

	fake_port_set_down(f->fake, true);
	fake_port_port(f->fake)->failures = 7;
	later(f, 60000);
	assert_non_null(shown = lease_describe(f->leases, row_of(f, a.row)));
	assert_non_null(json_string_value(json_object_get(shown, "revoke_error")));
	assert_int_equal(json_integer_value(json_object_get(shown, "revoke_attempts")), 7);
	json_decref(shown);
	atomic_store(&f->store->hold.below, a.row);
	assert_non_null(shown = lease_describe(f->leases, row_of(f, a.row)));
	assert_non_null(strstr(json_string_value(json_object_get(shown, "revoke_error")),
	    "lease restore release --takeover"));
	json_decref(shown);
	atomic_store(&f->store->hold.below, 0);
	fake_port_set_down(f->fake, false);
	later(f, 90000);
}

static void
on_released(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

static void
what_a_restored_store_holds_is_not_overdue_and_has_a_number_of_its_own(void **state)
{
	struct fix *f = *state;
	struct answer held = make(f, 25), soon = make(f, 70), b;
	struct store_hold hold = {
	    .held = true, .below = soon.row, .since_wall_ms = 1, .old_tag = "abcdef"};
	struct lease_actor root = {"root", ""};
	struct leased_err err = LEASED_ERR_INIT;
	int released = -1;

	/* One of them was refused before the backup was made. */
	account_of(f, &soon)->stubborn = true;
	assert_int_equal(revoke_row(f, soon.row).state, LEASE_REVOKE_RECORDED);
	assert_int_equal(store_hold_begin(f->store->writer_db, &hold, &err), 0);
	assert_int_equal(store_hold_load(f->store, &err), 0);
	b = make(f, 10);
	account_of(f, &b)->stubborn = true;
	later(f, 45000);
	assert_true(account_of(f, &held)->armed);
	assert_int_equal(counts_of(f).overdue, 1);
	assert_in_range(counts_of(f).oldest_overdue_ms, 15000, 36000);
	assert_int_equal(counts_of(f).held, 2);
	account_of(f, &b)->stubborn = account_of(f, &soon)->stubborn = false;
	later(f, 90000);
	assert_int_equal(counts_of(f).overdue, 0);
	assert_int_equal(counts_of(f).oldest_overdue_ms, 0);
	lease_hold_release(f->leases, &root, on_released, &released);
	later(f, 5000);
	assert_int_equal(released, 0);
	assert_int_equal(counts_of(f).held, 0);
	later(f, 90000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
a_thousand_overdue_leases_are_counted_by_opening_a_few(void **state)
{
	struct fix *f = *state;
	struct store_health health;

	for (unsigned i = 0; i < 1000; i++)
		(void)make(f, 10);
	fake_port_set_down(f->fake, true);
	/* Whoever opens one of these puts it in quarantine. */
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE lease SET sealed = x'00' WHERE id > 100", NULL, NULL, NULL),
	    SQLITE_OK);
	later(f, 45000); /* in the second minute the caps are recounted, by the rows */
	assert_int_equal(counts_of(f).overdue, 1000);
	assert_in_range(counts_of(f).oldest_overdue_ms, 15000, 36000);
	store_health_get(f->store, &health);
	assert_int_equal(health.quarantined, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_overdue_is_counted_and_what_only_ends_soon_is_not),
	    TEST(the_count_follows_the_end_of_trouble_within_seconds),
	    TEST(a_revocation_that_is_refused_grows_old),
	    TEST(a_stuck_lease_says_since_when_how_often_and_why),
	    TEST(a_lease_that_waits_for_its_backend_or_a_hold_says_so),
	    TEST(what_a_restored_store_holds_is_not_overdue_and_has_a_number_of_its_own),
	    TEST(a_thousand_overdue_leases_are_counted_by_opening_a_few),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
