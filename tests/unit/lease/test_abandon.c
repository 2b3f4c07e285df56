/*
 * Abandoning: a record goes by a person's word alone, never for a lease that lives, and what may be
 * left behind is on record.
 */
#include "base/failpoint.h"
#include "lease/abandon.h"
#include "lease/ended.h"
#include "store/store_private.h"
#include "unit/lease/fixture.h"

struct told {
	unsigned count;
	int code;
	struct lease_abandoned left;
	char text[512];
};

static void
on_abandoned(void *arg, int code, const struct lease_abandoned *left, const struct leased_err *err)
{
	struct told *told = arg;

	told->count++;
	told->code = code;
	if (code == 0)
		told->left = *left;
	else
		snprintf(told->text, sizeof(told->text), "%s", err->text);
}

static struct told
abandon(struct fix *f, int64_t row)
{
	struct lease_abandon request = {.row = row,
	    .reason = "the server was scrapped",
	    .cause = "req-9",
	    .actor = {.name = "ops", .accessor = "abcdefghijklmnopqrstuvwx"}};
	struct told told = {0};

	lease_abandon_start(f->leases, &request, on_abandoned, &told);
	assert_int_equal(told.count, 0);
	settle(f);
	assert_int_equal(told.count, 1);
	return (told);
}

/* Marked to be revoked, and its backend does not answer. */
static struct answer
make_stuck(struct fix *f)
{
	struct answer a = make(f, 3600), r = {0};

	fake_port_set_down(f->fake, true);
	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_RECORDED);
	return (a);
}

static void
lease_that_lives_is_not_abandoned(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	struct told told = abandon(f, a.row);

	assert_int_equal(told.code, LEASED_EINVAL);
	assert_non_null(strstr(told.text, "revoke it first"));
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	check_at_rest(f);
}

static void
lease_that_a_restored_store_holds_is_not_abandoned(void **state)
{
	struct fix *f = *state;
	struct answer a = make_stuck(f);
	struct lease_abandon request = {
	    .row = a.row, .reason = "x", .cause = "req-9", .actor = {.name = "ops"}};
	struct told told = {0};

	/* Another leased may be in charge of it, and nothing was tried for it. */
	atomic_store(&f->store->hold.below, a.row);
	lease_abandon_start(f->leases, &request, on_abandoned, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(told.text, "--takeover"));
	atomic_store(&f->store->hold.below, 0);
	assert_non_null(row_of(f, a.row));
	assert_int_equal(abandon(f, a.row).code, 0);
}

static void
mint_that_is_under_way_is_not_abandoned(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer a = {0};
	struct told told;
	int64_t row;

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_HANG, 0, "");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_MINT), 1);
	row = f->leases->busy->id;
	lease_mark(f->leases, row, LEASE_END_REVOKED, "as the test asked");
	settle(f);
	assert_true(row_of(f, row)->revoke);
	told = abandon(f, row);
	assert_int_equal(told.code, LEASED_EINVAL);
	assert_non_null(row_of(f, row));
	fake_port_crash(f->fake);
	later(f, 3000);
	check_at_rest(f);
}

static void
abandoned_lease_is_gone_from_the_books_with_all_that_it_held(void **state)
{
	struct fix *f = *state;
	struct answer a = make_stuck(f);
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct told told = abandon(f, a.row);
	json_t *shown;

	assert_int_equal(told.code, 0);
	assert_string_equal(told.left.account, a.account);
	assert_string_equal(told.left.server, "fake-server-1");
	assert_int_equal(told.left.connection, f->connection);
	assert_false(told.left.disarmed);
	assert_null(row_of(f, a.row));
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 0);
	assert_int_equal(lease_ended_find(f->leases, a.lease_id, &ended, &err), 0);
	assert_int_equal(ended->end, LEASE_END_ABANDONED);
	assert_string_equal(ended->reason, "the server was scrapped");
	assert_string_equal(ended->end_by, "ops");
	assert_string_equal(ended->revoke_cause, "req-9");
	assert_string_equal(ended->server, "fake-server-1");
	assert_non_null(shown = lease_ended_describe(ended, false));
	assert_string_equal(json_string_value(json_object_get(shown, "ended_cause")), "abandoned");
	assert_true(json_is_true(json_object_get(shown, "access_may_be_open")));
	assert_true(json_is_null(json_object_get(shown, "gone_time")));
	json_decref(shown);
	free(ended);
	/* Nobody tries any more. */
	fake_port_set_down(f->fake, false);
	later(f, 120000);
	assert_true(account_of(f, &a)->armed);
	check_counts(f);
}

static void
who_waits_is_told_that_it_was_abandoned(void **state)
{
	struct fix *f = *state;
	struct answer a = make_stuck(f), r = {0};

	lease_revoke_start(f->leases, a.row, 10000, "req-4", on_revoked, &r);
	settle(f);
	assert_int_equal(r.count, 0);
	assert_int_equal(abandon(f, a.row).code, 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_FAILED);
	assert_non_null(strstr(r.err.text, "abandoned"));
}

