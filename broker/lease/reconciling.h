/*
 * What the rest of lease/ sees of reconcile (reconcile_when.c).
 */
#ifndef LEASE_RECONCILING_H
#define LEASE_RECONCILING_H

#include "lease/connection.h"
#include "lease/reconcile.h"

struct lease_reconcile_job { /* the one by hand that is under way; id 0: none */
	int64_t id, last_id, until_ms;
	unsigned pending;          /* connections */
	lease_reconcile_done done; /* NULL: nobody waits */
	void *arg;
};

void lease_reconcile_step(struct leases *leases, int64_t now_ms);
/* Its port was opened, with whatever configuration; a worker has a new session there. */
void lease_reconcile_opened(struct lease_connection *connection);
void lease_reconcile_released(struct lease_connection *connection); /* the hold is over */
void lease_reconcile_session(struct lease_connection *connection);
/* It is disarming accounts: nobody else does so for accounts without a row meanwhile. */
bool lease_reconcile_ends(const struct lease_connection *connection);
void lease_reconcile_drop(struct lease_connection *connection);
void lease_reconcile_clear(struct leases *leases);

#endif
