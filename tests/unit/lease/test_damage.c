/*
 * What a full disk and damaged records do to leases: access ends all the same, and the record
 * follows.
 */
#include "store/store_private.h"
#include "unit/lease/fixture.h"

static void
sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static void
disk_full(struct fix *f, bool full)
{
	sql(f, full ? "PRAGMA query_only = 1" : "PRAGMA query_only = 0");
}

static void
revocation_on_a_full_disk_ends_access_and_says_so(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0}, m = {0};
	struct lease_issue issue = issue_of(f, 3600);

	disk_full(f, true);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	settle(f);
	later(f, 3000);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_FAILED);
	assert_int_equal(r.err.code, LEASED_ENOSPC);
	assert_memory_equal(r.err.text, "access ended, not recorded", 26);
	assert_null(account_of(f, &a));
	lease_issue_start(f->leases, &issue, on_issued, &m);
	settle(f);
	assert_int_equal(m.code, LEASED_ENOSPC);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	disk_full(f, false);
	later(f, 5000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

/* No row of a lease can be changed. */
static void
store_refuses(struct fix *f, bool refuses)
{
	sql(f, refuses ? "CREATE TEMP TRIGGER no BEFORE UPDATE ON main.lease"
			 " BEGIN SELECT RAISE(FAIL, 'as the test asked'); END"
		       : "DROP TRIGGER no");
}

static void
undelivered_lease_is_marked_again_until_the_store_takes_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600);

	store_refuses(f, true);
	fake_port_set_down(f->fake, true); /* memory alone cannot end it */
	lease_delivery(f->leases, a.row, false);
	lease_delivery(f->leases, b.row, false);
	later(f, 5000);
	assert_false(row_of(f, a.row)->revoke);
	assert_int_equal(f->leases->unmarked.count, 2);
	store_refuses(f, false);
	later(f, 1500);
	assert_true(row_of(f, a.row)->revoke);
	assert_true(row_of(f, b.row)->revoke);
	assert_int_equal(f->leases->unmarked.count + f->leases->unmarked.trying, 0);
	fix_crash(f, false);
	fake_port_set_down(f->fake, false);
	later(f, 2000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
undelivered_token_is_ended_when_the_store_takes_it(void **state)
{
	struct fix *f = *state;
	int64_t token = token_make(f, 0, 0);

	store_refuses(f, true);
	lease_delivery(f->leases, token, false);
	later(f, 3000);
	assert_true(token_is_there(f, token));
	store_refuses(f, false);
	later(f, 3000);
	assert_false(token_is_there(f, token));
	assert_int_equal(f->leases->unmarked.count + f->leases->unmarked.trying, 0);
}

static void
undelivered_lease_ends_though_its_mark_cannot_be_written(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	store_refuses(f, true);
	lease_delivery(f->leases, a.row, false);
	settle(f);
	assert_null(account_of(f, &a));
	later(f, 2000);
	assert_int_equal(
	    f->leases->unmarked.count + f->leases->unmarked.trying, 0); /* no row, no mark */
	store_refuses(f, false);
	check_at_rest(f);
}

static void
nothing_is_handed_out_while_many_revocations_are_not_on_disk(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), m = {0};
	struct lease_issue issue = issue_of(f, 3600);

	store_refuses(f, true);
	fake_port_set_down(f->fake, true);
	for (unsigned i = 0; i < LEASE_UNMARKED_MAX + 10; i++)
		lease_delivery(f->leases, a.row, false);
	settle(f);
	assert_int_equal(f->leases->unmarked.count, LEASE_UNMARKED_MAX);
	fake_port_set_down(f->fake, false);
	lease_issue_start(f->leases, &issue, on_issued, &m);
	settle(f);
	assert_int_equal(m.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(m.err.text, "nothing is handed out"));
	store_refuses(f, false);
	later(f, 3000);
	assert_int_equal(f->leases->unmarked.count + f->leases->unmarked.trying, 0);
	assert_int_equal(make(f, 60).code, 0);
	check_at_rest(f);
}

