/*
 * A simulation's clock, its oracle and its trace, see sim.h. The oracle of the crash matrix is
 * asked at rest; after every step: nobody is answered twice, nothing is live after a revocation was
 * answered, nothing has ended before its time, and in quiet times nothing is in use after it.
 */
#include <inttypes.h>

#include "base/failpoint.h"
#include "unit/lease/sim.h"

#define REST_EVERY 250
#define STEP_MAX_MS 20000
#define QUIET_MS 900000 /* so long after the last trouble ends are in time again */
#define LATE_MAX_MS 2000
#define MINT_MAX_MS 15000 /* a lease's time counts from its request; how long that may take */

unsigned
sim_pick(struct sim *s, unsigned n)
{
	uint32_t value;

	s->random.source.fill(&s->random.source, &value, sizeof(value));
	return (value % n);
}

/* FNV-1a over all that can be seen from outside. */
void
sim_trace(struct sim *s, const char *what, int64_t value)
{
	const unsigned char *bytes = (const unsigned char *)&value;

	for (; *what != '\0'; what++)
		s->trace = (s->trace ^ (unsigned char)*what) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < sizeof(value); i++)
		s->trace = (s->trace ^ bytes[i]) * UINT64_C(0x100000001b3);
}

void
sim_trouble(struct sim *s)
{
	s->troubled_ms = leases_now_ms(s->f->leases);
}

struct tracked *
sim_add(struct sim *s)
{
	struct tracked *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	if (s->count == s->size) {
		s->size = s->size == 0 ? 256 : 2 * s->size;
		s->leases = reallocarray(s->leases, s->size, sizeof(struct tracked *));
		assert_non_null(s->leases);
	}
	s->leases[s->count++] = t;
	return (t);
}

/* A call that hangs is killed at its deadline. */
void
sim_hung_calls_end(struct sim *s)
{
	for (int op = 0; op < (int)PLUGIN_OP_COUNT; op++)
		while (fake_port_answer(s->f->fake, (enum plugin_op)op, LEASED_ETIMEDOUT, NULL))
			sim_trouble(s);
}

/* ---- answers ---- */

static void
track_one(struct sim *s, struct tracked *t)
{
	if (t->issuing && t->issue.count > 0) {
		assert_int_equal(t->issue.count, 1);
		t->issuing = false;
		s->minted += t->issue.code == 0;
		s->refused += t->issue.code != 0;
		sim_trace(s, t->issue.account, t->issue.code);
	}
	if (t->renewing && t->renewal.count > 0) {
		assert_int_equal(t->renewal.count, 1);
		t->renewing = false;
		if (t->renewal.code == 0)
			t->earliest_ms = t->renew_ms;
		else if (t->renew_ms < t->earliest_ms)
			t->earliest_ms = t->renew_ms; /* it may have been written */
		sim_trace(s, "renewed", t->renewal.code);
	}
	if (t->ending && t->end.count > 0) {
		assert_int_equal(t->end.count, 1);
		t->ending = false;
		t->revoked = t->revoked || t->end.state != LEASE_REVOKE_FAILED;
		sim_trace(s, "ended", (int64_t)t->end.state);
	}
}

static void
track_jobs(struct sim *s)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->jobs_count; i++) {
		if (s->jobs[i]->count == 0) {
			s->jobs[kept++] = s->jobs[i];
			continue;
		}
		assert_int_equal(s->jobs[i]->count, 1);
		sim_trace(s, "job", s->jobs[i]->code);
		free(s->jobs[i]);
	}
	s->jobs_count = kept;
}

/* ---- what must hold always ---- */

static bool
is_in_use(struct sim *s, const struct tracked *t)
{
	const struct fake_account *account;

	if (t->plain)
		return (plain_is_good(s->f, t->issue.row));
	account = account_of(s->f, &t->issue);
	return (account != NULL && account->armed);
}

/* The row is read again when the store says that it may have changed. True: the lease is gone. */
static bool
check_row(struct sim *s, struct tracked *t)
{
	uint64_t changes = store_row_changes(s->f->store, t->issue.row);
	const struct store_lease *row;

	if (t->changes == changes + 1 && !(t->revoked || t->ending))
		return (false);
	row = row_of(s->f, t->issue.row);
	t->changes = changes + 1;
	if (t->revoked && row != NULL && row->state == STORE_LEASE_LIVE && !row->revoke)
		fail_msg(
		    "lease %" PRId64 " is live after its revocation was answered", t->issue.row);
	if (!t->may_end && !t->renewing && s->latest_ms < t->earliest_ms &&
	    (row == NULL || row->state != STORE_LEASE_LIVE || row->revoke))
		fail_msg("lease %" PRId64 " was lost before its time", t->issue.row);
	return (row == NULL);
}

static bool
is_late(struct sim *s, const struct tracked *t, int64_t now_ms)
{
	const struct fake_account *account = account_of(s->f, &t->issue);

	return (now_ms > s->troubled_ms + QUIET_MS && !s->f->leases->time.waiting &&
		(account == NULL || !account->stubborn) &&
		now_ms > t->latest_ms + MINT_MAX_MS + LATE_MAX_MS);
}

static void
fail_late(struct sim *s, const struct tracked *t, int64_t now_ms)
{
	const struct store_lease *row = row_of(s->f, t->issue.row);
	const struct lease_connection *connection =
	    lease_connection_get(s->f->leases, s->f->connection);

	fail_msg("lease %" PRId64 " is in use %" PRId64 " ms after its end: %s, next in %" PRId64
		 " ms, the connection's in %" PRId64 " ms, its pause ends in %" PRId64
		 " ms, %u ending",
	    t->issue.row, now_ms - t->latest_ms,
	    row == NULL   ? "there is no row"
	    : row->revoke ? "marked"
			  : "not marked",
	    row != NULL ? row->next_at_ms - now_ms : 0, connection->due_ms - now_ms,
	    connection->pause_ms - now_ms, connection->ending);
}

