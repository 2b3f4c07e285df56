/*
 * Fencing of zombie creates: a statement that was under way when its worker died may still land on
 * the backend. A worker's backend session is durable before anything is sent on it; when the worker
 * dies, and at start for the workers of earlier runs, its sessions are ended and seen gone (`reap`)
 * before an account that had a call on one of them is disarmed. Other accounts go on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/private.h"
#include "store/hold.h"

#define RECORD_RETRY_MS 1000

struct session_task {
	struct lease_task task; /* first */
	struct plugin_session_ack *ack;
	bool remove;
	unsigned count;
	int64_t connection;
	struct {
		char worker[64], session[160];
	} sessions[LEASE_BATCH_MAX];
};

/* ---- records ---- */

static int
on_sessions_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct session_task *own = (struct session_task *)task;
	int r = 0;

	for (unsigned i = 0; i < own->count && r == 0; i++) {
		struct store_session session = {.connection = own->connection,
		    .worker = own->sessions[i].worker,
		    .session = own->sessions[i].session};

		r = own->remove ? store_session_delete(txn, &session, err)
				: store_session_put(txn, &session, err);
		if (own->remove && r == LEASED_ENOENT)
			r = 0;
	}
	return (r);
}

static void
on_sessions_drop(struct lease_task *task)
{
	free(task);
}

/*
 * A full disk does not stop the way out: the session may be used, and is written down when there is
 * room. Mints are refused until then, so that nothing unknown can land on it after a crash.
 */
static void
recorded(struct leases *leases, const struct session_task *own, bool is_recorded)
{
	struct lease_connection *connection = lease_connection_find(leases, own->connection);
	struct lease_session *session;

	if (connection == NULL)
		return;
	TAILQ_FOREACH (session, &connection->sessions, entry)
		for (unsigned i = 0; i < own->count; i++)
			if (strcmp(session->session, own->sessions[i].session) == 0 &&
			    strcmp(session->worker, own->sessions[i].worker) == 0)
				session->unrecorded = !is_recorded;
}

static void
on_sessions_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct session_task *own = (struct session_task *)task;
	struct plugin_session_ack *ack = own->ack;

	if (!own->remove && (result == 0 || result == LEASED_ENOSPC)) {
		recorded(task->leases, own, result == 0);
		result = 0;
	}
	if (result != 0)
		log_warn("a backend session could not be recorded", LOG_S("error", err->text));
	FAILPOINT(lease_session_after_record);
	free(own);
	if (ack != NULL)
		plugin_session_ack(ack, result);
}

static void
on_sessions_cancel(struct lease_task *task)
{
	struct session_task *own = (struct session_task *)task;
	struct plugin_session_ack *ack = own->ack;

	own->ack = NULL;
	if (ack != NULL)
		plugin_session_ack(ack, LEASED_ECANCELED);
}

static struct session_task *
session_task_new(int64_t connection, bool remove)
{
	struct session_task *own = calloc(1, sizeof(*own));

	if (own == NULL)
		return (NULL);
	own->task.run = on_sessions_run;
	own->task.done = on_sessions_done;
	own->task.drop = on_sessions_drop;
	own->task.cancel = on_sessions_cancel;
	own->connection = connection;
	own->remove = remove;
	return (own);
}

static void
session_task_add(struct session_task *own, const struct lease_session *session)
{
	memcpy(own->sessions[own->count].worker, session->worker, sizeof(session->worker));
	memcpy(own->sessions[own->count].session, session->session, sizeof(session->session));
	own->count++;
}

struct lease_session *
lease_session_add(struct lease_connection *connection, const char *worker, const char *session)
{
	struct lease_session *added;

	if (strlen(worker) >= sizeof(added->worker) || strlen(session) >= sizeof(added->session))
		return (NULL);
	if ((added = calloc(1, sizeof(*added))) == NULL)
		return (NULL);
	memcpy(added->worker, worker, strlen(worker));
	memcpy(added->session, session, strlen(session));
	TAILQ_INSERT_TAIL(&connection->sessions, added, entry);
	return (added);
}

/* Of a worker of the store that this one was restored from: it may live. */
static bool
is_held(const struct store_session *session)
{
	return (strncmp(session->worker, STORE_HOLD_WORKER, strlen(STORE_HOLD_WORKER)) == 0);
}

struct lease_session *
lease_session_find(struct lease_connection *connection, const char *worker, const char *session)
{
	struct lease_session *found;

	TAILQ_FOREACH (found, &connection->sessions, entry)
		if (strcmp(found->worker, worker) == 0 && strcmp(found->session, session) == 0)
			break;
	return (found);
}

