/*
 * Between job.c (the jobs of this run) and job_mark.c (their transactions).
 */
#ifndef LEASE_JOB_H
#define LEASE_JOB_H

#include "lease/private.h"

#define LEASE_JOB_PAGE 500
#define LEASE_JOB_CHILDREN 64

struct lease_job_scope {
	enum lease_scope_kind kind;
	int64_t mount, token;
	int64_t root;       /* the job that this one belongs to; 0: itself */
	int64_t last_child; /* TOKEN: children up to here have their jobs */
	bool leases_marked; /* TOKEN: its own leases are */
	char text[640], cause[129];
};

struct lease_job_step {
	int64_t id;
	struct lease_job_scope scope;
	int64_t marked_count;
	bool finished; /* the job's row is gone: everything is marked */
	unsigned children_count;
	struct {
		int64_t id;
		struct lease_job_scope scope;
	} children[LEASE_JOB_CHILDREN];
};

int lease_job_scope_decode(
    const json_t *data, struct lease_job_scope *ret_scope, struct leased_err *err);
/* by, number and text of the scope's rows; text borrows from scope. */
void lease_job_query(const struct lease_job_scope *scope, struct store_lease_query *ret_query);
/*
 * In a transaction: makes the job. only_due: nothing (*ret_id 0) when the token is not due or has a
 * job already.
 */
int lease_job_put(struct store_txn *txn, struct lease_job_scope *scope, int64_t now_ms,
    bool only_due, int64_t *ret_id, int64_t *ret_high, struct leased_err *err);
/* Submits one step; lease_job_stepped() follows. False: out of memory. */
bool lease_job_step_start(struct leases *leases, int64_t id);
void lease_job_stepped(struct leases *leases, const struct lease_job_step *step, int result,
    const struct leased_err *err);

#endif
