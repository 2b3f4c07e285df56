/*
 * Counters that are taken and given back by one conditional statement inside the writer's
 * transaction, so that a cap is never passed by a race. What a counter means is its caller's.
 */
#include <stdlib.h>
#include <string.h>

#include "store/store_private.h"

int
store_take(struct store_txn *txn, const char *counter, int64_t limit, struct leased_err *err)
{
	int changes = 0, r;

	if (limit <= 0)
		return (leased_err_set(err, LEASED_ELIMIT, "the limit of %s is 0", counter));
	r = store_sql_run(txn->db,
	    "INSERT INTO counter (name, value) VALUES (?1, 1)"
	    " ON CONFLICT (name) DO UPDATE SET value = value + 1 WHERE value < ?2",
	    SQL_ARGS(store_sql_text(counter), store_sql_int(limit)), &changes, err);
	if (r == 0 && changes == 0)
		r = leased_err_set(err, LEASED_ELIMIT, "%s has reached its limit of %lld", counter,
		    (long long)limit);
	return (r);
}

int
store_give(struct store_txn *txn, const char *counter, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db,
	    "UPDATE counter SET value = value - 1 WHERE name = ?1 AND value > 1",
	    SQL_ARGS(store_sql_text(counter)), &changes, err);
	if (r != 0 || changes != 0)
		return (r);
	return (store_sql_run(txn->db, "DELETE FROM counter WHERE name = ?1",
	    SQL_ARGS(store_sql_text(counter)), NULL, err));
}

int
store_counter_get(
    struct store_db *db, const char *counter, int64_t *ret_value, struct leased_err *err)
{
	int64_t value = 0;
	int r;

	r = store_sql_number(db, "SELECT value FROM counter WHERE name = ?1",
	    SQL_ARGS(store_sql_text(counter)), &value, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	*ret_value = value;
	return (0);
}

int
store_counter_set(struct store_txn *txn, const char *counter, int64_t value, struct leased_err *err)
{
	if (value <= 0)
		return (store_sql_run(txn->db, "DELETE FROM counter WHERE name = ?1",
		    SQL_ARGS(store_sql_text(counter)), NULL, err));
	return (store_sql_run(txn->db,
	    "INSERT INTO counter (name, value) VALUES (?1, ?2)"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	    SQL_ARGS(store_sql_text(counter), store_sql_int(value)), NULL, err));
}

int
store_counter_add(
    struct store_txn *txn, const char *counter, int64_t difference, struct leased_err *err)
{
	int64_t value = 0;
	int r;

	if ((r = store_counter_get(txn->db, counter, &value, err)) != 0)
		return (r);
	return (store_counter_set(txn, counter, value + difference, err));
}

void
store_counter_list_free(struct store_counter *counters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(counters[i].name);
	free(counters);
}

int
store_counter_list(struct store_db *db, const char *after, unsigned limit,
    struct store_counter **ret_counters, size_t *ret_count, struct leased_err *err)
{
	struct store_counter *counters = calloc(limit > 0 ? limit : 1, sizeof(*counters));
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	if (counters == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to list counters"));
	r = store_sql_start(db,
	    "SELECT name, value FROM counter WHERE name > ?1 ORDER BY name LIMIT ?2",
	    SQL_ARGS(store_sql_text(after), store_sql_int(limit)), &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		if (after != NULL && strcmp(store_sql_column_text(stmt, 0), after) <= 0) {
			r = store_sql_disorder(db, err);
			break;
		}
		if ((counters[count].name = store_sql_column_dup(stmt, 0)) == NULL) {
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list counters");
			break;
		}
		counters[count++].value = sqlite3_column_int64(stmt, 1);
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_counter_list_free(counters, count);
		return (r);
	}
	*ret_counters = counters;
	*ret_count = count;
	return (0);
}
