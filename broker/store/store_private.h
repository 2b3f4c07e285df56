/* Inside of store/: the store itself, and what its files lend each other. */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "store/changes.h"
#include "store/hold.h"
#include "store/queue.h"
#include "store/sql.h"

#define STORE_TAG_LEN 6
/* Rows reported lately, so that a bad row that is read often is written down once. */
#define STORE_REPORTS 256
struct store_reports {
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
	bool is_new; /* the database was made just now, or is empty */
	_Atomic bool has_reserve;
};

#define STORE_OBJECT 0x53544f52u
struct store {
	unsigned object; /* STORE_OBJECT: checked where a void * comes back */
	bool inline_mode, stopped, takes_backup, is_backup, looks_only, is_checked;
	int64_t schema; /* version of the tables */
	struct store_hold_state hold;
	_Atomic bool cut; /* the reader's statements end at once: leased is stopping */
	struct event_base *loop;
	struct wclock *clock;
	struct id_source *ids;
	struct seal *seal;
	char tag[STORE_TAG_LEN + 1], cluster_id[ID_UUID_SIZE];
	int64_t epoch;
	bool epoch_is_due; /* writer: the disk was full at the start, the next commit takes it */
	struct log_limit failed_log; /* writer */
	uint64_t seals_kept; /* writer: the count of seals that is on disk, ahead of the true one */
	struct store_files files;
	/* Inline: one database, all three the same. */
	struct store_db *loop_db, *writer_db, *reader_db;

	pthread_mutex_t mutex; /* guards what follows, down to the health */
	pthread_cond_t work, read_work;
	struct store_op_queue queue, done;
	size_t wanted; /* operations queued at which the writer wants to be woken */
	struct store_read_queue reads, reads_done;
	bool stopping, checkpoint_wanted;
	struct store_health health;
	struct store_reports reports;
	pthread_t writer, reader;
	bool has_writer, has_reader;
	struct event *completed; /* completed_fd is readable when there is something to call back */
	int completed_fd;
	_Atomic int wal_pages;
	_Atomic int64_t reindexed_ms; /* boot time; 0: not yet */
	struct store_changes changes;
	struct store_glances glances; /* writer */
	_Atomic(store_watch) watch;   /* outbox.c */
	void *watch_arg;
};

struct store_txn {
	struct store_db *db;
	int64_t next_lease_id; /* 0: not looked up yet */
};

/* ---- files.c ---- */
int store_files_open(
    struct store *store, const char *dir, struct leased_err *err) LEASED_MUST_CHECK;
void store_files_close(struct store *store);
/* The reserve file: there afterwards, or LEASED_ENOSPC. */
int store_files_reserve_make(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;
void store_files_reserve_release(struct store *store);
bool store_files_reserve_has_room(struct store *store);
/* A mark that the next start verifies the file, and whether it is there. */
void store_files_suspect_set(struct store *store);
bool store_files_suspect(struct store *store);
void store_files_suspect_clear(struct store *store);

/* ---- schema.c ---- */
int store_schema_open(
    struct store *store, struct seal_root *root, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- transaction.c: one group of operations, on the writer ---- */
void store_transaction_run(struct store *store, struct store_op_queue *batch);
int store_transaction_probe(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;
/* The disk failed: marks the store and ends the process. */
_Noreturn void store_fail_stop(struct store *store, const struct leased_err *err);
/* ---- thread.c, writer.c, reader.c ---- */
int store_thread_start(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;
void store_thread_stop(struct store *store);
/* Hands results to the loop; each queue is empty afterwards. */
void store_thread_deliver(
    struct store *store, struct store_op_queue *ops, struct store_read_queue *reads);
void *store_writer_main(void *arg);
void *store_reader_main(void *arg);
int store_read_call(struct store_read *read, struct store_db *db);
void store_checkpoint_result(struct store *store, struct store_db *db, int sqlite_code);
struct store *store_from(void *arg);

/* ---- health.c ---- */
void store_health_failed(struct store *store, int code, const struct leased_err *err);
void store_health_recovered(struct store *store);
int store_health_code(struct store *store);
void store_health_count(struct store *store, uint64_t operations);
void store_health_damaged(struct store *store, bool damaged);
void store_health_quarantined(struct store *store, int64_t change);

#endif
