/*
 * Writing database/config/:name. A write is tried before it holds: the new configuration becomes a
 * candidate with a document, workers and a canary of its own, so that a crash in the middle leaves
 * nothing; only when the canary has come and gone does it replace what was there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/utf8.h"
#include "engine/database_trial.h"
#include "engine/document.h"
#include "engine/rotation.h"

static const struct jdec_field config_fields[] = {
    JDEC_FIELD(struct engine_config_body, plugin_name, JDEC_STRING),
    JDEC_FIELD(struct engine_config_body, password_policy, JDEC_STRING),
    JDEC_FIELD(struct engine_config_body, verify_connection, JDEC_BOOL),
    JDEC_FIELD(struct engine_config_body, confirm_move, JDEC_BOOL),
    JDEC_FIELD(struct engine_config_body, max_open_connections, JDEC_INT),
    JDEC_FIELD(struct engine_config_body, max_leases, JDEC_INT),
    JDEC_FIELD(struct engine_config_body, allowed_roles, JDEC_COMMA_LIST),
    JDEC_FIELD(struct engine_config_body, root_rotation_statements, JDEC_STRING_LIST),
    {"plugin_version", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"max_idle_connections", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"max_connection_lifetime", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"disable_escaping", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
#define POOL_MAX 16
/* Of a new configuration: longer than its worker waits for `open`, which says what is wrong. */
#define ANSWER_MS 15000

size_t
engine_config_names(const char **ret_names)
{
	size_t count = 0;

	for (; config_fields[count].name != NULL; count++)
		if (ret_names != NULL)
			ret_names[count] = config_fields[count].name;
	return (count);
}

static void
config_write_free(void *state)
{
	struct engine_config_write *write = state;

	jdec_clear(config_fields, &write->body);
	store_doc_free(write->doc);
	store_doc_free(write->candidate);
	store_doc_free(write->role_version);
	free(write);
}

/* ---- write: prepare ---- */

/* Puts what the body says of the connection itself over what is stored; null takes a field away. */
static int
details_merge(json_t *details, const json_t *body)
{
	const struct jdec_field *field;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, key, value)
	{
		for (field = config_fields; field->name != NULL; field++)
			if (strcmp(field->name, key) == 0)
				break;
		if (field->name != NULL)
			continue;
		if (json_is_null(value))
			(void)json_object_del(details, key);
		else if (json_object_set(details, key, value) != 0)
			return (LEASED_ENOMEM);
	}
	return (0);
}

/* The body over the stored document: fields that the body leaves out keep their value. */
static int
config_decode(
    struct engine_config_write *write, const struct store_doc *current, struct leased_err *err)
{
	static const char *const kept[] = {"plugin_name", "allowed_roles",
	    "root_rotation_statements", "max_open_connections", "max_leases"};
	json_t *merged = json_copy(write->request->body), *value;
	size_t i;
	int r = merged != NULL ? 0 : -1;

