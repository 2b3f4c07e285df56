/*
 * identity/entity and identity/lookup/entity: who the daemon knows. Entities are auth/'s to make
 * (documents of kind "entity" and "alias"); here they are shown, not changed.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/jwt.h"
#include "engine/jwt_paths.h"

#define PAGE 256
#define LIST_MAX 10000
#define NAME_PREFIX "entity_"

/* ---- one ---- */

static json_t *
time_text(int64_t wall_s)
{
	char text[WCLOCK_RFC3339_SIZE];

	wclock_format_rfc3339(wall_s * 1000000, text);
	return (json_string(text));
}

/* "<accessor>/<name>" as the API has it. */
static json_t *
alias_shown(const char *entity, const char *alias)
{
	const char *slash = strchr(alias, '/'), *name = slash != NULL ? slash + 1 : alias;
	int len = slash != NULL ? (int)(slash - alias) : 0;

	return (json_pack("{s:s,s:s,s:s,s:s%,s:{}}", "canonical_id", entity, "id", alias, "name",
	    name, "mount_accessor", alias, (size_t)len, "metadata"));
}

static json_t *
entity_shown(const struct store_doc *doc)
{
	const json_t *names = json_object_get(doc->data, "aliases"), *alias;
	const json_t *metadata = json_object_get(doc->data, "metadata");
	json_t *aliases = json_array();
	size_t i;

	json_array_foreach(names, i, alias)
	{
		if (json_array_append_new(
			aliases, alias_shown(doc->name, json_string_value(alias))) != 0) {
			json_decref(aliases);
			return (NULL);
		}
	}
	return (json_pack("{s:s,s:O,s:o,s:o,s:[],s:[],s:b,s:s,s:o}", "id", doc->name, "name",
	    json_object_get(doc->data, "name"), "aliases", aliases, "metadata",
	    json_is_object(metadata) ? json_deep_copy(metadata) : json_object(), "policies",
	    "group_ids", "disabled", 0, "namespace_id", "root", "creation_time",
	    time_text(json_integer_value(json_object_get(doc->data, "creation_s")))));
}

/* r: of the search for doc, which is taken. */
static void
answer(
    struct engine_request_copy *request, int r, struct store_doc *doc, const struct leased_err *err)
{
	if (r == 0) {
		request->reply.data = entity_shown(doc);
		if (request->reply.data == NULL) {
			store_doc_free(doc);
			engine_fail(request, LEASED_ENOMEM, "out of memory");
			return;
		}
	}
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, err);
	else
		engine_finish(request);
}

static int
by_id(struct engines *engines, const char *id, struct store_doc **ret_doc, struct leased_err *err)
{
	return (store_doc_get(store_db(engines->config.store), "entity", id, ret_doc, err));
}

/* A name is "entity_" and the first 8 digits of the id; few share them. */
static int
by_name(
    struct engines *engines, const char *name, struct store_doc **ret_doc, struct leased_err *err)
{
	const char *prefix = name + strlen(NAME_PREFIX), *its;
	struct store_doc **docs = NULL;
	size_t count = 0;
	int r;

	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0 || strlen(prefix) != 8)
		return (LEASED_ENOENT);
	r = store_doc_list(
	    store_db(engines->config.store), "entity", prefix, NULL, 64, &docs, &count, err);
	if (r != 0)
		return (r);
	r = LEASED_ENOENT;
	for (size_t i = 0; i < count; i++) {
		its = json_string_value(json_object_get(docs[i]->data, "name"));
		if (r != 0 && its != NULL && strcmp(its, name) == 0) {
			*ret_doc = docs[i];
			r = 0;
		} else
			store_doc_free(docs[i]);
	}
	free(docs);
	return (r);
}

static int
by_alias(
    struct engines *engines, const char *alias, struct store_doc **ret_doc, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	const char *id;
	int r;

	r = store_doc_get(store_db(engines->config.store), "alias", alias, &doc, err);
	if (r != 0)
		return (r);
	id = json_string_value(json_object_get(doc->data, "entity"));
	r = id != NULL ? by_id(engines, id, ret_doc, err) : LEASED_ENOENT;
	store_doc_free(doc);
	return (r);
}

int
engine_entity_find(
    struct engines *engines, const char *text, struct store_doc **ret_doc, struct leased_err *err)
{
	int r;

	if ((r = by_id(engines, text, ret_doc, err)) != LEASED_ENOENT ||
	    (r = by_name(engines, text, ret_doc, err)) != LEASED_ENOENT)
		return (r);
	return (by_alias(engines, text, ret_doc, err));
}