/* Those of earlier runs, once for each connection. False: not known yet, so nobody may pass. */
bool
lease_sessions_known(struct lease_connection *connection)
{
	struct store_db *db = store_db(connection->leases->config.store);
	struct store_session *sessions = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_session *added;
	size_t count = 0;

	if (connection->sessions_read)
		return (true);
	if (store_session_list(db, connection->id, &sessions, &count, &err) != 0) {
		log_warn("the backend sessions of earlier workers cannot be read",
		    LOG_I("connection", connection->id), LOG_S("error", err.text));
		return (false);
	}
	connection->sessions_read = true;
	for (size_t i = 0; i < count && connection->sessions_read; i++) {
		/* Known: after a hold, or a read that memory broke off, they are read again. */
		if (is_held(&sessions[i]) ||
		    lease_session_find(connection, sessions[i].worker, sessions[i].session) != NULL)
			continue;
		added = lease_session_add(connection, sessions[i].worker, sessions[i].session);
		if (added != NULL)
			added->inherited = added->dead = true;
		else
			connection->sessions_read = false;
	}
	store_session_list_free(sessions, count);
	return (connection->sessions_read);
}

/* ---- what the port tells ---- */

static void
on_session(void *arg, struct plugin_port *port, const char *worker, const char *session,
    struct plugin_session_ack *ack)
{
	struct leases *leases = leases_from(arg);
	struct lease_connection *connection = lease_connection_get(leases, port->connection);
	struct lease_session *added = NULL;
	struct session_task *own = NULL;

	if (connection != NULL && lease_sessions_known(connection) &&
	    (own = session_task_new(connection->id, false)) != NULL)
		added = lease_session_add(connection, worker, session);
	if (added == NULL) {
		free(own);
		plugin_session_ack(ack, LEASED_ENOMEM);
		return;
	}
	session_task_add(own, added);
	own->ack = ack;
	lease_reconcile_session(connection);
	FAILPOINT(lease_session_before_record);
	lease_task_submit(leases, &own->task);
}

static void
on_session_end(void *arg, struct plugin_port *port, const char *worker, const char *session)
{
	struct leases *leases = leases_from(arg);
	struct lease_connection *connection = lease_connection_find(leases, port->connection);
	struct lease_session *found;
	struct session_task *own;

	if (connection == NULL)
		return;
	found = lease_session_find(connection, worker, session);
	if (found == NULL || found->reaping)
		return;
	if ((own = session_task_new(connection->id, true)) == NULL)
		return; /* a hint: the record is reaped later */
	session_task_add(own, found);
	TAILQ_REMOVE(&connection->sessions, found, entry);
	free(found);
	lease_task_submit(leases, &own->task);
}

void
lease_sessions_die(struct lease_connection *connection, const char *worker)
{
	struct lease_session *session;

	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (strcmp(session->worker, worker) == 0)
			session->dead = true;
}

static void
on_worker_gone(void *arg, struct plugin_port *port, const char *worker)
{
	struct leases *leases = leases_from(arg);
	struct lease_connection *connection = lease_connection_find(leases, port->connection);

	if (connection == NULL || leases->freeing)
		return;
	lease_sessions_die(connection, worker);
	connection->reap_ms = 0;
	lease_wake(leases);
}

static void
port_back(struct leases *leases, struct plugin_port *port, bool opened)
{
	struct lease_connection *connection = lease_connection_get(leases, port->connection);

	if (connection == NULL)
		return;
	connection->gone = false;
	connection->fails = 0;
	connection->pause_ms = connection->reap_ms = 0;
	lease_connection_due(connection, 0);
	if (opened) {
		lease_connection_hasten(connection);
		lease_reconcile_opened(connection);
	} else {
		lease_reconcile_session(connection); /* is it the one that went away? */
	}
	lease_wake(leases);
}

static void
on_recovered(void *arg, struct plugin_port *port)
{
	port_back(leases_from(arg), port, false);
}

struct plugin_port_events
leases_port_events(struct leases *leases)
{
	return ((struct plugin_port_events){.on_session = on_session,
	    .on_session_end = on_session_end,
	    .on_worker_gone = on_worker_gone,
	    .on_recovered = on_recovered,
	    .arg = leases});
}

void
leases_port_opened(struct leases *leases, struct plugin_port *port)
{
	port_back(leases, port, true);
}

bool
leases_port_settled(struct leases *leases, int64_t id, const char *worker)
{
	struct lease_connection *connection = lease_connection_get(leases, id);
	const struct lease_session *session;

	if (connection == NULL || !lease_sessions_known(connection))
		return (false);
	if (worker != NULL)
		lease_sessions_die(connection, worker);
	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (session->dead) {
			connection->reap_ms = worker != NULL ? 0 : connection->reap_ms;
			lease_wake(leases);
			return (false);
		}
	return (true);
}

/* ---- reaping ---- */

static bool
result_is_ok(const json_t *results, size_t at)
{
	return (json_is_true(json_object_get(json_array_get(results, at), "ok")));
}

