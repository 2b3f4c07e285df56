/*
 * One SQLite connection and its statements: opening with our settings, a cache of prepared
 * statements, binding, and SQLite's codes turned into ours. It knows no table. All of store/ calls
 * it; a connection belongs to one thread.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "store/store_private.h"

#define PROGRESS_OPS 1000 /* some tens of microseconds of SQLite's machine */

/*
 * secure_delete=FAST wipes what is deleted where that costs no further write; all content is sealed
 * anyway. Checkpoints are made by checkpoint.c, never inside a commit.
 */
static const char connection_pragmas[] = "PRAGMA journal_mode=WAL;"
					 "PRAGMA synchronous=FULL;"
					 "PRAGMA wal_autocheckpoint=0;"
					 "PRAGMA journal_size_limit=67108864;"
					 "PRAGMA cache_size=-4096;"
					 "PRAGMA mmap_size=0;"
					 "PRAGMA foreign_keys=OFF;"
					 "PRAGMA secure_delete=FAST;"
					 "PRAGMA temp_store=MEMORY;"
					 "PRAGMA trusted_schema=OFF;";

static const char look_pragmas[] = "PRAGMA cache_size=-4096;"
				   "PRAGMA mmap_size=0;"
				   "PRAGMA temp_store=MEMORY;"
				   "PRAGMA trusted_schema=OFF;"
				   "PRAGMA query_only=ON;";

static bool
is_full(int number)
{
	return (number == ENOSPC || number == EDQUOT || number == EFBIG || number == EROFS);
}

static int
file_errno(sqlite3 *sqlite, int which)
{
	sqlite3_file *file = NULL;
	int number = 0;

	if (sqlite3_file_control(sqlite, "main", which, &file) == SQLITE_OK && file != NULL &&
	    file->pMethods != NULL)
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
	return (number);
}

/*
 * An input or output error: was it want of room, or the disk? SQLite keeps errno by file, until the
 * next error of that file; a failed fsync counts as the disk's whatever it says.
 */
static int
io_error(struct store_db *db, int sqlite_code, struct leased_err *err)
{
	int database = file_errno(db->sqlite, SQLITE_FCNTL_FILE_POINTER);
	int log = file_errno(db->sqlite, SQLITE_FCNTL_JOURNAL_POINTER);
	int number = log != 0 ? log : database;

	if (sqlite_code == SQLITE_IOERR_NOMEM)
		return (leased_err_set(err, LEASED_ENOMEM, "the store has no memory"));
	if (sqlite_code != SQLITE_IOERR_FSYNC && sqlite_code != SQLITE_IOERR_DIR_FSYNC &&
	    is_full(number) && (database == 0 || is_full(database)))
		return (leased_err_set(
		    err, LEASED_ENOSPC, "the store cannot write: %s", strerror(number)));
	return (leased_err_set(err, LEASED_EIO, "%s (%s, code %d)", sqlite3_errmsg(db->sqlite),
	    strerror(number), sqlite_code));
}

static int
file_damaged(struct store_db *db, const char *why, struct leased_err *err)
{
	const char *path = db->store->files.database;

	store_health_damaged(db->store, true);
	return (leased_err_set(err, LEASED_ECORRUPT, "the store's file%s%s is damaged: %s%s",
	    path != NULL ? " " : "", path != NULL ? path : "", why,
	    db->store->is_checked ? ""
				  : ". `leased fsck` says how badly; what it does not mend, a "
				    "backup does"));
}

int
store_sql_disorder(struct store_db *db, struct leased_err *err)
{
	return (file_damaged(db, "rows are out of order", err));
}

int
store_sql_advance(struct store_db *db, int64_t id, int64_t *after, struct leased_err *err)
{
	if (id <= *after)
		return (store_sql_disorder(db, err));
	*after = id;
	return (0);
}

