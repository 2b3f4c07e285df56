/*
 * A configured connection's pool: which worker gets which call, what is told to the port's owner. A
 * call's life is call.c's, failure of the connection backoff.c's, processes are worker.c's. Behind
 * struct plugin_port; lease/ and engine/ are its callers.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/defer.h"
#include "base/log.h"
#include "plugin/pool_queue.h"

#define POOL_TAG 0x9c700100u
#define POOL_SIZE_MAX 64

struct pool *
plugin_pool_from(void *arg)
{
	struct pool *pool = arg;

	if (pool->tag != POOL_TAG)
		abort();
	return (pool);
}

static const char *
pool_state_name(enum pool_state state)
{
	switch (state) {
	case POOL_CONNECTING:
		return ("connecting");
	case POOL_UP:
		return ("up");
	case POOL_BACKOFF:
		return ("back-off");
	case POOL_CLOSED:
		return ("closed");
	}
	return ("?");
}

void
plugin_pool_enter(struct pool *pool, enum pool_state next)
{
	static const unsigned edges[] = {
	    [POOL_CONNECTING] = 1u << POOL_UP | 1u << POOL_BACKOFF | 1u << POOL_CLOSED,
	    [POOL_UP] = 1u << POOL_BACKOFF | 1u << POOL_CLOSED,
	    [POOL_BACKOFF] = 1u << POOL_UP | 1u << POOL_CLOSED,
	    [POOL_CLOSED] = 0,
	};

	if ((edges[pool->state] & 1u << next) == 0)
		(void)bug(NULL, "a pool goes from %s to %s", pool_state_name(pool->state),
		    pool_state_name(next));
	log_info("connection", LOG_I("connection", pool->port.connection),
	    LOG_S("plugin", pool->row->program), LOG_S("from", pool_state_name(pool->state)),
	    LOG_S("to", pool_state_name(next)));
	pool->state = next;
}

/* ---- who gets what ---- */

static struct worker *
idle_worker(struct pool *pool)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool)
		if (worker->state == WORKER_IDLE && !worker->outdated)
			return (worker);
	return (NULL);
}

void
plugin_pool_start_worker(struct pool *pool)
{
	struct worker *worker = plugin_worker_start(pool, pool->host, pool->row->program);

	if (worker != NULL) {
		TAILQ_INSERT_TAIL(&pool->workers, worker, in_pool);
		return;
	}
	/* No memory now: the pool must not forget that it wants one. */
	pool->start_not_before_us = pool->host->clock->boot_us(pool->host->clock) + 200000;
	plugin_pool_schedule_retry(pool);
}

/* On demand, but one is always there. Workers that are not reaped yet count: they may still hold a
 * connection to the backend. */
static void
start_more(struct pool *pool)
{
	unsigned all = 0, coming = 0, alive = 0, waiting = plugin_pool_count_waiting(pool);
	const struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool) {
		all++;
		alive += worker->state != WORKER_DEAD;
		coming += worker->state == WORKER_STARTING || worker->state == WORKER_OPENING;
	}
	if (alive > 0 && waiting <= coming)
		return;
	if (pool->host->clock->boot_us(pool->host->clock) < pool->start_not_before_us) {
		plugin_pool_schedule_retry(pool);
		return;
	}
	if (pool->state == POOL_CONNECTING)
		waiting = 1; /* the first shows whether more make sense */
	for (; all < pool->size && (alive == 0 || coming < waiting); all++, coming++, alive++)
		plugin_pool_start_worker(pool);
}

/* Those that are to be opened anew go when they have nothing to do. */
static void
end_outdated(struct pool *pool)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool) {
		if (worker->state != WORKER_IDLE || !worker->outdated || worker->call != NULL)
			continue;
		worker->accounted = true;
		plugin_worker_kill(worker, "it is opened anew");
	}
}

