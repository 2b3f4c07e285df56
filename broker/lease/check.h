/*
 * What `leased fsck` asks of lease/: do the counters of max_leases agree with the leases?
 */
#ifndef LEASE_CHECK_H
#define LEASE_CHECK_H

#include "store/store.h"

struct lease_check;

struct lease_check *lease_check_new(void); /* NULL: out of memory */
void lease_check_free(struct lease_check *check);
/* One lease of the store. LEASED_ECORRUPT: its record is none of ours; it counts for nothing. */
int lease_check_add(struct lease_check *check, const struct store_lease *lease,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Behind the last lease: calls back for each counter that differs. on_wrong may write to it. */
int lease_check_caps(struct lease_check *check, struct store_db *db,
    void (*on_wrong)(void *arg, const char *counter, int64_t was, int64_t is), void *arg,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
