/*
 * What a static role's settings must be, and the document that is made of them. database_static.c
 * tries and stores it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/path.h"
#include "base/utf8.h"
#include "engine/database_static.h"
#include "engine/sqltemplate.h"

#define PERIOD_MIN_S 5
#define PERIOD_MAX_S (10LL * 366 * 86400)

static const struct jdec_field static_fields[] = {
    JDEC_FIELD(struct engine_static_body, db_name, JDEC_STRING),
    JDEC_FIELD(struct engine_static_body, username, JDEC_STRING),
    JDEC_FIELD(struct engine_static_body, rotation_period, JDEC_DURATION_S),
    JDEC_FIELD(struct engine_static_body, rotation_statements, JDEC_STRING_LIST),
    JDEC_FIELD(struct engine_static_body, skip_import_rotation, JDEC_BOOL),
    JDEC_FIELD(struct engine_static_body, credential_type, JDEC_STRING),
    JDEC_FIELD(struct engine_static_body, credential_config, JDEC_JSON),
    JDEC_FIELD(struct engine_static_body, rotation_schedule, JDEC_STRING),
    JDEC_FIELD(struct engine_static_body, rotation_window, JDEC_STRING),
    JDEC_FIELD(struct engine_static_body, self_managed_password, JDEC_JSON),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
/* What is stored and shown, and for "did you mean". */
const char *const engine_static_fields[] = {"db_name", "username", "rotation_period",
    "rotation_statements", "skip_import_rotation", "credential_type", NULL};

void
engine_static_body_clear(struct engine_static_body *body)
{
	jdec_clear(static_fields, body);
}

/* ---- write: what it must be ---- */

static int
check_unavailable(const struct engine_static_body *body, struct leased_err *err)
{
	if (body->rotation_schedule != NULL && body->rotation_schedule[0] != '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "rotation_schedule is not available in this version: give rotation_period"));
	if (body->rotation_window != NULL && body->rotation_window[0] != '\0')
		return (leased_err_set(
		    err, LEASED_EINVAL, "rotation_window is not available in this version"));
	if (body->self_managed_password != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "self_managed_password is not available in this version: the connection's own "
		    "login sets the password"));
	if (body->credential_type != NULL && body->credential_type[0] != '\0' &&
	    strcmp(body->credential_type, "password") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "credential_type %s is not available in this version; only password is",
		    UTF8_SHORT(body->credential_type, 64)));
	if (json_object_size(body->credential_config) > 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "credential_config is not available in this version"));
	return (0);
}

static int
check_username(const struct engine_static_write *write, const struct store_doc *current,
    struct leased_err *err)
{
	const char *username = write->body.username, *known = NULL;
	char tag[32];

	if (current != NULL)
		known = json_string_value(json_object_get(current->data, "username"));
	if (username == NULL || username[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "username is missing: the account whose password is to be rotated"));
	if (known != NULL && strcmp(known, username) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "cannot update static account username: delete the static role and write a "
		    "new one"));
	(void)snprintf(tag, sizeof(tag), "l-%s-", store_tag(write->request->engines->config.store));
	if (strncmp(username, tag, strlen(tag)) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is an account of a lease: it goes when its lease ends, and cannot be a "
		    "static one",
		    UTF8_SHORT(username, 64)));
	return (0);
}

static int
static_check(const struct engine_static_write *write, const struct store_doc *current,
    struct leased_err *err)
{
	const struct engine_static_body *body = &write->body;
	const char *known = NULL;
	int r;

	if (current != NULL)
		known = json_string_value(json_object_get(current->data, "db_name"));
	if (body->db_name == NULL || !path_is_name(body->db_name, strlen(body->db_name)))
		return (leased_err_set(err, LEASED_EINVAL,
		    "db_name must be the name of a connection (database/config/NAME)"));
	if (known != NULL && strcmp(known, body->db_name) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "db_name cannot be changed: delete the static role and write a new one"));
	if ((r = check_username(write, current, err)) != 0 ||
	    (r = check_unavailable(body, err)) != 0)
		return (r);
	if (body->rotation_period < PERIOD_MIN_S || body->rotation_period > PERIOD_MAX_S)
		return (leased_err_set(err, LEASED_EINVAL,
		    "rotation_period must be given, and be between %d seconds and ten years",
		    PERIOD_MIN_S));
	return (0);
}

/* ---- write: building the document ---- */

/* The body over what is stored: fields that the body leaves out keep their value. */
static int
static_decode(
    struct engine_static_write *write, const struct store_doc *current, struct leased_err *err)
{
	json_t *merged = json_object(), *unknown = NULL, *value;
	const char *key;
	int r = merged != NULL ? 0 : -1;
	size_t i;

