/*
 * The seam between the HTTP edge and those who answer: bytes become a struct http_request, a struct
 * http_reply becomes bytes. The edge knows no route and no store.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/peer.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_LIST };
const char *http_method_name(enum http_method method);

/* Borrowed by the handler until http_reply_send(), which ends it. path: decoded, canonical, starts
 * with '/'. body is NUL-terminated behind body_len. */
struct http_request {
	enum http_method method;
	const char *path;
	const char *query; /* raw, "" when absent */
	const uint8_t *body;
	size_t body_len;
	const struct http_peer *peer;
};

/* The value of the only field of that name (ASCII case ignored), or NULL. Fields that may come once
 * were checked by the edge. */
const char *http_request_header(const struct http_request *request, const char *name);

/* What became of a reply's bytes (DESIGN.md): LOST when the client cannot have read it
 * whole. */
enum http_delivery { HTTP_DELIVERED, HTTP_LOST };

#define HTTP_REPLY_HEADERS 6
struct http_reply {
	int status;
	const char *content_type; /* a literal; NULL: application/json */
	char *body;               /* takes ownership, wiped when sent; NULL: none */
	size_t body_len;
	struct {
		const char *name; /* a literal */
		char *value;      /* takes ownership; no CR, LF or NUL */
	} headers[HTTP_REPLY_HEADERS];
	unsigned header_count;
	bool close; /* close the connection behind it */
	/* Called exactly once, from the loop, never before http_reply_send() returns; NULL: nobody
	 * asks. At the latest 5 s after the reply was handed over. */
	void (*on_delivery)(void *arg, enum http_delivery delivery);
	void *on_delivery_arg;
};

/* Ends request; takes what reply owns, also on its own failures. The edge adds Content-Length,
 * Content-Type, Cache-Control: no-store; HEAD and 204 carry no body. */
void http_reply_send(struct http_request *request, struct http_reply *reply);

/* Adds a header; value is copied. Too many, or a bad byte in it: a bug of the caller. */
void http_reply_header(struct http_reply *reply, const char *name, const char *value);

/*
 * Called for each whole request, in order, one at a time a connection. Must lead to exactly one
 * http_reply_send(), now or later; when the client goes away meanwhile the request stays valid and
 * its reply is LOST.
 */
typedef void (*http_handler)(struct http_request *request, void *arg);

#endif
