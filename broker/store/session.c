/*
 * Backend sessions that workers hold, on disk before anything is sent on them, so that a crash
 * leaves their names, and what goes with a connection: nobody could reap or look on it any more.
 * What is done with a dead worker's sessions is lease/'s.
 */
#include <stdlib.h>

#include "store/store_private.h"

int
store_session_put(
    struct store_txn *txn, const struct store_session *session, struct leased_err *err)
{
	return (store_sql_run(txn->db,
	    "INSERT OR IGNORE INTO session (connection, worker, session) VALUES (?1, ?2, ?3)",
	    SQL_ARGS(store_sql_int(session->connection), store_sql_text(session->worker),
		store_sql_text(session->session)),
	    NULL, err));
}

int
store_session_delete(
    struct store_txn *txn, const struct store_session *session, struct leased_err *err)
{
	return (store_sql_run(txn->db,
	    "DELETE FROM session WHERE connection = ?1 AND worker = ?2 AND session = ?3",
	    SQL_ARGS(store_sql_int(session->connection), store_sql_text(session->worker),
		store_sql_text(session->session)),
	    NULL, err));
}

void
store_session_list_free(struct store_session *sessions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(sessions[i].worker);
		free(sessions[i].session);
	}
	free(sessions);
}

int
store_session_list(struct store_db *db, int64_t connection, struct store_session **ret_sessions,
    size_t *ret_count, struct leased_err *err)
{
	struct store_session *sessions = NULL, *larger;
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT worker, session FROM session WHERE connection = ?1 ORDER BY worker, session",
	    SQL_ARGS(store_sql_int(connection)), &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		if ((larger = reallocarray(sessions, count + 1, sizeof(*sessions))) == NULL) {
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list sessions");
			break;
		}
		sessions = larger;
		sessions[count] = (struct store_session){.connection = connection,
		    .worker = store_sql_column_dup(stmt, 0),
		    .session = store_sql_column_dup(stmt, 1)};
		if (sessions[count].worker == NULL || sessions[count].session == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list sessions");
		count++;
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_session_list_free(sessions, count);
		return (r);
	}
	*ret_sessions = sessions;
	*ret_count = count;
	return (0);
}

int
store_connection_forget(struct store_txn *txn, int64_t connection, struct leased_err *err)
{
	int r;

	r = store_sql_run(txn->db, "DELETE FROM session WHERE connection = ?1",
	    SQL_ARGS(store_sql_int(connection)), NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db, "DELETE FROM server WHERE connection = ?1",
		    SQL_ARGS(store_sql_int(connection)), NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db, "DELETE FROM rotation WHERE connection = ?1",
		    SQL_ARGS(store_sql_int(connection)), NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db,
		    "UPDATE tombstone SET look_again = 0 WHERE connection = ?1 AND look_again > 0",
		    SQL_ARGS(store_sql_int(connection)), NULL, err);
	return (r);
}

int
store_connections_forget_gone(struct store_txn *txn, struct leased_err *err)
{
	int r;

	r = store_sql_run(txn->db,
	    "DELETE FROM session WHERE NOT EXISTS"
	    " (SELECT 1 FROM doc WHERE doc.id = session.connection)",
	    SQL_NO_ARGS, NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db,
		    "DELETE FROM server WHERE NOT EXISTS"
		    " (SELECT 1 FROM doc WHERE doc.id = server.connection)",
		    SQL_NO_ARGS, NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db,
		    "UPDATE tombstone SET look_again = 0 WHERE look_again > 0 AND NOT EXISTS"
		    " (SELECT 1 FROM doc WHERE doc.id = tombstone.connection)",
		    SQL_NO_ARGS, NULL, err);
	return (r);
}
