/*
 * The engines: start and end, and the way from a path below a mount to its handler. It owns the
 * request copies; what the paths mean is said by the mount's type (type.h).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/database.h"
#include "engine/document.h"
#include "engine/jwt.h"
#include "engine/rotation.h"
#include "engine/ssh/mount.h"
#include "engine/type.h"

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
	if (engines->config.port_open == NULL)
		engines->config.port_open = plugin_port_open;
	LIST_INIT(&engines->mounts);
	LIST_INIT(&engines->connections);
	LIST_INIT(&engines->rotating);
	LIST_INIT(&engines->ssh);
	if ((r = engine_mounts_load(engines, err)) != 0 || (r = engine_jwt_new(engines, err)) != 0)
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
	engine_gone_forget(engines);
	engine_connections_sweep_start(engines);
	engine_rolevers_sweep_start(engines);
	engine_rotations_start(engines);
	engine_jwt_start(engines->jwt);
	engine_ssh_start(engines);
}

void
engines_stop(struct engines *engines)
{
	if (engines != NULL)
		engines->stopping = true;
}

void
engines_quiet(struct engines *engines)
{
	engine_ssh_quiet(engines);
}

void
engines_hold(struct engines *engines)
{
	engines->waiting++;
}

void
engines_release(struct engines *engines)
{
	if (--engines->waiting > 0 || !engines->freed)
		return;
	engine_docs_forget(engines);
	engine_mounts_free(engines);
	engine_jwt_free(engines->jwt);
	engine_ssh_free(engines);
	free(engines);
}

void
engines_free(struct engines *engines)
{
	if (engines == NULL)
		return;
	engines->stopping = true;
	engines_hold(engines);
	if (engines->sweep != NULL)
		event_free(engines->sweep);
	engine_rolevers_sweep_stop(engines);
	engine_rotations_stop(engines);
	engine_describes_free(engines);
	engine_jwt_stop(engines->jwt);
	engine_ssh_stop(engines);
	engine_connections_free(engines);
	engines->freed = true;
	engines_release(engines);
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
	free(request->etag);
	free(request->prefer);
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
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	request->reply.code = code;
	(void)leased_err_set(&request->reply.err, code, "%s", text != NULL ? text : fmt);
	free(text);
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
	char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	if (request->reply.warnings == NULL)
		request->reply.warnings = json_array();
	if (text != NULL)
		(void)json_array_append_new(request->reply.warnings, json_string(text));
	free(text);
}

void
engine_warn_unknown(
    struct engine_request_copy *request, const json_t *unknown, const char *const *known)
{
	const char *nearest, *name;
	const json_t *item;
	char *names = NULL, *hints = NULL;
	size_t i, count = 0, size = 0;
	FILE *to_names, *to_hints;

	if (json_array_size(unknown) == 0)
		return;
	while (known[count] != NULL)
		count++;
	to_names = open_memstream(&names, &size);
	to_hints = open_memstream(&hints, &size);
	json_array_foreach(unknown, i, item)
	{
		name = json_string_value(item);
		if (to_names == NULL || to_hints == NULL || name == NULL)
			continue;
		(void)fprintf(to_names, "%s%s", i == 0 ? "" : " ", name);
		if ((nearest = jdec_nearest(name, known, count)) != NULL)
			(void)fprintf(to_hints, "; did you mean %s instead of %s?", nearest, name);
	}
	if (to_names != NULL)
		(void)fclose(to_names);
	if (to_hints != NULL)
		(void)fclose(to_hints);
	if (names != NULL && hints != NULL)
		engine_warn(request, "Endpoint ignored these unrecognized parameters: [%s]%s",
		    names, hints);
	free(names);
	free(hints);
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
	request->has_sudo = from->caller.has_sudo;
	request->body = from->body != NULL ? json_deep_copy(from->body) : json_object();
	request->name = strdup(name);
	request->request_id = strdup(from->request_id);
	request->entity = strdup(from->caller.entity);
	request->display_name = strdup(from->caller.display_name);
	request->etag = from->etag != NULL ? strdup(from->etag) : NULL;
	request->prefer = from->prefer != NULL ? strdup(from->prefer) : NULL;
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

	/* All or nothing: a list that lacks an item means something else. */
	for (i = 0; i < list->count; i++)
		if (json_array_append_new(array, json_string(list->items[i])) != 0) {
			json_decref(array);
			return (NULL);
		}
	return (array);
}

/* ---- listing ---- */

struct list_read {
	struct store_read read; /* first */
	struct engine_request_copy *request;
	const char *kind;
	char prefix[ENGINE_DOC_NAME_SIZE], after[ENGINE_DOC_NAME_SIZE]; /* after: the last key's */
	json_t *keys;
};

