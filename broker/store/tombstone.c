/*
 * Tombstones: what is left of an ended lease for a day, so that `lease show` can say how it ended
 * and so that an account whose mint was cut can be looked for once more. The record: format,
 * connection, account, ended_ms, data.
 */
#include <stdlib.h>

#include "store/row.h"

#define TOMBSTONE_FORMAT 1
#define TOMBSTONE_FIELDS 5
#define TOMBSTONE_SELECT "SELECT id, connection, account, ended, look_again, sealed FROM tombstone "
enum tombstone_column {
	TOMB_ID,
	TOMB_CONNECTION,
	TOMB_ACCOUNT,
	TOMB_ENDED,
	TOMB_LOOK,
	TOMB_SEALED
};

static const char tombstone_table[] = "tombstone";

void
store_tombstone_free(struct store_tombstone *tombstone)
{
	if (tombstone == NULL)
		return;
	free(tombstone->account);
	json_decref(tombstone->data);
	free(tombstone);
}

int
store_tombstone_insert(struct store_txn *txn, const struct store_lease *lease, const json_t *data,
    int64_t now_ms, int64_t look_again_ms, struct leased_err *err)
{
	struct seal_place place = {tombstone_table, lease->id, 1};
	const char *account = lease->account != NULL ? lease->account : "";
	struct jenc record = {0};
	uint8_t *sealed = NULL;
	size_t len = 0;
	int r;

	jenc_int(&record, TOMBSTONE_FORMAT);
	jenc_int(&record, lease->connection);
	jenc_text(&record, account);
	jenc_int(&record, now_ms);
	jenc_value(&record, data);
	r = store_record_seal(txn->db->store, &place, &record, &sealed, &len, err);
	if (r != 0)
		return (r);
	r = store_sql_run(txn->db,
	    "INSERT INTO tombstone (id, connection, account, ended, look_again, sealed)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    SQL_ARGS(store_sql_int(lease->id), store_sql_int(lease->connection),
		store_sql_text(account), store_sql_int(now_ms), store_sql_int(look_again_ms),
		store_sql_blob(sealed, len)),
	    NULL, err);
	free(sealed);
	return (r);
}

static int
tombstone_decode(const json_t *record, sqlite3_stmt *stmt, struct store_tombstone **ret_tombstone,
    struct leased_err *err)
{
	struct store_tombstone *tombstone = calloc(1, sizeof(*tombstone));
	const json_t *account = json_array_get(record, 2);
	int64_t format;

	if (tombstone == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a tombstone"));
	if (json_array_size(record) != TOMBSTONE_FIELDS || !store_record_int(record, 0, &format) ||
	    format != TOMBSTONE_FORMAT || !store_record_int(record, 1, &tombstone->connection) ||
	    !store_record_int(record, 3, &tombstone->ended_ms) || !json_is_string(account) ||
	    !store_record_column_is(stmt, TOMB_ACCOUNT, json_string_value(account)) ||
	    sqlite3_column_int64(stmt, TOMB_CONNECTION) != tombstone->connection ||
	    sqlite3_column_int64(stmt, TOMB_ENDED) != tombstone->ended_ms) {
		free(tombstone);
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "its record is malformed or differs from its index columns"));
	}
	tombstone->id = sqlite3_column_int64(stmt, TOMB_ID);
	tombstone->look_again_ms = sqlite3_column_int64(stmt, TOMB_LOOK);
	tombstone->data = json_incref(json_array_get(record, 4));
	if (!store_record_text(record, 2, &tombstone->account)) {
		store_tombstone_free(tombstone);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a tombstone"));
	}
	*ret_tombstone = tombstone;
	return (0);
}

static int
tombstone_from_row(struct store_db *db, sqlite3_stmt *stmt, struct store_tombstone **ret_tombstone,
    struct leased_err *err)
{
	struct seal_place place = {tombstone_table, sqlite3_column_int64(stmt, TOMB_ID), 1};
	json_t *record = NULL;
	int r;

