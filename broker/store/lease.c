/*
 * Lease rows: insert, update and delete under the version rule, and single reads. A row's sealed
 * content holds every column again; where they disagree the row is quarantined. It knows no lease
 * state's meaning: lease/ does.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/row.h"

static const char lease_table[] = "lease";

int64_t
store_next_lease_id(struct store_txn *txn)
{
	if (txn->next_lease_id == 0 &&
	    store_record_next_id(txn->db, lease_table, &txn->next_lease_id, NULL) != 0)
		return (-1);
	return (txn->next_lease_id);
}

/* Binds lease as the row's columns, in the order of enum lease_column, sum and sealed included. */
struct lease_row {
	struct store_sql_arg columns[LEASE_COLUMNS + 1];
	uint8_t sum[STORE_SUM_SIZE];
	uint8_t *sealed;
};

static int
row_make(struct store *store, const struct store_lease *lease, int64_t id, int64_t version,
    struct lease_row *ret_row, struct leased_err *err)
{
	struct seal_place place = {lease_table, id, version};
	struct jenc record = {0};
	size_t sealed_len = 0;
	int r;

	ret_row->columns[LEASE_ID] = store_sql_int(id);
	ret_row->columns[LEASE_VERSION] = store_sql_int(version);
	ret_row->columns[LEASE_STATE] = store_sql_int(lease->state);
	ret_row->columns[LEASE_KIND] = store_sql_int(lease->kind);
	ret_row->columns[LEASE_CONNECTION] = store_sql_int(lease->connection);
	ret_row->columns[LEASE_MOUNT] = store_sql_int(lease->mount);
	ret_row->columns[LEASE_NEXT_AT] = store_sql_int(lease->next_at_ms);
	ret_row->columns[LEASE_FLAGS] = store_sql_int(store_lease_flags(lease));
	ret_row->columns[LEASE_PLACE] = store_sql_text(lease->place);
	ret_row->columns[LEASE_ACCOUNT] = store_sql_text(lease->account);
	ret_row->columns[LEASE_OWNER] = store_sql_text(lease->owner);
	if ((r = store_record_sum(
		 store, lease_table, ret_row->columns, LEASE_SUM, ret_row->sum, err)) != 0)
		return (r);
	store_lease_encode(lease, &record);
	r = store_record_seal(store, &place, &record, &ret_row->sealed, &sealed_len, err);
	if (r != 0)
		return (r);
	ret_row->columns[LEASE_SUM] = store_sql_blob(ret_row->sum, sizeof(ret_row->sum));
	ret_row->columns[LEASE_SEALED] = store_sql_blob(ret_row->sealed, sealed_len);
	return (0);
}

int
store_lease_insert(struct store_txn *txn, struct store_lease *lease, struct leased_err *err)
{
	struct lease_row row = {.sealed = NULL};
	int64_t id;
	int r;

	if (lease->id != 0)
		return (bug(err, "lease %lld is inserted again", (long long)lease->id));
	if ((id = store_next_lease_id(txn)) < 0)
		return (leased_err_set(err, LEASED_EIO, "the store gives no lease number"));
	if ((r = row_make(txn->db->store, lease, id, 1, &row, err)) != 0)
		return (r);
	r = store_sql_run(txn->db,
	    "INSERT INTO lease (id, version, state, kind, connection, mount, next_at, flags, place,"
	    " account, owner, sum, sealed)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
	    row.columns, LEASE_COLUMNS, NULL, err);
	free(row.sealed);
	if (r != 0)
		return (r);
	lease->id = id;
	lease->version = 1;
	txn->next_lease_id = id + 1;
	return (store_watch_tell(
	    txn, &(struct store_change){.kind = STORE_CHANGE_LEASE_NEW, .lease = lease}, err));
}

static int
changed_meanwhile(int64_t id, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_ECONFLICT, "lease %lld has changed or gone meanwhile", (long long)id));
}

int
store_lease_update(struct store_txn *txn, struct store_lease *lease, struct leased_err *err)
{
	struct store_change change = {.kind = STORE_CHANGE_LEASE, .lease = lease};
	struct lease_row row = {.sealed = NULL};
	int changes = 0, r;

	if (store_watched(txn) && (r = store_watch_lease_before(txn, lease->id, &change, err)) != 0)
		return (r);
	r = row_make(txn->db->store, lease, lease->id, lease->version + 1, &row, err);
	if (r != 0)
		return (r);
	row.columns[LEASE_COLUMNS] = store_sql_int(lease->version);
	/* What seldom changes stays out of SET: SQLite rewrites the index of every column in it. */
	r = store_sql_run(txn->db,
	    "UPDATE lease SET version = ?2, state = ?3, next_at = ?7, flags = ?8, sum = ?12,"
	    " sealed = ?13 WHERE id = ?1 AND version = ?14 AND kind = ?4 AND connection = ?5"
	    " AND mount = ?6 AND place = ?9 AND account = ?10 AND owner = ?11",
	    row.columns, LEASE_COLUMNS + 1, &changes, err);
	if (r == 0 && changes == 0)
		r = store_sql_run(txn->db,
		    "UPDATE lease SET version = ?2, state = ?3, kind = ?4, connection = ?5,"
		    " mount = ?6, next_at = ?7, flags = ?8, place = ?9, account = ?10, owner = ?11,"
		    " sum = ?12, sealed = ?13 WHERE id = ?1 AND version = ?14",
		    row.columns, LEASE_COLUMNS + 1, &changes, err);
	free(row.sealed);
	if (r == 0 && changes == 0)
		r = changed_meanwhile(lease->id, err);
	if (r != 0)
		return (r);
	lease->version++;
	return (store_watch_tell(txn, &change, err));
}

