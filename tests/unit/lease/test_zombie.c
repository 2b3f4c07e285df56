/*
 * Creates that land after the worker or the daemon that sent them has died.
 */
#include "unit/lease/fixture.h"

static void
create_that_lands_after_its_worker_died_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b;
	struct lease_issue issue = issue_of(f, 60);

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	for (unsigned i = 0; i < 20 && a.count == 0; i++)
		turn(f);
	assert_int_equal(a.code, LEASED_ECRASHED);
	settle(f);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_REAP], 1);
	assert_int_equal(row_count(f), 0);
	fake_port_land(f->fake);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	b = make(f, 60);
	assert_int_equal(b.code, 0);
	check_at_rest(f);
}

static void
no_disarm_before_the_dead_workers_session_is_reaped(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = make(f, 5);
	struct lease_issue issue = issue_of(f, 60);

	for (unsigned i = 0; i < 3; i++)
		fake_port_fault(
		    f->fake, PLUGIN_OP_REAP, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no right");
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, LEASED_ECRASHED);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], 0);
	later(f, 5000); /* the other account goes on meanwhile */
	assert_null(row_of(f, b.row));
	later(f, 30000);
	assert_int_equal(row_count(f), 0);
	fake_port_land(f->fake);
	assert_int_equal(fake_port_account_count(f->fake), 0);
}

static void
revocation_behind_a_fence_ends_once_the_fence_is_gone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), n = {0}, r = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 3600).ttl};

	fake_port_fault(f->fake, PLUGIN_OP_REAP, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no right");
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	lease_renew_start(f->leases, &request, on_renewed, &n);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	settle(f);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], 0);
	later(f, 5000);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
revocation_while_the_port_is_away_ends_without_being_told(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};

	f->no_port = true;
	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	later(f, 3000);
	assert_true(account_of(f, &a)->armed);
	f->no_port = false; /* and nobody calls leases_port_opened() */
	later(f, 3000);
	assert_null(account_of(f, &a));
}

static void
zombie_of_a_dead_daemon_is_reaped_at_the_next_start(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ETIMEDOUT, "died");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	while (fake_port_pending(f->fake, PLUGIN_OP_MINT) == 0)
		turn(f);
	fake_port_port(f->fake)->events.on_worker_gone = NULL;
	while (fake_port_pending(f->fake, PLUGIN_OP_MINT) != 0)
		(void)(store_pump(f->store) + fake_port_pump(f->fake));
	fix_crash(f, false); /* the outcome was never written down */
	assert_true(row_is(f, 1, STORE_LEASE_INTENT));
	later(f, 15000);
	assert_true(fake_port_counts(f->fake).calls[PLUGIN_OP_REAP] >= 1);
	assert_int_equal(row_count(f), 0);
	fake_port_land(f->fake);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	check_at_rest(f);
}

static void
intents_of_a_dead_daemon_do_not_wait_for_their_deadline(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = {0}, c = make(f, 30);
	struct lease_issue issue = issue_of(f, 60);

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	lease_issue_start(f->leases, &issue, on_issued, &b);
	while (fake_port_pending(f->fake, PLUGIN_OP_MINT) < 2)
		(void)(leases_tick(f->leases) + store_pump(f->store));
	fix_crash(f, false);
	assert_int_equal(row_count(f), 3);
	later(f, 1000);
	assert_int_equal(row_count(f), 1);
	assert_true(row_is(f, c.row, STORE_LEASE_LIVE)); /* due soon is not due */
	check_at_rest(f);
}

static void
session_of_a_worker_that_answers_is_not_reaped(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = make(f, 3600), r = {0};
	struct lease_issue issue = issue_of(f, 3600);
	struct lease_renew request = {.row = b.row, .ttl = issue_of(f, 3600).ttl};

	fake_port_fault(
	    f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, LEASED_EUNAVAIL, "statement timeout");
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_AFTER, LEASED_EUNAVAIL, "refused");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	lease_renew_start(f->leases, &request, on_renewed, &r);
	settle(f);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(r.code, LEASED_EUNAVAIL);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_REAP], 0);
	assert_int_equal(fake_port_counts(f->fake).sessions, 1);
	assert_int_equal(row_count(f), 1);
	check_at_rest(f);
}

static void
renewal_behind_a_fence_is_refused_until_it_is_gone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), n = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 3600).ttl};

	fake_port_fault(f->fake, PLUGIN_OP_REAP, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no right");
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	lease_renew_start(f->leases, &request, on_renewed, &n);
	settle(f);
	assert_int_equal(n.code, LEASED_ECRASHED);
	n = renew(f, a.row, 60);
	assert_int_equal(n.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(n.err.text, "cut off"));
	later(f, 5000);
	assert_int_equal(renew(f, a.row, 60).code, 0);
	assert_true(TAILQ_EMPTY(&f->leases->fences));
	check_at_rest(f);
}

/* Whose role renews by statements of its own. */
static struct answer
make_renewed_by_statements(struct fix *f, int64_t ttl_s)
{
	f->role_version = rolever_make(f, "2",
	    "{\"role\":{\"renew_statements\":[\"ALTER ROLE {{name}} LOGIN\"]},\"role_id\":1,"
	    "\"name_max\":63}");
	return (make(f, ttl_s));
}

