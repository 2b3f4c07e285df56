/*
 * Inside of store/: what opening a store's file without being the daemon needs of the other files.
 */
#ifndef STORE_OFFLINE_PRIVATE_H
#define STORE_OFFLINE_PRIVATE_H

#include "store/offline.h"
#include "store/row.h"

/*
 * struct store: takes_backup: a backup's file may be opened; is_backup: it is one; looks_only:
 * nothing is written, not even of bad rows; is_checked: by fsck, to which nobody is to be sent.
 */

/* In the file's head: no other program's file is taken for ours. "LSD1". */
#define STORE_APPLICATION 0x4c534431
/* "LSB1": a copy by `leased backup`, which never becomes a store by being put in its place. */
#define STORE_APPLICATION_BACKUP 0x4c534231
/* In the data directory while `leased restore` makes the store: leased does not start beside it. */
#define STORE_RESTORING "leased.db.restoring"

/* ---- store.c ---- */
int store_alloc(const struct store_config *config, struct store **ret_store,
    struct leased_err *err) LEASED_MUST_CHECK;
void store_free(struct store *store);

/* ---- files.c ---- */
/* The data directory itself, and its lock; no database is made. */
int store_files_lock(
    struct store *store, const char *dir, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- schema.c ---- */
/* Of the open file; LEASED_EINVAL where it is no store, or one of a newer version. */
int store_schema_version(
    struct store *store, int64_t *ret_version, struct leased_err *err) LEASED_MUST_CHECK;
int64_t store_schema_newest(void);
/* What takes a store of version `from` to the next. */
const char *store_schema_migration(int64_t from);

/* ---- model.c ---- */
enum store_model_state { STORE_MODEL_SAME, STORE_MODEL_MISSING, STORE_MODEL_OTHER };
/* A table or an index that is not as sql makes it. */
typedef int (*store_on_object)(void *arg, enum store_model_state state, const char *type,
    const char *name, const char *sql, struct leased_err *err);
int store_model_compare(struct store *store, store_on_object on_object, void *arg,
    struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_ECORRUPT, with what to do, at the first difference; a store in memory is not asked. */
int store_model_verify(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- sequence.c ---- */
struct store_sequence { /* a next number that cannot be */
	const char *table;
	int64_t next, highest; /* highest: in use */
	int64_t last;          /* what to write instead: the last one given out */
};
typedef int (*store_on_sequence)(
    void *arg, const struct store_sequence *sequence, struct leased_err *err);
int store_sequence_each(struct store_db *db, store_on_sequence on_wrong, void *arg,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_sequence_set(struct store_db *db, const struct store_sequence *sequence,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_sequences_settle(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- check_file.c, check_values.c, check_rows.c: parts of store_check() ---- */
void store_check_say(struct store_check *check, enum store_found found, const char *fmt, ...)
    LEASED_PRINTF(3, 4);
int store_check_file(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;
int store_check_values(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;
int store_check_rows(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;
int store_check_links(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;
/* One write, as its own transaction. */
typedef int (*store_check_work)(
    struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err);
int store_check_write(struct store_check *check, store_check_work work, void *arg,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
