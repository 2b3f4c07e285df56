/*
 * Reads the claims out of a JWT (RFC 7519, compact). Its caller compares the token's hash with what
 * the lease kept: so nothing here has to be right for safety, it only must not break.
 */
#include "engine/jwt_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "base/digest.h"
#include "base/jdec.h"

/* -1: no digit of base64url. */
static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	return (c == '-' ? 62 : c == '_' ? 63 : -1);
}

/* Up to the next dot or the end; the number of digits, 0 for what is no part. */
static size_t
part_len(const char *text)
{
	size_t len = 0;

	while (value_of(text[len]) >= 0)
		len++;
	return ((text[len] == '.' || text[len] == '\0') && len % 4 != 1 ? len : 0);
}

static char *
decode(const char *text, size_t len, size_t *ret_len)
{
	char *bytes = malloc(len / 4 * 3 + 3);
	unsigned held = 0, bits = 0;
	size_t used = 0;

	for (size_t i = 0; bytes != NULL && i < len; i++) {
		held = held << 6 | (unsigned)value_of(text[i]);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[used++] = (char)(held >> bits & 0xff);
		}
	}
	*ret_len = used;
	return (bytes);
}

int
engine_jwt_read(const char *token, json_t **ret_claims, struct leased_err *err)
{
	size_t head_len = part_len(token), body_len, tail_len, len = 0;
	const char *body, *tail;
	json_t *claims = NULL;
	char *bytes;
	int r;

	if (strnlen(token, JWT_TEXT_MAX + 1) > JWT_TEXT_MAX || head_len == 0 ||
	    token[head_len] != '.')
		return (leased_err_set(err, LEASED_EINVAL, "this is no JWT"));
	body = token + head_len + 1;
	body_len = part_len(body);
	if (body_len == 0 || body[body_len] != '.')
		return (leased_err_set(err, LEASED_EINVAL, "this is no JWT"));
	tail = body + body_len + 1;
	tail_len = part_len(tail);
	if (tail_len == 0 || tail[tail_len] != '\0')
		return (leased_err_set(err, LEASED_EINVAL, "this is no JWT"));
	if ((bytes = decode(body, body_len, &len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = jdec_parse(bytes, len, NULL, &claims, err);
	leased_wipe(bytes, len);
	free(bytes);
	if (r == 0 && !json_is_object(claims)) {
		json_decref(claims);
		r = leased_err_set(err, LEASED_EINVAL, "the claims of this JWT are no object");
	}
	if (r != 0)
		return (r == LEASED_ETOOBIG ? leased_err_set(err, LEASED_EINVAL,
						  "the claims of this JWT are too large")
					    : r);
	*ret_claims = claims;
	return (0);
}

int
engine_jwt_hash(const char *token, char ret_hash[JWT_HASH_SIZE], struct leased_err *err)
{
	uint8_t hash[DIGEST_SHA256_LEN];

	_Static_assert(JWT_HASH_SIZE == DIGEST_SHA256_HEX_SIZE, "a hash as text");
	if (digest_sha256(token, strlen(token), hash) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	digest_hex(hash, ret_hash);
	return (0);
}
