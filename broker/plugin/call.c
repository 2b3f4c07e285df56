/*
 * One call to a plugin: its deadline, its end. A call ends in plugin_call_finish(), once, from the
 * loop; or it is dropped when canceled. Which worker gets it, and when, is pool.c's to say.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/metrics.h"
#include "plugin/pool_queue.h"

METRICS_HISTOGRAM(call_time, "leased_plugin_call_seconds", "",
    "How long calls to plugins took, their time in the queue included.", metrics_bounds_short);
METRICS_COUNTER(calls_failed, "leased_plugin_calls_failed", "", "Calls to plugins that failed.");

static struct call *
call_from(void *arg)
{
	struct call *call = arg;

	if (call->head.tag != PLUGIN_CALL_TAG)
		abort();
	return (call);
}

/* A client waits for it, and it is what the connection is for. */
static bool
is_mint(const struct call *call)
{
	return (call->op == PLUGIN_OP_MINT || call->op == PLUGIN_OP_SIGN ||
		call->op == PLUGIN_OP_CERTIFY);
}

static bool
takes_the_mint_slot(const struct call *call)
{
	return (is_mint(call) || call->own);
}

/* The list that its state says. */
static struct call_list *
list_of(struct call *call)
{
	if (call->state != CALL_QUEUED)
		return (&call->pool->busy);
	if (is_mint(call))
		return (&call->pool->mints);
	return (call->op == PLUGIN_OP_REMOVE ? &call->pool->removes : &call->pool->others);
}

static const char *
call_state_name(enum call_state state)
{
	switch (state) {
	case CALL_QUEUED:
		return ("queued");
	case CALL_RUNNING:
		return ("running");
	case CALL_ENDING:
		return ("ending");
	}
	return ("?");
}

/* The one place where the state changes; the list follows it. */
static void
enter(struct call *call, enum call_state next)
{
	if (next <= call->state)
		(void)bug(NULL, "a call goes from %s to %s", call_state_name(call->state),
		    call_state_name(next));
	TAILQ_REMOVE(list_of(call), call, entry);
	call->state = next;
	TAILQ_INSERT_TAIL(list_of(call), call, entry);
}

static void
remove_behind(struct worker *worker, struct call *call)
{
	TAILQ_REMOVE(&worker->behind, call, in_worker);
	worker->behind_count--;
}

/* The one behind it is answered next. */
static void
leave_worker(struct call *call)
{
	struct worker *worker = call->worker;
	struct call *next;

	if (worker == NULL)
		return;
	if (!takes_the_mint_slot(call))
		call->pool->busy_others--;
	if (call->op == PLUGIN_OP_REMOVE)
		call->pool->busy_removes--;
	call->worker = NULL;
	if (worker->call != call) {
		remove_behind(worker, call);
		return;
	}
	if ((worker->call = next = TAILQ_FIRST(&worker->behind)) == NULL)
		return;
	remove_behind(worker, next);
	plugin_worker_expect(worker, &next->sent);
}

void
plugin_call_drop(struct call *call)
{
	leave_worker(call);
	TAILQ_REMOVE(list_of(call), call, entry);
	event_free(call->timer);
	json_decref(call->params);
	call->head.tag = 0;
	free(call);
}

void
plugin_call_observe(const struct call *call, int code)
{
	struct wclock *clock = call->pool->host->clock;

	metrics_observe_us(&call_time, clock->boot_us(clock) - call->start_us);
	if (code != 0)
		metrics_add(&calls_failed, 1);
}

void
plugin_call_finish(struct call *call, const struct plugin_outcome *outcome)
{
	struct plugin_outcome told = *outcome; /* it may be the call's own */
	plugin_done done = call->done;
	void *arg = call->arg;

	plugin_call_observe(call, told.code);
	plugin_call_drop(call);
	done(arg, &told);
}

static int64_t
left_us(const struct call *call)
{
	struct wclock *clock = call->pool->host->clock;

	return (call->deadline_us - clock->boot_us(clock));
}

static int
arm(struct call *call, int64_t us)
{
	const struct timeval after = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

	return (event_add(call->timer, &after));
}

void
plugin_call_shorten(struct call *call, int64_t us)
{
	if (call->state != CALL_RUNNING || left_us(call) <= us || arm(call, us) != 0)
		return;
	call->deadline_us = call->pool->host->clock->boot_us(call->pool->host->clock) + us;
}

