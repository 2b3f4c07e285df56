/*
 * On which servers the leases of a connection may be: each identity that one was recorded with,
 * kept until somebody who read all leases found none. So nobody has to read them to learn that
 * there is but one. engine/ asks when a connection is written; lease/ records.
 */
#include <stdlib.h>

#include "store/store_private.h"

int
store_server_put(
    struct store_txn *txn, int64_t connection, const char *server, struct leased_err *err)
{
	return (store_sql_run(txn->db,
	    "INSERT INTO server (connection, server, uses) VALUES (?1, ?2, 1)"
	    " ON CONFLICT (connection, server) DO UPDATE SET uses = uses + 1",
	    SQL_ARGS(store_sql_int(connection), store_sql_text(server)), NULL, err));
}

int
store_server_delete(
    struct store_txn *txn, const struct store_server *server, struct leased_err *err)
{
	return (store_sql_run(txn->db,
	    "DELETE FROM server WHERE connection = ?1 AND server = ?2 AND uses = ?3",
	    SQL_ARGS(store_sql_int(server->connection), store_sql_text(server->server),
		store_sql_int(server->uses)),
	    NULL, err));
}

void
store_server_list_free(struct store_server *servers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(servers[i].server);
	free(servers);
}

int
store_server_list(struct store_db *db, int64_t connection, struct store_server **ret_servers,
    size_t *ret_count, struct leased_err *err)
{
	struct store_server *servers = NULL, *larger;
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT server, uses FROM server WHERE connection = ?1 ORDER BY server",
	    SQL_ARGS(store_sql_int(connection)), &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		if ((larger = reallocarray(servers, count + 1, sizeof(*servers))) == NULL) {
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list servers");
			break;
		}
		servers = larger;
		servers[count] = (struct store_server){.connection = connection,
		    .server = store_sql_column_dup(stmt, 0),
		    .uses = sqlite3_column_int64(stmt, 1)};
		if (servers[count++].server == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list servers");
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_server_list_free(servers, count);
		return (r);
	}
	*ret_servers = servers;
	*ret_count = count;
	return (0);
}

int
store_servers_complete(struct store_db *db, bool *ret_complete, struct leased_err *err)
{
	char *text = NULL;
	int r = store_meta_get(db, "servers-unknown", &text, err);

	free(text);
	/* That the value is there counts, not what it says. */
	if (r != 0 && r != LEASED_ENOENT && r != LEASED_ECORRUPT)
		return (r);
	*ret_complete = r == LEASED_ENOENT;
	return (0);
}
