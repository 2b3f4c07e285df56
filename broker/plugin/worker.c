/*
 * A worker process as the daemon sees it: its stream, its one request, its state. Does not know
 * what a call is for, nor when to start one: pool.c does. host.c tells it of the process.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "plugin/worker.h"

METRICS_COUNTER(
    workers_started, "leased_plugin_workers_started", "", "Worker processes that were started.");
METRICS_COUNTER(workers_died, "leased_plugin_workers_died", "",
    "Worker processes that ended, or were killed, without being asked to.");

#define WORKER_TAG 0x9c3077e2u
/* More sessions than this in one call are a loop, not work. */
#define NOTES_MAX 1024

static struct worker *
worker_from(void *arg)
{
	struct worker *worker = arg;

	if (worker->tag != WORKER_TAG)
		abort();
	return (worker);
}

static const char *
state_name(enum worker_state state)
{
	switch (state) {
	case WORKER_STARTING:
		return ("starting");
	case WORKER_OPENING:
		return ("opening");
	case WORKER_IDLE:
		return ("idle");
	case WORKER_BUSY:
		return ("busy");
	case WORKER_DEAD:
		return ("dead");
	}
	return ("?");
}

/* The one place where the state changes. */
static void
enter(struct worker *worker, enum worker_state next)
{
	static const unsigned edges[] = {
	    [WORKER_STARTING] = 1u << WORKER_OPENING | 1u << WORKER_DEAD,
	    [WORKER_OPENING] = 1u << WORKER_IDLE | 1u << WORKER_DEAD,
	    [WORKER_IDLE] = 1u << WORKER_BUSY | 1u << WORKER_DEAD,
	    [WORKER_BUSY] = 1u << WORKER_IDLE | 1u << WORKER_DEAD,
	    [WORKER_DEAD] = 0,
	};

	if ((edges[worker->state] & 1u << next) == 0)
		(void)bug(NULL, "a worker goes from %s to %s", state_name(worker->state),
		    state_name(next));
	log_debug("worker", LOG_S("worker", worker->id), LOG_S("plugin", worker->program),
	    LOG_S("from", state_name(worker->state)), LOG_S("to", state_name(next)));
	worker->state = next;
}

struct worker *
plugin_worker_start(struct pool *pool, struct plugin_host *host, const char *program)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	char random[13];

	if (worker == NULL)
		return (NULL);
	worker->tag = WORKER_TAG;
	worker->host = host;
	worker->pool = pool;
	worker->program = program;
	id_base36(host->ids, sizeof(random) - 1, random);
	snprintf(worker->id, sizeof(worker->id), "w-%s", random);
	TAILQ_INSERT_TAIL(&host->workers, worker, in_host);
	TAILQ_INIT(&worker->behind);
	worker->wants_start = true;
	plugin_host_wake(host);
	return (worker);
}

static void
worker_free(void *arg)
{
	struct worker *worker = worker_from(arg);

	worker->tag = 0;
	frame_reader_clear(&worker->reader);
	if (worker->stream != NULL)
		bufferevent_free(worker->stream);
	plugin_worker_log_free(worker->log);
	free(worker);
}

void
plugin_worker_kill(struct worker *worker, const char *why)
{
	if (worker->why[0] == '\0')
		snprintf(worker->why, sizeof(worker->why), "%s", why);
	if (worker->state == WORKER_DEAD)
		return;
	enter(worker, WORKER_DEAD);
	worker->waits_for_ack = false;
	worker->wants_kill = true;
	plugin_host_wake(worker->host);
}

/* ---- what it says ---- */

static void
on_outcome(struct worker *worker, const struct reply *reply)
{
	worker->expected.id = 0;
	worker->reader.max = FRAME_MAX;
	if (worker->state == WORKER_BUSY)
		enter(worker, WORKER_IDLE);
	plugin_pool_on_worker_reply(worker, reply);
}

