/*
 * When reconcile runs, and what happens meanwhile: changes while the backend is asked, crashes,
 * backends that fail or lie, stores that are held, memory that runs out.
 */
#include "store/store_private.h"
#include "unit/lease/fixture_reconcile.h"

/* ---- what happens meanwhile ---- */

static void
account_that_came_or_went_while_the_backend_was_asked_is_no_finding(void **state)
{
	struct fix *f = *state;
	struct answer old = make(f, 86400), gone = make(f, 86400), ended = make(f, 86400), young;
	const struct reconcile_report *report;
	struct told told = {0};
	char stale[1024];

	later(f, 120000);
	start(f, true, &told);
	until_asked(f);
	/* What the backend says is of this moment; the rest happens before it arrives. */
	snprintf(stale, sizeof(stale),
	    "{\"accounts\":[{\"name\":\"%s\",\"handle\":\"1\",\"armed\":true},"
	    "{\"name\":\"%s\",\"handle\":\"2\",\"armed\":true},"
	    "{\"name\":\"%s\",\"handle\":\"3\",\"armed\":true}],\"more\":false}",
	    old.account, gone.account, ended.account); /* in the order of their numbers */
	snprintf(account_of(f, &ended)->blocked, 128, "owns table t");
	fake_port_fault(f->fake, PLUGIN_OP_INVENTORY, FAKE_FAULT_HANG, 0, "");
	wclock_fake_advance(&f->clock, 50000);
	assert_int_equal(revoke_row(f, gone.row).state, LEASE_REVOKE_GONE);
	assert_int_equal(revoke_row(f, ended.row).state, LEASE_REVOKE_DISARMED);
	young = make(f, 86400);
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_INVENTORY, 0, stale));
	settle(f);
	for (unsigned i = 0; i < 100 && told.count == 0; i++)
		later(f, 300);
	assert_int_equal(told.count, 1);
	report = lease_connection_find(f->leases, f->connection)->reconciling->by_hand;
	assert_int_equal(report->err.code, 0);
	assert_int_equal(json_array_size(report->findings), 0);
	assert_int_equal(report->removing, 0);
	assert_true(account_of(f, &young)->armed && account_of(f, &old)->armed);
	account_of(f, &ended)->blocked[0] = '\0';
	later(f, 120000);
	check_at_rest(f);
}

static void
crash_does_not_forget_what_was_to_be_removed(void **state)
{
	(void)state;
	for (unsigned steps = 0; steps < 24; steps++) {
		struct fix *f = fix_new(steps + 1);
		struct answer a = make(f, 86400);
		struct told told = {0};
		char name[64];

		f->by_itself = true;
		for (unsigned i = 0; i < 300; i++) {
			snprintf(name, sizeof(name), "l-%s-orphan.%u", store_tag(f->store), i);
			add(f, name);
		}
		start(f, true, &told);
		(void)leases_tick(f->leases);
		(void)store_pump(f->store); /* the note is on disk: from here on it is promised */
		for (unsigned i = 0; i < steps; i++)
			(void)turn(f);
		fix_crash(f, steps % 2 == 0);
		later(f, 90000);
		assert_int_equal(fake_port_account_count(f->fake), 1);
		assert_true(account_of(f, &a)->armed);
		check_at_rest(f);
		(void)row_of(f, -1);
		fix_free(f);
	}
}

static void
backend_that_is_down_is_said_and_nothing_is_forgotten(void **state)
{
	struct fix *f = *state;
	const struct reconcile_report *report;

	(void)make(f, 3600);
	fake_port_set_down(f->fake, true);
	report = reconcile(f, true);
	assert_int_equal(report->err.code, LEASED_EUNAVAIL);
	fake_port_set_down(f->fake, false);
	fake_port_fault(
	    f->fake, PLUGIN_OP_INVENTORY, FAKE_FAULT_BEFORE, LEASED_EDENIED, "not for you");
	report = reconcile(f, false);
	assert_int_equal(report->err.code, LEASED_EDENIED);
	assert_string_equal(report->err.text, "not for you");
	check_at_rest(f);
}

