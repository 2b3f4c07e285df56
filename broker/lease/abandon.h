/*
 * Abandoning a lease (abandon.c): a person's word that its backend will never answer again. The
 * only way in which a record goes without its account having gone.
 */
#ifndef LEASE_ABANDON_H
#define LEASE_ABANDON_H

#include "lease/lease.h"

#define LEASE_REASON_MAX 240

struct lease_abandon {
	int64_t row; /* of a lease, or of one in quarantine */
	const char *reason, *cause;
	struct lease_actor actor;
};
struct lease_abandoned { /* what may be left behind */
	char account[256], server[128];
	int64_t connection;
	bool disarmed; /* its access had ended */
};
typedef void (*lease_abandon_done)(
    void *arg, int code, const struct lease_abandoned *left, const struct leased_err *err);
/*
 * LEASED_EINVAL while the lease lives: it is revoked first, and abandoned when that cannot be done.
 * LEASED_ENOENT when it is gone. LEASED_EUNAVAIL in a store that is held, of a lease from before
 * (the only word that may come before this returns, but for want of memory). Otherwise the record
 * goes, with a tombstone (end "abandoned") that the audit records in the same transaction.
 */
void lease_abandon_start(
    struct leases *leases, const struct lease_abandon *abandon, lease_abandon_done done, void *arg);

#endif
