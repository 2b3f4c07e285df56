/*
 * Many at once: tokens that expire together, trees of tokens, jobs that an earlier run left. What
 * is in memory stays bounded, and nothing is submitted twice.
 */
#include "lease/job.h"
#include "store/store_private.h"
#include "unit/lease/fixture.h"

#define TOKENS 1000
#define CHILDREN 2000

static unsigned
tasks(struct fix *f)
{
	struct lease_task *task;
	unsigned count = 0;

	TAILQ_FOREACH (task, &f->leases->tasks, entry)
		count++;
	return (count);
}

static void
tokens_that_expire_together_are_ended_a_few_at_a_time(void **state)
{
	struct fix *f = *state;
	unsigned first;

	for (unsigned i = 0; i < TOKENS; i++)
		assert_true(token_make(f, 0, 10) > 0);
	wclock_fake_advance(&f->clock, 11 * 1000000);
	for (unsigned i = 0; i < TOKENS; i++)
		leases_tick(f->leases);
	first = tasks(f);
	assert_in_range(first, 64, LEASE_JOBS_MAX + 8); /* and some of other things */
	for (unsigned i = 0; i < 50; i++) { /* the store is slow: they are not submitted again */
		wclock_fake_advance(&f->clock, LEASE_POLL_MS * 1000);
		leases_tick(f->leases);
	}
	assert_int_equal(tasks(f), first);
	while (turn(f) != 0) {
		assert_in_range(tasks(f), 0, 2 * LEASE_JOBS_MAX);
		assert_in_range(HASH_COUNT(f->leases->jobs), 0, LEASE_JOBS_MAX);
	}
	settle(f);
	assert_int_equal(row_count(f), 0);
	assert_int_equal(f->leases->jobs_active, 0);
}

static void
tree_of_tokens_is_told_as_ended_when_all_of_it_is(void **state)
{
	struct fix *f = *state;
	int64_t root = token_make(f, 0, 0), child = 0;
	struct lease_issue issue = issue_of(f, 3600);
	struct answer r = {0}, a = {0};
	char owner[32];

	for (unsigned i = 0; i < CHILDREN; i++)
		child = token_make(f, root, 0);
	snprintf(owner, sizeof(owner), "token:%lld", (long long)child);
	issue.owner = owner;
	issue.owner_token = child;
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, 0);
	lease_job_start(f->leases, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = root},
	    60000, "req-9", on_job, &r);
	while (r.count == 0) {
		if (turn(f) == 0)
			wclock_fake_advance(&f->clock, 100 * 1000);
		assert_in_range(
		    HASH_COUNT(f->leases->jobs), 0, LEASE_JOBS_KEPT_MAX + LEASE_JOBS_MAX);
		assert_in_range(f->leases->jobs_active, 0, LEASE_JOBS_MAX + LEASE_JOBS_PAGE);
	}
	assert_true(r.status.finished);
	settle(f);
	assert_int_equal(row_count(f), 0);
	assert_int_equal(HASH_COUNT(f->leases->jobs), 0);
	check_at_rest(f);
}

static void
tree_that_is_too_large_to_be_followed_is_not_told_as_ended(void **state)
{
	struct fix *f = *state;
	int64_t root = token_make(f, 0, 0);
	struct answer r = {0};
	char owner[32];

	for (unsigned i = 0; i < LEASE_JOBS_KEPT_MAX + 100; i++) {
		int64_t child = token_make(f, root, 0);
		struct lease_issue issue = issue_of(f, 3600);
		struct answer a = {0};

		snprintf(owner, sizeof(owner), "token:%lld", (long long)child);
		issue.owner = owner;
		issue.owner_token = child;
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		assert_int_equal(a.code, 0);
	}
	fake_port_set_down(f->fake, true);
	lease_job_start(f->leases, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = root},
	    60000, "req-9", on_job, &r);
	settle(f);
	assert_in_range(HASH_COUNT(f->leases->jobs), 1, LEASE_JOBS_KEPT_MAX);
	later(f, 62000);
	assert_int_equal(r.count, 1);
	assert_false(r.status.finished);
	later(f, 500);
	assert_int_equal(HASH_COUNT(f->leases->jobs), 0);
	fake_port_set_down(f->fake, false);
	leases_port_opened(f->leases, fake_port_port(f->fake));
	later(f, 70000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
jobs_of_an_earlier_run_are_taken_up_a_page_at_a_time(void **state)
{
	struct fix *f = *state;
	struct answer r[TOKENS] = {0};

	for (unsigned i = 0; i < TOKENS; i++) {
		int64_t token = token_make(f, 0, 0);

		lease_job_start(f->leases,
		    &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = token}, 0, "req-9",
		    on_job, &r[i]);
		store_pump(f->store);
		assert_int_equal(r[i].code, 0);
	}
	fix_crash(f, false);
	assert_int_equal(HASH_COUNT(f->leases->jobs), LEASE_JOBS_PAGE);
	while (turn(f) != 0)
		assert_in_range(HASH_COUNT(f->leases->jobs), 0, LEASE_JOBS_MAX);
	settle(f);
	assert_int_equal(row_count(f), 0);
}

