/*
 * A store on disk with one of everything in it, and one lease in quarantine: for tests in which
 * memory runs out. What they write is made once, outside: their own allocations are not tested.
 */
#ifndef UNIT_STORE_WORLD_H
#define UNIT_STORE_WORLD_H

#include "unit/store/fix.h"

struct world {
	struct fix fix;
	char base[64], dir[80], copy[80], other[80];
	struct store_doc doc;
	struct store_lease *lease;
	struct store_token token;
	struct store_job job;
	json_t *tombstone;
	int64_t lease_id, doc_id, job_id, gone_id, bad_id;
	unsigned left, repaired;
};

int world_setup(void **state);
int world_teardown(void **state);
/* The lease that is not in quarantine, by its number and its account: is it as it was? */
int world_read_lease(struct world *w);

#endif
