/*
 * identity/oidc/token/:role, and token/NAME/jwt/:role: a token for who asks. Signed first, by a
 * worker, since that changes nothing; then its lease is durable; then it is told. The lease knows
 * the token by its jti (the account) and by its hash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "engine/claims.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/jwt.h"
#include "engine/jwt_paths.h"
#include "engine/jwt_read.h"
#include "engine/token.h"
#include "lease/plain.h"

struct jwt_issue {
	struct engine_request_copy *request;
	struct store_doc *role;
	char *key_name;
	char kid[65], jti[JWT_JTI_LEN + 1], owner[64], place[JWT_PLACE_MAX];
	struct lease_ttl_input ttl;
	int64_t ttl_s, exp_s, owner_token;
	json_t *claims, *engine;
	json_t *token; /* its text */
	bool again;    /* the key was rotated while it was being signed */
};

static void
issue_free(void *state)
{
	struct jwt_issue *issue = state;

	store_doc_free(issue->role);
	json_decref(issue->claims);
	json_decref(issue->engine);
	json_decref(issue->token);
	free(issue->key_name);
	free(issue);
}

static const char *
role_text(const struct jwt_issue *issue, const char *field)
{
	const char *text = json_string_value(json_object_get(issue->role->data, field));

	return (text != NULL ? text : "");
}

static int64_t
role_number(const struct jwt_issue *issue, const char *field)
{
	return (json_integer_value(json_object_get(issue->role->data, field)));
}

/* ---- the answer ---- */

