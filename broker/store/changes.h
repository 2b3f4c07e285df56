/*
 * Inside of store/: counts of changes, by groups of rows (changes.c).
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* Of rows whose numbers leave the same remainder. touched and announced are the
 * writer's. */
#define STORE_CHANGE_GROUPS 1024
struct store_changes {
	_Atomic uint64_t counts[STORE_CHANGE_GROUPS];
	uint64_t touched[STORE_CHANGE_GROUPS / 64]; /* bits: changed in the open transaction */
	_Atomic uint64_t doc_count;                 /* of all documents */
	bool doc_touched;
	bool announced;
};

/* What the writer knows of a few rows, each good as long as its count stands and the open
 * transaction has not touched it. */
#define STORE_GLANCES 16
struct store_glances {
	struct store_known {
		int64_t id; /* 0: free */
		uint64_t changes;
		struct store_glance glance;
	} rows[STORE_GLANCES];
};

/* On the writer: has the open transaction changed the row, or one that shares its counter? */
bool store_changes_touched(const struct store *store, int64_t id);
/* Around each commit of the writer; _end() also behind one that did not come. */
void store_changes_watch(struct store *store);
void store_changes_begin(struct store *store);
void store_changes_end(struct store *store);

#endif