static void
on_message(struct worker *worker, const json_t *message)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct reply reply;

	if (plugin_reply_read(message, &worker->expected, &reply, &err) != 0) {
		plugin_worker_kill(worker, err.text);
		return;
	}
	if (worker->waits_for_ack) {
		plugin_worker_kill(
		    worker, "the worker broke the protocol: it did not wait for a session");
		return;
	}
	if (reply.kind != REPLY_OUTCOME && ++worker->notes > NOTES_MAX) {
		plugin_worker_kill(worker, "the worker broke the protocol: too many sessions");
		return;
	}
	switch (reply.kind) {
	case REPLY_OUTCOME:
		on_outcome(worker, &reply);
		return;
	case REPLY_SESSION:
		if (!TAILQ_EMPTY(&worker->behind)) {
			plugin_worker_kill(
			    worker, "the worker broke the protocol: a session for a signature");
			return;
		}
		worker->waits_for_ack = true;
		plugin_pool_on_worker_session(worker, reply.session);
		return;
	case REPLY_SESSION_END:
		plugin_pool_on_worker_session_end(worker, reply.session);
		return;
	}
}

static void
read_messages(struct worker *worker)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *message;

	while (worker->state != WORKER_DEAD) {
		message = NULL;
		if (frame_reader_next(&worker->reader, &message, &err) != 0) {
			plugin_worker_kill(worker, err.text);
			return;
		}
		if (message == NULL)
			return;
		on_message(worker, message);
		json_decref(message);
	}
}

static void
on_readable(struct bufferevent *stream, void *arg)
{
	struct worker *worker = worker_from(arg);
	struct evbuffer *input = bufferevent_get_input(stream);
	struct leased_err err = LEASED_ERR_INIT;
	struct evbuffer_iovec piece;

	while (evbuffer_peek(input, -1, NULL, &piece, 1) > 0) {
		if (worker->state != WORKER_DEAD &&
		    frame_reader_feed(&worker->reader, piece.iov_base, piece.iov_len, &err) != 0)
			plugin_worker_kill(worker, err.text);
		(void)evbuffer_drain(input, piece.iov_len);
		read_messages(worker);
	}
}

static void
on_stream_end(struct bufferevent *stream, short what, void *arg)
{
	struct worker *worker = worker_from(arg);

	(void)what;
	bufferevent_disable(stream, EV_READ | EV_WRITE);
	plugin_worker_kill(worker, ""); /* how it ended is the better reason */
	if (worker->host->fd < 0)
		plugin_worker_on_exited(worker, "died with the spawner");
}

/* ---- what it is told ---- */

