/*
 * What the backend did to a lease on its way out, on disk: DISARMED, GONE, a refusal with its
 * back-off. Also the second look at accounts whose call was cut. end.c calls in.
 *
 * A full disk does not stop the way out: what could not be written is done all the same, and the
 * record follows when it can (or the next start does it again: disarm and remove are idempotent).
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/plain.h"
#include "lease/private.h"

#define PARKED_MAX 4096
#define PARK_MS 1000
#define LOOK_AGAIN_MS (INT64_C(600) * 1000)

/* For the log: what a person gives to `lease show`. */
static const char *
id_text(const struct lease *lease, char text[LEASE_ID_MAX])
{
	/* A lease without an id: an account that is looked for, or of a mount that is gone. */
	if (lease->row == NULL ||
	    lease_id_format(lease->task.leases, lease->row, text, LEASE_ID_MAX) != 0)
		text[0] = '\0';
	return (text);
}

int
lease_caps_give(struct lease *lease, struct store_txn *txn, bool all, struct leased_err *err)
{
	struct lease_data *data = &lease->data;
	unsigned kept = 0;
	int r = 0;

	for (unsigned i = 0; i < data->caps_count && r == 0; i++) {
		/* The ceiling of a connection counts rows, whatever their state. */
		if (!all && strncmp(data->caps[i], "conn:", 5) == 0) {
			memmove(data->caps[kept++], data->caps[i], sizeof(data->caps[i]));
			continue;
		}
		if ((r = store_give(txn, data->caps[i], err)) == 0)
			r = lease_recount_gave(txn, lease->id, data->caps[i], err);
	}
	if (r == 0)
		data->caps_count = kept;
	return (r);
}

/* ---- GONE ---- */

static int
gone_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	struct lease_ended ended;
	json_t *tombstone;
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0)
		return (r == LEASED_ENOENT ? 0 : r);
	lease_put_identity(lease);
	if ((r = lease_caps_give(lease, txn, true, err)) != 0)
		return (r);
	if (lease_is_plain(lease) && (r = lease_plain_tell(lease, txn, err)) != 0)
		return (r);
	lease_ended_fill(lease, &ended);
	if ((tombstone = lease_ended_encode(&ended)) == NULL ||
	    ((lease->cut || lease->data.cut) && lease_kept(lease) != NULL &&
		json_object_set(tombstone, LEASE_KEPT, lease_kept(lease)) != 0)) {
		json_decref(tombstone);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	r = store_lease_delete(txn, lease->row, tombstone, lease->now_ms,
	    lease->cut || lease->data.cut ? lease->now_ms + LOOK_AGAIN_MS : 0, err);
	json_decref(tombstone);
	return (r);
}

void
lease_gone_write(struct lease *lease, lease_written done)
{
	const struct leases_config *config = &lease->task.leases->config;

	/* Here and not in the transaction: mounts are the loop's. */
	lease_text_copy(
	    lease->mount, sizeof(lease->mount), config->mount_path(config->arg, lease->row->mount));
	lease->plain_ended = config->plain_ended;
	lease_write(lease, gone_run, done);
}

static void on_gone(struct lease *lease, int result, const struct leased_err *err);

/* The account is gone, its row is not: the write is tried again, without the backend. */
static void
park(struct lease *lease, const struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct lease *parked;
	unsigned count = 0;

	lease_wait_gone(leases, lease->id, err);
	TAILQ_FOREACH (parked, &leases->parked, queue)
		count++;
	if (count >= PARKED_MAX) {
		lease_release(lease); /* the timer does it all again */
		return;
	}
	lease->retry_ms = leases_now_ms(leases) + PARK_MS;
	lease->parked = true;
	lease_count_in(lease, NULL); /* these have their own bound */
	TAILQ_INSERT_TAIL(&leases->parked, lease, queue);
}

