/*
 * What a mint wants kept comes back in every later call, as does the end that the backend was told
 * last; whatever else was written into the record meanwhile, and over a crash.
 */
#include "base/failpoint.h"
#include "unit/lease/fixture.h"

#define KEPT "77:s3cret"

/* Turns, but for the port, until a call of op waits. */
static void
until_called(struct fix *f, enum plugin_op op)
{
	for (unsigned i = 0; i < 3000 && fake_port_pending(f->fake, (int)op) == 0; i++) {
		if (i % 4 == 3)
			wclock_fake_advance(&f->clock, 1000000);
		(void)leases_tick(f->leases);
		(void)store_pump(f->store);
		if (fake_port_pending(f->fake, (int)op) == 0)
			(void)fake_port_pump(f->fake);
	}
	assert_true(fake_port_pending(f->fake, (int)op) > 0);
}

/* The account in the call of op that waits. */
static const json_t *
account_in(struct fix *f, enum plugin_op op)
{
	const json_t *params;

	until_called(f, op);
	params = fake_port_params(f->fake, op);
	if (json_object_get(params, "account") != NULL)
		return (json_object_get(params, "account"));
	return (json_array_get(json_object_get(params, "accounts"), 0));
}

static void
assert_text(const json_t *object, const char *field, const char *text)
{
	assert_non_null(json_string_value(json_object_get(object, field)));
	assert_string_equal(json_string_value(json_object_get(object, field)), text);
}

/* Of the lease's end, to disarm and to remove. */
static void
assert_end_has(struct fix *f, const char *kept, const char *expires)
{
	const json_t *account = account_in(f, PLUGIN_OP_DISARM);

	assert_text(account, "kept", kept);
	assert_text(account, "expires", expires);
	account = account_in(f, PLUGIN_OP_REMOVE);
	assert_text(account, "kept", kept);
	assert_text(account, "expires", expires);
	settle(f);
}

static void
note_and_end_reach_every_call_but_the_mint(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0}, r = {0};
	struct lease_renew request = {.ttl = issue.ttl};
	const json_t *account;
	char first[64], second[64];

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\",\"values\":{\"token\":\"t0k\"}}");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	account = account_in(f, PLUGIN_OP_MINT);
	assert_null(json_object_get(account, "kept"));
	assert_null(json_object_get(account, "expires"));
	settle(f);
	assert_int_equal(a.code, 0);
	snprintf(first, sizeof(first), "%s", account_of(f, &a)->expires);
	lease_delivery(f->leases, a.row, true); /* the record is written once more */
	settle(f);
	request.row = a.row;
	request.ttl.increment_s = 600;
	lease_renew_start(f->leases, &request, on_renewed, &r);
	account = account_in(f, PLUGIN_OP_RENEW);
	assert_text(account, "kept", KEPT);
	assert_text(account, "expires", first);
	settle(f);
	assert_int_equal(r.code, 0);
	snprintf(second, sizeof(second), "%s", account_of(f, &a)->expires);
	assert_string_not_equal(first, second);
	fix_crash(f, true);
	assert_int_equal(leases_tick(f->leases) >= 0, 1);
	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	assert_end_has(f, KEPT, second);
	assert_null(row_of(f, a.row));
}

static void
note_outlives_a_bulk_mark_and_refusals(void **state)
{
	struct fix *f = *state;
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = "creds"};
	struct answer a, job = {0};
	char expires[64];

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\"}");
	a = make(f, 3600);
	snprintf(expires, sizeof(expires), "%s", account_of(f, &a)->expires);
	lease_job_start(f->leases, &scope, 0, "req-4", on_job, &job);
	fake_port_fault(f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "no");
	until_called(f, PLUGIN_OP_DISARM);
	settle(f);
	fix_crash(f, true);
	assert_end_has(f, KEPT, expires);
	later(f, 60000);
	assert_null(row_of(f, a.row));
}

static void
canary_has_its_note_too(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0};
	const json_t *account;

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\"}");
	lease_preflight_start(f->leases, &issue, on_probed, &a);
	account = account_in(f, PLUGIN_OP_CHECK);
	assert_text(account, "kept", KEPT);
	account = account_in(f, PLUGIN_OP_DISARM);
	assert_text(account, "kept", KEPT);
	settle(f);
	assert_int_equal(a.code, 0);
	assert_int_equal(row_count(f), 0);
}

