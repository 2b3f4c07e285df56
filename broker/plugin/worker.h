/*
 * One worker process: from the request to start it until it is reaped. It answers one request at a
 * time; pool.c gives it work and hears of everything through the pool_on_worker_* functions.
 */
#ifndef PLUGIN_WORKER_H
#define PLUGIN_WORKER_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/frame.h"
#include "plugin/host.h"
#include "plugin/reply.h"
#include "plugin/spawner.h"

struct bufferevent;
struct worker_log;
struct call;
TAILQ_HEAD(worker_calls, call);

enum worker_state {
	WORKER_STARTING, /* asked for */
	WORKER_OPENING,  /* runs; describe and open are to come or under way */
	WORKER_IDLE,
	WORKER_BUSY,
	WORKER_DEAD, /* told to die, or dead; not reaped yet */
};

struct worker {
	unsigned tag;
	struct plugin_host *host;
	struct pool *pool;
	char id[SPAWNER_ID_SIZE];
	const char *program;
	enum worker_state state;
	bool wants_start, wants_kill; /* of the spawner; host.c's to fulfill */
	bool ran;                     /* there was a process */
	pid_t pid;                    /* of it, 0 before; host.c's */
	bool opened;                  /* its open was good */
	bool outdated;                /* opened with what holds no more: no call after this one */
	bool accounted;               /* its death says nothing of the connection: we wanted it */
	struct bufferevent *stream;
	struct worker_log *log;
	struct frame_reader reader;
	struct reply_expected expected; /* the request under way; id 0: none */
	json_int_t last_id;
	unsigned notes; /* sessions and their ends within this call */
	bool waits_for_ack;
	struct plugin_session_ack *ack; /* pool.c's, while it is out */
	struct call *call;              /* call.c's: the one that is answered next */
	struct worker_calls behind;     /* .. and those that were sent after it */
	unsigned behind_count;
	char why[512]; /* of its death */
	TAILQ_ENTRY(worker) in_host;
	TAILQ_ENTRY(worker) in_pool;
};

/* NULL: out of memory. plugin_pool_on_worker_ready() or plugin_pool_on_worker_gone() follows. */
struct worker *plugin_worker_start(
    struct pool *pool, struct plugin_host *host, const char *program);

/* Sends a request (params are borrowed). On an error the worker is as it was. ret_sent is what its
 * reply will be held against: at once where the worker had nothing to do, else from _expect() on.
 */
int plugin_worker_send(struct worker *worker, enum plugin_op op, const json_t *params,
    unsigned count, int64_t deadline_ms, struct reply_expected *ret_sent,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The request before it has been answered. */
void plugin_worker_expect(struct worker *worker, const struct reply_expected *sent);

/* The open was good: it takes calls now. */
void plugin_worker_opened(struct worker *worker);

/* Lets it go on with its session (result 0), or not. Only while it waits. */
void plugin_worker_answer_session(struct worker *worker, int result);

/* Kills it. why is for people; the first one counts. plugin_pool_on_worker_gone() follows once it
 * is reaped. */
void plugin_worker_kill(struct worker *worker, const char *why);

/* For host.c. */
void plugin_worker_on_started(struct worker *worker, int stream_fd, int log_fd);
void plugin_worker_on_exited(struct worker *worker, const char *how);
void plugin_worker_on_spawner_lost(struct worker *worker);

/* worker_log.c: lines of stdout and stderr, limited in length and rate. Takes fd. NULL: no memory.
 */
struct worker_log *plugin_worker_log_new(
    struct event_base *loop, int fd, const char *program, const char *id);
void plugin_worker_log_free(
    struct worker_log *log); /* with what is left in the pipe. NULL is fine */

/* pool.c: what it is told. None comes while one of the functions above runs. */
void plugin_pool_on_worker_ready(struct worker *worker);
void plugin_pool_on_worker_reply(struct worker *worker, const struct reply *reply);
void plugin_pool_on_worker_session(struct worker *worker, const char *session);
void plugin_pool_on_worker_session_end(struct worker *worker, const char *session);
void plugin_pool_on_worker_gone(struct worker *worker); /* the last; the worker is freed after it */

#endif