static void
on_leased(void *arg, const struct lease_issued *issued)
{
	struct engine_request_copy *request = arg;
	struct jwt_issue *issue = request->state;
	const json_t *warning;
	size_t i;

	if (issued->code != 0) {
		engine_fail(request, issued->code, "%s", issued->err.text);
		return;
	}
	json_array_foreach(issued->warnings, i, warning)
	    engine_warn(request, "%s", json_string_value(warning));
	request->reply.data = json_pack("{s:O,s:s,s:I,s:s}", "token", issue->token, "client_id",
	    role_text(issue, "client_id"), "ttl", (json_int_t)issued->ttl_s, "jti", issue->jti);
	request->reply.lease_id = issued->lease_id;
	request->reply.lease_row = issued->row;
	request->reply.lease_duration_s = issued->ttl_s;
	request->reply.renewable = false;
	if (request->reply.data == NULL) {
		lease_delivery(request->engines->leases, issued->row, false);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	engine_finish(request);
}

static void
lease_begin(struct jwt_issue *issue)
{
	struct engine_request_copy *request = issue->request;
	struct lease_issue lease = {.mount = request->mount_id,
	    .place = issue->place,
	    .role_name = request->name,
	    .display_name = request->display_name,
	    .owner = issue->owner,
	    .owner_token = issue->owner_token,
	    .entity = request->entity,
	    .cause = request->request_id,
	    .account = issue->jti,
	    .engine = issue->engine,
	    .fixed = true,
	    .ttl = issue->ttl};

	(void)snprintf(lease.caps[0].counter, sizeof(lease.caps[0].counter), "role:%lld",
	    (long long)issue->role->id);
	lease.caps[0].limit = role_number(issue, "max_leases");
	lease.caps[0].what = "max_leases of this role";
	(void)snprintf(
	    lease.caps[1].counter, sizeof(lease.caps[1].counter), "entity:%s", request->entity);
	lease.caps[1].limit = request->max_leases;
	lease.caps[1].what = "max_leases of your identity";
	(void)snprintf(lease.caps[2].counter, sizeof(lease.caps[2].counter), "conn:%lld",
	    (long long)request->mount_id);
	lease.caps[2].limit = TOKEN_CEILING;
	lease.caps[2].what = "tokens of this mount";
	lease_plain_start(request->engines->leases, &lease, on_leased, request);
}

/* ---- signing ---- */

static void sign(struct jwt_issue *issue);

static void
on_signed(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_request_copy *request = arg;
	struct jwt_issue *issue = request->state;
	struct leased_err err = LEASED_ERR_INIT;
	char hash[JWT_HASH_SIZE];

	/* The pair was changed while this waited for a worker, which has the new one only. */
	if (outcome->code == LEASED_ENOENT && !issue->again) {
		issue->again = true;
		sign(issue);
		return;
	}
	if (outcome->code != 0) {
		engine_fail(request,
		    outcome->code == LEASED_ETOOBIG ? LEASED_EINVAL : LEASED_EUNAVAIL, "%s",
		    outcome->err.text);
		return;
	}
	FAILPOINT(engine_jwt_after_sign);
	issue->token = json_incref(json_object_get(outcome->result, "token"));
	if (!engine_mount_is_open(request)) {
		engine_fail(request, LEASED_EUNAVAIL, "leased is stopping");
		return;
	}
	if (engine_jwt_hash(json_string_value(issue->token), hash, &err) == 0)
		issue->engine = json_pack("{s:s,s:s,s:I,s:s,s:s,s:O}", "type", "identity", "jti",
		    issue->jti, "exp", (json_int_t)issue->exp_s, "hash", hash, "kid", issue->kid,
		    "aud", json_object_get(issue->claims, "aud"));
	if (issue->engine == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
	else
		lease_begin(issue);
}

static void
sign(struct jwt_issue *issue)
{
	struct engine_request_copy *request = issue->request;
	struct engine_jwt *jwt = request->engines->jwt;
	const struct jwt_key *key = engine_jwt_key_find(jwt, issue->key_name);
	const char *kid = key != NULL ? engine_jwt_text(key, "current", "kid") : NULL;
	struct leased_err err = LEASED_ERR_INIT;

	if (kid == NULL) {
		engine_fail(request, LEASED_EINVAL, "key \"%s\" not found", issue->key_name);
		return;
	}
	(void)strlcpy(issue->kid, kid, sizeof(issue->kid));
	if (engine_jwt_open(jwt, false, &err) != 0)
		engine_fail_err(request, &err);
	else if (plugin_call_start(jwt->port, PLUGIN_OP_SIGN,
		     json_pack("{s:s,s:O}", "key", kid, "claims", issue->claims), 0, on_signed,
		     request) == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
}

/* ---- what is signed ---- */

static int
ttl_fill(struct jwt_issue *issue, const struct jwt_key *key, struct leased_err *err)
{
	struct engine_request_copy *request = issue->request;
	int64_t covered_s = engine_jwt_number(key, NULL, "verification_ttl");
	struct lease_ttl ttl = {0};
	int r;

	issue->ttl.role_ttl_s = role_number(issue, "ttl");
	issue->ttl.role_max_s = covered_s;
	issue->ttl.owner_left_s = -1;
	engine_mount_ttls(
	    request->engines, request->mount, &issue->ttl.mount_default_s, &issue->ttl.mount_max_s);
	if (request->token != 0 && strcmp(role_text(issue, "lease_owner"), "identity") != 0) {
		(void)snprintf(
		    issue->owner, sizeof(issue->owner), "token:%lld", (long long)request->token);
		issue->owner_token = request->token;
		issue->ttl.owner_left_s = request->token_left_s;
	} else
		(void)snprintf(issue->owner, sizeof(issue->owner), "entity:%s", request->entity);
	issue->ttl.start_ms = issue->ttl.now_ms = leases_now_ms(request->engines->leases);
	if ((r = lease_ttl_compute(&issue->ttl, &ttl, err)) != 0)
		return (r);
	issue->ttl_s = ttl.ttl_s;
	return (0);
}

/* One audience is a text, more are a list (RFC 7519, 4.1.3). */
static json_t *
audience(const struct jwt_issue *issue)
{
	json_t *list = json_object_get(issue->role->data, "audience");

	if (json_array_size(list) == 0)
		return (json_incref(json_object_get(issue->role->data, "client_id")));
	return (json_incref(json_array_size(list) == 1 ? json_array_get(list, 0) : list));
}

static int
template_fill(struct jwt_issue *issue, int64_t now_s, struct leased_err *err)
{
	struct engine_request_copy *request = issue->request;
	struct claims_source source = {.entity = request->entity, .now_s = now_s};
	struct store_doc *entity = NULL;
	const char *template = role_text(issue, "template");
	int r;

	if (template[0] == '\0')
		return ((issue->claims = json_object()) != NULL
			    ? 0
			    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = engine_doc_recall(request->engines, "entity", request->entity, &entity, err);
	if (r == LEASED_ENOENT)
		r = leased_err_set(
		    err, LEASED_EINVAL, "no entity associated with the request's token");
	if (r == 0) {
		source.entity_data = entity->data;
		r = engine_claims_make(template, &source, &issue->claims, err);
	}
	store_doc_free(entity);
	return (r);
}

static int
claims_fill(struct jwt_issue *issue, struct leased_err *err)
{
	struct engine_request_copy *request = issue->request;
	int64_t now_s = wclock_wall_ms(request->engines->config.clock) / 1000;
	char *issuer = NULL;
	int r;

	if ((r = engine_jwt_issuer(request->engines, &issuer, err)) != 0 ||
	    (r = template_fill(issue, now_s, err)) != 0) {
		free(issuer);
		return (r);
	}
	issue->exp_s = now_s + issue->ttl_s;
	memcpy(issue->jti, "j-", 2);
	id_base62(request->engines->config.ids, JWT_JTI_LEN - 2, issue->jti + 2);
	r = json_object_set_new(issue->claims, "iss", json_string(issuer)) |
	    json_object_set_new(issue->claims, "sub", json_string(request->entity)) |
	    json_object_set_new(issue->claims, "aud", audience(issue)) |
	    json_object_set_new(issue->claims, "iat", json_integer((json_int_t)now_s)) |
	    json_object_set_new(issue->claims, "exp", json_integer((json_int_t)issue->exp_s)) |
	    json_object_set_new(issue->claims, "jti", json_string(issue->jti)) |
	    json_object_set_new(issue->claims, "namespace", json_string("root"));
	free(issuer);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
role_get(struct jwt_issue *issue, struct leased_err *err)
{
	struct engine_request_copy *request = issue->request;
	const struct engine_mount *identity = engine_jwt_mount(request->engines);
	char full[ENGINE_DOC_NAME_SIZE];

	if (identity == NULL)
		return (LEASED_ENOENT);
	engine_doc_name(identity->id, request->name, full);
	return (engine_doc_recall(request->engines, "oidc-role", full, &issue->role, err));
}

static int
issue_prepare(struct jwt_issue *issue, struct leased_err *err)
{
	struct engine_request_copy *request = issue->request;
	const struct jwt_key *key;
	int r;

	if (request->entity[0] == '\0')
		return (leased_err_set(
		    err, LEASED_EINVAL, "no entity associated with the request's token"));
	if ((r = role_get(issue, err)) == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL, "role \"%s\" not found", request->name));
	if (r != 0)
		return (r);
	if ((issue->key_name = strdup(role_text(issue, "key"))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((key = engine_jwt_key_find(request->engines->jwt, issue->key_name)) == NULL)
		return (
		    leased_err_set(err, LEASED_EINVAL, "key \"%s\" not found", issue->key_name));
	if (!engine_role_is_allowed(
		json_object_get(key->data, "allowed_client_ids"), role_text(issue, "client_id")))
		return (leased_err_set(err, LEASED_EINVAL,
		    "the key \"%s\" does not list the client ID of the role \"%s\" as an allowed "
		    "client ID: add it to allowed_client_ids",
		    issue->key_name, request->name));
	if ((r = leases_time_check(request->engines->leases, err)) != 0 ||
	    (r = ttl_fill(issue, key, err)) != 0)
		return (r);
	return (claims_fill(issue, err));
}

static void
issue_start(struct engine_request_copy *request, const char *place)
{
	struct jwt_issue *issue;
	struct leased_err err = LEASED_ERR_INIT;

	if (request->head) {
		request->reply.status = 405;
		engine_fail(request, LEASED_EINVAL, "HEAD would make a token; use GET");
		return;
	}
	if ((issue = calloc(1, sizeof(*issue))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	issue->request = request;
	request->state = issue;
	request->free_state = issue_free;
	(void)snprintf(issue->place, sizeof(issue->place), "%s/%s", place, request->name);
	if (issue_prepare(issue, &err) != 0)
		engine_fail_err(request, &err);
	else
		sign(issue);
}

void
engine_jwt_token(struct engine_request_copy *request)
{
	issue_start(request, "oidc/token");
}

void
engine_jwt_token_alias(struct engine_request_copy *request)
{
	issue_start(request, "jwt");
}
