/*
 * The end of a lease: expiry, and revocation by hand.
 */
#include "unit/lease/fixture.h"

static void
expiry_is_never_early_and_soon(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);

	wclock_fake_advance(&f->clock, 9999 * 1000);
	settle(f);
	assert_true(account_of(f, &a)->armed);
	wclock_fake_advance(&f->clock, 1000);
	settle(f);
	assert_null(account_of(f, &a));
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
disarmed_is_durable_before_remove_is_asked(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);

	wclock_fake_advance(&f->clock, 10 * 1000000);
	leases_tick(f->leases);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 1);
	fake_port_pump(f->fake);
	leases_tick(f->leases);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_REMOVE), 0);
	store_pump(f->store);
	assert_true(row_is(f, a.row, STORE_LEASE_DISARMED));
	assert_int_equal(counter(f, "role:1"), 0);
	leases_tick(f->leases);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_REMOVE), 1);
	settle(f);
	assert_null(row_of(f, a.row));
}

static void
refused_disarm_is_tried_again_by_itself(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10);

	account_of(f, &a)->stubborn = true;
	later(f, 11000);
	assert_non_null(row_of(f, a.row));
	assert_int_equal(data_of(f, a.row).error_code, LEASED_EREFUSED);
	assert_null(row_of(f, b.row)); /* others go on */
	assert_int_equal(counter(f, "role:1"), 1);
	later(f, 300000);
	assert_true(data_of(f, a.row).fails >= 5);
	assert_true(data_of(f, a.row).fails <= 20);
	account_of(f, &a)->stubborn = false;
	later(f, 76000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
account_that_owns_something_stays_disarmed_with_the_reason(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), r;
	json_t *shown;

	snprintf(account_of(f, &a)->blocked, 128, "owns table t in database shop");
	later(f, 11000);
	assert_true(row_is(f, a.row, STORE_LEASE_DISARMED));
	assert_false(account_of(f, &a)->armed);
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 1);
	shown = lease_describe(f->leases, row_of(f, a.row));
	assert_string_equal(json_string_value(json_object_get(shown, "state")), "disarmed");
	assert_string_equal(json_string_value(json_object_get(shown, "revoke_error")),
	    "owns table t in database shop");
	assert_true(json_is_false(json_object_get(shown, "needs_a_person")));
	json_decref(shown);
	r = revoke_row(f, a.row);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	assert_string_equal(r.err.text, "owns table t in database shop");
	later(f, 200000);
	shown = lease_describe(f->leases, row_of(f, a.row));
	assert_true(json_is_true(json_object_get(shown, "needs_a_person")));
	json_decref(shown);
	account_of(f, &a)->blocked[0] = '\0';
	later(f, 76000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
what_waits_for_a_backend_that_is_down_says_so(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), live = make(f, 3600);
	json_t *shown;

	fake_port_set_down(f->fake, true);
	later(f, 11000);
	shown = lease_describe(f->leases, row_of(f, a.row));
	assert_string_equal(json_string_value(json_object_get(shown, "state")), "disarming");
	assert_non_null(json_string_value(json_object_get(shown, "revoke_error")));
	assert_string_equal(
	    json_string_value(json_object_get(shown, "revoke_error_code")), "unavailable");
	json_decref(shown);
	shown = lease_describe(f->leases, row_of(f, live.row));
	assert_true(json_is_null(json_object_get(shown, "revoke_error")));
	json_decref(shown);
	fake_port_set_down(f->fake, false);
	later(f, 76000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
moved_server_keeps_everything_and_needs_a_person(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);

	fake_port_set_server(f->fake, "another");
	later(f, 20000);
	assert_non_null(row_of(f, a.row));
	assert_true(row_of(f, a.row)->stuck);
	assert_true(account_of(f, &a)->armed);
	fake_port_set_server(f->fake, "fake-server-1");
	later(f, 76000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
outage_writes_nothing_and_drains_at_once_after_it(void **state)
{
	struct fix *f = *state;
	struct answer leases[200];
	struct store_health before = {0}, after = {0};

	for (unsigned i = 0; i < 200; i++)
		leases[i] = make(f, 10);
	fake_port_set_down(f->fake, true);
	later(f, 12000);
	store_health_get(f->store, &before);
	later(f, 20000);
	store_health_get(f->store, &after);
	assert_in_range(after.operations - before.operations, 0, 4); /* the anchor, a purge */
	assert_int_equal(row_count(f), 200);
	fake_port_set_down(f->fake, false);
	settle(f);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
	(void)leases;
}

static void
one_account_that_kills_workers_is_found_and_the_rest_goes(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10), c = make(f, 10);

	/* The batch, then the first of it alone, die with their worker. */
	fake_port_fault(f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "boom");
	fake_port_fault(f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "boom");
	wclock_fake_advance(&f->clock, 10 * 1000000);
	settle(f);
	assert_int_equal(row_count(f), 1);
	later(f, 3000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
	(void)a;
	(void)b;
	(void)c;
}

/* How many accounts the oldest waiting call is about. */
static size_t
accounts_asked(struct fix *f, enum plugin_op op)
{
	return (json_array_size(json_object_get(fake_port_params(f->fake, op), "accounts")));
}

static void
round_trips_that_take_long_do_not_keep_batches_small(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < 10; i++) { /* alone: each call takes what a round trip takes */
		(void)make(f, 10);
		wclock_fake_advance(&f->clock, 10 * 1000000);
		while (row_count(f) > 0) {
			leases_tick(f->leases);
			wclock_fake_advance(&f->clock, 15000);
			fake_port_pump(f->fake);
			store_pump(f->store);
		}
	}
	for (unsigned i = 0; i < 60; i++)
		(void)make(f, 10);
	wclock_fake_advance(&f->clock, 10 * 1000000);
	leases_tick(f->leases);
	assert_int_equal(accounts_asked(f, PLUGIN_OP_DISARM), 60);
	settle(f);
	check_at_rest(f);
}

static void
batch_is_short_while_somebody_waits_for_a_mint(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer a = {0};

	for (unsigned i = 0; i < 60; i++)
		(void)make(f, 10);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	leases_tick(f->leases);
	assert_int_equal(accounts_asked(f, PLUGIN_OP_DISARM), 4);
	settle(f);
	assert_int_equal(a.code, 0);
	check_at_rest(f);
}

/* More is overdue than has room in memory: the loop sleeps while nothing can be done. */
static void
interrupted_sweep_waits_and_does_not_spin(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < LEASE_ENDING_MAX + 50; i++)
		(void)make(f, 60);
	wclock_fake_advance(&f->clock, 60 * 1000000);
	for (unsigned i = 0; i < LEASE_ENDING_MAX / 64; i++)
		leases_tick(f->leases);
	for (unsigned i = 0; i < 5; i++)
		assert_true(leases_tick(f->leases) > 0);
	fake_port_set_down(f->fake, true);
	for (unsigned i = 0; i < 5; i++)
		assert_true(leases_tick(f->leases) > 0);
	settle(f);
	fake_port_set_down(f->fake, false);
	later(f, 2000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
removals_that_wait_hold_up_no_disarm(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < LEASE_ENDING_MAX + 50; i++)
		(void)make(f, 60);
	wclock_fake_advance(&f->clock, 60 * 1000000);
	for (unsigned i = 0; i < LEASE_ENDING_MAX / 64; i++)
		leases_tick(f->leases);
	fake_port_pump(f->fake);
	store_pump(f->store); /* these are disarmed, and none is removed */
	leases_tick(f->leases);
	assert_true(fake_port_pending(f->fake, PLUGIN_OP_REMOVE) > 0);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 1);
	assert_int_equal(accounts_asked(f, PLUGIN_OP_DISARM), 50);
	settle(f);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
removals_that_hang_delay_no_revocation_and_no_expiry(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 60), r = {0};
	unsigned hung = 0;

	for (unsigned i = 1; i <= 6; i++)
		(void)make(f, i);
	for (unsigned i = 0; i < 6; i++)
		fake_port_fault(f->fake, PLUGIN_OP_REMOVE, FAKE_FAULT_HANG, 0, NULL);
	later(f, 10000);
	hung = fake_port_pending(f->fake, PLUGIN_OP_REMOVE);
	assert_true(hung >= 4);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	settle(f);
	assert_false(account_of(f, &a)->armed);
	later(f, 10500);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	later(f, 40000);
	assert_false(account_of(f, &b)->armed);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_REMOVE), hung);
}

