/*
 * Nothing is done, and nothing is answered, that the audit has not taken down. A request waits here
 * until its record is on the device, and its answer until that one's is; where the device does not
 * take it in time, the client gets a 503 that says so, and a lease or token that the answer carried
 * ends as if the answer had been lost. Called by request.c and reply.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "api/api_private.h"
#include "api/audited.h"
#include "api/reply.h"
#include "audit/audit.h"
#include "base/jenc.h"

static const char *
operation_name(enum api_operation operation)
{
	switch (operation) {
	case API_READ:
		return ("read");
	case API_LIST:
		return ("list");
	case API_WRITE:
		return ("update");
	case API_PATCH:
		return ("patch");
	case API_DELETE:
		return ("delete");
	}
	return ("unknown");
}

/* What is asked of the daemon's own state by anybody, many times a minute, is not recorded; but who
 * was refused there is, or it were a place to try tokens at. status 0: it is not answered yet. */
static bool
is_audited(const struct api_request *request, int status)
{
	const struct api_route *route = request->route;

	if (request->api->config.audit == NULL || request->path == NULL)
		return (false);
	if (route != NULL && (route->flags & API_STATE) != 0)
		return (status == 401 || status == 403);
	return (
	    route == NULL || (route->flags & API_OPEN) == 0 || (route->flags & API_CALLER) != 0);
}

static void
event_fill(const struct api_request *request, enum audit_what what, struct audit_event *event)
{
	const struct auth_identity *identity = request->identity;
	const struct http_peer *peer = request->http->peer;

	*event = (struct audit_event){.what = what,
	    .id = request->id,
	    .operation = operation_name(request->operation),
	    .path = request->path,
	    .mount_point = request->audited.mount,
	    .mount_type = request->route != NULL ? request->route->mount_type : request->mount_type,
	    .uid = peer->uid,
	    .pid = peer->pid,
	    .token = request->token,
	    .body = request->body};
	if (peer->kind == HTTP_PEER_TCP) {
		event->remote_address = peer->address;
		event->remote_port = peer->port;
	}
	if (identity == NULL)
		return;
	event->accessor = identity->accessor;
	event->display_name = identity->display_name;
	event->entity = identity->entity;
	event->token_type = identity->peer ? "unix" : "service";
	event->policies = identity->policies;
	if (identity->peer)
		event->token = NULL;
}

/* ---- what is asked ---- */

static void
on_request_recorded(void *arg, int code, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code != 0) {
		api_reply_refuse(request, LEASED_EUNAVAIL,
		    "nothing was done, since the audit could not record the request: %s%s",
		    err->text,
		    code == LEASED_EDENIED ? ""
					   : ". Make room for it, or see why its device hangs (the "
					     "log names it), then ask again");
		return;
	}
	request->audited.recorded = true;
	if (request->api->stopping)
		api_reply_refuse(request, LEASED_ECANCELED, "leased is stopping");
	else
		request->audited.act(request);
}

void
api_audit_request(struct api_request *request, api_act act)
{
	struct audit_event event;

	if (!is_audited(request, 0)) {
		act(request);
		return;
	}
	request->audited.act = act;
	if (request->mount != NULL) {
		(void)strlcpy(request->audited.mount, engine_mount_path(request->mount),
		    sizeof(request->audited.mount));
		(void)strlcpy(request->mount_type, engine_mount_type(request->mount),
		    sizeof(request->mount_type));
	}
	event_fill(request, AUDIT_REQUEST, &event);
	audit_record(request->api->config.audit, &event, on_request_recorded, request);
}

/* ---- what is answered ---- */

/* A 503 in its place. What it carried is ended by whoever asked for the verdict on its delivery. */
static void
replace(struct api_request *request, struct http_reply *reply, const struct leased_err *err)
{
	char text[sizeof(err->text) + 256];
	static const char plain[] = "{\"errors\":[\"the audit could not record the answer\"]}\n";
	bool carried = reply->on_delivery != NULL;
	struct jenc json = {0};
	json_t *body;

	if (carried)
		reply->on_delivery(reply->on_delivery_arg, HTTP_LOST);
	reply->on_delivery = NULL;
	if (reply->body != NULL)
		leased_wipe(reply->body, reply->body_len);
	free(reply->body);
	reply->body = NULL;
	reply->body_len = 0;
	reply->status = 503;
	(void)snprintf(text, sizeof(text),
	    "%s, but the audit could not record the answer: %s. %s (request id %s)",
	    request->audited.recorded ? "the request was carried out" : "the request was refused",
	    err->text, carried ? "What it made is being revoked" : "Look before asking again",
	    request->id);
	if ((body = json_pack("{s:[s]}", "errors", text)) != NULL)
		jenc_json(&json, body);
	jenc_bytes(&json, "\n", sizeof("\n"));
	if (body != NULL && jenc_check(&json, NULL) == 0) {
		reply->body = (char *)json.bytes;
		reply->body_len = json.len - 1;
	} else {
		jenc_clear(&json);
		if ((reply->body = strdup(plain)) != NULL)
			reply->body_len = sizeof(plain) - 1;
	}
	json_decref(body);
}

static void
on_reply_recorded(void *arg, int code, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);
	struct http_reply reply = request->audited.reply;

	request->audited.reply = (struct http_reply){0};
	if (code != 0)
		replace(request, &reply, err);
	request->audited.send(request, &reply);
}

/* Parsing errors may quote what could not be parsed, which nobody has looked at. */
static const char *
error_of(const struct api_request *request, const struct http_reply *reply, const json_t *body)
{
	const char *text = json_string_value(json_array_get(json_object_get(body, "errors"), 0));

	if (reply->status < 400)
		return (NULL);
	if (request->body == NULL && request->http->body_len > 0)
		return ("the request was refused unread");
	return (text != NULL ? text : "(no text)");
}

void
api_audit_reply(
    struct api_request *request, struct http_reply *reply, const json_t *body, api_send send)
{
	struct audit_event event;

	/* What was refused because its record was not taken would wait for that once more. */
	if (!is_audited(request, reply->status) ||
	    (!request->audited.recorded && request->audited.act != NULL)) {
		send(request, reply);
		return;
	}
	request->audited.send = send;
	request->audited.reply = *reply;
	event_fill(request, request->audited.recorded ? AUDIT_RESPONSE : AUDIT_BOTH, &event);
	event.status = reply->status;
	event.error = error_of(request, reply, body);
	event.lease_id = json_string_value(json_object_get(body, "lease_id"));
	event.data = json_object_get(body, "data");
	event.auth = json_object_get(body, "auth");
	audit_record(request->api->config.audit, &event, on_reply_recorded, request);
}
