/*
 * identity/oidc/role/:n: which key signs, for whom, for how long, and with which claims.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/path.h"
#include "engine/claims.h"
#include "engine/jwt.h"
#include "engine/jwt_paths.h"

#define DAY_S 86400
#define CLIENT_ID_LEN 26
#define AUDIENCE_MAX 32
#define TEXT_MAX 512

struct role_body {
	char *key, *template, *client_id, *lease_owner;
	int64_t ttl, max_leases;
	struct jdec_list audience;
};
static const struct jdec_field role_fields[] = {
    JDEC_FIELD(struct role_body, key, JDEC_STRING),
    JDEC_FIELD(struct role_body, template, JDEC_STRING),
    JDEC_FIELD(struct role_body, client_id, JDEC_STRING),
    JDEC_FIELD(struct role_body, lease_owner, JDEC_STRING),
    JDEC_FIELD(struct role_body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct role_body, max_leases, JDEC_INT),
    JDEC_FIELD(struct role_body, audience, JDEC_COMMA_LIST),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const role_names[] = {
    "key", "template", "client_id", "lease_owner", "ttl", "max_leases", "audience", NULL};

struct role_write {
	struct store_op op; /* first */
	struct engine_request_copy *request;
	struct store_doc *doc;
	char *key;
	int64_t mount;
};

static void
role_write_free(void *state)
{
	struct role_write *write = state;

	store_doc_free(write->doc);
	free(write->key);
	free(write);
}

/* ---- read, delete ---- */

void
engine_jwt_role_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	r = engine_jwt_doc(request->engines, "oidc-role", request->name, &doc, &err);
	if (r == 0)
		request->reply.data = json_incref(doc->data);
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

static void
on_deleted(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code != 0 && code != LEASED_ENOENT)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_jwt_role_delete(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_change *change;
	struct store_doc *doc = NULL;
	int r;

	r = engine_jwt_doc(request->engines, "oidc-role", request->name, &doc, &err);
	if (r == LEASED_ENOENT) {
		engine_finish(request);
		return;
	}
	if (r == 0 && (change = calloc(1, sizeof(*change))) != NULL) {
		change->deletes[0].id = doc->id;
		change->deletes[0].version = doc->version;
		change->done = on_deleted;
		change->arg = request;
		request->state = change;
		request->free_state = free;
		engine_change_submit(request->engines, change);
	} else
		engine_fail(
		    request, r != 0 ? r : LEASED_ENOMEM, "%s", r != 0 ? err.text : "out of memory");
	store_doc_free(doc);
}

/* ---- write ---- */

/* The key must be there in the transaction: a delete of it looks for roles in its own. */
static int
role_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct role_write *write = (struct role_write *)op;
	struct store_doc *key = NULL, *mount = NULL;
	char full[ENGINE_DOC_NAME_SIZE];
	int r;

	engine_doc_name(write->mount, write->key, full);
	r = store_doc_get(store_txn_db(txn), "oidc-key", full, &key, err);
	store_doc_free(key);
	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL, "cannot find key \"%s\"", write->key));
	if (r == 0)
		r = store_doc_get_id(store_txn_db(txn), write->mount, &mount, err);
	store_doc_free(mount);
	if (r != 0 || (r = store_doc_put(txn, write->doc, err)) != 0)
		return (r);
	return (FAILPOINT_ERROR(engine_jwt_role, err));
}

static void
role_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct role_write *write = (struct role_write *)op;
	struct engine_request_copy *request = write->request;
	struct engines *engines = request->engines;

	if (result == LEASED_ECONFLICT || result == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "role %s was changed by somebody else meanwhile; read it and write again",
		    request->name);
	} else if (result != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
	engines_release(engines);
}

static void
role_submit(struct role_write *write)
{
	write->op.run = role_run;
	write->op.done = role_done;
	engines_hold(write->request->engines);
	store_submit(write->request->engines->config.store, &write->op);
}

static void
on_default_made(void *arg, int code, const struct leased_err *err)
{
	struct role_write *write = arg;

	if (code != 0 && code != LEASED_EEXIST)
		engine_fail_err(write->request, err);
	else if (!engine_mount_is_open(write->request))
		engine_fail(write->request, LEASED_EUNAVAIL, "leased is stopping");
	else
		role_submit(write);
}

static bool
text_fits(const char *text)
{
	return (text == NULL || strlen(text) <= TEXT_MAX);
}