	for (i = 0; r == 0 && current != NULL && i < sizeof(kept) / sizeof(kept[0]); i++) {
		value = json_object_get(current->data, kept[i]);
		if (value != NULL && json_object_get(merged, kept[i]) == NULL)
			r = json_object_set(merged, kept[i], value);
	}
	if (r != 0) {
		json_decref(merged);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	write->body.verify_connection = true;
	r = jdec_decode(merged, config_fields, &write->body, NULL, err);
	json_decref(merged);
	return (r);
}

static int
config_check(const struct engine_config_write *write, struct leased_err *err)
{
	const struct engine_config_body *body = &write->body;
	const char *nearest;

	if (body->plugin_name == NULL || body->plugin_name[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "empty plugin name: set plugin_name, as to postgresql-database-plugin or "
		    "mysql-database-plugin"));
	if (plugin_catalog_find(body->plugin_name) == NULL) {
		nearest = plugin_catalog_nearest(body->plugin_name);
		return (leased_err_set(err, LEASED_EINVAL,
		    "plugin not found in the catalog: %s%s%s", UTF8_SHORT(body->plugin_name, 64),
		    nearest != NULL ? "; did you mean "
				    : "; one that does not come with leased needs its block "
				      "\"plugin\" in leased.hcl",
		    nearest != NULL ? nearest : ""));
	}
	/* It runs what is written as leased's own user: more than to say where a backend is. */
	if (plugin_catalog_find(body->plugin_name)->starts_programs && !write->request->has_sudo) {
		write->request->reply.status = 403;
		return (leased_err_set(err, LEASED_EDENIED,
		    "plugin %s starts programs as the user of leased: to write its configuration "
		    "needs the capability sudo on this path besides",
		    body->plugin_name));
	}
	if (body->password_policy != NULL && body->password_policy[0] != '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "password_policy is not available in this version; passwords have 24 "
		    "characters "
		    "of [A-Za-z0-9-]"));
	if (body->max_open_connections < 0 || body->max_open_connections > POOL_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "max_open_connections must be between 1 and %d, or 0 for the plugin's own",
		    POOL_MAX));
	if (json_object_get(write->request->body, "password_candidate") != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "password_candidate is leased's own, while rotate-root is under way: write "
		    "password"));
	if (body->max_leases < 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "max_leases must be the most leases that this connection may have, or 0 for "
		    "the default"));
	if (body->confirm_move && !body->verify_connection)
		return (leased_err_set(err, LEASED_EINVAL,
		    "confirm_move needs verify_connection: the new server must be asked who it "
		    "is"));
	return (0);
}

/* What the document of now says under key; a new reference, or otherwise (taken) when it says
 * nothing. */
static json_t *
kept_or(const struct store_doc *current, const char *key, json_t *otherwise)
{
	json_t *value = current != NULL ? json_object_get(current->data, key) : NULL;

	if (value == NULL)
		return (otherwise);
	json_decref(otherwise);
	return (json_deep_copy(value));
}

/* Two passwords, either of which may be the right one, stay until that is known; unless the write
 * says which it is. */
static int
rotation_take_over(
    struct engine_config_write *write, const struct store_doc *current, struct leased_err *err)
{
	static const char *const logins[] = {"username", "password", "connection_url"};
	json_t *rotation = current != NULL ? json_object_get(current->data, "rotation") : NULL;
	bool told = false;
	size_t i;

	if (rotation == NULL)
		return (0);
	if ((rotation = json_deep_copy(rotation)) == NULL ||
	    json_object_set_new(write->doc->data, "rotation", rotation) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (i = 0; i < sizeof(logins) / sizeof(logins[0]); i++)
		told = told || json_object_get(write->request->body, logins[i]) != NULL;
	if (told)
		(void)json_object_del(rotation, "candidate");
	return (0);
}

/* Fills write->doc: the document as it will be, under its present id if there is one. */
static int
config_build(
    struct engine_config_write *write, const struct store_doc *current, struct leased_err *err)
{
	struct engine_request_copy *request = write->request;
	const struct engine_config_body *body = &write->body;
	char uuid[ID_UUID_SIZE];
	json_t *details;

