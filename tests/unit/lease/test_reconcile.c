/*
 * Reconcile: what is positively known as ended is disarmed, everything else is told, and removed on
 * command; nobody else's account is touched, and no lease.
 */
#include "lease/ended.h"
#include "lease/hold.h"
#include "store/store_private.h"
#include "unit/lease/fixture_reconcile.h"

static void
accounts_of_leases_are_left_alone(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600), intent = {0};
	struct lease_issue issue = issue_of(f, 3600);
	const struct reconcile_report *report;
	unsigned disarms, removes;

	snprintf(account_of(f, &b)->blocked, 128, "owns table t");
	(void)revoke_row(f, b.row);
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_HANG, 0, "");
	lease_issue_start(f->leases, &issue, on_issued, &intent);
	settle(f);
	disarms = fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM];
	removes = fake_port_counts(f->fake).calls[PLUGIN_OP_REMOVE];
	report = reconcile(f, true);
	assert_int_equal(report->err.code, 0);
	assert_int_equal(report->accounts, 2);
	assert_int_equal(json_array_size(report->findings), 0);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], disarms);
	assert_in_range(fake_port_counts(f->fake).calls[PLUGIN_OP_REMOVE], removes, removes + 1);
	assert_true(account_of(f, &a)->armed);
	fake_port_crash(f->fake);
	account_of(f, &b)->blocked[0] = '\0';
	later(f, 70000);
	check_at_rest(f);
}

static void
account_whose_number_was_given_out_and_has_no_row_is_disarmed_and_stays(void **state)
{
	struct fix *f = *state;
	struct answer a, b = make(f, 3600);
	const char *name = b.account;
	const struct reconcile_report *report;

	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	wclock_fake_advance(&f->clock, INT64_C(25) * 3600 * 1000000);
	later(f, 61000); /* its tombstone is gone as well */
	a = make(f, 3600);
	add(f, name);
	report = reconcile(f, false);
	assert_int_equal(report->ended, 1);
	assert_int_equal(report->disarmed, 1);
	assert_found(report, "ended", name);
	assert_false(is_armed(f, name));
	assert_int_equal(fake_port_account(f->fake, name)->sessions, 0);
	assert_true(account_of(f, &a)->armed);
	/* Again: it is told, and there is nothing to do. */
	report = reconcile(f, false);
	assert_int_equal(report->ended, 1);
	assert_int_equal(report->disarmed, 0);
}

static void
number_that_was_given_out_twice_proves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	char name[64];

	/* A copied machine gives the same numbers out: its lease of this one may live. */
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	add(f, name_of_number(f, a.row, name));
	assert_string_not_equal(name, a.account);
	assert_found(reconcile(f, false), "unknown", name);
	assert_true(is_armed(f, name));
}

static void
account_that_takes_its_worker_along_does_not_keep_the_others(void **state)
{
	struct fix *f = *state;
	const struct reconcile_report *report;
	struct answer answers[3];

	for (unsigned i = 0; i < 3; i++)
		answers[i] = make(f, 3600);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(revoke_row(f, answers[i].row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	for (unsigned i = 0; i < 3; i++)
		add(f, answers[i].account);
	/* All together, and then the first one alone. */
	for (unsigned i = 0; i < 2; i++)
		fake_port_fault(
		    f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_ETIMEDOUT, "no answer");
	report = reconcile(f, false);
	assert_int_equal(report->err.code, 0);
	assert_int_equal(report->ended, 3);
	assert_int_equal(report->disarmed, 2);
	assert_int_equal(report->refused, 1);
	assert_true(is_armed(f, answers[0].account));
	assert_false(is_armed(f, answers[1].account) || is_armed(f, answers[2].account));
	assert_int_equal(reconcile(f, false)->disarmed, 1);
}

static void
account_of_a_tombstone_is_disarmed_whatever_its_name(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 3600);
	const struct reconcile_report *report;

	issue.role_version = rolever_make(f, "templated",
	    "{\"role\":{},\"role_id\":1,\"name_max\":63,"
	    "\"username_template\":\"x.{{random 16}}\"}");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, 0);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	add(f, a.account); /* somebody restored the backend */
	report = reconcile(f, false);
	assert_found(report, "ended", a.account);
	assert_int_equal(report->disarmed, 1);
	assert_false(is_armed(f, a.account));
	/* A day later nothing is known of it any more: templates make any name. */
	fake_port_account(f->fake, a.account)->armed = true;
	wclock_fake_advance(&f->clock, INT64_C(25) * 3600 * 1000000);
	later(f, 61000);
	report = reconcile(f, false);
	assert_found(report, "unknown", a.account);
	assert_true(is_armed(f, a.account));
}

