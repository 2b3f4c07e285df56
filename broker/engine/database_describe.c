/*
 * Before a connection's configuration is tried or held: what its plugin knows of it. A worker that
 * touches no backend describes itself; fields that it does not list are told, and neither stored
 * nor sent. Whether a worker may read the files that the configuration names shows by its start:
 * looking at a path may block, which the loop must not. Called by database_trial.c for every write,
 * verified or not.
 */
#include <stdlib.h>

#include "engine/database_trial.h"

struct engine_describe {
	LIST_ENTRY(engine_describe) link;
	struct engine_config_write *write;
	struct plugin_port *port; /* NULL: it is being closed */
};

/* Our own fields and the plugin's, for "did you mean"; to be freed, the names are borrowed. */
static const char **
names_of(const json_t *description)
{
	const json_t *rows = json_object_get(description, "config_fields"), *row;
	const char **names, *name;
	size_t i, count;

	count = engine_config_names(NULL);
	names = calloc(count + json_array_size(rows) + 1, sizeof(*names));
	if (names == NULL)
		return (NULL);
	(void)engine_config_names(names);
	json_array_foreach(rows, i, row)
	{
		if ((name = json_string_value(json_object_get(row, "name"))) != NULL)
			names[count++] = name;
	}
	return (names);
}

/* What is asked of it for a role, while no worker of the connection has described itself yet. */
static int
described_keep(json_t *data, const json_t *description)
{
	json_t *said = json_pack("{s:O*, s:O*, s:O*, s:O*}", "dialect",
	    json_object_get(description, "dialect"), "name_max",
	    json_object_get(description, "name_max"), "role_fields",
	    json_object_get(description, "role_fields"), "role_needs",
	    json_object_get(description, "role_needs"));

	int r = json_object_set_new(data, ENGINE_DESCRIBED, json_deep_copy(said));

	json_decref(said);
	return (r);
}

static int
details_filter(struct engine_config_write *write, const json_t *description, struct leased_err *err)
{
	json_t *data = write->doc->data, *unknown = json_array(), *known = NULL;
	const char **names = names_of(description);
	int r = -1;

	if (unknown != NULL && names != NULL)
		known = plugin_config_known(description, json_object_get(data, "details"), unknown);
	if (known != NULL && (r = json_object_set_new(data, "details", known)) == 0 &&
	    (r = described_keep(data, description)) == 0)
		engine_warn_unknown(write->request, unknown, names);
	free(names);
	json_decref(unknown);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static void
on_described(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_describe *describe = arg;
	struct engine_config_write *write = describe->write;
	struct leased_err err = outcome->err;
	int r = outcome->code;

	if (r == 0)
		r = details_filter(write, outcome->result, &err);
	LIST_REMOVE(describe, link);
	plugin_port_close(describe->port);
	free(describe);
	engine_config_described(write, r, &err);
}

void
engine_config_describe(struct engine_config_write *write)
{
	struct engines *engines = write->request->engines;
	const struct plugin_catalog_row *row = plugin_catalog_find(write->body.plugin_name);
	struct engine_describe *describe = calloc(1, sizeof(*describe));
	struct leased_err err = LEASED_ERR_INIT;

	if (describe != NULL && row != NULL && !engines->stopping)
		describe->port = engines->config.port_open(engines->config.host, row, NULL, 1, 0);
	if (describe != NULL && describe->port != NULL) {
		plugin_port_name_files(
		    describe->port, json_object_get(write->doc->data, "details"));
		describe->write = write;
		LIST_INSERT_HEAD(&engines->describes, describe, link);
		if (plugin_call_start(describe->port, PLUGIN_OP_DESCRIBE, json_object(), 0,
			on_described, describe) != NULL)
			return;
		LIST_REMOVE(describe, link);
		plugin_port_close(describe->port);
	}
	free(describe);
	(void)leased_err_set(&err, engines->stopping ? LEASED_ECANCELED : LEASED_ENOMEM,
	    engines->stopping ? "leased is stopping" : "out of memory");
	engine_config_described(write, err.code, &err);
}

void
engine_describes_free(struct engines *engines)
{
	struct engine_describe *describe;
	struct plugin_port *port;

	while ((describe = LIST_FIRST(&engines->describes)) != NULL) {
		port = describe->port;
		describe->port = NULL; /* its call ends inside, and takes it off the list */
		plugin_port_close(port);
	}
}

const json_t *
engine_description(const struct engine_connection *connection, const struct store_doc *doc)
{
	const json_t *said = connection != NULL ? plugin_port_description(connection->port) : NULL;

	return (said != NULL ? said : json_object_get(doc->data, ENGINE_DESCRIBED));
}
