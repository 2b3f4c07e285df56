/*
 * The server: which connections there are, who may have one more, and how it all stops.
 *
 * Knows counts and lists, not bytes: those are connection.c's. Called by main through http.h, and
 * by listener.c and connection.c.
 */
#include "http/server.h"

#include <fcntl.h>
#include <leased/secret.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SERVER_TAG 0x48537276u
#define FILES_KEPT 512 /* descriptors for the store, the workers and what comes by the way */
/* A step with P-256 is most of a millisecond, which everybody else waits for. */
#define STEPS_MAX 8u

const struct http_limits http_default_limits = {
    .request_line = 8 * 1024,
    .header_bytes = 16 * 1024,
    .header_count = 64,
    .body = 1024 * 1024,
    .bodies = 64 * 1024 * 1024,
    .header_ms = 10000,
    .body_ms = 30000,
    .write_ms = 30000,
    .idle_ms = 75000,
    .handshake_ms = 5000,
    .delivery_ms = 5000,
    .connections = 4096,
    .connections_per_peer = 1024,
    .connections_reserved = 8,
    .pipelined = 16,
};

static void
finish_stop(struct http_server *server)
{
	if (server->is_done)
		return;
	server->is_done = true;
	if (server->done != NULL)
		server->done(server->done_arg);
}

static void
on_stop_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;
	struct http_connection *connection, *next;

	(void)fd;
	(void)what;
	if (server->tag != SERVER_TAG)
		log_fatal("memory is damaged: an HTTP server is none");
	for (connection = TAILQ_FIRST(&server->all); connection != NULL; connection = next) {
		next = TAILQ_NEXT(connection, all);
		http_connection_close(connection);
		http_delivery_report(connection);
	}
	finish_stop(server);
}

/* ---- handshakes ---- */

/* In the turn behind this one, and behind the sockets that are ready in it: a timer of zero would
 * still be this turn's. */
static void
arm_next_steps(struct http_server *server)
{
	static const struct timeval soon = {0, 1};

	if (!event_pending(&server->next_steps, EV_TIMEOUT, NULL))
		(void)event_add(&server->next_steps, &soon);
}

static void
on_next_steps(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;
	struct http_connection *connection;

	(void)fd;
	(void)what;
	if (server->tag != SERVER_TAG)
		log_fatal("memory is damaged: an HTTP server is none");
	server->steps_left = STEPS_MAX;
	while (server->steps_left > 0 && (connection = TAILQ_FIRST(&server->shaking)) != NULL) {
		http_server_unshake(server, connection);
		server->steps_left--;
		/* The step takes it away again where it waits for something else. */
		(void)event_add(&connection->on_read, NULL);
		http_stream_handshake(connection);
	}
	if (server->steps_left < STEPS_MAX)
		arm_next_steps(server);
}

void
http_server_shake(struct http_server *server, struct http_connection *connection)
{
	arm_next_steps(server);
	if (server->steps_left > 0 && TAILQ_EMPTY(&server->shaking)) {
		server->steps_left--;
		http_stream_handshake(connection);
		return;
	}
	(void)event_del(&connection->on_read);
	(void)event_del(&connection->on_write);
	TAILQ_INSERT_TAIL(&server->shaking, connection, shaking);
	connection->is_shaking = true;
}

void
http_server_unshake(struct http_server *server, struct http_connection *connection)
{
	if (connection->is_shaking)
		TAILQ_REMOVE(&server->shaking, connection, shaking);
	connection->is_shaking = false;
}

void
http_limits_fit(struct http_limits *limits)
{
	struct rlimit files;
	unsigned most;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 ||
	    files.rlim_cur >= (rlim_t)limits->connections + FILES_KEPT)
		return;
	most = files.rlim_cur > (rlim_t)2 * FILES_KEPT ? (unsigned)files.rlim_cur - FILES_KEPT
						       : (unsigned)files.rlim_cur / 2;
	log_warn("fewer connections are taken than configured: raise the limit of open files "
		 "(LimitNOFILE=) to lift this",
	    LOG_I("open_files", (int64_t)files.rlim_cur), LOG_I("configured", limits->connections),
	    LOG_I("connections", most));
	/* One peer still gets no more than the share that was meant for it. */
	limits->connections_per_peer =
	    (unsigned)((uint64_t)limits->connections_per_peer * most / limits->connections);
	limits->connections_per_peer += limits->connections_per_peer == 0;
	limits->connections = most;
	if (limits->connections_reserved > most / 2)
		limits->connections_reserved = most / 2;
}

struct http_server *
http_server_new(
    struct event_base *loop, const struct http_limits *limits, http_handler handler, void *arg)
{
	struct http_server *server;

	if ((server = calloc(1, sizeof(*server))) == NULL)
		return (NULL);
	server->tag = SERVER_TAG;
	server->loop = loop;
	server->limits = *limits;
	server->budget.limit = limits->bodies;
	server->handler = handler;
	server->handler_arg = arg;
	server->date_s = -1;
	TAILQ_INIT(&server->all);
	TAILQ_INIT(&server->waiting);
	TAILQ_INIT(&server->shaking);
	server->steps_left = STEPS_MAX;
	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (evtimer_assign(&server->stop_timer, loop, on_stop_timer, server) != 0 ||
	    evtimer_assign(&server->next_steps, loop, on_next_steps, server) != 0)
		log_fatal("the event loop takes no events");
	return (server);
}

