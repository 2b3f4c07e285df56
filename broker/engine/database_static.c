/*
 * database/static-roles/:name: accounts that are there already and whose passwords leased owns.
 * Writing one asks the backend first whether that will work, and nothing of the account is touched
 * before; then the first rotation begins. The rotation itself is rotation.c's, what is due
 * rotation_timer.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/database_static.h"

static void
static_write_free(void *state)
{
	struct engine_static_write *write = state;

	engine_static_body_clear(&write->body);
	store_doc_free(write->doc);
	free(write);
}

int
engine_static_doc(
    struct engine_request_copy *request, struct store_doc **ret_doc, struct leased_err *err)
{
	char full[ENGINE_DOC_NAME_SIZE];

	engine_doc_name(request->mount_id, request->name, full);
	return (
	    store_doc_get(store_db(request->engines->config.store), "static", full, ret_doc, err));
}

/* ---- read ---- */

static json_t *
static_shown(const struct store_doc *doc)
{
	json_t *shown = json_object();
	int r = shown != NULL ? 0 : -1;
	size_t i;

	for (i = 0; r == 0 && engine_static_fields[i] != NULL; i++)
		r = json_object_set(shown, engine_static_fields[i],
		    json_object_get(doc->data, engine_static_fields[i]));
	if (r == 0 && engine_rotation_show(doc, shown) == 0)
		return (shown);
	json_decref(shown);
	return (NULL);
}

void
engine_database_static_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int64_t left_ms;
	int r;

	r = engine_static_doc(request, &doc, &err);
	if (r == 0 && (request->reply.data = static_shown(doc)) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r == 0) {
		left_ms = engine_rotation_number(doc, "next_at_ms") -
			  leases_now_ms(request->engines->leases);
		(void)json_object_set_new(request->reply.data, "ttl",
		    json_integer(left_ms > 0 ? (left_ms + 999) / 1000 : 0));
	}
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

/* ---- delete ---- */

static void
on_changed(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code == LEASED_ECONFLICT || code == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "static role %s was changed by somebody else meanwhile; read it and write "
		    "again",
		    request->name);
	} else if (code != 0 && code != LEASED_ENOENT)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

/* A rotation that is under way ends first, or the password it sets would be nobody's. */

static void
on_rotated_before_delete(void *arg, int code, const struct leased_err *err)
{
	(void)code;
	(void)err;
	engine_database_static_delete(arg);
}

void
engine_database_static_delete(struct engine_request_copy *request)
{
	struct engines *engines = request->engines;
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_change *change;
	struct store_doc *doc = NULL;
	int r;

	r = engine_static_doc(request, &doc, &err);
	if (r == LEASED_ENOENT) {
		engine_finish(request);
		return;
	}
	if (r == 0 && engine_rotation_wait(engines, doc->id, on_rotated_before_delete, request)) {
		store_doc_free(doc);
		return;
	}
	if (r == 0 && engines->stopping)
		r = leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	if (r == 0 && (change = calloc(1, sizeof(*change))) != NULL) {
		change->deletes[0].id = doc->id;
		change->deletes[0].version = doc->version;
		change->done = on_changed;
		change->arg = request;
		request->state = change;
		request->free_state = free;
		engine_change_submit(engines, change);
	} else
		engine_fail(
		    request, r != 0 ? r : LEASED_ENOMEM, "%s", r != 0 ? err.text : "out of memory");
	store_doc_free(doc);
}

/* ---- write: the way ---- */

static void
on_first_dropped(void *arg, int code, const struct leased_err *err)
{
	struct engine_static_write *write = arg;

	(void)code;
	(void)err;
	write->request->reply.status = engine_trial_status(write->why.code);
	engine_fail(write->request, write->why.code,
	    "static role %s was not written: the password could not be set: %s",
	    write->request->name, write->why.text);
}