static void
what_the_store_does_not_know_is_told_and_left(void **state)
{
	struct fix *f = *state;
	const char *tag = store_tag(f->store);
	char later_number[64], own[64], token[64], theirs[64], short_tag[64];
	const struct reconcile_report *report;

	(void)make(f, 3600);
	assert_int_equal(token_make(f, 0, 60), 2);
	add(f, name_of_number(f, 77, later_number)); /* was never given out */
	add(f, name_of_number(f, 2, token));         /* is somebody else's number */
	snprintf(own, sizeof(own), "l-%s-by.hand", tag);
	snprintf(theirs, sizeof(theirs), "l-zzzzzz-app-1abcdefghijklm");
	snprintf(short_tag, sizeof(short_tag), "l-%s", tag);
	add(f, own);
	add(f, theirs);
	add(f, short_tag);
	add(f, "postgres");
	report = reconcile(f, false);
	assert_int_equal(report->unknown, 3);
	assert_int_equal(report->ended + report->missing + report->rearmed, 0);
	assert_found(report, "unknown", later_number);
	assert_found(report, "unknown", token);
	assert_found(report, "unknown", own);
	assert_true(is_armed(f, later_number) && is_armed(f, own) && is_armed(f, token));
	(void)reconcile(f, true);
	assert_null(fake_port_account(f->fake, later_number));
	assert_null(fake_port_account(f->fake, own));
	/* Names without our tag are nobody's business, whatever is asked. */
	assert_true(is_armed(f, theirs) && is_armed(f, short_tag) && is_armed(f, "postgres"));
}

static void
number_in_a_name_proves_nothing_once_templates_were_used(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer a = {0};
	char name[64];

	issue.role_version = rolever_make(f, "templated",
	    "{\"role\":{},\"role_id\":1,\"name_max\":63,"
	    "\"username_template\":\"{{role}}-{{random 14}}\"}");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, 0);
	fix_crash(f, true);
	assert_int_equal(make(f, 3600).row, 2);
	assert_int_equal(revoke_row(f, 2).state, LEASE_REVOKE_GONE);
	add(f, name_of_number(f, 2, name));
	assert_found(reconcile(f, false), "unknown", name);
	assert_true(is_armed(f, name));
}

static void
lease_without_its_account_is_told_unless_it_is_just_being_made(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 86400), b;
	const struct reconcile_report *report;

	later(f, 120000);
	b = make(f, 86400);
	later(f, 10000);
	fake_port_drop_account(f->fake, a.account);
	fake_port_drop_account(f->fake, b.account);
	report = reconcile(f, true);
	assert_int_equal(report->missing, 1);
	assert_found(report, "missing", a.account);
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	later(f, 120000);
	assert_int_equal(reconcile(f, false)->missing, 2);
}

static void
lease_whose_account_has_another_tag_is_not_missed(void **state)
{
	struct fix *f = *state;

	/* As in a restored store, where the old tag sorts before the new one. */
	(void)make(f, 86400);
	later(f, 120000);
	assert_true(strcmp(store_tag(f->store), "zzzzzz") < 0);
	snprintf(f->store->tag, sizeof(f->store->tag), "zzzzzz");
	assert_int_equal(reconcile(f, false)->missing, 0);
}

static void
disarmed_account_that_can_log_in_again_is_told_and_disarmed_by_every_run(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	snprintf(account_of(f, &a)->blocked, 128, "owns table t");
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_DISARMED);
	later(f, 2000);
	account_of(f, &a)->armed = true; /* the backend was restored */
	atomic_store(&f->store->hold.below, a.row);
	f->store->hold.hold.held = true;
	assert_found(reconcile(f, false), "rearmed", a.account);
	assert_true(account_of(f, &a)->armed);
	f->store->hold.hold.held = false;
	atomic_store(&f->store->hold.below, 0);
	assert_int_equal(reconcile(f, false)->disarmed, 1);
	assert_false(account_of(f, &a)->armed);
	account_of(f, &a)->armed = true;
	assert_found(reconcile(f, true), "rearmed", a.account);
	assert_false(account_of(f, &a)->armed);
	account_of(f, &a)->blocked[0] = '\0';
	later(f, 120000);
	check_at_rest(f);
}

