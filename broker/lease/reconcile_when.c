/*
 * When reconcile runs: by hand at once; by itself after a start, once a day, and when the backend
 * is not the one of before (another configuration, a server that was started anew or restored).
 * Owns what is kept of a connection, and who waits for a run by hand.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/hold.h"
#include "lease/reconcile_private.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define JITTER_MS (INT64_C(3600) * 1000) /* of a day */
#define FIRST_MS 5000                    /* after a port was opened, to let recovery begin .. */
#define FIRST_JITTER_MS 10000
#define RECOVERY_MS 60000 /* .. which is waited for so long */
#define CHANGED_MS 500
#define PING_MS 1000 /* after a worker's session: others may begin at the same time */
#define PING_AGAIN_MS 5000
#define PING_EVERY_MS 30000   /* of a backend that nobody asks for anything .. */
#define PING_VOLATILE_MS 5000 /* .. and that loses accounts: their clients wait for them */
#define PING_SPREAD_MS 8000   /* not all connections at the same moment */
#define RETRY_MS 60000        /* 1, 2, 4 .. minutes after a failure */
#define RETRY_MAX_SHIFT 6u

static int64_t
jitter(struct leases *leases, int64_t max_ms)
{
	uint32_t noise = 0;

	leases->config.ids->fill(leases->config.ids, &noise, sizeof(noise));
	return (max_ms * noise / UINT32_MAX);
}

struct lease_reconciling *
lease_reconciling_of(struct lease_connection *connection)
{
	if (connection->reconciling == NULL)
		connection->reconciling = calloc(1, sizeof(*connection->reconciling));
	return (connection->reconciling);
}

/* A candidate's accounts are those of its trial; they are its own. */
static bool
by_itself(const struct lease_connection *connection)
{
	const struct leases_config *config = &connection->leases->config;

	return (connection->id != 0 && !connection->gone && config->mount_of != NULL &&
		config->mount_of(config->arg, connection->id) != 0);
}

static void
due(struct lease_connection *connection, int64_t at_ms, const char *why)
{
	struct lease_reconciling *own = lease_reconciling_of(connection);

	if (own == NULL || (own->due_ms != 0 && own->due_ms <= at_ms))
		return;
	own->due_ms = at_ms;
	own->since_ms = 0;
	own->why = why;
}

/* ---- what happens to a connection ---- */

void
lease_reconcile_opened(struct lease_connection *connection)
{
	struct leases *leases = connection->leases;
	int64_t wait_ms = FIRST_MS + jitter(leases, FIRST_JITTER_MS);
	char by[129];

	if (!by_itself(connection))
		return;
	/* What a person asked for is not put off. */
	if (lease_reconcile_note_read(leases, connection->id, by, sizeof(by)))
		wait_ms = CHANGED_MS;
	if (lease_reconciling_of(connection) != NULL) /* what came to pass meanwhile is not known */
		connection->reconciling->remake = true;
	due(connection, leases_now_ms(leases) + wait_ms, "opened");
}

void
lease_reconcile_released(struct lease_connection *connection)
{
	if (!by_itself(connection))
		return;
	if (lease_reconciling_of(connection) != NULL)
		connection->reconciling->remake = true;
	due(connection, leases_now_ms(connection->leases) + FIRST_MS,
	    "the hold of the restored store has ended");
}

void
lease_reconcile_session(struct lease_connection *connection)
{
	int64_t at_ms = leases_now_ms(connection->leases) + PING_MS;
	struct lease_reconciling *own;

	if (by_itself(connection) && (own = lease_reconciling_of(connection)) != NULL &&
	    (own->ping_ms == 0 || own->ping_ms > at_ms))
		own->ping_ms = at_ms;
}

/* A session may have come meanwhile, which is asked sooner. */
static void
ping_later(struct lease_connection *connection, const struct plugin_outcome *outcome)
{
	struct lease_reconciling *own = connection->reconciling;
	bool heard = outcome->code != LEASED_EUNAVAIL && outcome->code != LEASED_ETIMEDOUT &&
		     outcome->code != LEASED_ECRASHED && outcome->code != LEASED_ECANCELED;
	int64_t pause_ms = PING_EVERY_MS + connection->id * 1000 % PING_SPREAD_MS;
	const struct plugin_port *port = lease_connection_port(connection);

	if (port != NULL && plugin_port_says(port, "volatile", false))
		pause_ms = PING_VOLATILE_MS;
	if (own->ping_ms == 0)
		own->ping_ms =
		    leases_now_ms(connection->leases) + (heard ? pause_ms : PING_AGAIN_MS);
}

/*
 * Whoever restores a server, or makes a standby the first one, brings accounts back. Asked of each
 * backend all the time: where nobody wants anything no session would show it, and an account that
 * was revoked would be there until the daily run. A backend that is down is known by it, too.
 */
