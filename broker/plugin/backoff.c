/*
 * When a connection does not answer, or another server does: the pool's back-off, what is said
 * meanwhile, and how it comes back. Only a start, an open or a ping leads here, never one account's
 * refusal. Part of pool.c's machine.
 */
#include <event2/event.h>
#include <stdio.h>

#include "base/log.h"
#include "metrics/metrics.h"
#include "plugin/pool.h"

#define BACKOFF_MIN_US 1000000
#define BACKOFF_MAX_US 60000000
/* A backend that is not there is asked so often at least: leases end while it is away, and they
 * are to end as soon as it is back, however long that was. Asking costs it nothing. */
#define BACKOFF_AWAY_MAX_US 3000000
/* A connection that was up for so long starts its back-off from the shortest again. */
#define STABLE_US 60000000

METRICS_COUNTER(
    backoffs, "leased_plugin_backoffs", "", "Starts, opens and pings of a back end that failed.");

static int64_t
now_us(const struct pool *pool)
{
	return (pool->host->clock->boot_us(pool->host->clock));
}

const struct plugin_port_events *
plugin_pool_events(const struct pool *pool)
{
	static const struct plugin_port_events none;

	return (pool->host->muted ? &none : &pool->port.events);
}

/* 1, 2, 4 .. s, and up to a quarter more, so that connections of one dead server spread. What a
 * backend says no to (a login: accounts get locked) or dies of is asked more and more seldom. */
static int64_t
delay_us(struct pool *pool, const struct leased_err *why)
{
	bool away = why->code == LEASED_EUNAVAIL || why->code == LEASED_ETIMEDOUT;
	int64_t most = away ? BACKOFF_AWAY_MAX_US : BACKOFF_MAX_US, delay = BACKOFF_MIN_US;
	uint32_t random = 0;

	for (unsigned i = 1; i < pool->port.failures && delay < most; i++)
		delay *= 2;
	if (delay > most)
		delay = most;
	pool->host->ids->fill(pool->host->ids, &random, sizeof(random));
	return (delay + (int64_t)(random % (uint32_t)(delay / 4)));
}

void
plugin_pool_schedule_retry(struct pool *pool)
{
	int64_t us = pool->start_not_before_us - now_us(pool);
	struct timeval after;

	if (us < 1000)
		us = 1000;
	after = (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
	if (event_add(pool->retry, &after) != 0)
		event_active(pool->retry, EV_TIMEOUT, 0); /* too early rather than never */
}

int
plugin_pool_refuse(const struct pool *pool, struct leased_err *ret_why)
{
	switch (pool->state) {
	case POOL_CONNECTING:
	case POOL_UP:
		return (0);
	case POOL_BACKOFF:
		*ret_why = pool->why; /* its code says more than ours */
		return (LEASED_EUNAVAIL);
	case POOL_CLOSED:
		break;
	}
	return (leased_err_set(ret_why, LEASED_ECANCELED, "the connection was closed"));
}

static void
refuse_queued(struct pool *pool, struct call_list *list)
{
	struct call *call;

	while ((call = TAILQ_FIRST(list)) != NULL)
		plugin_call_fail_later(call, LEASED_EUNAVAIL, true, &pool->why);
}

void
plugin_pool_refuse_mints(struct pool *pool)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct call *call;

	(void)leased_err_set(&why, LEASED_EMOVED,
	    "another server answers than the one that this connection is configured for: nothing "
	    "was made there");
	while ((call = TAILQ_FIRST(&pool->mints)) != NULL)
		plugin_call_fail_later(call, LEASED_EMOVED, true, &why);
}

static bool
others_serve(const struct pool *pool, const struct worker *but)
{
	const struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool)
		if (worker != but && (worker->state == WORKER_IDLE || worker->state == WORKER_BUSY))
			return (true);
	return (false);
}

