/*
 * auth/token over the API: make, look up, renew, end (contract 2.8). The rules of tokens are
 * auth/'s. An accessor is a handle, not a right: one that belongs to somebody else is answered like
 * one that never was, unless the caller has sudo on the path.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"

#define REVOKE_WAIT_MS 5000 /* for the token's leases and children, before the answer */

/* ---- create ---- */

static const struct jdec_field create_fields[] = {
    JDEC_FIELD(struct auth_token_params, id, JDEC_SECRET),
    JDEC_FIELD(struct auth_token_params, policies, JDEC_STRING_LIST),
    JDEC_FIELD(struct auth_token_params, meta, JDEC_STRING_MAP),
    JDEC_FIELD(struct auth_token_params, no_parent, JDEC_BOOL),
    JDEC_FIELD(struct auth_token_params, no_default_policy, JDEC_BOOL),
    JDEC_FIELD(struct auth_token_params, renewable, JDEC_BOOL),
    JDEC_FIELD(struct auth_token_params, num_uses, JDEC_INT),
    JDEC_FIELD(struct auth_token_params, display_name, JDEC_STRING),
    JDEC_FIELD(struct auth_token_params, type, JDEC_STRING),
    {"ttl", JDEC_DURATION_S, offsetof(struct auth_token_params, ttl_s), JDEC_NO_PRESENT},
    {"explicit_max_ttl", JDEC_DURATION_S, offsetof(struct auth_token_params, explicit_max_ttl_s),
	JDEC_NO_PRESENT},
    {"period", JDEC_DURATION_S, offsetof(struct auth_token_params, period_s), JDEC_NO_PRESENT},
    JDEC_END};

/* The auth block. token: NULL for an answer that must not repeat it. */
static json_t *
auth_block(const struct auth_token_created *created, const char *token)
{
	const json_t *data = created->data;

	return (json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:I, s:O?, s:O?, s:s, s:O?, s:n, s:O?}",
	    "client_token", token != NULL ? token : "", "accessor", created->accessor, "policies",
	    json_object_get(data, "policies"), "token_policies", json_object_get(data, "policies"),
	    "metadata", json_object_get(data, "meta"), "lease_duration", (json_int_t)created->ttl_s,
	    "renewable", json_object_get(data, "renewable"), "entity_id",
	    json_object_get(data, "entity"), "token_type", "service", "orphan",
	    json_object_get(data, "orphan"), "mfa_requirement", "num_uses",
	    json_object_get(data, "num_uses")));
}

static void
warn_all(struct api_request *request, const json_t *warnings)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(warnings, i, warning)
	    api_request_warn(request, "%s", json_string_value(warning));
}

static void
on_created(
    void *arg, int code, const struct auth_token_created *created, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);
	struct api_answer answer = {0};

	if (code != 0) {
		api_reply_error(request, 0, err);
		return;
	}
	warn_all(request, created->warnings);
	answer.auth = auth_block(created, leased_secret_reveal(created->token));
	answer.token = created->id;
	api_reply(request, &answer); /* without a block, too: then the token ends */
}

static void
token_create(struct api_request *request, bool orphan)
{
	struct auth_token_params params = {.renewable = true};

	if (!api_request_decode(request, create_fields, &params))
		return;
	params.orphan_path = orphan;
	params.no_parent = params.no_parent || orphan;
	auth_token_create(request->api->config.auth, request->identity,
	    api_request_has_sudo(request), request->path, &params, on_created, request);
	jdec_clear(create_fields, &params);
}

void
api_auth_token_create(struct api_request *request)
{
	token_create(request, false);
}

void
api_auth_token_create_orphan(struct api_request *request)
{
	token_create(request, true);
}

/* ---- which token is meant ---- */

struct token_body {
	struct leased_secret *token;
	char *accessor;
	int64_t increment;
};

static const struct jdec_field token_fields[] = {JDEC_FIELD(struct token_body, token, JDEC_SECRET),
    JDEC_FIELD(struct token_body, accessor, JDEC_STRING),
    JDEC_FIELD(struct token_body, increment, JDEC_DURATION_S), JDEC_END};

