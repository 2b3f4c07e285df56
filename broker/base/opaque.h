/*
 * The text of an opaque token: "<prefix>_", the number of its lease's row, random characters and a
 * checksum over all before it, so that whoever scans for secrets knows one when he sees it. As a
 * regular expression: [a-z][a-z0-9]{1,15}_[0-9A-Za-z]{38}
 */
#ifndef BASE_OPAQUE_H
#define BASE_OPAQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#define OPAQUE_PREFIX_MAX 16
#define OPAQUE_NUMBER_LEN 8
#define OPAQUE_RANDOM_LEN 24 /* of base62: 142 bits */
#define OPAQUE_CHECK_LEN 6   /* CRC-32 in base62 */
#define OPAQUE_BODY_LEN (OPAQUE_NUMBER_LEN + OPAQUE_RANDOM_LEN + OPAQUE_CHECK_LEN)
#define OPAQUE_SIZE (OPAQUE_PREFIX_MAX + 1 + OPAQUE_BODY_LEN + 1)

struct opaque { /* borrowed from the text */
	size_t prefix_len;
	int64_t row;
	const char *random;
};

/* A letter and 1 to 15 letters or digits, all small. */
bool opaque_prefix_is_good(const char *prefix);
/* random: OPAQUE_RANDOM_LEN characters of base62. LEASED_EINVAL for what no text could hold. */
int opaque_format(const char *prefix, int64_t row, const char *random,
    char ret_text[OPAQUE_SIZE]) LEASED_MUST_CHECK;
/* False for all that opaque_format() cannot have made. */
bool opaque_parse(const char *text, struct opaque *ret_opaque);
/* Is there something in text that looks like one, whatever its checksum? */
bool opaque_is_in(const char *text);

#endif
