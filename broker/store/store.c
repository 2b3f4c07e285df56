/*
 * Opening and closing the store, and the two doors to it: submitted writes and reads. In inline
 * mode store_pump() runs them; else the threads of thread.c do.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/offline_private.h"

#define BATCH_MAX 512

int
store_alloc(const struct store_config *config, struct store **ret_store, struct leased_err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	pthread_condattr_t monotonic;

	if (store == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open the store"));
	store->object = STORE_OBJECT;
	store->wanted = 1;
	store->inline_mode = config->inline_mode;
	store->loop = config->loop;
	store->clock = config->clock;
	store->ids = config->ids;
	store->files.lock_fd = -1;
	store->completed_fd = -1;
	store_queue_init(&store->queue);
	store_queue_init(&store->done);
	store_read_queue_init(&store->reads);
	store_read_queue_init(&store->reads_done);
	pthread_mutex_init(&store->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&store->work, &monotonic);
	pthread_cond_init(&store->read_work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret_store = store;
	return (0);
}

struct store *
store_from(void *arg)
{
	struct store *store = arg;

	if (store->object != STORE_OBJECT)
		log_fatal("memory of the store is overwritten");
	return (store);
}

void
store_free(struct store *store)
{
	/* The writer last: its close makes the last checkpoint. */
	if (store->loop_db != store->writer_db)
		store_sql_close(store->loop_db);
	if (store->reader_db != store->writer_db)
		store_sql_close(store->reader_db);
	store_sql_close(store->writer_db);
	seal_free(store->seal);
	store_files_close(store);
	pthread_cond_destroy(&store->work);
	pthread_cond_destroy(&store->read_work);
	pthread_mutex_destroy(&store->mutex);
	store->object = 0;
	free(store);
}

/* After a failed disk: is what is on it whole? Blocks; a store in doubt is not served from. */
static int
verify(struct store *store, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	if (!store_files_suspect(store))
		return (0);
	log_warn("the disk failed when leased last ran: the store is verified before it is used");
	r = store_sql_start(store->writer_db, "PRAGMA integrity_check(1)", SQL_NO_ARGS, &stmt, err);
	if (r == 0 && (r = store_sql_step(store->writer_db, stmt, &row, err)) == 0 &&
	    (!row || strcmp(store_sql_column_text(stmt, 0), "ok") != 0))
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the store is damaged: %s. Restore it from a backup, then run reconcile",
		    row ? store_sql_column_text(stmt, 0) : "no answer");
	store_sql_finish(stmt);
	if (r == 0)
		store_files_suspect_clear(store);
	return (r);
}

static int
on_wal(void *arg, sqlite3 *sqlite, const char *database, int pages)
{
	(void)sqlite;
	(void)database;
	store_from(arg)->wal_pages = pages;
	return (SQLITE_OK);
}

static int
handles_open(struct store *store, struct leased_err *err)
{
	const char *path = store->files.database;
	int r;

	if (store->inline_mode) {
		store->loop_db = store->writer_db;
		store->reader_db = store->writer_db;
		return (0);
	}
	sqlite3_wal_hook(store->writer_db->sqlite, on_wal, store);
	if ((r = store_sql_open(store, path, SQL_LOOP, &store->loop_db, err)) != 0)
		return (r);
	return (store_sql_open(store, path, SQL_READER, &store->reader_db, err));
}

/* Of a store that was made just now; where there is no room for it, health says so. */
static void
first_reserve(struct store *store)
{
	struct leased_err why = LEASED_ERR_INIT;

	if (store->files.is_new && store_files_reserve_make(store, &why) != 0)
		store_health_failed(store, LEASED_ENOSPC, &why);
}

int
store_open(const struct store_config *config, struct store **ret_store, struct leased_err *err)
{
	struct store *store = NULL;
	int r;

	if (config->dir == NULL && !config->inline_mode)
		return (leased_err_set(err, LEASED_EINVAL, "data_dir is missing"));
	if ((r = store_alloc(config, &store, err)) != 0)
		return (r);
	if (config->dir != NULL && (r = store_files_open(store, config->dir, err)) != 0)
		goto out;
	if ((r = store_sql_open(
		 store, store->files.database, SQL_WRITER, &store->writer_db, err)) != 0 ||
	    (r = verify(store, err)) != 0 ||
	    (r = store_schema_open(store, config->root, err)) != 0 ||
	    (r = store_quarantine_load(store, err)) != 0 ||
	    (r = store_hold_load(store, err)) != 0 || (r = handles_open(store, err)) != 0)
		goto out;
	first_reserve(store);
	store_changes_watch(store);
	if (!store->inline_mode && (r = store_thread_start(store, err)) != 0)
		goto out;
	*ret_store = store;
	store = NULL;
out:
	if (store != NULL)
		store_free(store);
	return (r);
}

