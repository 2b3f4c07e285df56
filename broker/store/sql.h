/*
 * Inside of store/: statements on one SQLite connection. SQL texts are string literals: a
 * connection prepares each once and finds it again by its address.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <leased/error.h>

struct store;

#define SQL_SLOTS 256 /* a power of two, well above the number of texts */

struct store_sql_slot {
	const char *text;
	sqlite3_stmt *stmt;
};

struct store_db {
	struct store *store;
	sqlite3 *sqlite;
	uint64_t damaged_met;    /* lease rows that did not open */
	const _Atomic bool *cut; /* once it is true, no statement runs any more; NULL: never */
	int64_t read_began_ms;   /* the reader's: monotonic, of the call of run() under way */
	struct store_sql_slot slots[SQL_SLOTS];
};

enum store_sql_kind { SQL_INT, SQL_TEXT, SQL_BLOB };
struct store_sql_arg {
	enum store_sql_kind kind;
	int64_t number;
	const void *bytes; /* borrowed until the statement is finished */
	size_t len;
};

static inline struct store_sql_arg
store_sql_int(int64_t number)
{
	return ((struct store_sql_arg){.kind = SQL_INT, .number = number});
}

static inline struct store_sql_arg
store_sql_text(const char *text)
{
	const char *bytes = text != NULL ? text : "";

	return ((struct store_sql_arg){.kind = SQL_TEXT, .bytes = bytes, .len = strlen(bytes)});
}

static inline struct store_sql_arg
store_sql_blob(const void *bytes, size_t len)
{
	return ((struct store_sql_arg){.kind = SQL_BLOB, .bytes = bytes, .len = len});
}

#define SQL_ARGS(...)                                                                              \
	(const struct store_sql_arg[]){__VA_ARGS__},                                               \
	    sizeof((const struct store_sql_arg[]){__VA_ARGS__}) / sizeof(struct store_sql_arg)
#define SQL_NO_ARGS NULL, 0

/* SQL_LOOK: of a file that must stay as it is, be it a backup's. */
enum store_sql_role { SQL_WRITER, SQL_READER, SQL_LOOP, SQL_LOOK };

/* path NULL: a private database in memory. */
int store_sql_open(struct store *store, const char *path, enum store_sql_role role,
    struct store_db **ret_db, struct leased_err *err) LEASED_MUST_CHECK;
void store_sql_close(struct store_db *db); /* NULL is fine */

/* Prepares and binds. store_sql_finish() must follow before the text is started again. */
int store_sql_start(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t count, sqlite3_stmt **ret_stmt, struct leased_err *err) LEASED_MUST_CHECK;
int store_sql_step(struct store_db *db, sqlite3_stmt *stmt, bool *ret_row,
    struct leased_err *err) LEASED_MUST_CHECK;
void store_sql_finish(sqlite3_stmt *stmt); /* NULL is fine */

/* The whole of a statement without rows; ret_changes may be NULL. */
int store_sql_run(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t count, int *ret_changes, struct leased_err *err) LEASED_MUST_CHECK;
/* The first column of the first row; LEASED_ENOENT when there is none, or it is NULL. */
int store_sql_number(struct store_db *db, const char *text, const struct store_sql_arg *args,
    size_t count, int64_t *ret_number, struct leased_err *err) LEASED_MUST_CHECK;
/* Several statements, unprepared. */
int store_sql_script(
    struct store_db *db, const char *text, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * For walks that go on behind the last number seen: LEASED_ECORRUPT where a damaged file gives the
 * rows in another order, since a walk that went back would never end. And for those by name.
 */
int store_sql_advance(
    struct store_db *db, int64_t id, int64_t *after, struct leased_err *err) LEASED_MUST_CHECK;
int store_sql_disorder(struct store_db *db, struct leased_err *err);

/* Ends the transaction, if there is one. A failure leaves nothing to undo. */
void store_sql_rollback(struct store_db *db);

/* The code for what the last call on this connection gave, with a text. */
int store_sql_error(struct store_db *db, int sqlite_code, struct leased_err *err);

/* Columns. Text and blob are borrowed until the next step; text is "" for NULL. */
const char *store_sql_column_text(sqlite3_stmt *stmt, int column);
char *store_sql_column_dup(sqlite3_stmt *stmt, int column); /* NULL: no memory */

#endif
