/*
 * The looks of a JWS in its compact form (RFC 7515, section 7.1). Nothing is decoded; audit/ and
 * api/ ask, of paths and of texts for people.
 */
#include "base/jws.h"

#include <string.h>

#define PART_LEN_MIN 8 /* shorter ones are names with dots in them */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool
jws_is_in(const char *text)
{
	const char *at = text;
	size_t head, body;

	/* '{"' in base64. A later one in the same run of digits is no more of a header. */
	for (; (at = strstr(at, "eyJ")) != NULL; at += head) {
		head = strspn(at, digits);
		if (head < PART_LEN_MIN || at[head] != '.')
			continue;
		body = strspn(at + head + 1, digits);
		if (body >= PART_LEN_MIN && at[head + 1 + body] == '.' &&
		    strspn(at + head + 1 + body + 1, digits) >= PART_LEN_MIN)
			return (true);
	}
	return (false);
}
