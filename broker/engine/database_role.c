/*
 * database/roles/:name: what accounts a role makes. Statements are parsed when the role is written;
 * what plugins need goes into a role version, an immutable document that leases share, so that a
 * lease ends by the statements it began with. A role is tried by a canary before it holds, when its
 * connection exists.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/path.h"
#include "base/utf8.h"
#include "engine/database_role.h"
#include "engine/document.h"
#include "engine/type.h"

static const struct jdec_field role_fields[] = {
    JDEC_FIELD(struct engine_role_body, db_name, JDEC_STRING),
    JDEC_FIELD(struct engine_role_body, creation_statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct engine_role_body, revocation_statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct engine_role_body, rollback_statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct engine_role_body, renew_statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct engine_role_body, default_ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct engine_role_body, max_ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct engine_role_body, credential_type, JDEC_STRING),
    JDEC_FIELD(struct engine_role_body, credential_config, JDEC_JSON),
    JDEC_FIELD(struct engine_role_body, username_template, JDEC_STRING),
    JDEC_FIELD(struct engine_role_body, grant_roles, JDEC_COMMA_LIST),
    JDEC_FIELD(struct engine_role_body, owned_objects, JDEC_STRING),
    JDEC_FIELD(struct engine_role_body, lease_owner, JDEC_STRING),
    JDEC_FIELD(struct engine_role_body, max_leases, JDEC_INT),
    JDEC_FIELD(struct engine_role_body, verify_role, JDEC_BOOL),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
/* For "did you mean", in the order of the table. */
const char *const engine_role_field_names[] = {"db_name", "creation_statements",
    "revocation_statements", "rollback_statements", "renew_statements", "default_ttl", "max_ttl",
    "credential_type", "credential_config", "username_template", "grant_roles", "owned_objects",
    "lease_owner", "max_leases", "verify_role", NULL};

static void
role_write_free(void *state)
{
	struct engine_role_write *write = state;

	jdec_clear(role_fields, &write->body);
	json_decref(write->own);
	json_decref(write->description);
	store_doc_free(write->doc);
	store_doc_free(write->role_version);
	free(write);
}

static int
role_doc(struct engines *engines, int64_t mount, const char *name, struct store_doc **ret_doc,
    struct leased_err *err)
{
	return (engine_doc_get(engines, "role", mount, name, ret_doc, err));
}

/* ---- read, delete ---- */

void
engine_database_role_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	r = role_doc(request->engines, request->mount_id, request->name, &doc, &err);
	if (r == 0) {
		request->reply.data = json_copy(doc->data);
		(void)json_object_del(request->reply.data, "role_version");
		(void)json_object_del(request->reply.data, ENGINE_ROLE_DIALECT);
	}
	store_doc_free(doc);
	if (r == 0 && request->reply.data == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

static void
on_role_changed(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "role %s was changed by somebody else meanwhile; read it and write again",
		    request->name);
	} else if (code != 0 && code != LEASED_ENOENT)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_database_role_delete(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_change *change;
	struct store_doc *doc = NULL;
	bool damaged;
	int r;

	r = engine_doc_get_any(
	    request->engines, "role", request->mount_id, request->name, &doc, &damaged, &err);
	if (r == 0 && doc == NULL) {
		engine_finish(request);
		return;
	}
	if (r == 0 && (change = calloc(1, sizeof(*change))) != NULL) {
		/* Its leases live on by their role version; they can no longer be renewed. */
		change->deletes[0].id = doc->id;
		change->deletes[0].version = doc->version;
		change->done = on_role_changed;
		change->arg = request;
		request->state = change;
		request->free_state = free;
		engine_change_submit(request->engines, change);
	} else
		engine_fail(
		    request, r != 0 ? r : LEASED_ENOMEM, "%s", r != 0 ? err.text : "out of memory");
	store_doc_free(doc);
}

/* ---- write: the way ---- */