static bool
body_names_token(const struct token_body *body)
{
	return (body->token != NULL && leased_secret_len(body->token) > 0);
}

static bool
may_name(struct api_request *request, const struct auth_token *token)
{
	return (api_request_has_sudo(request) ||
		auth_token_is_kin(request->api->config.auth, request->identity, token));
}

/* The token of the body; LEASED_ENOENT when it is none, and when the caller may not name it. */
static int
find_named(struct api_request *request, const struct token_body *body, struct auth_token *ret_token,
    struct leased_err *err)
{
	struct auth_token token = {0};
	int r;

	r = auth_token_find(
	    request->api->config.auth, leased_secret_reveal(body->token), &token, err);
	if (r != 0)
		return (r);
	if (!may_name(request, &token)) {
		auth_token_clear(&token);
		return (leased_err_set(err, LEASED_ENOENT, "bad token"));
	}
	*ret_token = token;
	return (0);
}

/* The token of the body's accessor, if the caller may name it. False: answered. */
static bool
find_accessor(
    struct api_request *request, const struct token_body *body, struct auth_token *ret_token)
{
	struct auth *auth = request->api->config.auth;
	struct auth_token token = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int r = LEASED_ENOENT;

	if (body->accessor != NULL && body->accessor[0] != '\0')
		r = auth_token_find_accessor(auth, body->accessor, &token, &err);
	if (r == 0 && !may_name(request, &token)) {
		auth_token_clear(&token);
		r = LEASED_ENOENT;
	}
	if (r == 0) {
		*ret_token = token;
		return (true);
	}
	if (r == LEASED_ENOENT)
		api_reply_refuse(request, LEASED_EINVAL,
		    "invalid accessor: no token has it, or the token is not yours");
	else
		api_reply_error(request, 0, &err);
	return (false);
}

/* ---- lookup ---- */

static void
reply_token(struct api_request *request, const struct auth_token *token, const char *id)
{
	json_t *data = auth_token_describe(request->api->config.auth, token);

	if (data != NULL && json_object_set_new(data, "id", json_string(id)) != 0) {
		json_decref(data);
		data = NULL;
	}
	api_reply_data(request, data);
}

static void
lookup_self(struct api_request *request)
{
	struct auth *auth = request->api->config.auth;
	json_t *data;

	if (request->identity->token == 0) {
		data = auth_identity_describe(auth, request->identity);
		if (data != NULL && json_object_set_new(data, "id", json_string("")) != 0) {
			json_decref(data);
			data = NULL;
		}
		api_reply_data(request, data);
		return;
	}
	reply_token(request, request->identity->record, request->token);
}

void
api_auth_token_lookup_self(struct api_request *request)
{
	lookup_self(request);
}

void
api_auth_token_lookup(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (!body_names_token(&body)) {
		lookup_self(request);
	} else if ((r = find_named(request, &body, &token, &err)) == LEASED_ENOENT) {
		api_reply_refuse(
		    request, LEASED_EDENIED, "bad token: it is not valid, or it has ended");
	} else if (r != 0) {
		api_reply_error(request, 0, &err);
	} else {
		reply_token(request, &token, leased_secret_reveal(body.token));
	}
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}

void
api_auth_token_lookup_accessor(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (find_accessor(request, &body, &token))
		reply_token(request, &token, "");
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}

/* ---- renew ---- */

struct renewal {
	struct api_request *request;
	struct leased_secret *token; /* to be repeated; NULL: not */
};

static void
on_token_renewed(
    void *arg, int code, const struct auth_token_created *created, const struct leased_err *err)
{
	struct renewal *renewal = arg;
	struct api_request *request = api_request_from(renewal->request);
	struct api_answer answer = {0};

	if (code != 0) {
		api_reply_error(
		    request, code == LEASED_ENOENT || code == LEASED_EDENIED ? 403 : 0, err);
	} else {
		warn_all(request, created->warnings);
		answer.auth = auth_block(
		    created, renewal->token != NULL ? leased_secret_reveal(renewal->token) : NULL);
		if (answer.auth == NULL)
			api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
		else
			api_reply(request, &answer);
	}
	leased_secret_free(renewal->token);
	free(renewal);
}

