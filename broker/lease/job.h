/*
 * Bulk jobs, between job.c (those of this run), job_start.c (making one), job_look.c (whether its
 * leases have ended) and job_mark.c (the transactions).
 */
#ifndef LEASE_JOB_H
#define LEASE_JOB_H

#include "lease/private.h"

#define LEASE_JOB_PAGE 500
#define LEASE_JOB_CHILDREN 64
/* Being made or marked: beyond that, jobs stay in the store and due tokens in the index. */
#define LEASE_JOBS_MAX 256
#define LEASE_JOBS_PAGE 64
/* In memory at most, with those of a tree that somebody waits for. */
#define LEASE_JOBS_KEPT_MAX 1024

struct lease_job_scope {
	enum lease_scope_kind kind;
	int64_t mount, token;
	int64_t root;       /* the job that this one belongs to; 0: itself */
	int64_t last_child; /* TOKEN: children up to here have their jobs */
	bool leases_marked; /* TOKEN: its own leases are */
	char text[640], cause[129];
	enum lease_end end;         /* NONE: by the kind */
	char by[129], accessor[25]; /* who asked */
};

/* ---- the jobs of this run (job.c) ---- */

struct lease_job_look;

/* Being marked, then (when somebody waits) until its leases have ended. */
struct lease_job {
	struct leases *leases;
	struct lease_job_scope scope;
	int64_t id, high, marked_count;
	bool running, marked;        /* a step is under way; there is none left */
	int64_t next_ms;             /* of the next step or look */
	struct lease_job_look *look; /* under way in the store's reader */
	int64_t seen;                /* rows up to here have ended */
	bool ended;                  /* all of them, when it was last looked at */
	int64_t waiting;             /* as far as was looked: what has not, and why */
	int64_t lingering;           /* ended, but kept from going */
	struct leased_err last_error;
	unsigned descendants; /* jobs that belong to this one and have not ended */
	bool incomplete;      /* not all of them are followed: it is never told as finished */
	int64_t until_ms;     /* of who waits */
	bool late;            /* that is over: the look under way is the last one */
	lease_job_done done;  /* NULL: nobody waits */
	void *arg;
	UT_hash_handle hh; /* leases->jobs, by id */
};
/* The one that is there already, if so; NULL: out of memory, and the store is asked again. */
struct lease_job *lease_job_add(
    struct leases *leases, int64_t id, int64_t high, const struct lease_job_scope *scope);
/* A look is over: goes on with the job, or ends it. */
void lease_job_looked(struct lease_job *job, bool again);
/* One more, or less, of what lease_jobs_room() counts. */
void lease_jobs_take(struct leases *leases);
void lease_jobs_give(struct leases *leases);

/* ---- looking (job_look.c) ---- */

/* On the reader thread; lease_job_looked() follows. False: out of memory. */
bool lease_job_look_start(struct lease_job *job);
/* The job goes: the look under way, if any, tells nobody. */
void lease_job_look_drop(struct lease_job *job);

/* ---- making one (job_start.c) ---- */

void lease_job_starts_clear(struct leases *leases);

/* ---- the transactions (job_mark.c) ---- */

struct lease_job_step {
	int64_t id;
	struct lease_job_scope scope;
	int64_t marked_count, marked_now;
	bool finished; /* the job's row is gone: everything is marked */
	unsigned children_count;
	struct {
		int64_t id, token; /* of the child's job; its scope follows from the parent's */
	} children[LEASE_JOB_CHILDREN];
};

int lease_job_scope_decode(
    const json_t *data, struct lease_job_scope *ret_scope, struct leased_err *err);
/* by, number and text of the scope's rows; text borrows from scope. */
void lease_job_query(const struct lease_job_scope *scope, struct store_lease_query *ret_query);
/* Of the job for a child of the token whose job is step's. */
void lease_job_child_scope(
    const struct lease_job_step *step, int64_t token, struct lease_job_scope *ret_scope);
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
