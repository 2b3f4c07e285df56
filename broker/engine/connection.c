/*
 * Configured connections: the table of those that are open, their ports, and the sweep of
 * candidates whose trial is over. Documents of kind "connection" and "candidate" are what it opens;
 * it does not decide what they say (database_config.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/private.h"

#define SWEEP_S 30

struct engine_connection *
engine_connection_find(struct engines *engines, int64_t id)
{
	struct engine_connection *connection;

	LIST_FOREACH (connection, &engines->connections, link)
		if (connection->id == id)
			return (connection);
	return (NULL);
}

struct plugin_port *
engines_port_for(void *arg, int64_t id)
{
	struct engine_connection *connection = engine_connection_find(arg, id);

	return (connection != NULL ? connection->port : NULL);
}

void
engine_connection_close(struct engine_connection *connection)
{
	LIST_REMOVE(connection, link);
	plugin_port_close(connection->port);
	free(connection->name);
	free(connection);
}

static int
port_open(struct engines *engines, const struct store_doc *doc, struct plugin_port **ret_port,
    struct leased_err *err)
{
	const struct plugin_catalog_row *row;
	const char *plugin = json_string_value(json_object_get(doc->data, "plugin_name"));
	json_int_t pool = json_integer_value(json_object_get(doc->data, "pool"));
	struct plugin_port *port;
	json_t *config;

	if (plugin == NULL || (row = plugin_catalog_find(plugin)) == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "plugin not found in the catalog: %.64s",
		    plugin != NULL ? plugin : ""));
	if ((config = json_deep_copy(json_object_get(doc->data, "details"))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	port = plugin_port_open(engines->config.host, row, config, (unsigned)pool, doc->id);
	if (port == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	port->events = leases_port_events(engines->leases);
	*ret_port = port;
	return (0);
}

int
engine_connection_open(struct engines *engines, const struct store_doc *doc,
    struct engine_connection **ret_connection, struct leased_err *err)
{
	struct engine_connection *connection = engine_connection_find(engines, doc->id);
	const char *slash = strchr(doc->name, '/');
	struct plugin_port *port = NULL;
	int r;

	if ((r = port_open(engines, doc, &port, err)) != 0)
		return (r);
	if (connection == NULL) {
		if ((connection = calloc(1, sizeof(*connection))) == NULL ||
		    (connection->name = strdup(slash != NULL ? slash + 1 : doc->name)) == NULL) {
			free(connection);
			plugin_port_close(port);
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		}
		connection->id = doc->id;
		connection->mount = strtoll(doc->name, NULL, 10);
		connection->candidate = strcmp(doc->kind, "candidate") == 0;
		LIST_INSERT_HEAD(&engines->connections, connection, link);
	} else
		plugin_port_close(connection->port);
	connection->port = port;
	connection->ceiling = json_integer_value(json_object_get(doc->data, "max_leases"));
	leases_port_opened(engines->leases, port);
	if (ret_connection != NULL)
		*ret_connection = connection;
	return (0);
}

/* ---- start ---- */

struct load_read {
	struct store_read read; /* first */
	struct engines *engines;
	const char *kind;
	struct store_doc **docs;
	size_t count;
};

static int
load_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct load_read *load = (struct load_read *)read;
	struct store_doc **page = NULL, **grown;
	size_t count = 0;
	int r;

	do {
		r = store_doc_list(db, load->kind, "",
		    load->count > 0 ? load->docs[load->count - 1]->name : NULL, 64, &page, &count,
		    err);
		if (r != 0)
			return (r);
		grown = reallocarray(load->docs, load->count + count + 1, sizeof(*grown));
		if (grown == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		load->docs = grown;
		if (count > 0)
			memcpy(load->docs + load->count, page, count * sizeof(*page));
		load->count += count;
		free(page);
		page = NULL;
	} while (count == 64);
	return (0);
}

static void
load_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct load_read *load = (struct load_read *)read;
	struct engine_connection *connection = NULL;
	struct leased_err own = LEASED_ERR_INIT;
	size_t i;

	if (result != 0)
		log_error("connections could not be read; their leases wait", LOG_ERR(err));
	for (i = 0; i < load->count; i++) {
		if (result == 0 &&
		    engine_connection_open(load->engines, load->docs[i], &connection, &own) != 0)
			log_error("a connection could not be opened; its leases wait",
			    LOG_S("connection", load->docs[i]->name), LOG_ERR(&own));
		else if (result == 0)
			connection->tried = connection->candidate;
		store_doc_free(load->docs[i]);
	}
	free(load->docs);
	free(load);
}

int
engine_connections_load(struct engines *engines, struct leased_err *err)
{
	static const char *const kinds[] = {"connection", "candidate"};
	struct load_read *load;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if ((load = calloc(1, sizeof(*load))) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		load->engines = engines;
		load->kind = kinds[i];
		load->read.run = load_run;
		load->read.done = load_done;
		store_submit_read(engines->config.store, &load->read);
	}
	return (0);
}

void
engine_connections_free(struct engines *engines)
{
	struct engine_connection *connection;

	while ((connection = LIST_FIRST(&engines->connections)) != NULL) {
		/* The leases are gone: what workers still say is for the next start, from disk. */
		connection->port->events = (struct plugin_port_events){0};
		engine_connection_close(connection);
	}
}

/* ---- the sweep of candidates ---- */

struct sweep_op {
	struct engine_change change; /* first */
	struct engines *engines;
	int64_t id;
};

static void
on_swept(void *arg, int code, const struct leased_err *err)
{
	struct sweep_op *sweep = arg;
	struct engine_connection *connection = engine_connection_find(sweep->engines, sweep->id);

	(void)err; /* a canary that is not gone yet: the next sweep tries again */
	if (connection != NULL) {
		connection->closing = false;
		if (code == 0 || code == LEASED_ENOENT)
			engine_connection_close(connection);
	}
	free(sweep);
}

static void
sweep_candidate(struct engines *engines, struct engine_connection *connection)
{
	struct store_doc *doc = NULL;
	struct sweep_op *sweep;

	if (store_doc_get_id(store_db(engines->config.store), connection->id, &doc, NULL) != 0)
		return;
	if ((sweep = calloc(1, sizeof(*sweep))) != NULL) {
		sweep->engines = engines;
		sweep->id = connection->id;
		sweep->change.deletes[0].id = doc->id;
		sweep->change.deletes[0].version = doc->version;
		sweep->change.without_leases = doc->id;
		sweep->change.done = on_swept;
		sweep->change.arg = sweep;
		connection->closing = true;
		engine_change_submit(engines, &sweep->change);
	}
	store_doc_free(doc);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct engines *engines = arg;
	struct engine_connection *connection;

	(void)fd;
	(void)what;
	LIST_FOREACH (connection, &engines->connections, link)
		if (connection->candidate && connection->tried && !connection->closing)
			sweep_candidate(engines, connection);
}

void
engine_connections_sweep_start(struct engines *engines)
{
	struct timeval every = {.tv_sec = SWEEP_S};

	if (engines->config.loop == NULL)
		return;
	engines->sweep = event_new(engines->config.loop, -1, EV_PERSIST, on_sweep, engines);
	if (engines->sweep == NULL || evtimer_add(engines->sweep, &every) != 0)
		log_warn("no memory for a timer: tried connections are swept at the next start");
}