void
http_server_refuse_workers(
    struct http_server *server, pid_t session, bool (*is_worker)(void *arg, pid_t pid), void *arg)
{
	server->refused_session = session;
	server->is_worker = is_worker;
	server->is_worker_arg = arg;
}

/* Closes the one that has waited longest; group NULL: of anybody, but not of a reserved peer for
 * the sake of one that is not. */
static bool
evict(struct http_server *server, const struct connection_group *group, bool for_reserved)
{
	struct http_connection *connection;

	TAILQ_FOREACH (connection, &server->waiting, waiting) {
		if (!http_connection_is_idle(connection))
			continue;
		if (group != NULL ? connection->group != group
				  : !for_reserved && http_peer_is_reserved(&connection->peer))
			continue;
		http_connection_close(connection);
		return (true);
	}
	return (false);
}

static struct group_list *
group_list_of(struct http_server *server, const struct http_peer *peer)
{
	uint64_t mixed = (http_peer_key(peer) + peer->kind) * UINT64_C(0x9e3779b97f4a7c15);

	return (&server->groups[mixed >> 56]);
}

static struct connection_group *
group_of(struct http_server *server, const struct http_peer *peer)
{
	struct group_list *list = group_list_of(server, peer);
	uint64_t key = http_peer_key(peer);
	struct connection_group *group;

	SLIST_FOREACH (group, list, next) {
		if (group->kind == peer->kind && group->key == key)
			return (group);
	}
	if ((group = calloc(1, sizeof(*group))) == NULL)
		return (NULL);
	group->kind = peer->kind;
	group->key = key;
	SLIST_INSERT_HEAD(list, group, next);
	return (group);
}

void
http_server_forget(
    struct http_server *server, struct connection_group *group, const struct http_peer *peer)
{
	if (group->count > 0)
		return;
	SLIST_REMOVE(group_list_of(server, peer), group, connection_group, next);
	free(group);
}

struct connection_group *
http_server_admit(struct http_server *server, const struct http_peer *peer)
{
	const struct http_limits *limits = &server->limits;
	bool is_reserved = http_peer_is_reserved(peer);
	unsigned cap = limits->connections;
	struct connection_group *group;
	bool ok = true;

	if (!is_reserved)
		cap -= cap > limits->connections_reserved ? limits->connections_reserved : cap;
	if ((group = group_of(server, peer)) == NULL)
		return (NULL);
	/* Held, since closing the last other one of this peer would free it. */
	group->count++;
	if (group->count > limits->connections_per_peer)
		ok = evict(server, group, is_reserved);
	if (ok && server->count >= cap)
		ok = evict(server, NULL, is_reserved);
	group->count--;
	if (ok)
		return (group);
	http_server_forget(server, group, peer);
	return (NULL);
}

void
http_server_attach(struct http_server *server, struct http_connection *connection)
{
	TAILQ_INSERT_TAIL(&server->all, connection, all);
	connection->group->count++;
	server->count++;
}

void
http_server_release(struct http_server *server, struct http_connection *connection)
{
	struct connection_group *group = connection->group;

	server->count--;
	group->count--;
	connection->group = NULL;
	http_server_forget(server, group, &connection->peer);
}

void
http_server_detach(struct http_server *server, struct http_connection *connection)
{
	TAILQ_REMOVE(&server->all, connection, all);
	if (server->is_stopping && !server->is_done && TAILQ_EMPTY(&server->all))
		event_active(&server->stop_timer, EV_TIMEOUT, 1);
}

static void
close_listeners(struct http_server *server)
{
	struct http_listener *listener;

	while ((listener = SLIST_FIRST(&server->listeners)) != NULL) {
		SLIST_REMOVE_HEAD(&server->listeners, next);
		http_listener_close(listener);
	}
}

/* What is no request yet is no call in flight. But an answer before it may still be on its way. */
static void
stop_connection(struct http_connection *connection)
{
	if (connection->state > CONNECTION_HEAD)
		return;
	if (http_delivery_pending(connection))
		http_connection_enter(connection, CONNECTION_LINGER);
	else
		http_connection_close(connection);
}

void
http_server_stop(
    struct http_server *server, unsigned timeout_ms, void (*done)(void *arg), void *arg)
{
	struct timeval timeout = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
	struct http_connection *connection, *next;

	if (server->is_stopping)
		return;
	server->is_stopping = true;
	server->done = done;
	server->done_arg = arg;
	close_listeners(server);
	for (connection = TAILQ_FIRST(&server->all); connection != NULL; connection = next) {
		next = TAILQ_NEXT(connection, all);
		stop_connection(connection);
	}
	(void)event_add(&server->stop_timer, &timeout);
	if (TAILQ_EMPTY(&server->all))
		event_active(&server->stop_timer, EV_TIMEOUT, 1);
}

void
http_server_free(struct http_server *server)
{
	struct http_connection *connection;

	if (server == NULL)
		return;
	server->is_done = true;
	close_listeners(server);
	while ((connection = TAILQ_FIRST(&server->all)) != NULL)
		http_connection_orphan(connection);
	(void)event_del(&server->stop_timer);
	(void)event_del(&server->next_steps);
	if (server->reserve_fd >= 0)
		(void)close(server->reserve_fd);
	leased_wipe(server->read_buffer, sizeof(server->read_buffer));
	server->tag = 0;
	free(server);
}

unsigned
http_server_connection_count(const struct http_server *server)
{
	return (server->count);
}
