/*
 * Inside of store/: counts of changes, by groups of rows (changes.c).
 */
#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct store;

/* Of rows whose numbers leave the same remainder. touched and announced are the
 * writer's. */
#define STORE_CHANGE_GROUPS 1024
struct store_changes {
	_Atomic uint64_t counts[STORE_CHANGE_GROUPS];
	uint64_t touched[STORE_CHANGE_GROUPS / 64]; /* bits: changed in the open transaction */
	bool announced;
};

/* Around each commit of the writer; _end() also behind one that did not come. */
void store_changes_watch(struct store *store);
void store_changes_begin(struct store *store);
void store_changes_end(struct store *store);

#endif
