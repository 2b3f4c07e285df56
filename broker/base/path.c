/*
 * Request paths and queries: decoded once, refused when not canonical. It knows no route and no
 * policy; both are given the one string that comes out of here. Called by the HTTP edge, the router
 * and lease/.
 */
#include <stdint.h>
#include <string.h>

#include "base/path.h"
#include "base/utf8.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* The byte of the escape at raw ("%2f"), or -1. */
static int
unescape(const char *raw, size_t len)
{
	int high, low;

	if (len < 3 || (high = hex_value(raw[1])) < 0 || (low = hex_value(raw[2])) < 0)
		return (-1);
	return (high * 16 + low);
}

/* Decodes escapes into ret_path; *ret_len is the length without the NUL. */
static int
decode_escapes(const char *raw, size_t len, char *ret_path, size_t size, size_t *ret_len,
    struct leased_err *err)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		int byte = (unsigned char)raw[i];

		/* Space and non-ASCII must come escaped; '#' starts what a client never sends. */
		if (byte <= 0x20 || byte >= 0x7f || byte == '#')
			return (leased_err_set(err, LEASED_EINVAL,
			    "the path holds a byte that must be percent-encoded"));
		if (byte == '%') {
			if ((byte = unescape(raw + i, len - i)) < 0)
				return (leased_err_set(
				    err, LEASED_EINVAL, "the path holds a broken percent escape"));
			i += 2;
		}
		if (out + 1 >= size)
			return (leased_err_set(err, LEASED_EINVAL, "the path is too long"));
		ret_path[out++] = (char)byte;
	}
	ret_path[out] = '\0';
	*ret_len = out;
	return (0);
}

static int
check_characters(const char *path, size_t len, struct leased_err *err)
{
	while (len > 0) {
		uint32_t rune;
		size_t n = utf8_decode(path, len, &rune);

		if (n == 0)
			return (leased_err_set(err, LEASED_EINVAL, "the path is not valid UTF-8"));
		if (!utf8_is_printable(rune))
			return (leased_err_set(err, LEASED_EINVAL,
			    "the path holds a character that cannot be printed"));
		path += n;
		len -= n;
	}
	return (0);
}

static int
check_elements(const char *path, struct leased_err *err)
{
	while (*path != '\0') {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return (leased_err_set(err, LEASED_EINVAL, "relative paths not supported"));
		path += len;
	}
	return (0);
}

/* Makes one slash of several, in place; was there anything to do? */
static bool
collapse_slashes(char *path)
{
	char *out = path;
	bool changed = false;

	for (const char *in = path; *in != '\0'; in++) {
		if (in[0] == '/' && in[1] == '/')
			changed = true;
		else
			*out++ = *in;
	}
	*out = '\0';
	return (changed);
}

int
path_decode(const char *raw, size_t len, char *ret_path, size_t size, struct leased_err *err)
{
	size_t decoded_len = 0;
	int r;

	if (len == 0 || raw[0] != '/')
		return (leased_err_set(err, LEASED_EINVAL, "the path does not start with '/'"));
	if ((r = decode_escapes(raw, len, ret_path, size, &decoded_len, err)) != 0 ||
	    (r = check_characters(ret_path, decoded_len, err)) != 0 ||
	    (r = check_elements(ret_path, err)) != 0)
		return (r);
	if (collapse_slashes(ret_path))
		return (leased_err_set(err, LEASED_EEXIST, "the path repeats a slash"));
	return (0);
}

bool
path_has_prefix(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	if (len > 0 && prefix[len - 1] == '/')
		len--;
	/* The prefix of no elements is a prefix of everything. */
	return (len == 0 ||
		(strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/')));
}

static bool
is_word(char c)
{
	return (
	    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_');
}

bool
path_is_name(const char *text, size_t len)
{
	if (len == 0 || len > 255 || !is_word(text[0]) || !is_word(text[len - 1]))
		return (false);
	for (size_t i = 0; i < len; i++)
		if (!is_word(text[i]) && text[i] != '-' && text[i] != '.')
			return (false);
	return (true);
}

/* One side of a query's "name=value" into ret_text. LEASED_EINVAL without a text: the caller has
 * its own. */
static int
decode_query_part(const char *raw, size_t len, char *ret_text, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		int byte = raw[i] == '+' ? ' ' : (unsigned char)raw[i];

		if (byte == '%') {
			if ((byte = unescape(raw + i, len - i)) < 0)
				return (LEASED_EINVAL);
			i += 2;
		}
		if (byte < 0x20 || byte == 0x7f || out + 1 >= size)
			return (LEASED_EINVAL);
		ret_text[out++] = (char)byte;
	}
	ret_text[out] = '\0';
	return (utf8_is_valid(ret_text, out) ? 0 : LEASED_EINVAL);
}

bool
path_query_get(const char *query, const char *name, char *ret_value, size_t size, bool *ret_bad)
{
	char key[256];

	*ret_bad = false;
	while (*query != '\0') {
		size_t len = strcspn(query, "&"), key_len = strcspn(query, "=&");
		bool fits = key_len < sizeof(key);

		/* A key too long for us is none that we know. */
		if (fits && decode_query_part(query, key_len, key, sizeof(key)) != 0) {
			*ret_bad = true;
			return (false);
		}
		if (fits && strcmp(key, name) == 0) {
			const char *value = query + key_len + (key_len < len ? 1 : 0);

			*ret_bad = decode_query_part(
				       value, (size_t)(query + len - value), ret_value, size) != 0;
			return (!*ret_bad);
		}
		query += len + (query[len] == '&' ? 1 : 0);
	}
	return (false);
}
