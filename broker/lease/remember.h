/*
 * Rows of leases that were asked for by id lately (remember.c).
 */
#ifndef LEASE_REMEMBER_H
#define LEASE_REMEMBER_H

#include <stdint.h>

#include "store/store.h"

struct leases;

#define LEASE_REMEMBERED_MAX 128
struct lease_remembered {
	struct store_lease *row; /* owned; NULL: none */
	uint64_t changes;        /* store_row_changes() from before it was read */
};

/* As store_lease_get(), on the loop and outside of transactions. */
int lease_row_get(struct leases *leases, int64_t id, struct store_lease **ret_row,
    struct leased_err *err) LEASED_MUST_CHECK;
void lease_remembered_clear(struct leases *leases);

#endif
