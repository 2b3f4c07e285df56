/*
 * Who keeps a record of what changes: the watcher, told of each change of a lease, a document or a
 * job inside the transaction that makes it, and the outbox, where it leaves its records until they
 * are on their device. A record commits with its change or not at all. It knows no record: audit/
 * does. The row: format, text.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/row.h"

#define OUTBOX_FORMAT 1
#define OUTBOX_FIELDS 2

static const char outbox_table[] = "audit_outbox";

/* ---- the watcher ---- */

void
store_watch_set(struct store *store, store_watch watch, void *arg)
{
	store->watch_arg = arg;
	atomic_store(&store->watch, watch);
}

bool
store_watched(const struct store_txn *txn)
{
	return (atomic_load(&txn->db->store->watch) != NULL);
}

int
store_watch_tell(struct store_txn *txn, const struct store_change *change, struct leased_err *err)
{
	struct store *store = txn->db->store;
	store_watch watch = atomic_load(&store->watch);

	return (watch != NULL ? watch(store->watch_arg, txn, change, err) : 0);
}

/* What is still in the row that lease is about to overwrite. */
int
store_watch_lease_before(
    struct store_txn *txn, int64_t id, struct store_change *change, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(txn->db, "SELECT state, flags, next_at FROM lease WHERE id = ?1",
	    SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(txn->db, stmt, &row, err)) == 0 && row) {
		change->before.state = (enum store_lease_state)sqlite3_column_int64(stmt, 0);
		change->before.revoke = store_lease_flags_revoke(sqlite3_column_int64(stmt, 1));
		change->before.next_at_ms = sqlite3_column_int64(stmt, 2);
	}
	store_sql_finish(stmt);
	return (r);
}

/* A document goes: its kind and name are told, since nobody can look them up any more. */
int
store_watch_doc_gone(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	struct store_doc doc = {.id = id};
	struct store_change change = {.kind = STORE_CHANGE_DOC_GONE, .doc = &doc};
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	if (!store_watched(txn))
		return (0);
	r = store_sql_start(txn->db, "SELECT version, kind, name FROM doc WHERE id = ?1",
	    SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(txn->db, stmt, &row, err)) == 0 && row) {
		doc.version = sqlite3_column_int64(stmt, 0);
		doc.kind = store_sql_column_dup(stmt, 1);
		doc.name = store_sql_column_dup(stmt, 2);
		if (doc.kind == NULL || doc.name == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to record a change");
	}
	store_sql_finish(stmt);
	if (r == 0 && row)
		r = store_watch_tell(txn, &change, err);
	free(doc.kind);
	free(doc.name);
	return (r);
}

/* ---- the outbox ---- */

int
store_outbox_put(struct store_txn *txn, const char *text, struct leased_err *err)
{
	struct seal_place place = {outbox_table, 0, 1};
	struct jenc record = {0};
	uint8_t *sealed = NULL;
	size_t len = 0;
	int r;

	if ((r = store_record_next_id(txn->db, outbox_table, &place.key, err)) != 0)
		return (r);
	jenc_int(&record, OUTBOX_FORMAT);
	jenc_text(&record, text);
	r = store_record_seal(txn->db->store, &place, &record, &sealed, &len, err);
	if (r != 0)
		return (r);
	r = store_sql_run(txn->db, "INSERT INTO audit_outbox (id, sealed) VALUES (?1, ?2)",
	    SQL_ARGS(store_sql_int(place.key), store_sql_blob(sealed, len)), NULL, err);
	free(sealed);
	return (r == 0 ? FAILPOINT_ERROR(audit_outbox_put, err) : r);
}

static int
outbox_from_row(struct store_db *db, sqlite3_stmt *stmt, struct store_outbox_row *ret_row,
    struct leased_err *err)
{
	struct seal_place place = {outbox_table, sqlite3_column_int64(stmt, 0), 1};
	json_t *record = NULL;
	int64_t format;
	int r;

	ret_row->id = place.key;
	if ((r = store_record_open(db->store, &place, stmt, 1, &record, err)) == 0 &&
	    (json_array_size(record) != OUTBOX_FIELDS || !store_record_int(record, 0, &format) ||
		format != OUTBOX_FORMAT || !json_is_string(json_array_get(record, 1))))
		r = LEASED_ECORRUPT;
	if (r == 0 && !store_record_text(record, 1, &ret_row->text))
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to read the outbox of the audit");
	json_decref(record);
	if (r != LEASED_ECORRUPT)
		return (r);
	/* It is told without its text: that something is missing must be seen. */
	store_quarantine_other(db, outbox_table, place.key, "it does not open");
	return (0);
}

int
store_outbox_page(struct store_db *db, int64_t after, unsigned limit,
    struct store_outbox_row **ret_rows, size_t *ret_count, struct leased_err *err)
{
	struct store_outbox_row *rows = calloc(limit, sizeof(*rows));
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	if (rows == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read the outbox"));
	r = store_sql_start(db, "SELECT id, sealed FROM audit_outbox WHERE id > ?1 ORDER BY id",
	    SQL_ARGS(store_sql_int(after)), &stmt, err);
	while (r == 0 && count < limit && (r = store_sql_step(db, stmt, &row, err)) == 0 && row &&
	       (r = store_sql_advance(db, sqlite3_column_int64(stmt, 0), &after, err)) == 0) {
		if ((r = outbox_from_row(db, stmt, &rows[count], err)) == 0)
			count++;
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_outbox_page_free(rows, count);
		return (r);
	}
	*ret_rows = rows;
	*ret_count = count;
	return (0);
}

void
store_outbox_page_free(struct store_outbox_row *rows, size_t count)
{
	for (size_t i = 0; rows != NULL && i < count; i++)
		free(rows[i].text);
	free(rows);
}

int
store_outbox_delete(struct store_txn *txn, int64_t up_to, struct leased_err *err)
{
	return (store_sql_run(txn->db, "DELETE FROM audit_outbox WHERE id <= ?1",
	    SQL_ARGS(store_sql_int(up_to)), NULL, err));
}

int
store_outbox_count(struct store_db *db, int64_t *ret_count, struct leased_err *err)
{
	return (
	    store_sql_number(db, "SELECT count(*) FROM audit_outbox", SQL_NO_ARGS, ret_count, err));
}
