/*
 * What is asked of the engines about leases that are there; a part of engine.h.
 */
#ifndef ENGINE_LEASES_H
#define ENGINE_LEASES_H

#include "lease/lease.h"

struct engines;

/* The TTL inputs of a lease's role as it is now, for a renewal; false when the role is gone. */
bool engine_renew_inputs(
    struct engines *engines, const struct store_lease *row, struct lease_ttl_input *ret_ttl);

/* For leases_config.plain_ended, on the writer thread. */
int engine_lease_ended(
    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err);

#endif
