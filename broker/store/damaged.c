/*
 * Asking the quarantine by what its columns still say: one row, those of a place or of an owner.
 * How rows come into it, and their list, is quarantine.c. lease/ calls, for revocations and lists.
 */
#include <stdlib.h>
#include <string.h>

#include "store/row.h"

/* ?1 mount, ?2 place, ?3 owner, ?4 the highest id, ?5 by owner. The place and what is below it. */
#define OF_QUERY                                                                                   \
	" WHERE table_name = 'lease' AND NOT disarmed AND (?4 = 0 OR key <= ?4)"                   \
	" AND CASE WHEN ?5 THEN owner = ?3 ELSE mount = ?1 AND"                                    \
	" (?2 = '' OR place = ?2 OR substr(place, 1, length(?2) + 1) = ?2 || '/') END"

#define QUERY_ARGS(query)                                                                          \
	store_sql_int((query)->number), store_sql_text((query)->text),                             \
	    store_sql_text((query)->text), store_sql_int((query)->at_most),                        \
	    store_sql_int((query)->by == STORE_BY_OWNER)

void
store_damaged_clear(struct store_damaged *damaged)
{
	free(damaged->account);
	free(damaged->place);
	free(damaged->owner);
	free(damaged->reason);
	*damaged = (struct store_damaged){0};
}

#define DAMAGED_SELECT                                                                             \
	"SELECT key, connection, mount, kind, next_at, disarmed, account, place, owner, reason"    \
	" FROM quarantine WHERE table_name = 'lease' "

static int
damaged_read(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t arg_count, struct store_damaged *ret_damaged, struct leased_err *err)
{
	struct store_damaged damaged = {0};
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, text, args, arg_count, &stmt, err);
	if (r == 0)
		r = store_sql_step(db, stmt, &row, err);
	if (r == 0 && !row)
		r = leased_err_set(err, LEASED_ENOENT, "it is not in quarantine");
	if (r == 0) {
		damaged.id = sqlite3_column_int64(stmt, 0);
		damaged.connection = sqlite3_column_int64(stmt, 1);
		damaged.mount = sqlite3_column_int64(stmt, 2);
		damaged.kind = sqlite3_column_int64(stmt, 3);
		damaged.next_at_ms = sqlite3_column_int64(stmt, 4);
		damaged.disarmed = sqlite3_column_int(stmt, 5) != 0;
		damaged.account = store_sql_column_dup(stmt, 6);
		damaged.place = store_sql_column_dup(stmt, 7);
		damaged.owner = store_sql_column_dup(stmt, 8);
		damaged.reason = store_sql_column_dup(stmt, 9);
		if (damaged.account == NULL || damaged.place == NULL || damaged.owner == NULL ||
		    damaged.reason == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to read the quarantine");
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_damaged_clear(&damaged);
		return (r);
	}
	*ret_damaged = damaged;
	return (0);
}

int
store_damaged_get(
    struct store_db *db, int64_t id, struct store_damaged *ret_damaged, struct leased_err *err)
{
	int r = damaged_read(
	    db, DAMAGED_SELECT "AND key = ?1", SQL_ARGS(store_sql_int(id)), ret_damaged, err);

	if (r == LEASED_ENOENT)
		leased_err_prefix(err, "lease number %lld", (long long)id);
	return (r);
}

int
store_damaged_find(struct store_db *db, const char *account, struct store_damaged *ret_damaged,
    struct leased_err *err)
{
	return (damaged_read(db, DAMAGED_SELECT "AND account = ?1 ORDER BY disarmed LIMIT 1",
	    SQL_ARGS(store_sql_text(account)), ret_damaged, err));
}

int
store_damaged_mark(struct store_txn *txn, const struct store_lease_query *query, int64_t now_ms,
    int64_t *ret_count, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db,
	    "UPDATE quarantine SET next_at = min(next_at, ?6)" OF_QUERY " AND next_at > ?6",
	    SQL_ARGS(QUERY_ARGS(query), store_sql_int(now_ms)), &changes, err);
	if (r == 0)
		*ret_count = changes;
	return (r);
}

int
store_damaged_armed(struct store_db *db, const struct store_lease_query *query, int64_t *ret_count,
    struct leased_err *err)
{
	/* Without a connection there is no account that would be disarmed. */
	return (
	    store_sql_number(db, "SELECT count(*) FROM quarantine" OF_QUERY " AND connection <> 0",
		SQL_ARGS(QUERY_ARGS(query)), ret_count, err));
}

int
store_damaged_abandon(struct store_txn *txn, const struct store_damaged *damaged,
    const json_t *tombstone, int64_t now_ms, struct leased_err *err)
{
	char none[] = "";
	struct store_lease lease = {.id = damaged->id,
	    .state = damaged->disarmed ? STORE_LEASE_DISARMED : STORE_LEASE_LIVE,
	    .kind = STORE_LEASE_CREDENTIAL,
	    .connection = damaged->connection,
	    .mount = damaged->mount,
	    .place = none,
	    .account = damaged->account,
	    .owner = none};
	int r;

	if ((r = store_quarantine_delete(txn, damaged->id, err)) == 0)
		r = store_watch_tell(txn,
		    &(struct store_change){
			.kind = STORE_CHANGE_LEASE_GONE, .lease = &lease, .tombstone = tombstone},
		    err);
	if (r != 0)
		return (r);
	return (store_tombstone_insert(txn, &lease, tombstone, now_ms, 0, err));
}

uint64_t
store_damaged_met(const struct store_db *db)
{
	return (db->damaged_met);
}
