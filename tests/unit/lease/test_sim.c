/*
 * A seeded run of everything at once: issues, renewals, revocations, bulk jobs, tokens, workers
 * that die or hang, replies that are lost, zombies, outages, refusals, crashes of the daemon,
 * reboots. The oracle of the crash matrix is asked at rest; "not live after a revocation was
 * answered" and "not ended before its time" always.
 *
 * LEASE_SIM_SEED and LEASE_SIM_STEPS replay a run; the seed is printed.
 */
#include <inttypes.h>
#include <time.h>

#include "unit/lease/fixture.h"

#define TRACKED_MAX 4000
#define REST_EVERY 250

struct tracked {
	struct answer issue, renewal, end;
	int64_t earliest_ms; /* it may not end before, unless it is revoked; lease time */
	int64_t renew_ms;    /* the renewal under way: its end at the earliest */
	bool issuing, renewing, ending;
	bool revoked;  /* a revocation was answered */
	bool may_end;  /* somebody tried to end it */
	int64_t token; /* its owner, 0: an entity */
};

struct sim {
	struct fix *f;
	struct id_source_seeded random;
	struct tracked *leases;
	unsigned count;
	struct answer *jobs;
	unsigned jobs_count;
	int64_t tokens[256];
	unsigned tokens_count;
	int64_t latest_ms;
	unsigned steps, crashes, minted, refused;
	bool down;
};

static unsigned
pick(struct sim *s, unsigned n)
{
	uint32_t value;

	s->random.source.fill(&s->random.source, &value, sizeof(value));
	return (value % n);
}

static void
track(struct sim *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct tracked *t = &s->leases[i];

		if (t->issuing && t->issue.count > 0) {
			assert_int_equal(t->issue.count, 1);
			t->issuing = false;
			s->minted += t->issue.code == 0;
			s->refused += t->issue.code != 0;
		}
		if (t->renewing && t->renewal.count > 0) {
			assert_int_equal(t->renewal.count, 1);
			t->renewing = false;
			if (t->renewal.code == 0)
				t->earliest_ms = t->renew_ms;
			else if (t->renew_ms < t->earliest_ms)
				t->earliest_ms = t->renew_ms; /* it may have been written */
		}
		if (t->ending && t->end.count > 0) {
			assert_int_equal(t->end.count, 1);
			t->ending = false;
			t->revoked = t->revoked || t->end.state != LEASE_REVOKE_FAILED;
		}
	}
}

/* ---- what must hold always ---- */

static void
check_always(struct sim *s)
{
	int64_t now_ms = leases_now_ms(s->f->leases);

	/* A reboot may set lease time back to the last anchor: what had ended stays ended. */
	if (now_ms > s->latest_ms)
		s->latest_ms = now_ms;
	track(s);
	for (unsigned i = 0; i < s->count; i++) {
		const struct tracked *t = &s->leases[i];
		const struct store_lease *row;

		if (t->issuing || t->issue.code != 0)
			continue;
		row = row_of(s->f, t->issue.row);
		if (t->revoked && row != NULL && row->state == STORE_LEASE_LIVE && !row->revoke)
			fail_msg("lease %" PRId64 " is live after its revocation was answered",
			    t->issue.row);
		if (t->may_end || t->renewing || s->latest_ms >= t->earliest_ms)
			continue;
		if (row == NULL || row->state != STORE_LEASE_LIVE || row->revoke ||
		    account_of(s->f, &t->issue) == NULL || !account_of(s->f, &t->issue)->armed)
			fail_msg("lease %" PRId64 " was lost before its time", t->issue.row);
	}
	assert_int_equal(fake_port_counts(s->f->fake).overlaps, 0);
}

/* ---- what happens ---- */

static void
do_issue(struct sim *s)
{
	struct tracked *t = &s->leases[s->count];
	struct lease_issue issue = issue_of(s->f, 1 + (int64_t)pick(s, 600));
	char owner[32];

	if (s->count == TRACKED_MAX)
		return;
	s->count++;
	t->issuing = true;
	t->earliest_ms = leases_now_ms(s->f->leases) + issue.ttl.role_ttl_s * 1000;
	if (s->tokens_count > 0 && pick(s, 3) == 0) {
		t->token = s->tokens[pick(s, s->tokens_count)];
		snprintf(owner, sizeof(owner), "token:%" PRId64, t->token);
		issue.owner = owner;
		issue.owner_token = t->token;
		t->may_end = true;
	}
	lease_issue_start(s->f->leases, &issue, on_issued, &t->issue);
}

static struct tracked *
some_lease(struct sim *s)
{
	unsigned recent = s->count < 60 ? s->count : 60;
	struct tracked *t;

	if (recent == 0)
		return (NULL);
	t = &s->leases[s->count - 1 - pick(s, recent)];
	return (t->issuing || t->issue.code != 0 ? NULL : t);
}