void
plugin_pool_dispatch(struct pool *pool)
{
	struct worker *worker;
	struct call *call;

	if (pool->state == POOL_CLOSED)
		return;
	end_outdated(pool);
	if (pool->state == POOL_BACKOFF)
		return;
	while (pool->state == POOL_UP && (worker = idle_worker(pool)) != NULL &&
	       (call = plugin_pool_next_call(pool)) != NULL) {
		pool->mint_was_last = call == TAILQ_FIRST(&pool->mints);
		plugin_call_run(call, worker);
	}
	while (pool->state == POOL_UP && (call = TAILQ_FIRST(&pool->mints)) != NULL &&
	       (worker = plugin_pool_next_ahead(pool, call)) != NULL)
		plugin_call_run(call, worker);
	plugin_pool_give_way(pool);
	start_more(pool);
}

/* ---- calls of its own ---- */

static json_t *
own_params(const struct pool *pool, enum plugin_op op)
{
	json_t *config, *known;

	if (op != PLUGIN_OP_OPEN)
		return (json_object());
	config = jkeep_get(&pool->config);
	known = config != NULL ? plugin_config_known(pool->port.description, config, NULL) : NULL;
	json_decref(config);
	return (json_pack("{s:o,s:s,s:s}", "config", known, "tag", pool->host->store_tag,
	    "instance", pool->host->instance));
}

void
plugin_pool_own_call(struct pool *pool, struct worker *worker, enum plugin_op op)
{
	struct call *call =
	    plugin_call_new(pool, op, own_params(pool, op), plugin_op_timeout_ms(op), NULL, NULL);

	if (call == NULL) {
		plugin_worker_kill(worker, "out of memory");
		return;
	}
	call->own = true;
	plugin_call_run(call, worker);
	if (call->state == CALL_RUNNING)
		return;
	plugin_worker_kill(worker, call->outcome.err.text);
	plugin_call_drop(call);
}

static void
on_open(struct pool *pool, struct worker *worker, const json_t *result)
{
	const char *server = json_string_value(json_object_get(result, "server"));
	const struct plugin_port_events *events = plugin_pool_events(pool);

	snprintf(pool->port.server, sizeof(pool->port.server), "%s", server);
	json_decref(pool->port.opened);
	pool->port.opened = json_deep_copy(result);
	pool->port.opened_boot_us = pool->host->clock->boot_us(pool->host->clock);
	if (events->on_opened != NULL)
		events->on_opened(events->opened_arg, &pool->port);
	if (pool->port.moved)
		plugin_pool_refuse_mints(pool);
	plugin_worker_opened(worker);
	plugin_pool_connected(pool);
}

static void
on_own_reply(struct pool *pool, struct worker *worker, enum plugin_op op, const struct reply *reply)
{
	if (reply->code != 0) {
		/* It would have to start again anyway. */
		if (op != PLUGIN_OP_PING || reply->code == LEASED_EMOVED) {
			worker->accounted = true;
			plugin_worker_kill(worker, reply->err.text);
		}
		plugin_pool_failed(pool, worker, &reply->err);
		return;
	}
	if (op == PLUGIN_OP_OPEN) {
		on_open(pool, worker, reply->result);
	} else if (op == PLUGIN_OP_PING) {
		plugin_pool_connected(pool);
	} else {
		if (pool->port.description == NULL)
			pool->port.description = json_deep_copy(reply->result);
		if (jkeep_is_set(&pool->config)) {
			plugin_pool_own_call(pool, worker, PLUGIN_OP_OPEN);
			return;
		}
		plugin_worker_opened(worker);
		plugin_pool_connected(pool);
	}
}

/* ---- what workers say ---- */

void
plugin_pool_on_worker_ready(struct worker *worker)
{
	plugin_pool_own_call(worker->pool, worker,
	    worker->pool->port.description == NULL || !jkeep_is_set(&worker->pool->config)
		? PLUGIN_OP_DESCRIBE
		: PLUGIN_OP_OPEN);
}

