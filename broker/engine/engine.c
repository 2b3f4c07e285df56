/*
 * The engines: start and end, one durable change at a time, and the way from a path below a mount
 * to its handler. It owns the request copies; what the paths mean is in database_*.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/path.h"
#include "engine/database.h"

#define REQUEST_TAG 0x656e6771u

int
engines_new(
    const struct engines_config *config, struct engines **ret_engines, struct leased_err *err)
{
	struct engines *engines = NULL;
	int r;

	if ((engines = calloc(1, sizeof(*engines))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	engines->config = *config;
	if (engines->config.connection_ceiling == 0)
		engines->config.connection_ceiling = 10000;
	LIST_INIT(&engines->mounts);
	LIST_INIT(&engines->connections);
	if ((r = engine_mounts_load(engines, err)) != 0)
		goto out;
	*ret_engines = engines;
	engines = NULL;
out:
	engines_free(engines);
	return (r);
}

void
engines_start(struct engines *engines, struct leases *leases)
{
	struct leased_err err = LEASED_ERR_INIT;

	engines->leases = leases;
	if (engine_connections_load(engines, &err) != 0)
		log_error("connections could not be read; their leases wait", LOG_ERR(&err));
	engine_connections_sweep_start(engines);
}

void
engines_free(struct engines *engines)
{
	if (engines == NULL)
		return;
	if (engines->sweep != NULL)
		event_free(engines->sweep);
	engine_connections_free(engines);
	engine_mounts_free(engines);
	free(engines);
}

/* ---- one durable change ---- */

static int
change_check_leases(struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease_query query = {.by = STORE_BY_PLACE, .text = "", .limit = 1};
	struct store_lease **leases = NULL;
	size_t count = 0;
	int r;

	if (change->without_leases != 0) {
		r = store_lease_any(store_txn_db(txn), change->without_leases, err);
		if (r == 0)
			return (leased_err_set(err, LEASED_EEXIST,
			    "there are leases on this connection; revoke them first (lease revoke "
			    "--prefix), then delete it"));
		if (r != LEASED_ENOENT)
			return (r);
	}
	if (change->without_mount_leases != 0) {
		query.number = change->without_mount_leases;
		r = store_lease_page(store_txn_db(txn), &query, &leases, &count, err);
		store_lease_page_free(leases, count);
		if (r != 0)
			return (r);
		if (count != 0)
			return (leased_err_set(err, LEASED_EUNAVAIL,
			    "leases below this mount are still waiting to be ended"));
	}
	return (0);
}

static int
change_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct engine_change *change = (struct engine_change *)op;
	unsigned i;
	int r;

	if ((r = change_check_leases(change, txn, err)) != 0)
		return (r);
	for (i = 0; i < ENGINE_CHANGE_MAX; i++)
		if (change->puts[i] != NULL && (r = store_doc_put(txn, change->puts[i], err)) != 0)
			return (r);
	for (i = 0; i < ENGINE_CHANGE_MAX; i++)
		if (change->deletes[i].id != 0 && (r = store_doc_delete(txn, change->deletes[i].id,
						       change->deletes[i].version, err)) != 0)
			return (r);
	if (change->mark != NULL)
		return (store_meta_put(txn, change->mark, "1", err));
	return (0);
}

static void
change_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct engine_change *change = (struct engine_change *)op;

	change->done(change->arg, result, err);
}

void
engine_change_submit(struct engines *engines, struct engine_change *change)
{
	change->op.run = change_run;
	change->op.done = change_done;
	store_submit(engines->config.store, &change->op);
}

/* ---- requests ---- */

static void
request_free(struct engine_request_copy *request)
{
	if (request->free_state != NULL)
		request->free_state(request->state);
	json_decref(request->body);
	json_decref(request->reply.data);
	json_decref(request->reply.warnings);
	free(request->name);
	free(request->request_id);
	free(request->entity);
	free(request->display_name);
	request->tag = 0;
	free(request);
}

void
engine_finish(struct engine_request_copy *request)
{
	request->done(request->arg, &request->reply);
	request_free(request);
}

void
engine_fail(struct engine_request_copy *request, int code, const char *fmt, ...)
{
	va_list args;

	request->reply.code = request->reply.err.code = code;
	va_start(args, fmt);
	(void)vsnprintf(request->reply.err.text, sizeof(request->reply.err.text), fmt, args);
	va_end(args);
	engine_finish(request);
}

