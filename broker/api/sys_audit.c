/*
 * sys/audit: what the audit writes to, and how a value that one knows stands in it. Devices are
 * declared in leased.hcl alone: no path comes in over the API.
 */
#include <stddef.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "audit/audit.h"

struct hash_body {
	struct leased_secret *input;
};
static const struct jdec_field hash_fields[] = {JDEC_FIELD(struct hash_body, input, JDEC_SECRET),
    {"path", JDEC_IGNORED, 0, JDEC_NO_PRESENT}, JDEC_END};

void
api_sys_audit(struct api_request *request)
{
	struct audit *audit = request->api->config.audit;

	if (audit == NULL)
		api_reply_data(request, json_object());
	else
		api_reply_data(request,
		    json_pack("{s:{s:s,s:s,s:s,s:{s:s},s:b,s:b}}", "file/", "type", "file", "path",
			"file/", "description", "", "options", "file_path", audit_path(audit),
			"local", 0, "healthy", (int)audit_healthy(audit)));
}

void
api_sys_audit_hash(struct api_request *request)
{
	struct api *api = request->api;
	struct leased_err err = LEASED_ERR_INIT;
	struct hash_body body = {0};
	char hash[AUDIT_HASH_SIZE];

	if (!api_request_decode(request, hash_fields, &body))
		return;
	if (api->config.audit == NULL || strcmp(request->captures[0], "file") != 0)
		api_reply_refuse(
		    request, LEASED_EINVAL, "unknown audit backend %.64s", request->captures[0]);
	else if (body.input == NULL)
		api_reply_refuse(
		    request, LEASED_EINVAL, "missing input: the value whose hash is wanted");
	else if (audit_hash(store_seal(api->config.store), leased_secret_reveal(body.input), hash,
		     &err) != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_data(request, json_pack("{s:s}", "hash", hash));
	jdec_clear(hash_fields, &body);
}