static void
plugin_that_names_what_is_not_ours_is_not_believed(void **state)
{
	struct fix *f = *state;
	const struct reconcile_report *report;
	struct told told = {0};

	add(f, "postgres");
	start(f, true, &told);
	until_asked(f);
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_INVENTORY, 0,
	    "{\"accounts\":[{\"name\":\"postgres\",\"armed\":true}],\"more\":false}"));
	settle(f);
	report = lease_connection_find(f->leases, f->connection)->reconciling->by_hand;
	assert_int_equal(report->err.code, LEASED_EPROTO);
	assert_true(is_armed(f, "postgres"));
}

static void
other_server_is_not_compared(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 86400);

	later(f, 120000);
	fake_port_set_server(f->fake, "fake-server-2");
	fake_port_port(f->fake)->moved = true;
	assert_int_equal(reconcile(f, true)->err.code, LEASED_EMOVED);
	/* Where it is configured for the other one, leases of the first are not missed there. */
	fake_port_port(f->fake)->moved = false;
	assert_int_equal(reconcile(f, true)->missing, 0);
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
}

static void
store_that_is_held_ends_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	const char *name = a.account;
	struct told told = {0};

	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	add(f, name);
	f->store->hold.hold.held = true;
	assert_found(reconcile(f, false), "ended", name);
	assert_true(is_armed(f, name));
	start(f, true, &told);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.code, LEASED_EUNAVAIL);
	f->store->hold.hold.held = false;
	assert_int_equal(reconcile(f, false)->disarmed, 1);
}

static void
connection_that_has_no_port_is_said_not_to_have_been_compared(void **state)
{
	struct fix *f = *state;
	struct lease_reconcile all = {.cause = "req-7", .actor = {.name = "ops"}};
	const struct reconcile_report *report;
	struct told told = {0};

	(void)make(f, 3600);
	f->by_itself = true;
	f->no_port = true; /* its record is damaged */
	lease_reconcile_start(f->leases, &all, 60000, on_reconciled, &told);
	later(f, 1000);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.code, 0);
	report = lease_connection_find(f->leases, f->connection)->reconciling->by_hand;
	assert_non_null(report);
	assert_int_equal(report->err.code, LEASED_EUNAVAIL);
	f->no_port = false;
}

static void
run_whose_leases_cannot_be_counted_ends_with_a_word(void **state)
{
	struct fix *f = *state;
	struct told told = {0}, again = {0};
	const struct lease_reconciling *own;
	char name[64];

	(void)make(f, 3600);
	snprintf(name, sizeof(name), "l-%s-orphan", store_tag(f->store));
	add(f, name);
	start(f, true, &told);
	own = lease_connection_find(f->leases, f->connection)->reconciling;
	for (unsigned i = 0; i < 100 && (own->run == NULL || own->run->step != RECONCILE_WAITING);
	     i++) {
		(void)leases_tick(f->leases);
		(void)fake_port_pump(f->fake);
		(void)store_pump(f->store);
	}
	assert_non_null(own->run);
	assert_int_equal(own->run->step, RECONCILE_WAITING);
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "ALTER TABLE lease RENAME TO away", NULL, NULL, NULL),
	    SQLITE_OK);
	for (unsigned i = 0; i < 700 && f->leases->reconcile_job.id != 0; i++)
		later(f, 1000);
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "ALTER TABLE away RENAME TO lease", NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(f->leases->reconcile_job.id, 0);
	assert_int_equal(told.count, 1);
	assert_non_null(own->by_hand);
	assert_int_not_equal(own->by_hand->err.code, 0);
	assert_int_equal(own->by_hand->left, 1);
	/* Else every later one would be refused until the next start. */
	start(f, false, &again);
	later(f, 2000);
	assert_int_equal(again.count, 1);
	assert_int_equal(again.code, 0);
}

