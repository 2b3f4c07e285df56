/*
 * base64 with padding (RFC 4648, 4), both ways, one spelling for each content.
 */
#include <stdlib.h>

#include <leased/secret.h>

#include "sshwire/bytes.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
sshwire_base64(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	char *text = malloc((len + 2) / 3 * 4 + 1);
	uint32_t held = 0;
	unsigned bits = 0;
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
	while (used % 4 != 0)
		text[used++] = '=';
	text[used] = '\0';
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
	return (c == '+' ? 62 : c == '/' ? 63 : -1);
}

int
sshwire_base64_decode(
    const char *text, size_t len, uint8_t **ret_bytes, size_t *ret_len, struct leased_err *err)
{
	uint8_t *bytes = malloc(len / 4 * 3 + 1);
	uint32_t held = 0;
	unsigned bits = 0;
	size_t used = 0, padding = 0;
	int value = 0;

	if (bytes == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (len % 4 == 0)
		while (padding < 2 && padding < len && text[len - padding - 1] == '=')
			padding++;
	for (size_t i = 0; len % 4 == 0 && i < len - padding; i++) {
		if ((value = value_of(text[i])) < 0)
			break;
		held = held << 6 | (uint32_t)value;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[used++] = (uint8_t)(held >> bits);
		}
	}
	/* Bits behind the last byte would be a second spelling. */
	if (len % 4 != 0 || value < 0 || bits != padding * 2 || (held & ((1u << bits) - 1)) != 0) {
		leased_wipe(bytes, used);
		free(bytes);
		return (leased_err_set(
		    err, LEASED_EINVAL, "this is no base64 with padding and without blanks"));
	}
	*ret_bytes = bytes;
	*ret_len = used;
	return (0);
}