static void
account_of_a_lease_in_quarantine_is_told_and_left(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	const struct reconcile_report *report;

	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE lease SET account = 'l-xxxxxx-other'", NULL, NULL, NULL),
	    SQLITE_OK);
	/* Found damaged by the very comparison, which looks again then. */
	report = reconcile(f, true);
	assert_found(report, "damaged", a.account);
	assert_int_equal(report->removing, 0);
	assert_non_null(account_of(f, &a));
}

static void
account_whose_record_lost_its_name_is_told_and_left(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	const struct reconcile_report *report;

	/* Neither what is sealed nor the column names it any more: its number does. */
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite,
		"UPDATE lease SET account = 'l-xxxxxx-other', sealed = x'00'", NULL, NULL, NULL),
	    SQLITE_OK);
	report = reconcile(f, true);
	assert_found(report, "damaged", a.account);
	assert_int_equal(report->removing, 0);
	assert_true(account_of(f, &a)->armed);
}

static void
account_in_quarantine_that_can_log_in_again_is_disarmed(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600), r = {0};
	struct lease_actor root = {"root", ""};
	struct store_lease *row = NULL;
	const struct reconcile_report *report;

	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE lease SET sealed = x'00'", NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(store_lease_get(store_db(f->store), a.row, &row, NULL), LEASED_ECORRUPT);
	assert_int_equal(store_lease_get(store_db(f->store), b.row, &row, NULL), LEASED_ECORRUPT);
	settle(f);
	lease_damaged_forget(f->leases, a.row, &root, on_revoked, &r);
	later(f, 2000);
	assert_false(account_of(f, &a)->armed);
	account_of(f, &a)->armed = true; /* the backend was restored */
	f->store->hold.hold.held = true;
	assert_found(reconcile(f, false), "rearmed", a.account);
	assert_true(account_of(f, &a)->armed);
	f->store->hold.hold.held = false;
	report = reconcile(f, false);
	assert_found(report, "rearmed", a.account);
	assert_int_equal(report->disarmed, 1);
	assert_false(account_of(f, &a)->armed);
	/* One whose access was never ended has it until its lease ends. */
	assert_found(report, "damaged", b.account);
	assert_true(account_of(f, &b)->armed);
	assert_found(reconcile(f, false), "damaged", a.account);
}

static void
orphans_are_removed_by_leases_of_their_own(void **state)
{
	struct fix *f = *state;
	const char *tag = store_tag(f->store);
	struct answer a = make(f, 3600);
	const struct reconcile_report *report;
	struct store_tombstone *tombstone = NULL;
	struct lease_ended ended;
	struct leased_err err = LEASED_ERR_INIT;
	char names[3][64];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(names[i], sizeof(names[i]), "l-%s-orphan.%u", tag, i);
		add(f, names[i]);
	}
	report = reconcile(f, true);
	assert_int_equal(report->unknown, 3);
	assert_int_equal(report->removing, 3);
	assert_int_equal(report->left, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_null(fake_port_account(f->fake, names[i]));
	assert_int_equal(
	    store_tombstone_get_account(store_db(f->store), names[1], &tombstone, &err), 0);
	assert_int_equal(lease_ended_decode(tombstone->data, &ended, &err), 0);
	assert_int_equal(ended.end, LEASE_END_ORPHAN);
	assert_string_equal(ended.end_by, "ops");
	assert_string_equal(ended.place, RECONCILE_PLACE);
	store_tombstone_free(tombstone);
	assert_true(account_of(f, &a)->armed);
	assert_int_equal(reconcile(f, false)->unknown, 0);
	check_at_rest(f);
}

static void
orphan_that_cannot_be_removed_is_tried_on_and_said(void **state)
{
	struct fix *f = *state;
	char name[64];
	const struct reconcile_report *report;

	snprintf(name, sizeof(name), "l-%s-owner", store_tag(f->store));
	snprintf(add(f, name)->blocked, 128, "owns table t");
	report = reconcile(f, true);
	assert_int_equal(report->removing, 1);
	assert_int_equal(report->left, 1);
	assert_false(is_armed(f, name));
	/* It has a lease by now: no second one. */
	assert_int_equal(reconcile(f, true)->removing, 0);
	assert_int_equal(row_count(f), 1);
	fake_port_account(f->fake, name)->blocked[0] = '\0';
	later(f, 120000);
	assert_null(fake_port_account(f->fake, name));
	check_at_rest(f);
}

