/*
 * The text of opaque tokens (engine/token*.c), and finding one in a text that must not hold it
 * (audit/, api/). It knows no secret: whether a token is good only the store can tell.
 */
#include "base/opaque.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char prefix_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789";

/* As zlib and PNG have it; a few dozen bytes are not worth a table. */
static uint32_t
crc32(const char *text, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)text[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? UINT32_C(0xedb88320) : 0);
	}
	return (~crc);
}

static void
check_put(const char *text, size_t len, char ret_check[OPAQUE_CHECK_LEN])
{
	uint32_t crc = crc32(text, len);

	for (int i = OPAQUE_CHECK_LEN - 1; i >= 0; i--) {
		ret_check[i] = digits[crc % 62];
		crc /= 62;
	}
}

static bool
prefix_is_good(const char *prefix, size_t len)
{
	return (len >= 2 && len <= OPAQUE_PREFIX_MAX && prefix[0] >= 'a' && prefix[0] <= 'z' &&
		strspn(prefix, prefix_chars) >= len);
}

bool
opaque_prefix_is_good(const char *prefix)
{
	return (prefix_is_good(prefix, strlen(prefix)));
}

int
opaque_format(const char *prefix, int64_t row, const char *random, char ret_text[OPAQUE_SIZE])
{
	char number[OPAQUE_NUMBER_LEN + 1];
	size_t len = strlen(prefix) + 1 + OPAQUE_NUMBER_LEN + OPAQUE_RANDOM_LEN;

	if (!opaque_prefix_is_good(prefix) || row <= 0 || id_number_encode(row, number) != 0 ||
	    strlen(random) != OPAQUE_RANDOM_LEN || strspn(random, digits) != OPAQUE_RANDOM_LEN)
		return (LEASED_EINVAL);
	(void)snprintf(ret_text, OPAQUE_SIZE, "%s_%s%s", prefix, number, random);
	check_put(ret_text, len, ret_text + len);
	ret_text[len + OPAQUE_CHECK_LEN] = '\0';
	return (0);
}

bool
opaque_parse(const char *text, struct opaque *ret_opaque)
{
	struct opaque opaque = {.prefix_len = strspn(text, prefix_chars)};
	const char *body = text + opaque.prefix_len + 1;
	char check[OPAQUE_CHECK_LEN];
	size_t len = opaque.prefix_len + 1 + OPAQUE_NUMBER_LEN + OPAQUE_RANDOM_LEN;

	if (!prefix_is_good(text, opaque.prefix_len) || text[opaque.prefix_len] != '_' ||
	    strspn(body, digits) != OPAQUE_BODY_LEN || body[OPAQUE_BODY_LEN] != '\0')
		return (false);
	check_put(text, len, check);
	if (memcmp(check, text + len, OPAQUE_CHECK_LEN) != 0 ||
	    id_number_decode(body, &opaque.row) != 0 || opaque.row <= 0)
		return (false);
	opaque.random = body + OPAQUE_NUMBER_LEN;
	*ret_opaque = opaque;
	return (true);
}

bool
opaque_is_in(const char *text)
{
	const char *at = text;

	for (; (at = strchr(at, '_')) != NULL; at++)
		if (at - text >= 2 && strchr(prefix_chars, at[-1]) != NULL &&
		    strchr(prefix_chars, at[-2]) != NULL &&
		    strspn(at + 1, digits) >= OPAQUE_BODY_LEN)
			return (true);
	return (false);
}
