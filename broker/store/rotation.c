/*
 * When the password of a document is to be rotated: an index over documents of static roles, which
 * always stand here, and of connections, which do while their own rotation is not settled. What
 * the rotation is stands in the document, sealed; engine/ owns it and writes both in one
 * transaction.
 */
#include <stdlib.h>

#include "store/store_private.h"

int
store_rotation_put(
    struct store_txn *txn, const struct store_rotation *rotation, struct leased_err *err)
{
	int r;

	r = store_sql_run(txn->db,
	    "INSERT INTO rotation (doc, connection, account, next_at) VALUES (?1, ?2, ?3, ?4)"
	    " ON CONFLICT (doc) DO UPDATE SET connection = excluded.connection,"
	    " account = excluded.account, next_at = excluded.next_at",
	    SQL_ARGS(store_sql_int(rotation->doc), store_sql_int(rotation->connection),
		store_sql_text(rotation->account), store_sql_int(rotation->next_at_ms)),
	    NULL, err);
	if (r == LEASED_EEXIST)
		return (leased_err_set(err, LEASED_EINVAL,
		    "another static role rotates the password of %s on this connection already: "
		    "two would take each other's password away",
		    rotation->account));
	return (r);
}

int
store_rotation_delete(struct store_txn *txn, int64_t doc, struct leased_err *err)
{
	return (store_sql_run(txn->db, "DELETE FROM rotation WHERE doc = ?1",
	    SQL_ARGS(store_sql_int(doc)), NULL, err));
}

/* By schedule a restored store changes no password while it is held: its original knows it. */
static bool
is_held(struct store_db *db)
{
	return (atomic_load(&db->store->hold.active));
}

int
store_rotation_due(struct store_db *db, int64_t connection, int64_t until_ms, unsigned limit,
    int64_t *ret_docs, size_t *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	*ret_count = 0;
	if (is_held(db))
		return (0);
	r = store_sql_start(db,
	    "SELECT doc FROM rotation WHERE connection = ?1 AND next_at <= ?2"
	    " ORDER BY next_at, doc LIMIT ?3",
	    SQL_ARGS(store_sql_int(connection), store_sql_int(until_ms), store_sql_int(limit)),
	    &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row)
		ret_docs[count++] = sqlite3_column_int64(stmt, 0);
	store_sql_finish(stmt);
	if (r == 0)
		*ret_count = count;
	return (r);
}

int
store_rotation_next_at(
    struct store_db *db, int64_t connection, int64_t *ret_ms, struct leased_err *err)
{
	if (is_held(db))
		return (leased_err_set(err, LEASED_ENOENT, "passwords are held"));
	return (store_sql_number(db, "SELECT min(next_at) FROM rotation WHERE connection = ?1",
	    SQL_ARGS(store_sql_int(connection)), ret_ms, err));
}

int
store_rotation_any(struct store_db *db, int64_t connection, struct leased_err *err)
{
	int64_t doc;

	return (store_sql_number(db,
	    "SELECT doc FROM rotation WHERE connection = ?1 AND doc <> ?1 LIMIT 1",
	    SQL_ARGS(store_sql_int(connection)), &doc, err));
}