	if ((r = store_record_open(db->store, &place, stmt, TOMB_SEALED, &record, err)) == 0)
		r = tombstone_decode(record, stmt, ret_tombstone, err);
	json_decref(record);
	if (r == LEASED_ECORRUPT) {
		store_quarantine_other(
		    db, tombstone_table, place.key, "it does not open or does not agree");
		leased_err_prefix(err, "tombstone of lease %lld", (long long)place.key);
	}
	return (r);
}

int
store_tombstone_get(
    struct store_db *db, int64_t id, struct store_tombstone **ret_tombstone, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(
	    db, TOMBSTONE_SELECT "WHERE id = ?1", SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? tombstone_from_row(db, stmt, ret_tombstone, err)
			: leased_err_set(
			      err, LEASED_ENOENT, "no tombstone of lease %lld", (long long)id);
	store_sql_finish(stmt);
	return (r);
}

int
store_tombstone_get_account(struct store_db *db, const char *account,
    struct store_tombstone **ret_tombstone, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    TOMBSTONE_SELECT "WHERE account = ?1 AND account <> '' ORDER BY id DESC LIMIT 1",
	    SQL_ARGS(store_sql_text(account)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? tombstone_from_row(db, stmt, ret_tombstone, err)
			: leased_err_set(err, LEASED_ENOENT, "no tombstone of account %s", account);
	store_sql_finish(stmt);
	return (r);
}

static void
on_tombstone_free(void *item)
{
	store_tombstone_free(item);
}

static int
list_add(struct store_db *db, sqlite3_stmt *stmt, struct store_list *list, struct leased_err *err)
{
	struct store_tombstone *tombstone = NULL;
	int r;

	if ((r = tombstone_from_row(db, stmt, &tombstone, err)) == LEASED_ECORRUPT)
		return (0);
	if (r == 0 && (r = store_list_append(list, tombstone, err)) != 0)
		store_tombstone_free(tombstone);
	return (r);
}

int
store_tombstone_due(struct store_db *db, int64_t connection, int64_t now_ms, unsigned limit,
    struct store_tombstone ***ret_tombstones, size_t *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	struct store_list list = {0};
	bool row = false;
	int r;

	r = store_sql_start(db,
	    TOMBSTONE_SELECT "WHERE connection = ?1 AND look_again > 0 AND look_again <= ?2"
			     " AND id > ?3 ORDER BY look_again, id",
	    SQL_ARGS(store_sql_int(connection), store_sql_int(now_ms),
		store_sql_int(store_held_below(db->store))),
	    &stmt, err);
	while (
	    r == 0 && list.count < limit && (r = store_sql_step(db, stmt, &row, err)) == 0 && row)
		r = list_add(db, stmt, &list, err);
	store_sql_finish(stmt);
	if (r != 0) {
		store_list_clear(&list, on_tombstone_free);
		return (r);
	}
	*ret_tombstones = (struct store_tombstone **)list.items;
	*ret_count = list.count;
	return (0);
}

int
store_tombstone_looked(
    struct store_txn *txn, int64_t id, int64_t look_again_ms, struct leased_err *err)
{
	return (store_sql_run(txn->db, "UPDATE tombstone SET look_again = ?2 WHERE id = ?1",
	    SQL_ARGS(store_sql_int(id), store_sql_int(look_again_ms)), NULL, err));
}

/* Those that are still to be looked at again stay. */
int
store_tombstone_purge(struct store_txn *txn, int64_t ended_before_ms, unsigned limit,
    unsigned *ret_purged, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db,
	    "DELETE FROM tombstone WHERE id IN (SELECT id FROM tombstone WHERE ended < ?1"
	    " AND look_again = 0 ORDER BY ended LIMIT ?2)",
	    SQL_ARGS(store_sql_int(ended_before_ms), store_sql_int(limit)), &changes, err);
	if (r == 0)
		*ret_purged = (unsigned)changes;
	return (r);
}
