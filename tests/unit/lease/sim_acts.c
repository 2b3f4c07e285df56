/*
 * What happens in a simulation: requests, faults of the backend, its workers and the store, crashes
 * and reboots of the daemon, moves of the connection, time. Judges nothing (sim.c does).
 */
#include "base/failpoint.h"
#include "unit/lease/sim.h"

static void
do_issue(struct sim *s)
{
	struct tracked *t;
	struct lease_issue issue;
	int64_t ttl_s = 1 + (int64_t)sim_pick(s, 600), token;
	char owner[32];

	if (s->bounds.span_ms > 0) /* 1 s to 3 days, each order of magnitude alike */
		ttl_s = 1 + (int64_t)sim_pick(s, 2u << sim_pick(s, 18));
	t = sim_add(s);
	t->plain = sim_pick(s, 4) == 0;
	issue = t->plain ? plain_issue_of(s->f, ttl_s) : issue_of(s->f, ttl_s);
	issue.ttl.mount_max_s = 4 * 86400;
	t->issuing = true;
	t->earliest_ms = leases_now_ms(s->f->leases) + issue.ttl.role_ttl_s * 1000;
	t->latest_ms = t->earliest_ms;
	if (s->tokens_count > 0 && sim_pick(s, 3) == 0) {
		token = s->tokens[sim_pick(s, s->tokens_count)];
		(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)token);
		issue.owner = owner;
		issue.owner_token = token;
		t->may_end = true;
	}
	if (t->plain)
		lease_plain_start(s->f->leases, &issue, on_issued, &t->issue);
	else
		lease_issue_start(s->f->leases, &issue, on_issued, &t->issue);
}

static struct tracked *
some_lease(struct sim *s)
{
	unsigned recent = s->count < 60 ? s->count : 60;
	struct tracked *t;

	if (recent == 0)
		return (NULL);
	t = s->leases[s->count - 1 - sim_pick(s, recent)];
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
	request.ttl.increment_s = 1 + (int64_t)sim_pick(s, 600);
	memset(&t->renewal, 0, sizeof(t->renewal));
	t->renewing = true;
	t->renew_ms = leases_now_ms(s->f->leases) + request.ttl.increment_s * 1000;
	if (t->renew_ms > t->latest_ms)
		t->latest_ms = t->renew_ms;
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
	    s->f->leases, t->issue.row, sim_pick(s, 2) * 10000, "sim", on_revoked, &t->end);
}

static void
do_delivery(struct sim *s)
{
	struct tracked *t = some_lease(s);
	bool lost = sim_pick(s, 4) == 0;

	if (t == NULL)
		return;
	t->may_end = t->may_end || lost;
	lease_delivery(s->f->leases, t->issue.row, !lost);
}

static void
do_job(struct sim *s)
{
	struct lease_scope scope = {.mount = s->f->mount, .text = ""};
	struct answer *job;

	if (s->jobs_count == SIM_JOBS_MAX)
		return;
	scope.kind = (enum lease_scope_kind)sim_pick(s, 3);
	if (scope.kind == LEASE_SCOPE_TOKEN && s->tokens_count == 0)
		return;
	if (scope.kind == LEASE_SCOPE_OWNER)
		scope.text = "entity:e1";
	if (scope.kind == LEASE_SCOPE_TOKEN)
		scope.token = s->tokens[sim_pick(s, s->tokens_count)];
	else
		for (unsigned i = 0; i < s->count; i++)
			s->leases[i]->may_end = true;
	job = s->jobs[s->jobs_count++] = calloc(1, sizeof(*job));
	assert_non_null(job);
	lease_job_start(s->f->leases, &scope, sim_pick(s, 2) * 30000, "sim", on_job, job);
}

