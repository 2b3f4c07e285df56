/*
 * Inside of store/: records are written as JSON arrays, straight into wiped memory. (jansson's own
 * writer costs more than sealing and storing the row together.)
 */
#ifndef STORE_JSON_H
#define STORE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

/* Zero-initialise; what fails is remembered, and told by store_json_end(). */
struct store_json {
	uint8_t *bytes; /* owned, wiped */
	size_t len, size;
	int failed; /* a leased_code */
};

/* The next element. NULL text is "". A text that is not UTF-8 fails with LEASED_EINVAL. */
void store_json_int(struct store_json *json, int64_t number);
void store_json_text(struct store_json *json, const char *text);
void store_json_bool(struct store_json *json, bool value);
void store_json_value(struct store_json *json, const json_t *value); /* NULL is an empty object */

/* Closes the array: bytes and len are the record then. */
int store_json_end(struct store_json *json, struct leased_err *err) LEASED_MUST_CHECK;
void store_json_clear(struct store_json *json);

/* Bytes as they are, for checksums. */
void store_json_bytes(struct store_json *json, const void *bytes, size_t len);

#endif
