/*
 * <mount>/roles/:name of the token engine: which tokens a role makes. Tokens keep what they were
 * issued with; only renewals ask the role again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/utf8.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/token.h"

struct token_role_body {
	char *prefix, *issuer, *lease_owner;
	struct jdec_list scopes, default_scopes, audience;
	int64_t ttl, max_ttl, max_leases;
	bool renewable;
};
static const struct jdec_field role_fields[] = {
    JDEC_FIELD(struct token_role_body, prefix, JDEC_STRING),
    JDEC_FIELD(struct token_role_body, scopes, JDEC_COMMA_LIST),
    JDEC_FIELD(struct token_role_body, default_scopes, JDEC_COMMA_LIST),
    JDEC_FIELD(struct token_role_body, audience, JDEC_COMMA_LIST),
    JDEC_FIELD(struct token_role_body, issuer, JDEC_STRING),
    JDEC_FIELD(struct token_role_body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct token_role_body, max_ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct token_role_body, renewable, JDEC_BOOL),
    JDEC_FIELD(struct token_role_body, max_leases, JDEC_INT),
    JDEC_FIELD(struct token_role_body, lease_owner, JDEC_STRING),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const role_field_names[] = {"prefix", "scopes", "default_scopes", "audience",
    "issuer", "ttl", "max_ttl", "renewable", "max_leases", "lease_owner", NULL};

struct token_role_write {
	struct engine_change change; /* first */
	struct token_role_body body;
	struct store_doc *doc;
};

static void
role_write_free(void *state)
{
	struct token_role_write *write = state;

	jdec_clear(role_fields, &write->body);
	store_doc_free(write->doc);
	free(write);
}

void
engine_token_role_read(struct engine_request_copy *request)
{
	engine_database_role_read(request); /* a role's document is what is told of it */
}

void
engine_token_role_delete(struct engine_request_copy *request)
{
	engine_database_role_delete(request);
}

/* ---- write ---- */

static int
scopes_check(const struct token_role_body *body, struct leased_err *err)
{
	bool known;
	int r = 0;

	if (body->scopes.count > TOKEN_SCOPES_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "scopes: a role has at most %d", TOKEN_SCOPES_MAX));
	for (size_t i = 0; i < body->scopes.count && r == 0; i++)
		if ((r = engine_token_scope_check(body->scopes.items[i], err)) != 0)
			(void)leased_err_prefix(err, "scopes");
	for (size_t i = 0; i < body->default_scopes.count && r == 0; i++) {
		known = false;
		for (size_t j = 0; j < body->scopes.count && !known; j++)
			known = strcmp(body->default_scopes.items[i], body->scopes.items[j]) == 0;
		if (!known)
			r = leased_err_set(err, LEASED_EINVAL,
			    "default_scopes: \"%s\" is not among the role's scopes",
			    UTF8_SHORT(body->default_scopes.items[i], 64));
	}
	return (r);
}

static int
audience_check(const struct token_role_body *body, struct leased_err *err)
{
	size_t bytes = body->issuer != NULL ? strlen(body->issuer) : 0;

	if (body->audience.count > TOKEN_AUDIENCES_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "audience: at most %d", TOKEN_AUDIENCES_MAX));
	for (size_t i = 0; i < body->audience.count; i++) {
		bytes += strlen(body->audience.items[i]);
		if (body->audience.items[i][0] == '\0')
			return (leased_err_set(err, LEASED_EINVAL, "audience: one is empty"));
	}
	if (bytes > 1024)
		return (leased_err_set(
		    err, LEASED_EINVAL, "audience and issuer have more than 1024 bytes together"));
	return (0);
}

