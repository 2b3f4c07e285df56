/*
 * Sessions of workers on their way to the owner's disk and back: a worker waits, the owner answers,
 * and either may be gone by then. Part of pool.c's machine.
 */
#include <stdlib.h>

#include "plugin/pool.h"

struct pool_ack {
	struct plugin_session_ack head; /* first */
	struct worker *worker;          /* NULL once it is gone */
};

void
plugin_pool_drop_ack(struct worker *worker)
{
	if (worker->ack != NULL)
		((struct pool_ack *)worker->ack)->worker = NULL;
	worker->ack = NULL;
}

static void
on_ack(struct plugin_session_ack *head, int result)
{
	struct pool_ack *ack = (struct pool_ack *)head;

	if (ack->worker != NULL) {
		ack->worker->ack = NULL;
		plugin_worker_answer_session(ack->worker, result);
	}
	ack->head.tag = 0;
	free(ack);
}

void
plugin_pool_on_worker_session(struct worker *worker, const char *session)
{
	const struct plugin_port_events *events = plugin_pool_events(worker->pool);
	struct pool_ack *ack;

	if (events->on_session == NULL) {
		plugin_worker_answer_session(worker, worker->host->muted ? LEASED_ECANCELED : 0);
		return;
	}
	if ((ack = calloc(1, sizeof(*ack))) == NULL) {
		plugin_worker_answer_session(worker, LEASED_ENOMEM);
		return;
	}
	ack->head = (struct plugin_session_ack){PLUGIN_SESSION_ACK_TAG, on_ack};
	ack->worker = worker;
	worker->ack = &ack->head;
	events->on_session(events->arg, &worker->pool->port, worker->id, session, &ack->head);
}

void
plugin_pool_on_worker_session_end(struct worker *worker, const char *session)
{
	const struct plugin_port_events *events = plugin_pool_events(worker->pool);

	if (events->on_session_end != NULL)
		events->on_session_end(events->arg, &worker->pool->port, worker->id, session);
}