static void
one_by_hand_at_a_time(void **state)
{
	struct fix *f = *state;
	struct lease_reconcile nowhere = {.connection = 4711};
	struct told first = {0}, second = {0}, third = {0};
	json_t *answer = NULL;

	start(f, false, &first);
	start(f, false, &second);
	assert_int_equal(second.code, LEASED_ECONFLICT);
	settle(f);
	assert_int_equal(first.count, 1);
	lease_reconcile_start(f->leases, &nowhere, 0, on_reconciled, &third);
	settle(f);
	assert_int_equal(third.count, 1);
	assert_int_equal(lease_reconcile_describe(f->leases, first.status.job, &answer, NULL), 0);
	assert_true(json_is_true(json_object_get(answer, "finished")));
	json_decref(answer);
	assert_int_equal(lease_reconcile_describe(f->leases, 12345, &answer, NULL), LEASED_ENOENT);
}

/* ---- by itself ---- */

static unsigned
inventories(struct fix *f)
{
	return (fake_port_counts(f->fake).calls[PLUGIN_OP_INVENTORY]);
}

static void
it_runs_after_a_start_and_once_a_day(void **state)
{
	struct fix *f = *state;
	struct answer a, b;
	const char *name = b.account;

	f->by_itself = true;
	a = make(f, 3600);
	b = make(f, 3600);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	add(f, name);
	fix_crash(f, true);
	later(f, 20000);
	assert_int_equal(inventories(f), 1);
	assert_false(is_armed(f, name));
	assert_true(account_of(f, &a)->armed);
	fake_port_account(f->fake, name)->armed = true;
	wclock_fake_advance(&f->clock, INT64_C(22) * 3600 * 1000000);
	later(f, 2000);
	assert_int_equal(inventories(f), 1);
	wclock_fake_advance(&f->clock, INT64_C(2) * 3600 * 1000000);
	later(f, 2000);
	assert_int_equal(inventories(f), 2);
	assert_false(is_armed(f, name));
}

static void
failed_one_is_tried_again_after_a_minute(void **state)
{
	struct fix *f = *state;
	struct lease_reconcile_counts counts;

	f->by_itself = true;
	fake_port_fault(
	    f->fake, PLUGIN_OP_INVENTORY, FAKE_FAULT_BEFORE, LEASED_EDENIED, "not for you");
	leases_port_opened(f->leases, fake_port_port(f->fake));
	later(f, 20000);
	assert_int_equal(inventories(f), 1);
	later(f, 65000);
	assert_int_equal(inventories(f), 2);
	leases_reconcile_counts(f->leases, &counts);
	assert_int_equal(counts.runs, 2);
	assert_int_equal(counts.failed, 1);
}

static void
connection_that_goes_takes_its_run_along(void **state)
{
	struct fix *f = *state;
	struct told told = {0};

	start(f, false, &told);
	until_asked(f);
	leases_connection_gone(f->leases, f->connection);
	(void)leases_tick(f->leases);
	assert_int_equal(told.count, 1);
	assert_null(lease_connection_find(f->leases, f->connection));
	(void)lease_connection_get(f->leases, f->connection);
	settle(f);
}

static void
connection_that_goes_takes_along_what_waits_behind_a_run_by_itself(void **state)
{
	struct fix *f = *state;
	struct told told = {0}, again = {0};

	f->by_itself = true;
	fake_port_fault(f->fake, PLUGIN_OP_INVENTORY, FAKE_FAULT_HANG, 0, "");
	leases_port_opened(f->leases, fake_port_port(f->fake));
	later(f, 20000);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_INVENTORY), 1);
	start(f, false, &told);
	(void)leases_tick(f->leases);
	assert_int_equal(told.count, 0);
	leases_connection_gone(f->leases, f->connection);
	(void)leases_tick(f->leases);
	assert_int_equal(told.count, 1);
	assert_true(told.status.finished);
	/* Else every later one would be refused until the next start. */
	start(f, false, &again);
	settle(f);
	assert_int_equal(again.count, 1);
	assert_int_not_equal(again.code, LEASED_ECONFLICT);
}

