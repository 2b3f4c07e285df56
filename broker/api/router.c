/*
 * Finds the row of the table, or the mount, that a path belongs to. The path is the one string that
 * policy/ sees as well. Does not decide whether the caller may (authorize.c).
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "base/utf8.h"

static void
captures_clear(struct api_request *request)
{
	for (unsigned i = 0; i < API_CAPTURES; i++) {
		free(request->captures[i]);
		request->captures[i] = NULL;
	}
}

/* Does path match pattern? What ":x" and "*" stand for is put into captures. LEASED_ENOENT: it does
 * not. */
static int
pattern_match(const char *pattern, const char *path, struct api_request *request)
{
	unsigned captured = 0;
	size_t len, pattern_len;

	for (;;) {
		if (strcmp(pattern, "*") == 0) {
			if (*path == '\0')
				return (LEASED_ENOENT);
			request->captures[captured] = strdup(path);
			return (request->captures[captured] != NULL ? 0 : LEASED_ENOMEM);
		}
		len = strcspn(path, "/");
		pattern_len = strcspn(pattern, "/");
		if (pattern[0] == ':') {
			if (len == 0)
				return (LEASED_ENOENT);
			request->captures[captured] = strndup(path, len);
			if (request->captures[captured++] == NULL)
				return (LEASED_ENOMEM);
		} else if (len != pattern_len || strncmp(pattern, path, len) != 0) {
			return (LEASED_ENOENT);
		}
		if (pattern[pattern_len] == '\0' || path[len] == '\0')
			return (pattern[pattern_len] == path[len] ? 0 : LEASED_ENOENT);
		pattern += pattern_len + 1;
		path += len + 1;
	}
}

int
api_route_find(struct api_request *request, struct leased_err *err)
{
	bool path_known = false;
	int r;

	request->route = NULL;
	request->mount = NULL;
	for (size_t i = 0; i < api_route_count; i++) {
		const struct api_route *route = &api_routes[i];

		captures_clear(request);
		r = pattern_match(route->pattern, request->match, request);
		if (r == LEASED_ENOMEM)
			return (leased_err_set(err, r, "out of memory"));
		if (r != 0)
			continue;
		path_known = true;
		if ((route->operations & request->operation) == 0)
			continue;
		request->route = route;
		return (0);
	}
	captures_clear(request);
	if (path_known)
		return (leased_err_set(err, LEASED_EINVAL,
		    "unsupported operation: %s is not defined for \"%s\"",
		    http_method_name(request->http->method), UTF8_SHORT(request->match, 200)));
	request->mount =
	    engines_route(request->api->config.engines, request->path, &request->mount_rest);
	if (request->mount != NULL)
		return (0);
	return (leased_err_set(err, LEASED_ENOENT,
	    "no handler for route \"%s\". route entry not found.", UTF8_SHORT(request->path, 200)));
}
