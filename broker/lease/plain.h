/*
 * Leases without a backend: nothing outside has to be made or ended, so that one durable LIVE
 * record comes before the answer and their end is one write. What they stand for (a token, a
 * certificate) is their engine's, which keeps a small object of its own in the record: its member
 * "type" says whose it is. Renewing, revoking, listing and counting are those of every lease.
 */
#ifndef LEASE_PLAIN_H
#define LEASE_PLAIN_H

#include "lease/lease.h"

/*
 * As lease_issue_start(), with issue's engine and fixed; its connection and role_version stay 0.
 * issued.account is issue's and there is no password. LEASED_ETOOBIG: the engine's object is too
 * large.
 */
void lease_plain_start(
    struct leases *leases, const struct lease_issue *issue, lease_issue_done done, void *arg);

/* One that is good at this moment. */
struct lease_plain {
	struct store_lease *row; /* owned */
	const json_t *engine;    /* borrowed from row */
	int64_t issued_wall_ms, expires_wall_ms;
	char role[256], display[129], entity[64];
};
void lease_plain_clear(struct lease_plain *plain);
/*
 * By its row number, on the loop. LEASED_ENOENT, without a text, for every one that is not good:
 * not there, over, revoked (from the commit of its mark on), of a token that has ended, or no lease
 * without a backend. The caller compares what it was given with what the engine kept.
 */
int lease_plain_get(struct leases *leases, int64_t row, struct lease_plain *ret_plain,
    struct leased_err *err) LEASED_MUST_CHECK;

/* For leases_config.plain_ended; borrowed for the call. */
struct lease_plain_ended {
	int64_t row, mount;
	const char *place;
	const json_t *engine; /* may be NULL */
	enum lease_end end;
	int64_t left_ms; /* of its time: above 0 when it ended early */
	int64_t wall_ms; /* now */
};

/* ---- for lease/ itself ---- */
struct lease;
/* In the transaction of GONE. */
int lease_plain_tell(
    const struct lease *lease, struct store_txn *txn, struct leased_err *err) LEASED_MUST_CHECK;

#endif
