/*
 * Leases whose records do not open: whoever may revoke reaches their accounts, and a person may let
 * them be forgotten.
 */
#include "store/store_private.h"
#include "unit/lease/fixture.h"

#define DAMAGE                                                                                     \
	"UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || substr(sealed, "   \
	"39)"                                                                                      \
	" AS BLOB)"

static void
sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

/* Puts it in quarantine. */
static void
meet(struct fix *f, int64_t id)
{
	struct store_lease *row = NULL;

	assert_int_equal(store_lease_get(store_db(f->store), id, &row, NULL), LEASED_ECORRUPT);
	settle(f);
}

static void
bulk_revocation_ends_damaged_leases_before_it_is_told_as_finished(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600), r = {0}, late = {0};
	struct lease_scope scope = {
	    .kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = "creds/app"};

	/* One that is known as damaged, and one that the job itself meets. */
	sql(f, DAMAGE);
	meet(f, a.row);
	fake_port_set_down(f->fake, true);
	lease_job_start(f->leases, &scope, 2000, "req-9", on_job, &late);
	later(f, 4000);
	assert_int_equal(late.count, 1);
	assert_false(late.status.finished);
	assert_int_equal(late.status.waiting, 2);
	fake_port_set_down(f->fake, false);
	later(f, 61000);
	lease_job_start(f->leases, &scope, 10000, "req-9", on_job, &r);
	later(f, 6000);
	assert_int_equal(r.count, 1);
	assert_true(r.status.finished);
	assert_false(account_of(f, &a)->armed);
	assert_false(account_of(f, &b)->armed);
}

static void
bulk_revocation_leaves_damaged_leases_of_others_alone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};
	struct lease_scope scope = {
	    .kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = "creds/ap"};

	sql(f, DAMAGE);
	meet(f, a.row);
	lease_job_start(f->leases, &scope, 10000, "req-9", on_job, &r);
	later(f, 12000);
	assert_true(r.status.finished);
	assert_true(account_of(f, &a)->armed);
	later(f, 1000);
	make(f, 60);
	scope.text = "";
	lease_job_start(f->leases, &scope, 0, "req-9", on_job, &r);
	later(f, 12000);
	assert_false(account_of(f, &a)->armed);
}

static void
damaged_lease_is_forgotten_by_force_once_its_account_is_disarmed(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0}, again = {0};
	struct lease_actor root = {"root", ""};
	struct store_damaged damaged;
	struct leased_err err = LEASED_ERR_INIT;
	char id[LEASE_ID_MAX];
	json_t *text;

	sql(f, DAMAGE);
	assert_int_equal(lease_damaged_find(f->leases, a.lease_id, &damaged, &err), LEASED_ENOENT);
	meet(f, a.row);
	assert_int_equal(lease_damaged_find(f->leases, a.lease_id, &damaged, &err), 0);
	text = lease_damaged_describe(f->leases, &damaged);
	assert_string_equal(json_string_value(json_object_get(text, "account")), a.account);
	(void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(text, "id")));
	json_decref(text);
	store_damaged_clear(&damaged);
	assert_int_equal(lease_damaged_find(f->leases, id, &damaged, &err), 0);
	store_damaged_clear(&damaged);
	id[0] = 'x'; /* another mount */
	assert_int_equal(lease_damaged_find(f->leases, id, &damaged, &err), LEASED_ENOENT);

	lease_damaged_forget(f->leases, a.row, &root, on_revoked, &r);
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_RECORDED);
	later(f, 1000);
	assert_false(account_of(f, &a)->armed);
	assert_int_equal(store_lease_any(store_db(f->store), f->connection, &err), 0);
	lease_damaged_forget(f->leases, a.row, &root, on_revoked, &again);
	settle(f);
	assert_int_equal(again.state, LEASE_REVOKE_DISARMED);
	assert_non_null(strstr(again.err.text, a.account));
	assert_int_equal(store_lease_any(store_db(f->store), f->connection, &err), LEASED_ENOENT);
}

static void
damaged_lease_holds_no_cap_after_a_recount(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 36000), b = make(f, 36000);

	sql(f, DAMAGE " WHERE id = 1");
	assert_int_equal(a.row, 1);
	assert_int_equal(counter(f, "role:1"), 2);
	later(f, 70000);
	assert_int_equal(counter(f, "role:1"), 1);
	assert_int_equal(counter(f, "conn:1"), 1);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	assert_int_equal(counter(f, "role:1"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(bulk_revocation_ends_damaged_leases_before_it_is_told_as_finished),
	    TEST(bulk_revocation_leaves_damaged_leases_of_others_alone),
	    TEST(damaged_lease_is_forgotten_by_force_once_its_account_is_disarmed),
	    TEST(damaged_lease_holds_no_cap_after_a_recount),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
