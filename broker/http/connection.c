/*
 * One connection from accept to free: reads, feeds the parser, hands whole requests to the handler
 * in order, keeps the deadlines.
 *
 * States change in http_connection_enter() alone. Replies are written by reply.c, their fate is
 * decided by delivery.c, caps are server.c's.
 */
#include "http/connection.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <leased/secret.h>

#include "http/server.h"

#define CONNECTION_TAG 0x48436f6eu
/* How long a client may take to read our last words and hang up, while we throw away what it still
 * sends. */
#define LINGER_MS 2000u

struct http_connection *
http_connection_from(void *arg)
{
	struct http_connection *connection = arg;

	if (connection->tag != CONNECTION_TAG)
		log_fatal("memory is damaged: an HTTP connection is none");
	return (connection);
}

static unsigned
deadline_ms(const struct http_limits *limits, enum connection_state state)
{
	switch (state) {
	case CONNECTION_HANDSHAKE:
		return (limits->handshake_ms);
	case CONNECTION_IDLE:
		return (limits->idle_ms);
	case CONNECTION_HEAD:
		return (limits->header_ms);
	case CONNECTION_BODY:
		return (limits->body_ms);
	case CONNECTION_WRITING:
		return (limits->write_ms);
	case CONNECTION_LINGER:
		return (LINGER_MS);
	case CONNECTION_HANDLING:
	case CONNECTION_CLOSED:
		break;
	}
	return (0);
}

#define TO(state) (1u << (state))
/* The edges of the state machine. */
static const unsigned edges[] = {
    [CONNECTION_HANDSHAKE] = TO(CONNECTION_HANDSHAKE) | TO(CONNECTION_IDLE) |
			     TO(CONNECTION_WRITING) | TO(CONNECTION_CLOSED),
    [CONNECTION_IDLE] = TO(CONNECTION_HEAD) | TO(CONNECTION_BODY) | TO(CONNECTION_HANDLING) |
			TO(CONNECTION_WRITING) | TO(CONNECTION_LINGER) | TO(CONNECTION_CLOSED),
    [CONNECTION_HEAD] = TO(CONNECTION_BODY) | TO(CONNECTION_HANDLING) | TO(CONNECTION_WRITING) |
			TO(CONNECTION_LINGER) | TO(CONNECTION_CLOSED),
    [CONNECTION_BODY] = TO(CONNECTION_HANDLING) | TO(CONNECTION_WRITING) | TO(CONNECTION_CLOSED),
    [CONNECTION_HANDLING] = TO(CONNECTION_WRITING) | TO(CONNECTION_CLOSED),
    [CONNECTION_WRITING] = TO(CONNECTION_IDLE) | TO(CONNECTION_LINGER) | TO(CONNECTION_CLOSED),
    [CONNECTION_LINGER] = TO(CONNECTION_CLOSED),
    [CONNECTION_CLOSED] = 0,
};

static bool
is_receiving(const struct http_connection *connection)
{
	return (connection->state <= CONNECTION_BODY);
}

static bool
is_watched(const struct http_connection *connection)
{
	return (http_delivery_pending(connection));
}

/* May bytes be taken off the socket? Not before those that were read already, nor for a request
 * whose reply could not be watched. */
static bool
wants_bytes(struct http_connection *connection)
{
	if (connection->state == CONNECTION_IDLE)
		return (connection->left_len == 0 && http_delivery_slot(connection) != NULL);
	return (is_receiving(connection) || connection->state == CONNECTION_LINGER);
}

/*
 * Reading goes on while a request is handled until a byte comes: a client that sends one request
 * and waits costs no system call for it. Then on_readable() ends it: what a client sends ahead
 * stays in the kernel.
 */
static void
arm_read(struct http_connection *connection)
{
	if (wants_bytes(connection) && !connection->hung_up &&
	    !event_pending(&connection->on_read, EV_READ, NULL))
		(void)event_add(&connection->on_read, NULL);
}

