/*
 * Leases without a backend: one write makes them, one ends them, and between the two they are
 * leases like all others.
 */
#include "base/failpoint.h"
#include "lease/abandon.h"
#include "lease/ended.h"
#include "store/hold.h"
#include "store/store_private.h"
#include "unit/lease/fixture.h"

static uint64_t
commits(struct fix *f)
{
	struct store_health health;

	store_health_get(f->store, &health);
	return (health.commits);
}

static void
one_write_is_all_that_comes_before_the_answer(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = plain_issue_of(f, 60);
	struct answer a = {0};
	uint64_t before;

	settle(f);
	before = commits(f);
	lease_plain_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	(void)store_pump(f->store);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, 0);
	assert_int_equal(commits(f), before + 1);
	assert_int_equal(a.ttl_s, 60);
	assert_non_null(strstr(a.lease_id, "database/creds/plain/"));
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	assert_true(plain_is_good(f, a.row));
	assert_int_equal(fake_port_account_count(f->fake), 0);
	check_at_rest(f);
}

static void
it_ends_in_its_time_by_one_write_that_its_engine_need_not_hear_of(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 5);
	struct lease_ended *ended = NULL;
	uint64_t before;

	later(f, 4500);
	assert_true(plain_is_good(f, a.row));
	before = commits(f);
	wclock_fake_advance(&f->clock, 500 * 1000);
	assert_false(plain_is_good(f, a.row)); /* before anything was written */
	settle(f);
	assert_null(row_of(f, a.row));
	assert_int_equal(commits(f), before + 1);
	assert_int_equal(counter(f, "ended-early"), 0);
	assert_int_equal(lease_ended_find(f->leases, a.lease_id, &ended, NULL), 0);
	assert_string_equal(lease_ended_cause(ended), "expired");
	free(ended);
	check_at_rest(f);
}

static void
a_revocation_counts_from_its_mark_on_and_its_engine_hears_of_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 3600), r = {0};
	struct lease_ended *ended = NULL;

	assert_true(plain_is_good(f, a.row));
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	(void)store_pump(f->store);
	assert_false(plain_is_good(f, a.row));
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_int_equal(counter(f, "ended-early"), 1);
	assert_int_equal(lease_ended_find(f->leases, a.lease_id, &ended, NULL), 0);
	assert_string_equal(lease_ended_cause(ended), "revoked");
	free(ended);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	check_at_rest(f);
}

static void
a_renewal_asks_no_backend_and_keeps_what_the_engine_wrote(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 60), r;
	struct lease_issue issue = plain_issue_of(f, 60);
	struct answer fixed = {0};

	fake_port_set_down(f->fake, true);
	later(f, 30000);
	lease_delivery(f->leases, a.row, true);
	r = renew(f, a.row, 120);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.ttl_s, 120);
	later(f, 60000);
	assert_true(plain_is_good(f, a.row));
	assert_true(data_of(f, a.row).delivered);
	assert_int_equal(
	    json_integer_value(json_object_get(lease_record_engine(row_of(f, a.row)), "n")), 7);
	issue.fixed = true;
	lease_plain_start(f->leases, &issue, on_issued, &fixed);
	settle(f);
	r = renew(f, fixed.row, 120);
	assert_int_equal(r.code, LEASED_EINVAL);
	assert_non_null(strstr(r.err.text, "not renewable"));
}

static void
that_its_answer_arrived_is_written_beside_what_its_record_says(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 60), b = make_plain(f, 60), r = {0};

	assert_false(data_of(f, a.row).delivered);
	lease_delivery(f->leases, a.row, true);
	lease_delivery(f->leases, b.row, true);
	/* The mark of a revocation comes first, and the remark must not undo it. */
	lease_revoke_start(f->leases, b.row, 0, "req-4", on_revoked, &r);
	(void)store_pump(f->store);
	assert_false(plain_is_good(f, b.row));
	assert_true(plain_is_good(f, a.row));
	assert_true(data_of(f, a.row).delivered);
	assert_int_equal(
	    json_integer_value(json_object_get(lease_record_engine(row_of(f, a.row)), "n")), 7);
	settle(f);
	assert_null(row_of(f, b.row));
	check_at_rest(f);
}

static void
caps_and_owners_hold_for_it_as_for_all_others(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = plain_issue_of(f, 60);
	struct answer a = make_plain(f, 3600), b = {0}, c = {0};
	int64_t token = token_make(f, 0, 3600);
	char owner[32];

	issue.caps[0].limit = 1;
	lease_plain_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_ELIMIT);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)token);
	issue.owner = owner;
	issue.owner_token = token;
	lease_plain_start(f->leases, &issue, on_issued, &c);
	settle(f);
	assert_int_equal(c.code, 0);
	/* The token's end counts at once, and then its lease goes. */
	lease_job_start(f->leases, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = token},
	    0, "t", on_job, &b);
	(void)store_pump(f->store);
	assert_true(row_is(f, c.row, STORE_LEASE_LIVE));
	assert_false(plain_is_good(f, c.row));
	settle(f);
	assert_null(row_of(f, c.row));
	assert_int_equal(counter(f, "ended-early"), 2);
	memset(&b, 0, sizeof(b));
	lease_plain_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_EEXPIRED);
	check_at_rest(f);
}

