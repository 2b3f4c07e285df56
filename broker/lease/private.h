/*
 * What the files of lease/ share. Everything runs on the loop except `run` functions of tasks,
 * which run on the store's writer thread and touch only their own task.
 */
#ifndef LEASE_PRIVATE_H
#define LEASE_PRIVATE_H

#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1 /* what was not added has hh.tbl NULL */
#include <uthash.h>

#include "lease/lease.h"
#include "lease/record.h"

#define LEASE_FAR_MS (INT64_MAX / 4) /* next_at of what has no end, or is a job's */
#define LEASE_MINT_MS 10000          /* design.md section 4: the mint's deadline .. */
#define LEASE_INTENT_MS 12000        /* .. and when an INTENT is overdue */
#define LEASE_CANARY_MS 60000
#define LEASE_BATCH_MAX 64
#define LEASE_ENDING_MAX 256 /* leases of one connection in memory on their way out */

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
	LEASE_LOOKING, /* an ended account is looked for once more; there is no row */
};

struct lease;
struct lease_batch;
struct lease_connection;
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
	bool writing; /* the task is under way */
	bool revoked; /* marked while this operation was under way */
	bool single;  /* ended alone: a batch with it failed */
	bool urgent;
	unsigned tries;
	bool counted; /* in its connection's `ending` */
	bool parked;
	bool unrecorded;         /* its DISARMED could not be written */
	int64_t retry_ms;        /* parked: the write of GONE is tried again */
	int64_t now_ms, wall_ms; /* of the transaction */
	lease_run run;
	lease_written written;
	bool hit, cut;                /* the transaction's own: it found a mark; a call was cut */
	char handle[65], server[128]; /* what the plugin answered */
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
/* {"name","handle"?,"server"?,"role","failed_mint"?}; NULL: out of memory. */
json_t *lease_account(const struct lease *lease);
/* Once more into data, after a reload. */
void lease_put_identity(struct lease *lease);
int lease_role_load(struct lease *lease, struct leased_err *err);
int lease_role_find(struct leases *leases, int64_t id, json_t **ret_data, struct leased_err *err);
/* "2026-11-23T02:43:50Z", the wall time of the lease's end plus slack. */
void lease_native_expiry(struct leases *leases, int64_t end_ms, char *ret_text, size_t size);
/* handle and server of a mint's or a disarm's result; LEASED_EPROTO when they are out of bounds. */
int lease_take_identity(struct lease *lease, const json_t *result, struct leased_err *err);

/* ---- requests: issue, preflight, renew; answered once, never before the start returns ---- */

struct lease_request {
	struct leases *leases;
	lease_issue_done on_issued;
	lease_done on_probed;
	lease_renew_done on_renewed;
	void *arg;
	int code; /* a refusal that waits for the next tick */
	struct leased_err err;
	struct lease_ttl_input ttl;
	int64_t ttl_s, expires_ms;
	char warning[256];
	char what[LEASE_CAPS_MAX][128];
	int64_t limit[LEASE_CAPS_MAX];
	char *template;
	unsigned name_max;
	char name_random[65], display[129];
	const char *tag; /* the store's, fixed for its life */
	int64_t unix_s;
	struct leased_secret *password;
	TAILQ_ENTRY(lease_request) entry;
};
TAILQ_HEAD(lease_request_list, lease_request);
void lease_request_free(struct lease_request *request);
/* Answers with a failure at the next tick, and frees. */
void lease_request_refuse(struct lease_request *request, int code, const struct leased_err *err);
void lease_request_answer(
    struct lease_request *request, int code, const struct leased_err *err, struct lease *lease);
/* Memory is out and there is no request: done is called at the next tick all the same. */
struct lease_dones {
	lease_issue_done on_issued;
	lease_done on_probed;
	lease_renew_done on_renewed;
	lease_revoke_done on_revoked;
	lease_job_done on_job;
};
void lease_nomem_add(struct leases *leases, struct lease_dones dones, void *arg);
void lease_refusals_run(struct leases *leases);

