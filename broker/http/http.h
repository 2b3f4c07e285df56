/*
 * The HTTP/1.1 edge: listeners and connections on libevent, a strict parser, absolute deadlines,
 * caps (DESIGN.md; vectors of RFC 9112).
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <event2/event.h>

#include <leased/error.h>

#include "http/request.h"
#include "http/tls.h"

struct http_limits {
	unsigned request_line, header_bytes, header_count; /* 8 KiB, 16 KiB, 64 */
	size_t body;                                       /* 1 MiB */
	size_t bodies; /* 64 MiB: what all bodies over 16 KiB may hold together */
	unsigned header_ms, body_ms, write_ms, idle_ms; /* 10 000, 30 000, 30 000, 75 000 */
	unsigned delivery_ms, handshake_ms;             /* 5 000, 5 000 */
	unsigned connections, connections_per_peer;     /* 4096, 1024 */
	unsigned connections_reserved;                  /* 8, for root and the daemon's own uid */
	unsigned pipelined;                             /* 16 */
};
extern const struct http_limits http_default_limits;
/* Raises the process's limit of open files as far as it may, and lowers the caps of connections to
 * what that leaves beside the store and the workers; says so. */
void http_limits_fit(struct http_limits *limits);

struct http_server;

/* handler is called on loop. limits is copied. NULL: out of memory. */
struct http_server *http_server_new(
    struct event_base *loop, const struct http_limits *limits, http_handler handler, void *arg);

/* Processes of this session are not served on Unix sockets: workers, whose uid is our own. One that
 * has gone is in no session; is_worker (NULL: none is) knows it by its number. */
void http_server_refuse_workers(
    struct http_server *server, pid_t session, bool (*is_worker)(void *arg, pid_t pid), void *arg);

/* Unix socket: a stale one is replaced only after a connect to it failed; a live one is
 * LEASED_EEXIST. group: NULL leaves it. */
int http_server_listen_unix(struct http_server *server, const char *path, mode_t mode,
    const char *group, struct leased_err *err) LEASED_MUST_CHECK;

/* Plain TCP; address is HOST:PORT with a numeric host, port 0 takes a free one. *ret_port (may be
 * NULL). */
int http_server_listen_tcp(struct http_server *server, const char *address, unsigned *ret_port,
    struct leased_err *err) LEASED_MUST_CHECK;

/* The same with TLS, which the server takes, also on failure. */
int http_server_listen_tls(struct http_server *server, const char *address, struct http_tls *tls,
    unsigned *ret_port, struct leased_err *err) LEASED_MUST_CHECK;
/* From now on the listener of this address (as it was given) shows another pair, which is taken.
 * false: it has no such listener that speaks TLS. */
bool http_server_replace_tls(struct http_server *server, const char *address, struct http_tls *tls);

/* What the listener of this address shows now; NULL: it has no such listener. */
struct http_tls *http_server_tls(const struct http_server *server, const char *address);
/* Who comes by the listener that was opened last carries marks, which mean something to the handler
 * alone. */
void http_server_mark(struct http_server *server, unsigned marks);

/* Stops accepting, closes idle connections, lets requests in flight end; done is called once, when
 * the last is gone or after timeout_ms. Unlinks the sockets. */
void http_server_stop(
    struct http_server *server, unsigned timeout_ms, void (*done)(void *arg), void *arg);

/*
 * Closes everything now; replies on their way are LOST. A handler that still has a request may
 * answer it later, while the loop exists. Not from a handler or on_delivery. NULL is fine.
 */
void http_server_free(struct http_server *server);

unsigned http_server_connection_count(const struct http_server *server);

#endif
