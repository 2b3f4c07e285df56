/*
 * What connection.c asks of reply.c. Private to http/.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stddef.h>

struct http_connection;

struct connection_output {
	char *head, *body; /* owned, wiped */
	size_t head_len, body_len;
	size_t sent;
};

/* Starts a reply of the edge's own: `{"errors":[reason]}`, and the connection closes. */
void http_reply_refuse(struct http_connection *connection, int status, const char *reason);

/* The redirect to the collapsed path. */
void http_reply_redirect(struct http_connection *connection);

/* 100 Continue. */
void http_reply_continue(struct http_connection *connection);

/* Sends what is left of the output; on an error the connection closes. */
void http_reply_write(struct http_connection *connection);
void http_reply_clear(struct connection_output *output);

#endif