int
store_sql_error(struct store_db *db, int sqlite_code, struct leased_err *err)
{
	const char *why = sqlite3_errmsg(db->sqlite);

	switch (sqlite_code & 0xff) {
	case SQLITE_NOMEM:
		return (leased_err_set(err, LEASED_ENOMEM, "the store has no memory"));
	case SQLITE_FULL:
	case SQLITE_READONLY:
		return (leased_err_set(err, LEASED_ENOSPC, "the store cannot write: %s", why));
	case SQLITE_IOERR:
		return (io_error(db, sqlite_code, err));
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
		/* Our texts are constants: what they name was there when they were written. */
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return (file_damaged(db, why, err));
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return (leased_err_set(err, LEASED_EUNAVAIL, "the store is locked: %s", why));
	case SQLITE_INTERRUPT:
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	case SQLITE_CONSTRAINT:
		return (leased_err_set(err, LEASED_EEXIST, "the store has it already: %s", why));
	case SQLITE_TOOBIG:
		return (leased_err_set(err, LEASED_ETOOBIG, "too big for the store"));
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return (
		    leased_err_set(err, LEASED_EUNAVAIL, "cannot open the store's file: %s (%s)",
			why, strerror(sqlite3_system_errno(db->sqlite))));
	default:
		return (bug(err, "SQLite gave %d: %s", sqlite_code, why));
	}
}

/* Between statements store_sql_start() looks; this is for one that runs long. */
static int
on_progress(void *arg)
{
	const struct store_db *db = arg;

	return (atomic_load(db->cut));
}

/* SQLite's count of its memory is one lock for all threads, and nobody reads it. */
static void
configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/*
 * On a disk that is read-only SQLite cannot make the index of the log that it wants beside a store,
 * and says that there is no such file. Where there is neither a log nor an index nobody has it
 * open, and it is whole as it lies.
 */
static bool
is_frozen(const char *path)
{
	static const char *const beside[] = {"-wal", "-shm"};
	char name[PATH_MAX];
	struct statvfs disk;

	if (statvfs(path, &disk) != 0 || (disk.f_flag & ST_RDONLY) == 0)
		return (false);
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		if ((size_t)snprintf(name, sizeof(name), "%s%s", path, beside[i]) >= sizeof(name) ||
		    access(name, F_OK) == 0 || errno != ENOENT)
			return (false);
	return (true);
}

/* As a URI, which can say so. */
static int
open_frozen(const char *path, int flags, sqlite3 **ret_sqlite)
{
	char uri[3 * PATH_MAX + 32];
	size_t len = (size_t)snprintf(uri, sizeof(uri), "file:");

	for (; *path != '\0' && len < 3 * PATH_MAX; path++)
		if (strchr("%?#", *path) != NULL)
			len += (size_t)snprintf(
			    uri + len, sizeof(uri) - len, "%%%02X", (unsigned char)*path);
		else
			uri[len++] = *path;
	(void)snprintf(uri + len, sizeof(uri) - len, "?immutable=1");
	return (sqlite3_open_v2(uri, ret_sqlite, flags | SQLITE_OPEN_URI, NULL));
}

