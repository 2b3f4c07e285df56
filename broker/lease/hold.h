/*
 * The hold of a restored store: its end, and what there is to know of it. See hold.c.
 */
#ifndef LEASE_HOLD_H
#define LEASE_HOLD_H

#include "lease/lease.h"

struct lease_hold {
	bool held;
	int64_t since_wall_ms;
	char old_tag[8];  /* of the store that this one was copied from */
	uint64_t waiting; /* overdue leases of it, as of the last count */
};
void lease_hold_get(struct leases *leases, struct lease_hold *ret_hold);
/* A person's word that no other leased is in charge of the old accounts. Durable, then done(0). */
void lease_hold_release(
    struct leases *leases, const struct lease_actor *actor, lease_done done, void *arg);

/* ---- for lease/ itself ---- */
/* A lease of another store's: nothing may be done to its account. Tokens have none: never held. */
bool lease_held(const struct leases *leases, int64_t id);
int lease_held_error(struct leased_err *err); /* LEASED_EUNAVAIL, with what to do */
void lease_hold_log(struct leases *leases);   /* at a start: what waits, and for what */

#endif
