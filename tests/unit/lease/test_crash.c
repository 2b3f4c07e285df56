/*
 * kill -9 of the daemon after every single step of every operation, with what was queued in the
 * store lost or just committed: after the next start nothing is left behind and nothing is lost.
 */
#include "unit/lease/fixture.h"

struct story {
	const char *name;
	/* Prepares, then starts the operation. */
	void (*start)(struct fix *f, struct answer *a);
};

static void
start_issue(struct fix *f, struct answer *a)
{
	struct lease_issue issue = issue_of(f, 3600);

	lease_issue_start(f->leases, &issue, on_issued, a);
}

static void
start_plain_issue(struct fix *f, struct answer *a)
{
	struct lease_issue issue = plain_issue_of(f, 3600);

	lease_plain_start(f->leases, &issue, on_issued, a);
}

static void
start_plain_revoke(struct fix *f, struct answer *a)
{
	int64_t row = make_plain(f, 3600).row;

	lease_revoke_start(f->leases, row, 10000, "req-3", on_revoked, a);
}

static void
start_plain_expiry(struct fix *f, struct answer *a)
{
	(void)make_plain(f, 5);
	(void)make(f, 5);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	a->count = 1;
}

static void
start_failing_issue(struct fix *f, struct answer *a)
{
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, LEASED_EREFUSED, "no");
	start_issue(f, a);
}

static void
start_zombie_issue(struct fix *f, struct answer *a)
{
	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ETIMEDOUT, "cut");
	start_issue(f, a);
}

static void
start_preflight(struct fix *f, struct answer *a)
{
	struct lease_issue issue = issue_of(f, 0);

	lease_preflight_start(f->leases, &issue, on_probed, a);
}

static void
start_renew(struct fix *f, struct answer *a)
{
	struct lease_renew request = {.row = make(f, 3600).row, .ttl = issue_of(f, 3600).ttl};

	lease_renew_start(f->leases, &request, on_renewed, a);
}

static void
start_revoke(struct fix *f, struct answer *a)
{
	int64_t row = make(f, 3600).row;

	lease_revoke_start(f->leases, row, 10000, "req-3", on_revoked, a);
}

static void
start_expiry(struct fix *f, struct answer *a)
{
	(void)make(f, 5);
	(void)make(f, 5);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	a->count = 1;
}

static void
start_job(struct fix *f, struct answer *a)
{
	(void)make(f, 3600);
	(void)make(f, 3600);
	lease_job_start(f->leases,
	    &(struct lease_scope){.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""}, 10000,
	    "req-9", on_job, a);
}

/* One thing at a time: what the loop, the store's thread and the worker do between two looks. */
static unsigned
step(struct fix *f, unsigned i)
{
	switch (i % 3) {
	case 0:
		return (leases_tick(f->leases) == 0);
	case 1:
		return (store_pump(f->store));
	default:
		return (fake_port_pump(f->fake));
	}
}

/* False: the operation was over before step n. */
static bool
crash_at(const struct story *story, unsigned n, bool written)
{
	struct fix *f = fix_new(n + 1);
	struct answer a = {0};
	unsigned idle = 0, i;
	bool acked, there;
	int64_t row;

	story->start(f, &a);
	for (i = 0; i < n && idle < 9; i++)
		idle = step(f, i) == 0 ? idle + 1 : 0;
	acked = a.count == 1 && a.code == 0;
	row = a.row;
	fix_crash(f, written);
	assert_int_equal(a.count, 1);
	later(f, 20000);
	fake_port_land(f->fake);
	later(f, 60000);
	check_at_rest(f);
	there = row != 0 && row_is(f, row, STORE_LEASE_LIVE);
	if (acked && (story->start == start_issue || story->start == start_plain_issue) && !there)
		fail_msg("%s: an acknowledged lease is lost after step %u", story->name, n);
	if (story->start != start_issue && story->start != start_plain_issue &&
	    story->start != start_renew && story->start != start_revoke &&
	    story->start != start_plain_revoke && story->start != start_job)
		assert_int_equal(row_count(f), 0);
	fix_free(f);
	(void)row_of(NULL, -1);
	return (idle < 9);
}

static void
run_story(const struct story *story)
{
	unsigned n = 0;

	while (crash_at(story, n, false) && crash_at(story, n, true))
		n++;
	assert_in_range(n, 2, 200);
}

static void
every_operation_survives_a_crash_after_every_step(void **state)
{
	const struct story stories[] = {
	    {"issue", start_issue},
	    {"plain issue", start_plain_issue},
	    {"plain revoke", start_plain_revoke},
	    {"plain expiry", start_plain_expiry},
	    {"failing issue", start_failing_issue},
	    {"zombie issue", start_zombie_issue},
	    {"preflight", start_preflight},
	    {"renew", start_renew},
	    {"revoke", start_revoke},
	    {"expiry", start_expiry},
	    {"job", start_job},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		run_story(&stories[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_operation_survives_a_crash_after_every_step),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