#define LIST_PAGE 256

static int
list_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct list_read *list = (struct list_read *)read;
	struct store_doc **docs = NULL;
	size_t count = 0, i, skip = strlen(list->prefix);
	int r;

	do {
		r = store_doc_list(db, list->kind, list->prefix,
		    list->after[0] != '\0' ? list->after : NULL, LIST_PAGE, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			(void)snprintf(list->after, sizeof(list->after), "%s", docs[i]->name);
			if (json_array_append_new(list->keys, json_string(docs[i]->name + skip)) !=
			    0)
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			store_doc_free(docs[i]);
		}
		free(docs);
		docs = NULL;
		if (r == 0 && count == LIST_PAGE && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	} while (r == 0 && count == LIST_PAGE);
	return (r);
}

static void
list_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct list_read *list = (struct list_read *)read;
	struct engine_request_copy *request = list->request;
	struct engines *engines = request->engines;
	struct leased_err own = *err; /* err is of the read, which goes first */
	bool any = json_array_size(list->keys) > 0;

	if (result == 0 && any)
		request->reply.data = json_pack("{s:O}", "keys", list->keys);
	json_decref(list->keys);
	free(list);
	if (result == 0 && any && request->reply.data == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
	else if (result != 0)
		engine_fail_err(request, &own);
	else
		engine_finish(request);
	engines_release(engines);
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
	engines_hold(request->engines);
	store_submit_read(request->engines->config.store, &list->read);
}

/* ---- paths below a mount ---- */

static void
reply_error(engine_reply_done done, void *arg, int code, int status, const char *text)
{
	struct engine_reply reply = {.code = code, .status = status};

	(void)leased_err_set(&reply.err, code, "%s", text);
	done(arg, &reply);
}

static engine_handler
handler_of(const struct engine_path *path, enum engine_operation operation)
{
	switch (operation) {
	case ENGINE_READ:
		return (path->read);
	case ENGINE_WRITE:
		return (path->write);
	case ENGINE_DELETE:
		return (path->remove);
	case ENGINE_LIST:
		return (path->list);
	case ENGINE_PATCH:
		break;
	}
	return (NULL);
}

/* A list has no name behind its verb, and all else has one, but where the verb is all there is. */
static bool
is_supported(const struct engine_path *path, const char *name, enum engine_operation operation)
{
	if (operation == ENGINE_LIST || (name[0] == '\0' && !path->is_whole))
		return (operation == ENGINE_LIST && name[0] == '\0' && path->is_listed);
	return (handler_of(path, operation) != NULL);
}

static void
reply_unsupported(const struct engine_mount *mount, engine_reply_done done, void *arg)
{
	struct engine_reply reply = {.code = LEASED_ENOENT, .status = 404};

	if (mount->type != NULL)
		(void)leased_err_set(&reply.err, LEASED_ENOENT,
		    "unsupported path: `lease read sys/mounts` shows what there is; %s",
		    mount->type->help);
	else
		(void)leased_err_set(&reply.err, LEASED_ENOENT,
		    "unsupported path: %s is mounted as type %s, which this version does not have",
		    mount->path, engine_mount_type(mount));
	done(arg, &reply);
}

void
engine_handle(struct engines *engines, const struct engine_mount *mount,
    const struct engine_request *from, engine_reply_done done, void *arg)
{
	const struct engine_path *path;
	struct engine_request_copy *request;
	const char *name = "";

	if ((path = engine_path_find(mount->type, from->path, &name)) == NULL) {
		reply_unsupported(mount, done, arg);
		return;
	}
	if (!is_supported(path, name, from->operation)) {
		reply_error(done, arg, LEASED_EINVAL, 405, "unsupported operation");
		return;
	}
	if (mount->closing || engines->stopping) {
		reply_error(done, arg, LEASED_EUNAVAIL, 0,
		    engines->stopping ? "leased is stopping"
				      : "this mount is being removed: its leases are being ended");
		return;
	}
	if ((request = request_new(engines, mount, from, name, done, arg)) == NULL) {
		reply_error(done, arg, LEASED_ENOMEM, 0, "out of memory");
		return;
	}
	if (from->operation == ENGINE_LIST && path->list == NULL)
		engine_list_docs(request, path->kind);
	else
		handler_of(path, from->operation)(request);
}

bool
engine_mount_is_open(struct engine_request_copy *request)
{
	const struct engine_mount *mount = engine_mount_find(request->engines, request->mount_id);

	return (!request->engines->stopping && mount != NULL && !mount->closing);
}