static void
thousands_end_in_bulk_beside_those_of_a_backend(void **state)
{
	struct fix *f = *state;
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""};
	static struct answer many[1500];
	struct answer job = {0};
	struct lease_issue issue = plain_issue_of(f, 3600);

	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < 1500; i++)
		lease_plain_start(f->leases, &issue, on_issued, &many[i]);
	(void)make(f, 3600);
	settle(f);
	lease_job_start(f->leases, &scope, 30000, "req-9", on_job, &job);
	later(f, 5000);
	assert_int_equal(job.count, 1);
	assert_true(job.status.finished);
	assert_int_equal(job.status.marked, 1501);
	assert_int_equal(row_count(f), 0);
	assert_int_equal(counter(f, "ended-early"), 1500);
	check_at_rest(f);
}

static void
a_lost_answer_ends_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 3600);

	lease_delivery(f->leases, a.row, false);
	settle(f);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
an_end_that_its_engine_cannot_note_down_is_tried_again(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 5);

	failpoint_fail_next(FAILPOINT_store_commit_fail, LEASED_ENOMEM);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	settle(f);
	later(f, 3000);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
a_damaged_one_is_good_for_nothing_and_may_be_forgotten(void **state)
{
	struct fix *f = *state;
	struct lease_actor actor = {.name = "root", .accessor = ""};
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""};
	struct answer a = make_plain(f, 3600), r = {0}, job = {0};
	char *why = NULL;

	if (sqlite3_exec(f->store->writer_db->sqlite,
		"UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || "
		"substr(sealed, 39) AS BLOB)",
		NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	assert_false(plain_is_good(f, a.row));
	settle(f);
	assert_false(plain_is_good(f, a.row));
	lease_job_start(f->leases, &scope, 10000, "req-9", on_job, &job);
	later(f, 3000);
	assert_int_equal(job.count, 1);
	assert_true(job.status.finished);
	lease_damaged_forget(f->leases, a.row, &actor, on_revoked, &r);
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.state, LEASE_REVOKE_DISARMED);
	r = (struct answer){0};
	lease_damaged_forget(f->leases, a.row, &actor, on_revoked, &r);
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
}

static void
on_abandoned(void *arg, int code, const struct lease_abandoned *left, const struct leased_err *err)
{
	(void)left;
	(void)err;
	*(int *)arg = code;
}

static void
it_is_not_abandoned_but_revoked(void **state)
{
	struct fix *f = *state;
	struct answer a = make_plain(f, 3600);
	struct lease_abandon abandon = {.row = a.row, .reason = "x", .cause = "req"};
	int code = 1;

	lease_abandon_start(f->leases, &abandon, on_abandoned, &code);
	settle(f);
	assert_int_equal(code, LEASED_EINVAL);
	assert_true(plain_is_good(f, a.row));
}

static void
what_an_engine_keeps_has_a_bound(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = plain_issue_of(f, 60);
	struct answer a = {0};
	char *text = calloc(1, LEASE_ENGINE_MAX + 1);
	json_t *large;

	memset(text, 'x', LEASE_ENGINE_MAX);
	large = json_pack("{s:s}", "type", text);
	issue.engine = large;
	lease_plain_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.code, LEASED_ETOOBIG);
	assert_int_equal(row_count(f), 0);
	json_decref(large);
	free(text);
}

static void
a_record_of_before_there_were_any_is_read_as_ever(void **state)
{
	json_t *old =
	    json_pack("{s:I,s:s,s:b}", "expires_ms", (json_int_t)7, "role", "app", "mint_over", 1);
	struct lease_data data;

	(void)state;
	assert_int_equal(lease_data_decode(old, &data, NULL), 0);
	assert_false(data.fixed);
	assert_int_equal(json_object_set_new(old, "engine", json_string("x")), 0);
	assert_int_equal(lease_data_decode(old, &data, NULL), LEASED_ECORRUPT);
	json_decref(old);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(one_write_is_all_that_comes_before_the_answer),
	    TEST(it_ends_in_its_time_by_one_write_that_its_engine_need_not_hear_of),
	    TEST(a_revocation_counts_from_its_mark_on_and_its_engine_hears_of_it),
	    TEST(a_renewal_asks_no_backend_and_keeps_what_the_engine_wrote),
	    TEST(that_its_answer_arrived_is_written_beside_what_its_record_says),
	    TEST(caps_and_owners_hold_for_it_as_for_all_others),
	    TEST(thousands_end_in_bulk_beside_those_of_a_backend),
	    TEST(a_lost_answer_ends_it),
	    TEST(an_end_that_its_engine_cannot_note_down_is_tried_again),
	    TEST(a_damaged_one_is_good_for_nothing_and_may_be_forgotten),
	    TEST(it_is_not_abandoned_but_revoked),
	    TEST(what_an_engine_keeps_has_a_bound),
	    cmocka_unit_test(a_record_of_before_there_were_any_is_read_as_ever),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
