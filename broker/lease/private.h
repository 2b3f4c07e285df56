/*
 * All leases of a store, as the files of lease/ see them; brings their other headers along.
 */
#ifndef LEASE_PRIVATE_H
#define LEASE_PRIVATE_H

#include "lease/account.h"
#include "lease/connection.h"
#include "lease/delivery.h"
#include "lease/end.h"
#include "lease/object.h"
#include "lease/name.h"
#include "lease/reconciling.h"
#include "lease/remember.h"
#include "lease/request.h"

#define LEASE_FAR_MS (INT64_MAX / 4) /* next_at of what has no end, or is a job's */
#define LEASE_MINT_MS 10000          /* DESIGN.md: the mint's deadline .. */
#define LEASE_INTENT_MS 12000        /* .. and when an INTENT is overdue */
#define LEASE_CANARY_MS 60000
#define LEASE_QUARANTINE_RETRY_MS 60000 /* next_at of a quarantined account that was tried */
#define LEASE_POLL_MS 200               /* while rows are due that nothing can be done about yet */

/* ---- jobs ---- */
/* In a transaction: is the row covered by a bulk job, or its token ending? */
int lease_job_hits(struct store_txn *txn, const struct store_lease *row,
    const struct lease_data *data, int64_t now_ms, bool *ret_hit, struct leased_err *err);
/* The next page of those in the store. */
int lease_jobs_load(struct leases *leases, struct leased_err *err);
bool lease_jobs_room(const struct leases *leases);              /* for a page of due tokens */
int64_t lease_jobs_step(struct leases *leases, int64_t now_ms); /* when it wants to be called */
void lease_jobs_clear(struct leases *leases);
/* The timer row of a token is due: its job is made, once however often this is said. */
void lease_token_due(struct leases *leases, const struct store_lease *row);

/* ---- counts ---- */
void lease_count_step(struct leases *leases, int64_t now_ms);
void lease_count_clear(struct leases *leases);

/* ---- recount of caps ---- */
void lease_recount_step(struct leases *leases, int64_t now_ms);
/* In the transaction that gave row's counter back. */
int lease_recount_gave(
    struct store_txn *txn, int64_t row, const char *counter, struct leased_err *err);

/* ---- lease time ---- */
int lease_time_open(struct leases *leases, struct leased_err *err);
void lease_time_tick(struct leases *leases);
void lease_time_stop(struct leases *leases);

/* ---- all of it ---- */

struct lease_time {
	int64_t offset_ms; /* lease time = boot time + offset */
	bool waiting;      /* after a reboot, until the wall clock is confirmed */
	bool behind;       /* .. and it stands before the anchor: waits without an end */
	int64_t ref_lease_ms, ref_wall_ms, since_boot_ms;
	int64_t stored_boot_ms, opened_ms; /* opened: lease time when this run began */
	bool storing;
};

#define LEASE_NOMEM_MAX 256

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
	struct lease_deliveries deliveries;
	struct lease_unmarked unmarked;
	struct lease_role *roles;
	TAILQ_HEAD(, lease_fence) fences; /* a few: the calls that were cut */
	TAILQ_HEAD(, lease_waiter) waiting;
	struct lease_job *jobs;               /* of this run, by id */
	struct lease_job_start *token_starts; /* on their way to the store, by token */
	unsigned jobs_active;                 /* both, but for jobs that are through */
	int64_t jobs_after;                   /* the store's up to here have been taken up .. */
	bool jobs_missed;                     /* .. and there are more */
	TAILQ_HEAD(, lease_batch) batches;
	struct lease_counts counts; /* as of the last count */
	struct lease_count *counting;
	struct {
		int64_t at_ms, begun_ms; /* the next page; the pass */
		bool running, busy;
	} recount;
	struct lease_remembered remembered[LEASE_REMEMBERED_MAX]; /* by row number */
	size_t remembered_bytes, remembered_hand;                 /* the next to make room */
	struct lease_reconcile_job reconcile_job;
	struct lease_reconcile_counts reconcile_counts;
	bool templates_noted;
	int64_t overdue_told_ms; /* 0: nothing to tell */
	int64_t look_ms, purge_ms, quarantine_ms, count_ms, held_count_ms, jobs_load_ms;
	int64_t tokens_pause_ms;
	bool purging, opened, freeing;
};
/* Without a backend: see plain.h. */
static inline bool
lease_is_plain(const struct lease *lease)
{
	return (lease->row != NULL && lease->row->kind == STORE_LEASE_PLAIN);
}
struct leases *leases_from(void *arg);
void lease_wake(struct leases *leases);
void lease_roles_clear(struct leases *leases);
/* leases_free() as a crash: what is queued in the store is lost, as far as it has not run. */
void leases_crash(struct leases *leases);

#endif
