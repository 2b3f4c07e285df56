/*
 * From a request as a person wrote it to the request as it is sent: path, query, headers, body,
 * each filled in its own way. Sends nothing. Called by exchange.c.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define HEADER_COUNT_MAX (sizeof(((struct http_rendered *)0)->headers) / sizeof(char *) - 1)

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- path and query ---- */

/* What a server, or something on the way to it, would take for a step to another path. */
static bool
is_step(const char *element)
{
	return (strcmp(element, ".") == 0 || strcmp(element, "..") == 0);
}

static int
put_path(
    FILE *out, const char *path, const json_t *values, const char *where, struct leased_err *err)
{
	json_t *element;
	char *filled;
	size_t len;
	int r;

	while (*path == '/') {
		len = strcspn(++path, "/");
		if ((element = json_stringn(path, len)) == NULL)
			return (no_memory(err));
		r = http_template_fill(element, HTTP_PATH, values, where, &filled, err);
		json_decref(element);
		if (r != 0)
			return (r);
		if (is_step(filled))
			r = leased_err_set(err, LEASED_EINVAL,
			    "%s: would hold an element \"%s\", which leads to another path", where,
			    filled);
		else
			(void)fprintf(out, "/%s", filled);
		free(filled);
		if (r != 0)
			return (r);
		path += len;
	}
	return (0);
}

/* name=value&name=value; names are escaped, too. */
static int
put_pairs(FILE *out, const json_t *pairs, const char *before, enum http_place place,
    const json_t *values, const char *where, struct leased_err *err)
{
	const char *name;
	char spot[160], *filled;
	json_t *value;
	int r;

	json_object_foreach((json_t *)(uintptr_t)pairs, name, value)
	{
		(void)snprintf(spot, sizeof(spot), "%s.%.64s", where, name);
		if ((r = http_template_fill(value, place, values, spot, &filled, err)) != 0)
			return (r);
		(void)fputs(before, out);
		r = http_escape(out, place, name, err);
		(void)fprintf(out, "=%s", filled);
		free(filled);
		if (r != 0)
			return (r);
		before = "&";
	}
	return (0);
}

static int
render_target(const json_t *request, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	size_t size = 0;
	FILE *out = open_memstream(&rendered->target, &size);
	char place[96];
	int r;

	if (out == NULL)
		return (no_memory(err));
	(void)snprintf(place, sizeof(place), "%s.path", where);
	r = put_path(out, json_string_value(json_object_get(request, "path")), values, place, err);
	(void)snprintf(place, sizeof(place), "%s.query", where);
	if (r == 0)
		r = put_pairs(
		    out, json_object_get(request, "query"), "?", HTTP_QUERY, values, place, err);
	if (fclose(out) != 0 && r == 0)
		r = no_memory(err);
	return (r);
}

/* ---- headers ---- */

/* Takes value. */
static int
add_header(struct http_rendered *rendered, const char *name, char *value, struct leased_err *err)
{
	char *line;

	if (rendered->header_count == HEADER_COUNT_MAX) {
		free(value);
		return (leased_err_set(err, LEASED_EINVAL, "too many headers"));
	}
	/* libcurl sends a header without value when it ends in a semicolon. */
	if (asprintf(&line, value[0] != '\0' ? "%s: %s" : "%s;%s", name, value) < 0)
		line = NULL;
	free(value);
	if (line == NULL)
		return (no_memory(err));
	rendered->headers[rendered->header_count++] = line;
	return (0);
}

static int
render_headers(const json_t *headers, const json_t *over, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	char place[160], *filled;
	const char *name;
	json_t *value;
	int r;

	json_object_foreach((json_t *)(uintptr_t)headers, name, value)
	{
		if (json_object_get(over, name) != NULL)
			continue;
		(void)snprintf(place, sizeof(place), "%s.%.64s", where, name);
		if ((r = http_template_fill(value, HTTP_HEADER, values, place, &filled, err)) !=
			0 ||
		    (r = add_header(rendered, name, filled, err)) != 0)
			return (r);
	}
	return (0);
}

static int
render_login(const json_t *login, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	int r;

	if (login == NULL)
		return (0);
	if ((r = http_template_fill(json_object_get(login, "username"), HTTP_LOGIN_NAME, values,
		 where, &rendered->username, err)) != 0)
		return (r);
	return (http_template_fill(json_object_get(login, "password"), HTTP_LOGIN_WORD, values,
	    where, &rendered->password, err));
}

