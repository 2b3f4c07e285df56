/*
 * Small plain values by name: the time anchor, the hold, settings. Nothing secret is kept here, and
 * nothing that a changed byte could turn into another value in silence: each has a checksum, but
 * for those of versions that knew none.
 */
#include <stdlib.h>

#include "store/row.h"
#include "store/value.h"

enum meta_column { META_NAME, META_VALUE, META_SUM };

static const char meta_table[] = "meta";

/* Has this file the column, and are the keys for it at hand? */
static bool
is_summed(const struct store *store)
{
	return (store->seal != NULL && store->schema >= STORE_SCHEMA_META_SUM);
}

/* A value without a checksum is of an older version, which never wrote it again. */
static int
sum_check(struct store_db *db, sqlite3_stmt *stmt, const char *key, struct leased_err *err)
{
	bool good = false;
	int r;

	if (!is_summed(db->store) || sqlite3_column_type(stmt, META_SUM) == SQLITE_NULL)
		return (0);
	r = store_record_sum_check(db->store, meta_table, stmt, META_SUM, &good, err);
	if (r == 0 && !good)
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the store's value %s is damaged: its checksum does not match. `leased "
		    "fsck` says what is to be done",
		    key);
	return (r);
}

int
store_meta_get(struct store_db *db, const char *key, char **ret_text, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	char *text;
	int r;

	r = store_sql_start(db,
	    is_summed(db->store) ? "SELECT name, value, sum FROM meta WHERE name = ?1"
				 : "SELECT name, value FROM meta WHERE name = ?1",
	    SQL_ARGS(store_sql_text(key)), &stmt, err);
	if (r != 0 || (r = store_sql_step(db, stmt, &row, err)) != 0)
		goto out;
	if (!row)
		r = leased_err_set(err, LEASED_ENOENT, "the store holds no value %s", key);
	else if ((r = sum_check(db, stmt, key, err)) != 0)
		goto out;
	else if ((text = store_sql_column_dup(stmt, META_VALUE)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to read value %s", key);
	else
		*ret_text = text;
out:
	store_sql_finish(stmt);
	return (r);
}

int
store_meta_write(struct store_db *db, const char *key, const char *text, struct leased_err *err)
{
	struct store_sql_arg columns[] = {store_sql_text(key), store_sql_text(text), {0}};
	uint8_t sum[STORE_SUM_SIZE];
	int r;

	if (!is_summed(db->store))
		return (store_sql_run(db,
		    "INSERT INTO meta (name, value) VALUES (?1, ?2)"
		    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		    columns, META_SUM, NULL, err));
	if ((r = store_record_sum(db->store, meta_table, columns, META_SUM, sum, err)) != 0)
		return (r);
	columns[META_SUM] = store_sql_blob(sum, sizeof(sum));
	return (store_sql_run(db,
	    "INSERT INTO meta (name, value, sum) VALUES (?1, ?2, ?3)"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, sum = excluded.sum",
	    columns, META_SUM + 1, NULL, err));
}

int
store_meta_put(struct store_txn *txn, const char *key, const char *text, struct leased_err *err)
{
	return (store_meta_write(txn->db, key, text, err));
}

int
store_meta_check(struct store_db *db, store_on_meta on_bad, void *arg, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r, bad;

	if (!is_summed(db->store))
		return (0);
	r = store_sql_start(
	    db, "SELECT name, value, sum FROM meta ORDER BY name", SQL_NO_ARGS, &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		bad = sum_check(db, stmt, store_sql_column_text(stmt, META_NAME), &why);
		if (bad == LEASED_ECORRUPT)
			on_bad(arg, store_sql_column_text(stmt, META_NAME), why.text);
		else
			r = bad;
	}
	store_sql_finish(stmt);
	return (r);
}
