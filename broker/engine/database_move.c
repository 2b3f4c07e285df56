/*
 * A connection that leads to another server than its leases were made on. A lease knows its server,
 * and "already gone" counts only there; so such a write is refused, unless the operator says with
 * confirm_move=true that this server has taken over (a restored dump, a promoted copy). Then the
 * document says which identities it stands for, and lease/ looks for their accounts here.
 *
 * On which servers leases may be is known without reading them (store.h). They are read, page by
 * page on the reader thread, only where that is not enough: a server stands in the way, and may
 * have lost its last lease since. One that is minted meanwhile is of the present port, whose server
 * is counted in.
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
	bool confirmed;
	json_t
	    *covered; /* servers that need no word: the one that was met, and what it stands for */
	struct store_server *known;
	size_t known_count;
	bool counted;    /* all rows were read: servers is exact */
	json_t *servers; /* on which there may be leases */
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

/* Sets *ret_settled at the first server that is not covered: it is told, and no more is asked. */
static int
page_read(struct move_read *move, struct store_lease *const *rows, size_t count, bool *ret_settled,
    struct leased_err *err)
{
	const char *server;
	size_t i;
	int r = 0;

	for (i = 0; i < count && r == 0 && !*ret_settled; i++) {
		server = json_string_value(json_object_get(rows[i]->data, "server"));
		r = servers_add(move->servers, server, err);
		if (!move->confirmed && server != NULL && server[0] != '\0')
			*ret_settled = !array_has(move->covered, server);
	}
	return (r);
}

/* Fills servers with what the rows record. */
static int
rows_read(struct move_read *move, struct store_db *db, struct leased_err *err)
{
	struct store_lease_query query = {
	    .by = STORE_BY_DUE, .number = move->connection, .until_ms = INT64_MAX, .limit = PAGE};
	struct store_lease **rows;
	bool settled = false;
	size_t count;
	int r;

	do {
		rows = NULL;
		count = 0;
		if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
			return (r);
		r = page_read(move, rows, count, &settled, err);
		if (count > 0) {
			query.from_ms = rows[count - 1]->next_at_ms;
			query.after = rows[count - 1]->id;
		}
		store_lease_page_free(rows, count);
	} while (r == 0 && count > 0 && !settled);
	move->counted = r == 0 && !settled;
	return (r);
}

/* Do the known servers answer the question? */
static bool
known_is_enough(const struct move_read *move)
{
	size_t i;

	for (i = 0; i < move->known_count; i++)
		if (!move->confirmed && !array_has(move->covered, move->known[i].server))
			return (false);
	return (move->known_count <= SERVERS_MAX);
}

static int
known_add(struct move_read *move, struct leased_err *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < move->known_count && r == 0; i++)
		r = servers_add(move->servers, move->known[i].server, err);
	return (r);
}

static int
move_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct move_read *move = (struct move_read *)read;
	bool complete = false;
	int r;

	if ((r = store_snapshot_begin(db, err)) != 0)
		return (r);
	if ((r = store_server_list(db, move->connection, &move->known, &move->known_count, err)) ==
		0 &&
	    (r = store_servers_complete(db, &complete, err)) == 0)
		r = complete && known_is_enough(move) ? known_add(move, err)
						      : rows_read(move, db, err);
	store_snapshot_end(db);
	return (r);
}

/* ---- servers that have no lease any more ---- */

struct forget_op {
	struct store_op op; /* first */
	struct store_server *servers;
	size_t count;
};

static int
forget_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct forget_op *forget = (struct forget_op *)op;
	size_t i;
	int r = 0;

	for (i = 0; i < forget->count && r == 0; i++)
		r = store_server_delete(txn, &forget->servers[i], err);
	return (r);
}

static void
forget_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct forget_op *forget = (struct forget_op *)op;

	(void)result; /* what stays is asked about once more, by the next write */
	(void)err;
	store_server_list_free(forget->servers, forget->count);
	free(forget);
}

/* The next write need not read all rows again for them. */
static void
servers_forget(struct move_read *move)
{
	struct forget_op *forget = calloc(1, sizeof(*forget));
	size_t i, count = 0;

	for (i = 0; i < move->known_count; i++) {
		if (array_has(move->servers, move->known[i].server))
			free(move->known[i].server);
		else
			move->known[count++] = move->known[i];
	}
	move->known_count = count;
	if (forget == NULL || count == 0) {
		free(forget);
		return;
	}
	forget->op.run = forget_run;
	forget->op.done = forget_done;
	forget->servers = move->known;
	forget->count = count;
	move->known = NULL;
	move->known_count = 0;
	store_submit(move->write->request->engines->config.store, &forget->op);
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
move_free(struct move_read *move)
{
	if (move == NULL)
		return;
	json_decref(move->covered);
	json_decref(move->servers);
	store_server_list_free(move->known, move->known_count);
	free(move);
}

static void
move_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct move_read *move = (struct move_read *)read;
	struct engine_config_write *write = move->write;
	struct engines *engines = write->request->engines;
	struct leased_err own = LEASED_ERR_INIT;

	if (move->counted)
		servers_forget(move);
	if (result != 0)
		own = *err;
	else if ((result = present_add(move, &own)) == 0)
		result = moved_fill(move, &own);
	move_free(move);
	if (result == 0) {
		engine_config_hold(write);
	} else {
		write->request->reply.status = result == LEASED_EMOVED ? 400 : 0;
		engine_fail_err(write->request, &own);
	}
	engines_release(engines);
}

/* NULL: out of memory. */
static json_t *
covered_by(const struct engine_config_write *write)
{
	const json_t *data = write->doc->data;
	const char *known = json_string_value(json_object_get(data, "server"));
	json_t *covered = NULL;

	if (known != NULL && strcmp(known, write->server) == 0)
		covered = json_deep_copy(json_object_get(data, "moved_from"));
	if (!json_is_array(covered)) {
		json_decref(covered);
		covered = json_array();
	}
	if (json_array_append_new(covered, json_string(write->server)) == 0)
		return (covered);
	json_decref(covered);
	return (NULL);
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
	if ((move = calloc(1, sizeof(*move))) == NULL || (move->servers = json_array()) == NULL ||
	    (move->covered = covered_by(write)) == NULL) {
		move_free(move);
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	move->write = write;
	move->connection = write->doc->id;
	move->confirmed = write->body.confirm_move;
	move->read.run = move_run;
	move->read.done = move_done;
	engines_hold(request->engines);
	store_submit_read(request->engines->config.store, &move->read);
}