/* What all requests carry, but for the login itself and what is sent as an account. */
static int
render_common(const struct http_config *config, enum http_kind kind, const json_t *request,
    const json_t *values, const char *where, struct http_rendered *rendered, struct leased_err *err)
{
	const json_t *own = json_object_get(request, "headers");
	const json_t *login = json_object_get(request, "basic_auth");
	bool as_connection = kind != HTTP_LOGIN && kind != HTTP_CHECK;
	char place[96];
	int r = 0;

	(void)snprintf(place, sizeof(place), "%s.headers", where);
	if (as_connection)
		r = render_headers(json_object_get(config->document, "headers"), own, values,
		    "headers", rendered, err);
	if (r == 0)
		r = render_headers(own, NULL, values, place, rendered, err);
	if (login == NULL && as_connection)
		login = json_object_get(config->document, "basic_auth");
	if (r == 0)
		r = render_login(login, values, "basic_auth", rendered, err);
	return (r);
}

/* ---- body ---- */

static int
body_type(struct http_rendered *rendered, const char *type, struct leased_err *err)
{
	char *copy = strdup(type);

	return (copy == NULL ? no_memory(err) : add_header(rendered, "Content-Type", copy, err));
}

static int
render_json(const json_t *json, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	json_t *filled = NULL;
	size_t size = 0;
	FILE *out;
	int r;

	if ((r = http_template_fill_json(json, values, where, &filled, err)) != 0)
		return (r);
	if ((out = open_memstream(&rendered->body, &size)) == NULL)
		r = no_memory(err);
	else {
		if (json_dumpf(filled, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
			r = no_memory(err);
		if (fclose(out) != 0 && r == 0)
			r = no_memory(err);
	}
	json_decref(filled);
	return (r != 0 ? r : body_type(rendered, "application/json", err));
}

static int
render_form(const json_t *form, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	size_t size = 0;
	FILE *out = open_memstream(&rendered->body, &size);
	int r;

	if (out == NULL)
		return (no_memory(err));
	r = put_pairs(out, form, "", HTTP_FORM, values, where, err);
	if (fclose(out) != 0 && r == 0)
		r = no_memory(err);
	return (r != 0 ? r : body_type(rendered, "application/x-www-form-urlencoded", err));
}

static int
render_body(const json_t *request, const json_t *values, const char *where,
    struct http_rendered *rendered, struct leased_err *err)
{
	const json_t *json = json_object_get(request, "json"),
		     *form = json_object_get(request, "form"),
		     *text = json_object_get(request, "text");
	const char *type = json_string_value(json_object_get(request, "content_type"));
	char place[96];
	int r;

	(void)snprintf(place, sizeof(place), "%s.%s", where,
	    json != NULL   ? "json"
	    : form != NULL ? "form"
			   : "text");
	if (json != NULL)
		return (render_json(json, values, place, rendered, err));
	if (form != NULL)
		return (render_form(form, values, place, rendered, err));
	if (text == NULL)
		return (0);
	r = http_template_fill(text, HTTP_PLAIN, values, place, &rendered->body, err);
	if (r != 0)
		return (r);
	return (body_type(rendered, type != NULL ? type : "text/plain; charset=utf-8", err));
}

/* ---- all of it ---- */

int
http_render(const struct http_config *config, enum http_kind kind, const json_t *request,
    const json_t *values, const char *where, struct http_rendered *ret_rendered,
    struct leased_err *err)
{
	const char *method = json_string_value(json_object_get(request, "method"));
	struct http_rendered *to = ret_rendered;
	int r;

	memset(to, 0, sizeof(*to));
	if ((r = render_target(request, values, where, to, err)) != 0 ||
	    (r = render_common(config, kind, request, values, where, to, err)) != 0 ||
	    (r = render_body(request, values, where, to, err)) != 0) {
		http_rendered_clear(to);
		return (r);
	}
	to->request.method = method != NULL ? method : to->body != NULL ? "POST" : "GET";
	to->request.target = to->target;
	to->request.headers = (const char *const *)to->headers;
	to->request.username = to->username;
	to->request.password = to->password;
	to->request.body = to->body;
	to->request.body_len = to->body != NULL ? strlen(to->body) : 0;
	to->request.changes = http_kind_changes(kind);
	return (0);
}

void
http_rendered_clear(struct http_rendered *rendered)
{
	for (size_t i = 0; i < rendered->header_count; i++)
		free(rendered->headers[i]); /* wiped, as whatever is freed */
	free(rendered->target);
	free(rendered->username);
	free(rendered->password);
	free(rendered->body);
	memset(rendered, 0, sizeof(*rendered));
}
