/*
 * From an HTTP request to what is asked for: path below /v1/, operation, the headers that have a
 * say; and later, when it is known that the caller may ask that, query or body as an object
 * (contract 1.1 to 1.3). Knows no endpoint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/parse.h"
#include "base/path.h"

#define PREFIX "/v1/"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define METRICS "sys/metrics"

/* Go's ParseBool, which clients write for. -1: none of its words. */
int
api_parse_bool(const char *text)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0)
			return (1);
		if (strcmp(text, no[i]) == 0)
			return (0);
	}
	return (-1);
}

static int
parse_operation(struct api_request *request, struct leased_err *err)
{
	char value[16];
	bool bad = false;
	int list;

	switch (request->http->method) {
	case HTTP_HEAD:
		request->head = true;
		request->operation = API_READ;
		return (0);
	case HTTP_GET:
		request->operation = API_READ;
		if (!path_query_get(request->http->query, "list", value, sizeof(value), &bad)) {
			if (!bad)
				return (0);
			value[0] = '\0';
		}
		if ((list = api_parse_bool(value)) < 0)
			return (leased_err_set(
			    err, LEASED_EINVAL, "the query parameter list must be true or false"));
		if (list == 1)
			request->operation = API_LIST;
		return (0);
	case HTTP_LIST:
		request->operation = API_LIST;
		return (0);
	case HTTP_POST:
	case HTTP_PUT:
		request->operation = API_WRITE;
		return (0);
	case HTTP_PATCH:
		request->operation = API_PATCH;
		return (0);
	case HTTP_DELETE:
		request->operation = API_DELETE;
		return (0);
	}
	return (leased_err_set(err, LEASED_EINVAL, "unsupported operation"));
}

/* A path outside of /v1/, where the listener has it. */
static bool
is_metrics(const struct api_request *request)
{
	return ((request->http->peer->marks & API_MARK_METRICS) != 0 &&
		strcmp(request->http->path, API_METRICS_PATH) == 0);
}

/* Relying parties look for the issuer's metadata below its own path (OpenID Connect Discovery), or
 * put the well-known part in front of that path (RFC 8414, 3). */
static const char *
path_elsewhere(const struct api_request *request)
{
	static const char discovery[] = "identity/oidc/.well-known/openid-configuration";
	static const char *const fronts[] = {"/.well-known/openid-configuration" PREFIX
					     "identity/oidc",
	    "/.well-known/oauth-authorization-server" PREFIX "identity/oidc"};

	if (is_metrics(request))
		return (METRICS);
	for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++)
		if (strcmp(request->http->path, fronts[i]) == 0)
			return (discovery);
	return (NULL);
}

/* A '/' at the end says nothing but "list": a list's path has it for the policies, and no other
 * path has it anywhere, or one spelling would pass where the other is denied. */
static int
parse_path(struct api_request *request, struct leased_err *err)
{
	const char *elsewhere = path_elsewhere(request);
	const char *path = elsewhere != NULL ? elsewhere : request->http->path + PREFIX_LEN;
	size_t len = strlen(path);
	bool slash = len > 0 && path[len - 1] == '/';
	bool list = request->operation == API_LIST;

	if (slash && (request->operation == API_WRITE || request->operation == API_PATCH))
		return (leased_err_set(err, LEASED_EINVAL, "cannot write to a path ending in '/'"));
	len -= slash;
	request->match = strndup(path, len);
	request->path = calloc(1, len + 2); /* the audit reads it, whatever fails */
	if (request->path == NULL || request->match == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)stpcpy(stpcpy(request->path, request->match), list ? "/" : "");
	return (0);
}

static int
parse_patch_type(const struct api_request *request, int *ret_status, struct leased_err *err)
{
	static const char merge_patch[] = "application/merge-patch+json";
	const char *type = http_request_header(request->http, "Content-Type");

	if (request->operation == API_PATCH &&
	    (type == NULL || strncasecmp(type, merge_patch, sizeof(merge_patch) - 1) != 0)) {
		*ret_status = 415;
		return (leased_err_set(
		    err, LEASED_EINVAL, "PATCH needs Content-Type: %s", merge_patch));
	}
	return (0);
}