int
store_lease_delete(struct store_txn *txn, const struct store_lease *lease, const json_t *tombstone,
    int64_t now_ms, int64_t look_again_ms, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db, "DELETE FROM lease WHERE id = ?1 AND version = ?2",
	    SQL_ARGS(store_sql_int(lease->id), store_sql_int(lease->version)), &changes, err);
	if (r == 0 && changes == 0)
		r = changed_meanwhile(lease->id, err);
	if (r == 0)
		r = store_watch_tell(txn,
		    &(struct store_change){
			.kind = STORE_CHANGE_LEASE_GONE, .lease = lease, .tombstone = tombstone},
		    err);
	if (r != 0 || (tombstone == NULL && look_again_ms == 0))
		return (r);
	return (store_tombstone_insert(txn, lease, tombstone, now_ms, look_again_ms, err));
}

/* Does the plain copy say what the sealed content says? */
static bool
columns_agree(sqlite3_stmt *stmt, const struct store_lease *lease)
{
	return (sqlite3_column_int64(stmt, LEASE_STATE) == (int64_t)lease->state &&
		sqlite3_column_int64(stmt, LEASE_KIND) == (int64_t)lease->kind &&
		sqlite3_column_int64(stmt, LEASE_CONNECTION) == lease->connection &&
		sqlite3_column_int64(stmt, LEASE_MOUNT) == lease->mount &&
		sqlite3_column_int64(stmt, LEASE_NEXT_AT) == lease->next_at_ms &&
		sqlite3_column_int64(stmt, LEASE_FLAGS) == store_lease_flags(lease) &&
		store_record_column_is(stmt, LEASE_PLACE, lease->place) &&
		store_record_column_is(stmt, LEASE_ACCOUNT, lease->account) &&
		store_record_column_is(stmt, LEASE_OWNER, lease->owner));
}

int
store_lease_open_row(struct store_db *db, sqlite3_stmt *stmt, struct store_lease **ret_lease,
    bool *ret_agrees, struct leased_err *err)
{
	struct seal_place place = {lease_table, sqlite3_column_int64(stmt, LEASE_ID),
	    sqlite3_column_int64(stmt, LEASE_VERSION)};
	struct store_lease *lease = NULL;
	json_t *record = NULL;
	int r;

	if ((r = store_record_open(db->store, &place, stmt, LEASE_SEALED, &record, err)) == 0)
		r = store_lease_decode(record, &lease, err);
	json_decref(record);
	if (r == LEASED_ECORRUPT)
		leased_err_prefix(err, "lease number %lld", (long long)place.key);
	if (r != 0)
		return (r);
	lease->id = place.key;
	lease->version = place.version;
	*ret_agrees = columns_agree(stmt, lease);
	*ret_lease = lease;
	return (0);
}

int
store_lease_from_row(
    struct store_db *db, sqlite3_stmt *stmt, struct store_lease **ret_lease, struct leased_err *err)
{
	struct store_lease *lease = NULL;
	bool agrees = false;
	int r;

	r = store_lease_open_row(db, stmt, &lease, &agrees, err);
	if (r == LEASED_ECORRUPT)
		store_quarantine_lease(db, stmt, NULL, "its sealed content does not open");
	if (r != 0)
		return (r);
	if (!agrees) {
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "lease number %lld: its index columns differ from its sealed content",
		    (long long)lease->id);
		store_quarantine_lease(
		    db, stmt, lease, "its index columns differ from its sealed content");
		store_lease_free(lease);
		return (r);
	}
	*ret_lease = lease;
	return (0);
}

int
store_lease_get(
    struct store_db *db, int64_t id, struct store_lease **ret_lease, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(
	    db, LEASE_SELECT "WHERE id = ?1", SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? store_lease_from_row(db, stmt, ret_lease, err)
			: store_quarantine_or_absent(db, id, err);
	store_sql_finish(stmt);
	return (r);
}

int
store_lease_glance(
    struct store_txn *txn, int64_t id, struct store_glance *ret_glance, struct leased_err *err)
{
	struct store *store = txn->db->store;
	struct store_known *known = &store->glances.rows[(uint64_t)id % STORE_GLANCES];
	uint64_t changes = store_row_changes(store, id);
	bool touched = store_changes_touched(store, id);
	struct store_lease *row = NULL;
	int r;

	if (known->id == id && id != 0 && known->changes == changes && !touched) {
		*ret_glance = known->glance;
		return (0);
	}
	if ((r = store_lease_get(txn->db, id, &row, err)) != 0)
		return (r);
	*ret_glance = (struct store_glance){row->kind, row->revoke, row->next_at_ms};
	store_lease_free(row);
	if (!touched)
		*known = (struct store_known){.id = id, .changes = changes, .glance = *ret_glance};
	return (0);
}

int
store_lease_get_account(struct store_db *db, const char *account, struct store_lease **ret_lease,
    struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    LEASE_SELECT "WHERE account = ?1 AND account <> '' ORDER BY id LIMIT 1",
	    SQL_ARGS(store_sql_text(account)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? store_lease_from_row(db, stmt, ret_lease, err)
			: store_quarantine_account_or_absent(db, account, err);
	store_sql_finish(stmt);
	return (r);
}
