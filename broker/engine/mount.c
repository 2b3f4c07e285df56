/*
 * The mount table: documents of kind "mount", kept in memory (there are few), and routing by
 * longest prefix. It does not know what an engine does below a mount.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/type.h"

#define MOUNTED_MARK "engine.mounted"

void
engine_mount_free(struct engine_mount *mount)
{
	if (mount == NULL)
		return;
	free(mount->path);
	json_decref(mount->data);
	free(mount);
}

/* Takes over what doc holds; doc is left to be freed. */
struct engine_mount *
engine_mount_from_doc(struct store_doc *doc)
{
	struct engine_mount *mount;

	if ((mount = calloc(1, sizeof(*mount))) == NULL)
		return (NULL);
	mount->id = doc->id;
	mount->version = doc->version;
	mount->path = doc->name;
	mount->data = doc->data;
	mount->type = engine_type_find(json_string_value(json_object_get(mount->data, "type")));
	doc->name = NULL;
	doc->data = NULL;
	return (mount);
}

struct store_doc *
engine_mount_doc_new(struct engines *engines, const char *path, const char *type,
    const char *description, int64_t default_s, int64_t max_s)
{
	char uuid[ID_UUID_SIZE], accessor[64];
	struct store_doc *doc;

	id_uuid(engines->config.ids, uuid);
	(void)snprintf(accessor, sizeof(accessor), "%s_%.8s", type, uuid);
	if ((doc = calloc(1, sizeof(*doc))) == NULL)
		return (NULL);
	doc->kind = strdup("mount");
	doc->name = strdup(path);
	doc->data = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "type", type, "description",
	    description, "accessor", accessor, "uuid", uuid, "default_lease_ttl",
	    (json_int_t)default_s, "max_lease_ttl", (json_int_t)max_s);
	if (doc->kind == NULL || doc->name == NULL || doc->data == NULL) {
		store_doc_free(doc);
		return (NULL);
	}
	return (doc);
}

/* ---- start ---- */

struct first_mount {
	struct engine_change change; /* first */
	struct engines *engines;
	struct store_doc *doc;
};

static void
on_first_mount(void *arg, int code, const struct leased_err *err)
{
	struct first_mount *first = arg;
	struct engine_mount *mount;

	if (code != 0)
		log_error("database/ could not be mounted at the first start", LOG_ERR(err));
	else if ((mount = engine_mount_from_doc(first->doc)) != NULL)
		LIST_INSERT_HEAD(&first->engines->mounts, mount, link);
	store_doc_free(first->doc);
	free(first);
}

/* A store without any mount is a new one: it gets database/, durable before the first request can
 * use it, since that request's own writes queue up behind it. */