static void
enter_closed(struct http_connection *connection)
{
	http_delivery_lose(connection);
	(void)event_del(&connection->on_read);
	(void)event_del(&connection->on_write);
	(void)event_del(&connection->delivery);
	http_stream_close(connection);
	(void)close(connection->fd);
	connection->fd = -1;
	http_reply_clear(&connection->output);
	if (connection->left != NULL)
		leased_wipe(connection->left, connection->left_len);
	free(connection->left);
	connection->left = NULL;
	connection->left_len = 0;
	http_server_release(connection->server, connection);
	http_connection_turn(connection);
}

void
http_connection_enter(struct http_connection *connection, enum connection_state state)
{
	struct http_server *server = connection->server;
	unsigned ms = deadline_ms(&server->limits, state);
	struct timeval deadline = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

	if ((edges[connection->state] & TO(state)) == 0)
		log_fatal("an HTTP connection cannot go from state %d to %d",
		    (int)connection->state, (int)state);
	connection->state = state;
	(void)event_del(&connection->deadline);
	if (ms > 0)
		(void)event_add(&connection->deadline, &deadline);
	if (state <= CONNECTION_IDLE && !connection->is_waiting) {
		TAILQ_INSERT_TAIL(&server->waiting, connection, waiting);
		connection->is_waiting = true;
	} else if (state > CONNECTION_HEAD && connection->is_waiting) {
		TAILQ_REMOVE(&server->waiting, connection, waiting);
		connection->is_waiting = false;
	}
	if (state != CONNECTION_HANDSHAKE)
		http_server_unshake(server, connection);
	if (state == CONNECTION_CLOSED)
		enter_closed(connection);
	else if (state == CONNECTION_LINGER)
		http_stream_shut(connection);
	if (state != CONNECTION_CLOSED)
		arm_read(connection);
}

void
http_connection_close(struct http_connection *connection)
{
	if (connection != NULL && connection->state != CONNECTION_CLOSED)
		http_connection_enter(connection, CONNECTION_CLOSED);
}

bool
http_connection_is_idle(const struct http_connection *connection)
{
	return (connection->is_waiting && connection->left_len == 0 && !is_watched(connection));
}

void
http_connection_turn(struct http_connection *connection)
{
	event_active(&connection->turn, EV_TIMEOUT, 1);
}

static void
connection_free(struct http_connection *connection)
{
	if (connection->server != NULL)
		http_server_detach(connection->server, connection);
	(void)event_del(&connection->turn);
	http_parser_clear(&connection->parser);
	http_peer_clear(&connection->peer);
	connection->tag = 0;
	free(connection);
}

void
http_connection_orphan(struct http_connection *connection)
{
	http_connection_close(connection);
	http_delivery_report(connection);
	if (!connection->has_request) {
		connection_free(connection);
		return;
	}
	/* The handler still has the request: it stays, and ends with the reply. */
	http_server_detach(connection->server, connection);
	connection->server = NULL;
	connection->parser.budget = NULL;
	connection->parser.limits = &http_default_limits;
}

/* Ends a connection on which nothing more can be said and of which nothing more is to be learned.
 */
static void
end_when_settled(struct http_connection *connection)
{
	bool is_over = connection->hung_up || connection->has_lingered;

	if (connection->state == CONNECTION_LINGER && is_over && !is_watched(connection))
		http_connection_close(connection);
}

/* The client will send nothing more; hung_up: since it has shut its side of the socket. */
static void
take_end(struct http_connection *connection, bool hung_up)
{
	connection->at_end = true;
	connection->hung_up = hung_up;
	if (hung_up)
		(void)event_del(&connection->on_read);
	http_delivery_check(connection, false);
	if (connection->state == CONNECTION_IDLE && connection->left_len == 0)
		http_connection_enter(connection, CONNECTION_LINGER);
	else if (connection->state == CONNECTION_HEAD || connection->state == CONNECTION_BODY)
		http_connection_close(connection);
	end_when_settled(connection);
}

