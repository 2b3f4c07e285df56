/*
 * Many leases at once: revoke-prefix and revoke-force. Both are a durable job of lease/; the caller
 * waits for its end for a while, and is given the job's number when that takes longer. No record is
 * ever dropped here (contract 0.9), but a damaged one whose account has no access any more, by
 * force and its id.
 */
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/utf8.h"

struct bulk_body {
	bool sync;
};

static const struct jdec_field bulk_fields[] = {JDEC_FIELD(struct bulk_body, sync, JDEC_BOOL),
    {"prefix", JDEC_IGNORED, 0, JDEC_NO_PRESENT}, JDEC_END};

static void
on_bulk(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {.status = 202};

	if (code != 0) {
		api_reply_error(request, 0, err);
		return;
	}
	if (status->finished) {
		if (status->lingering > 0)
			api_request_warn(request,
			    "access has ended for all; %lld account%s still to be removed, which "
			    "is "
			    "tried again and again: %s",
			    (long long)status->lingering, status->lingering == 1 ? " is" : "s are",
			    status->last_error.text);
		api_reply_done(request);
		return;
	}
	answer.data = json_pack("{s:I, s:I, s:I, s:I, s:s}", "job", (json_int_t)status->job,
	    "marked", (json_int_t)status->marked, "ended", (json_int_t)status->ended, "waiting",
	    (json_int_t)status->waiting, "last_error", status->last_error.text);
	api_request_warn(request,
	    "the job is durable and goes on: all leases that it covers will be ended, whatever "
	    "happens to this connection");
	api_reply(request, &answer);
}

static void
on_forced(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	(void)status;
	if (code != 0)
		api_reply_error(request, 0, err);
	else
		api_reply_done(request);
}

static void
on_bulk_one(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {.status = 202, .envelope = true};

	if (state == LEASE_REVOKE_FAILED)
		api_reply_error(request, 0, err);
	else if (state == LEASE_REVOKE_GONE)
		api_reply_done(request);
	else if (state == LEASE_REVOKE_DISARMED) {
		api_request_warn(request,
		    "access has ended; removing the account is still to come: %s", err->text);
		api_reply_done(request);
	} else
		api_reply(request, &answer);
}

/* Of a lease whose record is damaged: done only when that is forgotten. */
static void
on_forgotten(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (state == LEASE_REVOKE_FAILED || state == LEASE_REVOKE_RECORDED) {
		api_reply_error(request, 0, err);
		return;
	}
	if (state == LEASE_REVOKE_DISARMED)
		api_request_warn(request, "%s", err->text);
	api_reply_done(request);
}

/* revoke-force of one: durable is all that is waited for (contract 0.9). */
static void
on_forced_one(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (state == LEASE_REVOKE_FAILED)
		api_reply_error(request, 0, err);
	else
		api_reply_done(request);
}

/* An exact lease id is a prefix, too. True: it was one, and is under way. */
static bool
bulk_single(struct api_request *request, unsigned wait_ms, bool force)
{
	struct leases *leases = request->api->config.leases;
	struct lease_actor actor = api_request_actor(request);
	struct store_lease *row = NULL;
	struct store_damaged damaged;
	struct leased_err err;
	int r;

	if ((r = lease_find(leases, request->captures[0], &row, &err)) == LEASED_ECORRUPT) {
		if (!api_lease_damaged(request, request->captures[0], &damaged))
			return (true);
		if (force)
			lease_damaged_forget(leases, damaged.id, &actor, on_forgotten, request);
		else
			lease_revoke_by(
			    leases, damaged.id, wait_ms, request->id, &actor, on_bulk_one, request);
		store_damaged_clear(&damaged);
		return (true);
	}
	if (r != 0)
		return (false);
	lease_revoke_by(leases, row->id, wait_ms, request->id, &actor,
	    force ? on_forced_one : on_bulk_one, request);
	store_lease_free(row);
	return (true);
}

/* The mount that the prefix names, and what is below it; false: answered. rest is cut out of the
 * path in place. */
static bool
bulk_scope(struct api_request *request, struct lease_scope *ret_scope)
{
	const struct engine_mount *mount;
	char *path = request->captures[0];
	size_t len = strlen(path), mount_len;
	const char *rest;

	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	mount = engines_route(request->api->config.engines, path, &rest);
	if (mount == NULL) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "\"%s\" names no mount: a prefix starts with one, as in "
		    "database/creds/app",
		    UTF8_SHORT(path, 200));
		return (false);
	}
	mount_len = strlen(engine_mount_path(mount));
	ret_scope->kind = LEASE_SCOPE_PLACE;
	ret_scope->mount = engine_mount_id(mount);
	ret_scope->text = mount_len > len ? "" : path + mount_len;
	return (true);
}

static void
bulk_start(struct api_request *request, bool force)
{
	struct bulk_body body = {.sync = true};
	struct lease_scope scope = {.actor = api_request_actor(request)};
	unsigned wait_ms;

	if (!api_request_decode(request, bulk_fields, &body))
		return;
	wait_ms = body.sync && !force ? request->api->config.bulk_wait_ms : 0;
	if (bulk_single(request, wait_ms, force) || !bulk_scope(request, &scope))
		return;
	lease_job_start(request->api->config.leases, &scope, wait_ms, request->id,
	    force ? on_forced : on_bulk, request);
}

void
api_sys_lease_revoke_prefix(struct api_request *request)
{
	bulk_start(request, false);
}

void
api_sys_lease_revoke_force(struct api_request *request)
{
	bulk_start(request, true);
}
