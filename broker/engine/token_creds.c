/*
 * <mount>/creds/:role of the token engine: a fresh opaque token, as a lease without a backend. The
 * token is told once; its lease keeps an HMAC of its random part, and what it is good for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/utf8.h"
#include "engine/document.h"
#include "engine/token.h"

struct token_creds {
	struct store_doc *role;
	json_t *scopes; /* granted */
	char random[OPAQUE_RANDOM_LEN + 1];
	char place[300], owner[64];
};

static void
creds_free(void *state)
{
	struct token_creds *creds = state;

	store_doc_free(creds->role);
	json_decref(creds->scopes);
	leased_wipe(creds, sizeof(*creds));
	free(creds);
}

/* ---- what is asked for ---- */

struct creds_body {
	char *scope;
	struct jdec_list scopes;
	int64_t ttl;
};
static const struct jdec_field creds_fields[] = {
    JDEC_FIELD(struct creds_body, scope, JDEC_STRING),
    JDEC_FIELD(struct creds_body, scopes, JDEC_COMMA_LIST),
    JDEC_FIELD(struct creds_body, ttl, JDEC_DURATION_S),
    {"role", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const creds_field_names[] = {"scope", "scopes", "ttl", NULL};

static bool
is_among(const json_t *texts, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(texts, i, item)
	{
		if (strcmp(json_string_value(item), text) == 0)
			return (true);
	}
	return (false);
}

static int
scope_grant(struct token_creds *creds, const char *scope, struct leased_err *err)
{
	if (!is_among(json_object_get(creds->role->data, "scopes"), scope))
		return (leased_err_set(err, LEASED_EINVAL,
		    "invalid_scope: this role does not give \"%s\"", UTF8_SHORT(scope, 64)));
	if (!is_among(creds->scopes, scope) &&
	    json_array_append_new(creds->scopes, json_string(scope)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* Asked for as OAuth writes it ("a b"), as a list, or not at all: then the role's default. */
static int
scopes_grant(struct token_creds *creds, struct creds_body *body, struct leased_err *err)
{
	json_t *otherwise = json_object_get(creds->role->data, "default_scopes");
	char *left = body->scope, *scope;
	bool has_text = left != NULL && left[0] != '\0';
	int r = 0;

	if ((creds->scopes = json_array()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	while (r == 0 && left != NULL && (scope = strsep(&left, " ")) != NULL)
		if (scope[0] != '\0')
			r = scope_grant(creds, scope, err);
	for (size_t i = 0; i < body->scopes.count && r == 0; i++)
		r = scope_grant(creds, body->scopes.items[i], err);
	if (r != 0 || json_array_size(creds->scopes) > 0)
		return (r);
	if (has_text)
		return (leased_err_set(
		    err, LEASED_EINVAL, "invalid_scope: scope holds blanks and names none"));
	if (json_array_size(otherwise) == 0)
		otherwise = json_object_get(creds->role->data, "scopes");
	return (json_array_extend(creds->scopes, otherwise) == 0
		    ? 0
		    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- the lease ---- */

static void
on_issued(void *arg, const struct lease_issued *issued)
{
	struct engine_request_copy *request = arg;
	struct token_creds *creds = request->state;
	const json_t *role = creds->role->data;
	char token[OPAQUE_SIZE], jti[TOKEN_JTI_SIZE], *scope;
	const json_t *warning;
	size_t i;

	if (issued->code != 0) {
		engine_fail(request, issued->code, "%s", issued->err.text);
		return;
	}
	scope = engine_token_scope_text(creds->scopes);
	engine_token_jti(store_tag(request->engines->config.store), issued->row, jti);
	if (scope != NULL && opaque_format(json_string_value(json_object_get(role, "prefix")),
				 issued->row, creds->random, token) == 0)
		request->reply.data = json_pack("{s:s, s:s, s:s, s:O, s:O, s:s}", "token", token,
		    "token_type", "Bearer", "scope", scope, "scopes", creds->scopes, "audience",
		    json_object_get(role, "audience"), "jti", jti);
	leased_wipe(token, sizeof(token));
	free(scope);
	json_array_foreach(issued->warnings, i, warning)
	    engine_warn(request, "%s", json_string_value(warning));
	if (request->reply.data == NULL) {
		/* Nobody can have it: say that it was lost, so that it is taken back at once. */
		lease_delivery(request->engines->leases, issued->row, false);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->reply.lease_id = issued->lease_id;
	request->reply.lease_row = issued->row;
	request->reply.lease_duration_s = issued->ttl_s;
	request->reply.renewable = json_is_true(json_object_get(role, "renewable"));
	engine_finish(request);
}

static void
caps_fill(struct engine_request_copy *request, struct lease_issue *issue)
{
	const struct token_creds *creds = request->state;
	struct lease_cap *cap = issue->caps;

	(void)snprintf(
	    cap->counter, sizeof(cap->counter), "conn:%lld", (long long)request->mount_id);
	cap->limit = TOKEN_CEILING;
	cap->what = "tokens of this mount";
	cap++;
	(void)snprintf(cap->counter, sizeof(cap->counter), "role:%lld", (long long)creds->role->id);
	cap->limit = json_integer_value(json_object_get(creds->role->data, "max_leases"));
	cap->what = "max_leases of this role";
	if (request->entity[0] == '\0')
		return;
	cap++;
	(void)snprintf(cap->counter, sizeof(cap->counter), "entity:%s", request->entity);
	cap->limit = request->max_leases;
	cap->what = "max_leases of your identity";
}

static void
owner_fill(struct engine_request_copy *request, struct lease_issue *issue)
{
	struct token_creds *creds = request->state;
	const char *owner = json_string_value(json_object_get(creds->role->data, "lease_owner"));
	bool by_identity = owner != NULL && strcmp(owner, "identity") == 0;

	issue->ttl.owner_left_s = -1;
	if (request->token != 0 && !(by_identity && request->entity[0] != '\0')) {
		(void)snprintf(
		    creds->owner, sizeof(creds->owner), "token:%lld", (long long)request->token);
		issue->owner_token = request->token;
		issue->ttl.owner_left_s = request->token_left_s;
	} else
		(void)snprintf(creds->owner, sizeof(creds->owner), "entity:%s", request->entity);
	issue->owner = creds->owner;
}

/* A new object: what the lease keeps of the token. NULL with err. */
static json_t *
engine_object(struct engine_request_copy *request, struct leased_err *err)
{
	struct token_creds *creds = request->state;
	const json_t *role = creds->role->data;
	char mac[TOKEN_MAC_SIZE], *scope;
	json_t *object;

	id_base62(request->engines->config.ids, OPAQUE_RANDOM_LEN, creds->random);
	if (engine_token_mac(request->engines, creds->random, mac, err) != 0)
		return (NULL);
	scope = engine_token_scope_text(creds->scopes);
	object =
	    scope == NULL
		? NULL
		: json_pack("{s:s, s:s, s:s, s:s, s:O, s:s, s:O, s:O}", "type", "token", "kind",
		      "opaque", "tag", store_tag(request->engines->config.store), "mac", mac,
		      "prefix", json_object_get(role, "prefix"), "scope", scope, "aud",
		      json_object_get(role, "audience"), "iss", json_object_get(role, "issuer"));
	free(scope);
	if (object == NULL)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	return (object);
}

static void
creds_issue(struct engine_request_copy *request, int64_t increment_s)
{
	struct token_creds *creds = request->state;
	const json_t *role = creds->role->data;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *engine = engine_object(request, &err);
	struct lease_issue issue = {.mount = request->mount_id,
	    .place = creds->place,
	    .role_name = request->name,
	    .display_name = request->display_name,
	    .entity = request->entity,
	    .cause = request->request_id,
	    .engine = engine,
	    .fixed = !json_is_true(json_object_get(role, "renewable"))};

	if (engine == NULL) {
		engine_fail_err(request, &err);
		return;
	}
	(void)snprintf(creds->place, sizeof(creds->place), "creds/%s", request->name);
	issue.ttl.increment_s = increment_s;
	issue.ttl.role_ttl_s = json_integer_value(json_object_get(role, "ttl"));
	issue.ttl.role_max_s = json_integer_value(json_object_get(role, "max_ttl"));
	engine_mount_ttls(
	    request->engines, request->mount, &issue.ttl.mount_default_s, &issue.ttl.mount_max_s);
	owner_fill(request, &issue);
	caps_fill(request, &issue);
	/* In this turn of the loop, as everything since the mount was looked up. */
	lease_plain_start(request->engines->leases, &issue, on_issued, request);
	json_decref(engine);
}

void
engine_token_creds(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct creds_body body = {0};
	struct token_creds *creds;
	json_t *unknown = NULL;
	int r;

	if (request->head) {
		request->reply.status = 405;
		engine_fail(request, LEASED_EINVAL, "HEAD would make a token; use GET");
		return;
	}
	if ((creds = calloc(1, sizeof(*creds))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->state = creds;
	request->free_state = creds_free;
	r = engine_doc_look(
	    request->engines, "role", request->mount_id, request->name, &creds->role, &err);
	if (r == LEASED_ENOENT)
		r = leased_err_set(&err, LEASED_EINVAL, "unknown role: %s", request->name);
	if (r == 0 && (r = jdec_decode(request->body, creds_fields, &body, &unknown, &err)) == 0)
		r = scopes_grant(creds, &body, &err);
	engine_warn_unknown(request, unknown, creds_field_names);
	json_decref(unknown);
	if (r != 0)
		engine_fail_err(request, &err);
	else
		creds_issue(request, body.ttl);
	jdec_clear(creds_fields, &body);
}

bool
engine_token_renew_inputs(struct engines *engines, const struct engine_mount *mount,
    const struct store_lease *row, struct lease_ttl_input *ret_ttl)
{
	struct lease_ttl_input input = {.owner_left_s = -1};
	const char *slash = strchr(row->place, '/');
	struct store_doc *role = NULL;

	if (slash == NULL ||
	    engine_doc_get(engines, "role", row->mount, slash + 1, &role, NULL) != 0)
		return (false);
	input.role_ttl_s = json_integer_value(json_object_get(role->data, "ttl"));
	input.role_max_s = json_integer_value(json_object_get(role->data, "max_ttl"));
	engine_mount_ttls(engines, mount, &input.mount_default_s, &input.mount_max_s);
	store_doc_free(role);
	*ret_ttl = input;
	return (true);
}