static void
role_hold(struct engine_role_write *write)
{
	if (json_object_set_new(write->doc->data, "role_version",
		json_integer((json_int_t)write->role_version->id)) != 0) {
		engine_fail(write->request, LEASED_ENOMEM, "out of memory");
		return;
	}
	memset(&write->change, 0, sizeof(write->change));
	write->change.puts[0] = write->doc;
	write->change.absent_kind = "static";
	write->change.mount = write->request->mount_id;
	write->change.done = on_role_changed;
	write->change.arg = write->request;
	engine_change_submit(write->request->engines, &write->change);
}

static void
on_role_tried(void *arg, int code, const struct leased_err *err)
{
	struct engine_role_write *write = arg;

	if (code == 0) {
		role_hold(write);
		return;
	}
	write->request->reply.status = engine_trial_status(code);
	engine_fail(write->request, code, "role %s was tried and refused: %s", write->request->name,
	    err->text);
}

static void
on_role_version_stored(void *arg, int code, const struct leased_err *err)
{
	struct engine_role_write *write = arg;
	struct engine_role role = {
	    .role_version = write->role_version->id, .name = write->request->name};
	struct leased_err own = LEASED_ERR_INIT;
	struct engine_connection *connection;
	struct lease_issue issue;

	if (code != 0) {
		engine_fail_err(write->request, err);
		return;
	}
	if (write->connection == 0 || !write->body.verify_role) {
		role_hold(write);
		return;
	}
	/* A removal that is under way must not find a canary that it did not see. */
	connection = engine_connection_find(write->request->engines, write->connection);
	if (!engine_mount_is_open(write->request) || connection == NULL || connection->closing) {
		engine_fail(write->request, LEASED_EUNAVAIL,
		    "connection %s is not open, so that the role cannot be tried; "
		    "verify_role=false writes it untried",
		    UTF8_SHORT(write->body.db_name, 200));
		return;
	}
	if (engine_connection_stays(connection, &own) != 0) {
		on_role_tried(write, own.code, &own);
		return;
	}
	engine_issue_fill(write->request, &role, write->connection, "roles", &issue);
	lease_preflight_start(write->request->engines->leases, &issue, on_role_tried, write);
}

/* What is null was not given (contract 1.8): it leaves what is there. */
static int
update_with(json_t *object, json_t *body)
{
	const char *key;
	json_t *value;

	json_object_foreach(body, key, value)
	{
		if (!json_is_null(value) && json_object_set(object, key, value) != 0)
			return (-1);
	}
	return (0);
}

/*
 * What would be the version that is there is that version: configuration management writes roles
 * that have not changed, again and again. It can be named by nobody else meanwhile without a
 * conflict over the role.
 */
static int
role_version_keep(
    struct engine_role_write *write, const struct store_doc *current, struct leased_err *err)
{
	struct store_db *db = store_db(write->request->engines->config.store);
	struct store_doc *there = NULL, *mine = write->role_version;
	int r;

	if (current == NULL)
		return (0);
	r = store_doc_get_id(
	    db, json_integer_value(json_object_get(current->data, "role_version")), &there, err);
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
		return (0); /* the role gets another one */
	if (r != 0)
		return (r);
	if (json_equal(there->data, mine->data)) {
		write->role_version = there;
		there = mine;
	}
	store_doc_free(there);
	return (0);
}

/* The body over what is stored: fields that the body leaves out keep their value. */
static int
role_decode(
    struct engine_role_write *write, const struct store_doc *current, struct leased_err *err)
{
	json_t *merged = current != NULL ? json_copy(current->data) : json_object();
	json_t *unknown = NULL;
	int r;

