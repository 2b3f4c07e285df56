/*
 * The hold of a restored store, as lease/ keeps it: nothing is done to an account whose lease was
 * made by the store that this one was copied from, until a person says that no other leased is in
 * charge of it. What is asked for such a lease meanwhile is recorded and waits. The API calls.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/hold.h"
#include "lease/private.h"
#include "store/hold.h"

struct release_task {
	struct lease_task task; /* first */
	char by[129];
	lease_done done;
	void *arg;
};

bool
lease_held(const struct leases *leases, int64_t id)
{
	return (store_held(leases->config.store, id));
}

int
lease_held_error(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "this store was restored from a backup and is held: accounts of leases from before it "
	    "are left alone until `lease restore release --takeover`"));
}

void
lease_hold_get(struct leases *leases, struct lease_hold *ret_hold)
{
	struct store_hold hold;

	store_hold_get(leases->config.store, &hold);
	*ret_hold = (struct lease_hold){
	    .held = hold.held, .since_wall_ms = hold.since_wall_ms, .waiting = leases->counts.held};
	lease_text_copy(ret_hold->old_tag, sizeof(ret_hold->old_tag), hold.old_tag);
}

void
lease_hold_log(struct leases *leases)
{
	struct lease_hold hold;
	char since[WCLOCK_RFC3339_SIZE];

	lease_hold_get(leases, &hold);
	if (!hold.held)
		return;
	wclock_format_rfc3339(hold.since_wall_ms * 1000, since);
	log_warn("this store was restored from a backup and is held: accounts of leases from "
		 "before that are left alone, and no password of a static role or of a connection "
		 "is changed, until `lease restore release --takeover`",
	    LOG_S("old_tag", hold.old_tag), LOG_S("since", since));
}

/* ---- its end ---- */

static int
on_release_run(struct lease_task *task, struct store_txn *txn, struct leased_err *err)
{
	(void)task;
	return (store_hold_release(txn, err));
}

static void
on_release_drop(struct lease_task *task)
{
	free(task);
}

static void
release_answer(struct release_task *own, int code, const struct leased_err *err)
{
	lease_done done = own->done;

	own->done = NULL;
	if (done != NULL)
		done(own->arg, code, err);
}

static void
on_release_cancel(struct lease_task *task)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping; ask again");
	release_answer((struct release_task *)task, LEASED_ECANCELED, &err);
}

/* Sessions of the original's workers first: accounts that had a call on one wait for its end. */
static void
on_release_done(struct lease_task *task, int result, const struct leased_err *err)
{
	struct release_task *own = (struct release_task *)task;
	struct leases *leases = task->leases;
	struct lease_connection *connection, *next;
	struct lease_hold hold;

	FAILPOINT(lease_hold_after_release);
	if (result == 0) {
		lease_hold_get(leases, &hold);
		log_warn("the hold of the restored store is ended, as a person asked: accounts of "
			 "leases from before the restore are ended when they are due",
		    LOG_S("by", own->by), LOG_S("old_tag", hold.old_tag),
		    LOG_I("overdue", hold.waiting));
		HASH_ITER(hh, leases->connections, connection, next)
		{
			connection->sessions_read = false; /* the original's are among them */
			connection->reap_ms = 0;
			connection->left_over_ended = false;
			lease_reconcile_released(connection);
		}
		store_hold_released(leases->config.store);
		leases->counts.held = 0;
		leases->look_ms = leases->quarantine_ms = leases->count_ms = 0;
		lease_connections_due(leases);
		lease_wake(leases);
	}
	release_answer(own, result, err);
	free(own);
}

void
lease_hold_release(
    struct leases *leases, const struct lease_actor *actor, lease_done done, void *arg)
{
	struct release_task *own = calloc(1, sizeof(*own));

	if (own == NULL) {
		lease_nomem_add(leases, (struct lease_dones){.on_probed = done}, arg);
		return;
	}
	own->task.run = on_release_run;
	own->task.done = on_release_done;
	own->task.drop = on_release_drop;
	own->task.cancel = on_release_cancel;
	lease_text_copy(own->by, sizeof(own->by), actor->name);
	own->done = done;
	own->arg = arg;
	FAILPOINT(lease_hold_before_release);
	lease_task_submit(leases, &own->task);
}