static void
many_accounts_are_compared_page_by_page(void **state)
{
	struct fix *f = *state;
	const struct reconcile_report *report;
	struct answer last = {0};
	char name[64], foreign[64];

	for (unsigned i = 0; i < 300; i++)
		last = make(f, 86400);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "l-%s-orphan.%u", store_tag(f->store), i);
		add(f, name);
		snprintf(foreign, sizeof(foreign), "l-%u.someone", i);
		add(f, foreign);
	}
	later(f, 120000);
	fake_port_drop_account(f->fake, last.account);
	report = reconcile(f, false);
	assert_int_equal(report->accounts, 1299);
	assert_int_equal(report->unknown, 1000);
	assert_int_equal(report->missing, 1);
	assert_true(report->cut || json_array_size(report->findings) == 1001);
	assert_in_range(fake_port_counts(f->fake).calls[PLUGIN_OP_INVENTORY], 6, 6);
	report = reconcile(f, true);
	assert_int_equal(report->removing, 1000);
	assert_int_equal(report->left, 0);
	assert_int_equal(fake_port_account_count(f->fake), 299 + 1000);
}

static void
on_released(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

/* As `leased restore` does: what is there is the original's, and a new tag begins. */
static void
restored(struct fix *f, int64_t below)
{
	struct store_hold hold = {.held = true, .below = below, .since_wall_ms = 1};
	struct leased_err err = LEASED_ERR_INIT;

	snprintf(hold.old_tag, sizeof(hold.old_tag), "%s", store_tag(f->store));
	assert_int_equal(store_hold_begin(f->store->writer_db, &hold, &err), 0);
	assert_int_equal(store_hold_load(f->store, &err), 0);
	snprintf(f->store->tag, sizeof(f->store->tag), "zzzzzz");
}

static void
accounts_of_a_restored_store_are_compared_when_its_hold_is_over(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 86400), gone = make(f, 86400), b;
	struct lease_actor root = {"root", ""};
	const struct reconcile_report *report;
	int released = -1;
	struct leased_err err = LEASED_ERR_INIT;
	char newer[64], another[64];

	assert_int_equal(revoke_row(f, gone.row).state, LEASE_REVOKE_GONE);
	later(f, 120000);
	name_of_number(f, gone.row + 1, newer);
	name_of_number(f, gone.row + 2, another);
	restored(f, gone.row);
	add(f, gone.account);
	add(f, newer); /* the original made it after the backup */
	b = make(f, 86400);
	report = reconcile(f, false);
	assert_int_equal(report->accounts, 1);
	assert_int_equal(json_array_size(report->findings), 0);
	assert_true(is_armed(f, gone.account) && is_armed(f, newer));
	f->by_itself = true;
	lease_hold_release(f->leases, &root, on_released, &released);
	later(f, 10000);
	assert_int_equal(released, 0);
	/* By itself, behind the release: what the copy knows as ended. */
	assert_false(is_armed(f, gone.account));
	assert_true(is_armed(f, newer));
	report = reconcile(f, false);
	assert_int_equal(report->accounts, 4);
	assert_found(report, "ended", gone.account);
	assert_found(report, "unknown", newer);
	assert_int_equal(report->missing, 0);
	assert_int_equal(reconcile(f, true)->removing, 2);
	assert_null(fake_port_account(f->fake, newer));
	assert_true(account_of(f, &a)->armed && account_of(f, &b)->armed);
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	/* And after a start. */
	add(f, another);
	assert_int_equal(store_hold_load(f->store, &err), 0);
	assert_found(reconcile(f, false), "unknown", another);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(accounts_of_leases_are_left_alone),
	    TEST(account_whose_number_was_given_out_and_has_no_row_is_disarmed_and_stays),
	    TEST(number_that_was_given_out_twice_proves_nothing),
	    TEST(account_that_takes_its_worker_along_does_not_keep_the_others),
	    TEST(account_of_a_tombstone_is_disarmed_whatever_its_name),
	    TEST(what_the_store_does_not_know_is_told_and_left),
	    TEST(number_in_a_name_proves_nothing_once_templates_were_used),
	    TEST(lease_without_its_account_is_told_unless_it_is_just_being_made),
	    TEST(lease_whose_account_has_another_tag_is_not_missed),
	    TEST(disarmed_account_that_can_log_in_again_is_told_and_disarmed_by_every_run),
	    TEST(account_of_a_lease_in_quarantine_is_told_and_left),
	    TEST(account_whose_record_lost_its_name_is_told_and_left),
	    TEST(account_in_quarantine_that_can_log_in_again_is_disarmed),
	    TEST(orphans_are_removed_by_leases_of_their_own),
	    TEST(orphan_that_cannot_be_removed_is_tried_on_and_said),
	    TEST(accounts_of_a_restored_store_are_compared_when_its_hold_is_over),
	    TEST(many_accounts_are_compared_page_by_page),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