static int
role_check(struct token_role_body *body, struct leased_err *err)
{
	const char *owner = body->lease_owner;
	int r;

	if (body->prefix != NULL && body->prefix[0] != '\0' && !opaque_prefix_is_good(body->prefix))
		return (leased_err_set(err, LEASED_EINVAL,
		    "prefix: \"%s\" is no prefix: a small letter, and 1 to 15 small letters or "
		    "digits; the _ behind it is put there",
		    UTF8_SHORT(body->prefix, 64)));
	if (body->max_ttl > 0 && body->max_ttl < body->ttl)
		return (leased_err_set(err, LEASED_EINVAL, "max_ttl (%lld s) is below ttl (%lld s)",
		    (long long)body->max_ttl, (long long)body->ttl));
	if (body->max_leases < 0)
		return (leased_err_set(err, LEASED_EINVAL, "max_leases: cannot be negative"));
	if (owner != NULL && owner[0] != '\0' && strcmp(owner, "token") != 0 &&
	    strcmp(owner, "identity") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "lease_owner: token (its leases end with the token that asked for them) or "
		    "identity"));
	if ((r = scopes_check(body, err)) != 0)
		return (r);
	return (audience_check(body, err));
}

/* What stands in the lease of each token besides must fit, too: see engine_token_creds(). */
static int
doc_build(struct engine_request_copy *request, struct token_role_write *write,
    const struct store_doc *current, struct leased_err *err)
{
	const struct token_role_body *body = &write->body;
	json_t *data;

	data = json_pack("{s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:b, s:I, s:s}", "prefix",
	    body->prefix != NULL && body->prefix[0] != '\0' ? body->prefix : TOKEN_PREFIX, "scopes",
	    engine_list_json(&body->scopes), "default_scopes",
	    engine_list_json(&body->default_scopes), "audience", engine_list_json(&body->audience),
	    "issuer", body->issuer != NULL ? body->issuer : "", "ttl", (json_int_t)body->ttl,
	    "max_ttl", (json_int_t)body->max_ttl, "renewable", (int)body->renewable, "max_leases",
	    (json_int_t)body->max_leases, "lease_owner",
	    body->lease_owner != NULL && body->lease_owner[0] != '\0' ? body->lease_owner
								      : "token");
	if (data != NULL && json_dumpb(data, NULL, 0, JSON_COMPACT) > LEASE_ENGINE_MAX - 512) {
		json_decref(data);
		return (leased_err_set(err, LEASED_EINVAL,
		    "the role is too long: scopes and audience have to fit into the record of "
		    "each token, %d bytes in all",
		    LEASE_ENGINE_MAX - 512));
	}
	write->doc = engine_doc_new("role", request->mount_id, request->name, data);
	if (write->doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	return (0);
}

/* The body over what is stored: fields that the body leaves out keep their value. */
static int
role_decode(struct engine_request_copy *request, struct token_role_write *write,
    const struct store_doc *current, struct leased_err *err)
{
	json_t *merged = current != NULL ? json_copy(current->data) : json_object();
	json_t *unknown = NULL, *value;
	const char *key;
	int r = merged == NULL ? -1 : 0;

	json_object_foreach(request->body, key, value)
	{
		if (r == 0 && !json_is_null(value))
			r = json_object_set(merged, key, value);
	}
	if (r != 0) {
		json_decref(merged);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	write->body.renewable = true;
	r = jdec_decode(merged, role_fields, &write->body, &unknown, err);
	json_decref(merged);
	if (r == 0)
		engine_warn_unknown(request, unknown, role_field_names);
	json_decref(unknown);
	return (r);
}

static void
on_role_written(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "role %s was changed by somebody else meanwhile; read it and write again",
		    request->name);
	} else if (code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_token_role_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct token_role_write *write;
	bool damaged = false;
	int r;

	if ((write = calloc(1, sizeof(*write))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->state = write;
	request->free_state = role_write_free;
	r = engine_doc_get_any(
	    request->engines, "role", request->mount_id, request->name, &current, &damaged, &err);
	if (r == 0 && (r = role_decode(request, write, current, &err)) == 0 &&
	    (r = role_check(&write->body, &err)) == 0)
		r = doc_build(request, write, current, &err);
	store_doc_free(current);
	if (damaged)
		engine_doc_tell_replaced(request, r, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	write->change.puts[0] = write->doc;
	write->change.mount = request->mount_id;
	write->change.done = on_role_written;
	write->change.arg = request;
	engine_change_submit(request->engines, &write->change);
}
