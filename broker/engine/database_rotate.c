/*
 * database/static-creds/:name, rotate-role/:name and rotate-root/:name: what is told of a password
 * that is rotated, and rotations that somebody asks for. A password is told only while the document
 * has no candidate beside it: else somebody finds out first which of the two logs in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/database.h"
#include "engine/rotation.h"
#include "store/hold.h"

#define LOOKS 3 /* at a password that is being rotated again and again */

void
engine_rotation_fail(struct engine_request_copy *request, int code, const struct leased_err *err)
{
	/* What the backend lacks or refuses is no mistake of who asks for a rotation. */
	if (code == LEASED_EDENIED || code == LEASED_ENOENT || code == LEASED_EEXIST)
		code = LEASED_EREFUSED;
	if (code == LEASED_ECONFLICT)
		request->reply.status = 409;
	engine_fail(request, code, "%s", err->text);
}

/* ---- static-creds ---- */

struct static_creds {
	struct engine_request_copy *request;
	unsigned looks;
};

static void creds_look(struct static_creds *creds);

static void
on_settled(void *arg, int code, const struct leased_err *err)
{
	struct static_creds *creds = arg;

	if (creds->request->engines->stopping)
		engine_fail_err(creds->request, err);
	else if (code != 0 && creds->looks >= LOOKS)
		engine_fail(creds->request, LEASED_EUNAVAIL,
		    "the password of static role %s was being changed, and which one holds is not "
		    "known: %s",
		    creds->request->name, err->text);
	else
		creds_look(creds);
}

static void
creds_warn(struct engine_request_copy *request, const struct store_doc *doc)
{
	struct store_hold hold;

	store_hold_get(request->engines->config.store, &hold);
	if (hold.held)
		engine_warn(request,
		    "this store was restored from a backup and is held: the password is the "
		    "backup's, and the leased that the backup was taken from may have changed it "
		    "since; it is tried, and changed where it does not log in, after `lease "
		    "restore release --takeover`");
	else if (engine_rotation_is_unproven(request->engines, doc))
		engine_warn(request,
		    "this store was restored from a backup, and the password has not been tried "
		    "since: the leased that the backup was taken from may have changed it. It is "
		    "tried, and changed where it does not log in, as soon as the backend answers; "
		    "write rotate-role/%s to change it now",
		    request->name);
}

static int
creds_tell(struct static_creds *creds, const struct store_doc *doc, struct leased_err *err)
{
	struct engine_request_copy *request = creds->request;
	const char *password = engine_rotation_text(doc, "password");
	const char *error = engine_rotation_text(doc, "last_error");
	int64_t left_ms =
	    engine_rotation_number(doc, "next_at_ms") - leases_now_ms(request->engines->leases);
	char last[WCLOCK_RFC3339_SIZE];

	if (password == NULL && error != NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "no password of static role %s is known to be good: %s", request->name, error));
	if (password == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the password of static role %s is not known yet, since it was written with "
		    "skip_import_rotation: write rotate-role/%s",
		    request->name, request->name));
	wclock_format_rfc3339(engine_rotation_number(doc, "last_rotation_us"), last);
	/* Clients read again after ttl, and take 0 for an error. */
	request->reply.data = json_pack("{s:O, s:s, s:I, s:O, s:s}", "username",
	    json_object_get(doc->data, "username"), "password", password, "ttl",
	    (json_int_t)(left_ms > 1000 ? left_ms / 1000 : 1), "rotation_period",
	    json_object_get(doc->data, "rotation_period"), "last_vault_rotation", last);
	if (request->reply.data == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	creds_warn(request, doc);
	engine_tell_endpoint(request, json_integer_value(json_object_get(doc->data, "connection")));
	return (0);
}

/* A password of a server that nobody vouched for would go to an application. */
static int
creds_stay(struct engine_request_copy *request, const struct store_doc *doc, struct leased_err *err)
{
	const struct engine_connection *connection = engine_connection_find(
	    request->engines, json_integer_value(json_object_get(doc->data, "connection")));

	return (connection != NULL ? engine_connection_stays(connection, err) : 0);
}

static void
creds_look(struct static_creds *creds)
{
	struct engine_request_copy *request = creds->request;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int64_t id = 0;
	int r;

	if ((r = engine_static_doc(request, &doc, &err)) == LEASED_ENOENT)
		r = leased_err_set(&err, LEASED_EINVAL, "unknown role: %s", request->name);
	if (r == 0 && (r = creds_stay(request, doc, &err)) == 0) {
		if (engine_rotation_text(doc, "candidate") != NULL ||
		    engine_rotation_find(request->engines, doc->id) != NULL)
			id = doc->id;
		else
			r = creds_tell(creds, doc, &err);
	}
	store_doc_free(doc);
	if (r != 0)
		engine_fail_err(request, &err);
	else if (id == 0)
		engine_finish(request);
	else if (creds->looks++ < LOOKS)
		engine_rotate(request->engines, id, ENGINE_SETTLE, on_settled, creds);
	else
		engine_fail(request, LEASED_EUNAVAIL,
		    "the password of static role %s is being changed, and which one holds is not "
		    "known yet; ask again",
		    request->name);
}

void
engine_database_static_creds(struct engine_request_copy *request)
{
	struct static_creds *creds;

	if ((creds = calloc(1, sizeof(*creds))) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	creds->request = request;
	request->state = creds;
	request->free_state = free;
	creds_look(creds);
}

/* ---- rotate-role, rotate-root ---- */

static void
on_rotated(void *arg, int code, const struct leased_err *err)
{
	struct engine_request_copy *request = arg;

	if (code != 0)
		engine_rotation_fail(request, code, err);
	else
		engine_finish(request);
}

static void
rotate(struct engine_request_copy *request, const char *what,
    int (*find)(struct engine_request_copy *, struct store_doc **, struct leased_err *))
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int64_t id;
	int r;

	if ((r = find(request, &doc, &err)) == LEASED_ENOENT)
		(void)leased_err_set(
		    &err, LEASED_EINVAL, "there is no %s named %s", what, request->name);
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	id = doc->id;
	store_doc_free(doc);
	engine_rotate(request->engines, id, ENGINE_ROTATE, on_rotated, request);
}

void
engine_database_rotate_role(struct engine_request_copy *request)
{
	rotate(request, "static role", engine_static_doc);
}

void
engine_database_rotate_root(struct engine_request_copy *request)
{
	rotate(request, "connection", engine_config_doc);
}
