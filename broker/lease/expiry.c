/*
 * Expiry: finds what is due, by connection, from the store's index, a page of at most 64 rows at a
 * time, and starts its end. Holds no list of leases. A row that is busy or fenced is passed over
 * and looked at again soon. A connection whose port is not ready is skipped whole, without a write.
 *
 * After a start the INTENTs of earlier runs are due at once: nobody can still be minting them, and
 * what their workers left under way is fenced. No INTENT's deadline is further ahead than
 * LEASE_CANARY_MS, so that they stand among the rows that are due until then.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/hold.h"
#include "lease/private.h"

#define PAGE 64
#define NOT_READY_MS 1000 /* the port says when it has recovered */
#define UNKNOWN_INTENT_MS 30000
#define PASSED_MAX_MS 2000 /* what a sweep reads again and again must not fill the loop's time */

/*
 * An INTENT of this run whose mint we do not know the outcome of is not in the table of operations
 * for one of two reasons: its commit has not been reported to the loop yet (then a mint may still
 * start, until the deadline), or memory or disk ran out and it was dropped. So it is left alone
 * until no mint can start or be under way any more.
 */
static bool
may_be_minted_yet(struct leases *leases, const struct store_lease *row,
    const struct lease_data *data, int64_t now_ms)
{
	return (row->state == STORE_LEASE_INTENT && !data->mint_over &&
		strcmp(data->run, leases->run) == 0 &&
		now_ms < data->mint_deadline_ms + UNKNOWN_INTENT_MS);
}

/* Nothing came of it before its daemon died, and nothing has been tried since. */
static bool
is_left_over(struct leases *leases, const struct store_lease *row)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_data data;

	return (row->state == STORE_LEASE_INTENT && row->kind != STORE_LEASE_TOKEN &&
		lease_data_decode(row->data, &data, &err) == 0 && !data.mint_over &&
		data.fails == 0 && strcmp(data.run, leases->run) != 0);
}

/* Takes the row. True when its end has begun. */
static bool
row_end(struct leases *leases, struct store_lease *row, bool urgent)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_data data;
	struct lease *lease;

	if (lease_busy(leases, row->id) != NULL ||
	    (store_lease_has_account(row->kind) && lease_held(leases, row->id)))
		goto no;
	if (lease_data_decode(row->data, &data, &err) != 0)
		memset(&data, 0, sizeof(data)); /* its account is ended all the same */
	if (may_be_minted_yet(leases, row, &data, leases_now_ms(leases)) ||
	    lease_fenced(leases, row, &data))
		goto no;
	if ((lease = lease_from_row(leases, row, LEASE_ENDING, &err)) == NULL)
		return (false);
	lease->urgent = urgent;
	if (!lease_busy_add(lease)) {
		lease_release(lease);
		return (false);
	}
	/* A mint that a crash may have cut: look once more after its end. */
	lease->cut = lease->state == LEASE_INTENT && !data.mint_over;
	lease_end_queue(lease);
	return (true);
no:
	store_lease_free(row);
	return (false);
}

void
lease_end_kick(struct leases *leases, int64_t id)
{
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct lease *busy = lease_busy(leases, id);
	struct lease_connection *connection;

	if (busy != NULL) {
		busy->revoked = true;
		return;
	}
	if (store_lease_get(store_db(leases->config.store), id, &row, &err) != 0)
		return; /* gone, or the timer comes to it */
	if (row->kind == STORE_LEASE_TOKEN) {
		store_lease_free(row);
		if ((connection = lease_connection_get(leases, 0)) != NULL)
			lease_connection_due(connection, leases_now_ms(leases));
		return;
	}
	connection = lease_connection_get(leases, row->connection);
	if (row_end(leases, row, true))
		lease_wake(leases);
	else if (connection != NULL) /* fenced, or memory is out: the sweep comes back to it */
		lease_connection_due(connection, leases_now_ms(leases));
}

/* ---- the sweep ---- */

void
lease_sweep_anew(struct lease_connection *connection)
{
	connection->sweeping = false;
	connection->from_ms = connection->after = 0;
	lease_connection_due(connection, 0);
	lease_wake(connection->leases);
}

