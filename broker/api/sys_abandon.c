/*
 * sys/leases/abandon: drops the record of a lease whose backend will never answer again, by the
 * word of a person who has sudo, and says what may be left behind. What that means is lease/'s.
 */
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/utf8.h"
#include "lease/abandon.h"

struct abandon_body {
	char *lease_id, *reason;
};

static const struct jdec_field abandon_fields[] = {
    JDEC_FIELD(struct abandon_body, lease_id, JDEC_STRING),
    JDEC_FIELD(struct abandon_body, reason, JDEC_STRING), JDEC_END};

static void
on_abandoned(void *arg, int code, const struct lease_abandoned *left, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code != 0) {
		api_reply_error(request, 0, err);
		return;
	}
	api_request_warn(request,
	    "the record is dropped and nothing is tried any more: account %s may be left behind%s",
	    UTF8_SHORT(left->account, 200),
	    left->disarmed ? ", without access" : ", and it may still have access");
	api_reply_data(
	    request, json_pack("{s:s, s:I, s:s, s:b}", "account", UTF8_SHORT(left->account, 255),
			 "connection", (json_int_t)left->connection, "server", left->server,
			 "access_may_be_open", (int)!left->disarmed));
}

static bool
reason_is_good(struct api_request *request, const char *reason)
{
	if (reason == NULL || reason[strspn(reason, " ")] == '\0')
		api_reply_refuse(request, LEASED_EINVAL,
		    "reason must be given: it stands in the audit beside the account that may be "
		    "left behind");
	else if (strlen(reason) > LEASE_REASON_MAX)
		api_reply_refuse(
		    request, LEASED_EINVAL, "reason may have %d bytes", LEASE_REASON_MAX);
	else
		return (true);
	return (false);
}

/* The row of the id, or of what is left of it in quarantine. */
static int
row_find(
    struct api_request *request, const char *lease_id, int64_t *ret_row, struct leased_err *err)
{
	struct leases *leases = request->api->config.leases;
	struct store_damaged damaged = {0};
	struct store_lease *row = NULL;
	int r;

	if ((r = lease_find(leases, lease_id, &row, err)) == 0)
		*ret_row = row->id;
	store_lease_free(row);
	if (r != LEASED_ECORRUPT)
		return (r);
	if ((r = lease_damaged_find(leases, lease_id, &damaged, err)) == 0)
		*ret_row = damaged.id;
	store_damaged_clear(&damaged);
	return (r);
}

void
api_sys_lease_abandon(struct api_request *request)
{
	struct abandon_body body = {NULL, NULL};
	struct lease_abandon abandon = {.cause = request->id, .actor = api_request_actor(request)};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!api_request_decode(request, abandon_fields, &body))
		return;
	if (!reason_is_good(request, body.reason))
		goto out;
	r = row_find(request, body.lease_id != NULL ? body.lease_id : "", &abandon.row, &err);
	if (r == LEASED_ENOENT) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "invalid lease: there is none by this id, or it is gone already");
	} else if (r != 0) {
		api_reply_error(request, 0, &err);
	} else {
		abandon.reason = body.reason;
		lease_abandon_start(request->api->config.leases, &abandon, on_abandoned, request);
	}
out:
	jdec_clear(abandon_fields, &body);
}
