/*
 * Makes a store of a copy, in a data directory that has none: under a name that leased does not
 * start beside, changed there in one transaction (a new tag, numbers far ahead, a new data key, the
 * hold), and given its name last. Killed anywhere it leaves a file that the next restore replaces.
 * What the hold means is hold.c's and lease/'s.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/value.h"
#include "store/copy.h"
#include "store/hold.h"

/* How far the numbers skip: what the original gave out since the copy was made stays below. */
#define SKIP (INT64_C(1) << 32)

struct restore {
	const struct store_copy_config *config;
	struct seal_root *root;
	char *making, *made; /* paths of the database */
};

/* ---- the directory ---- */

static bool
is_leftover(const char *name)
{
	return (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lock") == 0 ||
		strcmp(name, "lost+found") == 0 ||
		strncmp(name, STORE_RESTORING, strlen(STORE_RESTORING)) == 0);
}

/* Nothing but what an earlier, broken off restore left, which goes. */
static int
directory_empty(const char *dir, struct leased_err *err)
{
	DIR *entries = opendir(dir);
	const struct dirent *entry;
	int r = 0;

	if (entries == NULL)
		return (leased_err_set(
		    err, LEASED_EDENIED, "cannot read %s: %s", dir, strerror(errno)));
	while (r == 0 && (entry = readdir(entries)) != NULL) {
		if (!is_leftover(entry->d_name))
			r = leased_err_set(err, LEASED_EEXIST,
			    "%s is not empty (%s is in it): a store is restored into an empty "
			    "data_dir only, so that none is overwritten",
			    dir, entry->d_name);
		else if (strncmp(entry->d_name, STORE_RESTORING "-", strlen(STORE_RESTORING) + 1) ==
			     0 &&
			 unlinkat(dirfd(entries), entry->d_name, 0) != 0)
			r = leased_err_set(err, LEASED_EDENIED, "cannot remove %s in %s: %s",
			    entry->d_name, dir, strerror(errno));
	}
	closedir(entries);
	return (r);
}

/* ---- what is changed ---- */

/* Of the table, on: *ret_below is the highest number that was given out. */
static int
skip_numbers(struct store_db *db, const char *table, int64_t *ret_below, struct leased_err *err)
{
	int64_t next = 0;
	int changes = 0, r;

	if ((r = store_record_next_id(db, table, &next, err)) != 0)
		return (r);
	*ret_below = next - 1;
	r = store_sql_run(db, "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1",
	    SQL_ARGS(store_sql_text(table), store_sql_int(next - 1 + SKIP)), &changes, err);
	if (r != 0 || changes != 0)
		return (r);
	return (store_sql_run(db, "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
	    SQL_ARGS(store_sql_text(table), store_sql_int(next - 1 + SKIP)), NULL, err));
}

/*
 * The original may be sealing with the key of the copy still: a data key of our own. The tag of the
 * original stays its own as well.
 */
static int
birth_renew(struct store *store, struct leased_err *err)
{
	char tag[STORE_TAG_LEN + 1];
	uint8_t *blob = NULL;
	size_t len = 0;
	int r;

	do
		id_base36(store->ids, STORE_TAG_LEN, tag);
	while (strcmp(tag, store->tag) == 0);
	if ((r = seal_add_key(store->seal, &blob, &len, err)) != 0)
		return (r);
	r = store_sql_run(store->writer_db,
	    "UPDATE birth SET tag = ?1, keyring = ?2, seals = 0 WHERE id = 1",
	    SQL_ARGS(store_sql_text(tag), store_sql_blob(blob, len)), NULL, err);
	free(blob);
	if (r != 0)
		return (r);
	return (store_birth_copy_put(store->writer_db, tag, store->cluster_id, err));
}

static int
change(struct store *store, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	struct store_hold hold = {.held = true, .since_wall_ms = wclock_wall_ms(store->clock)};
	int64_t ignored = 0;
	char mark[64];
	int r;

	(void)strlcpy(hold.old_tag, store->tag, sizeof(hold.old_tag));
	(void)snprintf(mark, sizeof(mark), "PRAGMA application_id=%d", STORE_APPLICATION);
	if ((r = store_sql_script(db, "BEGIN IMMEDIATE", err)) != 0)
		return (r);
	if ((r = skip_numbers(db, "lease", &hold.below, err)) == 0 &&
	    (r = skip_numbers(db, "doc", &ignored, err)) == 0 &&
	    (r = skip_numbers(db, "job", &ignored, err)) == 0 &&
	    (r = birth_renew(store, err)) == 0 && (r = store_hold_begin(db, &hold, err)) == 0 &&
	    (r = store_sql_script(db, mark, err)) == 0 &&
	    (r = FAILPOINT_ERROR(store_restore_change, err)) == 0)
		r = store_sql_script(db, "COMMIT", err);
	store_sql_rollback(db);
	return (r);
}