static void
on_gone(struct lease *lease, int result, const struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	int64_t id = lease->id;

	FAILPOINT(lease_expire_after_gone);
	if (result == LEASED_ECORRUPT || result == LEASED_ENOENT) {
		log_warn("an account was removed, and the record of its lease cannot be changed",
		    LOG_I("row", id), LOG_S("account", lease->row->account), LOG_ERR(err));
		lease_release(lease); /* in quarantine, or deleted: there is nothing to repeat */
		lease_fence_drop(leases, id);
		lease_wait_gone(leases, id, err);
		return;
	}
	if (result != 0) {
		park(lease, err);
		return;
	}
	lease_stats_gone(lease);
	lease_enter(lease, LEASE_GONE);
	lease_release(lease);
	lease_fence_drop(leases, id);
	lease_wait_gone(leases, id, NULL);
}

void
lease_end_parked(struct leases *leases, int64_t now_ms)
{
	struct lease *lease, *next;

	for (lease = TAILQ_FIRST(&leases->parked); lease != NULL; lease = next) {
		next = TAILQ_NEXT(lease, queue);
		if (now_ms < lease->retry_ms)
			return;
		TAILQ_REMOVE(&leases->parked, lease, queue);
		lease->parked = false;
		lease_gone_write(lease, on_gone);
	}
}

void
lease_end_removed(struct lease *lease)
{
	FAILPOINT(lease_expire_before_gone);
	if (lease->doing == LEASE_LOOKING)
		lease_look_over(lease);
	else
		lease_gone_write(lease, on_gone);
}

/* ---- DISARMED ---- */

/*
 * An INTENT whose end was tried: its mint is over, though a crash or a failed write left that out
 * of the row. It must be in there, or the timer would wait for the mint's deadline (expiry.c).
 */
static void
mint_is_over(struct lease *lease)
{
	lease->data.cut = lease->data.cut || lease->cut;
	if (lease->row->state == STORE_LEASE_INTENT && !lease->data.mint_over)
		lease->data.failed_mint = lease->data.mint_over = true;
}

/* next_at is about to say something else. */
static void
due_keep(struct lease *lease)
{
	if (lease->data.due_ms == 0)
		lease->data.due_ms =
		    lease->row->next_at_ms < lease->now_ms ? lease->row->next_at_ms : lease->now_ms;
}

static int
disarmed_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0 ||
	    (r = lease_caps_give(lease, txn, false, err)) != 0)
		return (r);
	lease_put_identity(lease);
	mint_is_over(lease);
	due_keep(lease);
	lease->row->state = STORE_LEASE_DISARMED;
	lease->row->next_at_ms = lease->now_ms;
	lease->row->stuck = false;
	lease->data.fails = 0;
	lease->data.error_code = 0;
	lease->data.error[0] = '\0';
	lease->data.disarmed_wall_ms = lease->wall_ms;
	return (lease_store(lease, txn, err));
}

/* Without its record nothing is removed, see look.c: who waits is told that a person has to. */
static void
on_quarantined(struct lease *lease)
{
	struct leases *leases = lease->task.leases;
	struct leased_err why = LEASED_ERR_INIT;
	int64_t id = lease->id;
	char text[LEASE_ID_MAX];

	log_warn("a lease was disarmed, and its record is damaged; a person must remove the "
		 "account",
	    LOG_S("lease", id_text(lease, text)), LOG_I("row", id),
	    LOG_S("account", lease->row->account), LOG_I("connection", lease->connection));
	lease_damaged_why(lease->row->account, &why);
	lease_release(lease);
	lease_wait_refused(leases, id, true, &why);
}

static void
on_disarmed(struct lease *lease, int result, const struct leased_err *err)
{
	struct leases *leases = lease->task.leases;

	FAILPOINT(lease_expire_after_disarmed);
	lease_enter(lease, LEASE_DISARMED);
	if (result == LEASED_ECORRUPT) {
		on_quarantined(lease);
		return;
	}
	if (result != 0) {
		log_warn("a lease was disarmed, and it could not be written down; it goes on",
		    LOG_I("row", lease->id), LOG_ERR(err));
		lease->unrecorded = true;
	}
	lease_wait_disarmed(leases, lease->id, result == 0);
	lease->single = false;
	lease_end_queue(lease);
	lease_wake(leases);
}

