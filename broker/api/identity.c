/*
 * What relying parties of JWTs ask: the issuer's metadata, its keys, the list of tokens that ended
 * early (for anybody, to be kept for a while), and whether a token is good (for who may). The
 * answers are engine/'s; here they get their form, which has no envelope.
 */
#include <stdio.h>

#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "engine/identity.h"

static void
page_reply(struct api_request *request, const struct identity_page *page)
{
	char cache_control[64] = "no-cache";

	if (page->code != 0) {
		api_reply_error(request, 0, &page->err);
		return;
	}
	if (page->max_age_s > 0)
		(void)snprintf(cache_control, sizeof(cache_control), "public, max-age=%lld",
		    (long long)page->max_age_s);
	if (page->text != NULL)
		api_reply_cached_text(
		    request, cache_control, page->etag, page->text, page->text_len);
	else
		api_reply_cached(request, cache_control, page->body);
}

void
api_identity_discovery(struct api_request *request)
{
	struct identity_page page = {0};

	engines_identity_discovery(request->api->config.engines, &page);
	page_reply(request, &page);
}

void
api_identity_keys(struct api_request *request)
{
	struct identity_page page = {0};

	engines_identity_keys(request->api->config.engines, &page);
	page_reply(request, &page);
}

static void
on_denied(void *arg, const struct identity_page *page)
{
	page_reply(api_request_from(arg), page);
}

void
api_identity_denied(struct api_request *request)
{
	engines_identity_denied(request->api->config.engines, on_denied, request);
}

struct introspect_body {
	char *token, *client_id;
};
static const struct jdec_field introspect_fields[] = {
    JDEC_FIELD(struct introspect_body, token, JDEC_STRING),
    JDEC_FIELD(struct introspect_body, client_id, JDEC_STRING),
    JDEC_END,
};

void
api_identity_introspect(struct api_request *request)
{
	struct introspect_body body = {0};
	struct leased_err err = LEASED_ERR_INIT;
	const char *why = "";
	bool active = false;
	json_t *reply;

	if (!api_request_decode(request, introspect_fields, &body))
		return;
	if (body.token == NULL || body.token[0] == '\0') {
		api_reply_refuse(
		    request, LEASED_EINVAL, "token is needed: the JWT to be looked at");
	} else if (strchr(body.token, ',') != NULL) {
		/* A form's repeated names come joined by it. */
		api_reply_refuse(request, LEASED_EINVAL,
		    "invalid_request: the body has more than one token: send one at a time");
	} else if (engines_identity_introspect(request->api->config.engines, body.token,
		       body.client_id, &active, &why, &err) != 0) {
		api_reply_error(request, 0, &err);
	} else {
		reply = json_pack("{s:b}", "active", active);
		if (why[0] != '\0' && json_object_set_new(reply, "error", json_string(why)) != 0) {
			json_decref(reply);
			reply = NULL;
		}
		api_reply_raw(request, 200, reply);
	}
	jdec_clear(introspect_fields, &body);
}
