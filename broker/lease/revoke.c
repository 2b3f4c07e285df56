/*
 * Revoke: the mark "to be revoked" is durable first; then the lease ends at once, ahead of others,
 * and who asked may wait for it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/ended.h"
#include "lease/hold.h"
#include "lease/private.h"
#include "metrics/metrics.h"
#include "store/hold.h"

#define UNMARKED_RETRY_MS 1000
#define UNMARKED_BATCH 64

METRICS_GAUGE(unmarked_now, "leased_leases_unrecorded_revocations", "",
    "Revocations of undelivered leases that the store has not taken yet.");
METRICS_COUNTER(unmarked_lost, "leased_leases_forgotten_revocations", "",
    "Revocations of undelivered leases that were given up, since too many waited.");

struct mark_task {
	struct lease_task task; /* first */
	struct store *store;
	int64_t id, now_ms;
	enum lease_end end;
	char cause[129], by[129], accessor[25];
	unsigned wait_ms;
	lease_revoke_done done; /* NULL: nobody asked */
	void *arg;
	const char *keep;    /* nobody asked: the cause, to be tried again with */
	bool again;          /* one of leases->unmarked.trying */
	bool disarmed;       /* out: it was already */
	bool held;           /* out: by a restored store, and waits for its release */
	bool is_quarantined; /* out: there is no row to mark; its account is due */
};

/* ---- the mark ---- */

static int
mark_data(struct store_lease *row, const struct mark_task *mark, struct leased_err *err)
{
	struct lease_actor actor = {mark->by, mark->accessor};
	struct lease_data data;
	int r;

	r = lease_data_decode(row->data, &data, err);
	if (r == LEASED_ECORRUPT)
		return (0); /* its end starts the record anew; the cause is left out */
	if (r != 0)
		return (r);
	lease_data_end(&data, mark->end, mark->cause, &actor, mark->now_ms);
	return (lease_record_put(row, &data, err));
}

static int
on_mark_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	struct mark_task *mark = (struct mark_task *)task;
	struct store_lease *row = NULL;
	int r;

	r = store_lease_get(store_txn_db(txn), mark->id, &row, err);
	if (r == LEASED_ECORRUPT &&
	    store_quarantine_update(txn, mark->id, false, mark->now_ms, NULL) == 0) {
		mark->is_quarantined = true;
		return (0);
	}
	if (r != 0)
		return (r);
	mark->disarmed = row->state == STORE_LEASE_DISARMED;
	mark->held = store_lease_has_account(row->kind) && store_held(mark->store, mark->id);
	if (row->kind == STORE_LEASE_TOKEN && row->next_at_ms == LEASE_FAR_MS && row->revoke)
		goto out; /* its job is under way */
	if (!mark->disarmed && row->kind != STORE_LEASE_TOKEN &&
	    (r = mark_data(row, mark, err)) != 0)
		goto out;
	row->revoke = row->revoke || !mark->disarmed;
	if (row->next_at_ms > mark->now_ms)
		row->next_at_ms = mark->now_ms; /* also out of its back-off: somebody asks */
	r = store_lease_update(txn, row, err);
out:
	store_lease_free(row);
	return (r);
}

static void
on_mark_drop(struct lease_task *task)
{
	free(task);
}

static void
on_mark_cancel(struct lease_task *task)
{
	struct mark_task *mark = (struct mark_task *)task;
	struct leased_err err = LEASED_ERR_INIT;
	lease_revoke_done done = mark->done;

	mark->done = NULL;
	(void)leased_err_set(&err, LEASED_ECANCELED,
	    "leased is stopping; the revocation may have been recorded: ask again");
	if (done != NULL)
		done(mark->arg, LEASE_REVOKE_FAILED, &err);
}

static void
mark_answer(struct mark_task *mark, enum lease_revoke_state state, const struct leased_err *err)
{
	lease_revoke_done done = mark->done;
	void *arg = mark->arg;

	free(mark);
	if (done != NULL)
		done(arg, state, err);
}

/* The disk would not take the mark: access ends all the same, and the answer says so. */
struct unrecorded {
	lease_revoke_done done;
	void *arg;
	struct leased_err why;
};

static void
on_unrecorded(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct unrecorded *own = arg;
	struct leased_err why = LEASED_ERR_INIT;
	bool ended = state == LEASE_REVOKE_GONE || state == LEASE_REVOKE_DISARMED;

	if (state == LEASE_REVOKE_FAILED)
		why = *err;
	else
		(void)leased_err_set(&why, own->why.code,
		    ended ? "access ended, not recorded: %s"
			  : "access has not ended, and nothing was recorded: %s",
		    own->why.text);
	if (state == LEASE_REVOKE_GONE)
		own->done(own->arg, LEASE_REVOKE_GONE, &(struct leased_err)LEASED_ERR_INIT);
	else
		own->done(own->arg, LEASE_REVOKE_FAILED, &why);
	free(own);
}

