/*
 * Bulk revocation: jobs over places, owners and trees of tokens, and what they meet under way.
 */
#include "unit/lease/fixture.h"

static struct answer
job(struct fix *f, const struct lease_scope *scope, unsigned wait_ms)
{
	struct answer a = {0};

	lease_job_start(f->leases, scope, wait_ms, "req-9", on_job, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	later(f, wait_ms + 500);
	assert_int_equal(a.count, 1);
	return (a);
}

static struct answer
make_by(struct fix *f, const char *place, const char *owner, int64_t token)
{
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 3600);

	issue.place = place;
	issue.owner = owner;
	issue.owner_token = token;
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.count, 1);
	return (a);
}

static void
place_and_all_below_it_end_and_nothing_else(void **state)
{
	struct fix *f = *state;
	struct answer a = make_by(f, "creds/app", "entity:e1", 0);
	struct answer b = make_by(f, "creds/app", "entity:e2", 0);
	struct answer c = make_by(f, "creds/apple", "entity:e1", 0);
	struct answer r;

	r = job(f,
	    &(struct lease_scope){
		.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = "creds/app/"},
	    5000);
	assert_int_equal(r.code, 0);
	assert_true(r.status.finished);
	assert_int_equal(r.status.marked, 2);
	assert_null(row_of(f, a.row));
	assert_null(row_of(f, b.row));
	assert_true(row_is(f, c.row, STORE_LEASE_LIVE));
	a = make_by(f, "creds/app", "entity:e1", 0);
	assert_int_equal(a.code, 0); /* what comes later is not of the job */
	check_at_rest(f);
}

static void
job_before_the_first_lease_covers_none(void **state)
{
	struct fix *f = *state;
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""};
	struct lease_issue issue = issue_of(f, 3600);
	struct answer r = {0}, a = {0};

	lease_job_start(f->leases, &scope, 5000, "req-9", on_job, &r);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_true(r.status.finished);
	assert_int_equal(a.code, 0);
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
}

static void
owner_ends_with_all_its_leases(void **state)
{
	struct fix *f = *state;
	struct answer a = make_by(f, "creds/app", "entity:e1", 0);
	struct answer b = make_by(f, "creds/app", "entity:e2", 0);
	struct answer r;

	r = job(f, &(struct lease_scope){.kind = LEASE_SCOPE_OWNER, .text = "entity:e1"}, 5000);
	assert_true(r.status.finished);
	assert_null(row_of(f, a.row));
	assert_true(row_is(f, b.row, STORE_LEASE_LIVE));
	check_at_rest(f);
}

static void
mint_in_flight_and_renewal_in_flight_are_caught(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), m = {0}, n = {0}, r = {0};
	struct lease_issue issue = issue_of(f, 3600);
	struct lease_renew request = {.row = a.row, .ttl = issue.ttl};
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""};

	lease_issue_start(f->leases, &issue, on_issued, &m);
	lease_renew_start(f->leases, &request, on_renewed, &n);
	store_pump(f->store);
	lease_job_start(f->leases, &scope, 0, "req-9", on_job, &r);
	store_pump(f->store); /* the job is durable, nothing is marked yet */
	assert_int_equal(r.count, 1);
	while (m.count == 0 || n.count == 0) {
		fake_port_pump(f->fake);
		store_pump(f->store);
	}
	assert_int_equal(m.code, LEASED_EEXPIRED);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	settle(f);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
job_of_many_is_taken_up_again_after_a_crash(void **state)
{
	struct fix *f = *state;
	struct answer r = {0};
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = "creds"};
	unsigned marked = 0, all;

	for (unsigned i = 0; i < 1200; i++)
		(void)make(f, 3600);
	fake_port_set_down(f->fake, true);
	lease_job_start(f->leases, &scope, 60000, "req-9", on_job, &r);
	store_pump(f->store);
	leases_tick(f->leases);
	store_pump(f->store); /* the first 500 */
	fix_crash(f, false);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.code, LEASED_ECANCELED);
	for (int64_t id = 1; id <= 1200; id++)
		marked += row_of(f, id)->revoke;
	assert_int_equal(marked, 500);
	settle(f);
	for (int64_t id = 1; id <= 1200; id++)
		marked += row_of(f, id)->revoke;
	assert_int_equal(marked, 1700);
	fake_port_set_down(f->fake, false);
	settle(f);
	all = row_count(f);
	assert_int_equal(all, 0);
	assert_int_equal(counter(f, "lease-jobs"), 0);
	check_at_rest(f);
}

