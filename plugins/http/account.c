/*
 * Mint, renew and check: one account, made, prolonged, tried. Its end is end.c's. Called through
 * the plugin's table.
 */
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define CREDENTIAL_MAX ((size_t)16 * 1024)

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
http_account_check(const struct http *http, const json_t *account, struct leased_err *err)
{
	const char *name = leased_get_string_optional(account, "name");
	const char *made_on = leased_get_string_optional(account, "server");

	if (name == NULL || name[0] == '\0' || strlen(name) > HTTP_NAME_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the name of an account has 1 to %d bytes", HTTP_NAME_MAX));
	if (made_on != NULL && strcmp(made_on, http->server) != 0)
		return (leased_err_set(err, LEASED_EMOVED,
		    "the account was made on another server (%s) than this one (%s)", made_on,
		    http->server));
	return (0);
}

/* ---- mint ---- */

/* A setting that no template reads is a slip of the pen. */
static int
check_settings(const struct http *http, const json_t *account, struct leased_err *err)
{
	const json_t *settings = json_object_get(json_object_get(account, "role"), "settings");
	const json_t *document = http->config->document, *requests, *request;
	const char *name, *list;
	char slot[96];
	json_t *value;
	size_t i;

	if (settings != NULL && !json_is_object(settings))
		return (leased_err_set(
		    err, LEASED_EINVAL, "settings: must be an object, {\"database\": \"app\"}"));
	json_object_foreach((json_t *)(uintptr_t)settings, name, value)
	{
		bool is_used;

		(void)snprintf(slot, sizeof(slot), "role.%.80s", name);
		is_used = http_template_uses(document, slot);
		for (unsigned kind = 0; kind < HTTP_KIND_COUNT; kind++) {
			requests = http_config_requests(http->config, kind);
			json_array_foreach(requests, i, request)
			{
				list = leased_get_string_optional(request, "for_each");
				is_used |= list != NULL && strcmp(list, slot) == 0;
			}
		}
		if (!is_used)
			return (leased_err_set(err, LEASED_EINVAL,
			    "settings.%.40s: no request of the connection uses {{%.60s}}", name,
			    slot));
	}
	return (0);
}

/* A template over what create's answers gave, as a field of the result. */
static int
put_text(json_t *to, const char *field, const json_t *template, const json_t *values, size_t max,
    struct leased_err *err)
{
	char *text;
	int r;

	if (template == NULL)
		return (0);
	if ((r = http_template_fill(template, HTTP_JSON, values, field, &text, err)) != 0)
		return (r);
	if (strlen(text) > max || (text[0] == '\0' && max != CREDENTIAL_MAX))
		r = leased_err_set(err, LEASED_EREFUSED,
		    "%s: has %zu bytes, and must have 1 to %zu", field, strlen(text), max);
	else if (json_object_set_new(to, field, json_string(text)) != 0)
		r = no_memory(err);
	free(text);
	return (r);
}

static int
put_results(const struct http *http, json_t *result, const json_t *values, struct leased_err *err)
{
	const json_t *document = http->config->document;
	const json_t *credential = json_object_get(document, "credential");
	json_t *given = NULL, *template;
	const char *name;
	int r;

	if ((r = put_text(result, "handle", json_object_get(document, "handle"), values,
		 HTTP_HANDLE_MAX, err)) != 0 ||
	    (r = put_text(result, "kept", json_object_get(document, "kept"), values, HTTP_KEPT_MAX,
		 err)) != 0)
		return (r);
	if (json_object_set_new(result, "server", json_string(http->server)) != 0)
		return (no_memory(err));
	if (credential == NULL)
		return (0);
	if ((given = json_object()) == NULL || json_object_set_new(result, "values", given) != 0)
		return (no_memory(err));
	json_object_foreach((json_t *)(uintptr_t)credential, name, template)
	{
		if ((r = put_text(given, name, template, values, CREDENTIAL_MAX, err)) != 0)
			return (leased_err_prefix(err, "credential"));
	}
	return (0);
}

int
http_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	const json_t *account = json_object_get(call->params, "account");
	const char *expires = leased_get_string_optional(call->params, "expires");
	enum http_meaning meaning;
	json_t *values;
	int r;

	if ((r = http_account_check(http, account, err)) != 0 ||
	    (r = check_settings(http, account, err)) != 0)
		return (r);
	if ((values = http_values_new(http, account, expires)) == NULL)
		return (no_memory(err));
	if (json_object_set(values, "password", json_object_get(call->params, "password")) != 0) {
		r = no_memory(err);
		goto out;
	}
	if ((r = http_exchange_try(http, HTTP_CREATE, values, err)) != 0 ||
	    (r = http_identify(http, call, err)) != 0 ||
	    (r = http_exchange_all(http, call, HTTP_CREATE, values, &meaning, err)) != 0)
		goto out;
	r = put_results(http, call->result, values, err);
out:
	/* What is not there while something is made is something else, a role or a database. */
	if (r == LEASED_ENOENT)
		r = err->code = LEASED_EREFUSED;
	json_decref(values);
	return (r);
}