static void
what_was_found_counts_until_a_run_goes_through_or_the_connection_goes(void **state)
{
	struct fix *f = *state;
	struct lease_reconcile_counts counts;
	char name[64];

	snprintf(name, sizeof(name), "l-%s-orphan", store_tag(f->store));
	add(f, name);
	assert_int_equal(reconcile(f, false)->unknown, 1);
	fake_port_fault(
	    f->fake, PLUGIN_OP_INVENTORY, FAKE_FAULT_BEFORE, LEASED_EDENIED, "not for you");
	assert_int_equal(reconcile(f, false)->err.code, LEASED_EDENIED);
	leases_reconcile_counts(f->leases, &counts);
	assert_int_equal(counts.unknown, 1);
	assert_int_equal(reconcile(f, false)->unknown, 1);
	leases_reconcile_counts(f->leases, &counts);
	assert_int_equal(counts.unknown, 1);
	leases_connection_gone(f->leases, f->connection);
	(void)leases_tick(f->leases);
	assert_null(lease_connection_find(f->leases, f->connection));
	leases_reconcile_counts(f->leases, &counts);
	assert_int_equal(counts.unknown, 0);
}

static void
whoever_waits_at_a_stop_is_told(void **state)
{
	struct fix *f = fix_new(1);
	struct told told = {0};

	(void)state;
	start(f, false, &told);
	until_asked(f);
	fix_free(f);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.code, LEASED_ECANCELED);
}

static void
out_of_memory_anywhere_ends_the_run_with_a_word(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned long n = 1; failed; n++) {
		struct fix *f = fix_new(n);
		struct answer a = make(f, 86400), b = make(f, 86400);
		struct told told = {0};
		char name[64];

		assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
		later(f, 1000);
		add(f, b.account);
		snprintf(name, sizeof(name), "l-%s-orphan", store_tag(f->store));
		add(f, name);
		failalloc_arm(n);
		start(f, n % 2 == 0, &told);
		settle(f);
		failed = failalloc_disarm();
		for (unsigned i = 0; i < 100 && told.count == 0; i++)
			later(f, 300);
		assert_int_equal(told.count, 1);
		(void)reconcile(f, true);
		later(f, 70000);
		assert_true(account_of(f, &a)->armed);
		assert_null(fake_port_account(f->fake, name));
		assert_null(fake_port_account(f->fake, b.account));
		check_at_rest(f);
		(void)row_of(f, -1);
		fix_free(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(account_that_came_or_went_while_the_backend_was_asked_is_no_finding),
	    cmocka_unit_test(crash_does_not_forget_what_was_to_be_removed),
	    TEST(backend_that_is_down_is_said_and_nothing_is_forgotten),
	    TEST(plugin_that_names_what_is_not_ours_is_not_believed),
	    TEST(other_server_is_not_compared),
	    TEST(store_that_is_held_ends_nothing),
	    TEST(connection_that_has_no_port_is_said_not_to_have_been_compared),
	    TEST(run_whose_leases_cannot_be_counted_ends_with_a_word),
	    TEST(one_by_hand_at_a_time),
	    TEST(it_runs_after_a_start_and_once_a_day),
	    TEST(failed_one_is_tried_again_after_a_minute),
	    TEST(connection_that_goes_takes_its_run_along),
	    TEST(connection_that_goes_takes_along_what_waits_behind_a_run_by_itself),
	    TEST(what_was_found_counts_until_a_run_goes_through_or_the_connection_goes),
	    cmocka_unit_test(whoever_waits_at_a_stop_is_told),
	    cmocka_unit_test(out_of_memory_anywhere_ends_the_run_with_a_word),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
