/*
 * All leases of a store: opening, the tick that does what is due, closing. Owns struct leases;
 * holds no list of leases, only those that something is being done to. Never touches libevent
 * (timer.c does).
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/hold.h"
#include "lease/private.h"

#define LEASES_TAG 0x6c736573u
#define TICK_MAX_MS 1000
#define PURGE_EVERY_MS 60000
#define PURGE_MAX 500

struct leases *
leases_from(void *arg)
{
	struct leases *leases = arg;

	if (leases->tag != LEASES_TAG)
		log_fatal("a callback of lease/ was given something that is not the leases");
	return (leases);
}

void
lease_wake(struct leases *leases)
{
	if (leases->opened && !leases->freeing && leases->config.wake != NULL)
		leases->config.wake(leases->config.arg);
}

/* Every connection that has rows is known from the start, so that its timer runs. */
static int
connections_load(struct leases *leases, struct leased_err *err)
{
	struct store_db *db = store_db(leases->config.store);
	struct lease_connection *connection;
	int64_t *ids = NULL;
	size_t count = 0;
	int r;

	if ((r = store_lease_connections(db, &ids, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count && r == 0; i++) {
		if ((connection = lease_connection_get(leases, ids[i])) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		else
			connection->from_start = true;
	}
	if (r == 0 && lease_connection_get(leases, 0) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	free(ids);
	return (r);
}

int
leases_new(const struct leases_config *config, struct leases **ret_leases, struct leased_err *err)
{
	struct leases *leases = calloc(1, sizeof(*leases));
	int r;

	if (leases == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	leases->tag = LEASES_TAG;
	leases->config = *config;
	TAILQ_INIT(&leases->tasks);
	TAILQ_INIT(&leases->all);
	TAILQ_INIT(&leases->parked);
	TAILQ_INIT(&leases->refused);
	TAILQ_INIT(&leases->waiting);
	TAILQ_INIT(&leases->batches);
	TAILQ_INIT(&leases->fences);
	id_base62(config->ids, sizeof(leases->run) - 1, leases->run);
	FAILPOINT(lease_recover_before);
	if ((r = lease_time_open(leases, err)) != 0 || (r = connections_load(leases, err)) != 0 ||
	    (r = lease_jobs_load(leases, err)) != 0)
		goto out;
	leases->opened = true;
	leases->time.opened_ms = leases_now_ms(leases);
	lease_hold_log(leases);
	*ret_leases = leases;
	leases = NULL;
out:
	leases_free(leases);
	return (r);
}

static void
connections_clear(struct leases *leases)
{
	struct lease_connection *connection, *next;

	HASH_ITER(hh, leases->connections, connection, next)
	{
		lease_connection_free(connection);
	}
}

/* What somebody waits for is answered; what the store still has to write goes on without us. */
static void
operations_clear(struct leases *leases)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease *lease;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	while ((lease = TAILQ_FIRST(&leases->all)) != NULL) {
		if (lease->call != NULL)
			plugin_call_cancel(lease->call);
		lease->call = NULL;
		if (lease->request != NULL)
			lease_request_tell(lease->request, LEASED_ECANCELED, &err, NULL);
		lease_release(lease); /* its transaction may still read the request */
	}
}

static void
tasks_clear(struct leases *leases)
{
	struct lease_task *task;

	while ((task = TAILQ_FIRST(&leases->tasks)) != NULL) {
		TAILQ_REMOVE(&leases->tasks, task, entry);
		task->leases = NULL;
		if (task->cancel != NULL)
			task->cancel(task);
	}
}

/* Answering may begin something new: a token whose last use the request was is ended. */
static void
everything_clear(struct leases *leases)
{
	do {
		lease_count_clear(leases);
		lease_reconcile_clear(leases);
		lease_end_clear(leases);
		lease_sessions_clear(leases);
		lease_jobs_clear(leases);
		lease_waits_clear(leases);
		operations_clear(leases);
		tasks_clear(leases);
		lease_refusals_run(leases); /* also those that came from the answers above */
	} while (!TAILQ_EMPTY(&leases->tasks) || !TAILQ_EMPTY(&leases->all) ||
		 !TAILQ_EMPTY(&leases->waiting) || leases->jobs != NULL);
}

void
leases_stop(struct leases *leases)
{
	if (leases == NULL || leases->freeing)
		return;
	lease_time_stop(leases);
	leases->freeing = true;
	if (leases->unmarked.count + leases->unmarked.trying > 0)
		log_error("leased stops while revocations of undelivered leases are not on disk: "
			  "those that are still live then live until their end",
		    LOG_I("revocations", leases->unmarked.count + leases->unmarked.trying));
	everything_clear(leases);
}

void
leases_free(struct leases *leases)
{
	if (leases == NULL)
		return;
	leases_stop(leases);
	everything_clear(leases); /* what began since */
	connections_clear(leases);
	lease_roles_clear(leases);
	lease_remembered_clear(leases);
	lease_deliveries_clear(leases);
	leases->tag = 0;
	free(leases);
}

void
leases_crash(struct leases *leases)
{
	struct lease_task *task;

	leases->time.storing = true; /* a crash writes no anchor */
	TAILQ_FOREACH (task, &leases->tasks, entry)
		task->lost = true;
	leases_free(leases);
}

/* ---- tombstones ---- */

struct purge_task {
	struct lease_task task; /* first */
	int64_t before_ms;
	unsigned purged;
};

static int
on_purge_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct purge_task *purge = (struct purge_task *)task;

	return (store_tombstone_purge(txn, purge->before_ms, PURGE_MAX, &purge->purged, err));
}

static void
on_purge_drop(struct lease_task *task)
{
	free(task);
}

static void
on_purge_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct leases *leases = task->leases;

	if (result != 0)
		log_warn("old tombstones were not removed; it is tried again",
		    LOG_S("error", err->text));
	leases->purging = false;
	if (result == 0 && ((struct purge_task *)task)->purged == PURGE_MAX) {
		leases->purge_ms = 0; /* there may be more, and they are not to pile up */
		lease_wake(leases);
	}
	free(task);
}

static void
purge(struct leases *leases, int64_t now_ms)
{
	struct purge_task *task;

	if (leases->purging || now_ms < leases->purge_ms)
		return;
	leases->purge_ms = now_ms + PURGE_EVERY_MS;
	if ((task = calloc(1, sizeof(*task))) == NULL)
		return;
	task->task.run = on_purge_run;
	task->task.done = on_purge_done;
	task->task.drop = on_purge_drop;
	task->before_ms = now_ms - LEASE_ENDED_MS;
	leases->purging = true;
	lease_task_submit(leases, &task->task);
}

/* ---- the tick ---- */

static int64_t
connection_step(struct lease_connection *connection, int64_t now_ms)
{
	int64_t next_ms = now_ms + TICK_MAX_MS, at_ms;

	lease_sessions_step(connection, now_ms);
	if (lease_sweep(connection, now_ms))
		next_ms = now_ms;
	if ((at_ms = lease_end_pump(connection)) < next_ms)
		next_ms = at_ms;
	if (connection->due_ms < next_ms)
		next_ms = connection->due_ms;
	return (next_ms);
}

int64_t
leases_tick(struct leases *leases)
{
	struct lease_connection *connection, *next;
	int64_t now_ms, next_ms, at_ms;

	lease_time_tick(leases);
	now_ms = leases_now_ms(leases);
	next_ms = now_ms + TICK_MAX_MS;
	lease_refusals_run(leases);
	lease_end_parked(leases, now_ms);
	lease_unmarked_step(leases, now_ms);
	if ((at_ms = lease_jobs_step(leases, now_ms)) < next_ms)
		next_ms = at_ms;
	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (lease_connection_is_over(connection))
			lease_connection_free(connection);
		else if ((at_ms = connection_step(connection, now_ms)) < next_ms)
			next_ms = at_ms;
	}
	if ((at_ms = lease_waits_step(leases, now_ms)) < next_ms)
		next_ms = at_ms;
	lease_looks(leases, now_ms);
	lease_count_step(leases, now_ms);
	lease_recount_step(leases, now_ms);
	lease_reconcile_step(leases, now_ms);
	purge(leases, now_ms);
	return (next_ms > now_ms ? next_ms - now_ms : 0);
}
