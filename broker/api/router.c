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

static int
capture(struct api_request *request, unsigned at, const char *text, size_t len)
{
	request->captures[at] = strndup(text, len);
	return (request->captures[at] != NULL ? 0 : LEASED_ENOMEM);
}

/*
 * Does path match pattern? What ":x" and "*" stand for is put into captures. LEASED_ENOENT: it does
 * not. Most rows differ within a few bytes: each request asks them all, so those are compared
 * first.
 */
static int
pattern_match(const char *pattern, const char *path, struct api_request *request)
{
	unsigned captured = 0;
	size_t len;
	int r;

	for (bool starts = true;; starts = *pattern == '/', pattern++, path++) {
		if (starts && strcmp(pattern, "*") == 0)
			return (*path == '\0' ? LEASED_ENOENT
					      : capture(request, captured, path, strlen(path)));
		if (starts && *pattern == ':') {
			if ((len = strcspn(path, "/")) == 0)
				return (LEASED_ENOENT);
			if ((r = capture(request, captured++, path, len)) != 0)
				return (r);
			path += len;
			pattern += strcspn(pattern, "/");
		}
		if (*pattern != *path)
			return (LEASED_ENOENT);
		if (*pattern == '\0')
			return (0);
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
