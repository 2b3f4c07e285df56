/*
 * What stands between a connection and its socket: nothing, or TLS. Private to http/.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct http_connection;
struct http_tls;
struct ssl_st; /* OpenSSL's */

enum stream_result {
	STREAM_OK,
	STREAM_AGAIN,   /* later, when the socket is ready */
	STREAM_CLOSING, /* the client will send nothing more; whether it still reads is not known */
	STREAM_END,     /* .. and it has closed the socket, or half of it */
	STREAM_FAILED, /* a reset, bytes that TLS does not vouch for, or too many without content */
};

/* tls.c: an SSL of this pair, NULL: out of memory. */
struct ssl_st *http_tls_ssl(struct http_tls *tls);

/* false: out of memory. tls NULL: nothing to do. */
bool http_stream_open(struct http_connection *connection, struct http_tls *tls);
/* Says goodbye (not behind a watched reply): nothing more will be sent. What the client sends is no
 * longer looked at. */
void http_stream_shut(struct http_connection *connection);
/* Before the descriptor is closed. */
void http_stream_close(struct http_connection *connection);

/* One step of the handshake, which answers a client that does not speak TLS. */
void http_stream_handshake(struct http_connection *connection);

/* OK: *ret_len bytes, at least one. At most one record, so that nothing waits behind it in here. */
enum stream_result http_stream_read(
    struct http_connection *connection, void *buffer, size_t size, size_t *ret_len);
/* OK: *ret_len bytes of the parts, at least one. connection->written counts what went over the
 * wire. */
enum stream_result http_stream_write(
    struct http_connection *connection, const struct iovec parts[2], size_t *ret_len);
/* Are bytes here that the client sent and nobody has read? */
bool http_stream_has_more(const struct http_connection *connection);

#endif
