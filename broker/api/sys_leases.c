/*
 * One lease over the API: lookup, renew, revoke (contract 2.4, DESIGN.md). Whose lease
 * may be named: one's own, or with sudo on the path any. A lease of somebody else is answered like
 * an id that never was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "auth/owner.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/utf8.h"
#include "lease/ended.h"

struct lease_body {
	char *lease_id;
	int64_t increment;
	bool sync;
};

static const struct jdec_field lease_fields[] = {
    JDEC_FIELD(struct lease_body, lease_id, JDEC_STRING),
    JDEC_FIELD(struct lease_body, increment, JDEC_DURATION_S),
    JDEC_FIELD(struct lease_body, sync, JDEC_BOOL),
    {"url_lease_id", JDEC_IGNORED, 0, JDEC_NO_PRESENT}, JDEC_END};

/* The body, with the id of the URL over the body's. False: answered. */
static bool
lease_body(struct api_request *request, struct lease_body *body)
{
	*body = (struct lease_body){.sync = true};
	if (!api_request_decode(request, lease_fields, body))
		return (false);
	if (request->captures[0] != NULL) {
		free(body->lease_id);
		body->lease_id = strdup(request->captures[0]);
	}
	if (body->lease_id != NULL && body->lease_id[0] != '\0')
		return (true);
	api_reply_refuse(request, LEASED_EINVAL,
	    "lease_id must be specified: it came with the credential, in the field lease_id");
	jdec_clear(lease_fields, body);
	return (false);
}

/* LEASED_ENOENT for a wrong id and for a lease that the caller may not name, alike. */
static int
lease_load(const struct api_request *request, const char *lease_id, struct store_lease **ret_row,
    struct leased_err *err)
{
	struct store_lease *row = NULL;
	int r;

	r = lease_find(request->api->config.leases, lease_id, &row, err);
	if (r != 0)
		return (r);
	if (!auth_identity_owns(request->api->config.auth, request->identity, row) &&
	    !api_request_has_sudo_over(request, lease_id)) {
		store_lease_free(row);
		return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
	}
	*ret_row = row;
	return (0);
}

/* What is left of a lease that has ended: who might name the lease may name that. LEASED_ENOENT for
 * everybody and everything else. */
static int
ended_load(const struct api_request *request, const char *lease_id, struct lease_ended **ret_ended,
    struct leased_err *err)
{
	struct lease_ended *ended = NULL;
	int r;

	if ((r = lease_ended_find(request->api->config.leases, lease_id, &ended, err)) != 0)
		return (r);
	if (!api_request_has_sudo_over(request, lease_id) &&
	    (!store_lease_is_clients((enum store_lease_kind)ended->kind) ||
		!auth_identity_is_owner(
		    request->api->config.auth, request->identity, ended->owner, ended->entity))) {
		free(ended);
		return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
	}
	*ret_ended = ended;
	return (0);
}

/* The accessor of whoever ended it names a token that is not the caller's. */
static void
lookup_ended(struct api_request *request, const char *lease_id)
{
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r = ended_load(request, lease_id, &ended, &err);

	if (r == LEASED_ENOENT)
		api_reply_refuse(request, LEASED_EINVAL,
		    "invalid lease: there is none by this id, it is not yours, or it ended more "
		    "than 24 hours ago");
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_data(request,
		    lease_ended_describe(ended, api_request_has_sudo_over(request, lease_id)));
	free(ended);
}

/* Whose it was stands in the record: only sudo may name it. */
bool
api_lease_damaged(
    struct api_request *request, const char *lease_id, struct store_damaged *ret_damaged)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r = LEASED_ENOENT;

	if (api_request_has_sudo_over(request, lease_id))
		r = lease_damaged_find(request->api->config.leases, lease_id, ret_damaged, &err);
	if (r == LEASED_ENOENT)
		api_reply_refuse(request, LEASED_ECORRUPT,
		    "the record of this lease is damaged: it is in quarantine, and access ends "
		    "when the lease was to end. Who has sudo on this path can name it: with the id "
		    "that sys/leases?type=irrevocable shows");
	else if (r != 0)
		api_reply_error(request, 0, &err);
	return (r == 0);
}

static void
lookup_damaged(struct api_request *request, const char *lease_id)
{
	struct store_damaged damaged;

	if (!api_lease_damaged(request, lease_id, &damaged))
		return;
	api_reply_data(request, lease_damaged_describe(request->api->config.leases, &damaged));
	store_damaged_clear(&damaged);
}

void
api_sys_lease_lookup(struct api_request *request)
{
	struct lease_body body;
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!lease_body(request, &body))
		return;
	r = lease_load(request, body.lease_id, &row, &err);
	if (r == LEASED_ENOENT)
		lookup_ended(request, body.lease_id);
	else if (r == LEASED_ECORRUPT)
		lookup_damaged(request, body.lease_id);
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_data(request, lease_describe(request->api->config.leases, row));
	store_lease_free(row);
	jdec_clear(lease_fields, &body);
}

/* ---- renew ---- */

static void
on_renewed(void *arg, const struct lease_renewed *renewed)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {.envelope = true};
	const json_t *warning;
	size_t i;

	if (renewed->code != 0) {
		api_reply_error(request, 0, &renewed->err);
		return;
	}
	json_array_foreach(renewed->warnings, i, warning)
	    api_request_warn(request, "%s", json_string_value(warning));
	answer.lease_id = renewed->lease_id;
	answer.renewable = renewed->renewable;
	answer.lease_duration_s = renewed->ttl_s;
	api_reply(request, &answer);
}

/* How long the token that the lease ends with has left, or the first of its ancestors to end; -1:
 * it ends with none, or they do not end. What cannot be found out is no reason to grant more. */
