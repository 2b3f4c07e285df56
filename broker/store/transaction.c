/*
 * One group of operations: BEGIN, the epoch check, each operation in a SAVEPOINT of its own,
 * COMMIT. What the outcome means for the store (full disk, failed disk, a newer broker) is decided
 * here. It does not queue and does not call back: thread.c and store_pump() do.
 */
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/store_private.h"

/* Seals that a crash may lose from the count. */
#define SEALS_AHEAD 4096
/* A new data key well before the old one reaches its limit. */
#define SEALS_A_KEY (UINT64_C(1) << 29)

/*
 * What the kernel has not written after a failed fsync, a second fsync does not find again: nothing
 * that follows could be trusted. The next start verifies the file.
 */
_Noreturn void
store_fail_stop(struct store *store, const struct leased_err *err)
{
	store_files_suspect_set(store);
	log_fatal("the store's disk failed, leased stops at once so that nothing is believed to be "
		  "written that is not: %s. Check the disk, then start leased again: it verifies "
		  "the store first",
	    err->text);
}

static int
begin(struct store *store, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	int64_t epoch = 0;
	int r;

	if ((r = store_sql_run(db, "BEGIN IMMEDIATE", SQL_NO_ARGS, NULL, err)) != 0)
		return (r);
	if ((r = store_sql_number(
		 db, "SELECT epoch FROM birth WHERE id = 1", SQL_NO_ARGS, &epoch, err)) != 0)
		return (r);
	/* Nobody else can have taken it: the lock on the directory is ours. */
	if (store->epoch_is_due && epoch == store->epoch - 1)
		return (store_sql_run(db, "UPDATE birth SET epoch = ?1 WHERE id = 1",
		    SQL_ARGS(store_sql_int(store->epoch)), NULL, err));
	if (epoch != store->epoch)
		return (leased_err_set(err, LEASED_ECONFLICT,
		    "another leased has taken this store over (epoch %lld, ours is %lld): this one "
		    "writes no more, stop it",
		    (long long)epoch, (long long)store->epoch));
	return (0);
}

/* 0: the transaction goes on, whatever the operation's own result is. */
static int
op_run(struct store *store, struct store_txn *txn, struct store_op *op, struct leased_err *err)
{
	int r;

	if ((r = store_sql_run(txn->db, "SAVEPOINT op", SQL_NO_ARGS, NULL, err)) != 0)
		return (r);
	FAILPOINT(store_op_before);
	op->err.text[0] = '\0';
	op->result = op->run(op, txn, &op->err);
	/* SQLite rolls the whole back by itself on a full or failed disk. */
	if (sqlite3_get_autocommit(store->writer_db->sqlite) != 0)
		return (leased_err_set(err, op->result != 0 ? op->result : LEASED_EUNAVAIL, "%s",
		    op->result != 0 ? op->err.text : "SQLite ended the transaction"));
	if (op->result != 0) {
		txn->next_lease_id = 0;
		if ((r = store_sql_run(txn->db, "ROLLBACK TO op", SQL_NO_ARGS, NULL, err)) != 0)
			return (r);
		if (op->result == LEASED_ENOSPC)
			store_health_failed(store, LEASED_ENOSPC, &op->err);
	}
	return (store_sql_run(txn->db, "RELEASE op", SQL_NO_ARGS, NULL, err));
}

static int
batch_run(
    struct store *store, struct store_op_queue *batch, unsigned *ret_good, struct leased_err *err)
{
	struct store_txn txn = {.db = store->writer_db};
	unsigned good = 0;
	int r;

	for (struct store_op *op = batch->first; op != NULL; op = op->next) {
		if ((r = op_run(store, &txn, op, err)) != 0)
			return (r);
		good += op->result == 0;
	}
	*ret_good = good;
	return (0);
}

