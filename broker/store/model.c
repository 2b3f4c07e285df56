/*
 * The schema as it must be: an empty database in memory that the migrations went through. The store
 * is held against it before it is used, since a damaged definition does not look damaged: SQLite
 * would go by an index that is over other columns, and leases that are due would not be found.
 * store_open() and fsck call it.
 */
#include <stdlib.h>

#include "base/log.h"
#include "store/offline_private.h"

static int
model_open(struct store *store, struct store_db **ret_model, struct leased_err *err)
{
	struct store_db *model = NULL;
	int r;

	if ((r = store_sql_open(store, NULL, SQL_WRITER, &model, err)) != 0)
		return (r);
	for (int64_t version = 0; version < store_schema_newest() && r == 0; version++)
		r = store_sql_script(model, store_schema_migration(version), err);
	if (r != 0) {
		store_sql_close(model);
		return (r);
	}
	*ret_model = model;
	return (0);
}

/* How it is in the store. */
static int
object_compare(struct store_db *db, const char *type, const char *name, const char *sql,
    enum store_model_state *ret_state, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, "SELECT sql FROM sqlite_schema WHERE type = ?1 AND name = ?2",
	    SQL_ARGS(store_sql_text(type), store_sql_text(name)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0) {
		*ret_state = STORE_MODEL_MISSING;
		if (row)
			*ret_state = store_record_column_is(stmt, 0, sql) ? STORE_MODEL_SAME
									  : STORE_MODEL_OTHER;
	}
	store_sql_finish(stmt);
	return (r);
}

int
store_model_compare(
    struct store *store, store_on_object on_object, void *arg, struct leased_err *err)
{
	enum store_model_state state = STORE_MODEL_SAME;
	struct store_db *model = NULL;
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	char *sql = NULL;
	int r;

	if ((r = model_open(store, &model, err)) != 0)
		return (r);
	r = store_sql_start(model,
	    "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
	    " AND name NOT LIKE 'sqlite_%' ORDER BY type DESC, name",
	    SQL_NO_ARGS, &stmt, err);
	while (r == 0 && (r = store_sql_step(model, stmt, &row, err)) == 0 && row) {
		const char *type = store_sql_column_text(stmt, 0);
		const char *name = store_sql_column_text(stmt, 1);

		if ((sql = store_sql_column_dup(stmt, 2)) == NULL) {
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to check the store");
			break;
		}
		r = object_compare(store->writer_db, type, name, sql, &state, err);
		if (r == 0 && state != STORE_MODEL_SAME)
			r = on_object(arg, state, type, name, sql, err);
		free(sql);
	}
	store_sql_finish(stmt);
	store_sql_close(model);
	return (r);
}

static int
on_object_refuse(void *arg, enum store_model_state state, const char *type, const char *name,
    const char *sql, struct leased_err *err)
{
	const struct store *store = arg;

	(void)sql;
	return (leased_err_set(err, LEASED_ECORRUPT,
	    "the store's file %s is damaged: its %s %s %s. `leased fsck --repair` makes an index "
	    "anew; a table only a backup brings back",
	    store->files.database, type, name,
	    state == STORE_MODEL_MISSING ? "is missing" : "is not as leased makes it"));
}

int
store_model_verify(struct store *store, struct leased_err *err)
{
	return (store->files.database == NULL
		    ? 0
		    : store_model_compare(store, on_object_refuse, store, err));
}