void
plugin_pool_failed(struct pool *pool, const struct worker *worker, const struct leased_err *why)
{
	bool ping_failed = worker->state == WORKER_IDLE;

	if (pool->state == POOL_CLOSED)
		return;
	if (pool->state == POOL_UP && now_us(pool) - pool->up_since_us > STABLE_US)
		pool->port.failures = 0;
	if (pool->state == POOL_BACKOFF && now_us(pool) < pool->start_not_before_us) {
		/* Another worker of the same outage. Nobody asks again without the timer. */
		if (!event_pending(pool->retry, EV_TIMEOUT, NULL))
			plugin_pool_schedule_retry(pool);
		return;
	}
	pool->port.failures++;
	metrics_add(&backoffs, 1);
	pool->start_not_before_us = now_us(pool) + delay_us(pool, why);
	pool->why = *why;
	log_warn("a backend does not answer", LOG_I("connection", pool->port.connection),
	    LOG_S("plugin", pool->row->program), LOG_ERR(why),
	    LOG_I("failures", pool->port.failures),
	    LOG_I("again_ms", (pool->start_not_before_us - now_us(pool)) / 1000));
	plugin_pool_schedule_retry(pool);
	if (pool->state == POOL_UP && !ping_failed && others_serve(pool, worker))
		return; /* one worker more could not be had: the others go on */
	if (pool->state != POOL_BACKOFF)
		plugin_pool_enter(pool, POOL_BACKOFF);
	refuse_queued(pool, &pool->mints);
	refuse_queued(pool, &pool->others);
	refuse_queued(pool, &pool->removes);
}

/* Each worker as soon as it has no call, by the next dispatch. */
static void
open_anew(struct pool *pool)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &pool->workers, in_pool)
		worker->outdated = true;
}

/*
 * On the wrong server nothing is called, so that nobody would notice when the right one is back.
 * Also where the wrong one stays: the address may lead elsewhere by now.
 */
static void
ask_moved_later(struct pool *pool)
{
	const struct timeval pause = {BACKOFF_AWAY_MAX_US / 1000000, 0};

	if (pool->port.moved && !event_pending(pool->retry, EV_TIMEOUT, NULL) &&
	    event_add(pool->retry, &pause) != 0)
		event_active(pool->retry, EV_TIMEOUT, 0);
}

void
plugin_pool_connected(struct pool *pool)
{
	const struct plugin_port_events *events = plugin_pool_events(pool);
	bool recovered = pool->state == POOL_BACKOFF;

	if (pool->state == POOL_CLOSED)
		return;
	pool->start_not_before_us = 0;
	if (pool->state != POOL_UP) {
		plugin_pool_enter(pool, POOL_UP);
		pool->up_since_us = now_us(pool);
		event_del(pool->retry);
	}
	ask_moved_later(pool);
	if (recovered && events->on_recovered != NULL)
		events->on_recovered(events->arg, &pool->port);
	plugin_pool_dispatch(pool);
}

void
plugin_pool_on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct pool *pool = plugin_pool_from(arg);
	struct worker *worker, *idle = NULL;
	unsigned all = 0;
	bool asked = false;

	(void)fd;
	(void)what;
	if (pool->state != POOL_BACKOFF) {
		if (pool->port.moved)
			open_anew(pool);
		plugin_pool_dispatch(pool);
		return;
	}
	if (now_us(pool) < pool->start_not_before_us) {
		plugin_pool_schedule_retry(pool); /* the loop's clock is coarser than ours */
		return;
	}
	TAILQ_FOREACH (worker, &pool->workers, in_pool) {
		all++;
		if (worker->state == WORKER_IDLE)
			idle = worker;
		asked |= worker->state == WORKER_STARTING || worker->state == WORKER_OPENING ||
			 (worker->call != NULL && worker->call->own);
	}
	if (asked)
		return; /* its answer decides */
	if (idle != NULL)
		plugin_pool_own_call(pool, idle, PLUGIN_OP_PING);
	else if (all < pool->size)
		plugin_pool_start_worker(pool);
	else {
		pool->start_not_before_us = now_us(pool) + BACKOFF_MIN_US;
		plugin_pool_schedule_retry(pool); /* all are busy, or not reaped yet */
	}
}
