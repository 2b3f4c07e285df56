/*
 * The hold of a restored store: leases up to a number are of the store that it was copied from,
 * whose accounts another leased may still be in charge of. Until a person says otherwise nothing is
 * done to them.
 */
#ifndef STORE_HOLD_H
#define STORE_HOLD_H

#include <stdatomic.h>

#include "store/store.h"

struct store_hold {
	bool held;
	int64_t below; /* row numbers of leases up to this are held */
	int64_t since_wall_ms;
	char old_tag[8];          /* of the store that it was copied from */
	int64_t restored_wall_ms; /* since_wall_ms, also when the hold is over; 0: never restored */
	char over_tag[8];         /* old_tag and below of a hold that is over: "": there was none */
	int64_t over_below;
};
/* From the loop. */
void store_hold_get(struct store *store, struct store_hold *ret_hold);
/* Is this lease held? From any thread. */
bool store_held(struct store *store, int64_t lease_id);
int64_t store_held_below(struct store *store); /* INT64_MIN: none is */
/* How many are held and overdue; on the reader thread. */
int store_held_overdue(struct store_db *db, int64_t now_ms, int64_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* In a transaction; behind its commit, on the loop, store_hold_released() makes it so. Every static
 * role is due at once then: the original may have changed its password since the backup. */
int store_hold_release(struct store_txn *txn, struct leased_err *err) LEASED_MUST_CHECK;
void store_hold_released(struct store *store);

/* Sessions of the original's workers are kept under such names, so that nobody ends them. */
#define STORE_HOLD_WORKER "held:"

/* ---- for store/ itself ---- */
struct store_hold_state {
	struct store_hold hold;
	_Atomic int64_t below;
	_Atomic bool active; /* also where nothing stood in the copy */
	/* What is due among the leases that are not held: with the number in the text, since SQLite
	 * takes a partial index only where the question has its words. */
	char due_same[400], due_later[400], due_count[400], next_at[400];
};
int store_hold_begin(
    struct store_db *db, const struct store_hold *hold, struct leased_err *err) LEASED_MUST_CHECK;
int store_hold_decode(
    const char *text, struct store_hold *ret_hold, struct leased_err *err) LEASED_MUST_CHECK;
int store_hold_load(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

#endif
