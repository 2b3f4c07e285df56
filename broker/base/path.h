/*
 * Request paths: decoded once, refused when not canonical (contract 0.13), matched by prefix on '/'
 * boundaries. Router and policy see the one string that comes out.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

/*
 * Percent-decodes raw (len bytes, as on the request line, without the query) into ret_path (size
 * bytes, NUL-terminated). 0: canonical as it stands. LEASED_EEXIST: fine but for repeated slashes;
 * ret_path holds the collapsed path, for a redirect. LEASED_EINVAL: a broken escape, '.' or '..' as
 * an element (raw or encoded), a control byte or NUL, invalid UTF-8, raw non-ASCII, no leading '/',
 * too long. An encoded slash decodes to '/', then the same rules hold.
 */
int path_decode(const char *raw, size_t len, char *ret_path, size_t size,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Does path equal prefix, or continue it after a '/'? A trailing '/' of prefix is ignored. */
bool path_has_prefix(const char *path, const char *prefix);

/* A name parameter: \w(([\w-.]+)?\w)?, at most 255 bytes (contract 1.1). */
bool path_is_name(const char *text, size_t len);

/* The query parameter name of raw query text, decoded, into ret_value; false when absent.
 * LEASED_EINVAL by *ret_bad. First occurrence counts. */
bool path_query_get(
    const char *query, const char *name, char *ret_value, size_t size, bool *ret_bad);

#endif