static void
on_pinged(void *arg, const struct plugin_outcome *outcome)
{
	struct lease_connection *connection = arg;
	struct lease_reconciling *own = connection->reconciling;
	const char *incarnation =
	    json_string_value(json_object_get(outcome->result, "incarnation"));

	own->ping = NULL;
	ping_later(connection, outcome);
	if (incarnation == NULL || strlen(incarnation) >= sizeof(own->incarnation) ||
	    strcmp(own->incarnation, incarnation) == 0)
		return;
	if (own->incarnation[0] != '\0') {
		own->remake = true;
		due(connection, leases_now_ms(connection->leases) + CHANGED_MS,
		    "the server was started anew or restored");
	}
	memcpy(own->incarnation, incarnation, strlen(incarnation) + 1);
}

static void
ping_step(struct lease_connection *connection, int64_t now_ms)
{
	struct lease_reconciling *own = connection->reconciling;
	json_t *params;

	if (own->ping_ms == 0 || now_ms < own->ping_ms || own->ping != NULL ||
	    !lease_connection_ready(connection))
		return;
	if ((params = json_object()) != NULL)
		own->ping = plugin_call_start(lease_connection_port(connection), PLUGIN_OP_PING,
		    params, 0, on_pinged, connection);
	own->ping_ms = own->ping != NULL ? 0 : now_ms + PING_AGAIN_MS;
}

/* ---- beginning ---- */

static void
begin_by_hand(struct lease_connection *connection)
{
	struct lease_reconciling *own = connection->reconciling;
	struct reconcile_report *report = own->wanted;

	own->wanted = NULL;
	own->due_ms = own->since_ms = 0;
	lease_reconcile_run_start(connection, report, own->wanted_accessor, own->wanted_cause);
}

static bool
is_settled(struct lease_connection *connection)
{
	const struct lease_session *session;

	if (!connection->left_over_ended || !lease_sessions_known(connection))
		return (false);
	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (session->dead)
			return (false);
	return (true);
}

static void
begin_by_itself(struct lease_connection *connection, int64_t now_ms)
{
	struct lease_reconciling *own = connection->reconciling;
	struct plugin_port *port = lease_connection_port(connection);
	struct reconcile_report *report;
	char by[129] = "";
	bool fix;

	if (!by_itself(connection)) {
		own->due_ms = 0; /* gone, or none of ours: opened anew it is due again */
		return;
	}
	if (own->since_ms == 0)
		own->since_ms = now_ms;
	if (!lease_connection_ready(connection) || port->moved)
		return; /* due, for as long as that lasts */
	if (!is_settled(connection) && now_ms < own->since_ms + RECOVERY_MS)
		return;
	fix = lease_reconcile_note_read(connection->leases, connection->id, by, sizeof(by));
	if ((report = lease_reconcile_report_new(connection, fix)) == NULL)
		return;
	report->why = fix ? "a run that was to fix was cut off" : own->why;
	lease_text_copy(report->by, sizeof(report->by), by);
	own->due_ms = own->since_ms = 0;
	lease_reconcile_run_start(connection, report, "", "reconcile");
}

static void
connection_step(struct lease_connection *connection, int64_t now_ms)
{
	struct lease_reconciling *own = connection->reconciling;

	if (own == NULL)
		return;
	ping_step(connection, now_ms);
	if (own->run != NULL)
		lease_reconcile_run_step(own->run, now_ms);
	else if (own->wanted != NULL)
		begin_by_hand(connection);
	else if (own->due_ms != 0 && now_ms >= own->due_ms)
		begin_by_itself(connection, now_ms);
}

bool
lease_reconcile_ends(const struct lease_connection *connection)
{
	const struct lease_reconciling *own = connection->reconciling;

	return (own != NULL && own->run != NULL && own->run->step == RECONCILE_ENDING);
}

/* ---- who waits ---- */

static void
job_tell(struct leases *leases, int code, const struct leased_err *err)
{
	struct lease_reconcile_job *job = &leases->reconcile_job;
	struct lease_reconcile_status status = {.job = job->id, .finished = job->pending == 0};
	lease_reconcile_done done = job->done;
	void *arg = job->arg;

	job->done = NULL;
	if (job->pending == 0)
		job->id = 0;
	if (done != NULL)
		done(arg, code, &status, err);
}

static void
job_less(struct leases *leases, int64_t job)
{
	struct leased_err none = LEASED_ERR_INIT;

	if (job != 0 && job == leases->reconcile_job.id && --leases->reconcile_job.pending == 0)
		job_tell(leases, 0, &none);
}

void
lease_reconcile_when_finished(
    struct lease_connection *connection, const struct reconcile_report *report)
{
	struct lease_reconciling *own = connection->reconciling;
	struct leases *leases = connection->leases;
	int64_t now_ms = leases_now_ms(leases);
	unsigned shift = own->fails < RETRY_MAX_SHIFT ? own->fails : RETRY_MAX_SHIFT;

	/* What could not be made anew is tried again like a run that failed. */
	bool good = report->err.code == 0 && (!report->remakes || report->missing == 0);

