/*
 * A store's file without its daemon: looking through it (fsck), copying it while a daemon has it
 * open (backup), making a store of a copy (restore). Each call blocks; for commands, not for the
 * daemon.
 */
#ifndef STORE_OFFLINE_H
#define STORE_OFFLINE_H

#include "store/store.h"

struct store_offline_config {
	const char *dir;  /* locks it, and opens leased.db in it; or NULL and .. */
	const char *path; /* .. this file, which may be a backup; nothing is locked */
	bool writable;
	struct seal_root *root; /* borrowed while opening; NULL: rows are not opened */
	struct wclock *clock;
	struct id_source *ids;
};
/*
 * A store in inline mode: no thread, no migration, no new epoch. LEASED_EEXIST: a daemon has it.
 * LEASED_EINVAL: it is none, or of another version (an older one may be looked at by path).
 */
int store_offline_open(const struct store_offline_config *config, struct store **ret_store,
    struct leased_err *err) LEASED_MUST_CHECK;
/* What is queued and not written is left out. NULL is fine. */
void store_offline_close(struct store *store);
bool store_offline_is_backup(struct store *store);

/* ---- fsck ---- */

enum store_found { STORE_FOUND_NOTE, STORE_FOUND_REPAIRED, STORE_FOUND_LEFT };
struct store_check {
	struct store *store; /* opened with its root key */
	bool repair;         /* and writable */
	void (*on_found)(void *arg, enum store_found found, const char *text);
	/* Each lease whose record opens, for those who know what is in it. May be NULL. */
	int (*on_lease)(void *arg, const struct store_lease *lease, struct leased_err *err);
	void *arg;
	uint64_t rows, repaired, left; /* out */
};
/*
 * Everything: the file, its indexes, each row, the numbers given out, what refers to what. 0: it
 * was looked through, however bad it is; LEASED_ECORRUPT: it cannot be.
 */
int store_check(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;
/* Of a file that does not open, or cannot be looked through (LEASED_ECORRUPT): line by line what is
 * still readable in it, and whose accounts stand there. LEASED_EINVAL: its pages are whole. */
int store_survey(const char *path, void (*on_line)(void *arg, const char *text), void *arg,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Does each row of each table open? The first that does not is LEASED_ECORRUPT. */
int store_check_opens(
    struct store *store, uint64_t *ret_rows, struct leased_err *err) LEASED_MUST_CHECK;
/* The same to the end: each that does not open is told and counted (left). */
int store_check_each_opens(struct store_check *check, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- backup and restore ---- */

struct store_copy_config {
	const char *from, *to;
	bool force; /* what is there at `to` is replaced */
	/* Of a backup, before it gets its name: is it good? Else it goes, and what is there stays.
	 * May be NULL. */
	int (*on_copied)(void *arg, const char *path, struct leased_err *err);
	/* Of a restore: each row that does not open (may be NULL), and whether the store is made
	 * all the same. */
	void (*on_damaged)(void *arg, enum store_found found, const char *text);
	bool despite_damage;
	struct wclock *clock;
	struct id_source *ids;
	void (*on_progress)(void *arg, int64_t done, int64_t all); /* pages; may be NULL */
	void *arg;
};
/* One moment of `from`, whoever writes to it meanwhile. At `to` there is the whole, or nothing. */
int store_copy_backup(
    const struct store_copy_config *config, struct leased_err *err) LEASED_MUST_CHECK;
/*
 * Makes a store of the copy `from` in the data directory `to`, which has none: with a new tag, row
 * numbers far ahead, a new data key, and held (store_hold_get()). root opens it.
 */
int store_copy_restore(const struct store_copy_config *config, struct seal_root *root,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