static int64_t
owner_left_s(const struct api_request *request, const struct store_lease *row)
{
	struct auth *auth = request->api->config.auth;
	struct auth_token token = {0};
	struct auth_identity *identity = NULL;
	struct leased_err err;
	int64_t left_s = 0;
	long long id;

	if (sscanf(row->owner, "token:%lld", &id) != 1)
		return (-1);
	if (request->identity->token == id)
		return (auth_identity_left_s(auth, request->identity));
	if (auth_token_find_id(auth, id, &token, &err) == 0 &&
	    auth_token_identity(auth, &token, &identity, &err) == 0)
		left_s = auth_identity_left_s(auth, identity);
	auth_identity_release(identity);
	auth_token_clear(&token);
	return (left_s);
}

static void
renew_ended(struct api_request *request, const char *lease_id)
{
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r = ended_load(request, lease_id, &ended, &err);

	if (r == LEASED_ENOENT)
		api_reply_refuse(request, LEASED_EINVAL,
		    "lease not found: there is none by this id, or it is not yours");
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		api_reply_refuse(request, LEASED_EINVAL,
		    "lease expired: it has ended (%s), and the account is gone; ask for a new "
		    "credential",
		    lease_ended_cause(ended));
	free(ended);
}

void
api_sys_lease_renew(struct api_request *request)
{
	struct lease_body body;
	struct lease_renew renew = {.cause = request->id};
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!lease_body(request, &body))
		return;
	r = lease_load(request, body.lease_id, &row, &err);
	if (r == LEASED_ENOENT) {
		renew_ended(request, body.lease_id);
	} else if (r != 0) {
		api_reply_error(request, 0, &err);
	} else if (row->kind == STORE_LEASE_TOKEN) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "tokens cannot be renewed through this endpoint: use auth/token/renew");
	} else {
		renew.row = row->id;
		renew.role_deleted =
		    !engine_renew_inputs(request->api->config.engines, row, &renew.ttl);
		renew.ttl.increment_s = body.increment;
		renew.ttl.owner_left_s = owner_left_s(request, row);
		lease_renew_start(request->api->config.leases, &renew, on_renewed, request);
	}
	store_lease_free(row);
	jdec_clear(lease_fields, &body);
}

/* ---- revoke ---- */

static void
on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	switch (state) {
	case LEASE_REVOKE_GONE:
		api_reply_done(request);
		return;
	case LEASE_REVOKE_DISARMED:
		api_request_warn(request,
		    "access has ended; removing the account is still to come%s%s",
		    err != NULL && err->text[0] != '\0' ? ": " : "", err != NULL ? err->text : "");
		api_reply_done(request);
		return;
	case LEASE_REVOKE_RECORDED:
		api_reply_refuse(request, LEASED_EUNAVAIL, "recorded, will be retried: %s",
		    err != NULL && err->text[0] != '\0' ? err->text
							: "the backend has not answered yet");
		return;
	case LEASE_REVOKE_FAILED:
		api_reply_error(request, 0, err);
		return;
	}
}

/* sync=false: it is durable, and that is all the caller waits for. */
static void
on_revoke_recorded(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {.status = 202, .envelope = true};

	if (state == LEASE_REVOKE_FAILED)
		api_reply_error(request, 0, err);
	else
		api_reply(request, &answer);
}

static void
lease_revoke_row(struct api_request *request, int64_t row, bool sync)
{
	const struct api_config *config = &request->api->config;
	struct lease_actor actor = api_request_actor(request);

	lease_revoke_by(config->leases, row, sync ? config->revoke_wait_ms : 0, request->id, &actor,
	    sync ? on_revoked : on_revoke_recorded, request);
}

/* Was it the caller's own, and ended lately? Then revoking it again is no mistake. */
static bool
lease_was_mine(const struct api_request *request, const char *lease_id)
{
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	bool mine = ended_load(request, lease_id, &ended, &err) == 0;

	free(ended);
	return (mine);
}

static void
revoke_missing(struct api_request *request, const char *lease_id)
{
	if (strchr(lease_id, ',') != NULL) { /* a form's repeated names come joined by it */
		api_reply_refuse(request, LEASED_EINVAL,
		    "nothing was revoked: the body has more than one lease_id; send one at a time");
		return;
	}
	if (api_request_has_sudo_over(request, lease_id) || lease_was_mine(request, lease_id)) {
		api_reply_done(request);
		return;
	}
	api_request_warn(request,
	    "nothing was revoked: no lease of yours has this id (revoking those of others needs "
	    "sudo on \"%s\")",
	    UTF8_SHORT(request->path, 100));
	api_reply_data(request, json_pack("{s:b}", "revoked", 0));
}

void
api_sys_lease_revoke(struct api_request *request)
{
	struct lease_body body;
	struct store_lease *row = NULL;
	struct store_damaged damaged;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!lease_body(request, &body))
		return;
	r = lease_load(request, body.lease_id, &row, &err);
	if (r == LEASED_ENOENT) {
		revoke_missing(request, body.lease_id);
	} else if (r == LEASED_ECORRUPT) {
		if (api_lease_damaged(request, body.lease_id, &damaged)) {
			lease_revoke_row(request, damaged.id, body.sync);
			store_damaged_clear(&damaged);
		}
	} else if (r != 0) {
		api_reply_error(request, 0, &err);
	} else if (row->kind == STORE_LEASE_TOKEN) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "tokens cannot be revoked through this endpoint: use auth/token/revoke");
	} else {
		lease_revoke_row(request, row->id, body.sync);
	}
	store_lease_free(row);
	jdec_clear(lease_fields, &body);
}