/* As much as the socket takes at once: no copy, and no turn of the loop. */
static size_t
write_now(struct worker *worker, const uint8_t *bytes, size_t len)
{
	ssize_t sent;

	if (evbuffer_get_length(bufferevent_get_output(worker->stream)) > 0)
		return (0);
	sent = send(bufferevent_getfd(worker->stream), bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return (sent > 0 ? (size_t)sent : 0); /* an error is told by the stream's own event */
}

static int
write_message(struct worker *worker, const json_t *message, size_t max, struct leased_err *err)
{
	uint8_t *bytes = NULL;
	size_t len = 0, sent;
	int r;

	if ((r = frame_encode_up_to(message, max, &bytes, &len, err)) != 0)
		return (r);
	sent = write_now(worker, bytes, len);
	if (sent < len && bufferevent_write(worker->stream, bytes + sent, len - sent) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		if (sent > 0)
			plugin_worker_kill(worker, err->text); /* it has half a frame */
	}
	frame_free(bytes, len);
	return (r);
}

int
plugin_worker_send(struct worker *worker, enum plugin_op op, const json_t *params, unsigned count,
    int64_t deadline_ms, struct reply_expected *ret_sent, struct leased_err *err)
{
	/* Of the request, and of its reply. */
	size_t max = op == PLUGIN_OP_KRL || op == PLUGIN_OP_PUSH ? FRAME_LONG_MAX : FRAME_MAX;
	json_t *request;
	int r;

	request = json_pack("{s:i,s:I,s:s,s:I,s:O}", "v", 1, "id", worker->last_id + 1, "op",
	    plugin_op_name(op), "deadline_ms", (json_int_t)deadline_ms, "params", params);
	if (request == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = write_message(worker, request, max, err);
	json_decref(request);
	if (r != 0)
		return (r);
	worker->reader.max = max; /* none of those that are sent ahead has another one */
	*ret_sent = (struct reply_expected){.id = ++worker->last_id, .op = op, .count = count};
	if (worker->state != WORKER_BUSY)
		plugin_worker_expect(worker, ret_sent);
	return (0);
}

void
plugin_worker_expect(struct worker *worker, const struct reply_expected *sent)
{
	if (worker->state == WORKER_DEAD)
		return;
	worker->expected = *sent;
	worker->notes = 0;
	if (worker->state != WORKER_OPENING)
		enter(worker, WORKER_BUSY);
}

void
plugin_worker_opened(struct worker *worker)
{
	worker->opened = true;
	enter(worker, WORKER_IDLE);
}

void
plugin_worker_answer_session(struct worker *worker, int result)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *answer;

	if (!worker->waits_for_ack || worker->state == WORKER_DEAD)
		return;
	worker->waits_for_ack = false;
	if (result == 0)
		answer = json_pack("{s:i,s:s,s:I,s:b}", "v", 1, "op", "session", "id",
		    worker->expected.id, "ok", 1);
	else
		answer = json_pack("{s:i,s:s,s:I,s:b,s:{s:s,s:s}}", "v", 1, "op", "session", "id",
		    worker->expected.id, "ok", 0, "error", "code", leased_code_name(result), "text",
		    "the session could not be recorded, so nothing was sent on it");
	if (answer == NULL || write_message(worker, answer, FRAME_MAX, &err) != 0)
		plugin_worker_kill(worker, "out of memory");
	json_decref(answer);
}

/* ---- its process ---- */

void
plugin_worker_on_started(struct worker *worker, int stream_fd, int log_fd)
{
	worker->ran = true;
	metrics_add(&workers_started, 1);
	worker->log =
	    plugin_worker_log_new(worker->host->loop, log_fd, worker->program, worker->id);
	worker->stream =
	    bufferevent_socket_new(worker->host->loop, stream_fd, BEV_OPT_CLOSE_ON_FREE);
	if (worker->stream == NULL)
		close(stream_fd);
	if (worker->state == WORKER_DEAD)
		return; /* killed before it ran: its exit comes */
	if (worker->stream == NULL || worker->log == NULL ||
	    evutil_make_socket_nonblocking(stream_fd) != 0) {
		plugin_worker_kill(worker, "out of memory");
		return;
	}
	bufferevent_setcb(worker->stream, on_readable, NULL, on_stream_end, worker);
	bufferevent_enable(worker->stream, EV_READ | EV_WRITE);
	enter(worker, WORKER_OPENING);
	plugin_pool_on_worker_ready(worker);
}

void
plugin_worker_on_exited(struct worker *worker, const char *how)
{
	if (worker->why[0] == '\0')
		snprintf(worker->why, sizeof(worker->why), "%s", how);
	if (worker->state != WORKER_DEAD)
		enter(worker, WORKER_DEAD);
	worker->waits_for_ack = false;
	if (worker->ran && !worker->accounted)
		metrics_add(&workers_died, 1);
	if (worker->stream != NULL)
		bufferevent_disable(worker->stream, EV_READ | EV_WRITE);
	TAILQ_REMOVE(&worker->host->workers, worker, in_host);
	plugin_worker_log_free(worker->log);
	worker->log = NULL;
	plugin_pool_on_worker_gone(worker);
	if (worker->host->freeing)
		worker_free(worker);
	else
		defer_free(worker->host->loop, worker_free, worker);
}

/* Nobody reaps it for us any more. It dies with its parent; the end of its stream shows it. */
void
plugin_worker_on_spawner_lost(struct worker *worker)
{
	plugin_worker_kill(worker, "the spawner died");
	if (worker->stream == NULL)
		plugin_worker_on_exited(worker, "never ran");
}