static void
renewal_that_a_dead_daemon_left_is_reaped_before_the_disarm(void **state)
{
	struct fix *f = *state;
	struct answer a = make_renewed_by_statements(f, 10), n = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 3600).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &n);
	wclock_fake_advance(&f->clock, 10 * 1000000);
	fix_crash(f, false);
	fake_port_fault(f->fake, PLUGIN_OP_REAP, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no right");
	settle(f);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_REAP], 1);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], 0);
	later(f, 3000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
session_that_cannot_be_reaped_delays_no_lease_for_long(void **state)
{
	struct fix *f = *state;
	struct answer plain = make(f, 10), a = make_renewed_by_statements(f, 10);

	fix_crash(f, false);
	for (unsigned i = 0; i < 30; i++)
		fake_port_fault(
		    f->fake, PLUGIN_OP_REAP, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no right");
	later(f, 10000);
	assert_null(account_of(f, &plain)); /* no renewal of it can have given access */
	assert_true(account_of(f, &a)->armed);
	later(f, 3000);
	assert_null(account_of(f, &a));
	check_at_rest(f);
}

static void
many_that_wait_for_a_reap_end_as_soon_as_it_is_done(void **state)
{
	struct fix *f = *state;

	(void)make_renewed_by_statements(f, 10);
	for (unsigned i = 0; i < 200; i++) /* several pages of a sweep */
		(void)make(f, 10);
	wclock_fake_advance(&f->clock, 10 * 1000000);
	fix_crash(f, false);
	settle(f); /* the clock stands */
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
account_of_a_cut_call_is_looked_for_once_more(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);
	char name[256];

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	snprintf(name, sizeof(name), "%s", row_of(f, 1)->account);
	fake_port_answer(f->fake, PLUGIN_OP_MINT, LEASED_ETIMEDOUT, NULL);
	settle(f);
	assert_int_equal(row_count(f), 0);
	(void)fake_port_add_account(f->fake, name); /* it landed after all */
	later(f, 560000);
	assert_int_equal(fake_port_account_count(f->fake), 1);
	later(f, 90000);
	assert_int_equal(fake_port_account_count(f->fake), 0);
}

static void
second_look_counts_only_on_the_accounts_server(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);
	struct store_tombstone *tombstone = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	char name[256];

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	snprintf(name, sizeof(name), "%s", row_of(f, 1)->account);
	fake_port_answer(f->fake, PLUGIN_OP_MINT, LEASED_ETIMEDOUT, NULL);
	(void)fake_port_add_account(f->fake, name);
	settle(f);
	assert_int_equal(row_count(f), 0);
	fake_port_set_server(f->fake, "another");
	later(f, 700000);
	assert_int_equal(store_tombstone_get(store_db(f->store), 1, &tombstone, &err), 0);
	assert_true(tombstone->look_again_ms > 0);
	store_tombstone_free(tombstone);
	fake_port_set_server(f->fake, "fake-server-1");
	(void)fake_port_add_account(f->fake, name);
	later(f, 100000);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	assert_int_equal(store_tombstone_get(store_db(f->store), 1, &tombstone, &err), 0);
	assert_int_equal(tombstone->look_again_ms, 0);
	store_tombstone_free(tombstone);
}

/* Another server knows no such account, and that must not count as its end. */
static void
lost_mint_is_ended_on_the_server_that_it_was_made_on(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer first = make(f, 3600), a = {0};

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, LEASED_ECRASHED, "died");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	while (fake_port_account_count(f->fake) < 2)
		(void)turn(f);
	fix_crash(f, false);
	fake_port_set_server(f->fake, "another");
	later(f, 120000);
	assert_int_equal(fake_port_account_count(f->fake), 2);
	assert_int_equal(row_count(f), 2);
	fake_port_set_server(f->fake, "fake-server-1");
	later(f, 120000);
	assert_int_equal(fake_port_account_count(f->fake), 1);
	assert_true(account_of(f, &first)->armed);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lost_mint_is_ended_on_the_server_that_it_was_made_on),
	    TEST(create_that_lands_after_its_worker_died_leaves_nothing),
	    TEST(no_disarm_before_the_dead_workers_session_is_reaped),
	    TEST(revocation_behind_a_fence_ends_once_the_fence_is_gone),
	    TEST(revocation_while_the_port_is_away_ends_without_being_told),
	    TEST(zombie_of_a_dead_daemon_is_reaped_at_the_next_start),
	    TEST(intents_of_a_dead_daemon_do_not_wait_for_their_deadline),
	    TEST(session_of_a_worker_that_answers_is_not_reaped),
	    TEST(renewal_behind_a_fence_is_refused_until_it_is_gone),
	    TEST(renewal_that_a_dead_daemon_left_is_reaped_before_the_disarm),
	    TEST(session_that_cannot_be_reaped_delays_no_lease_for_long),
	    TEST(many_that_wait_for_a_reap_end_as_soon_as_it_is_done),
	    TEST(account_of_a_cut_call_is_looked_for_once_more),
	    TEST(second_look_counts_only_on_the_accounts_server),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