	id_uuid(request->engines->config.ids, uuid);
	write->doc = engine_doc_new("connection", request->mount_id, request->name,
	    json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "plugin_name",
		body->plugin_name, "allowed_roles", engine_list_json(&body->allowed_roles),
		"root_rotation_statements", engine_list_json(&body->root_rotation_statements),
		"max_open_connections", (json_int_t)body->max_open_connections, "pool",
		(json_int_t)body->max_open_connections, "max_leases", (json_int_t)body->max_leases,
		"uuid", kept_or(current, "uuid", json_string(uuid)), "details",
		kept_or(current, "details", json_object()), "server",
		kept_or(current, "server", json_string("")), "moved_from",
		kept_or(current, "moved_from", json_array())));
	if (write->doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (current != NULL) {
		write->doc->id = current->id;
		write->doc->version = current->version;
	}
	details = json_object_get(write->doc->data, "details");
	if (details_merge(details, request->body) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (rotation_take_over(write, current, err));
}

static void
config_warn(struct engine_config_write *write)
{
	const json_t *details = json_object_get(write->doc->data, "details");
	const char *url = json_string_value(json_object_get(details, "connection_url"));
	bool found = false;
	char *text = NULL;

	if (url != NULL && (text = engine_redact_url(url, &found)) != NULL)
		leased_wipe(text, strlen(text));
	free(text);
	if (found)
		engine_warn(write->request,
		    "Password found in connection_url, use a templated url to enable root "
		    "rotation "
		    "and prevent read access to password information.");
	if (write->body.allowed_roles.count == 0)
		engine_warn(write->request, "allowed_roles is empty: no role may use this "
					    "connection yet; \"*\" allows all");
}

/* ---- write: hold ---- */

static void
on_config_held(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;
	struct engine_config_write *write = request->state;
	struct leased_err own = LEASED_ERR_INIT;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "the configuration of %s was changed by somebody else meanwhile; read "
		    "it and "
		    "write again",
		    request->name);
		return;
	}
	if (code == 0 && engine_connection_open(request->engines, write->doc, NULL, &own) != 0)
		err = &own;
	if (code != 0 || own.code != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_config_hold(struct engine_config_write *write)
{
	memset(&write->change, 0, sizeof(write->change));
	write->change.puts[0] = write->doc;
	if (engine_rotation_text(write->doc, "candidate") == NULL)
		write->change.settled = write->doc->id;
	write->change.mount = write->request->mount_id;
	write->change.done = on_config_held;
	write->change.arg = write->request;
	engine_change_submit(write->request->engines, &write->change);
}

/* ---- write: the trial ---- */

int
engine_trial_status(int code)
{
	switch (code) {
	case LEASED_EINVAL:
	case LEASED_EDENIED:
	case LEASED_ENOENT:
	case LEASED_EEXIST:
	case LEASED_EUNAVAIL:
	case LEASED_ETIMEDOUT:
	case LEASED_EREFUSED:
	case LEASED_EMOVED:
	case LEASED_ECRASHED:
	case LEASED_EPROTO:
		return (400);
	default:
		return (0); /* our own troubles: disk, memory, a stop */
	}
}

struct engine_connection *
engine_config_candidate(struct engine_config_write *write)
{
	return (engine_connection_find(write->request->engines, write->candidate->id));
}

/* As clients of the database engine look for it. */
static const char *
object_words(const struct engine_request_copy *request)
{
	const struct engine_mount *mount = engine_mount_find(request->engines, request->mount_id);

	return (mount == NULL || strcmp(engine_mount_type(mount), "database") == 0
		    ? "error creating database object: "
		    : "");
}

static void
on_trial_ended(void *arg, int code, const struct leased_err *err)
{
	struct engine_config_write *write = arg;
	struct engine_request_copy *request = write->request;
	struct engine_connection *candidate = engine_config_candidate(write);
	const char *known;

	if (candidate != NULL) {
		(void)snprintf(write->server, sizeof(write->server), "%s", candidate->port->server);
		if (code == 0)
			engine_warn_of_backend(request, candidate->port);
		engine_candidate_tried(request->engines, candidate);
	}
	if (code != 0) {
		request->reply.status = engine_trial_status(code);
		engine_fail(request, code, "%serror verifying connection: %s",
		    object_words(request), err->text);
		return;
	}
	known = json_string_value(json_object_get(write->doc->data, "server"));
	if (known != NULL && known[0] != '\0' && strcmp(known, write->server) != 0 &&
	    !write->body.confirm_move)
		engine_warn(request,
		    "this is another server (%s) than the one before (%s); no lease is on that "
		    "one any more",
		    UTF8_SHORT(write->server, 64), UTF8_SHORT(known, 64));
	engine_config_move(write);
}

static void
on_answers(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_config_write *write = arg;
	struct engine_request_copy *request = write->request;
	struct engine_connection *candidate = engine_config_candidate(write);
	struct engine_role role = {
	    .role_version = write->role_version->id, .name = (char *)"canary"};
	struct leased_err err = outcome->err;
	struct lease_issue issue;
	int r = outcome->code;

	/* A removal that is under way must not find a canary that it did not see. */
	if (r == 0 && (candidate == NULL || !engine_mount_is_open(request)))
		r = leased_err_set(&err, LEASED_ECANCELED, "the mount is being removed");
	if (r != 0) {
		on_trial_ended(write, r, &err);
		return;
	}
	engine_issue_fill(request, &role, write->candidate->id, "config", &issue);
	lease_preflight_start(request->engines->leases, &issue, on_trial_ended, write);
}

static void
on_candidate_stored(void *arg, int code, const struct leased_err *err)
{
	struct engine_config_write *write = arg;
	struct engines *engines = write->request->engines;
	struct engine_connection *candidate = NULL;
	struct leased_err own = LEASED_ERR_INIT;

	if (code != 0) {
		engine_fail_err(write->request, err);
		return;
	}
	/* Where it does not open, its documents are swept after the next start. */
	if (engine_connection_open(engines, write->candidate, &candidate, &own) != 0) {
		engine_fail_err(write->request, &own);
		return;
	}
	/* A backend that does not answer costs no INTENT. */
	if (plugin_call_start(candidate->port, PLUGIN_OP_PING, json_object(), ANSWER_MS, on_answers,
		write) == NULL) {
		(void)leased_err_set(&own, LEASED_ENOMEM, "out of memory");
		on_trial_ended(write, own.code, &own);
	}
}

static void
config_try(struct engine_config_write *write)
{
	struct engine_request_copy *request = write->request;
	char random[14], name[ENGINE_DOC_NAME_SIZE];

	id_base36(request->engines->config.ids, sizeof(random) - 1, random);
	(void)snprintf(name, sizeof(name), "%.255s~%s", request->name, random);
	write->candidate =
	    engine_doc_new("candidate", request->mount_id, name, json_deep_copy(write->doc->data));
	write->role_version = engine_doc_new("rolever", request->mount_id, name,
	    json_pack("{s:{}, s:i, s:i}", "role", "ttl_s", 60, "max_ttl_s", 60));
	if (write->candidate == NULL || write->role_version == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	request->engines->trial_begun = true;
	write->change.puts[0] = write->candidate;
	write->change.puts[1] = write->role_version;
	write->change.mount = request->mount_id;
	write->change.done = on_candidate_stored;
	write->change.arg = write;
	engine_change_submit(request->engines, &write->change);
}

void
engine_database_config_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *current = NULL;
	struct engine_config_write *write;
	bool damaged = false;
	int r;

	if ((write = calloc(1, sizeof(*write))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	write->request = request;
	request->state = write;
	request->free_state = config_write_free;
	r = engine_doc_get_any(request->engines, "connection", request->mount_id, request->name,
	    &current, &damaged, &err);
	if (r == 0 && (r = config_decode(write, current, &err)) == 0 &&
	    (r = config_check(write, &err)) == 0)
		r = config_build(write, current, &err);
	store_doc_free(current);
	if (damaged)
		engine_doc_tell_replaced(request, r, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	config_warn(write);
	engine_config_describe(write);
}

void
engine_config_described(struct engine_config_write *write, int code, const struct leased_err *err)
{
	const struct engine_connection *present;
	struct leased_err moved = LEASED_ERR_INIT;

	if (code != 0) {
		write->request->reply.status = engine_trial_status(code);
		engine_fail(write->request, code, "%sits plugin cannot be asked what it takes: %s",
		    object_words(write->request), err->text);
	} else if (write->body.verify_connection)
		config_try(write);
	else {
		present = engine_connection_find(write->request->engines, write->doc->id);
		if (present != NULL && engine_connection_stays(present, &moved) != 0)
			engine_warn(write->request, "%s", moved.text);
		engine_config_hold(write);
	}
}