/* Closing the only connection brings what was written from the log into the file. */
static int
change_file(const struct restore *restore, int fd, struct leased_err *err)
{
	struct store_offline_config offline = {.path = restore->making,
	    .writable = true,
	    .root = restore->root,
	    .clock = restore->config->clock,
	    .ids = restore->config->ids};
	struct store *store = NULL;
	struct stat status;
	char *log = NULL;
	int r;

	if ((r = store_offline_open(&offline, &store, err)) != 0)
		return (r);
	r = change(store, err);
	store_offline_close(store);
	if (r != 0)
		return (r);
	if (asprintf(&log, "%s-wal", restore->making) < 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (lstat(log, &status) == 0)
		r = leased_err_set(err, LEASED_EIO,
		    "SQLite did not bring %s into the database: the disk may be full", log);
	else if (fsync(fd) != 0)
		r = leased_err_set(err, LEASED_EIO, "cannot make %s durable: %s", restore->making,
		    strerror(errno));
	free(log);
	return (r);
}

/* ---- what is looked at before ---- */

/* SQLite calls whatever is no database a damaged one. */
static int
backup_look(const char *path, struct leased_err *err)
{
	static const char start[] = "SQLite format 3"; /* with its last byte */
	char found[sizeof(start)];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd >= 0 ? pread(fd, found, sizeof(found), 0) : -1;

	if (fd >= 0)
		close(fd);
	/* What cannot be read, or is empty, is told by whoever opens it. */
	if (len <= 0 || ((size_t)len == sizeof(found) && memcmp(found, start, sizeof(start)) == 0))
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "%s is no backup of leased: none begins like that. If it is a packed or encrypted one, "
	    "unpack it first",
	    path));
}

static void
on_nobody(void *arg, enum store_found found, const char *text)
{
	(void)arg;
	(void)found;
	(void)text;
}

/* The one moment at which there may be another copy still, or the machine that it is of. */
static int
rows_check(const struct restore *restore, struct leased_err *err)
{
	const struct store_copy_config *config = restore->config;
	struct store_offline_config offline = {.path = restore->making,
	    .root = restore->root,
	    .clock = config->clock,
	    .ids = config->ids};
	struct store_check check = {
	    .on_found = config->on_damaged != NULL ? config->on_damaged : on_nobody,
	    .arg = config->arg};
	int r;

	if ((r = store_offline_open(&offline, &check.store, err)) != 0)
		return (r);
	r = store_check_each_opens(&check, err);
	store_offline_close(check.store);
	if (r != 0 || check.left == 0 || config->despite_damage)
		return (r);
	return (leased_err_set(err, LEASED_ECORRUPT,
	    "%llu of %llu rows of the copy do not open, and nothing was restored: try another "
	    "copy; --despite-damage restores the others",
	    (unsigned long long)check.left, (unsigned long long)check.rows));
}

/* ---- the order ---- */

static int
restore_run(struct restore *restore, struct store *from, struct leased_err *err)
{
	int fd = -1, r;

	if ((r = store_copy_file_make(restore->making, &fd, err)) != 0)
		return (r);
	if ((r = store_copy_pages(restore->config, from, restore->making, fd, err)) != 0 ||
	    (r = rows_check(restore, err)) != 0 || (r = change_file(restore, fd, err)) != 0 ||
	    (r = FAILPOINT_ERROR(store_restore_rename, err)) != 0)
		goto out;
	if (rename(restore->making, restore->made) != 0)
		r = leased_err_set(err, LEASED_EIO, "cannot give the store its name %s: %s",
		    restore->made, strerror(errno));
	else if ((r = store_copy_directory_sync(restore->made, err)) != 0)
		(void)unlink(restore->made); /* else the next try would meet a store */
	FAILPOINT(store_restore_after);
out:
	if (r != 0)
		(void)unlink(restore->making);
	close(fd);
	return (r);
}

int
store_copy_restore(
    const struct store_copy_config *config, struct seal_root *root, struct leased_err *err)
{
	struct store_offline_config offline = {
	    .path = config->from, .root = root, .clock = config->clock, .ids = config->ids};
	struct store_config plain = {
	    .inline_mode = true, .clock = config->clock, .ids = config->ids};
	struct restore restore = {.config = config, .root = root};
	struct store *from = NULL, *to = NULL;
	int r;

	/* Before anything is made: is it a store, and does the key open it? */
	if ((r = backup_look(config->from, err)) != 0 ||
	    (r = store_offline_open(&offline, &from, err)) != 0)
		return (r);
	if ((r = store_alloc(&plain, &to, err)) != 0 ||
	    (r = store_files_lock(to, config->to, err)) != 0 ||
	    (r = directory_empty(config->to, err)) != 0)
		goto out;
	restore.made = to->files.database;
	if (asprintf(&restore.making, "%s/" STORE_RESTORING, config->to) < 0) {
		restore.making = NULL;
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	r = restore_run(&restore, from, err);
out:
	free(restore.making);
	if (to != NULL)
		store_free(to);
	store_offline_close(from);
	return (r);
}
