/*
 * A mount of type rabbitmq: Vault's paths of that name over the handlers of the database engine. A
 * mount has one connection, and roles of which only tags, vhosts and vhost_topics are asked for;
 * what these mean is the plugin's to say. How long accounts live is the mount's (config/lease).
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/type.h"

#define CONNECTION "connection"  /* the only one's name */
#define LEASE_KIND "mount-lease" /* of the document behind config/lease */
#define LEASE_NAME "lease"

/* ---- on the way in: what the database engine asks for besides ---- */

static int
nomem(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* The request is about this name, whatever its path says. */
static int
rename_to(struct engine_request_copy *request, const char *name, struct leased_err *err)
{
	free(request->name);
	if ((request->name = strdup(name)) == NULL)
		return (nomem(err));
	return (0);
}

static bool
is_among(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return (true);
	return (false);
}

/* Leaves in the body what stands in names (listed) or does not stand there, and warns of the rest.
 */
static int
body_filter(struct engine_request_copy *request, const char *const *names, bool listed,
    const char *const *hints, struct leased_err *err)
{
	json_t *unknown = json_array(), *value;
	const char *key;
	void *next;
	int r = unknown == NULL ? -1 : 0;

	json_object_foreach_safe(request->body, next, key, value)
	{
		if (r != 0 || is_among(names, key) == listed)
			continue;
		if ((r = json_array_append_new(unknown, json_string(key))) == 0)
			(void)json_object_del(request->body, key);
	}
	if (r == 0)
		engine_warn_unknown(request, unknown, hints);
	json_decref(unknown);
	return (r == 0 ? 0 : nomem(err));
}

static void
go_on(struct engine_request_copy *request, int r, const struct leased_err *err,
    engine_handler handler)
{
	if (r != 0)
		engine_fail_err(request, err);
	else
		handler(request);
}

/* ---- config/connection ---- */

static void
connection_write(struct engine_request_copy *request)
{
	static const char *const ours[] = {"plugin_name", "plugin_version", "allowed_roles",
	    "root_rotation_statements", "root_credentials_rotate_statements", "name", NULL};
	static const char *const hints[] = {"connection_uri", "username", "password",
	    "verify_connection", "max_open_connections", "max_leases", "confirm_move", NULL};
	const json_t *template = json_object_get(request->body, "username_template");
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (json_string_length(template) > 0)
		r = leased_err_set(&err, LEASED_EINVAL,
		    "username_template is a setting of a role here: write it to %sroles/NAME",
		    engine_mount_path(request->mount));
	else if ((r = body_filter(request, ours, false, hints, &err)) == 0 &&
		 (r = rename_to(request, CONNECTION, &err)) == 0 &&
		 (json_object_set_new(request->body, "plugin_name", json_string("rabbitmq")) != 0 ||
		     json_object_set_new(request->body, "allowed_roles", json_pack("[s]", "*")) !=
			 0))
		r = nomem(&err);
	(void)json_object_del(request->body, "username_template"); /* it is empty */
	go_on(request, r, &err, engine_database_config_write);
}

static void
connection_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r = rename_to(request, CONNECTION, &err);

	go_on(request, r, &err, engine_database_config_read);
}

static void
connection_delete(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r = rename_to(request, CONNECTION, &err);

	go_on(request, r, &err, engine_database_config_delete);
}

/* ---- roles ---- */

/* Clients send these as JSON in a text; an object says the same. */
static int
map_decode(json_t *body, const char *field, struct leased_err *err)
{
	json_t *value = json_object_get(body, field), *map = NULL;
	struct leased_err why = LEASED_ERR_INIT;

	if (value == NULL || json_is_null(value) || json_is_object(value))
		return (0);
	if (!json_is_string(value))
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s: a JSON object, or a text that holds one", field));
	if (json_string_length(value) == 0)
		map = json_object();
	else if (jdec_parse((const uint8_t *)json_string_value(value), json_string_length(value),
		     &jdec_default_limits, &map, &why) != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "failed to unmarshal %s: %s", field, why.text));
	if (map == NULL)
		return (nomem(err));
	if (!json_is_object(map)) {
		json_decref(map);
		return (leased_err_set(err, LEASED_EINVAL,
		    "failed to unmarshal %s: a JSON object from names of virtual hosts to what is "
		    "allowed there",
		    field));
	}
	return (json_object_set_new(body, field, map) == 0 ? 0 : nomem(err));
}

static const char *const role_settings[] = {"tags", "vhosts", "vhost_topics", "username_template",
    "max_leases", "lease_owner", "verify_role", "name", NULL};

static void
role_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if ((r = body_filter(request, role_settings, true, role_settings, &err)) == 0 &&
	    (r = map_decode(request->body, "vhosts", &err)) == 0 &&
	    (r = map_decode(request->body, "vhost_topics", &err)) == 0 &&
	    json_object_set_new(request->body, "db_name", json_string(CONNECTION)) != 0)
		r = nomem(&err);
	go_on(request, r, &err, engine_database_role_write);
}

/* A setting that was never given reads as one that is empty. */
static json_t *
setting_or(const struct store_doc *doc, const char *field, json_t *otherwise)
{
	json_t *value = json_object_get(doc->data, field);

	if (value == NULL)
		return (otherwise);
	json_decref(otherwise);
	return (json_incref(value));
}

