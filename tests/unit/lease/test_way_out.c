/*
 * What a lease on its way out holds in memory and tells of itself: counts, waiters, reasons.
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
damage(struct fix *f)
{
	sql(f, "UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || "
	       "substr(sealed, 39)"
	       " AS BLOB)");
}

/* Until a call of op is on its way, and not answered. */
static void
until_called(struct fix *f, enum plugin_op op)
{
	for (unsigned i = 0; fake_port_pending(f->fake, (int)op) == 0; i++) {
		assert_true(i < 100);
		(void)fake_port_pump(f->fake);
		(void)store_pump(f->store);
		(void)leases_tick(f->leases);
	}
}

static void
record_that_is_damaged_during_its_removal_holds_nothing_in_memory(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};

	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	until_called(f, PLUGIN_OP_REMOVE);
	damage(f); /* between DISARMED and GONE */
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_FAILED);
	assert_memory_equal(r.err.text, "access ended, not recorded", 26);
	assert_null(account_of(f, &a));
	assert_null(lease_busy(f->leases, a.row));
	assert_true(TAILQ_EMPTY(&f->leases->parked));
	check_counts(f);
}

static void
record_that_is_damaged_during_its_disarm_keeps_the_account_without_access(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};

	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	until_called(f, PLUGIN_OP_DISARM);
	damage(f);
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	assert_non_null(strstr(r.err.text, a.account)); /* a person is to drop it */
	later(f, 3000);
	assert_non_null(account_of(f, &a));
	assert_false(account_of(f, &a)->armed);
	assert_null(lease_busy(f->leases, a.row));
	check_counts(f);
}

static void
every_way_out_gives_its_count_back(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10), c = make(f, 10), d = make(f, 30);

	account_of(f, &a)->stubborn = true;
	snprintf(account_of(f, &b)->blocked, 128, "owns table t");
	later(f, 11000); /* refused: disarm and remove; gone */
	assert_null(row_of(f, c.row));
	check_counts(f);
	fake_port_fault(f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_EUNAVAIL, "away");
	later(f, 20000);
	fake_port_set_down(f->fake, true); /* released */
	later(f, 5000);
	check_counts(f);
	account_of(f, &a)->stubborn = false;
	account_of(f, &b)->blocked[0] = '\0';
	sql(f, "PRAGMA query_only = 1");
	fake_port_set_down(f->fake, false);
	later(f, 70000); /* parked */
	assert_int_equal(fake_port_account_count(f->fake), 0);
	assert_false(TAILQ_EMPTY(&f->leases->parked));
	check_counts(f);
	sql(f, "PRAGMA query_only = 0");
	later(f, 5000);
	assert_null(row_of(f, d.row));
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

struct asked {
	struct fix *f;
	int64_t row;
	unsigned count;
	enum lease_revoke_state state;
	char revoke_error[256];
};

static void
on_revoked_look(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct asked *asked = arg;
	json_t *shown = lease_describe(asked->f->leases, row_of(asked->f, asked->row));
	const char *text = json_string_value(json_object_get(shown, "revoke_error"));

	(void)err;
	asked->count++;
	asked->state = state;
	snprintf(asked->revoke_error, sizeof(asked->revoke_error), "%s", text ? text : "null");
	json_decref(shown);
}

static void
reason_is_in_the_record_when_the_answer_tells_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600);
	struct asked refused = {.f = f, .row = a.row}, slow = {.f = f, .row = b.row};

	snprintf(account_of(f, &a)->blocked, 128, "owns table t in database shop");
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked_look, &refused);
	settle(f);
	assert_int_equal(refused.count, 1);
	assert_int_equal(refused.state, LEASE_REVOKE_DISARMED);
	assert_string_equal(refused.revoke_error, "owns table t in database shop");
	fake_port_fault(f->fake, PLUGIN_OP_REMOVE, FAKE_FAULT_HANG, 0, NULL);
	lease_revoke_start(f->leases, b.row, 10000, "req-3", on_revoked_look, &slow);
	later(f, 10500);
	assert_int_equal(slow.state, LEASE_REVOKE_DISARMED);
	assert_non_null(strstr(slow.revoke_error, "still removing the account"));
}

static void
connection_that_is_gone_is_forgotten_once_nothing_is_under_way(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};
	struct plugin_port_events events = leases_port_events(f->leases);

	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	until_called(f, PLUGIN_OP_DISARM);
	leases_connection_gone(f->leases, f->connection);
	(void)leases_tick(f->leases);
	assert_non_null(lease_connection_find(f->leases, f->connection));
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_null(lease_connection_find(f->leases, f->connection));
	/* What its workers still say of themselves makes no new entry. */
	events.on_worker_gone(events.arg, fake_port_port(f->fake), "fake-1");
	events.on_session_end(events.arg, fake_port_port(f->fake), "fake-1", "session-1");
	leases_connection_gone(f->leases, f->connection);
	assert_null(lease_connection_find(f->leases, f->connection));
	assert_non_null(lease_connection_find(f->leases, 0)); /* tokens */

	leases_port_opened(f->leases, fake_port_port(f->fake));
	a = make(f, 10);
	later(f, 11000);
	assert_null(row_of(f, a.row));
	assert_non_null(lease_connection_find(f->leases, f->connection));
	check_at_rest(f);
}

static void
refused_end_is_tried_at_once_when_its_connection_is_opened_anew(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10), b = make(f, 10), live = make(f, 3600);
	int64_t fails;

	account_of(f, &a)->stubborn = true;
	snprintf(account_of(f, &b)->blocked, 128, "owns table t in database shop");
	later(f, 300000);
	fails = data_of(f, a.row).fails;
	/* Its next try is up to a minute away: whatever comes first is no such chance. */
	while (data_of(f, a.row).fails == fails)
		later(f, 500);
	while (data_of(f, b.row).fails == fails)
		later(f, 500);
	account_of(f, &a)->stubborn = false;
	account_of(f, &b)->blocked[0] = '\0';
	leases_port_opened(f->leases, fake_port_port(f->fake));
	later(f, 1000);
	assert_null(row_of(f, a.row));
	assert_null(row_of(f, b.row));
	assert_true(row_is(f, live.row, STORE_LEASE_LIVE));
	check_at_rest(f);
}

/* .. and once: opening is no reason to try on and on. */
static void
opening_a_connection_tries_what_was_refused_once(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	int64_t fails;

	account_of(f, &a)->stubborn = true;
	later(f, 400000);
	fails = data_of(f, a.row).fails;
	while (data_of(f, a.row).fails == fails)
		later(f, 500);
	leases_port_opened(f->leases, fake_port_port(f->fake));
	later(f, 10000);
	assert_int_equal(data_of(f, a.row).fails, fails + 2);
	account_of(f, &a)->stubborn = false;
	later(f, 76000);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(refused_end_is_tried_at_once_when_its_connection_is_opened_anew),
	    TEST(opening_a_connection_tries_what_was_refused_once),
	    TEST(record_that_is_damaged_during_its_removal_holds_nothing_in_memory),
	    TEST(record_that_is_damaged_during_its_disarm_keeps_the_account_without_access),
	    TEST(every_way_out_gives_its_count_back),
	    TEST(connection_that_is_gone_is_forgotten_once_nothing_is_under_way),
	    TEST(reason_is_in_the_record_when_the_answer_tells_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
