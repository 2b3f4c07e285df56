/*
 * Rows of leases that were asked for by id lately (remember.c).
 */
#ifndef LEASE_REMEMBER_H
#define LEASE_REMEMBER_H

#include <stdint.h>

#include "store/store.h"

struct leases;

#define LEASE_REMEMBERED_MAX 4096
#define LEASE_REMEMBERED_BYTES (16u << 20) /* of all, as they are estimated */
struct lease_remembered {
	struct store_lease *row; /* owned; NULL: none */
	uint64_t changes;        /* store_row_changes() from before it was read */
	size_t bytes;
};

/* As store_lease_get(), on the loop and outside of transactions. */
int lease_row_get(struct leases *leases, int64_t id, struct store_lease **ret_row,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Of one that is remembered, and good: borrowed until the next call; else NULL. */
const struct store_lease *lease_row_remembered(struct leases *leases, int64_t id);
void lease_remembered_clear(struct leases *leases);

#endif