static void
do_token(struct sim *s)
{
	int64_t parent =
	    s->tokens_count > 0 && sim_pick(s, 2) ? s->tokens[sim_pick(s, s->tokens_count)] : 0;
	int64_t id;

	id = token_make(s->f, parent, 1 + (int64_t)sim_pick(s, 900));
	if (id <= 0)
		return;
	if (s->tokens_count < SIM_TOKENS_MAX)
		s->tokens[s->tokens_count++] = id;
	else
		s->tokens[sim_pick(s, SIM_TOKENS_MAX)] = id;
}

static void
do_fault(struct sim *s)
{
	const enum plugin_op ops[] = {PLUGIN_OP_MINT, PLUGIN_OP_MINT, PLUGIN_OP_RENEW,
	    PLUGIN_OP_DISARM, PLUGIN_OP_REMOVE, PLUGIN_OP_REAP, PLUGIN_OP_CHECK,
	    PLUGIN_OP_INVENTORY};
	const int codes[] = {
	    LEASED_ECRASHED, LEASED_ETIMEDOUT, LEASED_EREFUSED, LEASED_EUNAVAIL, LEASED_EDENIED};
	enum fake_fault fault = (enum fake_fault)sim_pick(s, 4);
	int code = codes[sim_pick(s, 5)];

	/* Only what outlives its worker, or its session, can land later. */
	if (fault == FAKE_FAULT_LATE && code != LEASED_ECRASHED)
		code = LEASED_ETIMEDOUT;
	fake_port_fault(s->f->fake, ops[sim_pick(s, 8)], fault, code, "sim");
	sim_trouble(s);
}

static void
do_store_fault(struct sim *s)
{
	s->store_faults++;
	sim_trouble(s);
	failpoint_fail_next(FAILPOINT_store_commit_fail, LEASED_ENOMEM);
}

static void
do_account(struct sim *s)
{
	struct tracked *t = some_lease(s);
	struct fake_account *account = t != NULL ? account_of(s->f, &t->issue) : NULL;

	if (account == NULL)
		return;
	sim_trouble(s);
	if (sim_pick(s, 2))
		(void)snprintf(account->blocked, sizeof(account->blocked), "owns table t");
	else
		account->stubborn = true;
}

static void
come_back(struct sim *s)
{
	if (s->moved) {
		s->moved = false;
		fake_port_port(s->f->fake)->moved = false;
		fake_port_crash(s->f->fake);
		fake_port_set_server(s->f->fake, "fake-server-1");
	}
	if (s->down) {
		s->down = false;
		fake_port_set_down(s->f->fake, false);
	}
}

/* Another server answers under the connection's name. What the first one had under way is over. */
static void
do_move(struct sim *s)
{
	if (s->moved)
		return;
	s->moves++;
	s->moved = true;
	fake_port_land(s->f->fake);
	fake_port_crash(s->f->fake);
	fake_port_port(s->f->fake)->moved = true;
	fake_port_set_server(s->f->fake, "fake-server-2");
}

void
sim_heal(struct sim *s)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 100000};
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct fake_account *account;
	size_t count = 0;

	come_back(s);
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
	failpoint_fail_next(FAILPOINT_store_commit_fail, 0);
	fix_end(s->f, sim_pick(s, 2));
	/* Behind the end: an orderly stop writes lease time by the clock of its own boot. */
	if (sim_pick(s, 5) == 0) {
		s->reboots++;
		wclock_fake_reboot(&s->f->clock, (int64_t)sim_pick(s, 120) * 1000000);
	}
	fix_open(s->f);
	sim_trouble(s);
}

static void
do_time(struct sim *s)
{
	if (s->bounds.span_ms > 0)
		sim_pass(s, (int64_t)sim_pick(s, 2u << sim_pick(s, 22)));
	else
		wclock_fake_advance(&s->f->clock, (int64_t)sim_pick(s, 15000) * 1000);
	if (sim_pick(s, 20) == 0)
		wclock_fake_jump(&s->f->clock, ((int64_t)sim_pick(s, 172800) - 86400) * 1000000);
	sim_hung_calls_end(s);
}

