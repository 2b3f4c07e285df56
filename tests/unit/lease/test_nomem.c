/*
 * Memory that runs out at every single allocation of an issue, a renewal, a revocation, an expiry,
 * a preflight, a bulk job, the end of a hold, a recount of caps: everybody is answered once, and
 * the oracle holds afterwards.
 */
#include "lease/hold.h"
#include "unit/lease/fixture.h"

typedef void (*scenario)(struct fix *f, struct answer *answers);

static void
answered(const struct answer *a)
{
	assert_int_equal(a->count, 1);
}

static void
scene_issue(struct fix *f, struct answer *a)
{
	struct lease_issue issue = issue_of(f, 3600);

	lease_issue_start(f->leases, &issue, on_issued, &a[0]);
	settle(f);
}

static void
scene_plain(struct fix *f, struct answer *a)
{
	struct lease_issue issue = plain_issue_of(f, 3600);

	lease_plain_start(f->leases, &issue, on_issued, &a[0]);
	settle(f);
}

static void
scene_plain_end(struct fix *f, struct answer *a)
{
	lease_revoke_start(f->leases, 3, 10000, "req-3", on_revoked, &a[0]);
	settle(f);
	wclock_fake_advance(&f->clock, INT64_C(3600) * 1000000);
	settle(f);
}

static void
scene_preflight(struct fix *f, struct answer *a)
{
	struct lease_issue issue = issue_of(f, 0);

	lease_preflight_start(f->leases, &issue, on_probed, &a[0]);
	settle(f);
}

static void
scene_renew(struct fix *f, struct answer *a)
{
	struct lease_renew request = {.row = 1, .ttl = issue_of(f, 3600).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &a[0]);
	settle(f);
}

static void
scene_revoke(struct fix *f, struct answer *a)
{
	lease_revoke_start(f->leases, 1, 10000, "req-3", on_revoked, &a[0]);
	settle(f);
}

static void
scene_expiry(struct fix *f, struct answer *a)
{
	wclock_fake_advance(&f->clock, INT64_C(3600) * 1000000);
	settle(f);
	a->count = 1;
}

static void
scene_job(struct fix *f, struct answer *a)
{
	lease_job_start(f->leases,
	    &(struct lease_scope){.kind = LEASE_SCOPE_PLACE, .mount = f->mount, .text = ""}, 10000,
	    "req-9", on_job, &a[0]);
	settle(f);
}

static void
scene_lost(struct fix *f, struct answer *a)
{
	a->count = 1; /* nobody waits */
	lease_delivery(f->leases, 1, false);
	settle(f);
}

static void
scene_hold(struct fix *f, struct answer *a)
{
	struct lease_actor actor = {.name = "root", .accessor = ""};

	lease_hold_release(f->leases, &actor, on_probed, &a[0]);
	settle(f);
}

static void
scene_recount(struct fix *f, struct answer *a)
{
	for (unsigned i = 0; i < 70; i++) { /* the first minute, and a step each second */
		wclock_fake_advance(&f->clock, 1000000);
		settle(f);
	}
	a->count = 1;
}

static void
scene_zombie(struct fix *f, struct answer *a)
{
	scene_issue(f, a); /* the fault is there already */
}

/* False: nothing failed any more. */
static bool
fail_nth(scenario scene, bool prepared, unsigned long n)
{
	struct fix *f = fix_new(n);
	struct answer a[1];
	bool failed;

	memset(a, 0, sizeof(a));
	if (prepared) {
		(void)make(f, 3600);
		(void)make(f, 3600);
	}
	if (scene == scene_plain_end) { /* one to be revoked, one to expire */
		(void)make_plain(f, 3600);
		(void)make_plain(f, 3600);
	}
	if (scene == scene_zombie)
		fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	failalloc_arm(n);
	scene(f, a);
	failed = failalloc_disarm();
	later(f, 15000);
	answered(&a[0]);
	for (unsigned i = 0; i < 12; i++) {
		wclock_fake_advance(&f->clock, 8 * 1000000);
		settle(f);
	}
	fake_port_land(f->fake);
	check_at_rest(f);
	if (scene == scene_revoke && a[0].state != LEASE_REVOKE_FAILED)
		assert_null(row_of(f, 1));
	if (scene == scene_lost)
		assert_null(row_of(f, 1));
	if (scene == scene_plain_end)
		assert_int_equal(row_count(f), 0);
	if ((scene == scene_issue || scene == scene_plain) && a[0].code == 0)
		assert_true(row_is(f, a[0].row, STORE_LEASE_LIVE));
	if (scene == scene_expiry || (scene == scene_job && a[0].code == 0))
		assert_int_equal(row_count(f), 0);
	(void)row_of(f, -1);
	fix_free(f);
	return (failed);
}

static void
memory_may_run_out_anywhere(void **state)
{
	const struct {
		const char *name;
		scenario scene;
		bool prepared;
	} scenes[] = {
	    {"issue", scene_issue, false},
	    {"plain issue", scene_plain, false},
	    {"plain end", scene_plain_end, true},
	    {"preflight", scene_preflight, false},
	    {"renew", scene_renew, true},
	    {"revoke", scene_revoke, true},
	    {"undelivered", scene_lost, true},
	    {"expiry", scene_expiry, true},
	    {"job", scene_job, true},
	    {"hold", scene_hold, true},
	    {"recount", scene_recount, true},
	    {"zombie", scene_zombie, false},
	};
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	assert_int_equal(leased_secret_setup(&err), 0);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		unsigned long n = 1;

		while (fail_nth(scenes[i].scene, scenes[i].prepared, n))
			n += n < 250 ? 1 : 13; /* later ones are the same turns again */
		print_message("%s: %lu allocations\n", scenes[i].name, n - 1);
		assert_in_range(n, 10, 3000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_may_run_out_anywhere),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
