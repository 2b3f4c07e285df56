/*
 * Connections by the names that people know them by, and by number, and those that are down. Looks
 * at the table that connection.c keeps; changes nothing.
 */
#include <stdio.h>
#include <string.h>

#include "engine/document.h"
#include "engine/name.h"
#include "engine/private.h"

int64_t
engines_mount_of(void *arg, int64_t id)
{
	const struct engine_connection *connection = engine_connection_find_any(arg, id);

	return (connection != NULL && !connection->candidate ? connection->mount : 0);
}

void
engines_connection_name(
    struct engines *engines, int64_t id, char ret_name[ENGINE_CONNECTION_NAME_SIZE])
{
	const struct engine_connection *connection = engine_connection_find_any(engines, id);
	const char *path =
	    connection != NULL ? engines_mount_path(engines, connection->mount) : NULL;

	(void)snprintf(ret_name, ENGINE_CONNECTION_NAME_SIZE, "%s%s", path != NULL ? path : "",
	    connection != NULL ? connection->name : "");
}

int64_t
engines_connection_named(struct engines *engines, const char *name)
{
	const struct engine_connection *connection;
	char path[ENGINE_CONNECTION_NAME_SIZE];
	const char *below;

	LIST_FOREACH (connection, &engines->connections, link) {
		if (connection->candidate)
			continue;
		engines_connection_name(engines, connection->id, path);
		below = strncmp(path, "database/", 9) == 0 ? path + 9 : "";
		if (strcmp(path, name) == 0 || (below[0] != '\0' && strcmp(below, name) == 0))
			return (connection->id);
	}
	return (0);
}

int
engines_absent_why(void *arg, int64_t id, struct leased_err *err)
{
	const struct engine_connection *connection = engine_connection_find_any(arg, id);

	if (connection == NULL || connection->closed.code == 0)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "the connection is not open yet; its backend may be down"));
	*err = connection->closed;
	return (err->code);
}

unsigned
engines_connections_down(struct engines *engines)
{
	const struct engine_connection *connection;
	unsigned down = 0;

	LIST_FOREACH (connection, &engines->connections, link)
		if (!connection->candidate && (connection->moved || connection->port == NULL ||
						  plugin_port_ready(connection->port, NULL) != 0))
			down++;
	return (down);
}