/* True: nothing is to be heard of it any more. */
static bool
check_one(struct sim *s, struct tracked *t, int64_t now_ms)
{
	bool gone;

	track_one(s, t);
	if (t->issuing)
		return (false);
	if (t->issue.code != 0)
		return (true);
	gone = check_row(s, t);
	if (!t->may_end && !t->renewing && s->latest_ms < t->earliest_ms && !is_in_use(s, t))
		fail_msg("the account of lease %" PRId64 " ended before its time", t->issue.row);
	if (is_late(s, t, now_ms) && is_in_use(s, t))
		fail_late(s, t, now_ms);
	return (gone && !t->renewing && !t->ending);
}

static void
check_always(struct sim *s)
{
	int64_t now_ms = leases_now_ms(s->f->leases);
	unsigned kept = 0;

	/* A reboot may set lease time back to the last anchor: what had ended stays ended. */
	if (now_ms > s->latest_ms)
		s->latest_ms = now_ms;
	if (s->down || s->moved || fake_port_faults(s->f->fake) < s->faults)
		sim_trouble(s);
	s->faults = fake_port_faults(s->f->fake);
	track_jobs(s);
	for (unsigned i = 0; i < s->count; i++) {
		struct tracked *t = s->leases[i];

		if (!check_one(s, t, now_ms)) {
			s->leases[kept++] = t;
			continue;
		}
		sim_trace(s, "gone", t->issue.row);
		if (t->issue.code == 0 && !t->plain)
			snprintf(s->gone, sizeof(s->gone), "%.63s", t->issue.account);
		s->retired++;
		free(t);
	}
	s->count = kept;
	assert_int_equal(fake_port_counts(s->f->fake).overlaps, 0);
}

/* ---- time ---- */

static int64_t
next_due_ms(struct sim *s, int64_t most_ms)
{
	int64_t now_ms = leases_now_ms(s->f->leases), next_ms = now_ms + most_ms;
	struct lease_connection *connection, *next;

	HASH_ITER(hh, s->f->leases->connections, connection, next)
	if (connection->due_ms < next_ms)
		next_ms = connection->due_ms;
	return (next_ms <= now_ms ? 1 : next_ms - now_ms);
}

void
sim_pass(struct sim *s, int64_t ms)
{
	int64_t step_ms;

	for (; ms > 0; ms -= step_ms) {
		step_ms = next_due_ms(s, ms < STEP_MAX_MS ? ms : STEP_MAX_MS);
		wclock_fake_advance(&s->f->clock, step_ms * 1000);
		settle(s->f);
		sim_hung_calls_end(s);
		check_always(s);
	}
}

static void
rest(struct sim *s)
{
	sim_heal(s);
	for (unsigned i = 0; i < 200; i++) {
		later(s->f, 1000);
		sim_hung_calls_end(s);
		if (i % 20 == 0)
			fake_port_land(s->f->fake);
	}
	sim_heal(s);
	later(s->f, 75000);
	sim_reconcile_all(s);
	sim_hung_calls_end(s);
	later(s->f, 75000);
	fake_port_land(s->f->fake);
	check_always(s);
	check_at_rest(s->f);
	for (unsigned i = 0; i < s->count; i++) {
		assert_false(s->leases[i]->issuing);
		assert_false(s->leases[i]->renewing);
		assert_false(s->leases[i]->ending);
	}
	assert_int_equal(s->jobs_count, 0);
	assert_int_equal(counter(s->f, "lease-jobs"), 0);
	sim_trace(s, "rest", fake_port_account_count(s->f->fake));
}

static bool
is_over(const struct sim *s)
{
	return (s->steps >= s->bounds.steps ||
		(s->bounds.span_ms > 0 && s->latest_ms - s->begun_ms >= s->bounds.span_ms));
}

void
sim_run(const struct sim_bounds *bounds, struct sim *ret_sim)
{
	struct sim s = {
	    .bounds = *bounds, .f = fix_new(bounds->seed), .trace = UINT64_C(0xcbf29ce484222325)};

	s.f->by_itself = true;
	id_source_seeded_init(&s.random, bounds->seed * 7919 + 1);
	s.begun_ms = s.latest_ms = leases_now_ms(s.f->leases);
	sim_trouble(&s);
	while (!is_over(&s)) {
		s.steps++;
		sim_act(&s);
		check_always(&s);
		if (s.steps % REST_EVERY == 0)
			rest(&s);
	}
	rest(&s);
	failpoint_fail_next(FAILPOINT_store_commit_fail, 0);
	print_message("seed %" PRIu64 ": %u steps, %.1f days, %u minted, %u refused, %u crashes "
		      "(%u reboots), %u moves, %u faults of the store, trace %016" PRIx64 "\n",
	    bounds->seed, s.steps, (double)(s.latest_ms - s.begun_ms) / (double)SIM_DAY_MS,
	    s.minted, s.refused, s.crashes, s.reboots, s.moves, s.store_faults, s.trace);
	(void)row_of(s.f, -1);
	fix_free(s.f);
	for (unsigned i = 0; i < s.count; i++)
		free(s.leases[i]);
	free(s.leases);
	s.f = NULL;
	s.leases = NULL;
	*ret_sim = s;
}