static void
do_renew(struct sim *s)
{
	struct tracked *t = some_lease(s);
	struct lease_renew request = {.ttl = issue_of(s->f, 60).ttl};

	if (t == NULL || t->renewing)
		return;
	request.row = t->issue.row;
	request.ttl.increment_s = 1 + (int64_t)pick(s, 600);
	memset(&t->renewal, 0, sizeof(t->renewal));
	t->renewing = true;
	t->renew_ms = leases_now_ms(s->f->leases) + request.ttl.increment_s * 1000;
	lease_renew_start(s->f->leases, &request, on_renewed, &t->renewal);
}

static void
do_revoke(struct sim *s)
{
	struct tracked *t = some_lease(s);

	if (t == NULL || t->ending)
		return;
	memset(&t->end, 0, sizeof(t->end));
	t->ending = t->may_end = true;
	lease_revoke_start(
	    s->f->leases, t->issue.row, pick(s, 2) * 10000, "sim", on_revoked, &t->end);
}

static void
do_delivery(struct sim *s)
{
	struct tracked *t = some_lease(s);
	bool lost = pick(s, 4) == 0;

	if (t == NULL)
		return;
	t->may_end = t->may_end || lost;
	lease_delivery(s->f->leases, t->issue.row, !lost);
}

static void
do_job(struct sim *s)
{
	struct lease_scope scope = {.mount = s->f->mount, .text = ""};

	if (s->jobs_count == TRACKED_MAX)
		return;
	scope.kind = (enum lease_scope_kind)pick(s, 3);
	if (scope.kind == LEASE_SCOPE_TOKEN && s->tokens_count == 0)
		return;
	if (scope.kind == LEASE_SCOPE_OWNER)
		scope.text = "entity:e1";
	if (scope.kind == LEASE_SCOPE_TOKEN)
		scope.token = s->tokens[pick(s, s->tokens_count)];
	else
		for (unsigned i = 0; i < s->count; i++)
			s->leases[i].may_end = true;
	lease_job_start(
	    s->f->leases, &scope, pick(s, 2) * 30000, "sim", on_job, &s->jobs[s->jobs_count++]);
}

static void
do_token(struct sim *s)
{
	int64_t parent =
	    s->tokens_count > 0 && pick(s, 2) ? s->tokens[pick(s, s->tokens_count)] : 0;
	int64_t id;

	if (s->tokens_count == 256)
		return;
	id = token_make(s->f, parent, 1 + (int64_t)pick(s, 900));
	if (id > 0)
		s->tokens[s->tokens_count++] = id;
}

static void
do_fault(struct sim *s)
{
	const enum plugin_op ops[] = {PLUGIN_OP_MINT, PLUGIN_OP_MINT, PLUGIN_OP_RENEW,
	    PLUGIN_OP_DISARM, PLUGIN_OP_REMOVE, PLUGIN_OP_REAP, PLUGIN_OP_CHECK};
	const int codes[] = {
	    LEASED_ECRASHED, LEASED_ETIMEDOUT, LEASED_EREFUSED, LEASED_EUNAVAIL, LEASED_EDENIED};
	enum fake_fault fault = (enum fake_fault)pick(s, 4);
	int code = codes[pick(s, 5)];

	/* Only what outlives its worker, or its session, can land later. */
	if (fault == FAKE_FAULT_LATE && code != LEASED_ECRASHED)
		code = LEASED_ETIMEDOUT;
	fake_port_fault(s->f->fake, ops[pick(s, 7)], fault, code, "sim");
}

/* A call that hangs is killed at its deadline. */
static void
hung_calls_end(struct sim *s)
{
	for (int op = 0; op <= (int)PLUGIN_OP_REAP; op++)
		while (fake_port_answer(s->f->fake, (enum plugin_op)op, LEASED_ETIMEDOUT, NULL))
			;
}

static void
do_account(struct sim *s)
{
	struct tracked *t = some_lease(s);
	struct fake_account *account = t != NULL ? account_of(s->f, &t->issue) : NULL;

	if (account == NULL)
		return;
	if (pick(s, 2))
		snprintf(account->blocked, sizeof(account->blocked), "owns table t");
	else
		account->stubborn = true;
}

static void
heal(struct sim *s)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 100000};
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct fake_account *account;
	size_t count = 0;

	s->down = false;
	fake_port_set_down(s->f->fake, false);
	assert_int_equal(store_lease_page(store_db(s->f->store), &query, &rows, &count, &err), 0);
	for (size_t i = 0; i < count; i++)
		if ((account = fake_port_account(s->f->fake, rows[i]->account)) != NULL) {
			account->blocked[0] = '\0';
			account->stubborn = false;
		}
	store_lease_page_free(rows, count);
}