static void
end_that_is_under_way_goes_on_and_finds_no_row(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};
	unsigned i;

	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	for (i = 0; i < 100 && fake_port_pending(f->fake, PLUGIN_OP_DISARM) == 0; i++) {
		(void)leases_tick(f->leases);
		(void)store_pump(f->store);
	}
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 1);
	assert_int_equal(abandon(f, a.row).code, 0);
	later(f, 3000);
	assert_null(account_of(f, &a)); /* all the better */
	assert_null(row_of(f, a.row));
	check_counts(f);
}

static void
failed_write_leaves_the_lease_as_it_was(void **state)
{
	struct fix *f = *state;
	struct answer a = make_stuck(f);

	failpoint_fail_next(FAILPOINT_lease_abandon_write, LEASED_EIO);
	assert_int_equal(abandon(f, a.row).code, LEASED_EIO);
	assert_true(row_of(f, a.row)->revoke);
	assert_int_equal(counter(f, "role:1"), 1);
	fake_port_set_down(f->fake, false);
	later(f, 3000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
damaged_lease_is_abandoned_by_its_columns(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), revoked = {0};
	struct lease_actor root = {"root", ""};
	struct store_damaged damaged = {0};
	struct store_tombstone *tombstone = NULL;
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_ended *ended = NULL;
	char id[LEASE_ID_MAX];
	struct told told;
	json_t *shown;

	fake_port_set_down(f->fake, true);
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE lease SET sealed = x'00'", NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(store_lease_get(store_db(f->store), a.row, &row, &err), LEASED_ECORRUPT);
	later(f, 1000);
	assert_int_equal(store_damaged_get(store_db(f->store), a.row, &damaged, &err), 0);
	assert_non_null(shown = lease_damaged_describe(f->leases, &damaged));
	snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(shown, "id")));
	json_decref(shown);
	store_damaged_clear(&damaged);
	/* It lives, and has its access: as a sound one, it is revoked first. */
	told = abandon(f, a.row);
	assert_int_equal(told.code, LEASED_EINVAL);
	assert_non_null(strstr(told.text, "revoke it first"));
	lease_damaged_forget(f->leases, a.row, &root, on_revoked, &revoked);
	later(f, 1000);
	assert_int_equal(revoked.state, LEASE_REVOKE_RECORDED);
	told = abandon(f, a.row);
	assert_int_equal(told.code, 0);
	assert_false(told.left.disarmed);
	assert_string_equal(told.left.account, a.account);
	assert_int_equal(
	    store_damaged_get(store_db(f->store), a.row, &damaged, &err), LEASED_ENOENT);
	assert_int_equal(store_tombstone_get(store_db(f->store), a.row, &tombstone, &err), 0);
	assert_string_equal(tombstone->account, a.account);
	store_tombstone_free(tombstone);
	assert_int_equal(lease_ended_find(f->leases, id, &ended, &err), 0);
	assert_int_equal(ended->end, LEASE_END_ABANDONED);
	free(ended);
}

static void
damaged_lease_whose_account_resists_is_abandoned_between_two_tries(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), revoked = {0};
	struct lease_actor root = {"root", ""};
	struct store_lease *row = NULL;
	struct told told;

	account_of(f, &a)->stubborn = true;
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE lease SET sealed = x'00'", NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(store_lease_get(store_db(f->store), a.row, &row, NULL), LEASED_ECORRUPT);
	settle(f);
	lease_damaged_forget(f->leases, a.row, &root, on_revoked, &revoked);
	later(f, 10000);
	assert_true(account_of(f, &a)->armed || account_of(f, &a)->stubborn);
	told = abandon(f, a.row);
	assert_int_equal(told.code, 0);
	assert_string_equal(told.left.account, a.account);
}

static void
what_is_not_there_cannot_be_abandoned(void **state)
{
	struct fix *f = *state;

	assert_int_equal(abandon(f, 4711).code, LEASED_ENOENT);
	assert_int_equal(abandon(f, token_make(f, 0, 60)).code, LEASED_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lease_that_lives_is_not_abandoned),
	    TEST(lease_that_a_restored_store_holds_is_not_abandoned),
	    TEST(mint_that_is_under_way_is_not_abandoned),
	    TEST(abandoned_lease_is_gone_from_the_books_with_all_that_it_held),
	    TEST(who_waits_is_told_that_it_was_abandoned),
	    TEST(end_that_is_under_way_goes_on_and_finds_no_row),
	    TEST(failed_write_leaves_the_lease_as_it_was),
	    TEST(damaged_lease_is_abandoned_by_its_columns),
	    TEST(damaged_lease_whose_account_resists_is_abandoned_between_two_tries),
	    TEST(what_is_not_there_cannot_be_abandoned),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
