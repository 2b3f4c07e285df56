/*
 * Writes JSON, in one pass and into memory that is wiped: a json_t as it is, or a record, which is
 * an array put together element by element. (jansson's own writer costs more than sealing and
 * storing a row together, and wants to write twice to learn the length.)
 */
#ifndef BASE_JENC_H
#define BASE_JENC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

/* Zero-initialise; what fails is remembered, and told by jenc_end(). */
struct jenc {
	uint8_t *bytes; /* owned, wiped */
	size_t len, size;
	int failed; /* a leased_code */
};

/* The next element. NULL text is "". A text that is not UTF-8 fails with LEASED_EINVAL. */
void jenc_int(struct jenc *json, int64_t number);
void jenc_text(struct jenc *json, const char *text);
void jenc_bool(struct jenc *json, bool value);
void jenc_value(struct jenc *json, const json_t *value); /* NULL is an empty object */

/* Closes the array: bytes and len are the record then. */
int jenc_end(struct jenc *json, struct leased_err *err) LEASED_MUST_CHECK;
void jenc_clear(struct jenc *json);

/* A value alone, without an array around it; jenc_check() tells whether it went well. */
void jenc_json(struct jenc *json, const json_t *value);
int jenc_check(const struct jenc *json, struct leased_err *err) LEASED_MUST_CHECK;

/* Bytes as they are. */
void jenc_bytes(struct jenc *json, const void *bytes, size_t len);

#endif