	for (i = 0; r == 0 && current != NULL && engine_static_fields[i] != NULL; i++)
		if ((value = json_object_get(current->data, engine_static_fields[i])) != NULL)
			r = json_object_set(merged, engine_static_fields[i], value);
	json_object_foreach(write->request->body, key, value)
	{
		if (r == 0 && !json_is_null(value))
			r = json_object_set(merged, key, value);
	}
	if (r != 0) {
		json_decref(merged);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	r = jdec_decode(merged, static_fields, &write->body, &unknown, err);
	json_decref(merged);
	if (r == 0)
		engine_warn_unknown(write->request, unknown, engine_static_fields);
	json_decref(unknown);
	return (r);
}

/* The connection must be there: the account is, and is looked at now. */
static int
static_connection(struct engine_static_write *write, struct engine_connection **ret_connection,
    struct leased_err *err)
{
	struct engine_request_copy *request = write->request;
	const char *name = UTF8_SHORT(write->body.db_name, 200);
	struct engine_connection *connection;
	char full[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	int r;

	engine_doc_name(request->mount_id, write->body.db_name, full);
	r = store_doc_get(store_db(request->engines->config.store), "connection", full, &doc, err);
	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection %s is not configured: write %sconfig/%s first", name,
		    engine_mount_path(request->mount), name));
	if (r != 0)
		return (r);
	connection = engine_connection_find(request->engines, doc->id);
	if (!engine_role_is_allowed(json_object_get(doc->data, "allowed_roles"), request->name))
		r = leased_err_set(err, LEASED_EINVAL,
		    "\"%s\" is not an allowed role of connection %s: add it to allowed_roles",
		    request->name, name);
	else if (connection == NULL || connection->closing)
		r = leased_err_set(err, LEASED_EUNAVAIL, "connection %s is not open", name);
	else
		r = engine_connection_stays(connection, err);
	store_doc_free(doc);
	*ret_connection = connection;
	return (r);
}

int
engine_rotation_statements(const char *field, const json_t *texts, const json_t *description,
    json_t *role, struct leased_err *err)
{
	const char *dialect = json_string_value(json_object_get(description, "dialect"));
	struct jdec_list list = {NULL, 0};
	json_t *elements = NULL, *text;
	unsigned used = 0;
	size_t i;
	int r;

	if (json_array_size(texts) == 0)
		return (0);
	if ((list.items = calloc(json_array_size(texts), sizeof(*list.items))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	json_array_foreach((json_t *)(uintptr_t)texts, i, text) list.items[list.count++] =
	    (char *)(uintptr_t)json_string_value(text);
	r = engine_sqltemplate_list(field, &list,
	    dialect != NULL && strcmp(dialect, "mysql") == 0 ? ENGINE_SQLTEMPLATE_MYSQL
							     : ENGINE_SQLTEMPLATE_POSTGRESQL,
	    ENGINE_SQLTEMPLATE_NAME | ENGINE_SQLTEMPLATE_PASSWORD, &elements, &used, err);
	free(list.items); /* the texts are the array's */
	if (r != 0)
		return (r);
	if ((used & ENGINE_SQLTEMPLATE_PASSWORD) == 0) {
		json_decref(elements);
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s never use {{password}}: they would set none", field));
	}
	if (json_object_set_new(role, "rotation_statements", elements) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* When it is due: a new one at once, a known one as its period of now says. */
static int64_t
next_at_ms(const struct engine_static_write *write, const struct store_doc *current)
{
	int64_t now_ms = leases_now_ms(write->request->engines->leases), last_ms;

	if (current == NULL)
		return (write->body.skip_import_rotation
			    ? now_ms + write->body.rotation_period * 1000
			    : now_ms);
	if (engine_rotation_number(current, "failures") > 0 ||
	    engine_rotation_text(current, "candidate") != NULL)
		return (engine_rotation_number(current, "next_at_ms"));
	last_ms = engine_rotation_number(current, "rotated_at_ms");
	if (last_ms == 0)
		last_ms = now_ms;
	return (last_ms + write->body.rotation_period * 1000);
}

static int
static_build(struct engine_static_write *write, const struct store_doc *current,
    const json_t *description, struct leased_err *err)
{
	const struct engine_static_body *body = &write->body;
	json_t *texts = engine_list_json(&body->rotation_statements), *role = json_object();
	json_t *rotation = NULL;
	int r;

	r = engine_rotation_statements("rotation_statements", texts, description, role, err);
	if (current != NULL)
		rotation = json_deep_copy(json_object_get(current->data, "rotation"));
	if (rotation == NULL)
		rotation = json_object();
	write->rotation.next_at_ms = next_at_ms(write, current);
	(void)json_object_set_new(rotation, "next_at_ms", json_integer(write->rotation.next_at_ms));
	write->doc = engine_doc_new("static", write->request->mount_id, write->request->name,
	    json_pack("{s:s, s:s, s:I, s:o, s:b, s:s, s:o, s:I, s:s, s:o}", "db_name",
		body->db_name, "username", body->username, "rotation_period",
		(json_int_t)body->rotation_period, "rotation_statements", texts,
		"skip_import_rotation", body->skip_import_rotation, "credential_type", "password",
		"plugin_role", role, "connection", (json_int_t)write->connection, "server", "",
		"rotation", rotation));
	if (r == 0 && write->doc == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0 && current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	write->is_new = current == NULL;
	write->rotation.connection = write->connection;
	write->rotation.account = body->username;
	return (r);
}

int
engine_static_prepare(struct engine_static_write *write, const struct store_doc *current,
    struct engine_connection **ret_connection, struct leased_err *err)
{
	int r;

	if ((r = static_decode(write, current, err)) != 0 ||
	    (r = static_check(write, current, err)) != 0 ||
	    (r = static_connection(write, ret_connection, err)) != 0)
		return (r);
	write->connection = (*ret_connection)->id;
	return (
	    static_build(write, current, plugin_port_description((*ret_connection)->port), err));
}