/* A whole request is here. */
static void
dispatch(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct http_parser *parser = &connection->parser;

	connection->close = connection->close || parser->close || parser->http_1_0;
	connection->request = (struct http_request){.method = parser->method,
	    .path = http_parser_path(parser),
	    .query = http_parser_query(parser),
	    .body = parser->body,
	    .body_len = parser->body_len,
	    .peer = &connection->peer};
	connection->has_request = true;
	http_connection_enter(connection, CONNECTION_HANDLING);
	if (parser->collapsed)
		http_reply_redirect(connection);
	else
		server->handler(&connection->request, server->handler_arg);
}

static void
take_phase(struct http_connection *connection, enum http_phase phase)
{
	struct http_parser *parser = &connection->parser;

	switch (phase) {
	case HTTP_PHASE_START:
		break;
	case HTTP_PHASE_HEAD:
		if (connection->state == CONNECTION_IDLE)
			http_connection_enter(connection, CONNECTION_HEAD);
		break;
	case HTTP_PHASE_BODY:
		if (connection->state != CONNECTION_BODY)
			http_connection_enter(connection, CONNECTION_BODY);
		if (parser->expect && !parser->body_begun && !connection->continued)
			http_reply_continue(connection);
		break;
	case HTTP_PHASE_DONE:
		/* Requests that came in one read were all sent before the first of them was
		 * answered. */
		if (++connection->batch >= connection->server->limits.pipelined && connection->more)
			connection->close = true;
		dispatch(connection);
		break;
	case HTTP_PHASE_REFUSED:
		http_reply_refuse(connection, parser->status, parser->reason);
		break;
	}
}

/* Keeps what cannot be parsed before the request in hand is answered. */
static void
keep_left(struct http_connection *connection, const char *bytes, size_t len)
{
	if ((connection->left = malloc(len)) == NULL) {
		http_connection_close(connection);
		return;
	}
	memcpy(connection->left, bytes, len);
	connection->left_len = len;
}

static void
take_bytes(struct http_connection *connection, const char *bytes, size_t len)
{
	enum http_phase phase;
	size_t used;

	connection->is_parsing = true;
	while (len > 0 && is_receiving(connection) && http_delivery_slot(connection) != NULL) {
		phase = http_parser_feed(&connection->parser, bytes, len, &used);
		bytes += used;
		len -= used;
		connection->more = len > 0;
		take_phase(connection, phase);
	}
	connection->is_parsing = false;
	if (len > 0 && connection->state < CONNECTION_LINGER && !connection->close)
		keep_left(connection, bytes, len);
	connection->more = connection->left_len > 0;
}

/* Goes on after a reply: with what was read before, else with what comes. */
static void
resume(struct http_connection *connection)
{
	char *left = connection->left;
	size_t len = connection->left_len;

	if (connection->state != CONNECTION_IDLE)
		return;
	if (len > 0 && http_delivery_slot(connection) != NULL) {
		connection->left = NULL;
		connection->left_len = 0;
		take_bytes(connection, left, len);
		leased_wipe(left, len);
		free(left);
	}
	if (connection->state != CONNECTION_IDLE)
		return;
	if (connection->at_end && connection->left_len == 0)
		take_end(connection, connection->hung_up);
	else
		arm_read(connection);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = http_connection_from(arg);

	(void)fd;
	(void)what;
	http_delivery_report(connection);
	if (connection->state == CONNECTION_CLOSED) {
		if (!connection->has_request && !is_watched(connection))
			connection_free(connection);
		return;
	}
	resume(connection);
	end_when_settled(connection);
}