/* Where the account was not touched nothing stays; else the role does, and goes on being tried. */
static void
on_first_rotation(void *arg, int code, const struct leased_err *err)
{
	struct engine_static_write *write = arg;
	struct engine_request_copy *request = write->request;
	struct leased_err unread = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;

	if (code == 0) {
		engine_finish(request);
		return;
	}
	write->why = *err;
	if (!request->engines->stopping && engine_static_doc(request, &doc, &unread) == 0 &&
	    engine_rotation_text(doc, "candidate") == NULL &&
	    engine_rotation_text(doc, "password") == NULL) {
		memset(&write->change, 0, sizeof(write->change));
		write->change.deletes[0].id = doc->id;
		write->change.deletes[0].version = doc->version;
		write->change.done = on_first_dropped;
		write->change.arg = write;
		engine_change_submit(request->engines, &write->change);
	} else {
		request->reply.status = 503;
		engine_fail(request, code,
		    "static role %s is recorded, its first password is not known to be good yet; "
		    "it goes on being tried: %s",
		    request->name, err->text);
	}
	store_doc_free(doc);
}

static void
on_static_stored(void *arg, int code, const struct leased_err *err)
{
	struct engine_static_write *write = arg;

	if (code != 0)
		on_changed(write->request, code, err);
	else if (write->is_new && !write->body.skip_import_rotation)
		engine_rotate(write->request->engines, write->doc->id, ENGINE_ROTATE,
		    on_first_rotation, write);
	else {
		engine_rotations_wake(write->request->engines);
		engine_finish(write->request);
	}
}

static void
on_tried(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_static_write *write = arg;
	struct engine_request_copy *request = write->request;
	struct engine_connection *connection =
	    engine_connection_find(request->engines, write->connection);

	if (outcome->code == 0 && (connection == NULL || connection->closing)) {
		engine_fail(request, LEASED_EUNAVAIL, "the connection is being removed");
		return;
	}
	if (outcome->code != 0 || json_object_set_new(write->doc->data, "server",
				      json_string(connection->port->server)) != 0) {
		request->reply.status = engine_trial_status(outcome->code);
		engine_fail(request, outcome->code != 0 ? outcome->code : LEASED_ENOMEM,
		    "static role %s was tried and refused: %s", request->name,
		    outcome->code != 0 ? outcome->err.text : "out of memory");
		return;
	}
	write->change.puts[0] = write->doc;
	write->change.absent_kind = "role";
	write->change.rotation = &write->rotation;
	write->change.mount = request->mount_id;
	write->change.done = on_static_stored;
	write->change.arg = write;
	engine_change_submit(request->engines, &write->change);
}

/* May its password be set, does it log in by one: asked before anything is changed. */
static void
static_try(struct engine_static_write *write, struct engine_connection *connection)
{
	struct engine_request_copy *request = write->request;
	struct leased_secret *random = id_password(request->engines->config.ids, ID_PASSWORD_LEN);
	json_t *params = NULL;

	if (random != NULL)
		params =
		    json_pack("{s:{s:s, s:O}, s:s%, s:s}", "account", "name", write->body.username,
			"role", json_object_get(write->doc->data, "plugin_role"), "password",
			leased_secret_reveal(random), leased_secret_len(random), "scope", "static");
	leased_secret_free(random);
	if (params == NULL || plugin_call_start(connection->port, PLUGIN_OP_CHECK, params, 0,
				  on_tried, write) == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
}

static void
on_rotated_before_write(void *arg, int code, const struct leased_err *err)
{
	(void)code;
	(void)err;
	engine_database_static_write(arg);
}

void
engine_database_static_write(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_connection *connection = NULL;
	struct store_doc *current = NULL;
	struct engine_static_write *write;
	int r;

	r = engine_static_doc(request, &current, &err);
	if (r == 0 &&
	    engine_rotation_wait(request->engines, current->id, on_rotated_before_write, request)) {
		store_doc_free(current);
		return;
	}
	if (!engine_mount_is_open(request) || (write = calloc(1, sizeof(*write))) == NULL) {
		store_doc_free(current);
		engine_fail(request, LEASED_EUNAVAIL, "the mount is being removed");
		return;
	}
	request->mount = engine_mount_find(request->engines, request->mount_id);
	write->request = request;
	request->state = write;
	request->free_state = static_write_free;
	if (r == LEASED_ENOENT)
		r = 0;
	if (r == 0)
		r = engine_static_prepare(write, current, &connection, &err);
	store_doc_free(current);
	if (r != 0)
		engine_fail_err(request, &err);
	else
		static_try(write, connection);
}