	if (merged == NULL || update_with(merged, write->request->body) != 0) {
		json_decref(merged);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	(void)json_object_del(merged, "role_version");
	(void)json_object_del(merged, ENGINE_ROLE_DIALECT);
	write->body.verify_role = true;
	r = jdec_decode(merged, role_fields, &write->body, &unknown, err);
	if (r == 0)
		r = engine_role_own_take(write, merged, unknown, err);
	json_decref(merged);
	json_decref(unknown);
	return (r);
}

/* The connection that db_name names, if it is configured: what it says of itself decides the
 * dialect and the limits. */
static int
role_find_connection(struct engine_role_write *write, struct leased_err *err)
{
	struct engines *engines = write->request->engines;
	struct store_doc *doc = NULL;
	int r;

	if (write->body.db_name == NULL ||
	    !path_is_name(write->body.db_name, strlen(write->body.db_name)))
		return (0); /* engine_role_check() refuses it */
	r = engine_doc_get(
	    engines, "connection", write->request->mount_id, write->body.db_name, &doc, err);
	if (r == LEASED_ENOENT) {
		engine_warn(write->request,
		    "connection %s is not configured yet: this role was not tried",
		    UTF8_SHORT(write->body.db_name, 200));
		return (0);
	}
	if (r != 0)
		return (r);
	write->connection = doc->id;
	write->description = json_incref((json_t *)(uintptr_t)engine_description(
	    engine_connection_find(engines, write->connection), doc));
	store_doc_free(doc);
	return (0);
}

void
engine_database_role_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct engine_role_write *write;
	bool damaged = false;
	int r;

	if ((write = calloc(1, sizeof(*write))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	write->request = request;
	request->state = write;
	request->free_state = role_write_free;
	r = engine_doc_get_any(
	    request->engines, "role", request->mount_id, request->name, &current, &damaged, &err);
	if (r == 0 && (r = role_decode(write, current, &err)) == 0 &&
	    (r = role_find_connection(write, &err)) == 0 &&
	    (r = engine_role_own_check(write, &err)) == 0 &&
	    (r = engine_role_check(write, &err)) == 0 &&
	    (r = engine_role_version_build(write, &err)) == 0 &&
	    (r = role_version_keep(write, current, &err)) == 0)
		r = engine_role_doc_build(write, current, &err);
	store_doc_free(current);
	if (damaged)
		engine_doc_tell_replaced(request, r, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	if (write->role_version->id != 0) {
		on_role_version_stored(write, 0, NULL);
		return;
	}
	write->change.puts[0] = write->role_version;
	write->change.mount = request->mount_id;
	write->change.done = on_role_version_stored;
	write->change.arg = write;
	engine_change_submit(request->engines, &write->change);
}

/* ---- for creds and renew ---- */

void
engine_role_free(struct engine_role *role)
{
	if (role == NULL)
		return;
	free(role->name);
	free(role->db_name);
	free(role);
}

int
engine_role_load(struct engines *engines, int64_t mount, const char *name,
    struct engine_role **ret_role, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	const struct engine_mount *found;
	struct engine_role *role;
	const char *owner, *dialect;
	int r;

	if ((r = role_doc(engines, mount, name, &doc, err)) != 0)
		return (r);
	if ((role = calloc(1, sizeof(*role))) == NULL)
		goto nomem;
	role->id = doc->id;
	role->role_version = json_integer_value(json_object_get(doc->data, "role_version"));
	role->ttl_s = json_integer_value(json_object_get(doc->data, "default_ttl"));
	role->max_ttl_s = json_integer_value(json_object_get(doc->data, "max_ttl"));
	role->max_leases = json_integer_value(json_object_get(doc->data, "max_leases"));
	owner = json_string_value(json_object_get(doc->data, "lease_owner"));
	role->owned_by_identity = owner != NULL && strcmp(owner, "identity") == 0;
	dialect = json_string_value(json_object_get(doc->data, ENGINE_ROLE_DIALECT));
	(void)snprintf(role->dialect, sizeof(role->dialect), "%s", engine_text_or(dialect, ""));
	role->name = strdup(name);
	role->db_name =
	    strdup(engine_text_or(json_string_value(json_object_get(doc->data, "db_name")), ""));
	if (role->name == NULL || role->db_name == NULL)
		goto nomem;
	store_doc_free(doc);
	found = engine_mount_find(engines, mount);
	if (found != NULL && found->type != NULL && found->type->role_ttls != NULL &&
	    (r = found->type->role_ttls(engines, mount, role, err)) != 0) {
		engine_role_free(role);
		return (r);
	}
	*ret_role = role;
	return (0);
nomem:
	engine_role_free(role);
	store_doc_free(doc);
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}