static void
mark_unrecorded(struct mark_task *mark, int result, const struct leased_err *err)
{
	struct leases *leases = mark->task.leases;
	struct unrecorded *own = mark->done != NULL ? calloc(1, sizeof(*own)) : NULL;
	int64_t now_ms = leases_now_ms(leases), id = mark->id;

	if (own != NULL) {
		own->done = mark->done;
		own->arg = mark->arg;
		own->why = *err;
		own->why.code = result;
		if (lease_wait(leases, id, now_ms + mark->wait_ms, false, on_unrecorded, own) !=
		    NULL)
			mark->done = NULL;
		else
			free(own);
	}
	lease_end_kick(leases, id);
	mark_answer(mark, LEASE_REVOKE_FAILED, err);
}

/* ---- marks that nobody waits for ---- */

/*
 * Access ends at once by what memory knows, as far as the backend answers; the mark is what
 * outlives that. Only those on disk are certain, so that new leases are refused long before there
 * is no room.
 */
static void
mark_keep(struct leases *leases, int64_t id, enum lease_end end, const char *cause,
    const struct leased_err *why)
{
	static struct log_limit limit, full;
	uint64_t left_out = 0;

	if (leases->unmarked.count + leases->unmarked.trying >= LEASE_UNMARKED_MAX) {
		metrics_add(&unmarked_lost, 1);
		if (log_limited(&full, &left_out))
			log_error(
			    "too many revocations wait for the store: this one is not tried again; "
			    "revoke the lease by hand, unless it is gone by then",
			    LOG_I("row", id), LOG_S("cause", cause), LOG_ERR(why),
			    LOG_I("left_out", left_out));
	} else {
		leases->unmarked.entries[leases->unmarked.count].id = id;
		leases->unmarked.entries[leases->unmarked.count].end = end;
		leases->unmarked.entries[leases->unmarked.count++].cause = cause;
		leases->unmarked.retry_ms = leases_now_ms(leases) + UNMARKED_RETRY_MS;
		metrics_set(&unmarked_now, leases->unmarked.count + leases->unmarked.trying);
		if (log_limited(&limit, &left_out))
			log_error("a revocation could not be recorded; it is tried again",
			    LOG_I("row", id), LOG_S("cause", cause),
			    LOG_I("waiting", leases->unmarked.count + leases->unmarked.trying),
			    LOG_ERR(why), LOG_I("left_out", left_out));
	}
	lease_end_kick(leases, id);
}

bool
lease_unmarked_many(const struct leases *leases)
{
	return (leases->unmarked.count + leases->unmarked.trying >= LEASE_UNMARKED_MAX / 2);
}

/* True when it is not over yet. Takes the task then. */
static bool
mark_again(struct mark_task *mark, int result, const struct leased_err *err)
{
	struct leases *leases = mark->task.leases;
	int64_t id = mark->id;
	enum lease_end end = mark->end;
	const char *cause = mark->keep;

	if (mark->again)
		leases->unmarked.trying--;
	if (cause == NULL)
		return (false);
	if (result == 0 || result == LEASED_ENOENT) {
		if (mark->again)
			log_info("a revocation is recorded now", LOG_I("row", id),
			    LOG_S("cause", cause));
		metrics_set(&unmarked_now, leases->unmarked.count + leases->unmarked.trying);
		return (false);
	}
	free(mark);
	mark_keep(leases, id, end, cause, err);
	return (true);
}

/* There is no row to mark: the account is disarmed by itself (look.c), at once. */
static void
mark_quarantined(struct mark_task *mark, const struct leased_err *err)
{
	struct leases *leases = mark->task.leases;
	struct leased_err why = LEASED_ERR_INIT;
	int64_t until_ms = leases_now_ms(leases) + mark->wait_ms;
	bool is_recorded = mark->is_quarantined;

	if (is_recorded)
		leases->quarantine_ms = 0;
	else /* found just now: it is not in quarantine before this transaction is over */
		mark_keep(leases, mark->id, mark->end, "its record is damaged", err);
	if (mark->done != NULL && mark->wait_ms > 0 &&
	    lease_wait(leases, mark->id, until_ms, false, mark->done, mark->arg) != NULL)
		mark->done = NULL; /* look.c tells */
	(void)leased_err_set(&why, LEASED_ECORRUPT,
	    "the lease's record is damaged; its account is disarmed, and a person must remove it");
	lease_wake(leases);
	mark_answer(mark, is_recorded ? LEASE_REVOKE_RECORDED : LEASE_REVOKE_FAILED, &why);
}