static void
role_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	r = engine_doc_get(request->engines, "role", request->mount_id, request->name, &doc, &err);
	if (r == 0) {
		request->reply.data = json_pack("{s:o, s:o, s:o, s:O*, s:O*, s:O*}", "tags",
		    setting_or(doc, "tags", json_string("")), "vhosts",
		    setting_or(doc, "vhosts", json_object()), "vhost_topics",
		    setting_or(doc, "vhost_topics", json_object()), "username_template",
		    json_object_get(doc->data, "username_template"), "max_leases",
		    json_object_get(doc->data, "max_leases"), "lease_owner",
		    json_object_get(doc->data, "lease_owner"));
		if (request->reply.data == NULL)
			r = nomem(&err);
	}
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

static void
role_list(struct engine_request_copy *request)
{
	engine_list_docs(request, "role");
}

/* ---- config/lease ---- */

struct lease_body {
	int64_t ttl, max_ttl;
};
static const struct jdec_field lease_fields[] = {
    JDEC_FIELD(struct lease_body, ttl, JDEC_DURATION_S),
    JDEC_FIELD(struct lease_body, max_ttl, JDEC_DURATION_S),
    JDEC_END,
};
static const char *const lease_names[] = {"ttl", "max_ttl", NULL};

struct lease_write {
	struct store_doc *doc;
	struct engine_change change;
};

static void
lease_write_free(void *state)
{
	struct lease_write *write = state;

	store_doc_free(write->doc);
	free(write);
}

static int
lease_doc(
    struct engines *engines, int64_t mount, struct store_doc **ret_doc, struct leased_err *err)
{
	return (engine_doc_get(engines, LEASE_KIND, mount, LEASE_NAME, ret_doc, err));
}

static void
lease_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	if ((r = lease_doc(request->engines, request->mount_id, &doc, &err)) == 0)
		request->reply.data = json_deep_copy(doc->data);
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

static void
on_lease_written(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "config/lease was changed by somebody else meanwhile; read it and write again");
	} else if (code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

/* By the arithmetic of a mint, so that nothing is written that no account could be made of. */
static int
lease_check(
    struct engine_request_copy *request, const struct lease_body *body, struct leased_err *err)
{
	struct lease_ttl_input input = {
	    .role_ttl_s = body->ttl, .role_max_s = body->max_ttl, .owner_left_s = -1};
	struct lease_ttl ttl;

	if (body->max_ttl > 0 && body->ttl > body->max_ttl)
		return (leased_err_set(err, LEASED_EINVAL, "max_ttl (%lld s) is below ttl (%lld s)",
		    (long long)body->max_ttl, (long long)body->ttl));
	engine_mount_ttls(
	    request->engines, request->mount, &input.mount_default_s, &input.mount_max_s);
	if (lease_ttl_compute(&input, &ttl, err) != 0)
		return (err->code);
	if (ttl.warning[0] != '\0')
		engine_warn(request, "%s", ttl.warning);
	return (0);
}

static int
lease_build(struct engine_request_copy *request, struct lease_write *write, struct leased_err *err)
{
	struct lease_body body = {0};
	struct store_doc *current = NULL;
	json_t *unknown = NULL;
	int r;

	r = jdec_decode(request->body, lease_fields, &body, &unknown, err);
	if (r == 0)
		engine_warn_unknown(request, unknown, lease_names);
	json_decref(unknown);
	if (r != 0 || (r = lease_check(request, &body, err)) != 0)
		return (r);
	r = lease_doc(request->engines, request->mount_id, &current, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	write->doc = engine_doc_new(LEASE_KIND, request->mount_id, LEASE_NAME,
	    json_pack(
		"{s:I, s:I}", "ttl", (json_int_t)body.ttl, "max_ttl", (json_int_t)body.max_ttl));
	if (write->doc != NULL && current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	store_doc_free(current);
	return (write->doc != NULL ? 0 : nomem(err));
}

static void
lease_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_write *write;

	if ((write = calloc(1, sizeof(*write))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->state = write;
	request->free_state = lease_write_free;
	if (lease_build(request, write, &err) != 0) {
		engine_fail_err(request, &err);
		return;
	}
	write->change.puts[0] = write->doc;
	write->change.mount = request->mount_id;
	write->change.done = on_lease_written;
	write->change.arg = request;
	engine_change_submit(request->engines, &write->change);
}

static int
role_ttls(struct engines *engines, int64_t mount, struct engine_role *role, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r = lease_doc(engines, mount, &doc, err);

	if (r == LEASED_ENOENT)
		return (0);
	if (r != 0)
		return (r);
	role->ttl_s = json_integer_value(json_object_get(doc->data, "ttl"));
	role->max_ttl_s = json_integer_value(json_object_get(doc->data, "max_ttl"));
	store_doc_free(doc);
	return (0);
}

/* ---- the type. No path of it tells create from update (contract 3.4). ---- */

static const struct engine_path paths[] = {
    {.verb = "config/connection",
	.is_whole = true,
	.read = connection_read,
	.write = connection_write,
	.remove = connection_delete},
    {.verb = "config/lease", .is_whole = true, .read = lease_read, .write = lease_write},
    {.verb = "roles",
	.is_listed = true,
	.read = role_read,
	.write = role_write,
	.remove = engine_database_role_delete,
	.list = role_list},
    {.verb = "creds", .read = engine_database_creds},
};

static const char *const kinds[] = {"connection", "candidate", "role", "rolever", LEASE_KIND, NULL};

const struct engine_type engine_type_rabbitmq = {
    .name = "rabbitmq",
    .paths = paths,
    .path_count = sizeof(paths) / sizeof(paths[0]),
    .help = "a mount of type rabbitmq has config/connection, config/lease, and roles and creds, "
	    "each with a name of letters, digits and _, with - and . inside",
    .kinds = kinds,
    .renew_inputs = engine_database_renew_inputs,
    .role_ttls = role_ttls,
};
