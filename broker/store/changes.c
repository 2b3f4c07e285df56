/*
 * Which rows change, told to who remembers what it has read: a counter for each of some groups of
 * rows, odd while a commit that changes one of the group is on its way. SQLite itself says what is
 * changed, so that no statement can be forgotten. It remembers nothing itself: auth/ does.
 */
#include <string.h>

#include "store/store_private.h"

static unsigned
group_of(int64_t id)
{
	return ((unsigned)((uint64_t)id % STORE_CHANGE_GROUPS));
}

/* Rows of leases, of tokens and of documents have the same numbers, and share their counters. */
static void
on_row_change(void *arg, int operation, const char *database, const char *table, sqlite3_int64 row)
{
	struct store *store = store_from(arg);
	unsigned group = group_of(row);

	(void)operation;
	(void)database;
	if (strcmp(table, "doc") == 0)
		store->changes.doc_touched = true;
	if (strcmp(table, "lease") == 0 || strcmp(table, "token") == 0 || strcmp(table, "doc") == 0)
		store->changes.touched[group / 64] |= UINT64_C(1) << group % 64;
}

void
store_changes_watch(struct store *store)
{
	(void)sqlite3_update_hook(store->writer_db->sqlite, on_row_change, store);
}

static void
count_touched(struct store *store)
{
	for (unsigned i = 0; i < STORE_CHANGE_GROUPS / 64; i++) {
		for (uint64_t left = store->changes.touched[i]; left != 0; left &= left - 1) {
			unsigned group = i * 64 + (unsigned)__builtin_ctzll(left);

			atomic_fetch_add(&store->changes.counts[group], 1);
		}
	}
	if (store->changes.doc_touched)
		atomic_fetch_add(&store->changes.doc_count, 1);
}

void
store_changes_begin(struct store *store)
{
	count_touched(store);
	store->changes.announced = true;
}

void
store_changes_end(struct store *store)
{
	if (store->changes.announced)
		count_touched(store);
	store->changes.announced = false;
	memset(store->changes.touched, 0, sizeof(store->changes.touched));
	store->changes.doc_touched = false;
}

bool
store_changes_touched(const struct store *store, int64_t id)
{
	unsigned group = group_of(id);

	return ((store->changes.touched[group / 64] >> group % 64 & 1) != 0);
}

uint64_t
store_row_changes(struct store *store, int64_t id)
{
	return (atomic_load(&store->changes.counts[group_of(id)]));
}

uint64_t
store_doc_changes(struct store *store)
{
	return (atomic_load(&store->changes.doc_count));
}