/* text: the token, or NULL where it was named by its accessor. */
static void
renew_start(struct api_request *request, const struct auth_token *token, const char *text,
    int64_t increment_s)
{
	struct renewal *renewal = calloc(1, sizeof(*renewal));

	if (renewal == NULL ||
	    (text != NULL && (renewal->token = leased_secret_new(text, strlen(text))) == NULL)) {
		free(renewal);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	renewal->request = request;
	auth_token_renew(request->api->config.auth, token, increment_s, on_token_renewed, renewal);
}

static void
renew_self(struct api_request *request, int64_t increment_s)
{
	if (request->identity->token == 0)
		api_reply_refuse(request, LEASED_EINVAL,
		    "there is no token to renew: the kernel says who you are, and that does not "
		    "end");
	else
		renew_start(request, request->identity->record, request->token, increment_s);
}

void
api_auth_token_renew_self(struct api_request *request)
{
	struct token_body body = {0};

	if (!api_request_decode(request, token_fields, &body))
		return;
	renew_self(request, body.increment);
	jdec_clear(token_fields, &body);
}

void
api_auth_token_renew(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (!body_names_token(&body))
		renew_self(request, body.increment);
	else if ((r = find_named(request, &body, &token, &err)) == LEASED_ENOENT)
		api_reply_refuse(
		    request, LEASED_EDENIED, "bad token: it is not valid, or it has ended");
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		renew_start(request, &token, leased_secret_reveal(body.token), body.increment);
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}

void
api_auth_token_renew_accessor(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (find_accessor(request, &body, &token))
		renew_start(request, &token, NULL, body.increment);
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}

/* ---- revoke ---- */

static void
on_token_revoked(
    void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code != 0) {
		api_reply_error(request, 0, err);
		return;
	}
	if (!status->finished)
		api_request_warn(request,
		    "the token is revoked; %lld of the credentials that it made are still being "
		    "ended%s%s",
		    (long long)status->waiting, status->last_error.text[0] != '\0' ? ": " : "",
		    status->last_error.text);
	api_reply_done(request);
}

static void
revoke_start(struct api_request *request, int64_t id)
{
	struct lease_actor actor = api_request_actor(request);

	/* It ends here and now: the use that this request took needs no ending of its own. */
	if (id == request->identity->token)
		request->identity->last_use = false;
	auth_token_revoke(request->api->config.auth, id, REVOKE_WAIT_MS, request->id, &actor,
	    on_token_revoked, request);
}

void
api_auth_token_revoke_self(struct api_request *request)
{
	if (request->identity->token == 0)
		api_reply_refuse(request, LEASED_EINVAL,
		    "there is no token to revoke: the kernel says who you are; your leases end by "
		    "sys/leases/revoke");
	else
		revoke_start(request, request->identity->token);
}

void
api_auth_token_revoke(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (!body_names_token(&body))
		api_reply_refuse(request, LEASED_EINVAL, "token must be given: the one to revoke");
	/* A form's repeated names come joined by a comma, which no token has. */
	else if (strchr(leased_secret_reveal(body.token), ',') != NULL)
		api_reply_refuse(request, LEASED_EINVAL,
		    "nothing was revoked: the body has more than one token; send one at a time");
	/* No question whose it is: who has a token's text can end it by revoke-self, and a 204 that
	 * ends nothing would be a lie to whoever found a leaked one. */
	else if ((r = auth_token_find(request->api->config.auth, leased_secret_reveal(body.token),
		      &token, &err)) == LEASED_ENOENT)
		api_reply_done(request);
	else if (r != 0)
		api_reply_error(request, 0, &err);
	else
		revoke_start(request, token.index.id);
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}

void
api_auth_token_revoke_accessor(struct api_request *request)
{
	struct token_body body = {0};
	struct auth_token token = {0};

	if (!api_request_decode(request, token_fields, &body))
		return;
	if (find_accessor(request, &body, &token))
		revoke_start(request, token.index.id);
	auth_token_clear(&token);
	jdec_clear(token_fields, &body);
}
