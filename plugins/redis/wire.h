/*
 * A byte stream to one node: TCP or a Unix socket, with or without TLS. Every call ends at a
 * deadline.
 */
#ifndef REDIS_WIRE_H
#define REDIS_WIRE_H

#include <stddef.h>

#include "config.h"

struct ssl_ctx_st;

/* Certificates as the configuration has them; NULL in *ret_tls where there is no TLS. */
int redis_wire_tls_new(const struct redis_config *config, struct ssl_ctx_st **ret_tls,
    struct leased_err *err) LEASED_MUST_CHECK;
void redis_wire_tls_free(struct ssl_ctx_st *tls);

struct redis_wire;

/* Connects; with TLS the certificate is checked, and its name. LEASED_EUNAVAIL says why not. */
int redis_wire_open(const struct redis_address *address, struct ssl_ctx_st *tls, int timeout_ms,
    struct redis_wire **ret_wire, struct leased_err *err) LEASED_MUST_CHECK;
void redis_wire_close(struct redis_wire *wire); /* NULL is fine */

/* All of bytes. LEASED_EUNAVAIL: the connection is over; LEASED_ETIMEDOUT. */
int redis_wire_send(struct redis_wire *wire, const char *bytes, size_t len, int timeout_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
/* At least one byte, and what is there. */
int redis_wire_receive(struct redis_wire *wire, char *bytes, size_t size, int timeout_ms,
    size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;

#endif
