/*
 * Inside of store/: what the typed files share: sealed records, checksums, lease rows, quarantine.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "base/jenc.h"
#include "store/store_private.h"

#define STORE_SUM_SIZE 16

/* ---- record.c: sealed JSON, and checksums of index columns ---- */
/* Ends and clears record. */
int store_record_seal(struct store *store, const struct seal_place *place, struct jenc *record,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
/* NULL: leave it to jansson, which also says whether memory or the text is at fault. */
json_t *store_record_read(const uint8_t *bytes, size_t len);
int store_record_open(struct store *store, const struct seal_place *place, sqlite3_stmt *stmt,
    int column, json_t **ret_record, struct leased_err *err) LEASED_MUST_CHECK;
int store_record_sum(struct store *store, const char *table, const struct store_sql_arg *columns,
    size_t count, uint8_t ret_sum[STORE_SUM_SIZE], struct leased_err *err) LEASED_MUST_CHECK;
/* The same over a row's first count columns; *ret_good: does the blob of column count match? */
int store_record_sum_check(struct store *store, const char *table, sqlite3_stmt *stmt, int count,
    bool *ret_good, struct leased_err *err) LEASED_MUST_CHECK;
bool store_record_column_is(sqlite3_stmt *stmt, int column, const char *text);
/* Fields of a record that is an array. */
bool store_record_int(const json_t *record, size_t index, int64_t *ret_number);
bool store_record_text(const json_t *record, size_t index, char **ret_text);

/* The next AUTOINCREMENT number of a table. */
int store_record_next_id(struct store_db *db, const char *table, int64_t *ret_id,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- lease_record.c ---- */
void store_lease_encode(const struct store_lease *lease, struct jenc *record);
int64_t store_lease_flags(const struct store_lease *lease); /* the column flags */
bool store_lease_flags_revoke(int64_t flags);
/* LEASED_ECORRUPT for what store_lease_encode() cannot have made. id and version are not in it. */
int store_lease_decode(
    const json_t *record, struct store_lease **ret_lease, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- lease_page.c, lease.c ---- */
#define LEASE_SELECT                                                                               \
	"SELECT id, version, state, kind, connection, mount, next_at, flags, place, account, "     \
	"owner, sum, sealed FROM lease "
enum lease_column {
	LEASE_ID,
	LEASE_VERSION,
	LEASE_STATE,
	LEASE_KIND,
	LEASE_CONNECTION,
	LEASE_MOUNT,
	LEASE_NEXT_AT,
	LEASE_FLAGS,
	LEASE_PLACE,
	LEASE_ACCOUNT,
	LEASE_OWNER,
	LEASE_SUM,
	LEASE_SEALED,
	LEASE_COLUMNS
};
/* Its sealed content alone, and whether the columns say the same; nothing is quarantined. */
int store_lease_open_row(struct store_db *db, sqlite3_stmt *stmt, struct store_lease **ret_lease,
    bool *ret_agrees, struct leased_err *err) LEASED_MUST_CHECK;
/* A row of LEASE_SELECT. LEASED_ECORRUPT: it is being quarantined. */
int store_lease_from_row(struct store_db *db, sqlite3_stmt *stmt, struct store_lease **ret_lease,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- tombstone.c ---- */
int store_tombstone_insert(struct store_txn *txn, const struct store_lease *lease,
    const json_t *data, int64_t now_ms, int64_t look_again_ms,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- quarantine.c ---- */
/* Queues the move of the lease row that stmt stands on; opened: its sealed content, or NULL. */
void store_quarantine_lease(
    struct store_db *db, sqlite3_stmt *stmt, const struct store_lease *opened, const char *reason);
/* Counts and lists another table's row; it stays where it is. */
void store_quarantine_other(
    struct store_db *db, const char *table, int64_t key, const char *reason);
/* The same of a document of this version. And: it is written anew, or deleted. */
void store_quarantine_doc(struct store_db *db, int64_t id, int64_t version, const char *reason);
int store_quarantine_doc_done(
    struct store_txn *txn, int64_t id, struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_ECORRUPT when the lease is in quarantine, else LEASED_ENOENT, with the text. */
int store_quarantine_or_absent(struct store_db *db, int64_t lease_id, struct leased_err *err);
int store_quarantine_account_or_absent(
    struct store_db *db, const char *account, struct leased_err *err);
/* The indexes of leases do not agree with the rows: makes them anew, once an hour at most. */
void store_quarantine_reindex(struct store *store);
int store_quarantine_load(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- outbox.c: who watches is told, inside the transaction ---- */
bool store_watched(const struct store_txn *txn);
int store_watch_tell(struct store_txn *txn, const struct store_change *change,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_watch_lease_before(struct store_txn *txn, int64_t id, struct store_change *change,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_watch_doc_gone(
    struct store_txn *txn, int64_t id, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- scrub.c ---- */
struct store_scrub {
	int64_t after; /* lease id reached */
	bool running;
	int64_t started_ms; /* boot time of this pass */
};
/* Opens one page; *ret_wait_ms: how long to wait for the next. */
int store_scrub_step(struct store_db *db, struct store_scrub *scrub, int64_t *ret_wait_ms,
    struct leased_err *err) LEASED_MUST_CHECK;

struct store_list {
	void **items;
	size_t count, size;
};
int store_list_append(
    struct store_list *list, void *item, struct leased_err *err) LEASED_MUST_CHECK;
void store_list_clear(struct store_list *list, void (*item_free)(void *item));

#endif
