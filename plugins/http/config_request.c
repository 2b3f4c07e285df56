/*
 * One request as a person wrote it: which keys it may have, and that every template in it can be
 * filled safely where it stands. Called by config.c.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 16

int
http_config_check_keys(
    const json_t *object, const char *const *known, const char *where, struct leased_err *err)
{
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(object))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be an object", where));
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		for (i = 0; known[i] != NULL && strcmp(known[i], key) != 0; i++)
			;
		if (known[i] == NULL)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: \"%.40s\" is not known here", where, key));
	}
	return (0);
}

/* What libcurl or the connection decides is not written by hand. */
static int
check_header_name(const char *name, const char *where, struct leased_err *err)
{
	static const char *const ours[] = {"Host", "Content-Length", "Transfer-Encoding",
	    "Connection", "Expect", "Upgrade", "TE", "Trailer"};
	const char *token = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	if (name[0] == '\0' || strlen(name) > 64 || strspn(name, token) != strlen(name))
		return (leased_err_set(err, LEASED_EINVAL, "%s: is no name of a header", where));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(ours[i], name) == 0)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: this header is set by leased itself", where));
	return (0);
}

/* Headers are shown to whoever may read the configuration. */
static int
check_no_secret(const char *name, const json_t *value, const char *where, struct leased_err *err)
{
	static const char *const words[] = {
	    "authorization", "cookie", "token", "secret", "password", "api-key", "apikey"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasestr(name, words[i]) != NULL && json_string_length(value) > 0 &&
		    strstr(json_string_value(value), "{{") == NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: write the secret into the connection's token, which is kept "
			    "sealed, and {{connection.token}} here",
			    where));
	return (0);
}

int
http_config_check_headers(
    const json_t *headers, unsigned known, const char *where, struct leased_err *err)
{
	char place[160];
	const char *name;
	json_t *value;
	int r;

	if (!json_is_object(headers) || json_object_size(headers) > HEADERS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be an object of at most %d headers", where, HEADERS_MAX));
	json_object_foreach((json_t *)(uintptr_t)headers, name, value)
	{
		(void)snprintf(place, sizeof(place), "%s.%.64s", where, name);
		if ((r = check_header_name(name, place, err)) != 0 ||
		    (r = http_template_check(value, HTTP_HEADER, known, place, err)) != 0 ||
		    (r = check_no_secret(name, value, place, err)) != 0)
			return (r);
	}
	return (0);
}

int
http_config_check_login(
    const json_t *basic_auth, unsigned known, const char *where, struct leased_err *err)
{
	static const char *const keys[] = {"username", "password", NULL};
	const json_t *password = json_object_get(basic_auth, "password");
	char place[96];
	int r;

	if ((r = http_config_check_keys(basic_auth, keys, where, err)) != 0)
		return (r);
	(void)snprintf(place, sizeof(place), "%s.username", where);
	if ((r = http_template_check(
		 json_object_get(basic_auth, "username"), HTTP_LOGIN_NAME, known, place, err)) != 0)
		return (r);
	(void)snprintf(place, sizeof(place), "%s.password", where);
	if ((r = http_template_check(password, HTTP_LOGIN_WORD, known, place, err)) != 0)
		return (r);
	if (strstr(json_string_value(password), "{{") == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: write the secret into the connection's password, which is kept sealed, "
		    "and {{connection.password}} here",
		    place));
	return (0);
}