	own->fails = good ? 0 : own->fails + 1;
	own->remake = own->remake || (report->may_remake && !good);
	if (by_itself(connection))
		due(connection,
		    now_ms +
			(good ? DAY_MS - jitter(leases, JITTER_MS) : ((int64_t)RETRY_MS << shift)),
		    good ? "daily" : "the last time it failed");
	job_less(leases, report->job);
}

void
lease_reconcile_step(struct leases *leases, int64_t now_ms)
{
	struct lease_connection *connection, *next;
	struct leased_err none = LEASED_ERR_INIT;

	if (leases->freeing)
		return;
	HASH_ITER(hh, leases->connections, connection, next)
	{
		connection_step(connection, now_ms);
	}
	if (leases->reconcile_job.done != NULL && now_ms >= leases->reconcile_job.until_ms)
		job_tell(leases, 0, &none);
}

/* ---- by hand ---- */

static bool
want(struct lease_connection *connection, const struct lease_reconcile *reconcile, int64_t job)
{
	struct lease_reconciling *own = lease_reconciling_of(connection);
	struct reconcile_report *report;

	if (own == NULL ||
	    (report = lease_reconcile_report_new(connection, reconcile->fix)) == NULL)
		return (false);
	report->job = job;
	report->by_hand = true;
	lease_text_copy(report->by, sizeof(report->by), reconcile->actor.name);
	lease_text_copy(
	    own->wanted_accessor, sizeof(own->wanted_accessor), reconcile->actor.accessor);
	lease_text_copy(own->wanted_cause, sizeof(own->wanted_cause), reconcile->cause);
	lease_reconcile_report_free(own->wanted);
	own->wanted = report;
	return (true);
}

/* Also one that has no port: that it cannot be compared is an answer. Candidates are their own. */
static bool
is_wanted(struct lease_connection *connection, int64_t id)
{
	return (id != 0 ? connection->id == id : by_itself(connection));
}

static int
may_start(struct leases *leases, const struct lease_reconcile *reconcile, struct leased_err *err)
{
	struct lease_hold hold;

	lease_hold_get(leases, &hold);
	if (leases->freeing)
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	if (leases->reconcile_job.id != 0)
		return (leased_err_set(err, LEASED_ECONFLICT,
		    "job %lld is under way: `lease reconcile --status` shows how far it is",
		    (long long)leases->reconcile_job.id));
	if (reconcile->fix && hold.held)
		return (lease_held_error(err));
	if (reconcile->connection != 0 &&
	    lease_connection_get(leases, reconcile->connection) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

void
lease_reconcile_start(struct leases *leases, const struct lease_reconcile *reconcile,
    unsigned wait_ms, lease_reconcile_done done, void *arg)
{
	struct lease_reconcile_job *job = &leases->reconcile_job;
	struct lease_connection *connection, *next;
	struct leased_err err = LEASED_ERR_INIT;
	int64_t now_ms = leases_now_ms(leases);
	unsigned pending = 0;
	int r;

	if ((r = may_start(leases, reconcile, &err)) != 0) {
		done(arg, r, NULL, &err);
		return;
	}
	job->id = job->last_id = now_ms > job->last_id ? now_ms : job->last_id + 1;
	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (is_wanted(connection, reconcile->connection))
			pending += want(connection, reconcile, job->id);
	}
	if (pending == 0) {
		job->id = 0;
		(void)leased_err_set(&err, LEASED_ENOENT, "there is no such connection");
		done(arg, LEASED_ENOENT, NULL, &err);
		return;
	}
	job->pending = pending;
	job->until_ms = now_ms + wait_ms;
	job->done = done;
	job->arg = arg;
	lease_wake(leases);
}

/* ---- the end of a connection, or of all ---- */

void
lease_reconcile_drop(struct lease_connection *connection)
{
	struct lease_reconciling *own = connection->reconciling;
	int64_t running = 0, waiting = 0;

	if (own == NULL)
		return;
	/* One by hand may wait behind one by itself: whichever is of a job is one less of it. */
	if (own->run != NULL)
		running = own->run->report->job;
	if (own->wanted != NULL)
		waiting = own->wanted->job;
	connection->reconciling = NULL;
	lease_reconcile_uncount(connection->leases, own);
	lease_reconcile_run_free(own->run);
	if (own->ping != NULL)
		plugin_call_cancel(own->ping);
	lease_reconcile_report_free(own->wanted);
	if (own->by_hand != own->last)
		lease_reconcile_report_free(own->by_hand);
	lease_reconcile_report_free(own->last);
	free(own);
	job_less(connection->leases, running);
	job_less(connection->leases, waiting);
}

void
lease_reconcile_clear(struct leases *leases)
{
	struct lease_connection *connection, *next;
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED,
	    "leased is stopping; what was to be removed is removed after its next start");
	if (leases->reconcile_job.done != NULL)
		job_tell(leases, LEASED_ECANCELED, &err);
	HASH_ITER(hh, leases->connections, connection, next)
	{
		lease_reconcile_drop(connection);
	}
}