struct seal *
store_seal(struct store *store)
{
	return (store->seal);
}

const char *
store_tag(struct store *store)
{
	return (store->tag);
}

const char *
store_cluster_id(struct store *store)
{
	return (store->cluster_id);
}

struct store_db *
store_db(struct store *store)
{
	return (store->loop_db);
}

struct store_db *
store_txn_db(struct store_txn *txn)
{
	return (txn->db);
}

void
store_submit(struct store *store, struct store_op *op)
{
	pthread_mutex_lock(&store->mutex);
	store_queue_append(&store->queue, op);
	if (store->queue.count >= store->wanted)
		pthread_cond_signal(&store->work);
	pthread_mutex_unlock(&store->mutex);
}

void
store_submit_read(struct store *store, struct store_read *read)
{
	pthread_mutex_lock(&store->mutex);
	store_read_queue_append(&store->reads, read);
	pthread_cond_signal(&store->read_work);
	pthread_mutex_unlock(&store->mutex);
}

static unsigned
pump_writes(struct store *store)
{
	struct store_op_queue queued, batch;
	unsigned count;

	pthread_mutex_lock(&store->mutex);
	store_queue_take(&store->queue, SIZE_MAX, &queued);
	pthread_mutex_unlock(&store->mutex);
	count = (unsigned)queued.count;
	while (queued.count > 0) {
		store_queue_take(&queued, BATCH_MAX, &batch);
		store_transaction_run(store, &batch);
		store_queue_call_done(&batch);
	}
	return (count);
}

static unsigned
pump_reads(struct store *store)
{
	struct store_read_queue reads;
	unsigned count = 0;

	pthread_mutex_lock(&store->mutex);
	store_read_queue_take(&store->reads, &reads);
	pthread_mutex_unlock(&store->mutex);
	for (struct store_read *read = reads.first; read != NULL; read = read->next) {
		do
			read->result = store_read_call(read, store->reader_db);
		while (read->result == STORE_READ_AGAIN);
		count++;
	}
	store_read_queue_call_done(&reads);
	return (count);
}

/* ---- the end ---- */

/* What done()s go on submitting while we stop is answered, not run, after some rounds. */
#define STOP_ROUNDS 64

static unsigned
cancel_reads(struct store *store)
{
	struct store_read_queue reads;
	unsigned count = 0;

	store_read_queue_take(&store->reads, &reads);
	for (struct store_read *read = reads.first; read != NULL; read = read->next) {
		read->result = leased_err_set(&read->err, LEASED_ECANCELED, "leased is stopping");
		count++;
	}
	store_read_queue_call_done(&reads);
	return (count);
}

static unsigned
cancel_writes(struct store *store)
{
	struct store_op_queue batch;
	unsigned count;

	store_queue_take(&store->queue, SIZE_MAX, &batch);
	count = (unsigned)batch.count;
	for (struct store_op *op = batch.first; op != NULL; op = op->next)
		op->result = leased_err_set(&op->err, LEASED_ECANCELED, "leased is stopping");
	store_queue_call_done(&batch);
	return (count);
}

static void
cancel_rest(struct store *store)
{
	unsigned rounds = 0;

	while (rounds++ < STOP_ROUNDS && cancel_writes(store) + cancel_reads(store) > 0)
		continue;
}

void
store_stop(struct store *store)
{
	unsigned rounds = 0;

	if (store == NULL || store->stopped)
		return;
	store->stopped = true;
	if (!store->inline_mode)
		store_thread_stop(store);
	while (rounds++ < STOP_ROUNDS && pump_writes(store) + cancel_reads(store) > 0)
		continue;
	cancel_rest(store);
}

void
store_close(struct store *store)
{
	if (store == NULL)
		return;
	store_stop(store);
	cancel_rest(store);
	store_free(store);
}

/* ---- inline mode ---- */

unsigned
store_pump(struct store *store)
{
	struct leased_err err = LEASED_ERR_INIT;
	unsigned count;

	if (store_health_code(store) != 0 && store_transaction_probe(store, &err) == 0)
		store_health_recovered(store);
	count = pump_writes(store);
	return (count + pump_reads(store));
}

int
store_snapshot_begin(struct store_db *db, struct leased_err *err)
{
	return (store_sql_run(db, "BEGIN", SQL_NO_ARGS, NULL, err));
}

void
store_snapshot_end(struct store_db *db)
{
	store_sql_rollback(db);
}