void
engine_entity_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r = by_id(request->engines, request->name, &doc, &err);

	answer(request, r, doc, &err);
}

void
engine_entity_read_name(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r = by_name(request->engines, request->name, &doc, &err);

	answer(request, r, doc, &err);
}

/* ---- lookup ---- */

struct lookup_body {
	char *id, *name, *alias_id, *alias_name, *alias_mount_accessor;
};
static const struct jdec_field lookup_fields[] = {
    JDEC_FIELD(struct lookup_body, id, JDEC_STRING),
    JDEC_FIELD(struct lookup_body, name, JDEC_STRING),
    JDEC_FIELD(struct lookup_body, alias_id, JDEC_STRING),
    JDEC_FIELD(struct lookup_body, alias_name, JDEC_STRING),
    JDEC_FIELD(struct lookup_body, alias_mount_accessor, JDEC_STRING),
    JDEC_END,
};
static const char *const lookup_names[] = {
    "id", "name", "alias_id", "alias_name", "alias_mount_accessor", NULL};

static int
look_up(struct engines *engines, const struct lookup_body *body, struct store_doc **ret_doc,
    struct leased_err *err)
{
	char *alias = NULL;
	int r;

	if (body->id != NULL && body->id[0] != '\0')
		return (by_id(engines, body->id, ret_doc, err));
	if (body->name != NULL && body->name[0] != '\0')
		return (by_name(engines, body->name, ret_doc, err));
	if (body->alias_id != NULL && body->alias_id[0] != '\0')
		return (by_alias(engines, body->alias_id, ret_doc, err));
	if (body->alias_name == NULL || body->alias_mount_accessor == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "one of id, name, alias_id, or alias_name with alias_mount_accessor is "
		    "needed"));
	if (asprintf(&alias, "%s/%s", body->alias_mount_accessor, body->alias_name) < 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = by_alias(engines, alias, ret_doc, err);
	free(alias);
	return (r);
}

/* None is 204. */
void
engine_entity_lookup(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lookup_body body = {0};
	struct store_doc *doc = NULL;
	json_t *unknown = NULL;
	int r;

	if ((r = jdec_decode(request->body, lookup_fields, &body, &unknown, &err)) == 0) {
		engine_warn_unknown(request, unknown, lookup_names);
		r = look_up(request->engines, &body, &doc, &err);
	}
	json_decref(unknown);
	jdec_clear(lookup_fields, &body);
	answer(request, r, doc, &err);
}

/* ---- list ---- */

struct entity_list {
	struct store_read read; /* first */
	struct engine_request_copy *request;
	char after[ENGINE_DOC_NAME_SIZE];
	json_t *keys;
};

static int
list_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct entity_list *list = (struct entity_list *)read;
	struct store_doc **docs;
	size_t count;
	int r;

	do {
		docs = NULL;
		count = 0;
		r = store_doc_list(db, "entity", "", list->after[0] != '\0' ? list->after : NULL,
		    PAGE, &docs, &count, err);
		for (size_t i = 0; i < count; i++) {
			(void)strlcpy(list->after, docs[i]->name, sizeof(list->after));
			if (r == 0 &&
			    json_array_append_new(list->keys, json_string(docs[i]->name)) != 0)
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			store_doc_free(docs[i]);
		}
		free(docs);
		if (r == 0 && count == PAGE && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	} while (r == 0 && count == PAGE && json_array_size(list->keys) < LIST_MAX);
	return (r);
}

static void
list_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct entity_list *list = (struct entity_list *)read;
	struct engine_request_copy *request = list->request;
	struct engines *engines = request->engines;
	struct leased_err own = *err; /* err is of the read, which goes first */

	if (json_array_size(list->keys) >= LIST_MAX)
		engine_warn(request, "there are more than the first %d", LIST_MAX);
	if (json_array_size(list->keys) > 0)
		request->reply.data = json_pack("{s:O}", "keys", list->keys);
	json_decref(list->keys);
	free(list);
	if (result != 0)
		engine_fail_err(request, &own);
	else
		engine_finish(request);
	engines_release(engines);
}

void
engine_entity_list(struct engine_request_copy *request)
{
	struct entity_list *list = calloc(1, sizeof(*list));

	if (list == NULL || (list->keys = json_array()) == NULL) {
		free(list);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	list->request = request;
	list->read.run = list_run;
	list->read.done = list_done;
	engines_hold(request->engines);
	store_submit_read(request->engines->config.store, &list->read);
}