void
plugin_pool_on_worker_reply(struct worker *worker, const struct reply *reply)
{
	struct pool *pool = worker->pool;
	struct call *call = worker->call;
	enum plugin_op op = call->op;
	plugin_done done = call->done;
	void *arg = call->arg;
	bool own = call->own;
	struct plugin_outcome outcome = {.code = reply->code,
	    .not_sent = reply->not_sent,
	    .answered = true,
	    .result = reply->result,
	    .worker = worker->id,
	    .err = reply->err};

	if (!own)
		plugin_call_observe(call, reply->code);
	plugin_call_drop(call);
	if (own) {
		on_own_reply(pool, worker, op, reply);
		return;
	}
	/* Before the callback, which may want this worker. */
	if (reply->code == LEASED_EUNAVAIL || reply->code == LEASED_ETIMEDOUT)
		plugin_pool_own_call(pool, worker, PLUGIN_OP_PING);
	else if (reply->code == 0 && pool->state == POOL_BACKOFF)
		plugin_pool_connected(pool);
	else if (reply->code == LEASED_EMOVED) {
		/* It was opened on a server that is not there any more: a new one is. */
		worker->accounted = true;
		plugin_worker_kill(worker, "another server answers than the one it was opened on");
	}
	done(arg, &outcome);
	plugin_pool_dispatch(pool);
}

/* ---- the end of a worker, and of the pool ---- */

static void
pool_free(void *arg)
{
	struct pool *pool = plugin_pool_from(arg);

	event_free(pool->retry);
	jkeep_set(&pool->config, NULL);
	json_decref(pool->port.description);
	json_decref(pool->port.opened);
	pool->tag = 0;
	free(pool);
}

static void
free_when_empty(struct pool *pool)
{
	if (!TAILQ_EMPTY(&pool->workers))
		return;
	if (pool->host->freeing)
		pool_free(pool);
	else
		defer_free(pool->host->loop, pool_free, pool);
}

void
plugin_pool_on_worker_gone(struct worker *worker)
{
	struct pool *pool = worker->pool;
	const struct plugin_port_events *events = plugin_pool_events(pool);
	struct leased_err why = LEASED_ERR_INIT;
	bool had_call;

	TAILQ_REMOVE(&pool->workers, worker, in_pool);
	plugin_pool_drop_ack(worker);
	pool->workers_died += worker->ran && !worker->accounted;
	if (!worker->accounted)
		log_warn("a worker ended", LOG_S("plugin", worker->program),
		    LOG_S("worker", worker->id), LOG_S("reason", worker->why));
	if (worker->ran && events->on_worker_gone != NULL)
		events->on_worker_gone(events->arg, &pool->port, worker->id);
	had_call = plugin_calls_crashed(worker);
	if (pool->state == POOL_CLOSED) {
		free_when_empty(pool);
		return;
	}
	if (!had_call && !worker->accounted) {
		(void)leased_err_set(&why, LEASED_ECRASHED, "plugin %s: %s%s", worker->program,
		    worker->ran ? "its worker " : "", worker->why);
		if (worker->opened && pool->port.failures == 0)
			pool->port.failures = 1; /* once, nothing is made of it */
		else
			plugin_pool_failed(pool, worker, &why);
	}
	plugin_pool_dispatch(pool);
}

/* ---- the port ---- */

static struct plugin_call *
pool_call(struct plugin_port *port, enum plugin_op op, json_t *params, unsigned timeout_ms,
    plugin_done done, void *arg)
{
	struct pool *pool = plugin_pool_from(port);
	struct leased_err why = LEASED_ERR_INIT;
	struct call *call;
	int r;

	if (pool->state == POOL_CLOSED) {
		json_decref(params);
		return (NULL);
	}
	if ((call = plugin_call_new(pool, op, params, timeout_ms, done, arg)) == NULL)
		return (NULL);
	if ((r = plugin_pool_refuse(pool, &why)) != 0)
		plugin_call_fail_later(call, r, true, &why);
	else if (op == PLUGIN_OP_MINT && port->moved)
		plugin_pool_refuse_mints(pool);
	else
		plugin_pool_dispatch(pool);
	return (&call->head);
}