static void
sweep_over(struct lease_connection *connection, int64_t now_ms)
{
	struct store_db *db = store_db(connection->leases->config.store);
	struct leased_err err = LEASED_ERR_INIT;
	int64_t at_ms = LEASE_FAR_MS, wait_ms;
	int r;

	connection->sweeping = false;
	connection->from_ms = connection->after = 0;
	connection->hasten_ms = 0;
	r = store_lease_next_at(db, connection->id, &at_ms, &err);
	if (r == LEASED_ENOENT)
		at_ms = LEASE_FAR_MS;
	else if (r != 0)
		at_ms = now_ms + 1000;
	wait_ms = connection->passed_over < PASSED_MAX_MS ? connection->passed_over : PASSED_MAX_MS;
	connection->due_ms = at_ms > now_ms ? at_ms : now_ms + LEASE_POLL_MS + wait_ms;
	if (!connection->left_over_seen)
		connection->left_over_ended = true;
	else if (connection->due_ms > now_ms + LEASE_POLL_MS)
		connection->due_ms = now_ms + LEASE_POLL_MS;
}

static bool
may_sweep(struct lease_connection *connection, int64_t now_ms)
{
	if (connection->id == 0)
		return (now_ms >= connection->leases->tokens_pause_ms &&
			lease_jobs_room(connection->leases));
	return (now_ms >= connection->pause_ms && connection->ending < LEASE_ENDING_MAX &&
		lease_connection_ready(connection));
}

/* Not now. An interrupted sweep goes on soon, one whose port is away begins anew. Connection 0 has
 * no port: its tokens wait for room among the jobs, its leases for the writes before them. */
static void
sweep_wait(struct lease_connection *connection, int64_t now_ms)
{
	if (connection->id == 0) {
		connection->due_ms = now_ms + LEASE_POLL_MS;
		return;
	}
	if (connection->sweeping && !lease_connection_ready(connection)) {
		connection->sweeping = false;
		connection->from_ms = connection->after = 0;
	}
	connection->due_ms = now_ms + (connection->sweeping ? LEASE_POLL_MS : NOT_READY_MS);
	if (connection->sweeping && connection->due_ms < connection->pause_ms)
		connection->due_ms = connection->pause_ms;
}

/* One row of the page; false when there is no room for more. */
static bool
sweep_row(struct lease_connection *connection, struct store_lease *row, int64_t now_ms)
{
	/* One that failed, and whose connection was opened anew since. */
	bool hastened = row->late && row->next_at_ms <= connection->hasten_ms;
	bool due = row->next_at_ms <= now_ms || hastened, left_over = false;

	if (row->kind != STORE_LEASE_TOKEN && connection->ending >= LEASE_ENDING_MAX) {
		store_lease_free(row);
		return (false);
	}
	connection->from_ms = row->next_at_ms;
	connection->after = row->id;
	if (!connection->left_over_ended && is_left_over(connection->leases, row))
		connection->left_over_seen = left_over = true;
	if (!due && !left_over) {
		store_lease_free(row);
	} else if (row->state == STORE_LEASE_DISARMED &&
		   connection->removals >= LEASE_REMOVALS_MAX) {
		connection->passed_over++;
		store_lease_free(row);
	} else if (row->kind == STORE_LEASE_TOKEN) {
		lease_token_due(connection->leases, row);
		store_lease_free(row);
	} else {
		(void)row_end(connection->leases, row, false);
	}
	return (true);
}

/* How far ahead this sweep looks. */
static int64_t
sweep_until(const struct lease_connection *connection, int64_t now_ms)
{
	int64_t until_ms = connection->left_over_ended ? now_ms : now_ms + LEASE_CANARY_MS;

	return (connection->hasten_ms > until_ms ? connection->hasten_ms : until_ms);
}

bool
lease_sweep(struct lease_connection *connection, int64_t now_ms)
{
	struct store_lease_query query = {.by = STORE_BY_DUE,
	    .number = connection->id,
	    .until_ms = sweep_until(connection, now_ms),
	    .from_ms = connection->from_ms,
	    .after = connection->after,
	    .not_held = connection->id != 0,
	    .limit = PAGE};
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0, i;
	bool room = true;

	if (now_ms < connection->due_ms && !connection->sweeping)
		return (false);
	if (!may_sweep(connection, now_ms)) {
		sweep_wait(connection, now_ms);
		return (false);
	}
	if (!connection->sweeping) {
		connection->left_over_seen = false;
		connection->passed_over = 0;
	}
	if (store_lease_page(
		store_db(connection->leases->config.store), &query, &rows, &count, &err) != 0) {
		log_warn("what is due cannot be read; it is tried again", LOG_ERR(&err));
		connection->sweeping = false;
		connection->due_ms = now_ms + 1000;
		return (false);
	}
	FAILPOINT(lease_expire_before_disarm);
	connection->sweeping = true;
	for (i = 0; i < count && room; i++)
		room = sweep_row(connection, rows[i], now_ms);
	for (; i < count; i++)
		store_lease_free(rows[i]);
	free(rows);
	if (!room)
		sweep_wait(connection, now_ms);
	else if (count < PAGE)
		sweep_over(connection, now_ms);
	return (room && count == PAGE);
}