static int
mount_first(struct engines *engines, struct leased_err *err)
{
	struct first_mount *first;

	if ((first = calloc(1, sizeof(*first))) == NULL ||
	    (first->doc = engine_mount_doc_new(engines, "database/", "database", "", 0, 0)) ==
		NULL) {
		free(first);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	first->engines = engines;
	first->change.puts[0] = first->doc;
	first->change.mark = MOUNTED_MARK;
	first->change.done = on_first_mount;
	first->change.arg = first;
	engine_change_submit(engines, &first->change);
	return (0);
}

int
engine_mounts_load(struct engines *engines, struct leased_err *err)
{
	struct store_doc **docs = NULL;
	struct engine_mount *mount;
	size_t count = 0, i;
	char after[512] = "";
	char *born = NULL;
	int r;

	do {
		r = store_doc_list(store_db(engines->config.store), "mount", "",
		    after[0] != '\0' ? after : NULL, 64, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			(void)snprintf(after, sizeof(after), "%s", docs[i]->name);
			if ((mount = engine_mount_from_doc(docs[i])) != NULL)
				LIST_INSERT_HEAD(&engines->mounts, mount, link);
			else
				r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			store_doc_free(docs[i]);
		}
		free(docs);
		docs = NULL;
	} while (r == 0 && count == 64);
	if (r != 0)
		return (r);
	/* Only the first start mounts: an operator who unmounted database/ meant it. */
	r = store_meta_get(store_db(engines->config.store), MOUNTED_MARK, &born, err);
	free(born);
	if (r == LEASED_ENOENT)
		return (mount_first(engines, err));
	return (r == LEASED_ECORRUPT ? 0 : r); /* that it is there counts, not what it says */
}

void
engine_mounts_free(struct engines *engines)
{
	struct engine_mount *mount;

	while ((mount = LIST_FIRST(&engines->mounts)) != NULL) {
		LIST_REMOVE(mount, link);
		engine_mount_free(mount);
	}
}

/* ---- looking ---- */

struct engine_mount *
engine_mount_find(struct engines *engines, int64_t id)
{
	struct engine_mount *mount;

	LIST_FOREACH (mount, &engines->mounts, link)
		if (mount->id == id)
			return (mount);
	return (NULL);
}

const char *
engines_mount_path(void *arg, int64_t id)
{
	struct engine_mount *mount = engine_mount_find(arg, id);

	return (mount != NULL ? mount->path : NULL);
}

const struct engine_mount *
engines_route(struct engines *engines, const char *path, const char **ret_rest)
{
	struct engine_mount *mount, *best = NULL;
	size_t len, best_len = 0;

	LIST_FOREACH (mount, &engines->mounts, link) {
		len = strlen(mount->path);
		/* "foo" is a request to mount "foo/" as well. */
		if (strncmp(path, mount->path, len) != 0 &&
		    !(strlen(path) == len - 1 && strncmp(path, mount->path, len - 1) == 0))
			continue;
		if (len > best_len) {
			best = mount;
			best_len = len;
		}
	}
	if (best != NULL)
		*ret_rest = strlen(path) >= best_len ? path + best_len : "";
	return (best);
}

const char *
engine_mount_path(const struct engine_mount *mount)
{
	return (mount->path);
}

const char *
engine_mount_type(const struct engine_mount *mount)
{
	return (json_string_value(json_object_get(mount->data, "type")));
}

int64_t
engine_mount_id(const struct engine_mount *mount)
{
	return (mount->id);
}

json_t *
engine_mount_info(const struct engine_mount *mount)
{
	return (json_pack(
	    "{s:O, s:O, s:O, s:O, s:b, s:b, s:b, s:n, s:s, s:s, s:s, s:s, s:{s:O, s:O, s:b}}",
	    "type", json_object_get(mount->data, "type"), "description",
	    json_object_get(mount->data, "description"), "accessor",
	    json_object_get(mount->data, "accessor"), "uuid", json_object_get(mount->data, "uuid"),
	    "local", 0, "seal_wrap", 0, "external_entropy_access", 0, "options", "plugin_version",
	    "", "running_plugin_version", "", "running_sha256", "", "deprecation_status",
	    "supported", "config", "default_lease_ttl",
	    json_object_get(mount->data, "default_lease_ttl"), "max_lease_ttl",
	    json_object_get(mount->data, "max_lease_ttl"), "force_no_cache", 0));
}

json_t *
engines_mounts(struct engines *engines)
{
	struct engine_mount *mount;
	json_t *table = json_object();

	LIST_FOREACH (mount, &engines->mounts, link)
		if (json_object_set_new(table, mount->path, engine_mount_info(mount)) != 0) {
			json_decref(table);
			return (NULL);
		}
	return (table);
}

void
engine_mount_ttls(struct engines *engines, const struct engine_mount *mount, int64_t *ret_default_s,
    int64_t *ret_max_s)
{
	int64_t default_s, max_s;

	default_s = json_integer_value(json_object_get(mount->data, "default_lease_ttl"));
	max_s = json_integer_value(json_object_get(mount->data, "max_lease_ttl"));
	*ret_default_s = default_s > 0 ? default_s : engines->config.default_ttl_s;
	*ret_max_s = max_s > 0 ? max_s : engines->config.max_ttl_s;
}