/* Those that were asked for stand first among the reaping ones, in the order of the call. */
static unsigned
reaped(struct lease_connection *connection, const json_t *results)
{
	struct session_task *own = session_task_new(connection->id, true);
	struct lease_session *session, *next;
	unsigned left = 0;
	size_t at = 0;

	for (session = TAILQ_FIRST(&connection->sessions); session != NULL; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (!session->reaping)
			continue;
		session->reaping = false;
		if (!result_is_ok(results, at++) || own == NULL) {
			left++;
			continue;
		}
		session_task_add(own, session);
		TAILQ_REMOVE(&connection->sessions, session, entry);
		free(session);
	}
	if (own != NULL && own->count > 0)
		lease_task_submit(connection->leases, &own->task);
	else
		free(own);
	return (left);
}

static void
on_reaped(void *arg, const struct plugin_outcome *outcome)
{
	struct lease_connection *connection = arg;
	struct leases *leases = connection->leases;
	const json_t *results = json_object_get(outcome->result, "results");
	unsigned left;

	connection->reap_call = NULL;
	FAILPOINT(lease_recover_after_reap);
	left = reaped(connection, results);
	if (left > 0) {
		connection->reap_fails++;
		connection->reap_ms =
		    leases_now_ms(leases) + lease_back_off_ms(leases, connection->reap_fails);
		log_warn("backend sessions of dead workers could not be ended; it is tried again",
		    LOG_I("connection", connection->id), LOG_I("sessions", left),
		    LOG_S("error", outcome->err.text));
	} else {
		connection->reap_fails = 0;
	}
	lease_sweep_anew(connection); /* those that waited stand in front */
}

static json_t *
reap_params(struct lease_connection *connection)
{
	struct lease_session *session;
	json_t *sessions = json_array();
	unsigned count = 0;

	TAILQ_FOREACH (session, &connection->sessions, entry) {
		if (!session->dead || count == LEASE_BATCH_MAX)
			continue;
		if (json_array_append_new(sessions, json_string(session->session)) != 0) {
			json_decref(sessions);
			return (NULL);
		}
		count++;
	}
	if (count == 0) {
		json_decref(sessions);
		return (NULL);
	}
	return (json_pack("{s:o}", "sessions", sessions));
}

static void
mark_reaping(struct lease_connection *connection)
{
	struct lease_session *session;
	unsigned count = 0;

	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (session->dead && count < LEASE_BATCH_MAX) {
			session->reaping = true;
			count++;
		}
}

/* What a full disk left unrecorded, once more. */
static void
record_again(struct lease_connection *connection, int64_t now_ms)
{
	struct lease_session *session;
	struct session_task *own = NULL;

	if (now_ms < connection->record_ms)
		return;
	TAILQ_FOREACH (session, &connection->sessions, entry) {
		if (!session->unrecorded ||
		    (own == NULL && (own = session_task_new(connection->id, false)) == NULL))
			continue;
		if (own->count == LEASE_BATCH_MAX)
			break;
		session_task_add(own, session);
	}
	connection->record_ms = now_ms + RECORD_RETRY_MS;
	if (own != NULL)
		lease_task_submit(connection->leases, &own->task);
}

bool
lease_sessions_recorded(const struct lease_connection *connection)
{
	const struct lease_session *session;

	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (session->unrecorded)
			return (false);
	return (true);
}

void
lease_sessions_step(struct lease_connection *connection, int64_t now_ms)
{
	struct plugin_port *port;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *params;

	record_again(connection, now_ms);
	if (connection->id == 0 || connection->reap_call != NULL || now_ms < connection->reap_ms ||
	    !lease_sessions_known(connection) || TAILQ_EMPTY(&connection->sessions))
		return;
	port = lease_connection_port(connection);
	if (port == NULL || plugin_port_ready(port, &err) != 0 ||
	    (params = reap_params(connection)) == NULL)
		return;
	FAILPOINT(lease_recover_before_reap);
	connection->reap_call =
	    plugin_call_start(port, PLUGIN_OP_REAP, params, 0, on_reaped, connection);
	if (connection->reap_call != NULL)
		mark_reaping(connection);
}

void
lease_sessions_forget(struct lease_connection *connection)
{
	struct lease_session *session;

	while ((session = TAILQ_FIRST(&connection->sessions)) != NULL) {
		TAILQ_REMOVE(&connection->sessions, session, entry);
		free(session);
	}
	lease_fences_forget(connection);
}

void
lease_sessions_clear(struct leases *leases)
{
	struct lease_connection *connection, *next;

	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (connection->reap_call != NULL)
			plugin_call_cancel(connection->reap_call);
		connection->reap_call = NULL;
		lease_sessions_forget(connection);
	}
}