/* ---- connections ---- */

struct lease_session {
	char worker[64], session[160];
	bool inherited; /* of an earlier run */
	bool dead;      /* to be reaped */
	bool reaping, stored;
	TAILQ_ENTRY(lease_session) entry;
};
TAILQ_HEAD(lease_session_list, lease_session);

struct lease_connection {
	unsigned tag;
	struct leases *leases;
	int64_t id;
	int64_t due_ms; /* when the sweep looks at the store again */
	bool sweeping;  /* in the middle of the due rows: from_ms and after are the last seen */
	int64_t from_ms, after;
	struct lease_list disarming, removing; /* queues */
	unsigned ending;                       /* leases of it that are ENDING or LOOKING */
	uint64_t overdue, overdue_seen;        /* due rows: as of the last sweep, and of this one */
	unsigned calls, mints;                 /* under way */
	bool removed_last;
	int64_t account_us; /* what ending one account takes, smoothed */
	unsigned fails;     /* of the connection, in a row */
	int64_t pause_ms;   /* lease time: no call of ours before */
	bool sessions_read;
	bool fence_all; /* memory was out for a fence: nobody passes before all dead are reaped */
	struct lease_session_list sessions;
	struct plugin_call *reap_call;
	unsigned reap_fails;
	int64_t reap_ms;
	UT_hash_handle hh;
};
struct lease_connection *lease_connection_get(struct leases *leases, int64_t id);
struct plugin_port *lease_connection_port(struct lease_connection *connection);
void lease_connection_due(struct lease_connection *connection, int64_t at_ms);
void lease_connections_due(struct leases *leases);
void lease_connection_free(struct lease_connection *connection);
/* 1 s, 2 s, .. 60 s by the count of failures, with jitter. */
int64_t lease_back_off_ms(struct leases *leases, int64_t fails);

/* ---- fences against zombies (session.c) ---- */
/* A call on the lease's account was cut: its worker's sessions are reaped before it is disarmed. */
void lease_fence(struct lease *lease, const struct plugin_outcome *outcome);
bool lease_fenced(struct leases *leases, const struct store_lease *row, const char *run);
void lease_fence_drop(struct leases *leases, int64_t id);
void lease_sessions_step(struct lease_connection *connection, int64_t now_ms);
void lease_sessions_clear(struct leases *leases);

/* ---- the way out: expiry.c finds, end.c does, end_write.c records ---- */
/* True when there is more to do at once. */
bool lease_sweep(struct lease_connection *connection, int64_t now_ms);
/* The row ends now, ahead of the others, unless something is under way on it (then after that). */
void lease_end_kick(struct leases *leases, int64_t id);
/* The operation in hand becomes its lease's end; it waits for a fence by the timer. */
void lease_end_take(struct lease *lease);
void lease_end_pump(struct lease_connection *connection);
void lease_end_queue(struct lease *lease);
void lease_end_disarmed(struct lease *lease, const json_t *result);
void lease_end_removed(struct lease *lease);
void lease_end_refused(struct lease *lease, const struct leased_err *why);
void lease_end_parked(struct leases *leases, int64_t now_ms);
void lease_end_clear(struct leases *leases);
void lease_looks(struct leases *leases, int64_t now_ms);
/* In a transaction: gives back what the lease holds of its caps; all, or all but the ceiling. */
int lease_caps_give(
    struct lease_data *data, struct store_txn *txn, bool all, struct leased_err *err);
/* The mint's outcome is in the row from now on (mint.c). */
void lease_mint_start(struct lease *lease);
int lease_revoked_run(
    struct lease *lease, const char *cause, struct store_txn *txn, struct leased_err *err);
/* Deletes the row with its tombstone. */
int lease_gone_run(struct lease *lease, struct store_txn *txn, struct leased_err *err);

