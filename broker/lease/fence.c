/*
 * Fences: which accounts wait for the sessions of a dead worker to be reaped (session.c) before
 * they are disarmed. Within a run they are kept by lease; for what an earlier run left, every
 * INTENT waits for every session of that run.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/private.h"

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

static struct lease_fence *
fence_find(struct leases *leases, int64_t id)
{
	struct lease_fence *fence;

	TAILQ_FOREACH (fence, &leases->fences, entry)
		if (fence->id == id)
			return (fence);
	return (NULL);
}

void
lease_fence(struct lease *lease, const struct plugin_outcome *outcome)
{
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection = lease_connection_get(leases, lease->connection);
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
	if ((fence = fence_find(leases, lease->id)) == NULL) {
		if ((fence = calloc(1, sizeof(*fence))) == NULL) {
			connection->fence_all = true;
			return;
		}
		fence->id = lease->id;
		fence->connection = lease->connection;
		TAILQ_INSERT_TAIL(&leases->fences, fence, entry);
	}
	lease_text_copy(fence->worker, sizeof(fence->worker), outcome->worker);
}

void
lease_fence_drop(struct leases *leases, int64_t id)
{
	struct lease_fence *fence = fence_find(leases, id);

	if (fence != NULL) {
		TAILQ_REMOVE(&leases->fences, fence, entry);
		free(fence);
	}
}

bool
lease_fenced(struct leases *leases, const struct store_lease *row, const char *run)
{
	struct lease_connection *connection = lease_connection_get(leases, row->connection);
	struct lease_fence *fence = fence_find(leases, row->id);
	bool foreign = row->state == STORE_LEASE_INTENT && strcmp(run, leases->run) != 0;
	struct lease_session *session;
	bool dead = false;

	if (connection == NULL || !lease_sessions_known(connection))
		return (true);
	TAILQ_FOREACH (session, &connection->sessions, entry) {
		if (session->dead && fence != NULL && strcmp(session->worker, fence->worker) == 0)
			return (true);
		if (session->inherited && foreign)
			return (true);
		dead = dead || session->dead;
	}
	if (connection->fence_all && dead)
		return (true);
	connection->fence_all = false;
	if (fence != NULL)
		lease_fence_drop(leases, row->id);
	return (false);
}
void
lease_fences_clear(struct leases *leases)
{
	struct lease_fence *fence;

	while ((fence = TAILQ_FIRST(&leases->fences)) != NULL) {
		TAILQ_REMOVE(&leases->fences, fence, entry);
		free(fence);
	}
}
