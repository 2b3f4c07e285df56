/*
 * A lease that something is done to, its states, and the transactions of lease/. Everything runs on
 * the loop except `run` functions of tasks: they run on the store's writer thread and touch only
 * their own task.
 */
#ifndef LEASE_OBJECT_H
#define LEASE_OBJECT_H

#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1 /* what was not added has hh.tbl NULL */
#include <uthash.h>

#include "lease/lease.h"
#include "lease/record.h"

enum lease_state {
	LEASE_NONE,
	LEASE_INTENT,
	LEASE_LIVE,
	LEASE_DISARMING,
	LEASE_DISARMED,
	LEASE_REMOVING,
	LEASE_GONE,
	LEASE_STATE_COUNT
};
const char *lease_state_name(enum lease_state state);

/* ---- tasks: transactions of ours ---- */

struct lease_task {
	struct store_op op;    /* first */
	struct leases *leases; /* NULL: leases_free() let go of it; only drop() may follow */
	bool lost;             /* tests: a crash before the commit */
	int (*run)(struct lease_task *task, struct store_txn *txn, struct leased_err *err);
	void (*done)(struct lease_task *task, int result, const struct leased_err *err);
	void (*drop)(struct lease_task *task);
	void (*cancel)(struct lease_task *task); /* leases_free(): who waits is told; or NULL */
	TAILQ_ENTRY(lease_task) entry;
};
TAILQ_HEAD(lease_task_list, lease_task);
void lease_task_submit(struct leases *leases, struct lease_task *task);

/* ---- a lease that something is done to: one operation at a time ---- */

enum lease_doing {
	LEASE_ISSUING,
	LEASE_PROBING, /* preflight */
	LEASE_RENEWING,
	LEASE_ENDING,
	LEASE_LOOKING,     /* an ended account is looked for once more; there is no row */
	LEASE_QUARANTINED, /* only its account is known; it is disarmed, no more */
};

struct lease;
struct lease_request;
typedef int (*lease_run)(struct lease *lease, struct store_txn *txn, struct leased_err *err);
typedef void (*lease_written)(struct lease *lease, int result, const struct leased_err *err);

struct lease {
	struct lease_task task; /* first; while it is under way, row and data are its own */
	unsigned tag;
	enum lease_doing doing;
	enum lease_state state;
	int64_t id, connection; /* id 0: not in the table of operations yet */
	struct store_lease *row;
	struct lease_data data;
	json_t *role; /* a reference: what travels as account.role */
	struct plugin_call *call;
	bool writing;             /* the task is under way */
	bool revoked;             /* marked while this operation was under way */
	bool single;              /* ended alone: a batch with it failed */
	bool urgent;              /* ahead of the others */
	unsigned tries, *counted; /* counted: in its connection's `ending` or `removals`, or NULL */
	bool out, parked;         /* on its way out; in leases->parked */
	bool unrecorded, late;    /* DISARMED is not on disk; who waited was told */
	int64_t retry_ms;         /* parked: the write of GONE is tried again */
	int64_t now_ms, wall_ms;  /* of the transaction */
	lease_run run;
	lease_written written;
	bool hit, cut; /* the transaction's own: it found a mark; a call was cut */
	char handle[65], server[128], mount[LEASE_MOUNT_MAX]; /* the plugin's; for GONE */
	lease_plain_told plain_ended;                         /* for GONE, too */
	json_t *kept; /* a reference: what the mint wants kept, a secret; NULL: see the record */
	struct leased_err failure;
	struct lease_request *request; /* ISSUING, PROBING, RENEWING: who asked */
	TAILQ_ENTRY(lease) all, queue;
	UT_hash_handle hh; /* leases->busy, by id */
};
TAILQ_HEAD(lease_list, lease);

struct lease *lease_from(void *arg);
struct lease *lease_new(struct leases *leases, enum lease_doing doing);
/* From a row (taken in any case); NULL with err. */
struct lease *lease_from_row(
    struct leases *leases, struct store_lease *row, enum lease_doing doing, struct leased_err *err);
/* False: out of memory; nothing may be done to the lease then. */
bool lease_busy_add(struct lease *lease);
void lease_unbusy(struct lease *lease);
struct lease *lease_busy(struct leases *leases, int64_t id);
/* The operation is over: out of every list, freed; what is due of its connection is looked at. */
void lease_release(struct lease *lease);
/* THE function that changes a lease's state. */
void lease_enter(struct lease *lease, enum lease_state to);
/* Submits the lease's task; on_done gets the result. */
void lease_write(struct lease *lease, lease_run run, lease_written done);
/* Inside run: row and data afresh. lease_store() puts them back. */
int lease_reload(struct lease *lease, struct store_txn *txn, struct leased_err *err);
int lease_store(struct lease *lease, struct store_txn *txn, struct leased_err *err);
void lease_put_identity(struct lease *lease); /* once more into data, after a reload */
int lease_role_load(struct lease *lease, struct leased_err *err);
int lease_role_find(struct leases *leases, int64_t id, json_t **ret_data, struct leased_err *err);
/* handle and server of a mint's or a disarm's result; LEASED_EPROTO when they are out of bounds. */
int lease_take_identity(struct lease *lease, const json_t *result, struct leased_err *err);

#endif
