/*
 * Many at once: tokens that expire together, trees of tokens, jobs that an earlier run left. What
 * is in memory stays bounded, and nothing is submitted twice.
 */
#include "lease/job.h"
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
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