static int
check_method_and_path(
    const json_t *request, unsigned known, const char *where, struct leased_err *err)
{
	static const char *const methods[] = {
	    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", NULL};
	const json_t *method = json_object_get(request, "method");
	const json_t *path = json_object_get(request, "path");
	const char *text = json_string_value(method);
	char place[96];
	size_t i;

	for (i = 0; text != NULL && methods[i] != NULL && strcmp(methods[i], text) != 0; i++)
		;
	if (method != NULL && (text == NULL || methods[i] == NULL))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s.method: must be GET, POST, PUT, PATCH, DELETE or HEAD", where));
	if (json_string_length(path) == 0 || json_string_value(path)[0] != '/')
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s.path: must be a path that begins with /; it follows base_url", where));
	(void)snprintf(place, sizeof(place), "%s.path", where);
	return (http_template_check(path, HTTP_PATH, known, place, err));
}

/* query and form: names are fixed, values are templates. */
static int
check_pairs(const json_t *request, const char *key, enum http_place place, unsigned known,
    const char *where, struct leased_err *err)
{
	const json_t *pairs = json_object_get(request, key);
	const char *name;
	char spot[160];
	json_t *value;
	int r;

	if (pairs == NULL)
		return (0);
	if (!json_is_object(pairs))
		return (leased_err_set(err, LEASED_EINVAL, "%s.%s: must be an object", where, key));
	json_object_foreach((json_t *)(uintptr_t)pairs, name, value)
	{
		(void)snprintf(spot, sizeof(spot), "%s.%s.%.64s", where, key, name);
		if (name[0] == '\0' || strstr(name, "{{") != NULL)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: slots go into values, not into names", spot));
		if ((r = http_template_check(value, place, known, spot, err)) != 0)
			return (r);
	}
	return (0);
}

static int
check_body(const json_t *request, unsigned known, const char *where, struct leased_err *err)
{
	const json_t *json = json_object_get(request, "json");
	const json_t *text = json_object_get(request, "text");
	int bodies = (json != NULL) + (text != NULL) + (json_object_get(request, "form") != NULL);
	char place[96];
	int r = 0;

	if (bodies > 1)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s: give one of json, form and text", where));
	if (json_object_get(request, "content_type") != NULL && text == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s.content_type: goes with text only", where));
	if (json != NULL) {
		(void)snprintf(place, sizeof(place), "%s.json", where);
		r = http_template_check_json(json, known, place, err);
	}
	if (r == 0 && text != NULL) {
		(void)snprintf(place, sizeof(place), "%s.text", where);
		r = http_template_check(text, HTTP_PLAIN, known, place, err);
	}
	if (r == 0 && (text = json_object_get(request, "content_type")) != NULL) {
		(void)snprintf(place, sizeof(place), "%s.content_type", where);
		r = http_template_check(text, HTTP_HEADER, 0, place, err);
	}
	return (r);
}

/* Which values a kind of request may find in its answer; NULL first: none; "*": any. */
static const char *const value_names[HTTP_KIND_COUNT][4] = {
    [HTTP_LOGIN] = {"*", NULL},
    [HTTP_IDENTITY] = {"server", "incarnation", NULL},
    [HTTP_CREATE] = {"*", NULL},
    [HTTP_LOOKUP] = {"handle", NULL},
    [HTTP_INVENTORY] = {"name", "handle", NULL},
};

static int
check_values(const json_t *request, enum http_kind kind, const char *where, struct leased_err *err)
{
	const json_t *values = json_object_get(request, "values");
	const char *const *names = value_names[kind];
	const char *key;
	char place[96];
	json_t *pointer;
	int r = 0;

	if (values == NULL)
		return (0);
	(void)snprintf(place, sizeof(place), "%s.values", where);
	if (!json_is_object(values) || json_object_size(values) > 16)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be an object of at most 16 pointers into the answer", place));
	if (names[0] == NULL || strcmp(names[0], "*") != 0)
		r = http_config_check_keys(values, names, place, err);
	json_object_foreach((json_t *)(uintptr_t)values, key, pointer)
	{
		if (r != 0)
			return (r);
		if (!json_is_string(pointer) || strpbrk(key, ".{}| ") != NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s.%.40s: must be a JSON pointer, under a simple name", place, key));
		r = http_pointer_check(json_string_value(pointer), place, err);
	}
	return (r);
}

static int
check_for_each(
    const json_t *request, enum http_kind kind, const char *where, struct leased_err *err)
{
	const json_t *list = json_object_get(request, "for_each");
	const char *text = json_string_value(list);
	bool uses_item = http_template_uses(request, "item");

	if (list == NULL && uses_item)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{item}} needs for_each, such as \"role.grants\"", where));
	if (list == NULL)
		return (0);
	if (!http_kind_changes(kind) || text == NULL || strncmp(text, "role.", 5) != 0 ||
	    text[5] == '\0' || strchr(text + 5, '.') != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s.for_each: must be \"role.x\", x being a list in the role's settings; in "
		    "create, renew, revoke and remove",
		    where));
	return (0);
}

int
http_config_check_request(
    const json_t *request, enum http_kind kind, const char *where, struct leased_err *err)
{
	static const char *const keys[] = {"method", "path", "query", "headers", "basic_auth",
	    "json", "form", "text", "content_type", "for_each", "answers", "error_text", "values",
	    "items", NULL};
	unsigned known = http_kind_knows(kind);
	const json_t *value;
	char place[96];
	int r;

	if ((r = http_config_check_keys(request, keys, where, err)) != 0 ||
	    (r = check_method_and_path(request, known, where, err)) != 0 ||
	    (r = check_pairs(request, "query", HTTP_QUERY, known, where, err)) != 0 ||
	    (r = check_pairs(request, "form", HTTP_FORM, known, where, err)) != 0 ||
	    (r = check_body(request, known, where, err)) != 0 ||
	    (r = check_values(request, kind, where, err)) != 0 ||
	    (r = check_for_each(request, kind, where, err)) != 0)
		return (r);
	(void)snprintf(place, sizeof(place), "%s.headers", where);
	if ((value = json_object_get(request, "headers")) != NULL &&
	    (r = http_config_check_headers(value, known, place, err)) != 0)
		return (r);
	(void)snprintf(place, sizeof(place), "%s.basic_auth", where);
	if ((value = json_object_get(request, "basic_auth")) != NULL &&
	    (r = http_config_check_login(value, known, place, err)) != 0)
		return (r);
	(void)snprintf(place, sizeof(place), "%s.answers", where);
	if ((value = json_object_get(request, "answers")) != NULL &&
	    (r = http_answers_check(value, place, err)) != 0)
		return (r);
	for (unsigned i = 0; i < 2; i++) {
		const char *key = i == 0 ? "error_text" : "items";

		(void)snprintf(place, sizeof(place), "%s.%s", where, key);
		if ((value = json_object_get(request, key)) == NULL)
			continue;
		if (!json_is_string(value) || (i == 1 && kind != HTTP_INVENTORY))
			return (leased_err_set(err, LEASED_EINVAL, "%s: must be a JSON pointer%s",
			    place, i == 1 ? ", and in inventory" : ""));
		if ((r = http_pointer_check(json_string_value(value), place, err)) != 0)
			return (r);
	}
	return (0);
}
