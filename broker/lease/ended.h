/*
 * Leases that have ended, as their tombstones tell it for a day (ended.c). A tombstone is written
 * once, with GONE, and never changes.
 */
#ifndef LEASE_ENDED_H
#define LEASE_ENDED_H

#include "lease/lease.h"

struct lease;
struct lease_data;

#define LEASE_ENDED_FORMAT 1
#define LEASE_ENDED_MS (INT64_C(24) * 3600 * 1000)

struct lease_ended {
	int64_t row, connection; /* the store's; not in the sealed data */
	char account[256];

	int64_t format, kind, mount, role_version, end; /* end: enum lease_end */
	int64_t issued_wall_ms, expires_wall_ms, renewed_wall_ms, disarmed_wall_ms, gone_wall_ms;
	bool failed_mint, delivered;
	/* The id's parts as text: the mount may be gone by the time that somebody asks. */
	char mount_path[LEASE_MOUNT_MAX], place[LEASE_ID_MAX], random[STORE_LEASE_RANDOM_LEN + 1];
	char owner[64], entity[64], role[256], handle[65], server[128];
	char cause[129], revoke_cause[129]; /* of its issue; of its end */
	char end_by[129], end_accessor[25];
	char reason[241]; /* ABANDONED: the person's */
};

/*
 * The tombstone of a lease id that ended within the last 24 h; LEASED_ENOENT for every other one
 * alike, whoever asks: as lease_find() for rows. Whose it was is for the caller to compare. Free
 * with free().
 */
int lease_ended_find(struct leases *leases, const char *lease_id, struct lease_ended **ret_ended,
    struct leased_err *err) LEASED_MUST_CHECK;
/* What lookup says of it: the fields of lease_describe() as far as they still mean something, and
 * how it ended. with_accessor: also of whom. NULL: out of memory. */
json_t *lease_ended_describe(const struct lease_ended *ended, bool with_accessor);

/* What ended it, in one word, as lease_ended_describe() says it: "expired", "token_ended". */
const char *lease_ended_cause(const struct lease_ended *ended);

/* The same of an enum lease_end. */
const char *lease_end_text(int64_t end);

/* ---- inside of lease/ ---- */

/* What ends, or has ended, one that something is done to. */
enum lease_end lease_ended_end(const struct lease *lease);

struct lease_id_parts {            /* borrowed from the id */
	const char *path, *random; /* mount and place without the last '/'; 16 characters */
	size_t path_len;
	int64_t row;
};
bool lease_id_split(const char *lease_id, struct lease_id_parts *ret_parts);

/* In the transaction of GONE; row, connection and account are the store's to keep. */
void lease_ended_fill(const struct lease *lease, struct lease_ended *ret_ended);
/* The tombstone's data. NULL: out of memory. */
json_t *lease_ended_encode(const struct lease_ended *ended);
/* LEASED_ENOENT for a tombstone of a version that did not keep enough. */
int lease_ended_decode(
    const json_t *data, struct lease_ended *ret_ended, struct leased_err *err) LEASED_MUST_CHECK;
/* Notes what ends a lease. The first word counts: what is being ended already, or is over its time,
 * is not ended by whoever asks once more. */
void lease_data_end(struct lease_data *data, enum lease_end end, const char *cause,
    const struct lease_actor *actor, int64_t now_ms);

#endif
