/*
 * The life of one lease, step by step: issue, renewal, expiry, revocation, and each failure at each
 * of them (design: the life of a credential).
 */
#include "unit/lease/fixture.h"

/* ---- issue ---- */

static void
intent_is_durable_before_the_backend_is_asked(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_MINT), 0);
	store_pump(f->store);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_MINT), 1);
	assert_true(row_is(f, 1, STORE_LEASE_INTENT));
	assert_int_equal(row_of(f, 1)->next_at_ms, leases_now_ms(f->leases) + LEASE_INTENT_MS);
	assert_string_equal(row_of(f, 1)->account,
	    json_string_value(json_object_get(
		json_object_get(fake_port_params(f->fake, PLUGIN_OP_MINT), "account"), "name")));
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
}

static void
live_is_durable_before_the_client_is_answered(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_MINT, 0, "{\"handle\":\"7\"}"));
	assert_int_equal(a.count, 0);
	assert_true(row_is(f, 1, STORE_LEASE_INTENT));
	store_pump(f->store);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, 0);
	assert_true(row_is(f, 1, STORE_LEASE_LIVE));
	assert_string_equal(data_of(f, 1).handle, "7");
}

static void
issued_lease_tells_the_truth(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(a.ttl_s, 60);
	assert_int_equal(strlen(a.password), ID_PASSWORD_LEN);
	assert_string_equal(account_of(f, &a)->password, a.password);
	assert_memory_equal(a.account, "l-", 2);
	assert_memory_equal(a.account + 2, store_tag(f->store), 6);
	assert_memory_equal(a.lease_id, "database/creds/app/", 19);
	assert_int_equal(lease_find(f->leases, a.lease_id, &row, &err), 0);
	assert_int_equal(row->id, a.row);
	assert_int_equal(row->next_at_ms, leases_now_ms(f->leases) + 60000);
	store_lease_free(row);
	a.lease_id[strlen(a.lease_id) - 1] ^= 1;
	assert_int_equal(lease_find(f->leases, a.lease_id, &row, &err), LEASED_ENOENT);
	check_at_rest(f);
}

static void
mint_that_was_not_sent_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no grant");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_EREFUSED);
	assert_string_equal(a.err.text, "no grant");
	assert_int_equal(row_count(f), 0);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], 0);
	check_at_rest(f);
}

static void
mint_that_failed_after_it_was_sent_is_taken_back_at_once(void **state)
{
	struct fix *f = *state;
	const int codes[] = {LEASED_EREFUSED, LEASED_ETIMEDOUT, LEASED_ECRASHED, LEASED_EUNAVAIL};

	for (size_t i = 0; i < 4; i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 60);

		fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, codes[i], "broken");
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		assert_int_equal(a.count, 1);
		assert_int_equal(a.code, codes[i]);
		later(f, 2000);
		assert_int_equal(row_count(f), 0);
		check_at_rest(f);
	}
}

static void
failed_mint_says_so_to_remove(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);
	const json_t *account;

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	fake_port_answer(f->fake, PLUGIN_OP_MINT, LEASED_EREFUSED, "half done");
	store_pump(f->store); /* the mark */
	leases_tick(f->leases);
	assert_true(
	    fake_port_answer(f->fake, PLUGIN_OP_DISARM, 0, "{\"results\":[{\"ok\":true}]}"));
	store_pump(f->store); /* DISARMED */
	leases_tick(f->leases);
	account = json_array_get(
	    json_object_get(fake_port_params(f->fake, PLUGIN_OP_REMOVE), "accounts"), 0);
	assert_true(json_is_true(json_object_get(account, "failed_mint")));
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 1);
}

static void
connection_in_back_off_answers_without_an_intent(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = {0};
	struct lease_issue issue = issue_of(f, 60);

	fake_port_set_down(f->fake, true);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(row_count(f), 0);
	f->no_port = true;
	lease_issue_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_EUNAVAIL);
	f->no_port = false;
}

