/*
 * Backend sessions that workers hold, on disk before anything is sent on them, so that a crash
 * leaves their names. What is done with a dead worker's sessions is lease/'s.
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
