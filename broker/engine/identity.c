/*
 * The mount "identity/": its paths, and its making at the first start of a version that has it.
 * What is behind the paths is in jwt_*.c and entity.c.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "engine/jwt.h"
#include "engine/jwt_paths.h"

/* "NAME" or "NAME/rotate". */
static bool
is_key_path(const char *name, size_t len)
{
	static const char tail[] = "/rotate";
	size_t tail_len = sizeof(tail) - 1;

	if (len > tail_len && memcmp(name + len - tail_len, tail, tail_len) == 0)
		len -= tail_len;
	return (path_is_name(name, len));
}

static const struct engine_path paths[] = {
    {.verb = "oidc/config",
	.is_whole = true,
	.read = engine_jwt_config_read,
	.write = engine_jwt_config_write},
    {.verb = "oidc/key",
	.is_listed = true,
	.kind = "oidc-key",
	.is_name = is_key_path,
	.read = engine_jwt_key_read,
	.write = engine_jwt_key_write,
	.remove = engine_jwt_key_delete},
    {.verb = "oidc/role",
	.is_listed = true,
	.kind = "oidc-role",
	.read = engine_jwt_role_read,
	.write = engine_jwt_role_write,
	.remove = engine_jwt_role_delete},
    {.verb = "oidc/token", .read = engine_jwt_token},
    {.verb = "entity/id",
	.is_listed = true,
	.list = engine_entity_list,
	.read = engine_entity_read},
    {.verb = "entity/name", .read = engine_entity_read_name},
    {.verb = "lookup/entity", .is_whole = true, .write = engine_entity_lookup},
};

static const char *const kinds[] = {"oidc-config", "oidc-key", "oidc-role", NULL};

const struct engine_type engine_type_identity = {
    .name = "identity",
    .paths = paths,
    .path_count = sizeof(paths) / sizeof(paths[0]),
    .help = "identity has oidc/config, oidc/key, oidc/role, oidc/token, entity/id, entity/name and "
	    "lookup/entity",
    .kinds = kinds,
    .lease_ended = engine_jwt_ended,
    .only_one = true,
};

/* ---- its mount ---- */

struct identity_mount {
	struct engine_change change; /* first */
	struct store_doc *doc;
};

static void
on_mounted(void *arg, int code, const struct leased_err *err)
{
	struct identity_mount *first = arg;
	struct engines *engines = first->change.engines;
	struct engine_mount *mount;

	if (code != 0)
		log_error(
		    "identity/ could not be mounted; the next start tries again", LOG_ERR(err));
	else if ((mount = engine_mount_from_doc(first->doc)) != NULL)
		LIST_INSERT_HEAD(&engines->mounts, mount, link);
	store_doc_free(first->doc);
	free(first);
}

/* Durable before the first request can use it, as database/ is (mount.c). */
int
engine_identity_mount(struct engines *engines, struct leased_err *err)
{
	struct identity_mount *first;

	if (engine_jwt_mount(engines) != NULL)
		return (0);
	if ((first = calloc(1, sizeof(*first))) == NULL ||
	    (first->doc = engine_mount_doc_new(
		 engines, "identity/", "identity", "identity store", 0, 0)) == NULL) {
		free(first);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	first->change.puts[0] = first->doc;
	first->change.done = on_mounted;
	first->change.arg = first;
	engine_change_submit(engines, &first->change);
	return (0);
}

const struct engine_mount *
engine_jwt_mount(struct engines *engines)
{
	const struct engine_mount *mount;

	LIST_FOREACH (mount, &engines->mounts, link)
		if (mount->type == &engine_type_identity)
			return (mount);
	return (NULL);
}