void
lease_end_disarmed(struct lease *lease, const json_t *result)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (lease_take_identity(lease, result, &err) != 0)
		log_warn("an answer to disarm is left out of account", LOG_I("row", lease->id),
		    LOG_ERR(&err));
	FAILPOINT(lease_expire_before_disarmed);
	if (lease->doing == LEASE_LOOKING) {
		lease_enter(lease, LEASE_DISARMED);
		lease_end_queue(lease);
		return;
	}
	if (lease->doing == LEASE_QUARANTINED) {
		lease_look_over(lease);
		return;
	}
	lease_stats_disarmed(lease);
	lease_write(lease, disarmed_run, on_disarmed);
}

/* ---- a refusal: of this one lease, so that its own next_at is rewritten ---- */

static int
refused_run(struct lease *lease, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = lease_reload(lease, txn, err)) != 0)
		return (r);
	lease_put_identity(lease);
	mint_is_over(lease);
	lease->data.fails++;
	lease->data.error_code = lease->failure.code;
	lease->data.error_wall_ms = lease->wall_ms;
	lease_text_copy(lease->data.error, sizeof(lease->data.error), lease->failure.text);
	lease->row->stuck = lease->failure.code == LEASED_EMOVED;
	due_keep(lease);
	lease->row->late = true;
	lease->row->next_at_ms = lease->retry_ms;
	return (lease_store(lease, txn, err));
}

static void
on_refused(struct lease *lease, int result, const struct leased_err *err)
{
	struct leases *leases = lease->task.leases;
	struct lease_connection *connection = lease_connection_find(leases, lease->connection);
	int64_t retry_ms = lease->retry_ms, id = lease->id;
	struct leased_err why = lease->failure;
	bool disarmed = lease->state == LEASE_DISARMED;

	FAILPOINT(lease_expire_after_refused);
	if (result != 0)
		log_warn("a refusal could not be written down", LOG_I("row", id), LOG_ERR(err));
	lease_release(lease);
	/* Now, since whoever is told of it may look for the reason in the record. */
	lease_wait_refused(leases, id, disarmed, &why);
	if (connection == NULL)
		return;
	if (result != 0 && result != LEASED_ECORRUPT && result != LEASED_ENOENT)
		/* it stands first in the next sweep: not at once */
		connection->pause_ms = leases_now_ms(leases) + PARK_MS;
	lease_connection_due(connection, retry_ms);
}

void
lease_end_refused(struct lease *lease, const struct leased_err *why)
{
	static struct log_limit limit;
	struct leases *leases = lease->task.leases;
	bool disarmed = lease->state == LEASE_REMOVING;
	char text[LEASE_ID_MAX];
	uint64_t left_out = 0;

	if (log_limited(&limit, &left_out))
		log_warn(disarmed ? "an account cannot be removed yet; access to it has ended"
				  : "an account cannot be disarmed yet",
		    LOG_S("lease", id_text(lease, text)), LOG_I("row", lease->id),
		    LOG_S("account", lease->row->account), LOG_I("connection", lease->connection),
		    LOG_ERR(why), LOG_I("left_out", left_out));
	if (lease->doing == LEASE_LOOKING || lease->doing == LEASE_QUARANTINED) {
		lease->failure = *why;
		lease_look_over(lease);
		return;
	}
	if (disarmed) {
		lease_enter(lease, LEASE_DISARMED);
		lease_wait_disarmed(leases, lease->id, true);
	}
	lease_wait_noted(leases, lease->id, why);
	lease->failure = *why;
	lease->retry_ms = leases_now_ms(leases) + lease_back_off_ms(leases, lease->data.fails + 1);
	lease_write(lease, refused_run, on_refused);
}
