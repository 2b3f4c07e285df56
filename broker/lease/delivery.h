/*
 * Inside lease/: how answers arrived, on its way to the records (delivery.c).
 */
#ifndef LEASE_DELIVERY_H
#define LEASE_DELIVERY_H

#include "store/store.h"

struct lease;
struct leases;

#define LEASE_DELIVERED_MAX 512
#define LEASE_FRESH_MAX 256

struct lease_deliveries {
	struct lease_delivered {
		int64_t id;
		struct store_lease *row; /* as it was issued; NULL: it is to be read */
	} done[LEASE_DELIVERED_MAX];     /* to be written */
	unsigned count;
	struct store_lease *fresh[LEASE_FRESH_MAX]; /* nobody knows yet how they arrived; by id */
};

/* Writes what is to be written beside what is being submitted. */
void lease_delivered_flush(struct leases *leases);
/* Takes the row of a lease that was answered just now. */
void lease_fresh_keep(struct leases *leases, struct lease *lease);
void lease_deliveries_clear(struct leases *leases);

#endif