static void
slow_removals_keep_no_batch_of_disarms_small(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < 10; i++) { /* each is disarmed at once and removed in 3 s */
		(void)make(f, 10);
		wclock_fake_advance(&f->clock, 10 * 1000000);
		while (row_count(f) > 0) {
			leases_tick(f->leases);
			if (fake_port_pending(f->fake, PLUGIN_OP_REMOVE) > 0)
				wclock_fake_advance(&f->clock, 3000000);
			fake_port_pump(f->fake);
			store_pump(f->store);
		}
	}
	for (unsigned i = 0; i < 60; i++)
		(void)make(f, 10);
	wclock_fake_advance(&f->clock, 10 * 1000000);
	leases_tick(f->leases);
	assert_int_equal(accounts_asked(f, PLUGIN_OP_DISARM), 60);
	settle(f);
	check_at_rest(f);
}

/* The pool had no worker for it, since disarms went before it. */
static void
removal_that_finds_no_worker_pauses_no_disarm(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 15);
	struct lease_connection *connection = lease_connection_get(f->leases, f->connection);

	fake_port_fault(
	    f->fake, PLUGIN_OP_REMOVE, FAKE_FAULT_BEFORE, LEASED_ETIMEDOUT, "no free worker");
	later(f, 10000);
	assert_int_equal(connection->pause_ms, 0);
	later(f, 1000);
	assert_null(row_of(f, a.row));
	later(f, 5000);
	assert_null(row_of(f, b.row));
	check_at_rest(f);
}

