/*
 * Describe, open and ping: what the plugin is, which server a worker works on, and whether that is
 * there. Called through the plugin's table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "http.h"

int
http_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *fields = http_config_fields(), *more;

	(void)ctx;
	more = json_pack("{s:i, s:s, s:b, s:s, s:b, s:[s]}", "name_max", HTTP_NAME_MAX,
	    "name_alphabet", "A-Za-z0-9_.-", "native_expiry", 0, "dialect", "none",
	    "default_statements", 1, "role_fields", "settings");
	if (fields == NULL || more == NULL || json_object_update(call->result, more) != 0 ||
	    json_object_set(call->result, "config_fields", fields) != 0)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(fields);
	json_decref(more);
	return (err->code);
}

/* ---- who answers ---- */

/* Without a question for it, a server is its address. */
static int
address_of(const struct sdk_web *web, char ret_server[HTTP_SERVER_MAX + 1])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char *text = NULL;
	size_t i;

	if (asprintf(
		&text, "%s://%s:%s", sdk_web_scheme(web), sdk_web_host(web), sdk_web_port(web)) < 0)
		return (-1);
	if (strlen(text) <= HTTP_SERVER_MAX)
		(void)snprintf(ret_server, HTTP_SERVER_MAX + 1, "%s", text);
	else if (SHA256((const unsigned char *)text, strlen(text), digest) != NULL)
		for (i = 0; i < sizeof(digest); i++)
			(void)snprintf(ret_server + 2 * i, 3, "%02x", digest[i]);
	free(text);
	return (0);
}

/* What identity's values name in the answer; "" when it names nothing. */
static int
take_text(const json_t *request, const json_t *body, const char *name,
    char ret_text[HTTP_SERVER_MAX + 1], struct leased_err *err)
{
	const char *pointer =
	    json_string_value(json_object_get(json_object_get(request, "values"), name));
	char *text;
	int r = 0;

	ret_text[0] = '\0';
	if (pointer == NULL)
		return (0);
	text = http_value_text(http_pointer_get(body, pointer));
	if (text == NULL || text[0] == '\0' || strlen(text) > HTTP_SERVER_MAX)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "identity: the answer has no text of 1 to %d bytes at \"%s\" (values.%s)",
		    HTTP_SERVER_MAX, pointer, name);
	else
		(void)snprintf(ret_text, HTTP_SERVER_MAX + 1, "%s", text);
	free(text);
	return (r);
}

static int
ask(struct http *http, struct leased_call *call, char ret_server[HTTP_SERVER_MAX + 1],
    struct leased_err *err)
{
	const json_t *request =
	    json_array_get(http_config_requests(http->config, HTTP_IDENTITY), 0);
	json_t *values = http_values_new(http, NULL, NULL), *body = NULL;
	int r;

	if (values == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = http_exchange(http, call, HTTP_IDENTITY, request, values, "identity", &body, NULL, err);
	r = http_not_of_account(r, err);
	if (r == 0)
		r = take_text(request, body, "server", ret_server, err);
	if (r == 0)
		r = take_text(request, body, "incarnation", http->incarnation, err);
	json_decref(values);
	json_decref(body);
	return (r);
}

int
http_identify(struct http *http, struct leased_call *call, struct leased_err *err)
{
	char server[HTTP_SERVER_MAX + 1] = "";
	int r;

	if (http_config_requests(http->config, HTTP_IDENTITY) != NULL &&
	    (r = ask(http, call, server, err)) != 0)
		return (r);
	if (server[0] == '\0' && address_of(http->web, server) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (http->server[0] == '\0')
		(void)snprintf(http->server, sizeof(http->server), "%s", server);
	if (strcmp(http->server, server) != 0)
		return (leased_err_set(err, LEASED_EMOVED,
		    "another server answers (%s) than the one that this was opened on (%s)", server,
		    http->server));
	return (0);
}

/* Something that the server must answer, and that needs our login where there is one. */
static int
reach(struct http *http, struct leased_call *call, struct leased_err *err)
{
	json_t *list = NULL;
	int r;

	if ((r = http_identify(http, call, err)) != 0 ||
	    http_config_requests(http->config, HTTP_IDENTITY) != NULL ||
	    http_config_requests(http->config, HTTP_INVENTORY) == NULL)
		return (r);
	r = http_list(http, call, &list, err);
	json_decref(list);
	return (r);
}

/* ---- open ---- */

static int
set_up(struct http *http, struct leased_call *call, struct leased_err *err)
{
	const json_t *given = json_object_get(call->params, "config");
	const char *tag = leased_get_string_optional(call->params, "tag");
	struct sdk_web_config server;
	struct http_config *config = NULL;
	struct sdk_web *web = NULL;
	int r;

	if ((r = http_config_new(given, &config, err)) != 0)
		return (r);
	server = (struct sdk_web_config){.base_url = leased_get_string_optional(given, "base_url"),
	    .ca_cert = leased_get_string_optional(given, "ca_cert"),
	    .allow_plain_http = json_is_true(json_object_get(given, "allow_plain_http"))};
	if ((r = sdk_web_new(&server, &web, err)) != 0) {
		http_config_free(config);
		return (r);
	}
	/* An open that failed may be repeated. */
	http_config_free(http->config);
	sdk_web_free(http->web);
	free(http->store_tag);
	json_decref(http->login);
	http->login = NULL;
	http->server[0] = '\0';
	http->config = config;
	http->web = web;
	http->store_tag = strdup(tag != NULL ? tag : "");
	if (http->store_tag == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (sdk_web_confine(web, err));
}

static const char no_revoke[] =
    "credentials of this connection cannot be taken back (can_revoke = false): each lives until "
    "the end that the backend was told, also when its lease is revoked";

int
http_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	json_t *result = call->result;
	int bad, r;

	if ((r = set_up(http, call, err)) != 0 || (r = reach(http, call, err)) != 0)
		return (r);
	bad = json_object_set_new(result, "server", json_string(http->server)) |
	      json_object_set_new(result, "endpoint",
		  json_pack("{s:s, s:s, s:s}", "scheme", sdk_web_scheme(http->web), "host",
		      sdk_web_host(http->web), "port", sdk_web_port(http->web)));
	if (http->config->has_end)
		bad |= json_object_set_new(result, "native_expiry", json_true());
	if (!http->config->has_password)
		bad |= json_object_set_new(result, "password", json_false());
	if (!http->config->can_revoke)
		bad |= json_object_set_new(result, "warnings", json_pack("[s]", no_revoke));
	return (bad == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
http_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	int r;

	if (http->server[0] == '\0')
		return (0); /* before open: this worker lives */
	if ((r = reach(http, call, err)) != 0)
		return (r);
	if (http->incarnation[0] != '\0' &&
	    json_object_set_new(call->result, "incarnation", json_string(http->incarnation)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