static void
lost_answer_is_revoked_at_once(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600);

	lease_delivery(f->leases, a.row, false);
	lease_delivery(f->leases, b.row, true);
	settle(f);
	assert_null(row_of(f, a.row));
	assert_true(data_of(f, b.row).delivered);
	check_at_rest(f);
}

static void
caps_hold_exactly_under_64_racing_issues(void **state)
{
	struct fix *f = *state;
	struct answer answers[64];
	unsigned good = 0;

	memset(answers, 0, sizeof(answers));
	for (unsigned i = 0; i < 64; i++) {
		struct lease_issue issue = issue_of(f, 60);

		issue.caps[0].limit = 20;
		lease_issue_start(f->leases, &issue, on_issued, &answers[i]);
	}
	settle(f);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(answers[i].count, 1);
		good += answers[i].code == 0;
		assert_true(answers[i].code == 0 || answers[i].code == LEASED_ELIMIT);
	}
	assert_int_equal(good, 20);
	assert_int_equal(counter(f, "role:1"), 20);
	assert_int_equal(counter(f, "conn:1"), 20);
	later(f, 61000);
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 0);
}

/* ---- expiry ---- */

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
	json_decref(shown);
	r = revoke(f, a.row);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	assert_string_equal(r.err.text, "owns table t in database shop");
	account_of(f, &a)->blocked[0] = '\0';
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

/* ---- revoke ---- */

static void
revoked_is_gone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r;
	struct store_tombstone *tombstone = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	r = revoke(f, a.row);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_null(account_of(f, &a));
	assert_int_equal(store_tombstone_get(store_db(f->store), a.row, &tombstone, &err), 0);
	assert_string_equal(
	    json_string_value(json_object_get(tombstone->data, "revoke_cause")), "req-3");
	store_tombstone_free(tombstone);
	r = revoke(f, a.row); /* unknown: gone */
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
	r = revoke(f, a.row);
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

/* ---- renew ---- */

static void
renewal_counts_from_now_and_tells_the_backend_first(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	later(f, 30000);
	request.ttl.increment_s = 100;
	lease_renew_start(f->leases, &request, on_renewed, &r);
	leases_tick(f->leases);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	assert_int_equal(row_of(f, a.row)->next_at_ms, leases_now_ms(f->leases) + 30000);
	fake_port_pump(f->fake);
	assert_int_equal(r.count, 0);
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.ttl_s, 100);
	assert_int_equal(row_of(f, a.row)->next_at_ms, leases_now_ms(f->leases) + 100000);
	later(f, 99500);
	assert_true(account_of(f, &a)->armed);
	later(f, 1000);
	assert_null(account_of(f, &a));
}

static void
renewal_that_the_backend_refuses_keeps_the_old_end(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r;

	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no");
	r = renew(f, a.row, 500);
	assert_int_equal(r.code, LEASED_EREFUSED);
	later(f, 60000);
	assert_null(row_of(f, a.row));
}

static void
revocation_beats_a_renewal_in_flight(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), n = {0}, r = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &n);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	store_pump(f->store);
	leases_tick(f->leases);
	/* disarm waits for the worker's call */
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 0);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	settle(f);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	assert_string_equal(n.err.text, "lease expired");
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	check_at_rest(f);
}

static void
lease_that_ends_during_its_renewal_stays_ended(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 5), n = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &n);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	settle(f);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
renewal_of_a_deleted_role_or_beyond_the_max_is_refused(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0}, r = {0};
	struct lease_renew request = {.ttl = issue.ttl, .role_deleted = true};

	issue.ttl.role_max_s = 100;
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	request.row = a.row;
	lease_renew_start(f->leases, &request, on_renewed, &r);
	settle(f);
	assert_int_equal(r.code, LEASED_EINVAL);
	assert_non_null(strstr(r.err.text, "lease is not renewable"));
	/* The role's max was raised meanwhile: the snapshot's still holds. */
	later(f, 50000);
	r = renew(f, a.row, 500);
	assert_int_equal(r.ttl_s, 50);
	assert_non_null(strstr(r.warning, "exceeded the effective max_ttl of \"1m40s\""));
	assert_int_equal(renew(f, 999, 10).code, LEASED_ENOENT);
}