static void
expiry_on_a_full_disk_ends_access_once(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10);
	unsigned calls;

	disk_full(f, true);
	later(f, 11000);
	assert_null(account_of(f, &a));
	assert_null(account_of(f, &b));
	calls = fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM];
	later(f, 60000);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], calls);
	assert_int_equal(row_count(f), 2);
	disk_full(f, false);
	later(f, 5000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
expiry_on_a_full_disk_ends_access_to_more_than_memory_has_slots_for(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < LEASE_ENDING_MAX + 50; i++)
		(void)make(f, 10);
	disk_full(f, true);
	wclock_fake_advance(&f->clock, 10 * 1000000);
	settle(f);
	later(f, 2000);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	disk_full(f, false);
	later(f, 5000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
expiry_on_a_full_disk_is_repeated_after_a_restart(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);

	disk_full(f, true);
	later(f, 11000);
	disk_full(f, false);
	fix_crash(f, false);
	later(f, 2000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
worker_that_starts_on_a_full_disk_may_end_and_not_mint(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), m = {0};
	struct lease_issue issue = issue_of(f, 3600);
	struct store_session *sessions = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0;

	fake_port_crash(f->fake);
	settle(f);
	disk_full(f, true);
	later(f, 11000);
	assert_null(account_of(f, &a));
	lease_issue_start(f->leases, &issue, on_issued, &m);
	settle(f);
	assert_int_equal(m.code, LEASED_ENOSPC);
	disk_full(f, false);
	later(f, 2000);
	assert_int_equal(make(f, 60).code, 0);
	assert_int_equal(
	    store_session_list(store_db(f->store), f->connection, &sessions, &count, &err), 0);
	assert_int_equal(count, 1);
	store_session_list_free(sessions, count);
}

/* ---- records ---- */

struct spoil_op {
	struct store_op op;
	int64_t id;
};

static int
on_spoil(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int r = store_lease_get(store_txn_db(txn), ((struct spoil_op *)op)->id, &row, err);

	if (r != 0)
		return (r);
	json_object_set_new(row->data, "of a newer version", json_true());
	r = store_lease_update(txn, row, err);
	store_lease_free(row);
	return (r);
}

static void
record_that_cannot_be_read_keeps_no_account_alive(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10);
	struct spoil_op op = {.op.run = on_spoil, .id = a.row};

	store_submit(f->store, &op.op);
	store_pump(f->store);
	assert_int_equal(op.op.result, 0);
	later(f, 9000);
	assert_true(account_of(f, &a)->armed);
	later(f, 3000);
	assert_null(account_of(f, &a));
	assert_null(account_of(f, &b));
	assert_int_equal(row_count(f), 0);
}

static void
record_that_cannot_be_read_can_be_revoked(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600);
	struct spoil_op op = {.op.run = on_spoil, .id = a.row}, other = op;

	store_submit(f->store, &op.op);
	other.id = b.row;
	store_submit(f->store, &other.op);
	store_pump(f->store);
	assert_int_equal(op.op.result, 0);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	assert_null(account_of(f, &a));
	lease_delivery(f->leases, b.row, false);
	settle(f);
	assert_null(account_of(f, &b));
	assert_int_equal(row_count(f), 0);
}

static void
quarantined_lease_is_disarmed_at_its_deadline_and_never_removed(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), b = make(f, 60);
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	sql(f, "UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || "
	       "substr(sealed, 39)"
	       " AS BLOB) WHERE id = 1");
	assert_int_equal(a.row, 1);
	assert_int_equal(store_lease_get(store_db(f->store), a.row, &row, &err), LEASED_ECORRUPT);
	settle(f);
	later(f, 50000);
	assert_true(account_of(f, &a)->armed);
	later(f, 20000);
	assert_non_null(account_of(f, &a));
	assert_false(account_of(f, &a)->armed);
	assert_null(account_of(f, &b));
	later(f, 120000);
	assert_non_null(account_of(f, &a));
}

static void
quarantined_lease_is_disarmed_when_its_answer_is_lost_or_it_is_revoked(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600), r = {0};

	sql(f, "UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || "
	       "substr(sealed, 39)"
	       " AS BLOB)");
	lease_delivery(f->leases, a.row, false);
	later(f, 3000);
	assert_false(account_of(f, &a)->armed);
	assert_int_equal(f->leases->unmarked.count + f->leases->unmarked.trying, 0);
	assert_true(account_of(f, &b)->armed);
	lease_revoke_start(f->leases, b.row, 10000, "req-3", on_revoked, &r);
	settle(f);
	later(f, 3000);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	assert_non_null(strstr(r.err.text, b.account));
	assert_false(account_of(f, &b)->armed);
}

static struct answer
make_of_token(struct fix *f, int64_t token)
{
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 3600);
	char owner[32];

	snprintf(owner, sizeof(owner), "token:%lld", (long long)token);
	issue.owner = owner;
	issue.owner_token = token;
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, 0);
	return (a);
}

static void
quarantined_token_does_not_keep_its_family_alive(void **state)
{
	struct fix *f = *state;
	int64_t parent = token_make(f, 0, 0), first = token_make(f, parent, 0);
	int64_t damaged = token_make(f, parent, 0), last = token_make(f, parent, 0);
	struct answer own = make_of_token(f, damaged), a = make_of_token(f, first), r = {0};
	struct answer b = make_of_token(f, last);
	struct lease_scope scope = {.kind = LEASE_SCOPE_TOKEN, .token = parent};
	struct store_token token;
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(damaged, 3);
	sql(f, "UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || "
	       "substr(sealed, 39)"
	       " AS BLOB) WHERE id = 3");
	lease_job_start(f->leases, &scope, 5000, "req-9", on_job, &r);
	settle(f);
	later(f, 5500);
	assert_int_equal(r.count, 1);
	assert_true(r.status.finished);
	assert_null(row_of(f, a.row));
	assert_null(row_of(f, b.row));
	assert_null(row_of(f, own.row));
	assert_false(token_is_there(f, parent));
	assert_false(token_is_there(f, last));
	assert_int_equal(
	    store_token_get_id(store_db(f->store), damaged, &token, &err), LEASED_ENOENT);
	assert_int_equal(fake_port_account_count(f->fake), 0);
}

