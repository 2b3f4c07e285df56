/*
 * How many leases of a connection are overdue, by the index of what is due and the plain columns:
 * no row is opened, so that counting many costs little. Those that are held are not: they wait for
 * a person, and nothing of them is tried. lease/ asks it on the reader thread.
 */
#include "store/hold.h"
#include "store/row.h"

int
store_lease_due_count(struct store_db *db, int64_t connection, int64_t now_ms, int64_t *ret_count,
    struct leased_err *err)
{
	return (store_sql_number(db,
	    store_held(db->store, 1)
		? db->store->hold.due_count
		: "SELECT count(*) FROM lease INDEXED BY lease_due WHERE connection = ?1"
		  " AND next_at <= ?2",
	    SQL_ARGS(store_sql_int(connection), store_sql_int(now_ms)), ret_count, err));
}

static int
late_walk(struct store_db *db, const char *text, const struct store_sql_arg *args, size_t arg_count,
    struct store_late *late, unsigned *left, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, text, args, arg_count, &stmt, err);
	while (r == 0 && *left > 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		(*left)--;
		late->from_ms = sqlite3_column_int64(stmt, 0);
		late->after = sqlite3_column_int64(stmt, 1);
		if (sqlite3_column_int(stmt, 2) != STORE_LEASE_DISARMED &&
		    sqlite3_column_int64(stmt, 3) == 0)
			continue;
		if (late->ids_count < STORE_LATE_IDS)
			late->ids[late->ids_count++] = late->after;
		late->count++;
	}
	store_sql_finish(stmt);
	return (r);
}

/* As pages of what is due: those of the very moment where the last page ended, then later ones. */
int
store_lease_late_page(
    struct store_db *db, struct store_late *late, bool *ret_more, struct leased_err *err)
{
	int64_t below = store_held_below(db->store);
	unsigned left = late->limit;
	int r;

	late->ids_count = 0;
	r = late_walk(db,
	    "SELECT next_at, id, state, flags FROM lease INDEXED BY lease_due WHERE connection = ?1"
	    " AND next_at = ?2 AND id > ?3 ORDER BY id",
	    SQL_ARGS(store_sql_int(late->connection), store_sql_int(late->from_ms),
		store_sql_int(late->after > below ? late->after : below)),
	    late, &left, err);
	if (r == 0 && left > 0)
		r = late_walk(db,
		    "SELECT next_at, id, state, flags FROM lease INDEXED BY lease_due"
		    " WHERE connection = ?1 AND next_at > ?2 AND next_at <= ?3 AND id > ?4"
		    " ORDER BY next_at, id",
		    SQL_ARGS(store_sql_int(late->connection), store_sql_int(late->from_ms),
			store_sql_int(late->until_ms), store_sql_int(below)),
		    late, &left, err);
	if (r == 0)
		*ret_more = left == 0;
	return (r);
}