void
engine_fail_err(struct engine_request_copy *request, const struct leased_err *err)
{
	request->reply.err = *err;
	request->reply.code = err->code;
	engine_finish(request);
}

void
engine_warn(struct engine_request_copy *request, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (request->reply.warnings == NULL)
		request->reply.warnings = json_array();
	(void)json_array_append_new(request->reply.warnings, json_string(text));
}

void
engine_warn_unknown(
    struct engine_request_copy *request, const json_t *unknown, const char *const *known)
{
	const char *nearest;
	const json_t *name;
	char names[256] = "", hint[300] = "";
	size_t i, count = 0, used = 0, hinted = 0;

	if (json_array_size(unknown) == 0)
		return;
	while (known[count] != NULL)
		count++;
	json_array_foreach(unknown, i, name)
	{
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.60s",
		    i == 0 ? "" : " ", json_string_value(name));
		if (used >= sizeof(names))
			used = sizeof(names) - 1;
		nearest = jdec_nearest(json_string_value(name), known, count);
		if (nearest != NULL)
			hinted += (size_t)snprintf(hint + hinted, sizeof(hint) - hinted,
			    "; did you mean %s instead of %.60s?", nearest,
			    json_string_value(name));
		if (hinted >= sizeof(hint))
			hinted = sizeof(hint) - 1;
	}
	engine_warn(request, "Endpoint ignored these unrecognized parameters: [%s]%s", names, hint);
}

static struct engine_request_copy *
request_new(struct engines *engines, const struct engine_mount *mount,
    const struct engine_request *from, const char *name, engine_reply_done done, void *arg)
{
	struct engine_request_copy *request;

	if ((request = calloc(1, sizeof(*request))) == NULL)
		return (NULL);
	request->tag = REQUEST_TAG;
	request->engines = engines;
	request->mount = mount;
	request->mount_id = mount->id;
	request->done = done;
	request->arg = arg;
	request->operation = from->operation;
	request->head = from->head;
	request->token = from->caller.token;
	request->token_left_s = from->caller.token_left_s;
	request->max_leases = from->caller.max_leases;
	request->body = from->body != NULL ? json_deep_copy(from->body) : json_object();
	request->name = strdup(name);
	request->request_id = strdup(from->request_id);
	request->entity = strdup(from->caller.entity);
	request->display_name = strdup(from->caller.display_name);
	if (request->body == NULL || request->name == NULL || request->request_id == NULL ||
	    request->entity == NULL || request->display_name == NULL) {
		request_free(request);
		return (NULL);
	}
	return (request);
}

void
engine_doc_name(int64_t mount, const char *name, char ret_name[ENGINE_DOC_NAME_SIZE])
{
	(void)snprintf(ret_name, ENGINE_DOC_NAME_SIZE, "%lld/%s", (long long)mount, name);
}

struct store_doc *
engine_doc_new(const char *kind, int64_t mount, const char *name, json_t *data)
{
	char full[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc;

	engine_doc_name(mount, name, full);
	if (data == NULL || (doc = calloc(1, sizeof(*doc))) == NULL) {
		json_decref(data);
		return (NULL);
	}
	doc->data = data;
	doc->kind = strdup(kind);
	doc->name = strdup(full);
	if (doc->kind == NULL || doc->name == NULL) {
		store_doc_free(doc);
		return (NULL);
	}
	return (doc);
}

json_t *
engine_list_json(const struct jdec_list *list)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < list->count; i++)
		(void)json_array_append_new(array, json_string(list->items[i]));
	return (array);
}

/* ---- listing ---- */

struct list_read {
	struct store_read read; /* first */
	struct engine_request_copy *request;
	const char *kind;
	char prefix[ENGINE_DOC_NAME_SIZE];
	json_t *keys;
};

static int
list_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct list_read *list = (struct list_read *)read;
	struct store_doc **docs = NULL;
	size_t count = 0, i, skip = strlen(list->prefix);
	char after[ENGINE_DOC_NAME_SIZE] = "";
	int r;

	do {
		r = store_doc_list(db, list->kind, list->prefix, after[0] != '\0' ? after : NULL,
		    256, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			(void)snprintf(after, sizeof(after), "%s", docs[i]->name);
			(void)json_array_append_new(list->keys, json_string(docs[i]->name + skip));
			store_doc_free(docs[i]);
		}
		free(docs);
		docs = NULL;
	} while (count == 256);
	return (0);
}