/* ---- counters ---- */

static void
damaged_counters_are_recounted_from_the_rows(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer a = make(f, 36000), b = make(f, 36000), refused = {0};

	assert_int_equal(counter(f, "role:1"), 2);
	sql(f, "UPDATE counter SET value = 1000000 WHERE name = 'role:1'");
	sql(f, "DELETE FROM counter WHERE name = 'conn:1'");
	sql(f, "INSERT INTO counter (name, value) VALUES ('entity:nobody', 3), ('other', 5)");
	issue.caps[0].limit = 5;
	lease_issue_start(f->leases, &issue, on_issued, &refused);
	settle(f);
	assert_int_equal(refused.code, LEASED_ELIMIT);
	later(f, 70000);
	assert_int_equal(counter(f, "role:1"), 2);
	assert_int_equal(counter(f, "conn:1"), 2);
	assert_int_equal(counter(f, "entity:nobody"), 0);
	assert_int_equal(counter(f, "other"), 5);
	assert_int_equal(counter(f, "+"), 0);
	assert_int_equal(counter(f, "+role:1"), 0);
	(void)make(f, 3600);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	check_at_rest(f);
	/* And again half a day later. */
	sql(f, "UPDATE counter SET value = 9 WHERE name = 'role:1'");
	wclock_fake_advance(&f->clock, INT64_C(12) * 3600 * 1000000);
	later(f, 5000);
	check_at_rest(f);
}

/* Until the pass has read rows and has not come to their end. */
static void
until_half_way(struct fix *f)
{
	for (unsigned i = 0; i < 1000 && counter(f, "+") == 0; i++)
		later(f, 500);
	assert_in_range(counter(f, "+"), 1, 200);
}

static void
recount_is_exact_while_leases_come_and_go(void **state)
{
	struct fix *f = *state;
	struct answer made[100];

	for (unsigned i = 0; i < 100; i++)
		made[i] = make(f, 36000);
	sql(f, "UPDATE counter SET value = value + 7");
	until_half_way(f);
	/* Behind the pass, before it, and new. */
	assert_int_equal(revoke_row(f, made[0].row).state, LEASE_REVOKE_GONE);
	assert_int_equal(revoke_row(f, made[99].row).state, LEASE_REVOKE_GONE);
	(void)make(f, 36000);
	(void)make(f, 5);
	later(f, 10000);
	assert_int_equal(counter(f, "+"), 0);
	assert_int_equal(counter(f, "role:1"), 99);
	check_at_rest(f);
}

static void
recount_that_a_crash_cut_off_begins_anew(void **state)
{
	struct fix *f = *state;
	struct answer first = {0};

	for (unsigned i = 0; i < 100; i++) {
		struct answer a = make(f, 36000);

		first = i == 0 ? a : first;
	}
	for (unsigned written = 0; written < 2; written++) {
		sql(f, "UPDATE counter SET value = value + 7 WHERE name NOT LIKE '+%'");
		fix_crash(f, false);
		until_half_way(f);
		fix_crash(f, written != 0);
		if (written == 0)
			(void)revoke_row(f, first.row);
		later(f, 70000);
		assert_int_equal(counter(f, "role:1"), 99);
		check_at_rest(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(revocation_on_a_full_disk_ends_access_and_says_so),
	    TEST(undelivered_lease_is_marked_again_until_the_store_takes_it),
	    TEST(undelivered_token_is_ended_when_the_store_takes_it),
	    TEST(undelivered_lease_ends_though_its_mark_cannot_be_written),
	    TEST(nothing_is_handed_out_while_many_revocations_are_not_on_disk),
	    TEST(expiry_on_a_full_disk_ends_access_once),
	    TEST(expiry_on_a_full_disk_ends_access_to_more_than_memory_has_slots_for),
	    TEST(expiry_on_a_full_disk_is_repeated_after_a_restart),
	    TEST(worker_that_starts_on_a_full_disk_may_end_and_not_mint),
	    TEST(record_that_cannot_be_read_keeps_no_account_alive),
	    TEST(record_that_cannot_be_read_can_be_revoked),
	    TEST(quarantined_lease_is_disarmed_at_its_deadline_and_never_removed),
	    TEST(quarantined_lease_is_disarmed_when_its_answer_is_lost_or_it_is_revoked),
	    TEST(quarantined_token_does_not_keep_its_family_alive),
	    TEST(damaged_counters_are_recounted_from_the_rows),
	    TEST(recount_is_exact_while_leases_come_and_go),
	    TEST(recount_that_a_crash_cut_off_begins_anew),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