int
store_sql_open(struct store *store, const char *path, enum store_sql_role role,
    struct store_db **ret_db, struct leased_err *err)
{
	struct store_db *db = calloc(1, sizeof(*db));
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
		    (role == SQL_LOOK ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rc, r = 0;

	pthread_once(&once, configure);
	if (db == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open the store"));
	db->store = store;
	if (path == NULL)
		flags |= SQLITE_OPEN_MEMORY;
	if (role == SQL_LOOK && path != NULL && is_frozen(path))
		rc = open_frozen(path, flags, &db->sqlite);
	else
		rc = sqlite3_open_v2(path != NULL ? path : ":memory:", &db->sqlite, flags, NULL);
	if (rc != SQLITE_OK) {
		r = db->sqlite != NULL
			? store_sql_error(db, rc, err)
			: leased_err_set(err, LEASED_ENOMEM, "no memory to open the store");
		goto out;
	}
	/* Readers wait only for the moment in which the log is restarted. */
	sqlite3_busy_timeout(db->sqlite, role == SQL_LOOP ? 250 : 10000);
	r = store_sql_script(db, role == SQL_LOOK ? look_pragmas : connection_pragmas, err);
	if (r != 0)
		goto out;
	if (role == SQL_READER) {
		db->cut = &store->cut;
		sqlite3_progress_handler(db->sqlite, PROGRESS_OPS, on_progress, db);
	}
	if ((role == SQL_LOOP || role == SQL_READER) &&
	    (r = store_sql_script(db, "PRAGMA query_only=ON;", err)) != 0)
		goto out;
	*ret_db = db;
	db = NULL;
out:
	store_sql_close(db);
	return (r);
}

void
store_sql_close(struct store_db *db)
{
	if (db == NULL)
		return;
	for (unsigned i = 0; i < SQL_SLOTS; i++)
		sqlite3_finalize(db->slots[i].stmt);
	/* The last connection of a file makes a last checkpoint here; its failure loses nothing. */
	(void)sqlite3_close(db->sqlite);
	free(db);
}

static int
slot_find(struct store_db *db, const char *text, sqlite3_stmt **ret_stmt, struct leased_err *err)
{
	unsigned at = (unsigned)(((uintptr_t)text >> 3) * 2654435761u) % SQL_SLOTS;
	int rc;

	for (unsigned tried = 0; tried < SQL_SLOTS; tried++, at = (at + 1) % SQL_SLOTS) {
		struct store_sql_slot *slot = &db->slots[at];

		if (slot->text == text) {
			*ret_stmt = slot->stmt;
			return (0);
		}
		if (slot->text != NULL)
			continue;
		rc = sqlite3_prepare_v3(
		    db->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &slot->stmt, NULL);
		if (rc != SQLITE_OK)
			return (store_sql_error(db, rc, err));
		slot->text = text;
		*ret_stmt = slot->stmt;
		return (0);
	}
	return (bug(err, "more than %d SQL texts", SQL_SLOTS));
}

static int
bind(sqlite3_stmt *stmt, int index, const struct store_sql_arg *arg)
{
	switch (arg->kind) {
	case SQL_INT:
		return (sqlite3_bind_int64(stmt, index, arg->number));
	case SQL_TEXT:
		return (sqlite3_bind_text64(
		    stmt, index, arg->bytes, arg->len, SQLITE_STATIC, SQLITE_UTF8));
	case SQL_BLOB:
		return (sqlite3_bind_blob64(stmt, index, arg->bytes, arg->len, SQLITE_STATIC));
	}
	return (SQLITE_MISUSE);
}

int
store_sql_start(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t count, sqlite3_stmt **ret_stmt, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc, r;

	if (db->cut != NULL && atomic_load(db->cut))
		return (leased_err_set(err, LEASED_ECANCELED, "leased is stopping"));
	if ((r = slot_find(db, text, &stmt, err)) != 0)
		return (r);
	if (sqlite3_stmt_busy(stmt))
		return (bug(err, "statement started twice: %s", text));
	for (size_t i = 0; i < count; i++) {
		if ((rc = bind(stmt, (int)i + 1, &args[i])) != SQLITE_OK) {
			store_sql_finish(stmt);
			return (store_sql_error(db, rc, err));
		}
	}
	*ret_stmt = stmt;
	return (0);
}

int
store_sql_step(struct store_db *db, sqlite3_stmt *stmt, bool *ret_row, struct leased_err *err)
{
	int rc = sqlite3_step(stmt);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return (store_sql_error(db, rc, err));
	*ret_row = rc == SQLITE_ROW;
	return (0);
}

void
store_sql_finish(sqlite3_stmt *stmt)
{
	if (stmt == NULL)
		return;
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
}

int
store_sql_run(struct store_db *db, const char *text, const struct store_sql_arg *args, size_t count,
    int *ret_changes, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row;
	int r;

	if ((r = store_sql_start(db, text, args, count, &stmt, err)) != 0)
		return (r);
	r = store_sql_step(db, stmt, &row, err);
	store_sql_finish(stmt);
	if (r == 0 && ret_changes != NULL)
		*ret_changes = sqlite3_changes(db->sqlite);
	return (r);
}

int
store_sql_number(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t count, int64_t *ret_number, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	if ((r = store_sql_start(db, text, args, count, &stmt, err)) != 0)
		return (r);
	r = store_sql_step(db, stmt, &row, err);
	if (r == 0 && row && sqlite3_column_type(stmt, 0) == SQLITE_INTEGER)
		*ret_number = sqlite3_column_int64(stmt, 0);
	else if (r == 0)
		r = leased_err_set(err, LEASED_ENOENT, "the store has no such row");
	store_sql_finish(stmt);
	return (r);
}

int
store_sql_script(struct store_db *db, const char *text, struct leased_err *err)
{
	int rc = sqlite3_exec(db->sqlite, text, NULL, NULL, NULL);

	return (rc == SQLITE_OK ? 0 : store_sql_error(db, rc, err));
}

void
store_sql_rollback(struct store_db *db)
{
	if (sqlite3_get_autocommit(db->sqlite) == 0)
		(void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

const char *
store_sql_column_text(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return (text != NULL ? text : "");
}

char *
store_sql_column_dup(sqlite3_stmt *stmt, int column)
{
	return (strdup(store_sql_column_text(stmt, column)));
}