/* Keeps the count of seals on disk ahead of the true one; a further data key when it is high. */
static int
seals_keep(struct store *store, bool *ret_new_key, struct leased_err *err)
{
	uint64_t count = seal_count(store->seal);
	uint8_t *blob = NULL;
	size_t len = 0;
	int r;

	if (count < store->seals_kept)
		return (0);
	if (count < SEALS_A_KEY) {
		r = store_sql_run(store->writer_db, "UPDATE birth SET seals = ?1 WHERE id = 1",
		    SQL_ARGS(store_sql_int((int64_t)count + SEALS_AHEAD)), NULL, err);
		if (r == 0)
			store->seals_kept = count + SEALS_AHEAD;
		return (r);
	}
	if ((r = seal_add_key(store->seal, &blob, &len, err)) != 0)
		return (r);
	r = store_sql_run(store->writer_db, "UPDATE birth SET seals = 0, keyring = ?1 WHERE id = 1",
	    SQL_ARGS(store_sql_blob(blob, len)), NULL, err);
	free(blob);
	*ret_new_key = r == 0;
	return (r);
}

static int
commit(struct store *store, struct leased_err *err)
{
	bool new_key = false;
	int r;

	if ((r = seals_keep(store, &new_key, err)) != 0)
		return (r);
	FAILPOINT(store_commit_before);
	if ((r = FAILPOINT_ERROR(store_commit_fail, err)) != 0)
		return (r);
	store_changes_begin(store);
	if ((r = store_sql_run(store->writer_db, "COMMIT", SQL_NO_ARGS, NULL, err)) != 0)
		return (r);
	FAILPOINT(store_commit_after);
	store->epoch_is_due = false;
	if (new_key) {
		seal_use_newest_key(store->seal);
		store->seals_kept = 0;
	}
	return (0);
}

static void
failed(struct store *store, struct store_op_queue *batch, int code, const struct leased_err *err)
{
	uint64_t left_out = 0;

	if (code == LEASED_EIO)
		store_fail_stop(store, err);
	if (code == LEASED_ENOSPC)
		store_health_failed(store, code, err);
	else if (log_limited(&store->failed_log, &left_out))
		log_error(
		    "a transaction of the store failed", LOG_ERR(err), LOG_I("left_out", left_out));
	for (struct store_op *op = batch->first; op != NULL; op = op->next) {
		if (op->result != 0)
			continue;
		op->result = code;
		op->err = *err;
	}
}

void
store_transaction_run(struct store *store, struct store_op_queue *batch)
{
	struct leased_err err = LEASED_ERR_INIT;
	unsigned good = 0;
	int r;

	for (struct store_op *op = batch->first; op != NULL; op = op->next)
		op->result = 0;
	if ((r = begin(store, &err)) == 0 && (r = batch_run(store, batch, &good, &err)) == 0 &&
	    good > 0)
		r = commit(store, &err);
	store_sql_rollback(store->writer_db);
	store_changes_end(store);
	if (r != 0)
		failed(store, batch, r, &err);
	else
		store_health_count(store, batch->count);
}

int
store_transaction_probe(struct store *store, struct leased_err *err)
{
	int r;

	if (!store_files_reserve_has_room(store))
		return (leased_err_set(err, LEASED_ENOSPC, "no room for the reserve yet"));
	if ((r = store_files_reserve_make(store, err)) != 0)
		return (r);
	/* SQLite writes no page that stays as it is. One seal more than were made is harmless. */
	if ((r = begin(store, err)) == 0)
		r = store_sql_run(store->writer_db,
		    "UPDATE birth SET seals = seals + 1 WHERE id = 1", SQL_NO_ARGS, NULL, err);
	if (r == 0 && (r = FAILPOINT_ERROR(store_commit_fail, err)) == 0)
		r = store_sql_run(store->writer_db, "COMMIT", SQL_NO_ARGS, NULL, err);
	if (r == 0)
		store->epoch_is_due = false;
	store_sql_rollback(store->writer_db);
	if (r == LEASED_EIO)
		store_fail_stop(store, err);
	return (r);
}
