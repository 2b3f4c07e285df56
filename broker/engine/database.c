/*
 * The paths below a mount of type database: one row each. What is behind them is in the other files
 * of this name; engine.c looks a path up here and calls.
 */
#include <string.h>

#include "base/path.h"
#include "engine/database.h"

static const struct engine_path paths[] = {
    {.verb = "config",
	.is_listed = true,
	.kind = "connection",
	.read = engine_database_config_read,
	.write = engine_database_config_write,
	.remove = engine_database_config_delete},
    {.verb = "roles",
	.is_listed = true,
	.kind = "role",
	.read = engine_database_role_read,
	.write = engine_database_role_write,
	.remove = engine_database_role_delete},
    {.verb = "static-roles",
	.is_listed = true,
	.kind = "static",
	.read = engine_database_static_read,
	.write = engine_database_static_write,
	.remove = engine_database_static_delete},
    {.verb = "creds", .read = engine_database_creds},
    {.verb = "static-creds", .read = engine_database_static_creds},
    {.verb = "reset", .write = engine_database_reset},
    {.verb = "rotate-role", .write = engine_database_rotate_role},
    {.verb = "rotate-root", .needs_sudo = true, .write = engine_database_rotate_root},
};

const struct engine_path *
engine_path_find(const char *path, const char **ret_name)
{
	size_t len = strcspn(path, "/"), i;
	const char *name = path[len] == '/' ? path + len + 1 : "";

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (strlen(paths[i].verb) != len || memcmp(paths[i].verb, path, len) != 0)
			continue;
		if (name[0] == '\0' ? !paths[i].is_listed : !path_is_name(name, strlen(name)))
			return (NULL);
		*ret_name = name;
		return (&paths[i]);
	}
	return (NULL);
}
