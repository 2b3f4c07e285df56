/*
 * One configured connection: its workers, its queue of calls, its back-off. pool.c decides who does
 * what; call.c owns the life of one call.
 */
#ifndef PLUGIN_POOL_H
#define PLUGIN_POOL_H

#include <event2/util.h>

#include "base/jkeep.h"
#include "base/named.h"
#include "plugin/worker.h"

enum pool_state {
	POOL_CONNECTING, /* no open has succeeded or failed yet */
	POOL_UP,
	POOL_BACKOFF, /* the last open or ping failed: calls are refused until one succeeds */
	POOL_CLOSED,
};

enum call_state {
	CALL_QUEUED,
	CALL_RUNNING, /* its worker has it */
	CALL_ENDING,  /* how it ends is known; it waits for its worker's death or the loop's turn */
};

struct call {
	struct plugin_call head; /* first */
	struct pool *pool;
	enum plugin_op op;
	enum call_state state;
	json_t *params; /* owned; secrets */
	unsigned count; /* accounts or sessions in it */
	int64_t start_us, deadline_us;
	struct event *timer;
	plugin_done done;
	void *arg;
	bool own;              /* the pool's: describe, open, ping. Never queued */
	struct worker *worker; /* while running, and ending by its death */
	struct reply_expected sent;
	TAILQ_ENTRY(call) in_worker;   /* while another one is answered before it */
	struct plugin_outcome outcome; /* while ending */
	TAILQ_ENTRY(call) entry;       /* in one of the pool's lists by state */
};
TAILQ_HEAD(call_list, call);
TAILQ_HEAD(pool_workers, worker);

struct pool {
	struct plugin_port port; /* first */
	unsigned tag;
	struct plugin_host *host;
	const struct plugin_catalog_row *row;
	struct jkeep config;      /* secrets; none: workers are not opened */
	struct named_files named; /* in it */
	unsigned size;
	enum pool_state state;
	struct pool_workers workers;
	struct call_list mints, others, removes; /* queued */
	struct call_list busy;                   /* running or ending */
	bool mint_was_last;                      /* of the calls that were handed out */
	unsigned busy_others, busy_removes;      /* workers that calls other than mints have; that
						    removals have, which are among them */
	int64_t start_not_before_us;             /* boot clock: no further worker until then */
	int64_t up_since_us, workers_died;
	struct event *retry;
	struct leased_err why; /* of the back-off */
	TAILQ_ENTRY(pool) in_host;
};

/* ---- call.c ---- */
/* NULL: out of memory; params are taken either way. It is in no list yet. */
struct call *plugin_call_new(struct pool *pool, enum plugin_op op, json_t *params,
    unsigned timeout_ms, plugin_done done, void *arg);

/* Hands a call to an idle (or opening) worker, or sends it ahead to a busy one. When that fails the
 * call ends at the loop's next turn. */
void plugin_call_run(struct call *call, struct worker *worker);

/* Ends it now: takes it out of its list, frees it, calls done. outcome's texts may be the call's
 * own. */
void plugin_call_finish(struct call *call, const struct plugin_outcome *outcome);

/* Ends it at the loop's next turn, before which it may be canceled. Not for a running one. */
void plugin_call_fail_later(
    struct call *call, int code, bool not_sent, const struct leased_err *why);

/* A running one has at most so long from now on. */
void plugin_call_shorten(struct call *call, int64_t us);

/* Counts how it ended. */
void plugin_call_observe(const struct call *call, int code);
/* Takes it out of its list and frees it; no callback. */
void plugin_call_drop(struct call *call);

/* ---- backoff.c ---- */
/* A start, open or ping failed. Unless other workers serve on, the pool backs off. */
void plugin_pool_failed(
    struct pool *pool, const struct worker *worker, const struct leased_err *why);
void plugin_pool_connected(struct pool *pool);                        /* the backend has answered */
void plugin_pool_on_retry(evutil_socket_t fd, short what, void *arg); /* at start_not_before_us */
void plugin_pool_schedule_retry(struct pool *pool);
/* Those that are queued end: it is not the server that they were meant for. */
void plugin_pool_refuse_mints(struct pool *pool);

/* What the owner wants to be told; nothing while the host is mute. */
const struct plugin_port_events *plugin_pool_events(const struct pool *pool);
int plugin_pool_refuse(const struct pool *pool, struct leased_err *ret_why);

/* pool_session.c: a worker that is gone waits for no answer any more. */
void plugin_pool_drop_ack(struct worker *worker);

/* pool.c: the one place where the state changes; a call of the pool's own; a process more. */
void plugin_pool_enter(struct pool *pool, enum pool_state next);
/* Gives calls to idle workers and asks for more workers. Calls nobody back. */
void plugin_pool_dispatch(struct pool *pool);
void plugin_pool_own_call(struct pool *pool, struct worker *worker, enum plugin_op op);
void plugin_pool_start_worker(struct pool *pool);
struct pool *plugin_pool_from(void *arg);

#endif
