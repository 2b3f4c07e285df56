/*
 * Reconcile: the accounts of a backend that carry our tag, against the store, both ways. What is
 * positively known as ended is disarmed; everything else is reported, and removed on command. Runs
 * by itself after a start, daily, and when a backend was restored or started anew. On the loop;
 * comparing is the store's reader thread's.
 */
#ifndef LEASE_RECONCILE_H
#define LEASE_RECONCILE_H

#include "lease/lease.h"

struct lease_reconcile {
	int64_t connection; /* 0: all that have a port */
	bool fix;           /* accounts without a lease are removed, by leases of their own */
	const char *cause;
	struct lease_actor actor;
};
struct lease_reconcile_status {
	int64_t job;
	bool finished;
};
typedef void (*lease_reconcile_done)(
    void *arg, int code, const struct lease_reconcile_status *status, const struct leased_err *err);
/*
 * done: when all of it is finished, or after wait_ms; never before this returns, but for what is
 * refused: LEASED_ENOENT (no such connection, or none at all), LEASED_ECONFLICT (one by hand is
 * under way), LEASED_EUNAVAIL (fix, in a store that is held).
 */
void lease_reconcile_start(struct leases *leases, const struct lease_reconcile *reconcile,
    unsigned wait_ms, lease_reconcile_done done, void *arg);

/*
 * What the latest runs found, for each connection (0: each; or those of a job by hand): {"job",
 * "finished", "connections": [{"connection": id, "state", ..}]}. A new reference. LEASED_ENOENT: no
 * such job of this run of the daemon.
 */
int lease_reconcile_describe(struct leases *leases, int64_t job, json_t **ret_answer,
    struct leased_err *err) LEASED_MUST_CHECK;

struct lease_reconcile_counts { /* since the start; below: as of the last run of each connection */
	uint64_t runs, failed, disarmed, removing;
	uint64_t unknown, missing, rearmed;
};
void leases_reconcile_counts(struct leases *leases, struct lease_reconcile_counts *ret_counts);

#endif
