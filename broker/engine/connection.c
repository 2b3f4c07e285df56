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
#include "base/utf8.h"
#include "engine/document.h"
#include "engine/rotation.h"
#include "metrics/metrics.h"

#define SWEEP_S 30
#define PAGE 64u

struct engine_connection *
engine_connection_find_any(struct engines *engines, int64_t id)
{
	struct engine_connection *connection;

	LIST_FOREACH (connection, &engines->connections, link)
		if (connection->id == id)
			return (connection);
	return (NULL);
}

struct engine_connection *
engine_connection_find(struct engines *engines, int64_t id)
{
	struct engine_connection *connection = engine_connection_find_any(engines, id);

	return (connection != NULL && connection->port != NULL ? connection : NULL);
}

struct plugin_port *
engines_port_for(void *arg, int64_t id)
{
	struct engine_connection *connection = engine_connection_find(arg, id);

	return (connection != NULL ? connection->port : NULL);
}

static bool
moved_has(const json_t *moved_from, const char *server)
{
	const json_t *from;
	size_t i;

	json_array_foreach(moved_from, i, from)
	{
		if (json_is_string(from) && strcmp(json_string_value(from), server) == 0)
			return (true);
	}
	return (false);
}

const char *
engines_server_of(void *arg, int64_t id, const char *recorded)
{
	const struct engine_connection *connection = engine_connection_find(arg, id);

	if (connection != NULL && connection->server[0] != '\0' &&
	    moved_has(connection->moved_from, recorded))
		return (connection->server);
	return (recorded);
}

/* ---- another server than the one that is recorded ---- */

METRICS_GAUGE(connections_moved, "leased_connections_moved", "",
    "Connections where another server answers than the recorded one, until confirm_move.");

static void
moved_set(struct engine_connection *connection, bool moved)
{
	if (connection->moved != moved)
		metrics_add(&connections_moved, moved ? 1 : -1);
	connection->moved = moved;
}

/* A worker met its server. Whoever follows finds the flag: no call has gone there yet. */
static void
on_opened(void *arg, struct plugin_port *port)
{
	struct engine_connection *connection = engine_connection_find(arg, port->connection);
	bool moved;

	/* A candidate stands for nobody, and what was never tried has no server to compare with. */
	if (connection == NULL || connection->port != port || connection->candidate)
		return;
	moved = connection->server[0] != '\0' && port->server[0] != '\0' &&
		strcmp(connection->server, port->server) != 0;
	if (moved && !connection->moved)
		log_error("another server answers than the one that this connection is configured "
			  "for: nothing is made or deleted there until it is back, or "
			  "confirm_move=true is written",
		    LOG_S("connection", connection->name), LOG_S("was", connection->server),
		    LOG_S("is", port->server));
	else if (!moved && connection->moved)
		log_info("the server of a connection is back",
		    LOG_S("connection", connection->name), LOG_S("server", port->server));
	moved_set(connection, moved);
	port->moved = moved;
}

int
engine_connection_stays(const struct engine_connection *connection, struct leased_err *err)
{
	if (!connection->moved)
		return (0);
	return (leased_err_set(err, LEASED_EMOVED,
	    "connection %s leads to another server (%s) than the one that it is configured for "
	    "(%s): nothing is made or deleted there; bring that one back, or, if this one has "
	    "taken over, write the configuration again with confirm_move=true",
	    UTF8_SHORT(connection->name, 100), UTF8_SHORT(connection->port->server, 64),
	    connection->server));
}

/* The port's calls end inside plugin_port_close(): whoever is told finds no connection any more. */
void
engine_connection_close(struct engine_connection *connection)
{
	LIST_REMOVE(connection, link);
	moved_set(connection, false);
	plugin_port_close(connection->port);
	json_decref(connection->moved_from);
	free(connection->name);
	free(connection);
}