/* ---- zombies ---- */

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

/* ---- preflight ---- */

static void
preflight_goes_through_a_whole_life_and_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 0);
	struct fake_port_counts counts;

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, 0);
	counts = fake_port_counts(f->fake);
	assert_int_equal(counts.calls[PLUGIN_OP_MINT], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_CHECK], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_DISARM], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_REMOVE], 1);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
preflight_says_which_step_failed_and_ends_its_canary(void **state)
{
	struct fix *f = *state;
	const enum plugin_op steps[] = {
	    PLUGIN_OP_MINT, PLUGIN_OP_CHECK, PLUGIN_OP_DISARM, PLUGIN_OP_REMOVE};

	for (size_t i = 0; i < 4; i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 0);

		fake_port_fault(
		    f->fake, steps[i], FAKE_FAULT_BEFORE, LEASED_EDENIED, "GRANT is missing");
		lease_preflight_start(f->leases, &issue, on_probed, &a);
		settle(f);
		assert_int_equal(a.count, 1);
		assert_int_equal(a.code, LEASED_EDENIED);
		assert_string_equal(a.err.text, "GRANT is missing");
		later(f, 3000);
		assert_int_equal(row_count(f), 0);
		check_at_rest(f);
	}
}

static void
canary_of_a_daemon_that_died_is_ended(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 0);

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	while (fake_port_account_count(f->fake) == 0)
		turn(f);
	fix_crash(f, true);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_ECANCELED);
	later(f, 61000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(intent_is_durable_before_the_backend_is_asked),
	    TEST(live_is_durable_before_the_client_is_answered),
	    TEST(issued_lease_tells_the_truth),
	    TEST(mint_that_was_not_sent_leaves_nothing),
	    TEST(mint_that_failed_after_it_was_sent_is_taken_back_at_once),
	    TEST(failed_mint_says_so_to_remove),
	    TEST(connection_in_back_off_answers_without_an_intent),
	    TEST(lost_answer_is_revoked_at_once),
	    TEST(caps_hold_exactly_under_64_racing_issues),
	    TEST(expiry_is_never_early_and_soon),
	    TEST(disarmed_is_durable_before_remove_is_asked),
	    TEST(refused_disarm_is_tried_again_by_itself),
	    TEST(account_that_owns_something_stays_disarmed_with_the_reason),
	    TEST(moved_server_keeps_everything_and_needs_a_person),
	    TEST(outage_writes_nothing_and_drains_at_once_after_it),
	    TEST(one_account_that_kills_workers_is_found_and_the_rest_goes),
	    TEST(revoked_is_gone),
	    TEST(revocation_is_durable_before_it_is_answered_and_never_forgotten),
	    TEST(revocation_that_cannot_end_access_says_why),
	    TEST(revocation_during_the_mint_wins),
	    TEST(renewal_counts_from_now_and_tells_the_backend_first),
	    TEST(renewal_that_the_backend_refuses_keeps_the_old_end),
	    TEST(revocation_beats_a_renewal_in_flight),
	    TEST(lease_that_ends_during_its_renewal_stays_ended),
	    TEST(renewal_of_a_deleted_role_or_beyond_the_max_is_refused),
	    TEST(create_that_lands_after_its_worker_died_leaves_nothing),
	    TEST(no_disarm_before_the_dead_workers_session_is_reaped),
	    TEST(zombie_of_a_dead_daemon_is_reaped_at_the_next_start),
	    TEST(account_of_a_cut_call_is_looked_for_once_more),
	    TEST(preflight_goes_through_a_whole_life_and_leaves_nothing),
	    TEST(preflight_says_which_step_failed_and_ends_its_canary),
	    TEST(canary_of_a_daemon_that_died_is_ended),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
