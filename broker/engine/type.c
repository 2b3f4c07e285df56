/*
 * The table of mount types, and the way from a path below a mount to its row. Knows no handler;
 * engine.c and mount*.c look here.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "engine/type.h"

static const struct engine_type *const types[] = {
    &engine_type_database,
    &engine_type_rabbitmq,
    &engine_type_token,
    &engine_type_identity,
    &engine_type_ssh,
};
#define TYPES (sizeof(types) / sizeof(types[0]))

const struct engine_type *
engine_type_at(size_t index)
{
	return (index < TYPES ? types[index] : NULL);
}

const struct engine_type *
engine_type_find(const char *name)
{
	for (size_t i = 0; i < TYPES && name != NULL; i++)
		if (strcmp(types[i]->name, name) == 0)
			return (types[i]);
	return (NULL);
}

void
engine_type_names(char *ret_names, size_t size)
{
	size_t used = 0;

	ret_names[0] = '\0';
	for (size_t i = 0; i < TYPES && used < size; i++)
		used += (size_t)snprintf(
		    ret_names + used, size - used, "%s%s", i > 0 ? ", " : "", types[i]->name);
}

int
engine_lease_ended(
    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err)
{
	const struct engine_type *type =
	    engine_type_find(json_string_value(json_object_get(ended->engine, "type")));

	if (type == NULL || type->lease_ended == NULL)
		return (0);
	return (type->lease_ended(txn, ended, err));
}

/* What follows verb in path, or NULL. */
static const char *
behind(const char *verb, const char *path)
{
	size_t len = strlen(verb);

	if (strncmp(verb, path, len) != 0 || (path[len] != '\0' && path[len] != '/'))
		return (NULL);
	return (path[len] == '/' ? path + len + 1 : path + len);
}

static bool
may_follow(const struct engine_path *path, const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return (path->is_whole || path->is_listed);
	if (path->is_whole && path->is_name == NULL)
		return (false);
	return (path->is_name != NULL ? path->is_name(name, len) : path_is_name(name, len));
}

const struct engine_path *
engine_path_find(const struct engine_type *type, const char *path, const char **ret_name)
{
	const struct engine_path *found = NULL;
	const char *name = NULL, *rest;

	for (size_t i = 0; type != NULL && i < type->path_count; i++) {
		if ((rest = behind(type->paths[i].verb, path)) == NULL)
			continue;
		if (found != NULL && strlen(found->verb) > strlen(type->paths[i].verb))
			continue;
		found = &type->paths[i];
		name = rest;
	}
	if (found == NULL || !may_follow(found, name))
		return (NULL);
	*ret_name = name;
	return (found);
}

/* ---- what api/ asks of a path ---- */

int
engine_exists(struct engines *engines, const struct engine_mount *mount, const char *path)
{
	const struct engine_path *row;
	char full[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	const char *name = "";
	int r;

	row = engine_path_find(mount->type, path, &name);
	/* Behind a name no document stands: what is written there does something to one. */
	if (row == NULL || row->kind == NULL || name[0] == '\0' || strchr(name, '/') != NULL)
		return (-1);
	engine_doc_name(mount->id, name, full);
	r = store_doc_get(store_db(engines->config.store), row->kind, full, &doc, NULL);
	store_doc_free(doc);
	return (r == LEASED_ENOENT ? 0 : 1);
}

bool
engine_needs_sudo(const struct engine_mount *mount, const char *path)
{
	const char *name = "";
	const struct engine_path *row = engine_path_find(mount->type, path, &name);

	return (row != NULL && row->needs_sudo);
}

bool
engine_takes_basic(const struct engine_mount *mount, const char *path)
{
	const char *name = "";
	const struct engine_path *row = engine_path_find(mount->type, path, &name);

	return (row != NULL && row->takes_basic);
}

bool
engine_renew_inputs(
    struct engines *engines, const struct store_lease *row, struct lease_ttl_input *ret_ttl)
{
	const struct engine_mount *mount = engine_mount_find(engines, row->mount);

	if (mount == NULL || mount->type == NULL || mount->type->renew_inputs == NULL)
		return (false);
	return (mount->type->renew_inputs(engines, mount, row, ret_ttl));
}

bool
engine_is_open(const struct engine_mount *mount, const char *path)
{
	const char *name = "";
	const struct engine_path *row = engine_path_find(mount->type, path, &name);

	return (row != NULL && row->is_open);
}

bool
engine_also_reads(const struct engine_mount *mount, const char *path, char *ret_path, size_t size)
{
	const char *name = "";
	const struct engine_path *row = engine_path_find(mount->type, path, &name);

	if (row == NULL || row->also_reads == NULL)
		return (false);
	(void)snprintf(ret_path, size, "%s%s", row->also_reads, name);
	return (true);
}
