/*
 * Abandoning a lease: its record is dropped by a person's word, with a tombstone that says what may
 * be left behind, in one transaction with the audit's record of it. Only what is on its way out can
 * be abandoned. An end that is under way meanwhile goes on, and finds no row to write to. api/
 * calls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/utf8.h"
#include "lease/abandon.h"
#include "lease/ended.h"
#include "lease/hold.h"
#include "lease/private.h"
#include "metrics/metrics.h"

METRICS_COUNTER(abandoned, "leased_leases_abandoned", "",
    "Leases whose records were dropped by a person's word, with what may be left behind.");

struct abandon_task {
	struct lease_task task; /* first */
	struct lease lease;     /* the row's, for its tombstone; in no list */
	char run[9];
	char reason[LEASE_REASON_MAX + 1], cause[129], by[129], accessor[25];
	struct lease_abandoned left;
	lease_abandon_done done;
	void *arg;
};

/* ---- the transaction ---- */

/* Is something under way that may still arm its account, with nobody having asked for its end? */
static bool
is_on_its_way_out(const struct abandon_task *own, const struct store_lease *row)
{
	const struct lease_data *data = &own->lease.data;

	if (row->state == STORE_LEASE_INTENT && !data->mint_over && data->fails == 0 &&
	    strcmp(data->run, own->run) == 0)
		return (false);
	return (row->state == STORE_LEASE_DISARMED || row->revoke || row->late || row->stuck ||
		row->next_at_ms <= own->lease.now_ms);
}

static int
tombstone_put(const struct abandon_task *own, struct lease_ended *ended, json_t **ret_tombstone,
    struct leased_err *err)
{
	ended->end = LEASE_END_ABANDONED;
	lease_text_copy(ended->revoke_cause, sizeof(ended->revoke_cause), own->cause);
	lease_text_copy(ended->end_by, sizeof(ended->end_by), own->by);
	lease_text_copy(ended->end_accessor, sizeof(ended->end_accessor), own->accessor);
	lease_text_copy(ended->reason, sizeof(ended->reason), own->reason);
	if ((*ret_tombstone = lease_ended_encode(ended)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/*
 * Its columns are all that is known. A revocation makes it due, and a try that was refused puts it
 * off by LEASE_QUARANTINE_RETRY_MS.
 */
static bool
is_damaged_on_its_way_out(const struct abandon_task *own, const struct store_damaged *damaged)
{
	return (damaged->disarmed ||
		damaged->next_at_ms <= own->lease.now_ms + LEASE_QUARANTINE_RETRY_MS);
}

static int
damaged_run(struct abandon_task *own, struct store_txn *txn, struct leased_err *err)
{
	struct lease_ended ended;
	struct store_damaged damaged = {0};
	json_t *tombstone = NULL;
	int r;

	if ((r = store_damaged_get(store_txn_db(txn), own->lease.id, &damaged, err)) != 0)
		return (r);
	if (!is_damaged_on_its_way_out(own, &damaged)) {
		store_damaged_clear(&damaged);
		return (leased_err_set(err, LEASED_EINVAL,
		    "the lease has not ended, damaged as its record is: revoke it first, by the id "
		    "that `lease list --state stuck` shows; abandoning is for one whose revocation "
		    "can never be done"));
	}
	lease_damaged_ended(&damaged, own->lease.mount, own->lease.wall_ms, &ended);
	lease_text_copy(own->left.account, sizeof(own->left.account), damaged.account);
	own->left.connection = damaged.connection;
	own->left.disarmed = damaged.disarmed;
	if ((r = tombstone_put(own, &ended, &tombstone, err)) == 0)
		r = store_damaged_abandon(txn, &damaged, tombstone, own->lease.now_ms, err);
	json_decref(tombstone);
	store_damaged_clear(&damaged);
	return (r);
}

static int
row_run(struct abandon_task *own, struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = own->lease.row;
	struct lease_ended ended;
	json_t *tombstone = NULL;
	int r;

	if (lease_data_decode(row->data, &own->lease.data, NULL) != 0)
		memset(&own->lease.data, 0, sizeof(own->lease.data)); /* its columns speak */
	if (row->kind == STORE_LEASE_TOKEN)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a token has no account that could be left behind: use auth/token/revoke"));
	if (row->kind == STORE_LEASE_PLAIN)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this lease has no account on a backend that could be left behind: revoke it"));
	if (!is_on_its_way_out(own, row))
		return (leased_err_set(err, LEASED_EINVAL,
		    "the lease has not ended: revoke it first; abandoning is for one whose "
		    "revocation can never be done"));
	lease_text_copy(own->left.account, sizeof(own->left.account), row->account);
	lease_text_copy(own->left.server, sizeof(own->left.server), own->lease.data.server);
	own->left.connection = row->connection;
	own->left.disarmed = row->state == STORE_LEASE_DISARMED;
	if ((r = lease_caps_give(&own->lease, txn, true, err)) != 0)
		return (r);
	lease_ended_fill(&own->lease, &ended);
	if ((r = tombstone_put(own, &ended, &tombstone, err)) == 0)
		r = store_lease_delete(txn, row, tombstone, own->lease.now_ms, 0, err);
	json_decref(tombstone);
	return (r);
}

static int
on_abandon_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct abandon_task *own = (struct abandon_task *)task;
	int r;

	r = store_lease_get(store_txn_db(txn), own->lease.id, &own->lease.row, err);
	if (r == 0)
		r = row_run(own, txn, err);
	else if (r == LEASED_ECORRUPT)
		r = damaged_run(own, txn, err);
	if (r == 0)
		r = FAILPOINT_ERROR(lease_abandon_write, err);
	return (r);
}

/* ---- around it ---- */

static void
abandon_free(struct abandon_task *own)
{
	store_lease_free(own->lease.row);
	free(own);
}

static void
on_abandon_drop(struct lease_task *task)
{
	abandon_free((struct abandon_task *)task);
}

static void
answer(struct abandon_task *own, int code, const struct leased_err *err)
{
	lease_abandon_done done = own->done;

	own->done = NULL;
	if (done != NULL)
		done(own->arg, code, code == 0 ? &own->left : NULL, err);
}

static void
on_abandon_cancel(struct lease_task *task)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED,
	    "leased is stopping; the lease may have been abandoned: look it up");
	answer((struct abandon_task *)task, LEASED_ECANCELED, &err);
}