static void
job_that_cannot_finish_in_time_says_what_waits(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600), r;

	account_of(f, &b)->stubborn = true;
	r = job(f, &(struct lease_scope){.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""},
	    5000);
	assert_int_equal(r.code, 0);
	assert_false(r.status.finished);
	assert_int_equal(r.status.marked, 2);
	assert_int_equal(r.status.waiting, 1);
	assert_int_equal(r.status.last_error.code, LEASED_EREFUSED);
	assert_null(row_of(f, a.row));
	assert_true(row_of(f, b.row)->revoke);
}

static void
token_takes_its_children_and_all_their_leases_along(void **state)
{
	struct fix *f = *state;
	int64_t root = token_make(f, 0, 0), child = token_make(f, root, 0);
	int64_t grandchild = token_make(f, child, 0), other = token_make(f, 0, 0);
	char owner[32];
	struct answer a, b, c, r;

	snprintf(owner, sizeof(owner), "token:%lld", (long long)root);
	a = make_by(f, "creds/app", owner, root);
	snprintf(owner, sizeof(owner), "token:%lld", (long long)grandchild);
	b = make_by(f, "creds/app", owner, grandchild);
	snprintf(owner, sizeof(owner), "token:%lld", (long long)other);
	c = make_by(f, "creds/app", owner, other);
	r = job(f, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = root}, 5000);
	assert_true(r.status.finished);
	assert_false(token_is_there(f, root));
	assert_false(token_is_there(f, child));
	assert_false(token_is_there(f, grandchild));
	assert_true(token_is_there(f, other));
	assert_null(row_of(f, a.row));
	assert_null(row_of(f, b.row));
	assert_true(row_is(f, c.row, STORE_LEASE_LIVE));
	check_at_rest(f);
}

static void
ended_token_owns_nothing_new(void **state)
{
	struct fix *f = *state;
	int64_t token = token_make(f, 0, 10), other = token_make(f, 0, 0);
	struct answer a, r = {0};
	char owner[32];

	snprintf(owner, sizeof(owner), "token:%lld", (long long)token);
	wclock_fake_advance(&f->clock, 10 * 1000000); /* over, and its timer has not run yet */
	a = make_by(f, "creds/app", owner, token);
	assert_int_equal(a.code, LEASED_EEXPIRED);
	assert_false(token_is_there(f, token));
	/* From the moment its job is durable. */
	lease_job_start(f->leases, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = other},
	    0, "req-9", on_job, &r);
	store_pump(f->store);
	assert_int_equal(token_make(f, other, 0), LEASED_EEXPIRED);
	settle(f);
	assert_int_equal(row_count(f), 0);
}

static void
tokens_end_by_the_same_timer(void **state)
{
	struct fix *f = *state;
	int64_t token = token_make(f, 0, 30), child = token_make(f, token, 3600);
	char owner[32];
	struct answer a;

	snprintf(owner, sizeof(owner), "token:%lld", (long long)child);
	a = make_by(f, "creds/app", owner, child);
	later(f, 29500);
	assert_true(token_is_there(f, token));
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	later(f, 1000);
	assert_false(token_is_there(f, token));
	assert_false(token_is_there(f, child));
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
tree_of_tokens_ends_across_crashes(void **state)
{
	struct fix *f = *state;
	int64_t root = token_make(f, 0, 0), child;
	struct answer r = {0};
	unsigned crashes = 0;

	for (unsigned i = 0; i < 100; i++) {
		char owner[32];

		child = token_make(f, root, 0);
		snprintf(owner, sizeof(owner), "token:%lld", (long long)child);
		if (i % 10 == 0)
			(void)make_by(f, "creds/app", owner, child);
	}
	lease_job_start(f->leases, &(struct lease_scope){.kind = LEASE_SCOPE_TOKEN, .token = root},
	    60000, "req-9", on_job, &r);
	store_pump(f->store);
	while (token_is_there(f, root) && crashes < 200) {
		leases_tick(f->leases);
		store_pump(f->store);
		fix_crash(f, crashes++ % 2 == 0);
	}
	settle(f);
	later(f, 2000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
revoking_a_tokens_row_by_hand_ends_the_token(void **state)
{
	struct fix *f = *state;
	int64_t token = token_make(f, 0, 0);
	struct answer r = revoke_row(f, token);

	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_false(token_is_there(f, token));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(place_and_all_below_it_end_and_nothing_else),
	    TEST(job_before_the_first_lease_covers_none),
	    TEST(owner_ends_with_all_its_leases),
	    TEST(mint_in_flight_and_renewal_in_flight_are_caught),
	    TEST(job_of_many_is_taken_up_again_after_a_crash),
	    TEST(job_that_cannot_finish_in_time_says_what_waits),
	    TEST(token_takes_its_children_and_all_their_leases_along),
	    TEST(ended_token_owns_nothing_new),
	    TEST(tokens_end_by_the_same_timer),
	    TEST(tree_of_tokens_ends_across_crashes),
	    TEST(revoking_a_tokens_row_by_hand_ends_the_token),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