static void
on_mark_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct mark_task *mark = (struct mark_task *)task;
	struct leases *leases = task->leases;
	int64_t id = mark->id, until_ms = leases_now_ms(leases) + mark->wait_ms;
	struct lease_waiter *waiter = NULL;
	struct leased_err why = LEASED_ERR_INIT;

	FAILPOINT(lease_revoke_after_mark);
	if (mark_again(mark, result, err))
		return;
	if (mark->is_quarantined || result == LEASED_ECORRUPT) {
		mark_quarantined(mark, err);
		return;
	}
	if (result == LEASED_ENOENT) {
		mark_answer(mark, LEASE_REVOKE_GONE, &why);
		return;
	}
	if (result == LEASED_ENOSPC) {
		mark_unrecorded(mark, result, err);
		return;
	}
	if (result != 0) {
		why = *err;
		why.code = result;
		mark_answer(mark, LEASE_REVOKE_FAILED, &why);
		return;
	}
	if (mark->held) {
		(void)lease_held_error(&why);
		mark_answer(mark, LEASE_REVOKE_RECORDED, &why);
		return;
	}
	if (mark->done != NULL && mark->wait_ms > 0)
		waiter = lease_wait(leases, id, until_ms, false, mark->done, mark->arg);
	if (waiter != NULL)
		mark->done = NULL;
	if (mark->disarmed)
		lease_wait_disarmed(leases, id, true);
	lease_end_kick(leases, id);
	(void)leased_err_set(&why, LEASED_ETIMEDOUT, "the revocation is recorded and under way");
	mark_answer(mark, LEASE_REVOKE_RECORDED, &why);
}

static struct mark_task *
mark_new(struct leases *leases, int64_t id, enum lease_end end, const char *cause)
{
	struct mark_task *mark = calloc(1, sizeof(*mark));

	if (mark == NULL)
		return (NULL);
	mark->task.run = on_mark_run;
	mark->task.done = on_mark_done;
	mark->task.drop = on_mark_drop;
	mark->task.cancel = on_mark_cancel;
	mark->store = leases->config.store;
	mark->id = id;
	mark->now_ms = leases_now_ms(leases);
	mark->end = end;
	lease_text_copy(mark->cause, sizeof(mark->cause), cause);
	return (mark);
}

void
lease_mark(struct leases *leases, int64_t id, enum lease_end end, const char *cause)
{
	struct mark_task *mark = mark_new(leases, id, end, cause);
	struct leased_err why = LEASED_ERR_INIT;

	if (mark == NULL) {
		(void)leased_err_set(&why, LEASED_ENOMEM, "out of memory");
		mark_keep(leases, id, end, cause, &why);
		return;
	}
	mark->keep = cause;
	lease_task_submit(leases, &mark->task);
}

/* A batch at a time, the oldest first; at once after one that the store took whole. */
void
lease_unmarked_step(struct leases *leases, int64_t now_ms)
{
	const struct lease_unmarked *unmarked = &leases->unmarked;
	struct mark_task *mark;
	unsigned count = 0;

	if (leases->unmarked.count == 0 || leases->unmarked.trying > 0 ||
	    now_ms < leases->unmarked.retry_ms)
		return;
	while (count < UNMARKED_BATCH && count < leases->unmarked.count &&
	       (mark = mark_new(leases, unmarked->entries[count].id, unmarked->entries[count].end,
		    unmarked->entries[count].cause)) != NULL) {
		mark->keep = leases->unmarked.entries[count++].cause;
		mark->again = true;
		leases->unmarked.trying++;
		lease_task_submit(leases, &mark->task);
	}
	leases->unmarked.count -= count;
	memmove(leases->unmarked.entries, leases->unmarked.entries + count,
	    leases->unmarked.count * sizeof(leases->unmarked.entries[0]));
	if (count == 0)
		leases->unmarked.retry_ms = now_ms + UNMARKED_RETRY_MS;
}

void
lease_revoke_by(struct leases *leases, int64_t row, unsigned wait_ms, const char *cause,
    const struct lease_actor *actor, lease_revoke_done done, void *arg)
{
	struct mark_task *mark = mark_new(leases, row, LEASE_END_REVOKED, cause);

	if (mark == NULL) {
		lease_nomem_add(leases, (struct lease_dones){.on_revoked = done}, arg);
		return;
	}
	lease_text_copy(mark->by, sizeof(mark->by), actor->name);
	lease_text_copy(mark->accessor, sizeof(mark->accessor), actor->accessor);
	mark->wait_ms = wait_ms;
	mark->done = done;
	mark->arg = arg;
	FAILPOINT(lease_revoke_before_mark);
	lease_task_submit(leases, &mark->task);
}

void
lease_revoke_start(struct leases *leases, int64_t row, unsigned wait_ms, const char *cause,
    lease_revoke_done done, void *arg)
{
	struct lease_actor nobody = {NULL, NULL};

	lease_revoke_by(leases, row, wait_ms, cause, &nobody, done, arg);
}
