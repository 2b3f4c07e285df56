/*
 * A connection that leads to another server than its leases were made on. A lease knows its server,
 * and "already gone" counts only there; so such a write is refused, unless the operator says with
 * confirm_move=true that this server has taken over (a restored dump, a promoted copy). Then the
 * document says which identities it stands for, and lease/ looks for their accounts here.
 *
 * The leases are read page by page on the reader thread. One that is minted meanwhile is of the
 * present port, whose server is counted in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/database_trial.h"

#define PAGE 256u
#define SERVERS_MAX 64u

struct move_read {
	struct store_read read; /* first */
	struct engine_config_write *write;
	int64_t connection;
	json_t *servers; /* what the rows of the connection record */
};

static bool
array_has(const json_t *array, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return (true);
	}
	return (false);
}

static int
servers_add(json_t *servers, const char *server, struct leased_err *err)
{
	if (server == NULL || server[0] == '\0' || array_has(servers, server))
		return (0);
	if (json_array_size(servers) >= SERVERS_MAX)
		return (leased_err_set(err, LEASED_EMOVED,
		    "the leases of this connection are on more than %u servers: revoke some first",
		    SERVERS_MAX));
	if (json_array_append_new(servers, json_string(server)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
move_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct move_read *move = (struct move_read *)read;
	struct store_lease_query query = {
	    .by = STORE_BY_DUE, .number = move->connection, .until_ms = INT64_MAX, .limit = PAGE};
	struct store_lease **rows = NULL;
	size_t count = 0, i;
	int r;

	do {
		if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
			return (r);
		for (i = 0; i < count && r == 0; i++)
			r = servers_add(move->servers,
			    json_string_value(json_object_get(rows[i]->data, "server")), err);
		if (count > 0) {
			query.from_ms = rows[count - 1]->next_at_ms;
			query.after = rows[count - 1]->id;
		}
		store_lease_page_free(rows, count);
		rows = NULL;
	} while (r == 0 && count > 0);
	return (r);
}

/* The server of the mints that are under way. */
static int
present_add(struct move_read *move, struct leased_err *err)
{
	struct engine_connection *present =
	    engine_connection_find(move->write->request->engines, move->connection);

	if (present == NULL || json_array_size(move->servers) == 0)
		return (0);
	return (servers_add(move->servers, present->port->server, err));
}

/* Fills the document's server and moved_from. LEASED_EMOVED: a lease is on a server that this one
 * does not stand for yet. */
static int
moved_fill(struct move_read *move, struct leased_err *err)
{
	struct engine_config_write *write = move->write;
	json_t *data = write->doc->data, *from = json_array(), *item;
	const json_t *old = json_object_get(data, "moved_from");
	const char *known = json_string_value(json_object_get(data, "server")), *server;
	bool same = known != NULL && strcmp(known, write->server) == 0;
	int r = from != NULL ? 0 : -1;
	size_t i;

	json_array_foreach(move->servers, i, item)
	{
		server = json_string_value(item);
		if (strcmp(server, write->server) == 0)
			continue;
		if (!write->body.confirm_move && !(same && array_has(old, server))) {
			json_decref(from);
			return (leased_err_set(err, LEASED_EMOVED,
			    "this configuration leads to another server than the one that leases "
			    "of %s are on: nothing was changed; revoke them first, or, if this "
			    "server has taken over from that one, write again with "
			    "confirm_move=true",
			    write->request->name));
		}
		r |= json_array_append(from, item);
	}
	if (r == 0)
		r = json_object_set(data, "moved_from", from) |
		    json_object_set_new(data, "server", json_string(write->server));
	json_decref(from);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static void
move_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct move_read *move = (struct move_read *)read;
	struct engine_config_write *write = move->write;
	struct engines *engines = write->request->engines;
	struct leased_err own = LEASED_ERR_INIT;

	if (result != 0)
		own = *err;
	else if ((result = present_add(move, &own)) == 0)
		result = moved_fill(move, &own);
	json_decref(move->servers);
	free(move);
	if (result == 0) {
		engine_config_hold(write);
	} else {
		write->request->reply.status = result == LEASED_EMOVED ? 400 : 0;
		engine_fail_err(write->request, &own);
	}
	engines_release(engines);
}

void
engine_config_move(struct engine_config_write *write)
{
	struct engine_request_copy *request = write->request;
	struct move_read *move;

	if (write->server[0] == '\0') { /* this backend has no identity: none was ever recorded */
		engine_config_hold(write);
		return;
	}
	if ((move = calloc(1, sizeof(*move))) == NULL || (move->servers = json_array()) == NULL) {
		free(move);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	move->write = write;
	move->connection = write->doc->id;
	move->read.run = move_run;
	move->read.done = move_done;
	engines_hold(request->engines);
	store_submit_read(request->engines->config.store, &move->read);
}
