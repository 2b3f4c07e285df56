/*
 * One accepted connection: its state, its request, its reply and what became of the reply. Private
 * to http/.
 *
 * Lives until it is CLOSED, its handler has answered, and every verdict on delivery was reported.
 * It is freed in a turn of its own (on_turn), never inside another callback.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "http/delivery.h"
#include "http/parser.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/stream.h"

enum connection_state {
	CONNECTION_HANDSHAKE, /* of TLS */
	CONNECTION_IDLE,      /* between requests */
	CONNECTION_HEAD,      /* a request's first byte is here */
	CONNECTION_BODY,      /* its head is whole */
	CONNECTION_HANDLING,  /* the handler has it; nothing is read */
	CONNECTION_WRITING,   /* its reply is on the way */
	CONNECTION_LINGER,    /* our side is shut; what still comes is thrown away, so that the last
				 reply is not lost to a reset */
	CONNECTION_CLOSED,    /* no descriptor any more */
};

struct http_connection {
	unsigned tag;
	enum connection_state state;
	struct http_server *server; /* NULL once it was freed */
	struct event_base *loop;
	int fd; /* -1 when CLOSED */
	struct http_peer peer;
	struct connection_group *group; /* of the same peer; server.c's */
	TAILQ_ENTRY(http_connection) all;
	TAILQ_ENTRY(http_connection) waiting; /* IDLE or HEAD, longest first */
	bool is_waiting;
	TAILQ_ENTRY(http_connection) shaking; /* HANDSHAKE, its next step put off */
	bool is_shaking;

	struct http_parser parser;
	struct http_request request; /* valid while has_request */
	bool has_request;
	bool is_parsing; /* take_bytes() is at work below us and goes on by itself */
	bool more;       /* bytes behind the request in hand are here already */
	bool continued;  /* 100 Continue was sent for this request */
	bool close;      /* behind the reply that is on its way */
	unsigned batch;  /* requests out of one read */
	char *left;      /* read, not parsed yet; owned, wiped */
	size_t left_len;

	struct connection_output output;
	struct ssl_st *ssl;     /* NULL: plain */
	bool speaks_tls;        /* its first byte says so */
	bool ssl_broken;        /* nothing more may be said through it */
	unsigned receives_left; /* OpenSSL's, in the call that is under way */
	uint64_t useful;        /* bytes received up to the last content; TLS only */
	uint64_t written;       /* bytes ever, as the socket counts them */
	bool at_end;            /* no more requests will come */
	bool hung_up;           /* .. since the client has shut its side of the socket */
	bool has_lingered;      /* it was given long enough to */
	bool has_failed;        /* ECONNRESET, EPIPE: kept, since SO_ERROR clears when read */
	struct connection_watch watches[CONNECTION_WATCHES];
	unsigned poll_ms; /* the delivery timer's back-off */

	struct event on_read, on_write;
	struct event deadline; /* of the state */
	struct event delivery; /* looks after watches */
	struct event turn;     /* what must not happen inside the caller's callback */
};

/* connection.c */

/* Takes fd and what peer owns, also on failure; group is http_server_admit()'s; tls is borrowed,
 * NULL: plain. NULL: out of memory. */
struct http_connection *http_connection_new(struct http_server *server, int fd,
    const struct http_peer *peer, struct connection_group *group, struct http_tls *tls);

/* The one function that changes the state. */
void http_connection_enter(struct http_connection *connection, enum connection_state state);

/* CLOSED, with replies on their way LOST. NULL and CLOSED are fine. */
void http_connection_close(struct http_connection *connection);

/* Nothing of a request is here and no verdict is due: closing it hurts nobody. */
bool http_connection_is_idle(const struct http_connection *connection);

/* The server goes: reports what is due now, and frees unless a handler still has its request. */
void http_connection_orphan(struct http_connection *connection);

/* reply.c calls it when the last byte went to the kernel. */
void http_connection_written(struct http_connection *connection);

/* Reports and continues, in a turn of its own. */
void http_connection_turn(struct http_connection *connection);

/* For every void * that comes back. */
struct http_connection *http_connection_from(void *arg);

#endif