static int
parse_headers(struct api_request *request, int *ret_status, struct leased_err *err)
{
	const char *space = http_request_header(request->http, "X-Vault-Namespace");
	const char *wrap = http_request_header(request->http, "X-Vault-Wrap-TTL");
	const char *bearer = http_request_header(request->http, "Authorization");
	int64_t wrap_s = 0;

	request->token = http_request_header(request->http, "X-Vault-Token");
	if (request->token != NULL && request->token[0] == '\0')
		request->token = NULL;
	if (request->token == NULL && bearer != NULL && strncmp(bearer, "Bearer ", 7) == 0)
		request->token = bearer + 7;
	if (space != NULL && space[0] != '\0' && strcmp(space, "root") != 0 &&
	    strcmp(space, "root/") != 0) {
		*ret_status = 404;
		return (leased_err_set(
		    err, LEASED_ENOENT, "namespace not found: this server has none but root"));
	}
	if (wrap == NULL || wrap[0] == '\0')
		return (0);
	if (jdec_duration_s(wrap, &wrap_s, err) != 0)
		return (leased_err_prefix(err, "X-Vault-Wrap-TTL"));
	if (wrap_s != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "response wrapping is not available in this version: ask again without "
		    "X-Vault-Wrap-TTL"));
	return (0);
}

/* Names of the query that have a say of their own are no data. */
static int
parse_query(struct api_request *request, struct leased_err *err)
{
	const char *query = request->http->query;

	if (query == NULL || query[0] == '\0')
		return (0);
	if (api_form_decode(query, strlen(query), true, &request->body, err) != 0)
		return (leased_err_prefix(err, "query"));
	(void)json_object_del(request->body, "list");
	(void)json_object_del(request->body, "help");
	if (json_object_size(request->body) == 0) {
		json_decref(request->body);
		request->body = NULL;
	}
	return (0);
}

static bool
is_form(const struct api_request *request, const char *body, size_t len)
{
	const char *type = http_request_header(request->http, "Content-Type");
	size_t i;

	if (type == NULL || strncasecmp(type, "application/x-www-form-urlencoded", 33) != 0)
		return (false);
	i = jdec_blanks(body, len);
	/* curl -d '{..}' calls its JSON a form, too. */
	return (i < len && body[i] != '{' && body[i] != '[');
}

static int
parse_body(struct api_request *request, int *ret_status, struct leased_err *err)
{
	const char *body = (const char *)request->http->body;
	size_t len = request->http->body_len;
	json_t *value = NULL;
	int r;

	if (body == NULL || jdec_blanks(body, len) == len)
		return (0);
	if (is_form(request, body, len)) {
		if ((r = api_form_decode(body, len, false, &request->body, err)) != 0)
			(void)leased_err_prefix(err, "form body");
		return (r);
	}
	if ((r = jdec_parse(body, len, NULL, &value, err)) != 0) {
		/* Too deep or too many is malformed here: 413 is for bytes. */
		*ret_status = r == LEASED_ETOOBIG ? 400 : 0;
		return (leased_err_prefix(err, "failed to parse JSON input"));
	}
	if (json_is_object(value)) {
		request->body = value;
		return (0);
	}
	r = json_is_null(value) ? 0
				: leased_err_set(err, LEASED_EINVAL,
				      "failed to parse JSON input: the body must be an object");
	json_decref(value);
	return (r);
}

int
api_parse_head(struct api_request *request, int *ret_status, struct leased_err *err)
{
	int r;

	*ret_status = 0;
	if (path_elsewhere(request) == NULL &&
	    (strncmp(request->http->path, PREFIX, PREFIX_LEN) != 0 ||
		request->http->path[PREFIX_LEN] == '\0')) {
		*ret_status = 404;
		err->text[0] = '\0';
		return (LEASED_ENOENT);
	}
	if ((r = parse_operation(request, err)) != 0 || (r = parse_path(request, err)) != 0)
		return (r);
	if ((r = parse_headers(request, ret_status, err)) != 0)
		return (r);
	return (parse_patch_type(request, ret_status, err));
}

int
api_parse_input(struct api_request *request, int *ret_status, struct leased_err *err)
{
	*ret_status = 0;
	if (request->identity == NULL && request->http->body_len > API_OPEN_BODY_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "the body is larger than the %u KiB that this path takes from callers "
		    "who have not said who they are",
		    API_OPEN_BODY_MAX / 1024));
	switch (request->operation) {
	case API_READ:
	case API_LIST:
	case API_DELETE:
		return (parse_query(request, err));
	case API_WRITE:
	case API_PATCH:
		return (parse_body(request, ret_status, err));
	}
	return (0);
}
