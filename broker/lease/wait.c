/*
 * Who waits for the end of a lease: revocations by hand, preflights, jobs do not. A waiter is
 * called once, never before lease_wait() has returned, and not after it was canceled. Few at a
 * time.
 */
#include <stdlib.h>

#include "base/log.h"
#include "lease/private.h"

#define WAITER_TAG 0x6c776169u

struct lease_waiter {
	unsigned tag;
	struct leases *leases;
	int64_t id, until_ms;
	bool on_refusal; /* a refused disarm ends the waiting as well */
	bool disarmed, unrecorded;
	struct leased_err last;
	lease_waited done;
	void *arg;
	TAILQ_ENTRY(lease_waiter) entry;
};

struct lease_waiter *
lease_wait(struct leases *leases, int64_t id, int64_t until_ms, bool on_refusal, lease_waited done,
    void *arg)
{
	struct lease_waiter *waiter = calloc(1, sizeof(*waiter));

	if (waiter == NULL)
		return (NULL);
	waiter->tag = WAITER_TAG;
	waiter->leases = leases;
	waiter->id = id;
	waiter->until_ms = until_ms;
	waiter->on_refusal = on_refusal;
	waiter->done = done;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(&leases->waiting, waiter, entry);
	return (waiter);
}

void
lease_wait_cancel(struct lease_waiter *waiter)
{
	TAILQ_REMOVE(&waiter->leases->waiting, waiter, entry);
	waiter->tag = 0;
	free(waiter);
}

static void
finish(struct lease_waiter *waiter, enum lease_revoke_state state, const struct leased_err *err)
{
	lease_waited done = waiter->done;
	void *arg = waiter->arg;
	struct leased_err why = *err; /* it may be the waiter's own */

	lease_wait_cancel(waiter);
	done(arg, state, &why);
}

/*
 * Calls step for every waiter of id. A callback may add waiters (they come last) or cancel others,
 * so the list is walked afresh after each call back.
 */
typedef bool (*wait_step)(struct lease_waiter *waiter, const struct leased_err *err);

static void
each(struct leases *leases, int64_t id, wait_step step, const struct leased_err *err)
{
	struct lease_waiter *waiter;

again:
	TAILQ_FOREACH (waiter, &leases->waiting, entry)
		if (waiter->id == id && step(waiter, err))
			goto again;
}

static bool
step_disarmed(struct lease_waiter *waiter, const struct leased_err *err)
{
	waiter->disarmed = true;
	waiter->unrecorded = waiter->unrecorded || err != NULL;
	(void)leased_err_set(
	    &waiter->last, LEASED_EREFUSED, "access has ended; the account is being removed");
	return (false);
}

static bool
step_noted(struct lease_waiter *waiter, const struct leased_err *err)
{
	waiter->last = *err;
	return (false);
}

static bool
step_refused(struct lease_waiter *waiter, const struct leased_err *err)
{
	waiter->last = *err;
	if (!waiter->disarmed && !waiter->on_refusal)
		return (false);
	finish(waiter, waiter->disarmed ? LEASE_REVOKE_DISARMED : LEASE_REVOKE_RECORDED, err);
	return (true);
}

static bool
step_gone(struct lease_waiter *waiter, const struct leased_err *err)
{
	struct leased_err none = LEASED_ERR_INIT;

	if (err == NULL) {
		finish(waiter, LEASE_REVOKE_GONE, &none);
	} else {
		struct leased_err why = LEASED_ERR_INIT;

		(void)leased_err_set(&why, err->code, "access ended, not recorded: %s", err->text);
		finish(waiter, LEASE_REVOKE_FAILED, &why);
	}
	return (true);
}

static bool
step_abandoned(struct lease_waiter *waiter, const struct leased_err *err)
{
	finish(waiter, LEASE_REVOKE_FAILED, err);
	return (true);
}

void
lease_wait_abandoned(struct leases *leases, int64_t id)
{
	struct leased_err why = LEASED_ERR_INIT;

	(void)leased_err_set(&why, LEASED_EEXPIRED,
	    "the lease was abandoned meanwhile: its record is dropped, and its account may be left "
	    "behind");
	each(leases, id, step_abandoned, &why);
}

void
lease_wait_disarmed(struct leases *leases, int64_t id, bool recorded)
{
	struct leased_err unrecorded = LEASED_ERR_INIT;

	each(leases, id, step_disarmed, recorded ? NULL : &unrecorded);
}

void
lease_wait_noted(struct leases *leases, int64_t id, const struct leased_err *why)
{
	each(leases, id, step_noted, why);
}

void
lease_wait_refused(struct leases *leases, int64_t id, bool disarmed, const struct leased_err *why)
{
	if (disarmed)
		each(leases, id, step_disarmed, NULL);
	each(leases, id, step_refused, why);
}

void
lease_wait_gone(struct leases *leases, int64_t id, const struct leased_err *unrecorded)
{
	each(leases, id, step_gone, unrecorded);
}

/* Nothing was heard of it: what keeps its connection. */
static void
reason_of(struct lease_waiter *waiter, struct leased_err *ret_why)
{
	struct leases *leases = waiter->leases;
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	struct plugin_port *port = NULL;

	(void)leased_err_set(
	    ret_why, LEASED_ETIMEDOUT, "the backend has not answered in this time");
	if (store_lease_get(store_db(leases->config.store), waiter->id, &row, &err) != 0)
		return;
	port = leases->config.port_for(leases->config.arg, row->connection);
	if (port == NULL && row->connection != 0)
		(void)leased_err_set(ret_why, LEASED_EUNAVAIL, "its connection is not open");
	else if (port != NULL && plugin_port_ready(port, &err) != 0)
		*ret_why = err;
	store_lease_free(row);
}

static void
finish_late(struct lease_waiter *waiter)
{
	struct leased_err why = waiter->last;
	struct lease *busy = lease_busy(waiter->leases, waiter->id);

	if (busy != NULL)
		busy->late = true;
	if (why.code == 0)
		reason_of(waiter, &why);
	finish(waiter, waiter->disarmed ? LEASE_REVOKE_DISARMED : LEASE_REVOKE_RECORDED, &why);
}

int64_t
lease_waits_step(struct leases *leases, int64_t now_ms)
{
	struct lease_waiter *waiter;
	int64_t next_ms;

again:
	next_ms = INT64_MAX;
	TAILQ_FOREACH (waiter, &leases->waiting, entry) {
		if (waiter->until_ms <= now_ms) {
			finish_late(waiter);
			goto again;
		}
		if (waiter->until_ms < next_ms)
			next_ms = waiter->until_ms;
	}
	return (next_ms);
}

void
lease_waits_clear(struct leases *leases)
{
	struct lease_waiter *waiter;
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ECANCELED, "leased is stopping");
	while ((waiter = TAILQ_FIRST(&leases->waiting)) != NULL)
		finish(
		    waiter, waiter->disarmed ? LEASE_REVOKE_DISARMED : LEASE_REVOKE_RECORDED, &err);
}
