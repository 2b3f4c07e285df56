/*
 * Opens a store's file without being its daemon: inline, on one connection, without migration and
 * without taking an epoch. The commands for fsck, backup and restore call it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/offline_private.h"

/* The row of the store's birth, and its keyring where the root key is at hand. */
static int
birth_read(struct store *store, struct seal_root *root, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(store->writer_db,
	    "SELECT tag, cluster_id, epoch, seals, keyring FROM birth WHERE id = 1", SQL_NO_ARGS,
	    &stmt, err);
	if (r == 0)
		r = store_sql_step(store->writer_db, stmt, &row, err);
	if (r == 0 && (!row || sqlite3_column_bytes(stmt, 0) != STORE_TAG_LEN ||
			  sqlite3_column_bytes(stmt, 1) != ID_UUID_SIZE - 1))
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the store's birth record (its tag and keyring) is damaged: without it no row "
		    "opens. Restore the store from a backup");
	if (r != 0)
		goto out;
	memcpy(store->tag, store_sql_column_text(stmt, 0), sizeof(store->tag));
	memcpy(store->cluster_id, store_sql_column_text(stmt, 1), sizeof(store->cluster_id));
	store->epoch = sqlite3_column_int64(stmt, 2);
	store->seals_kept = (uint64_t)sqlite3_column_int64(stmt, 3);
	if (root == NULL)
		goto out;
	r = seal_open(root, sqlite3_column_blob(stmt, 4), (size_t)sqlite3_column_bytes(stmt, 4),
	    &store->seal, err);
	if (r == 0)
		seal_count_restore(store->seal, store->seals_kept);
out:
	store_sql_finish(stmt);
	return (r);
}

/* What an empty or foreign file is, said before SQLite says it in its own words. */
static int
database_look(const char *path, struct leased_err *err)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return (leased_err_set(err, errno == ENOENT ? LEASED_ENOENT : LEASED_EDENIED,
		    "cannot look at %s: %s", path, strerror(errno)));
	if (!S_ISREG(status.st_mode))
		return (leased_err_set(err, LEASED_EINVAL, "%s is not a regular file", path));
	if (status.st_size == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s is empty: there is no store in it", path));
	return (0);
}

static int
open_parts(struct store *store, const struct store_offline_config *config, struct leased_err *err)
{
	enum store_sql_role role = config->writable ? SQL_WRITER : SQL_LOOK;
	int64_t version = 0;
	int r;

	if (config->dir != NULL && (r = store_files_lock(store, config->dir, err)) != 0)
		return (r);
	if (config->dir == NULL && (store->files.database = strdup(config->path)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open the store"));
	if ((r = database_look(store->files.database, err)) != 0 ||
	    (r = store_sql_open(store, store->files.database, role, &store->writer_db, err)) != 0)
		return (r);
	store->loop_db = store->reader_db = store->writer_db;
	if ((r = store_schema_version(store, &version, err)) != 0)
		return (r);
	if (version == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s holds no store yet", store->files.database));
	if (config->dir != NULL && version != store_schema_newest())
		return (leased_err_set(err, LEASED_EINVAL,
		    "the store is of schema %lld, this leased works on %lld: start this leased on "
		    "it once",
		    (long long)version, (long long)store_schema_newest()));
	return (birth_read(store, config->root, err));
}

int
store_offline_open(
    const struct store_offline_config *config, struct store **ret_store, struct leased_err *err)
{
	struct store_config plain = {
	    .inline_mode = true, .clock = config->clock, .ids = config->ids};
	struct store *store = NULL;
	int r;

	if ((r = store_alloc(&plain, &store, err)) != 0)
		return (r);
	store->takes_backup = config->dir == NULL;
	store->looks_only = !config->writable;
	store->is_checked = config->dir != NULL;
	if ((r = open_parts(store, config, err)) != 0) {
		store_free(store);
		return (r);
	}
	*ret_store = store;
	return (0);
}

static void
discard(struct store *store)
{
	struct store_op_queue batch;

	store_queue_take(&store->queue, SIZE_MAX, &batch);
	for (struct store_op *op = batch.first; op != NULL; op = op->next)
		op->result = leased_err_set(&op->err, LEASED_ECANCELED, "nothing is written");
	store_queue_call_done(&batch);
}

void
store_offline_close(struct store *store)
{
	if (store == NULL)
		return;
	discard(store);
	store_free(store);
}

bool
store_offline_is_backup(struct store *store)
{
	return (store->is_backup);
}
