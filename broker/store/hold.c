/*
 * What is kept of a restored store's hold: a value in meta, an index of the leases that are not
 * held, and the number up to which they are. lease/ asks; restore.c begins it; a person ends it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/hold.h"
#include "store/row.h"
#include "store/value.h"

#define HOLD_KEY "restore_hold"
#define OVER_KEY "restore_over" /* the same, of a hold that has ended */
#define FREE_INDEX "INDEXED BY lease_due_free WHERE id > %" PRId64 " AND connection = ?1"

int
store_hold_begin(struct store_db *db, const struct store_hold *hold, struct leased_err *err)
{
	char text[160], script[320];
	int r;

	(void)snprintf(text, sizeof(text), "%s %" PRId64 " %" PRId64, hold->old_tag, hold->below,
	    hold->since_wall_ms);
	r = store_meta_write(db, HOLD_KEY, text, err);
	(void)snprintf(script, sizeof(script),
	    "DROP INDEX IF EXISTS lease_due_free;"
	    "CREATE INDEX lease_due_free ON lease (connection, next_at) WHERE id > %" PRId64 ";"
	    "UPDATE session SET worker = '" STORE_HOLD_WORKER "' || worker"
	    " WHERE worker NOT LIKE '" STORE_HOLD_WORKER "%%';",
	    hold->below);
	return (r != 0 ? r : store_sql_script(db, script, err));
}

/* A number above 0 without sign or blanks, up to `end`; *text goes behind that. */
static bool
number_take(const char **text, char end, int64_t *ret_number)
{
	const char *at = *text;
	int64_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (number > (INT64_MAX - 9) / 10)
			return (false);
		number = number * 10 + (*at - '0');
	}
	if (at == *text || *at != end)
		return (false);
	*text = end != '\0' ? at + 1 : at;
	*ret_number = number;
	return (true);
}

int
store_hold_decode(const char *text, struct store_hold *ret_hold, struct leased_err *err)
{
	struct store_hold hold = {.held = true};
	size_t len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz");
	const char *at = text + len + 1;

	if (len != STORE_TAG_LEN || text[len] != ' ' || !number_take(&at, ' ', &hold.below) ||
	    !number_take(&at, '\0', &hold.since_wall_ms))
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "the record of the restored store's hold is damaged: restore it again"));
	memcpy(hold.old_tag, text, len);
	*ret_hold = hold;
	return (0);
}

static void
hold_over(struct store_hold *hold, const struct store_hold *over)
{
	struct store_hold next = {
	    .restored_wall_ms = over->since_wall_ms, .over_below = over->below};

	memcpy(next.over_tag, over->old_tag, sizeof(next.over_tag));
	*hold = next;
}

/* When the store was restored, and of which tag it was, beyond the hold. One that is damaged costs
 * a warning, no start. */
static int
over_load(struct store *store, struct leased_err *err)
{
	struct store_hold over;
	char *text = NULL;
	int r;

	r = store_meta_get(store->writer_db, OVER_KEY, &text, err);
	if (r == 0 && store_hold_decode(text, &over, err) == 0)
		hold_over(&store->hold.hold, &over);
	free(text);
	return (r == LEASED_ENOENT || r == LEASED_ECORRUPT ? 0 : r);
}

int
store_hold_load(struct store *store, struct leased_err *err)
{
	struct store_hold_state *state = &store->hold;
	char *text = NULL;
	int r;

	r = store_meta_get(store->writer_db, HOLD_KEY, &text, err);
	if (r == LEASED_ENOENT) {
		/* A further index costs every write a little: not beyond the hold. */
		r = store_sql_script(store->writer_db, "DROP INDEX IF EXISTS lease_due_free", err);
		return (r == 0 || r == LEASED_ENOSPC ? over_load(store, err) : r);
	}
	if (r != 0)
		return (r);
	r = store_hold_decode(text, &state->hold, err);
	free(text);
	if (r != 0)
		return (r);
	state->hold.restored_wall_ms = state->hold.since_wall_ms;
	atomic_store(&state->below, state->hold.below);
	atomic_store(&state->active, true);
	(void)snprintf(state->due_same, sizeof(state->due_same),
	    LEASE_SELECT FREE_INDEX " AND next_at = ?2 AND id > ?3 ORDER BY id", state->hold.below);
	(void)snprintf(state->due_later, sizeof(state->due_later),
	    LEASE_SELECT FREE_INDEX " AND next_at > ?2 AND next_at <= ?3 ORDER BY next_at, id",
	    state->hold.below);
	(void)snprintf(state->due_count, sizeof(state->due_count),
	    "SELECT count(*) FROM lease " FREE_INDEX " AND next_at <= ?2", state->hold.below);
	(void)snprintf(state->next_at, sizeof(state->next_at),
	    "SELECT next_at FROM lease " FREE_INDEX " ORDER BY next_at LIMIT 1", state->hold.below);
	return (0);
}

void
store_hold_get(struct store *store, struct store_hold *ret_hold)
{
	*ret_hold = store->hold.hold;
}

int64_t
store_held_below(struct store *store)
{
	int64_t below = atomic_load(&store->hold.below);

	return (below > 0 ? below : INT64_MIN);
}

int
store_held_overdue(struct store_db *db, int64_t now_ms, int64_t *ret_count, struct leased_err *err)
{
	int64_t below = store_held_below(db->store);

	*ret_count = 0;
	if (below < 0)
		return (0);
	return (store_sql_number(db,
	    "SELECT count(*) FROM lease WHERE connection > 0 AND next_at <= ?1 AND id <= ?2",
	    SQL_ARGS(store_sql_int(now_ms), store_sql_int(below)), ret_count, err));
}

bool
store_held(struct store *store, int64_t lease_id)
{
	return (lease_id <= store_held_below(store));
}

int
store_hold_release(struct store_txn *txn, struct leased_err *err)
{
	char *text = NULL;
	int r;

	if ((r = store_meta_get(txn->db, HOLD_KEY, &text, err)) != 0)
		return (r == LEASED_ENOENT ? 0 : r); /* another one was first */
	r = store_meta_write(txn->db, OVER_KEY, text, err);
	free(text);
	if (r != 0)
		return (r);
	if ((r = store_sql_script(txn->db,
		 "DELETE FROM meta WHERE name = '" HOLD_KEY "';"
		 "UPDATE rotation SET next_at = 1 WHERE account <> '';"
		 "UPDATE session SET worker = substr(worker, 6) WHERE worker LIKE "
		 "'" STORE_HOLD_WORKER "%';",
		 err)) != 0)
		return (r);
	return (FAILPOINT_ERROR(store_hold_release, err));
}

void
store_hold_released(struct store *store)
{
	struct store_hold over = store->hold.hold;

	if (over.held) /* another release may have been first */
		hold_over(&store->hold.hold, &over);
	atomic_store(&store->hold.below, 0);
	atomic_store(&store->hold.active, false);
}