static int
check_body(struct engine_jwt *jwt, const struct role_body *body, struct leased_err *err)
{
	const struct jwt_key *key;
	int64_t covered_s = DAY_S;

	if (body->key == NULL || !path_is_name(body->key, strlen(body->key)))
		return (leased_err_set(err, LEASED_EINVAL, "the key parameter is required"));
	key = engine_jwt_key_find(jwt, body->key);
	if (key == NULL && strcmp(body->key, "default") != 0)
		return (leased_err_set(err, LEASED_EINVAL, "cannot find key \"%s\"", body->key));
	if (key != NULL)
		covered_s = engine_jwt_number(key, NULL, "verification_ttl");
	if (body->ttl < 1 || body->ttl > covered_s)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a role's token ttl cannot be longer than the verification_ttl of the key it "
		    "references, which is %llds, nor 0",
		    (long long)covered_s));
	if (body->max_leases < 0)
		return (leased_err_set(err, LEASED_EINVAL, "max_leases: not below 0"));
	if (body->lease_owner != NULL && strcmp(body->lease_owner, "token") != 0 &&
	    strcmp(body->lease_owner, "identity") != 0)
		return (leased_err_set(err, LEASED_EINVAL, "lease_owner: token or identity"));
	if (body->audience.count > AUDIENCE_MAX || !text_fits(body->client_id))
		return (leased_err_set(err, LEASED_EINVAL,
		    "audience: at most %d; each, and client_id, at most %d bytes", AUDIENCE_MAX,
		    TEXT_MAX));
	for (size_t i = 0; i < body->audience.count; i++)
		if (body->audience.items[i][0] == '\0' || !text_fits(body->audience.items[i]))
			return (leased_err_set(
			    err, LEASED_EINVAL, "audience: each has 1 to %d bytes", TEXT_MAX));
	return (0);
}

/* The body over what is stored: fields that the body leaves out keep their value. */
static int
decode(const struct engine_request_copy *request, const struct store_doc *current,
    struct role_body *body, json_t **ret_unknown, struct leased_err *err)
{
	json_t *merged = current != NULL ? json_copy(current->data) : json_object(), *value;
	const char *name;
	int r = merged != NULL ? 0 : -1;

	json_object_foreach(request->body, name, value)
	{
		if (!json_is_null(value))
			r |= json_object_set(merged, name, value);
	}
	r = r != 0 ? leased_err_set(err, LEASED_ENOMEM, "out of memory")
		   : jdec_decode(merged, role_fields, body, ret_unknown, err);
	json_decref(merged);
	return (r);
}

static int
data_build(struct engine_request_copy *request, const struct role_body *body, const char *template,
    json_t **ret_data, struct leased_err *err)
{
	char client_id[CLIENT_ID_LEN + 1];
	json_t *audience = json_array(), *data;
	int r = 0;

	id_base62(request->engines->config.ids, CLIENT_ID_LEN, client_id);
	for (size_t i = 0; i < body->audience.count; i++)
		r |= json_array_append_new(audience, json_string(body->audience.items[i]));
	data = json_pack("{s:s,s:s,s:I,s:s,s:o,s:I,s:s}", "key", body->key, "template", template,
	    "ttl", (json_int_t)body->ttl, "client_id",
	    body->client_id != NULL && body->client_id[0] != '\0' ? body->client_id : client_id,
	    "audience", audience, "max_leases", (json_int_t)body->max_leases, "lease_owner",
	    body->lease_owner != NULL ? body->lease_owner : "token");
	if (data == NULL || r != 0) {
		json_decref(data);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	*ret_data = data;
	return (0);
}

static int
role_prepare(struct role_write *write, struct leased_err *err)
{
	struct engine_request_copy *request = write->request;
	struct role_body body = {.ttl = DAY_S};
	struct store_doc *current = NULL;
	json_t *unknown = NULL, *data = NULL;
	char *template = NULL;
	int r;

	r = engine_jwt_doc(request->engines, "oidc-role", request->name, &current, err);
	if ((r != 0 && r != LEASED_ENOENT) ||
	    (r = decode(request, current, &body, &unknown, err)) != 0 ||
	    (r = check_body(request->engines->jwt, &body, err)) != 0)
		goto out;
	engine_warn_unknown(request, unknown, role_names);
	if (body.template != NULL && body.template[0] != '\0' &&
	    (r = engine_claims_read(body.template, &template, err)) != 0)
		goto out;
	if ((r = data_build(request, &body, template != NULL ? template : "", &data, err)) != 0)
		goto out;
	write->doc = engine_doc_new("oidc-role", write->mount, request->name, data);
	if (write->doc == NULL || (write->key = strdup(body.key)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if (current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
out:
	store_doc_free(current);
	json_decref(unknown);
	jdec_clear(role_fields, &body);
	free(template);
	return (r);
}

void
engine_jwt_role_write(struct engine_request_copy *request)
{
	struct engine_jwt *jwt = request->engines->jwt;
	struct jwt_order order = {.aim = JWT_MAKE, .name = "default"};
	struct role_write *write = calloc(1, sizeof(*write));
	struct leased_err err = LEASED_ERR_INIT;

	if (write == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	write->request = request;
	write->mount = request->mount_id;
	request->state = write;
	request->free_state = role_write_free;
	if (role_prepare(write, &err) != 0) {
		engine_fail_err(request, &err);
	} else if (engine_jwt_key_find(jwt, write->key) == NULL) {
		/* `default` is made when a role first names it. */
		order.settings = json_pack("{s:s,s:i,s:i,s:[s]}", "algorithm", "RS256",
		    "rotation_period", DAY_S, "verification_ttl", DAY_S, "allowed_client_ids", "*");
		engine_jwt_change(jwt, &order, on_default_made, write);
	} else
		role_submit(write);
}