static void
list_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct list_read *list = (struct list_read *)read;
	struct engine_request_copy *request = list->request;

	if (result == 0 && json_array_size(list->keys) > 0)
		request->reply.data = json_pack("{s:O}", "keys", list->keys);
	json_decref(list->keys);
	free(list);
	if (result != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

void
engine_list_docs(struct engine_request_copy *request, const char *kind)
{
	struct list_read *list;

	if ((list = calloc(1, sizeof(*list))) == NULL || (list->keys = json_array()) == NULL) {
		free(list);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	list->request = request;
	list->kind = kind;
	engine_doc_name(request->mount_id, "", list->prefix);
	list->read.run = list_run;
	list->read.done = list_done;
	store_submit_read(request->engines->config.store, &list->read);
}

/* ---- paths below a database mount ---- */

enum name_rule { NAME_NEEDED, NAME_OR_LIST };

static const struct database_path {
	const char *verb;
	enum name_rule rule;
	void (*handle)(struct engine_request_copy *request);
	const char *kind; /* of the document that decides create or update; NULL: none */
} database_paths[] = {
    {"config", NAME_OR_LIST, engine_database_config, "connection"},
    {"roles", NAME_OR_LIST, engine_database_role, "role"},
    {"creds", NAME_NEEDED, engine_database_creds, NULL},
    {"reset", NAME_NEEDED, engine_database_reset, NULL},
};

/* The row of path and the name behind its verb; NULL when no such path exists. "roles" and "roles/"
 * are the list. */
static const struct database_path *
database_path_find(const char *path, const char **ret_name)
{
	size_t len = strcspn(path, "/"), i;
	const char *name = path[len] == '/' ? path + len + 1 : "";

	for (i = 0; i < sizeof(database_paths) / sizeof(database_paths[0]); i++) {
		if (strlen(database_paths[i].verb) != len ||
		    memcmp(database_paths[i].verb, path, len) != 0)
			continue;
		if (name[0] == '\0' ? database_paths[i].rule == NAME_NEEDED
				    : !path_is_name(name, strlen(name)))
			return (NULL);
		*ret_name = name;
		return (&database_paths[i]);
	}
	return (NULL);
}

static void
reply_error(engine_reply_done done, void *arg, int code, int status, const char *text)
{
	struct engine_reply reply = {.code = code, .status = status};

	(void)leased_err_set(&reply.err, code, "%s", text);
	done(arg, &reply);
}

void
engine_handle(struct engines *engines, const struct engine_mount *mount,
    const struct engine_request *from, engine_reply_done done, void *arg)
{
	const struct database_path *path;
	struct engine_request_copy *request;
	const char *name = "";

	if ((path = database_path_find(from->path, &name)) == NULL) {
		reply_error(done, arg, LEASED_ENOENT, 404, "unsupported path");
		return;
	}
	if ((name[0] == '\0') != (from->operation == ENGINE_LIST)) {
		reply_error(done, arg, LEASED_EINVAL, 405, "unsupported operation");
		return;
	}
	if (mount->closing) {
		reply_error(done, arg, LEASED_EUNAVAIL, 0,
		    "this mount is being removed: its leases are being ended");
		return;
	}
	if ((request = request_new(engines, mount, from, name, done, arg)) == NULL) {
		reply_error(done, arg, LEASED_ENOMEM, 0, "out of memory");
		return;
	}
	if (from->operation == ENGINE_LIST)
		engine_list_docs(request, path->kind);
	else
		path->handle(request);
}

int
engine_exists(struct engines *engines, const struct engine_mount *mount, const char *path)
{
	const struct database_path *row;
	char full[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	const char *name = "";
	int r;

	row = database_path_find(path, &name);
	if (row == NULL || row->kind == NULL || name[0] == '\0')
		return (-1);
	engine_doc_name(mount->id, name, full);
	r = store_doc_get(store_db(engines->config.store), row->kind, full, &doc, NULL);
	store_doc_free(doc);
	return (r == LEASED_ENOENT ? 0 : 1);
}
