/*
 * sys/restore: is this store a restored one that is held, and the word that ends the hold. What the
 * hold means is lease/'s.
 */
#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "lease/hold.h"

struct release_body {
	bool takeover;
};

static const struct jdec_field release_fields[] = {
    JDEC_FIELD(struct release_body, takeover, JDEC_BOOL), JDEC_END};

void
api_sys_restore(struct api_request *request)
{
	struct lease_hold hold;
	char since[WCLOCK_RFC3339_SIZE];
	json_t *data;

	lease_hold_get(request->api->config.leases, &hold);
	data = json_pack(
	    "{s:b, s:I}", "held", (int)hold.held, "leases_waiting", (json_int_t)hold.waiting);
	wclock_format_rfc3339(hold.since_wall_ms * 1000, since);
	if (hold.held && data != NULL &&
	    json_object_update_new(
		data, json_pack("{s:s, s:s, s:s, s:s}", "old_tag", hold.old_tag, "since", since,
			  "tag", store_tag(request->api->config.store), "release",
			  "lease restore release --takeover")) != 0) {
		json_decref(data);
		data = NULL;
	}
	api_reply_data(request, data);
}

static void
on_released(void *arg, int code, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code != 0)
		api_reply_error(request, 0, err);
	else {
		engines_restore_released(request->api->config.engines);
		api_reply_done(request);
	}
}

void
api_sys_restore_release(struct api_request *request)
{
	struct release_body body = {.takeover = false};
	struct lease_actor actor = api_request_actor(request);
	struct lease_hold hold;

	if (!api_request_decode(request, release_fields, &body))
		return;
	lease_hold_get(request->api->config.leases, &hold);
	if (!hold.held) {
		api_request_warn(request, "nothing is held");
		api_reply_done(request);
		return;
	}
	if (!body.takeover) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "takeover=true is needed: it says that the leased which made the leases of tag "
		    "%s is gone for good. This one then ends their accounts when they are due, and "
		    "two daemons that both do so would end what the other one renewed",
		    hold.old_tag);
		return;
	}
	lease_hold_release(request->api->config.leases, &actor, on_released, request);
}