static void
do_crash(struct sim *s)
{
	s->crashes++;
	if (pick(s, 5) == 0)
		wclock_fake_reboot(&s->f->clock, (int64_t)pick(s, 120) * 1000000);
	fix_crash(s->f, pick(s, 2));
}

static void
do_time(struct sim *s)
{
	wclock_fake_advance(&s->f->clock, (int64_t)pick(s, 15000) * 1000);
	if (pick(s, 20) == 0)
		wclock_fake_jump(&s->f->clock, ((int64_t)pick(s, 172800) - 86400) * 1000000);
	hung_calls_end(s);
}

static void
do_micro(struct sim *s)
{
	for (unsigned n = pick(s, 6); n > 0; n--)
		switch (pick(s, 3)) {
		case 0:
			leases_tick(s->f->leases);
			break;
		case 1:
			store_pump(s->f->store);
			break;
		default:
			fake_port_pump(s->f->fake);
			break;
		}
}

static const struct {
	unsigned weight;
	void (*act)(struct sim *s);
} acts[] = {
    {20, do_issue},
    {12, do_renew},
    {8, do_revoke},
    {6, do_delivery},
    {1, do_job},
    {2, do_token},
    {4, do_fault},
    {3, do_account},
    {2, do_crash},
    {10, do_time},
    {60, do_micro},
};

static void
step(struct sim *s)
{
	unsigned all = 0, at;

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		all += acts[i].weight;
	if (s->down && pick(s, 5) == 0) {
		s->down = false;
		fake_port_set_down(s->f->fake, false);
	}
	at = pick(s, all + 8);
	if (at >= all) {
		switch (at - all) {
		case 0:
			s->down = true;
			fake_port_set_down(s->f->fake, true);
			break;
		case 1:
			fake_port_crash(s->f->fake);
			break;
		case 2:
			fake_port_land(s->f->fake);
			break;
		default:
			settle(s->f);
			break;
		}
		return;
	}
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (at < acts[i].weight) {
			acts[i].act(s);
			return;
		}
		at -= acts[i].weight;
	}
}

static void
rest(struct sim *s)
{
	heal(s);
	for (unsigned i = 0; i < 200; i++) {
		later(s->f, 1000);
		hung_calls_end(s);
		if (i % 20 == 0)
			fake_port_land(s->f->fake);
	}
	heal(s);
	later(s->f, 75000);
	hung_calls_end(s);
	later(s->f, 75000);
	fake_port_land(s->f->fake);
	check_always(s);
	check_at_rest(s->f);
	for (unsigned i = 0; i < s->count; i++) {
		assert_false(s->leases[i].issuing);
		assert_false(s->leases[i].renewing);
		assert_false(s->leases[i].ending);
	}
	for (unsigned i = 0; i < s->jobs_count; i++)
		assert_int_equal(s->jobs[i].count, 1);
	assert_int_equal(counter(s->f, "lease-jobs"), 0);
}

static void
run(uint64_t seed, unsigned steps)
{
	struct sim s = {.f = fix_new(seed)};

	id_source_seeded_init(&s.random, seed * 7919 + 1);
	s.leases = calloc(TRACKED_MAX, sizeof(*s.leases));
	s.jobs = calloc(TRACKED_MAX, sizeof(*s.jobs));
	assert_non_null(s.leases);
	assert_non_null(s.jobs);
	for (s.steps = 1; s.steps <= steps; s.steps++) {
		step(&s);
		check_always(&s);
		if (s.steps % REST_EVERY == 0)
			rest(&s);
	}
	rest(&s);
	print_message("seed %" PRIu64 ": %u steps, %u minted, %u refused, %u crashes\n", seed,
	    steps, s.minted, s.refused, s.crashes);
	(void)row_of(s.f, -1);
	fix_free(s.f);
	free(s.leases);
	free(s.jobs);
}

static void
nothing_is_lost_and_nothing_is_left_whatever_happens(void **state)
{
	const char *seed_text = getenv("LEASE_SIM_SEED"), *steps_text = getenv("LEASE_SIM_STEPS");
	unsigned steps = steps_text != NULL ? (unsigned)strtoul(steps_text, NULL, 10) : 1000;
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
	unsigned runs = seed_text != NULL ? 1 : 4;

	(void)state;
	for (unsigned i = 0; i < runs; i++) {
		print_message("LEASE_SIM_SEED=%" PRIu64 " LEASE_SIM_STEPS=%u\n", seed + i, steps);
		run(seed + i, steps);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_lost_and_nothing_is_left_whatever_happens),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
