/*
 * The way out of every lease (expiry.c finds, end.c does, end_write.c records), and who waits for
 * it.
 */
#ifndef LEASE_END_H
#define LEASE_END_H

#include "lease/connection.h"

/* Leases of one connection in memory on their way out. What waits for its removal, or for the disk,
 * holds up no disarm. */
#define LEASE_ENDING_MAX 256
#define LEASE_REMOVALS_MAX 1024

/* True when there is more to do at once. */
bool lease_sweep(struct lease_connection *connection, int64_t now_ms);
/* From the front, at once: what was passed over may go on now. */
void lease_sweep_anew(struct lease_connection *connection);
/* The row ends now, ahead of the others, unless something is under way on it (then after that). */
void lease_end_kick(struct leases *leases, int64_t id);
/* The operation in hand becomes its lease's end; it waits for a fence by the timer. */
void lease_end_take(struct lease *lease);
/* When to be called again if nothing else happens: LEASE_FAR_MS, or the end of a rest. */
int64_t lease_end_pump(struct lease_connection *connection);
void lease_end_queue(struct lease *lease);
void lease_end_disarmed(struct lease *lease, const json_t *result);
void lease_end_removed(struct lease *lease);
void lease_end_refused(struct lease *lease, const struct leased_err *why);
void lease_end_parked(struct leases *leases, int64_t now_ms);
void lease_end_clear(struct leases *leases);
/* Its disarm or remove came to an end; failure says how. */
void lease_look_over(struct lease *lease);
void lease_looks(struct leases *leases, int64_t now_ms);
/* What is left to do of a disarmed lease whose record is damaged. */
void lease_damaged_why(const char *account, struct leased_err *ret_why);
struct lease_ended;
/* What is known of one for its tombstone; mount: the path of its mount, "" when unknown. */
void lease_damaged_ended(const struct store_damaged *damaged, const char *mount, int64_t wall_ms,
    struct lease_ended *ret_ended);
/* In a transaction: gives back what the lease holds of its caps; all, or all but the ceiling. */
int lease_caps_give(struct lease *lease, struct store_txn *txn, bool all, struct leased_err *err);
/* The mint's outcome is in the row from now on (mint.c). */
void lease_mint_start(struct lease *lease);
int lease_revoked_run(struct lease *lease, enum lease_end end, const char *cause,
    struct store_txn *txn, struct leased_err *err);
/* The same for what lease_job_hits() found, or what was marked or over its time meanwhile. */
int lease_hit_run(
    struct lease *lease, const char *cause, struct store_txn *txn, struct leased_err *err);
/* Deletes the row with its tombstone. */
void lease_gone_write(struct lease *lease, lease_written done);

/* ---- marks and waiting (revoke.c, wait.c) ---- */
/* Nobody waits for it, so that it is tried until it is on disk. cause: a literal. */
void lease_mark(struct leases *leases, int64_t id, enum lease_end end, const char *cause);
/* What the store did not take. */
#define LEASE_UNMARKED_MAX 1024
struct lease_unmarked {
	struct {
		int64_t id;
		enum lease_end end;
		const char *cause; /* a literal */
	} entries[LEASE_UNMARKED_MAX];
	unsigned count, trying; /* trying: more, which are submitted just now */
	int64_t retry_ms;
};
/* Submits them again when it is time. */
void lease_unmarked_step(struct leases *leases, int64_t now_ms);
/* So many that nothing more may be handed out. */
bool lease_unmarked_many(const struct leases *leases);
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
/* A person dropped its record: it is not gone, and nobody waits for that any more. */
void lease_wait_abandoned(struct leases *leases, int64_t id);
void lease_wait_cancel(struct lease_waiter *waiter);
int64_t lease_waits_step(struct leases *leases, int64_t now_ms); /* next deadline */
void lease_waits_clear(struct leases *leases);

#endif
