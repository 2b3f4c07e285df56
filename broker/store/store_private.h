/*
 * Inside of store/: the store itself, and what its files lend each other.
 */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/sql.h"
#include "store/store.h"

#define STORE_SUM_SIZE 16
#define STORE_TAG_LEN 6

struct event;

struct op_queue {
	struct store_op *first, **last;
	size_t count;
};

struct read_queue {
	struct store_read *first, **last;
};

/* Rows reported lately, so that a bad row that is read often is written down once. */
#define STORE_REPORTS 256
struct reports {
	struct report {
		const char *table; /* NULL: free */
		int64_t key;
	} rows[STORE_REPORTS];
	unsigned next;
};

/* dir with its lock and reserve. */
struct store_files {
	char *dir, *database, *reserve;
	int lock_fd;
	_Atomic bool has_reserve;
};

struct store {
	bool inline_mode;
	struct event_base *loop;
	struct wclock *clock;
	struct id_source *ids;
	struct seal *seal;
	char tag[STORE_TAG_LEN + 1], cluster_id[ID_UUID_SIZE];
	int64_t epoch;
	uint64_t seals_kept; /* writer: the count of seals that is on disk, ahead of the true one */
	struct store_files files;
	/* Inline: one database, all three the same. */
	struct store_db *loop_db, *writer_db, *reader_db;

	pthread_mutex_t mutex; /* guards what follows, down to the health */
	pthread_cond_t work, read_work;
	struct op_queue queue, done;
	struct read_queue reads, reads_done;
	bool stopping;
	bool checkpoint_wanted;
	struct store_health health;
	struct reports reports;

	pthread_t writer, reader;
	bool has_writer, has_reader;
	struct event *completed;
	int completed_fd;
	_Atomic int wal_pages;
};

struct store_txn {
	struct store_db *db;
	int64_t next_lease_id; /* 0: not looked up yet */
};

/* ---- files.c ---- */
int files_open(struct store *store, const char *dir, struct leased_err *err) LEASED_MUST_CHECK;
void files_close(struct store *store);
/* The reserve file: there afterwards, or LEASED_ENOSPC. */
int files_reserve_make(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;
void files_reserve_release(struct store *store);
bool files_reserve_has_room(struct store *store);
/* A mark that the next start verifies the file, and whether it is there. */
void files_suspect_set(struct store *store);
bool files_suspect(struct store *store);
void files_suspect_clear(struct store *store);

/* ---- schema.c ---- */
int schema_open(
    struct store *store, struct seal_root *root, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- transaction.c: one group of operations, on the writer ---- */
void transaction_run(struct store *store, struct op_queue *batch);
int transaction_probe(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- thread.c ---- */
int thread_start(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;
void thread_stop(struct store *store);

/* ---- queue.c ---- */
void queue_init(struct op_queue *queue);
void queue_append(struct op_queue *queue, struct store_op *op);
void queue_take(struct op_queue *queue, size_t at_most, struct op_queue *ret_batch);
void queue_join(struct op_queue *queue, struct op_queue *more);
void queue_call_done(struct op_queue *batch);
void read_queue_init(struct read_queue *queue);
void read_queue_append(struct read_queue *queue, struct store_read *read);
void read_queue_take(struct read_queue *queue, struct read_queue *ret_all);
void read_queue_call_done(struct read_queue *reads);

/* ---- health.c ---- */
void health_failed(struct store *store, int code, const struct leased_err *err);
void health_recovered(struct store *store);
int health_code(struct store *store);
void health_count(struct store *store, uint64_t operations);
void health_quarantined(struct store *store, int64_t change);

/* ---- record.c: sealed JSON, and checksums of index columns ---- */
int record_seal(struct store *store, const struct seal_place *place, const json_t *record,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
int record_open(struct store *store, const struct seal_place *place, sqlite3_stmt *stmt, int column,
    json_t **ret_record, struct leased_err *err) LEASED_MUST_CHECK;
int record_sum(struct store *store, const char *table, const struct sql_arg *columns, size_t count,
    uint8_t ret_sum[STORE_SUM_SIZE], struct leased_err *err) LEASED_MUST_CHECK;
/* The same over a row's first count columns; *ret_good: does the blob of column count match? */
int record_sum_check(struct store *store, const char *table, sqlite3_stmt *stmt, int count,
    bool *ret_good, struct leased_err *err) LEASED_MUST_CHECK;
bool record_column_is(sqlite3_stmt *stmt, int column, const char *text);
/* Fields of a record that is an array. */
bool record_int(const json_t *record, size_t index, int64_t *ret_number);
bool record_text(const json_t *record, size_t index, char **ret_text);

/* The next AUTOINCREMENT number of a table. */
int record_next_id(struct store_db *db, const char *table, int64_t *ret_id,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- lease_record.c ---- */
int lease_encode(
    const struct store_lease *lease, json_t **ret_record, struct leased_err *err) LEASED_MUST_CHECK;
int64_t lease_flags(const struct store_lease *lease); /* the column flags */
/* LEASED_ECORRUPT for what lease_encode() cannot have made. id and version are not in it. */
int lease_decode(
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
/* A row of LEASE_SELECT. LEASED_ECORRUPT: it is being quarantined. */
int lease_from_row(struct store_db *db, sqlite3_stmt *stmt, struct store_lease **ret_lease,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- tombstone.c ---- */
int tombstone_insert(struct store_txn *txn, const struct store_lease *lease, const json_t *data,
    int64_t now_ms, int64_t look_again_ms, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- quarantine.c ---- */
/* Queues the move of the lease row that stmt stands on; opened: its sealed content, or NULL. */
void quarantine_lease(
    struct store_db *db, sqlite3_stmt *stmt, const struct store_lease *opened, const char *reason);
/* Counts and lists another table's row; it stays where it is. */
void quarantine_other(struct store_db *db, const char *table, int64_t key, const char *reason);
/* LEASED_ECORRUPT when the lease is in quarantine, else LEASED_ENOENT, with the text. */
int quarantine_or_absent(struct store_db *db, int64_t lease_id, struct leased_err *err);
int quarantine_account_or_absent(struct store_db *db, const char *account, struct leased_err *err);
int quarantine_load(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- scrub.c ---- */
struct scrub {
	int64_t after;      /* lease id reached */
	int64_t started_ms; /* boot time of this pass; 0: none is running */
};
/* Opens one page; *ret_wait_ms: how long to wait for the next. */
int scrub_step(struct store_db *db, struct scrub *scrub, int64_t *ret_wait_ms,
    struct leased_err *err) LEASED_MUST_CHECK;

/* A growing array of pointers. */
struct list {
	void **items;
	size_t count, size;
};
int list_append(struct list *list, void *item, struct leased_err *err) LEASED_MUST_CHECK;
void list_clear(struct list *list, void (*item_free)(void *item));

#endif