/* Closed because its document is gone: lease/ forgets it, too. */
void
engine_connection_gone(struct engines *engines, struct engine_connection *connection)
{
	int64_t id = connection->id;

	engine_connection_close(connection);
	leases_connection_gone(engines->leases, id);
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
		return (leased_err_set(err, LEASED_EINVAL,
		    "plugin not found in the catalog: %s; one that does not come with leased needs "
		    "its block \"plugin\" in leased.hcl",
		    UTF8_SHORT(plugin != NULL ? plugin : "", 64)));
	if ((config = engine_rotation_details(doc)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	port =
	    engines->config.port_open(engines->config.host, row, config, (unsigned)pool, doc->id);
	if (port == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	port->events = leases_port_events(engines->leases);
	port->events.on_opened = on_opened;
	port->events.opened_arg = engines;
	*ret_port = port;
	return (0);
}

static struct engine_connection *
connection_new(struct engines *engines, const struct store_doc *doc)
{
	const char *slash = strchr(doc->name, '/');
	struct engine_connection *connection;

	if ((connection = calloc(1, sizeof(*connection))) == NULL ||
	    (connection->name = strdup(slash != NULL ? slash + 1 : doc->name)) == NULL) {
		free(connection);
		return (NULL);
	}
	connection->id = doc->id;
	connection->mount = strtoll(doc->name, NULL, 10);
	connection->candidate = strcmp(doc->kind, "candidate") == 0;
	LIST_INSERT_HEAD(&engines->connections, connection, link);
	return (connection);
}

int
engine_connection_open(struct engines *engines, const struct store_doc *doc,
    struct engine_connection **ret_connection, struct leased_err *err)
{
	struct engine_connection *connection = engine_connection_find_any(engines, doc->id);
	const char *server = json_string_value(json_object_get(doc->data, "server"));
	struct plugin_port *port = NULL, *old;
	int r;

	if (engines->stopping)
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	if ((r = port_open(engines, doc, &port, err)) != 0)
		return (r);
	if (connection == NULL && (connection = connection_new(engines, doc)) == NULL) {
		plugin_port_close(port);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	old = connection->port;
	connection->port = port;
	connection->closed.code = 0;
	moved_set(connection, false); /* its first worker will see */
	connection->ceiling = json_integer_value(json_object_get(doc->data, "max_leases"));
	json_decref(connection->moved_from);
	/* A candidate stands for nobody: its canary is where it was made. */
	connection->moved_from = NULL;
	if (!connection->candidate)
		connection->moved_from = json_incref(json_object_get(doc->data, "moved_from"));
	(void)snprintf(
	    connection->server, sizeof(connection->server), "%s", server != NULL ? server : "");
	/* Calls of the old port end here, and what follows from them already finds the new one. */
	plugin_port_close(old);
	leases_port_opened(engines->leases, port);
	if (ret_connection != NULL)
		*ret_connection = connection;
	return (0);
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
			engine_connection_gone(sweep->engines, connection);
	}
	free(sweep);
}

/* Its canary's role version has its name, and nobody else uses it. */
static void
sweep_add_rolever(struct sweep_op *sweep, const struct store_doc *candidate)
{
	struct store_db *db = store_db(sweep->engines->config.store);
	struct store_doc *version = NULL;

	if (store_doc_get(db, "rolever", candidate->name, &version, NULL) != 0)
		return;
	sweep->change.deletes[1].id = version->id;
	sweep->change.deletes[1].version = version->version;
	store_doc_free(version);
}

/* Unless it has leases. False: out of memory. */
static bool
candidate_delete(struct engines *engines, const struct store_doc *doc)
{
	struct sweep_op *sweep = calloc(1, sizeof(*sweep));

	if (sweep == NULL)
		return (false);
	sweep->engines = engines;
	sweep->id = doc->id;
	sweep->change.deletes[0].id = doc->id;
	sweep->change.deletes[0].version = doc->version;
	sweep_add_rolever(sweep, doc);
	sweep->change.without_leases = doc->id;
	sweep->change.done = on_swept;
	sweep->change.arg = sweep;
	engine_change_submit(engines, &sweep->change);
	return (true);
}

static void
sweep_candidate(struct engines *engines, struct engine_connection *connection)
{
	struct store_doc *doc = NULL;
	int r;

	r = store_doc_get_id(store_db(engines->config.store), connection->id, &doc, NULL);
	if (r == LEASED_ENOENT)
		engine_connection_gone(engines, connection); /* it went with its mount */
	if (r != 0)
		return;
	connection->closing = candidate_delete(engines, doc);
	store_doc_free(doc);
}

void
engine_candidate_tried(struct engines *engines, struct engine_connection *candidate)
{
	candidate->tried = true;
	if (!candidate->closing && !engines->stopping)
		sweep_candidate(engines, candidate);
}

void
engine_connections_sweep(struct engines *engines)
{
	struct engine_connection *connection, *next;

	for (connection = LIST_FIRST(&engines->connections); connection != NULL;
	     connection = next) {
		next = LIST_NEXT(connection, link);
		if (connection->candidate && connection->tried && !connection->closing)
			sweep_candidate(engines, connection);
	}
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	engine_connections_sweep(arg);
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
	struct store_doc **page = NULL;
	size_t count = 0, i;
	char after[ENGINE_DOC_NAME_SIZE] = "";
	struct store_doc **grown;
	int r;

	do {
		r = store_doc_columns_list(
		    db, load->kind, after[0] != '\0' ? after : NULL, PAGE, &page, &count, err);
		if (r != 0)
			return (r);
		grown = reallocarray(load->docs, load->count + count + 1, sizeof(*grown));
		if (grown == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		else
			load->docs = grown;
		for (i = 0; i < count; i++) {
			(void)snprintf(after, sizeof(after), "%s", page[i]->name);
			if (r == 0)
				load->docs[load->count++] = page[i];
			else
				store_doc_free(page[i]);
		}
		free(page);
		page = NULL;
	} while (r == 0 && count == PAGE);
	return (r);
}

/* It stays in the table, so that it is counted as down, and says why its leases wait. */
static void
load_keep_closed(struct engines *engines, const struct store_doc *columns, struct leased_err *err)
{
	struct engine_connection *connection;
	const char *slash = strchr(columns->name, '/');
	const char *path = engines_mount_path(engines, strtoll(columns->name, NULL, 10));
	bool is_candidate = strcmp(columns->kind, "candidate") == 0;

	if (err->code == LEASED_ECORRUPT && !is_candidate)
		engine_doc_damaged(
		    "connection", path, slash != NULL ? slash + 1 : columns->name, err);
	log_error("a connection could not be opened; its leases wait",
	    LOG_S("connection", columns->name), LOG_ERR(err));
	if (!is_candidate && (connection = connection_new(engines, columns)) != NULL)
		connection->closed = *err;
}

/* A write may have opened, or a delete taken, the connection since the list was read: what holds is
 * what the store says now. */
static void
load_open(struct engines *engines, const struct store_doc *columns)
{
	int64_t id = columns->id;
	struct engine_connection *connection = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r;

	if (engine_connection_find_any(engines, id) != NULL)
		return;
	r = store_doc_get_id(store_db(engines->config.store), id, &doc, &err);
	if (r == LEASED_ENOENT)
		return;
	if (r == 0 && strcmp(doc->kind, "candidate") == 0 &&
	    store_lease_any(store_db(engines->config.store), id, &err) == LEASED_ENOENT) {
		/* A killed write's, with nothing on a backend: no worker is needed to end it. One
		 * of this run's own writes may look like that, too. */
		if (!engines->trial_begun)
			(void)candidate_delete(engines, doc);
		store_doc_free(doc);
		return;
	}
	if (r == 0 && (r = engine_connection_open(engines, doc, &connection, &err)) == 0)
		connection->tried = connection->candidate;
	if (r != 0)
		load_keep_closed(engines, columns, &err);
	store_doc_free(doc);
}

static void
load_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct load_read *load = (struct load_read *)read;
	size_t i;

	if (result != 0)
		log_error("connections could not be read; their leases wait", LOG_ERR(err));
	for (i = 0; i < load->count; i++) {
		if (result == 0 && !load->engines->stopping)
			load_open(load->engines, load->docs[i]);
		store_doc_free(load->docs[i]);
	}
	load->engines->loading--;
	engines_release(load->engines);
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
		engines->loading++;
		engines_hold(engines);
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
		if (connection->port != NULL)
			connection->port->events = (struct plugin_port_events){0};
		engine_connection_close(connection);
	}
}
