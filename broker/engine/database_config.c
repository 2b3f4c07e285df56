/*
 * database/config/:name and database/reset/:name: reading a connection without its secrets,
 * deleting and reopening it. Writing one is in database_trial.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/database.h"
#include "engine/document.h"
#include "engine/rotation.h"

int
engine_config_doc(
    struct engine_request_copy *request, struct store_doc **ret_doc, struct leased_err *err)
{
	return (engine_doc_get(
	    request->engines, "connection", request->mount_id, request->name, ret_doc, err));
}

/* ---- read ---- */

/* Is field a secret? What the plugin says, and in any case what sounds like one. */
static bool
field_is_secret(const json_t *description, const char *field)
{
	static const char *const words[] = {"password", "private_key", "secret", "token"};
	const json_t *row, *name;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(field, words[i]) != NULL &&
		    strcmp(field, "password_authentication") != 0)
			return (true);
	json_array_foreach(json_object_get(description, "config_fields"), i, row)
	{
		name = json_object_get(row, "name");
		if (json_is_true(json_object_get(row, "secret")) && json_is_string(name) &&
		    strcmp(json_string_value(name), field) == 0)
			return (true);
	}
	return (false);
}

static json_t *
url_shown(const char *url)
{
	json_t *shown;
	bool found;
	char *text;

	if ((text = engine_redact_url(url, &found)) == NULL)
		return (NULL);
	shown = json_string(text);
	leased_wipe(text, strlen(text));
	free(text);
	return (shown);
}

/* NULL: out of memory. */
static json_t *
details_shown(const struct store_doc *doc, const json_t *description)
{
	const json_t *max = json_object_get(doc->data, "max_open_connections");
	json_t *shown = json_object(), *value, *url;
	const char *key;
	int r = 0;

	json_object_foreach(json_object_get(doc->data, "details"), key, value)
	{
		if (field_is_secret(description, key))
			continue;
		if (strcmp(key, "connection_url") != 0)
			r |= json_object_set(shown, key, value);
		else if (json_is_string(value)) {
			url = url_shown(json_string_value(value));
			r |= json_object_set_new(shown, key, url);
		}
	}
	if (json_integer_value(max) > 0)
		r |= json_object_set(shown, "max_open_connections", (json_t *)(uintptr_t)max);
	if (r == 0)
		return (shown);
	json_decref(shown);
	return (NULL);
}

void
engine_database_config_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_connection *connection;
	struct store_doc *doc = NULL;
	const json_t *description = NULL;
	int r;

	if ((r = engine_config_doc(request, &doc, &err)) != 0) {
		if (r == LEASED_ENOENT)
			engine_finish(request);
		else
			engine_fail_err(request, &err);
		return;
	}
	connection = engine_connection_find(request->engines, doc->id);
	if (connection != NULL)
		description = plugin_port_description(connection->port);
	request->reply.data =
	    json_pack("{s:O?, s:s, s:O?, s:O?, s:s, s:o, s:O?, s:I}", "plugin_name",
		json_object_get(doc->data, "plugin_name"), "plugin_version", "", "allowed_roles",
		json_object_get(doc->data, "allowed_roles"), "root_credentials_rotate_statements",
		json_object_get(doc->data, "root_rotation_statements"), "password_policy", "",
		"connection_details", details_shown(doc, description), "uuid",
		json_object_get(doc->data, "uuid"), "max_leases",
		json_integer_value(json_object_get(doc->data, "max_leases")));
	if (request->reply.data != NULL && engine_rotation_show(doc, request->reply.data) == 0 &&
	    json_object_set(request->reply.data, "server", json_object_get(doc->data, "server")) ==
		0 &&
	    connection != NULL && connection->moved) {
		(void)json_object_set_new(
		    request->reply.data, "moved_to", json_string(connection->port->server));
		(void)engine_connection_stays(connection, &err);
		engine_warn(request, "%s", err.text);
	}
	store_doc_free(doc);
	if (request->reply.data == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
	else
		engine_finish(request);
}

/* ---- delete ---- */

struct config_delete {
	struct engine_change change;
	int64_t id;
};

static void
on_deleted(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;
	struct config_delete *gone = request->state;
	struct engine_connection *connection =
	    engine_connection_find_any(request->engines, gone->id);

	if (connection != NULL) {
		connection->closing = false;
		if (code == 0)
			engine_connection_gone(request->engines, connection);
	}
	if (code != 0 && code != LEASED_ENOENT)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_database_config_delete(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_connection *connection;
	struct config_delete *gone;
	struct store_doc *doc = NULL;
	bool damaged;
	int r;

	r = engine_doc_get_any(
	    request->engines, "connection", request->mount_id, request->name, &doc, &damaged, &err);
	if (r == 0 && doc == NULL) {
		engine_finish(request);
		return;
	}
	if (r != 0 || (gone = calloc(1, sizeof(*gone))) == NULL) {
		store_doc_free(doc);
		engine_fail(
		    request, r != 0 ? r : LEASED_ENOMEM, "%s", r != 0 ? err.text : "out of memory");
		return;
	}
	gone->id = doc->id;
	gone->change.without_leases = doc->id;
	gone->change.deletes[0].id = doc->id;
	gone->change.deletes[0].version = doc->version;
	gone->change.done = on_deleted;
	gone->change.arg = request;
	request->state = gone;
	request->free_state = free;
	store_doc_free(doc);
	/* From here no lease is made on it, so that what the transaction sees is the last word. */
	if ((connection = engine_connection_find_any(request->engines, gone->id)) != NULL)
		connection->closing = true;
	engine_change_submit(request->engines, &gone->change);
}

/* ---- reset ---- */

void
engine_database_reset(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	if ((r = engine_config_doc(request, &doc, &err)) == LEASED_ENOENT)
		(void)leased_err_set(
		    &err, LEASED_EINVAL, "there is no connection named %s", request->name);
	if (r == 0)
		r = engine_connection_open(request->engines, doc, NULL, &err);
	store_doc_free(doc);
	if (r != 0)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}