/* ---- is it there? ---- */

static int
find_in_list(struct http *http, struct leased_call *call, const char *name, json_t *values,
    struct leased_err *err)
{
	json_t *list = NULL, *one, *handle;
	size_t i;
	int r;

	if ((r = http_list(http, call, &list, err)) != 0)
		return (r);
	r = LEASED_ENOENT;
	json_array_foreach(list, i, one)
	{
		if (strcmp(leased_get_string_optional(one, "name"), name) != 0)
			continue;
		r = 0;
		handle = json_object_get(one, "handle");
		if (handle != NULL && json_object_set(values, "handle", handle) != 0)
			r = no_memory(err);
	}
	json_decref(list);
	if (r == LEASED_ENOENT)
		(void)leased_err_set(err, r, "the backend lists no such account");
	return (r);
}

int
http_find(struct http *http, struct leased_call *call, const json_t *account, json_t *values,
    struct leased_err *err)
{
	const json_t *request = json_array_get(http_config_requests(http->config, HTTP_LOOKUP), 0);
	const char *pointer =
	    json_string_value(json_object_get(json_object_get(request, "values"), "handle"));
	json_t *body = NULL;
	char *handle;
	int r;

	if (request == NULL)
		return (find_in_list(
		    http, call, leased_get_string_optional(account, "name"), values, err));
	r = http_exchange(http, call, HTTP_LOOKUP, request, values, "lookup", &body, NULL, err);
	if (r == 0 && pointer != NULL) {
		handle = http_value_text(http_pointer_get(body, pointer));
		if (handle == NULL || strlen(handle) > HTTP_HANDLE_MAX)
			r = leased_err_set(err, LEASED_EREFUSED,
			    "lookup: the answer has no text of at most %d bytes at \"%s\"",
			    HTTP_HANDLE_MAX, pointer);
		else if (json_object_set_new(values, "handle", json_string(handle)) != 0)
			r = no_memory(err);
		free(handle);
	}
	json_decref(body);
	return (r);
}

/* ---- renew, check ---- */

int
http_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	const json_t *account = json_object_get(call->params, "account");
	const char *expires = leased_get_string_optional(call->params, "expires");
	enum http_meaning meaning;
	json_t *values;
	int r;

	if ((r = http_account_check(http, account, err)) != 0 ||
	    (r = http_identify(http, call, err)) != 0)
		return (r);
	if ((values = http_values_new(http, account, expires)) == NULL)
		return (no_memory(err));
	if (http_config_requests(http->config, HTTP_RENEW) != NULL)
		r = http_exchange_all(http, call, HTTP_RENEW, values, &meaning, err);
	else if (http_config_requests(http->config, HTTP_LOOKUP) != NULL ||
		 http_config_requests(http->config, HTTP_INVENTORY) != NULL)
		r = http_find(http, call, account, values, err);
	json_decref(values);
	return (r);
}

int
http_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	const json_t *account = json_object_get(call->params, "account");
	enum http_meaning meaning;
	json_t *values;
	int r;

	if ((r = http_account_check(http, account, err)) != 0)
		return (r);
	if ((values = http_values_new(http, account, NULL)) == NULL)
		return (no_memory(err));
	if (json_object_set(values, "password", json_object_get(call->params, "password")) != 0)
		r = no_memory(err);
	else
		r = http_exchange_all(http, call, HTTP_CHECK, values, &meaning, err);
	json_decref(values);
	return (r);
}
