/*
 * Fences: which accounts wait for the sessions of a dead worker to be reaped (session.c) before
 * they are disarmed. Within a run they are kept by lease; for what an earlier run left, every
 * INTENT waits for every session of that run, and for some seconds a LIVE lease does whose renewal
 * may give access.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/private.h"

#define EARLIER_RENEWAL_MS 12000 /* a call of 10 s, and how long a server may take to notice */

/* An account that had a call on a worker that is no more. */
struct lease_fence {
	int64_t id; /* of the lease */
	int64_t connection;
	char worker[64];
	TAILQ_ENTRY(lease_fence) entry;
};

static bool
outcome_is_unknown(int code)
{
	return (code == LEASED_ETIMEDOUT || code == LEASED_ECRASHED || code == LEASED_EPROTO ||
		code == LEASED_ECANCELED || code == LEASED_EUNAVAIL);
}

/* worker NULL: any. */
static struct lease_fence *
fence_find(struct leases *leases, int64_t id, const char *worker)
{
	struct lease_fence *fence;

	TAILQ_FOREACH (fence, &leases->fences, entry)
		if (fence->id == id && (worker == NULL || strcmp(fence->worker, worker) == 0))
			return (fence);
	return (NULL);
}

void
lease_fence(struct lease *lease, const struct plugin_outcome *outcome)
{
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection = lease_connection_find(leases, lease->connection);
	struct lease_fence *fence;

	if (outcome->not_sent || !outcome_is_unknown(outcome->code))
		return;
	lease->cut = true; /* a second look is cheap */
	/* What a worker answers is over: its session is another client's by now. */
	if (outcome->answered || outcome->worker == NULL || connection == NULL)
		return;
	lease_sessions_die(connection, outcome->worker);
	connection->reap_ms = 0;
	lease_wake(leases);
	if (fence_find(leases, lease->id, outcome->worker) != NULL)
		return;
	if ((fence = calloc(1, sizeof(*fence))) == NULL) {
		connection->fence_all = true;
		return;
	}
	fence->id = lease->id;
	fence->connection = lease->connection;
	lease_text_copy(fence->worker, sizeof(fence->worker), outcome->worker);
	TAILQ_INSERT_TAIL(&leases->fences, fence, entry);
}

void
lease_fence_drop(struct leases *leases, int64_t id)
{
	struct lease_fence *fence;

	while ((fence = fence_find(leases, id, NULL)) != NULL) {
		TAILQ_REMOVE(&leases->fences, fence, entry);
		free(fence);
	}
}

bool
lease_fence_holds(struct lease_connection *connection, int64_t id)
{
	struct leases *leases = connection->leases;
	struct lease_session *session;
	bool dead = false;

	TAILQ_FOREACH (session, &connection->sessions, entry) {
		if (session->dead && fence_find(leases, id, session->worker) != NULL)
			return (true);
		dead = dead || session->dead;
	}
	if (connection->fence_all && dead)
		return (true);
	connection->fence_all = false;
	lease_fence_drop(leases, id);
	return (false);
}

/* Statements of its own may say anything, LOGIN too; a plugin's own move the expiry and no more. */
static bool
renewal_gives_access(struct leases *leases, const struct lease_data *data)
{
	struct leased_err err = LEASED_ERR_INIT;
	const json_t *statements;
	json_t *version = NULL;
	bool gives;

	if (data->role_version == 0 ||
	    lease_role_find(leases, data->role_version, &version, &err) != 0)
		return (false);
	statements = json_object_get(json_object_get(version, "role"), "renew_statements");
	gives = json_array_size(statements) > 0;
	json_decref(version);
	return (gives);
}

/*
 * Of an earlier run: an INTENT was being minted, and stays until its session is gone. A LIVE lease
 * may have been in a renewal, of which no row tells; nothing of one lasts longer than its call may.
 */
static bool
is_of_earlier_call(
    struct leases *leases, const struct store_lease *row, const struct lease_data *data)
{
	if (strcmp(data->run, leases->run) == 0)
		return (false);
	if (row->state == STORE_LEASE_INTENT)
		return (true);
	return (row->state == STORE_LEASE_LIVE &&
		leases_now_ms(leases) < leases->time.opened_ms + EARLIER_RENEWAL_MS &&
		renewal_gives_access(leases, data));
}

bool
lease_fenced(struct leases *leases, const struct store_lease *row, const struct lease_data *data)
{
	struct lease_connection *connection = lease_connection_get(leases, row->connection);
	bool earlier = is_of_earlier_call(leases, row, data);
	struct lease_session *session;

	if (connection == NULL || !lease_sessions_known(connection))
		return (true);
	TAILQ_FOREACH (session, &connection->sessions, entry)
		if (session->inherited && earlier)
			return (true);
	return (lease_fence_holds(connection, row->id));
}

void
lease_fences_forget(struct lease_connection *connection)
{
	struct leases *leases = connection->leases;
	struct lease_fence *fence, *next;

	for (fence = TAILQ_FIRST(&leases->fences); fence != NULL; fence = next) {
		next = TAILQ_NEXT(fence, entry);
		if (fence->connection != connection->id)
			continue;
		TAILQ_REMOVE(&leases->fences, fence, entry);
		free(fence);
	}
}
