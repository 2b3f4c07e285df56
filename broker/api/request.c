/*
 * The one dispatcher: head, authenticate, authorize, route, input, handle; each answer leaves by
 * reply.c. The order of the checks is contract 1.6's: a caller without rights learns nothing of
 * what exists. But a body is only parsed for who may send it: parsing is what costs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/parse.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/log.h"
#include "base/utf8.h"

#define WARNING_MAX 4096

int
api_new(const struct api_config *config, struct api **ret_api, struct leased_err *err)
{
	struct api *api = calloc(1, sizeof(*api));

	if (api == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory while starting api/"));
	api->tag = API_TAG;
	api->config = *config;
	api->stats.started_wall_ms = wclock_wall_ms(config->clock);
	if (api->config.revoke_wait_ms == 0)
		api->config.revoke_wait_ms = 10000;
	if (api->config.bulk_wait_ms == 0)
		api->config.bulk_wait_ms = 60000;
	*ret_api = api;
	return (0);
}

void
api_stop(struct api *api)
{
	if (api != NULL)
		api->stopping = true;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	if (api->in_flight != 0)
		(void)bug(NULL, "%u requests were under way when api/ ended", api->in_flight);
	api->tag = 0;
	free(api);
}

unsigned
api_in_flight(const struct api *api)
{
	return (api->in_flight);
}

struct api_request *
api_request_from(void *arg)
{
	struct api_request *request = arg;

	if (request->tag != API_REQUEST_TAG)
		log_fatal("api: a callback came for what is no request");
	return (request);
}

/* ---- warnings ---- */

void
api_request_warn(struct api_request *request, const char *fmt, ...)
{
	char text[WARNING_MAX];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	utf8_mark_cut(text, sizeof(text), len);
	if (request->warnings == NULL)
		request->warnings = json_array();
	if (request->warnings == NULL ||
	    json_array_append_new(request->warnings, json_string(text)) != 0)
		log_warn("a warning was lost: out of memory", LOG_S("request", request->id));
}

/* `Endpoint ignored these unrecognized parameters: [a b]`, and for each the nearest that is known.
 */
void
api_request_warn_unknown(
    struct api_request *request, const json_t *unknown, const struct jdec_field *fields)
{
	char names[WARNING_MAX / 2] = "", hints[WARNING_MAX / 4] = "";
	size_t i, used = 0, hinted = 0, listed = 0, count = json_array_size(unknown);
	const json_t *item;

	if (count == 0)
		return;
	json_array_foreach(unknown, i, item)
	{
		const char *name = json_string_value(item);
		const char *nearest = jdec_nearest_field(name, fields);

		if (used + 100 < sizeof(names)) {
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
			    used > 0 ? " " : "", UTF8_SHORT(name, 64));
			listed++;
		}
		if (nearest != NULL && hinted + 200 < sizeof(hints))
			hinted += (size_t)snprintf(hints + hinted, sizeof(hints) - hinted,
			    "%s%s for %s", hinted > 0 ? ", " : "; did you mean ",
			    UTF8_SHORT(nearest, 64), UTF8_SHORT(name, 64));
	}
	if (listed < count)
		(void)snprintf(
		    names + used, sizeof(names) - used, " [and %zu more]", count - listed);
	api_request_warn(request, "Endpoint ignored these unrecognized parameters: [%s]%s%s", names,
	    hints, hinted > 0 ? "?" : "");
}

bool
api_request_decode(struct api_request *request, const struct jdec_field *fields, void *target)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *unknown = NULL;

	if (jdec_decode(request->body, fields, target, &unknown, &err) != 0) {
		jdec_clear(fields, target);
		api_reply_error(request, 0, &err);
		return (false);
	}
	api_request_warn_unknown(request, unknown, fields);
	json_decref(unknown);
	return (true);
}

/* ---- the way of a request ---- */

bool
api_request_is_open(const struct api_request *request)
{
	unsigned flags = request->route != NULL ? request->route->flags : 0;

	if (request->route == NULL && request->mount != NULL)
		return (request->operation == API_READ &&
			engine_is_open(request->mount, request->mount_rest));
	return ((flags & API_OPEN) != 0 ||
		((flags & API_STATE) != 0 && (request->http->peer->marks & API_MARK_METRICS) != 0));
}

/* False: answered. */
static bool
request_input(struct api_request *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	int status = 0;

	if (api_parse_input(request, &status, &err) == 0)
		return (true);
	api_reply_error(request, status, &err);
	return (false);
}

/* It may be done, and is on record. While that was written, a mount may have gone. */
static void
request_act(struct api_request *request)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (request->route != NULL)
		request->route->handler(request);
	else if (request->audited.recorded && api_route_find(request, &err) != 0)
		api_reply_error(request, 0, &err);
	else
		api_mounted(request);
}

/* Who asks is known, or need not be. */
static void
request_run(struct api_request *request)
{
	struct leased_err route_err = LEASED_ERR_INIT, err = LEASED_ERR_INIT;
	int route_code;

	/* A row of the table stays; a mount that was found before authentication may be gone. */
	route_code = request->route != NULL ? 0 : api_route_find(request, &route_err);
	if (!api_request_is_open(request)) {
		if (api_authorize(request, &err) != 0) {
			api_reply_error(request, 0, &err);
			return;
		}
	}
	if (route_code == LEASED_EINVAL)
		api_reply_error(request, 405, &route_err);
	else if (route_code != 0)
		api_reply_error(request, 0, &route_err);
	else if (request_input(request))
		api_audit_request(request, request_act);
}

static void
on_authenticated(void *arg, int code, struct auth_identity *identity, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code == 0)
		request->identity = auth_identity_acquire(identity);
	else if (!api_request_is_open(request)) {
		api_reply_error(request, 0, err);
		return;
	}
	if (request->api->stopping)
		api_reply_refuse(request, LEASED_ECANCELED, "leased is stopping");
	else
		request_run(request);
}

/* The caller's token, where the path takes it by HTTP Basic. False: out of memory. */
static bool
request_basic(struct api_request *request)
{
	const char *header = http_request_header(request->http, "Authorization");

	if (request->token != NULL || header == NULL || request->mount == NULL ||
	    !engine_takes_basic(request->mount, request->mount_rest) ||
	    !api_basic_decode(header, &request->basic))
		return (true);
	request->token = request->basic;
	return (request->basic != NULL);
}

void
api_handle(struct http_request *http, void *arg)
{
	struct api *api = arg;
	struct api_request *request = calloc(1, sizeof(*request));
	struct leased_err err = LEASED_ERR_INIT;
	int r, status = 0;

	if (api->tag != API_TAG)
		log_fatal("api: a request came to what is no api");
	if (request == NULL) {
		struct http_reply reply = {.status = 503, .close = true};

		http_reply_send(http, &reply);
		return;
	}
	request->tag = API_REQUEST_TAG;
	request->api = api;
	request->http = http;
	api->in_flight++;
	id_uuid(api->config.ids, request->id);
	if ((r = api_parse_head(request, &status, &err)) != 0) {
		if (err.text[0] == '\0')
			api_reply_empty_errors(request, status);
		else
			api_reply_error(request, status, &err);
		return;
	}
	r = api_route_find(request, &err);
	if (r == 0 && !request_basic(request)) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	if (r == 0 && api_request_is_open(request) &&
	    (request->route == NULL || (request->route->flags & API_CALLER) == 0)) {
		request_run(request);
		return;
	}
	auth_authenticate(api->config.auth, request->token, http->peer, on_authenticated, request);
}
