/*
 * Clients that speak TLS, and pairs of certificate and key in files, for tests of the edge. Like
 * the plain clients of edge.h they never block: they let the loop run.
 */
#ifndef TESTS_HTTP_TLS_CLIENT_H
#define TESTS_HTTP_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "edge.h"

struct tls_pair {
	const char *name;       /* its files: NAME.crt and NAME.key in the edge's directory */
	long from_s, to_s;      /* its dates, against now; both 0: a day around now */
	const char *passphrase; /* NULL: none */
	int rsa_bits;           /* 0: an elliptic curve */
};
void tls_pair_write(const struct edge *edge, const struct tls_pair *pair);
/* The path of a pair's file; static, two of them. */
const char *tls_pair_path(const struct edge *edge, const char *name, const char *suffix);
/* A loaded pair; fails the test when it is refused. */
struct http_tls *tls_pair_load(
    const struct edge *edge, const char *name, enum http_tls_version min_version);
/* As edge_start(), with TLS on edge->port; its pair "a" is written. */
void tls_start(struct edge *edge, enum http_tls_version min_version);

/* edge_teardown(), and away with the files of all pairs. */
int tls_teardown(void **state);

struct tls_client {
	struct ssl_ctx_st *ctx;
	struct ssl_st *ssl;
	int fd;
	char subject[64]; /* of what the server showed */
};

/* Speaks nothing yet: a TCP connection that does not block. */
int tls_socket(struct edge *edge);
/* A handshake with at most this version (0: the highest), offering these ALPN names (NULL: none).
 * false: it failed. */
bool tls_connect(struct edge *edge, struct tls_client *client, int max_version, const char *alpn);
void tls_send(struct edge *edge, struct tls_client *client, const char *bytes, size_t len);
/* As edge_read(); count 0: until a head is there, whatever its body. */
const char *tls_read(struct edge *edge, struct tls_client *client, unsigned count, unsigned ms);
/* Says goodbye in TLS, without closing the socket. */
void tls_goodbye(struct tls_client *client);
void tls_close(struct tls_client *client);

#endif
