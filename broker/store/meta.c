/*
 * Small plain values by name: the time anchor, settings. Nothing secret is kept here.
 */
#include <stdlib.h>

#include "store/store_private.h"

int
store_meta_get(struct store_db *db, const char *key, char **ret_text, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	char *text;
	int r;

	r = store_sql_start(db, "SELECT value FROM meta WHERE name = ?1",
	    SQL_ARGS(store_sql_text(key)), &stmt, err);
	if (r != 0 || (r = store_sql_step(db, stmt, &row, err)) != 0)
		goto out;
	if (!row)
		r = leased_err_set(err, LEASED_ENOENT, "the store holds no value %s", key);
	else if ((text = store_sql_column_dup(stmt, 0)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to read value %s", key);
	else
		*ret_text = text;
out:
	store_sql_finish(stmt);
	return (r);
}

int
store_meta_put(struct store_txn *txn, const char *key, const char *text, struct leased_err *err)
{
	return (store_sql_run(txn->db,
	    "INSERT INTO meta (name, value) VALUES (?1, ?2)"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	    SQL_ARGS(store_sql_text(key), store_sql_text(text)), NULL, err));
}
