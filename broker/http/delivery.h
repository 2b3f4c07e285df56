/*
 * Watching what becomes of replies. Private to http/.
 */
#ifndef HTTP_DELIVERY_H
#define HTTP_DELIVERY_H

#include <event2/util.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"

struct http_connection;

/* A reply whose delivery somebody asked for. A client that does not pipeline has one at a time. */
#define CONNECTION_WATCHES 4
struct connection_watch {
	void (*on_delivery)(void *arg, enum http_delivery delivery); /* NULL: free */
	void *arg;
	int64_t due_us; /* boot time: LOST when unread by then */
	uint64_t end;   /* of the reply, in bytes ever written on this connection */
	bool written;   /* the last byte went to the kernel */
	bool quiet;   /* the client had sent nothing more by then: whatever it sends later, it sends
			 having read */
	bool decided; /* waits for on_turn to report */
	enum http_delivery verdict;
};

/* A free place to watch a reply, or NULL. */
struct connection_watch *http_delivery_slot(struct http_connection *connection);
/* Takes a free place: from now on on_delivery will be called once. */
void http_delivery_begin(struct http_connection *connection, struct connection_watch *watch,
    void (*on_delivery)(void *arg, enum http_delivery delivery), void *arg);
/* Decides what can be decided now. fresh: the client has just sent something. */
void http_delivery_check(struct http_connection *connection, bool fresh);
/* The reply's last byte went to the kernel. */
void http_delivery_written(struct http_connection *connection);
/* Every open watch is LOST. */
void http_delivery_lose(struct http_connection *connection);
/* Any that is not reported yet? */
bool http_delivery_pending(const struct http_connection *connection);
void http_delivery_report(struct http_connection *connection);
void http_delivery_on_timer(evutil_socket_t fd, short what, void *arg);

#endif
