/*
 * Copies of a store: one moment of its file, page by page, while a daemon may be writing to it. The
 * copy is made beside its place under another name, made durable, and then renamed: at its place
 * there is the whole or nothing. It needs no key and opens no row. `leased backup` and restore.c
 * call it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/copy.h"

#define STEP_PAGES 512
#define BUSY_MS 50
#define BUSY_MAX 600
/* On the store's own disk a copy leaves the daemon this much, for its reserve and more. */
#define ROOM_LEFT ((uint64_t)192 * 1024 * 1024)

static int
code_of_errno(int number)
{
	if (number == ENOSPC || number == EDQUOT || number == EROFS || number == EFBIG)
		return (LEASED_ENOSPC);
	return (number == EACCES || number == EPERM ? LEASED_EDENIED : LEASED_EIO);
}

/* ---- the file ---- */

#define SQLITE_HEAD "SQLite format 3" /* with its NUL, the first bytes of every database */

/* What a killed copy left goes; what a running one has is left alone. */
static int
stale_remove(const char *path, struct leased_err *err)
{
	char head[sizeof(SQLITE_HEAD)] = "";
	struct stat status;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r = 0;

	if (fd >= 0 && pread(fd, head, sizeof(head), 0) < 0)
		head[0] = '\0';
	if (fd < 0 && errno == ENOENT)
		return (0);
	if (fd < 0)
		return (leased_err_set(
		    err, code_of_errno(errno), "cannot open %s: %s", path, strerror(errno)));
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
	    (status.st_size > 0 && head[0] != '\0' && memcmp(head, SQLITE_HEAD, sizeof(head)) != 0))
		r = leased_err_set(err, LEASED_EEXIST,
		    "%s is in the way and is no copy that was broken off: move it away", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		r = leased_err_set(err, LEASED_EEXIST, "another copy is being written to %s", path);
	else if (unlink(path) != 0)
		r = leased_err_set(
		    err, code_of_errno(errno), "cannot remove %s: %s", path, strerror(errno));
	close(fd);
	return (r);
}

int
store_copy_file_make(const char *path, int *ret_fd, struct leased_err *err)
{
	int fd, r;

	if ((r = stale_remove(path, err)) != 0)
		return (r);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600) != 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
		r = leased_err_set(
		    err, code_of_errno(errno), "cannot make %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return (r);
	}
	*ret_fd = fd;
	return (0);
}