void
http_connection_written(struct http_connection *connection)
{
	http_reply_clear(&connection->output);
	http_delivery_written(connection);
	if (connection->close || connection->server->is_stopping) {
		http_connection_enter(connection, CONNECTION_LINGER);
		return;
	}
	connection->continued = false;
	http_connection_enter(connection, CONNECTION_IDLE);
	if (!connection->is_parsing && (connection->left_len > 0 || connection->at_end))
		http_connection_turn(connection);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = http_connection_from(arg);
	unsigned char *buffer = connection->server->read_buffer;
	size_t len = 0;

	(void)fd;
	(void)what;
	if (connection->state == CONNECTION_HANDSHAKE) {
		http_server_shake(connection->server, connection);
		return;
	}
	if (!wants_bytes(connection)) {
		(void)event_del(&connection->on_read);
		return;
	}
	switch (http_stream_read(connection, buffer, SERVER_READ_SIZE, &len)) {
	case STREAM_OK:
		if (connection->state == CONNECTION_LINGER)
			break;
		connection->batch = 0;
		http_delivery_check(connection, true);
		take_bytes(connection, (const char *)buffer, len);
		break;
	case STREAM_AGAIN:
		break;
	case STREAM_CLOSING:
		take_end(connection, false);
		break;
	case STREAM_END:
		take_end(connection, true);
		break;
	case STREAM_FAILED:
		connection->has_failed = true;
		http_connection_close(connection);
		break;
	}
	leased_wipe(buffer, len);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = http_connection_from(arg);

	(void)fd;
	(void)what;
	if (connection->state == CONNECTION_HANDSHAKE)
		http_server_shake(connection->server, connection);
	else
		http_reply_write(connection);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = http_connection_from(arg);

	(void)fd;
	(void)what;
	switch (connection->state) {
	case CONNECTION_HEAD:
		http_reply_refuse(connection, 408, "the request's headers did not come in time");
		break;
	case CONNECTION_BODY:
		http_reply_refuse(connection, 408, "the request's body did not come in time");
		break;
	case CONNECTION_LINGER:
		/* Not an end that the client made: delivery must not take it for one. */
		connection->has_lingered = true;
		(void)event_del(&connection->on_read);
		end_when_settled(connection);
		break;
	case CONNECTION_HANDSHAKE:
	case CONNECTION_IDLE:
	case CONNECTION_WRITING:
		http_connection_close(connection);
		break;
	case CONNECTION_HANDLING:
	case CONNECTION_CLOSED:
		break;
	}
}

struct http_connection *
http_connection_new(struct http_server *server, int fd, const struct http_peer *peer,
    struct connection_group *group, struct http_tls *tls)
{
	struct http_connection *connection;
	struct http_peer unused = *peer;

	if ((connection = calloc(1, sizeof(*connection))) != NULL)
		connection->fd = fd;
	if (connection == NULL || !http_stream_open(connection, tls)) {
		http_server_forget(server, group, peer);
		http_peer_clear(&unused);
		free(connection);
		(void)close(fd);
		return (NULL);
	}
	connection->tag = CONNECTION_TAG;
	connection->server = server;
	connection->loop = server->loop;
	connection->peer = *peer;
	http_parser_init(&connection->parser, &server->limits, &server->budget);
	if (event_assign(&connection->on_read, server->loop, fd, EV_READ | EV_PERSIST, on_readable,
		connection) != 0 ||
	    event_assign(
		&connection->on_write, server->loop, fd, EV_WRITE, on_writable, connection) != 0 ||
	    evtimer_assign(&connection->deadline, server->loop, on_deadline, connection) != 0 ||
	    evtimer_assign(
		&connection->delivery, server->loop, http_delivery_on_timer, connection) != 0 ||
	    evtimer_assign(&connection->turn, server->loop, on_turn, connection) != 0)
		log_fatal("the event loop takes no events");
	connection->group = group;
	http_server_attach(server, connection);
	http_connection_enter(connection, tls != NULL ? CONNECTION_HANDSHAKE : CONNECTION_IDLE);
	return (connection);
}