static void
on_abandon_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct abandon_task *own = (struct abandon_task *)task;
	struct leases *leases = task->leases;
	const struct lease_abandoned *left = &own->left;

	FAILPOINT(lease_abandon_after);
	if (result == 0) {
		metrics_add(&abandoned, 1);
		log_warn("a lease was abandoned, as a person asked: its account may be left behind",
		    LOG_I("row", own->lease.id), LOG_S("account", left->account),
		    LOG_I("connection", left->connection), LOG_S("server", left->server),
		    LOG_S("access", left->disarmed ? "ended" : "may be open"), LOG_S("by", own->by),
		    LOG_S("reason", own->reason), LOG_S("cause", own->cause));
		lease_fence_drop(leases, own->lease.id);
		lease_wait_abandoned(leases, own->lease.id);
	}
	answer(own, result, err);
	abandon_free(own);
}

/* The mount of its id, which is the loop's to know: the tombstone shows the id as it was. */
static void
mount_put(struct leases *leases, struct abandon_task *own)
{
	struct store_db *db = store_db(leases->config.store);
	struct store_damaged damaged = {0};
	struct store_lease *row = NULL;

	if (store_lease_get(db, own->lease.id, &row, NULL) == 0)
		lease_text_copy(own->lease.mount, sizeof(own->lease.mount),
		    leases->config.mount_path(leases->config.arg, row->mount));
	else if (store_damaged_get(db, own->lease.id, &damaged, NULL) == 0)
		lease_text_copy(own->lease.mount, sizeof(own->lease.mount),
		    leases->config.mount_path(leases->config.arg, damaged.mount));
	store_lease_free(row);
	store_damaged_clear(&damaged);
}

void
lease_abandon_start(
    struct leases *leases, const struct lease_abandon *abandon, lease_abandon_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct abandon_task *own;

	/* Nothing was tried yet, and the one in charge of it may be another leased. */
	if (lease_held(leases, abandon->row)) {
		done(arg, lease_held_error(&err), NULL, &err);
		return;
	}
	if ((own = calloc(1, sizeof(*own))) == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, LEASED_ENOMEM, NULL, &err);
		return;
	}
	own->task.run = on_abandon_run;
	own->task.done = on_abandon_done;
	own->task.drop = on_abandon_drop;
	own->task.cancel = on_abandon_cancel;
	own->lease.id = abandon->row;
	own->lease.now_ms = leases_now_ms(leases);
	own->lease.wall_ms = leases_wall_ms(leases, own->lease.now_ms);
	memcpy(own->run, leases->run, sizeof(own->run));
	lease_text_copy(own->reason, sizeof(own->reason), abandon->reason);
	lease_text_copy(own->cause, sizeof(own->cause), abandon->cause);
	lease_text_copy(own->by, sizeof(own->by), abandon->actor.name);
	lease_text_copy(own->accessor, sizeof(own->accessor), abandon->actor.accessor);
	own->done = done;
	own->arg = arg;
	mount_put(leases, own);
	FAILPOINT(lease_abandon_before);
	lease_task_submit(leases, &own->task);
}
