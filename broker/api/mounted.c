/*
 * What lies below a mount: hands the request to its engine and turns the engine's answer into one
 * of the API's. Knows no engine and no path of theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"

static enum engine_operation
engine_operation_of(enum api_operation operation)
{
	switch (operation) {
	case API_READ:
		return (ENGINE_READ);
	case API_LIST:
		return (ENGINE_LIST);
	case API_WRITE:
		return (ENGINE_WRITE);
	case API_PATCH:
		return (ENGINE_PATCH);
	case API_DELETE:
		return (ENGINE_DELETE);
	}
	return (ENGINE_READ);
}

static bool
keys_are_empty(const struct api_request *request, const json_t *data)
{
	const json_t *keys = json_object_get(data, "keys");

	return (request->operation == API_LIST && data != NULL && json_object_size(data) == 1 &&
		json_is_array(keys) && json_array_size(keys) == 0);
}

static void
on_engine_reply(void *arg, const struct engine_reply *reply)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {0};
	const json_t *warning;
	size_t i;

	json_array_foreach(reply->warnings, i, warning)
	    api_request_warn(request, "%s", json_string_value(warning));
	if (reply->code != 0) {
		api_reply_error(request, reply->status, &reply->err);
		return;
	}
	if (reply->status / 100 > 2) {
		api_reply_empty_errors(request, reply->status);
		return;
	}
	if (reply->raw) {
		api_reply_raw(
		    request, reply->status != 0 ? reply->status : 200, json_incref(reply->data));
		return;
	}
	if (reply->page != NULL) {
		api_reply_page(request, reply->page);
		return;
	}
	if (!keys_are_empty(request, reply->data))
		answer.data = json_incref(reply->data);
	answer.status = reply->status;
	answer.lease_id = reply->lease_id;
	answer.renewable = reply->renewable;
	answer.lease_duration_s = reply->lease_duration_s;
	answer.lease_row = reply->lease_row;
	answer.mount_type = request->mount_type;
	api_reply(request, &answer);
}

void
api_mounted(struct api_request *request)
{
	const struct auth_identity *identity = request->identity;
	struct api *api = request->api;
	struct engine_request engine = {.operation = engine_operation_of(request->operation),
	    .head = request->head,
	    .path = request->mount_rest,
	    .body = request->body,
	    .request_id = request->id,
	    .etag = http_request_header(request->http, "If-None-Match"),
	    .prefer = http_request_header(request->http, "Prefer")};

	(void)strlcpy(
	    request->mount_type, engine_mount_type(request->mount), sizeof(request->mount_type));
	if (identity != NULL) {
		engine.caller.entity = identity->entity;
		engine.caller.token = identity->token;
		engine.caller.token_left_s = auth_identity_left_s(api->config.auth, identity);
		engine.caller.display_name = identity->display_name;
		engine.caller.max_leases = identity->max_leases;
		engine.caller.has_sudo = api_request_has_sudo(request);
	} else /* a path that is open to everybody */
		engine.caller = (struct engine_caller){.entity = "", .display_name = ""};
	engine_handle(api->config.engines, request->mount, &engine, on_engine_reply, request);
}