static void
pool_cancel(struct plugin_call *head)
{
	struct call *call = (struct call *)head;
	struct worker *worker = call->worker;

	if (worker != NULL) {
		worker->accounted = true;
		plugin_worker_kill(worker, "its call was canceled");
	}
	plugin_call_drop(call);
}

static int
pool_ready(struct plugin_port *port, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r;

	if ((r = plugin_pool_refuse(plugin_pool_from(port), &why)) != 0 && err != NULL)
		*err = why;
	return (r);
}

static void
end_calls(struct call_list *list)
{
	struct plugin_outcome outcome = {.code = LEASED_ECANCELED};
	struct call *call;

	(void)leased_err_set(
	    &outcome.err, LEASED_ECANCELED, "the connection was closed or is being changed");
	while ((call = TAILQ_FIRST(list)) != NULL) {
		outcome.not_sent = call->worker == NULL;
		outcome.worker = call->worker != NULL ? call->worker->id : NULL;
		if (call->own)
			plugin_call_drop(call);
		else
			plugin_call_finish(call, &outcome);
	}
}

static void
pool_close(struct plugin_port *port)
{
	struct pool *pool = plugin_pool_from(port);
	struct worker *worker;

	if (pool->state == POOL_CLOSED)
		return;
	plugin_pool_enter(pool, POOL_CLOSED);
	TAILQ_REMOVE(&pool->host->pools, pool, in_host);
	event_del(pool->retry);
	TAILQ_FOREACH (worker, &pool->workers, in_pool) {
		worker->accounted = true;
		plugin_worker_kill(worker, "the connection was closed");
	}
	end_calls(&pool->mints);
	end_calls(&pool->others);
	end_calls(&pool->removes);
	end_calls(&pool->busy);
	free_when_empty(pool);
}

static void
pool_configure(struct plugin_port *port, json_t *config, bool restart)
{
	struct pool *pool = plugin_pool_from(port);
	struct worker *worker;

	named_files_find(config, &pool->named);
	jkeep_set(&pool->config, config);
	if (!restart || pool->state == POOL_CLOSED)
		return;
	TAILQ_FOREACH (worker, &pool->workers, in_pool)
		worker->outdated = true;
	plugin_pool_dispatch(pool);
}

static const struct plugin_port_ops pool_ops = {pool_call, pool_cancel, pool_ready, pool_close,
    pool_configure, plugin_pool_stats, plugin_pool_name_files};

struct plugin_port *
plugin_port_open(struct plugin_host *host, const struct plugin_catalog_row *row, json_t *config,
    unsigned size, int64_t connection)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (pool == NULL ||
	    (pool->retry = evtimer_new(host->loop, plugin_pool_on_retry, pool)) == NULL) {
		json_decref(config);
		free(pool);
		return (NULL);
	}
	pool->tag = POOL_TAG;
	pool->port.ops = &pool_ops;
	pool->port.connection = connection;
	pool->host = host;
	pool->row = row;
	named_files_find(config, &pool->named);
	jkeep_set(&pool->config, config);
	pool->size = size != 0 ? size : row->pool;
	if (pool->size > POOL_SIZE_MAX)
		pool->size = POOL_SIZE_MAX;
	TAILQ_INIT(&pool->workers);
	TAILQ_INIT(&pool->mints);
	TAILQ_INIT(&pool->others);
	TAILQ_INIT(&pool->removes);
	TAILQ_INIT(&pool->busy);
	TAILQ_INSERT_TAIL(&host->pools, pool, in_host);
	plugin_pool_dispatch(pool);
	return (&pool->port);
}
