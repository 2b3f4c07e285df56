/*
 * What lease/ keeps of a configured connection, and the fences against zombies on it.
 */
#ifndef LEASE_CONNECTION_H
#define LEASE_CONNECTION_H

#include "lease/object.h"
#include "lease/pace.h"
#include "lease/stats.h"

struct lease_session {
	char worker[64], session[160];
	bool inherited; /* of an earlier run */
	bool dead;      /* to be reaped */
	bool reaping;
	bool unrecorded; /* in use all the same: the disk is full */
	TAILQ_ENTRY(lease_session) entry;
};
TAILQ_HEAD(lease_session_list, lease_session);

struct lease_reconciling;

struct lease_connection {
	unsigned tag;
	struct leases *leases;
	int64_t id;
	int64_t due_ms; /* when the sweep looks at the store again */
	bool sweeping;  /* in the middle of the due rows: from_ms and after are the last seen */
	int64_t from_ms, after;
	unsigned passed_over; /* by this sweep: disarmed, and no room for their removal yet */
	int64_t hasten_ms; /* what failed and waits until then at most is tried now; 0: nothing */
	bool left_over_ended, left_over_seen;  /* INTENTs of earlier runs: all, in this sweep */
	struct lease_list disarming, removing; /* queues */
	unsigned ending, removals;             /* leases of it to be disarmed; to be removed */
	struct lease_pace pace;                /* of batches and mints */
	unsigned fails;                        /* of the connection, in a row */
	int64_t pause_ms;                      /* lease time: no call of ours before */
	bool sessions_read;
	bool fence_all; /* memory was out for a fence: nobody passes before all dead are reaped */
	struct lease_session_list sessions;
	struct plugin_call *reap_call;
	unsigned reap_fails;
	int64_t reap_ms, record_ms;
	struct lease_connection_stats stats;   /* but for what is asked for each time */
	bool from_start;                       /* it had rows when this run began */
	struct lease_reconciling *reconciling; /* NULL: nothing was compared yet */
	bool gone; /* there is no such connection any more, and no lease of it */
	UT_hash_handle hh;
};
/* Makes it when there is none; NULL: out of memory. */
struct lease_connection *lease_connection_get(struct leases *leases, int64_t id);
struct lease_connection *lease_connection_find(struct leases *leases, int64_t id);
struct plugin_port *lease_connection_port(struct lease_connection *connection);
/* Why there is no port: fills err and returns its code. */
int lease_port_absent(struct leases *leases, int64_t connection, struct leased_err *err);
bool lease_connection_ready(struct lease_connection *connection); /* its port takes calls */
void lease_connection_due(struct lease_connection *connection, int64_t at_ms);
void lease_connections_due(struct leases *leases);
/* In *counter from now on and in no other; NULL: in none. */
void lease_count_in(struct lease *lease, unsigned *counter);
/* It can be freed, which only the tick does: elsewhere callers may still hold it. */
bool lease_connection_is_over(const struct lease_connection *connection);
void lease_connection_free(struct lease_connection *connection);
/* What was refused is tried once more now: a person may have mended the reason. */
void lease_connection_hasten(struct lease_connection *connection);
/* 1 s, 2 s, .. 60 s by the count of failures, with jitter. */
#define LEASE_BACK_OFF_MAX_MS 60000
int64_t lease_back_off_ms(struct leases *leases, int64_t fails);

/* ---- fences against zombies (session.c) ---- */
/* A call on the lease's account was cut: its worker's sessions are reaped before it is disarmed. */
void lease_fence(struct lease *lease, const struct plugin_outcome *outcome);
bool lease_fenced(
    struct leases *leases, const struct store_lease *row, const struct lease_data *data);
/* By a call of this run: while its worker's sessions are not reaped. */
bool lease_fence_holds(struct lease_connection *connection, int64_t id);
void lease_fence_drop(struct leases *leases, int64_t id);
void lease_fences_forget(struct lease_connection *connection);
/* Those of earlier runs are read once for each connection; false: not known yet, nobody may pass.
 */
bool lease_sessions_known(struct lease_connection *connection);
struct lease_session *lease_session_add(
    struct lease_connection *connection, const char *worker, const char *session); /* or NULL */
struct lease_session *lease_session_find(
    struct lease_connection *connection, const char *worker, const char *session);
/* A worker's sessions of now are to be reaped. */
void lease_sessions_die(struct lease_connection *connection, const char *worker);
/* False: mints must wait. */
bool lease_sessions_recorded(const struct lease_connection *connection);
void lease_sessions_step(struct lease_connection *connection, int64_t now_ms);
void lease_sessions_clear(struct leases *leases);
/* Those in memory, with the fences that wait for them. */
void lease_sessions_forget(struct lease_connection *connection);

#endif
