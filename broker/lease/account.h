/*
 * A lease's account as it travels to a plugin (account.c).
 */
#ifndef LEASE_ACCOUNT_H
#define LEASE_ACCOUNT_H

#include "lease/object.h"

/* {"name","handle"?,"server"?,"role","kept"?,"expires"?,"failed_mint"?}; expires: for all but a
 * mint. NULL: out of memory. */
json_t *lease_account(const struct lease *lease, bool expires);
/* What its plugin wants kept of it; borrowed, NULL: nothing. */
json_t *lease_kept(const struct lease *lease);
/* "2026-11-23T02:43:50Z", the wall time of the lease's end plus slack. */
void lease_native_expiry(struct leases *leases, int64_t end_ms, char *ret_text, size_t size);

#endif
