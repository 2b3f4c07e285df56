/*
 * HTTP Basic, where a path takes it: OAuth's clients (RFC 6749, 2.3.1) know no other way to say who
 * they are. The password is a token of leased; the name is theirs to choose. Called by request.c.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/parse.h"

#define BASIC_MAX 1024 /* characters of base64 */

static int
digit64(char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return (at != NULL ? (int)(at - digits) : -1);
}

/* Strict: whole groups, and nothing behind the padding. ret_bytes has room for len bytes; they end
 * with a NUL and hold no other. */
static bool
base64_decode(const char *text, size_t len, char *ret_bytes)
{
	size_t pad = len > 1 && text[len - 1] == '=' ? 1 + (size_t)(text[len - 2] == '=') : 0;
	size_t used = 0, want = len / 4 * 3 - pad;
	uint32_t group = 0;
	int digit;

	if (len < 4 || len % 4 != 0)
		return (false);
	for (size_t i = 0; i < len; i++) {
		digit = i >= len - pad ? 0 : digit64(text[i]);
		if (digit < 0)
			return (false);
		group = group << 6 | (uint32_t)digit;
		for (int shift = 16; i % 4 == 3 && shift >= 0; shift -= 8)
			if (used < want)
				ret_bytes[used++] = (char)(group >> shift & 0xff);
	}
	ret_bytes[used] = '\0';
	return (strlen(ret_bytes) == used);
}

bool
api_basic_decode(const char *header, char **ret_token)
{
	size_t len = strlen(header);
	char *bytes = NULL, *colon;

	if (strncasecmp(header, "Basic ", 6) != 0)
		return (false);
	header += 6;
	len = strlen(header);
	if (len <= BASIC_MAX && (bytes = malloc(len + 1)) != NULL &&
	    base64_decode(header, len, bytes) && (colon = strchr(bytes, ':')) != NULL &&
	    colon[1] != '\0') {
		memmove(bytes, colon + 1, strlen(colon + 1) + 1);
		*ret_token = bytes;
		return (true);
	}
	free(bytes); /* wipes */
	/* It was meant to say who asks: it must not be taken for somebody who says nothing. */
	*ret_token = strdup("(nothing that HTTP Basic could carry)");
	return (true);
}

const char *
api_oauth_code(const char *text)
{
	static const char *const codes[] = {
	    "invalid_request", "invalid_scope", "unsupported_token_type"};
	size_t len;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		len = strlen(codes[i]);
		if (strncmp(text, codes[i], len) == 0 && text[len] == ':')
			return (codes[i]);
	}
	return (NULL);
}