static void
do_micro(struct sim *s)
{
	for (unsigned n = sim_pick(s, 6); n > 0; n--)
		switch (sim_pick(s, 3)) {
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

static void
do_down(struct sim *s)
{
	s->down = true;
	fake_port_set_down(s->f->fake, true);
}

static void
do_worker_crash(struct sim *s)
{
	fake_port_crash(s->f->fake);
	sim_trouble(s);
}

static void
do_land(struct sim *s)
{
	fake_port_land(s->f->fake);
}

static void
do_settle(struct sim *s)
{
	settle(s->f);
}

/* The backend is restored from a backup: an account that had gone is back. */
static void
do_restore(struct sim *s)
{
	char incarnation[32];

	if (s->moved || s->gone[0] == '\0' || fake_port_account(s->f->fake, s->gone) != NULL)
		return;
	(void)snprintf(incarnation, sizeof(incarnation), "life %u", ++s->restores);
	fake_port_set_incarnation(s->f->fake, incarnation);
	(void)fake_port_add_account(s->f->fake, s->gone);
	s->gone[0] = '\0';
	fake_port_crash(s->f->fake);
	sim_trouble(s);
}

static void
do_reconcile(struct sim *s)
{
	if (s->reconciling && s->told.count == 0)
		return;
	s->reconciling = true;
	s->told = (struct told){0};
	start(s->f, sim_pick(s, 2) == 0, &s->told);
}

void
sim_reconcile_all(struct sim *s)
{
	const struct reconcile_report *report = NULL;
	unsigned tries;

	assert_true(!s->reconciling || s->told.count == 1);
	s->reconciling = false;
	/* Faults that wait for a call may strike these. */
	for (tries = 0; tries < 20 && (report == NULL || report->err.code != 0 || report->left > 0);
	     tries++) {
		s->told = (struct told){0};
		start(s->f, true, &s->told);
		for (unsigned i = 0; i < 300 && s->told.count == 0; i++) {
			later(s->f, 300);
			sim_hung_calls_end(s);
		}
		assert_int_equal(s->told.count, 1);
		if (s->told.code == 0 && s->told.status.finished)
			report = lease_connection_find(s->f->leases, s->f->connection)
				     ->reconciling->by_hand;
	}
	assert_true(tries < 20);
}

static const struct {
	const char *name;
	unsigned weight, long_weight; /* dense; over a long span */
	void (*act)(struct sim *s);
} acts[] = {
    {"issue", 20, 24, do_issue},
    {"renew", 12, 12, do_renew},
    {"revoke", 8, 8, do_revoke},
    {"delivery", 6, 6, do_delivery},
    {"job", 1, 1, do_job},
    {"token", 2, 3, do_token},
    {"fault", 4, 1, do_fault},
    {"store fault", 1, 1, do_store_fault},
    {"account", 3, 1, do_account},
    {"crash", 2, 1, do_crash},
    {"time", 10, 30, do_time},
    {"micro", 60, 60, do_micro},
    {"down", 1, 1, do_down},
    {"move", 1, 1, do_move},
    {"worker crash", 1, 1, do_worker_crash},
    {"land", 1, 1, do_land},
    {"settle", 5, 20, do_settle},
    {"restore", 1, 1, do_restore},
    {"reconcile", 1, 1, do_reconcile},
};
#define ACTS (sizeof(acts) / sizeof(acts[0]))

void
sim_act(struct sim *s)
{
	bool is_long = s->bounds.span_ms > 0;
	unsigned all = 0, at, weight;

	if ((s->down || s->moved) && sim_pick(s, 5) == 0)
		come_back(s);
	for (size_t i = 0; i < ACTS; i++)
		all += is_long ? acts[i].long_weight : acts[i].weight;
	at = sim_pick(s, all);
	for (size_t i = 0; i < ACTS; i++) {
		weight = is_long ? acts[i].long_weight : acts[i].weight;
		if (at < weight) {
			sim_trace(s, acts[i].name, wclock_boot_ms(&s->f->clock.clock));
			acts[i].act(s);
			return;
		}
		at -= weight;
	}
}