static void
who_waits_for_a_prefix_costs_the_loop_no_read(void **state)
{
	struct fix *f = *state;
	struct answer r = {0};

	for (unsigned i = 0; i < 5; i++)
		(void)make(f, 3600);
	lease_job_start(f->leases,
	    &(struct lease_scope){.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""}, 60000,
	    "req-9", on_job, &r);
	while (r.count == 0) {
		leases_tick(f->leases);
		assert_int_equal(r.count, 0); /* the reader has the answer */
		store_pump(f->store);
		fake_port_pump(f->fake);
		wclock_fake_advance(&f->clock, 20 * 1000);
	}
	assert_true(r.status.finished);
	settle(f);
	assert_int_equal(row_count(f), 0);
}

static void
look_that_is_under_way_outlives_the_leases(void **state)
{
	struct fix *f = *state;
	struct answer r = {0};

	(void)make(f, 3600);
	fake_port_set_down(f->fake, true);
	lease_job_start(f->leases,
	    &(struct lease_scope){.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""}, 60000,
	    "req-9", on_job, &r);
	while (f->leases->jobs == NULL || f->leases->jobs->look == NULL) {
		leases_tick(f->leases);
		if (f->leases->jobs == NULL || f->leases->jobs->look == NULL)
			store_pump(f->store);
	}
	fix_crash(f, false);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.code, LEASED_ECANCELED);
	settle(f);
}

#define DEAD 999 /* a connection that never answers */

static int
on_dead_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	char account[32];
	int r = 0;

	(void)op;
	for (unsigned i = 0; i < 100 && r == 0; i++) {
		struct store_lease row = {.state = STORE_LEASE_LIVE,
		    .kind = STORE_LEASE_CREDENTIAL,
		    .connection = DEAD,
		    .mount = 1,
		    .next_at_ms = LEASE_FAR_MS,
		    .random = "0123456789abcdef",
		    .place = (char *)(uintptr_t) "creds/app",
		    .account = account,
		    .owner = (char *)(uintptr_t) "entity:e1",
		    .data = json_object()};

		snprintf(account, sizeof(account), "dead-%u", i);
		if ((r = store_lease_insert(txn, &row, err)) == 0)
			r = store_lease_delete(txn, &row, row.data, 1, 1, err);
		json_decref(row.data);
	}
	return (r);
}

static void
accounts_of_a_dead_connection_stand_in_nobodys_way(void **state)
{
	struct fix *f = *state;
	struct store_op op = {.run = on_dead_run};
	struct lease_issue issue = issue_of(f, 60);
	struct answer damaged, cut = {0};
	char text[320], name[256];

	store_submit(f->store, &op);
	store_pump(f->store);
	assert_int_equal(op.result, 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(text, sizeof(text),
		    "INSERT INTO quarantine (table_name, key, at, reason, connection, account,"
		    " next_at, disarmed) VALUES ('lease', %u, 1, 'test', %d, 'lost-%u', 0, 0)",
		    100000 + i, DEAD, i);
		assert_int_equal(
		    sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	}
	damaged = make(f, 30);
	snprintf(text, sizeof(text),
	    "UPDATE lease SET sealed = zeroblob(60) WHERE id = %lld;"
	    "UPDATE sqlite_sequence SET seq = 200000 WHERE name = 'lease'",
	    (long long)damaged.row);
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	lease_issue_start(f->leases, &issue, on_issued, &cut);
	store_pump(f->store);
	snprintf(name, sizeof(name), "%s", row_of(f, 200001)->account);
	fake_port_answer(f->fake, PLUGIN_OP_MINT, LEASED_ETIMEDOUT, NULL);
	later(f, 45000);
	assert_false(account_of(f, &damaged)->armed);
	(void)fake_port_add_account(f->fake, name); /* it landed after all */
	later(f, 650000);
	assert_int_equal(fake_port_account_count(f->fake), 1); /* the damaged one's */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(tokens_that_expire_together_are_ended_a_few_at_a_time),
	    TEST(tree_of_tokens_is_told_as_ended_when_all_of_it_is),
	    TEST(tree_that_is_too_large_to_be_followed_is_not_told_as_ended),
	    TEST(jobs_of_an_earlier_run_are_taken_up_a_page_at_a_time),
	    TEST(who_waits_for_a_prefix_costs_the_loop_no_read),
	    TEST(look_that_is_under_way_outlives_the_leases),
	    TEST(accounts_of_a_dead_connection_stand_in_nobodys_way),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