int
store_copy_directory_sync(const char *path, struct leased_err *err)
{
	char *copy = strdup(path), *slash;
	int fd, r = 0;

	if (copy == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((slash = strrchr(copy, '/')) != NULL)
		slash[slash == copy] = '\0';
	fd = open(slash != NULL ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		r = leased_err_set(
		    err, LEASED_EIO, "cannot make the name %s durable: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(copy);
	return (r);
}

/* Is there room, and what a daemon on the same disk needs besides? fd is the copy's. */
static int
room_check(struct store *from, int fd, struct leased_err *err)
{
	struct stat source, target;
	struct statvfs disk;
	int64_t pages = 0, size = 0;
	uint64_t needed, room;
	int r;

	if ((r = store_sql_number(
		 from->writer_db, "PRAGMA page_count", SQL_NO_ARGS, &pages, err)) != 0 ||
	    (r = store_sql_number(from->writer_db, "PRAGMA page_size", SQL_NO_ARGS, &size, err)) !=
		0)
		return (r);
	if (stat(from->files.database, &source) != 0 || fstat(fd, &target) != 0 ||
	    fstatvfs(fd, &disk) != 0)
		return (0); /* the copy itself will tell */
	needed = (uint64_t)pages * (uint64_t)size;
	room = (uint64_t)disk.f_bavail * disk.f_frsize;
	if (source.st_dev == target.st_dev && !from->is_backup)
		needed += ROOM_LEFT;
	if (room >= needed)
		return (0);
	return (leased_err_set(err, LEASED_ENOSPC,
	    "the copy needs %llu MiB%s, and there are %llu MiB", (unsigned long long)(needed >> 20),
	    source.st_dev == target.st_dev ? " (what leased itself needs on this disk included)"
					   : "",
	    (unsigned long long)(room >> 20)));
}

/* ---- the pages ---- */

static int
pages_copy(const struct store_copy_config *config, struct store *from, struct store_db *to,
    struct leased_err *err)
{
	sqlite3_backup *backup =
	    sqlite3_backup_init(to->sqlite, "main", from->writer_db->sqlite, "main");
	int rc = SQLITE_OK, all, busy = 0;

	if (backup == NULL)
		return (store_sql_error(to, sqlite3_extended_errcode(to->sqlite), err));
	while (rc == SQLITE_OK || ((rc & 0xff) == SQLITE_BUSY && ++busy < BUSY_MAX)) {
		if (rc != SQLITE_OK)
			sqlite3_sleep(BUSY_MS);
		rc = sqlite3_backup_step(backup, STEP_PAGES);
		all = sqlite3_backup_pagecount(backup);
		if (config->on_progress != NULL)
			config->on_progress(
			    config->arg, all - sqlite3_backup_remaining(backup), all);
	}
	(void)sqlite3_backup_finish(backup);
	if (rc == SQLITE_DONE)
		return (0);
	/* Which of the two it was, the text says: reading fails otherwise than writing. */
	return (store_sql_error(to, rc, err));
}

/* No log and no index of one beside the copy; durable is made by fsync() at the end. */
static const char copy_pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
				   "PRAGMA journal_mode=OFF;"
				   "PRAGMA synchronous=OFF;";

static int
copy_open(struct store *from, const char *path, struct store_db **ret_db, struct leased_err *err)
{
	struct store_db *db = calloc(1, sizeof(*db));
	int rc, r = 0;

	if (db == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	db->store = from;
	rc = sqlite3_open_v2(path, &db->sqlite,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK && db->sqlite == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if (rc != SQLITE_OK)
		r = store_sql_error(db, rc, err);
	else
		r = store_sql_script(db, copy_pragmas, err);
	if (r != 0) {
		store_sql_close(db);
		return (r);
	}
	*ret_db = db;
	return (0);
}

static int
whole_check(struct store_db *db, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, "PRAGMA quick_check(1)", SQL_NO_ARGS, &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 &&
	    (!row || strcmp(store_sql_column_text(stmt, 0), "ok") != 0))
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the copy is damaged, as its source is: %s",
		    row ? store_sql_column_text(stmt, 0) : "no answer");
	store_sql_finish(stmt);
	return (r);
}

int
store_copy_pages(const struct store_copy_config *config, struct store *from, const char *path,
    int fd, struct leased_err *err)
{
	struct store_db *to = NULL;
	char mark[256];
	int r;

	if ((r = room_check(from, fd, err)) != 0 || (r = copy_open(from, path, &to, err)) != 0)
		return (r);
	/* A snapshot, kept for the whole copy: what is committed meanwhile is not in it. */
	if ((r = store_sql_script(
		 from->writer_db, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1;", err)) != 0 ||
	    (r = pages_copy(config, from, to, err)) != 0)
		goto out;
	(void)snprintf(mark, sizeof(mark),
	    "PRAGMA journal_mode=DELETE; PRAGMA application_id=%d;"
	    "INSERT INTO meta (name, value) VALUES ('backup_at', '%lld')"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value;",
	    STORE_APPLICATION_BACKUP, (long long)wclock_wall_ms(config->clock));
	if ((r = store_sql_script(to, mark, err)) == 0)
		r = whole_check(to, err);
out:
	store_sql_rollback(from->writer_db);
	store_sql_close(to);
	if (r == 0 && (r = FAILPOINT_ERROR(store_copy_pages, err)) == 0 && fsync(fd) != 0)
		r = leased_err_set(
		    err, LEASED_EIO, "cannot make %s durable: %s", path, strerror(errno));
	return (r);
}

/* ---- a backup ---- */

/* Where SQLite keeps the mark of whose file it is, high byte first. */
#define APPLICATION_AT 68

static bool
is_backup(const char *path)
{
	unsigned char mark[4] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool whole = fd >= 0 && pread(fd, mark, sizeof(mark), APPLICATION_AT) == sizeof(mark);

	if (fd >= 0)
		close(fd);
	return (whole && ((uint32_t)mark[0] << 24 | (uint32_t)mark[1] << 16 |
			     (uint32_t)mark[2] << 8 | mark[3]) == STORE_APPLICATION_BACKUP);
}

/* The data directory is the store's alone: not even a new file is put into it. */
static int
directory_check(const struct store_copy_config *config, struct leased_err *err)
{
	struct stat ours, theirs;
	char *from = strdup(config->from), *to = strdup(config->to);
	int r = 0;

	if (from == NULL || to == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if (stat(dirname(from), &ours) == 0 && stat(dirname(to), &theirs) == 0 &&
		 ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
		r = leased_err_set(err, LEASED_EINVAL,
		    "%s is in the data_dir itself: name a place elsewhere, best on another machine",
		    config->to);
	free(from);
	free(to);
	return (r);
}

/* What stands there is replaced when it is an older backup, or empty, and nothing else ever is: a
 * mistyped name may be the root key's. */
static int
target_check(const struct store_copy_config *config, struct leased_err *err)
{
	struct stat there;

	if (strcmp(config->to, "-") == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a backup is written to a file that can be named and made durable, not to "
		    "standard output"));
	if (lstat(config->to, &there) != 0)
		return (directory_check(config, err));
	if (!S_ISREG(there.st_mode))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is there already and is no regular file: name another one", config->to));
	if (there.st_size > 0 && !is_backup(config->to))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is there already and is no backup of leased: it is not replaced, by "
		    "--force "
		    "neither; name another file",
		    config->to));
	if (!config->force)
		return (leased_err_set(
		    err, LEASED_EEXIST, "%s is there already: --force replaces it", config->to));
	return (directory_check(config, err));
}

static int
place(const struct store_copy_config *config, const char *path, int fd, struct leased_err *err)
{
	struct stat ours, there;
	int r;

	if (fstat(fd, &ours) != 0 || lstat(path, &there) != 0 || ours.st_ino != there.st_ino ||
	    ours.st_dev != there.st_dev)
		return (leased_err_set(
		    err, LEASED_ECONFLICT, "%s was taken away while it was written", path));
	if ((r = FAILPOINT_ERROR(store_backup_rename, err)) != 0 ||
	    (r = target_check(config, err)) != 0)
		return (r);
	if (renameat2(AT_FDCWD, path, AT_FDCWD, config->to, config->force ? 0 : RENAME_NOREPLACE) !=
	    0)
		return (leased_err_set(err, errno == EEXIST ? LEASED_EEXIST : code_of_errno(errno),
		    "cannot give the copy its name %s: %s%s", config->to, strerror(errno),
		    errno == EEXIST ? ": --force replaces it" : ""));
	return (store_copy_directory_sync(config->to, err));
}

int
store_copy_backup(const struct store_copy_config *config, struct leased_err *err)
{
	struct store_offline_config offline = {
	    .path = config->from, .clock = config->clock, .ids = config->ids};
	struct store *from = NULL;
	char *path = NULL;
	int fd = -1, r;

	if ((r = target_check(config, err)) != 0)
		return (r);
	if (asprintf(&path, "%s.tmp", config->to) < 0) {
		path = NULL;
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if ((r = store_offline_open(&offline, &from, err)) != 0 ||
	    (r = store_copy_file_make(path, &fd, err)) != 0)
		goto out;
	if ((r = store_copy_pages(config, from, path, fd, err)) != 0 ||
	    (config->on_copied != NULL && (r = config->on_copied(config->arg, path, err)) != 0) ||
	    (r = place(config, path, fd, err)) != 0)
		(void)unlink(path);
out:
	if (fd >= 0)
		close(fd);
	store_offline_close(from);
	free(path);
	return (r);
}
