/*
 * Hostile and unusual requests: what is taken, and what is refused with which status. For tests of
 * the parser, and of the edge on top of TLS.
 */
#ifndef TESTS_HTTP_VECTORS_H
#define TESTS_HTTP_VECTORS_H

#include <stddef.h>

/* status 0: taken. The bytes are first, then count times again, then last. */
struct vector {
	const char *name;
	int status;
	const char *first;
	size_t first_len;
	const char *again;
	unsigned count;
	const char *last;
};
extern const struct vector vectors[];
extern const size_t vector_count;

/* Sent right behind each: it must never be mistaken for a part of it. */
#define VECTOR_PROBE "GET /v1/probe HTTP/1.1\r\nHost: leased\r\n\r\n"

/* The vector's bytes with the probe behind; *ret_len without the probe. The caller frees. */
char *vector_build(const struct vector *vector, size_t *ret_len);

#endif