/* ---- marks and waiting (revoke.c, wait.c) ---- */
void lease_mark(struct leases *leases, int64_t id, const char *cause);
struct lease_waiter;
typedef void (*lease_waited)(void *arg, enum lease_revoke_state state, const struct leased_err *);
/* NULL: out of memory. on_refusal: also a refused disarm ends the waiting (preflight). */
struct lease_waiter *lease_wait(struct leases *leases, int64_t id, int64_t until_ms,
    bool on_refusal, lease_waited done, void *arg);
void lease_wait_disarmed(struct leases *leases, int64_t id, bool recorded);
void lease_wait_refused(
    struct leases *leases, int64_t id, bool disarmed, const struct leased_err *why);
/* Something failed that is tried again: for the reason in the answer, should the time run out. */
void lease_wait_noted(struct leases *leases, int64_t id, const struct leased_err *why);
void lease_wait_gone(struct leases *leases, int64_t id, const struct leased_err *unrecorded);
void lease_wait_cancel(struct lease_waiter *waiter);
int64_t lease_waits_step(struct leases *leases, int64_t now_ms); /* next deadline */
void lease_waits_clear(struct leases *leases);

/* ---- jobs ---- */
/* In a transaction: is the row covered by a bulk job, or its token ending? */
int lease_job_hits(struct store_txn *txn, const struct store_lease *row,
    const struct lease_data *data, int64_t now_ms, bool *ret_hit, struct leased_err *err);
int lease_jobs_load(struct leases *leases, struct leased_err *err);
bool lease_jobs_step(struct leases *leases, int64_t now_ms); /* true: more at once */
bool lease_jobs_idle(const struct leases *leases);
void lease_jobs_clear(struct leases *leases);
/* The timer row of a token is due. */
void lease_token_due(struct leases *leases, const struct store_lease *row);

/* ---- lease time ---- */
int lease_time_open(struct leases *leases, struct leased_err *err);
void lease_time_tick(struct leases *leases);

/* ---- names ---- */
#define LEASE_ACCOUNT_SIZE 256
struct lease_name {
	const char *template; /* NULL: the default form */
	const char *tag, *role, *display, *random;
	int64_t sequence, unix_s;
	unsigned name_max;
};
int lease_name_format(
    const struct lease_name *name, char ret_account[LEASE_ACCOUNT_SIZE], struct leased_err *err);

/* ---- all of it ---- */

struct lease_time {
	int64_t offset_ms; /* lease time = boot time + offset */
	bool waiting;      /* after a reboot, until the wall clock is confirmed */
	bool behind;       /* .. and it stands before the anchor: waits without an end */
	int64_t ref_lease_ms, ref_wall_ms, since_boot_ms;
	int64_t stored_boot_ms;
	bool storing;
};

#define LEASE_NOMEM_MAX 256
#define LEASE_DELIVERED_MAX 512
#define LEASE_ROLES_MAX 64
struct lease_role;
struct lease_fence;
struct lease_job;
TAILQ_HEAD(lease_job_list, lease_job);

struct leases {
	unsigned tag;
	struct leases_config config;
	char run[9]; /* this run's mark in INTENT rows */
	struct lease_time time;
	struct lease_task_list tasks;
	struct lease_list all, parked;
	struct lease *busy;
	struct lease_connection *connections;
	struct lease_request_list refused;
	struct {
		struct lease_dones dones;
		void *arg;
	} nomem[LEASE_NOMEM_MAX];
	unsigned nomem_count;
	int64_t delivered[LEASE_DELIVERED_MAX];
	unsigned delivered_count;
	struct lease_role *roles;
	TAILQ_HEAD(, lease_fence) fences; /* a few: the calls that were cut */
	TAILQ_HEAD(, lease_waiter) waiting;
	struct lease_job_list jobs;
	TAILQ_HEAD(, lease_batch) batches;
	int64_t look_ms, purge_ms;
	bool purging, opened, freeing;
};
struct leases *leases_from(void *arg);
void lease_wake(struct leases *leases);
void lease_roles_clear(struct leases *leases);
void lease_delivered_flush(struct leases *leases);
/* leases_free() as a crash: what is queued in the store is lost, as far as it has not run. */
void leases_crash(struct leases *leases);

#endif