void
plugin_call_fail_later(struct call *call, int code, bool not_sent, const struct leased_err *why)
{
	call->outcome = (struct plugin_outcome){.code = code, .not_sent = not_sent, .err = *why};
	enter(call, CALL_ENDING);
	event_active(call->timer, EV_TIMEOUT, 0);
}

static void
time_out(struct call *call)
{
	struct plugin_outcome outcome = {.code = LEASED_ETIMEDOUT};

	if (call->state == CALL_QUEUED) {
		outcome.not_sent = true;
		(void)leased_err_set(&outcome.err, LEASED_ETIMEDOUT,
		    "%s found no free worker of plugin %s in time; the connection is overloaded or "
		    "still being opened",
		    plugin_op_name(call->op), call->pool->row->program);
		plugin_call_finish(call, &outcome);
		return;
	}
	(void)leased_err_set(&outcome.err, LEASED_ETIMEDOUT,
	    "plugin %s did not finish %s in time; its worker was killed, what was asked may "
	    "still happen",
	    call->pool->row->program, plugin_op_name(call->op));
	call->outcome = outcome;
	enter(call, CALL_ENDING);
	/* The outcome is told once the worker is reaped: until then it may still be sending. */
	plugin_worker_kill(call->worker, outcome.err.text);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = call_from(arg);

	(void)fd;
	(void)what;
	if (call->state == CALL_ENDING)
		plugin_call_finish(call, &call->outcome);
	else if (left_us(call) <= 0 || arm(call, left_us(call)) != 0)
		time_out(
		    call); /* the loop's clock and ours differ a little: hence the second look */
}

struct call *
plugin_call_new(struct pool *pool, enum plugin_op op, json_t *params, unsigned timeout_ms,
    plugin_done done, void *arg)
{
	struct wclock *clock = pool->host->clock;
	struct call *call = calloc(1, sizeof(*call));

	if (call == NULL || params == NULL ||
	    (call->timer = evtimer_new(pool->host->loop, on_timer, call)) == NULL ||
	    arm(call, (int64_t)timeout_ms * 1000) != 0) {
		if (call != NULL && call->timer != NULL)
			event_free(call->timer);
		json_decref(params);
		free(call);
		return (NULL);
	}
	call->head = (struct plugin_call){.tag = PLUGIN_CALL_TAG, .port = &pool->port};
	call->pool = pool;
	call->op = op;
	call->params = params;
	call->count = (unsigned)(json_array_size(json_object_get(params, "accounts")) +
				 json_array_size(json_object_get(params, "sessions")));
	call->start_us = clock->boot_us(clock);
	call->deadline_us = call->start_us + (int64_t)timeout_ms * 1000;
	call->done = done;
	call->arg = arg;
	call->state = CALL_QUEUED;
	TAILQ_INSERT_TAIL(list_of(call), call, entry);
	return (call);
}

void
plugin_call_run(struct call *call, struct worker *worker)
{
	struct leased_err err = LEASED_ERR_INIT;
	int64_t left_ms = left_us(call) / 1000;
	int r;

	r = plugin_worker_send(worker, call->op, call->params, call->count,
	    left_ms > 0 ? left_ms : 0, &call->sent, &err);
	if (r != 0) {
		plugin_call_fail_later(call, r, true, &err);
		return;
	}
	call->worker = worker;
	if (worker->call == NULL) {
		worker->call = call;
	} else {
		TAILQ_INSERT_TAIL(&worker->behind, call, in_worker);
		worker->behind_count++;
	}
	if (!takes_the_mint_slot(call))
		call->pool->busy_others++;
	if (call->op == PLUGIN_OP_REMOVE)
		call->pool->busy_removes++;
	enter(call, CALL_RUNNING);
}

static void
crashed(struct call *call, const struct worker *worker)
{
	struct plugin_outcome outcome = {.code = LEASED_ECRASHED, .worker = worker->id};

	if (call->state == CALL_ENDING) {
		outcome = call->outcome;
		outcome.worker = worker->id;
	} else {
		(void)leased_err_set(&outcome.err, LEASED_ECRASHED,
		    "the worker of plugin %s died during %s, what was asked may still happen: %s",
		    worker->program, plugin_op_name(call->op), worker->why);
	}
	plugin_call_finish(call, &outcome);
}

bool
plugin_calls_crashed(struct worker *worker)
{
	bool had = false;

	while (worker->call != NULL) {
		if (worker->call->own) {
			plugin_call_drop(worker->call);
			continue;
		}
		had = true;
		crashed(worker->call, worker);
	}
	return (had);
}
