/*
 * The paths below a mount of type database: one row each. What is behind them is in the other files
 * of this name; type.c has the row of the type.
 */
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

static const char *const kinds[] = {"connection", "candidate", "static", "role", "rolever", NULL};

const struct engine_type engine_type_database = {
    .name = "database",
    .paths = paths,
    .path_count = sizeof(paths) / sizeof(paths[0]),
    .help = "a database has config, reset, rotate-root, roles, creds, static-roles, static-creds "
	    "and rotate-role, each with a name of letters, digits and _, with - and . inside",
    .kinds = kinds,
    .renew_inputs = engine_database_renew_inputs,
};