static void
removal_waits_in_the_store_while_memory_has_no_room_for_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 20);
	struct lease_connection *connection = lease_connection_get(f->leases, f->connection);

	connection->removals += LEASE_REMOVALS_MAX;
	later(f, 25000);
	assert_true(row_is(f, a.row, STORE_LEASE_DISARMED));
	assert_true(row_is(f, b.row, STORE_LEASE_DISARMED));
	assert_null(lease_busy(f->leases, a.row));
	connection->removals -= LEASE_REMOVALS_MAX;
	later(f, 1000);
	assert_int_equal(row_count(f), 0);
	assert_int_equal(connection->removals, 0);
	assert_int_equal(connection->ending, 0);
	check_at_rest(f);
}

static void
revoked_is_gone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r;
	struct store_tombstone *tombstone = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	r = revoke_row(f, a.row);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_null(account_of(f, &a));
	assert_int_equal(store_tombstone_get(store_db(f->store), a.row, &tombstone, &err), 0);
	assert_string_equal(
	    json_string_value(json_object_get(tombstone->data, "revoke_cause")), "req-3");
	store_tombstone_free(tombstone);
	r = revoke_row(f, a.row); /* unknown: gone */
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	later(f, 25 * 3600 * 1000);
	assert_int_equal(
	    store_tombstone_get(store_db(f->store), a.row, &tombstone, &err), LEASED_ENOENT);
}

static void
revocation_is_durable_before_it_is_answered_and_never_forgotten(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};

	fake_port_set_down(f->fake, true);
	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_RECORDED);
	assert_true(row_of(f, a.row)->revoke);
	assert_int_equal(renew(f, a.row, 60).code, LEASED_EEXPIRED);
	fix_crash(f, false);
	settle(f);
	assert_true(row_of(f, a.row)->revoke);
	fake_port_set_down(f->fake, false);
	later(f, 1000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
revocation_that_cannot_end_access_says_why(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r;

	account_of(f, &a)->stubborn = true;
	r = revoke_row(f, a.row);
	assert_int_equal(r.state, LEASE_REVOKE_RECORDED);
	assert_non_null(strstr(r.err.text, "does not end"));
}

static void
revocation_during_the_mint_wins(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, r = {0};
	struct lease_issue issue = issue_of(f, 3600);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	lease_revoke_start(f->leases, 1, 10000, "req-3", on_revoked, &r);
	settle(f);
	assert_int_equal(a.code, LEASED_EEXPIRED);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(expiry_is_never_early_and_soon),
	    TEST(disarmed_is_durable_before_remove_is_asked),
	    TEST(refused_disarm_is_tried_again_by_itself),
	    TEST(account_that_owns_something_stays_disarmed_with_the_reason),
	    TEST(what_waits_for_a_backend_that_is_down_says_so),
	    TEST(moved_server_keeps_everything_and_needs_a_person),
	    TEST(outage_writes_nothing_and_drains_at_once_after_it),
	    TEST(one_account_that_kills_workers_is_found_and_the_rest_goes),
	    TEST(round_trips_that_take_long_do_not_keep_batches_small),
	    TEST(batch_is_short_while_somebody_waits_for_a_mint),
	    TEST(interrupted_sweep_waits_and_does_not_spin),
	    TEST(removals_that_wait_hold_up_no_disarm),
	    TEST(removals_that_hang_delay_no_revocation_and_no_expiry),
	    TEST(slow_removals_keep_no_batch_of_disarms_small),
	    TEST(removal_that_finds_no_worker_pauses_no_disarm),
	    TEST(removal_waits_in_the_store_while_memory_has_no_room_for_it),
	    TEST(revoked_is_gone),
	    TEST(revocation_is_durable_before_it_is_answered_and_never_forgotten),
	    TEST(revocation_that_cannot_end_access_says_why),
	    TEST(revocation_during_the_mint_wins),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