/* The record of LIVE could not be written, the account is there: it ends with what memory knows. */
static void
note_ends_an_account_whose_record_could_not_be_written(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0};

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\"}");
	failpoint_setup();
	failpoint_fail_next(FAILPOINT_lease_issue_live, LEASED_EIO);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_text(account_in(f, PLUGIN_OP_DISARM), "kept", KEPT);
	settle(f);
	assert_int_not_equal(a.code, 0);
	later(f, 60000);
	assert_int_equal(fake_port_account_count(f->fake), 0);
}

/* A call on it was cut: it is looked for once more, when its lease is gone. */
static void
second_look_has_the_note(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0};

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\"}");
	fake_port_fault(f->fake, PLUGIN_OP_CHECK, FAKE_FAULT_AFTER, LEASED_ECRASHED, "died");
	lease_preflight_start(f->leases, &issue, on_probed, &a);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(row_count(f), 0);
	assert_text(account_in(f, PLUGIN_OP_DISARM), "kept", KEPT);
	settle(f);
}

static void
note_of_a_backend_that_wants_none_is_absent(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r = {0};

	lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
	assert_null(json_object_get(account_in(f, PLUGIN_OP_DISARM), "kept"));
	settle(f);
}

static void
record_takes_a_note_within_its_bounds_only(void **state)
{
	static char text[PLUGIN_KEPT_MAX + 2];
	struct lease_data data;
	json_t *record = json_object();

	(void)state;
	memset(text, 'x', PLUGIN_KEPT_MAX);
	assert_int_equal(json_object_set_new(record, LEASE_KEPT, json_string(text)), 0);
	assert_int_equal(lease_data_decode(record, &data, NULL), 0);
	text[PLUGIN_KEPT_MAX] = 'x';
	assert_int_equal(json_object_set_new(record, LEASE_KEPT, json_string(text)), 0);
	assert_int_equal(lease_data_decode(record, &data, NULL), LEASED_ECORRUPT);
	assert_int_equal(json_object_set_new(record, LEASE_KEPT, json_integer(7)), 0);
	assert_int_equal(lease_data_decode(record, &data, NULL), LEASED_ECORRUPT);
	json_decref(record);
}

/* Neither lists nor lookups tell it. */
static void
note_is_shown_to_nobody(void **state)
{
	struct fix *f = *state;
	struct answer a;
	json_t *shown;
	char *text;

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\",\"values\":{\"token\":\"t0k-canary\"}}");
	a = make(f, 3600);
	shown = lease_describe(f->leases, row_of(f, a.row));
	assert_non_null(shown);
	text = json_dumps(shown, 0);
	assert_null(strstr(text, "s3cret"));
	free(text);
	json_decref(shown);
	text = json_dumps(row_of(f, a.row)->data, 0);
	assert_non_null(strstr(text, "s3cret"));
	assert_null(strstr(text, "t0k-canary")); /* values are stored nowhere */
	free(text);
}

static void
lack_of_memory_loses_no_note_of_a_lease_that_lives(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 86400);
	bool failed = true;

	fake_port_mints(f->fake, "{\"kept\":\"" KEPT "\",\"values\":{\"token\":\"t0k\"}}");
	for (unsigned long n = 1; failed; n++) {
		struct answer a = {0}, r = {0};
		const json_t *record;

		failalloc_arm(n);
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		failed = failalloc_disarm();
		later(f, 2000);
		assert_int_equal(a.count, 1);
		if (a.code != 0)
			continue;
		record = row_of(f, a.row)->data;
		assert_text(record, "kept", KEPT);
		lease_revoke_start(f->leases, a.row, 0, "req-3", on_revoked, &r);
		assert_text(account_in(f, PLUGIN_OP_DISARM), "kept", KEPT);
		settle(f);
	}
	later(f, 120000);
	assert_int_equal(fake_port_account_count(f->fake), 0);
	assert_int_equal(row_count(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(note_and_end_reach_every_call_but_the_mint),
	    TEST(note_outlives_a_bulk_mark_and_refusals),
	    TEST(canary_has_its_note_too),
	    TEST(note_ends_an_account_whose_record_could_not_be_written),
	    TEST(second_look_has_the_note),
	    TEST(note_of_a_backend_that_wants_none_is_absent),
	    TEST(record_takes_a_note_within_its_bounds_only),
	    TEST(note_is_shown_to_nobody),
	    TEST(lack_of_memory_loses_no_note_of_a_lease_that_lives),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
