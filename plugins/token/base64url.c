/*
 * base64url without padding (RFC 7515, 2), both ways. Knows nothing of tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "token.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *
token_base64url(const void *bytes, size_t len, size_t *ret_len)
{
	const unsigned char *at = bytes;
	char *text = malloc((len + 2) / 3 * 4 + 1);
	unsigned held = 0, bits = 0;
	size_t used = 0;

	if (text == NULL)
		return (NULL);
	for (size_t i = 0; i < len; i++) {
		held = held << 8 | at[i];
		for (bits += 8; bits >= 6; bits -= 6)
			text[used++] = digits[held >> (bits - 6) & 63];
	}
	if (bits > 0)
		text[used++] = digits[held << (6 - bits) & 63];
	text[used] = '\0';
	if (ret_len != NULL)
		*ret_len = used;
	return (text);
}

/* -1: no digit. */
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

int
token_base64url_decode(const char *text, size_t len, unsigned char **ret_bytes, size_t *ret_len,
    struct leased_err *err)
{
	unsigned char *bytes = malloc(len / 4 * 3 + 3);
	unsigned held = 0, bits = 0;
	size_t used = 0;
	int value = 0;

	if (bytes == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < len && (value = value_of(text[i])) >= 0; i++) {
		held = held << 6 | (unsigned)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[used++] = (unsigned char)(held >> bits);
		}
	}
	/* A last digit that begins a byte, or has bits beyond the last one, has more spellings. */
	if (value < 0 || bits == 6 || (held & ((1u << bits) - 1)) != 0) {
		leased_wipe(bytes, used);
		free(bytes);
		return (leased_err_set(err, LEASED_EINVAL, "this is no base64url without padding"));
	}
	*ret_bytes = bytes;
	*ret_len = used;
	return (0);
}
