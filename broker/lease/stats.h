/*
 * What lease/ counts for whoever watches the daemon: how late ends are, what kept them, how long
 * mints take. Counting costs an increment; what has to be looked up in the store is counted by
 * count.c every 15 s.
 */
#ifndef LEASE_STATS_H
#define LEASE_STATS_H

#include "lease/lease.h"
#include "metrics/page.h"

struct lease_connection_stats {
	/* As of the last count. */
	uint64_t leases;  /* rows, whatever their state */
	uint64_t overdue; /* of these: ended, and not yet disarmed or not yet removed */
	int64_t oldest_overdue_ms;
	/* Now, in memory. */
	unsigned disarming, removing;
	/* Since the start: failures that kept accounts from their end; and the last one, also of
	 * earlier runs as far as the rows tell. 0: none. */
	uint64_t end_failures;
	int error_code;
	int64_t error_wall_ms;
};
/* All 0 for a connection that has no lease. */
void leases_connection_stats(
    struct leases *leases, int64_t id, struct lease_connection_stats *ret_stats);

/* Is what an earlier run left under way still being ended? Only of backends that answer, and for 2
 * minutes at most: a dead one must not make the daemon look unready. */
bool leases_are_recovering(struct leases *leases);
/* After a reboot: ending leases waits until the wall clock is confirmed. */
bool leases_clock_is_confirmed(const struct leases *leases);

/* The families that are of all leases, not of a connection. */
void leases_metrics(struct leases *leases, struct metrics_page *page);

/* ---- inside of lease/ ---- */

struct lease;
struct lease_connection;
struct lease_request;

void lease_stats_issued(const struct lease_request *request, int code);
/* The backend said that its access is over. */
void lease_stats_disarmed(const struct lease *lease);
void lease_stats_gone(const struct lease *lease);
void lease_stats_end_failed(struct lease_connection *connection, int code);

#endif
