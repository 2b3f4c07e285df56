/*
 * A simulated leased: lease/ on an inline store, a fake backend and a fake clock, with everything
 * that happens drawn from one seed. sim.c moves time and holds the oracle, sim_acts.c is what
 * happens. A run is a function of its seed and its bounds: it gives the same trace again.
 */
#ifndef LEASE_SIM_H
#define LEASE_SIM_H

#include "unit/lease/fixture_reconcile.h"

#define SIM_DAY_MS INT64_C(86400000)
#define SIM_JOBS_MAX 64
#define SIM_TOKENS_MAX 128

/* One lease that was asked for, until it is gone and nobody is to be answered any more. */
struct tracked {
	struct answer issue, renewal, end;
	int64_t earliest_ms; /* it may not end before, unless it is revoked; lease time */
	int64_t latest_ms;   /* .. nor be in use much after, in quiet times */
	int64_t renew_ms;    /* the renewal under way: its end at the earliest */
	uint64_t changes;    /* of its row, when that was read last */
	bool issuing, renewing, ending;
	bool revoked; /* a revocation was answered */
	bool may_end; /* somebody tried to end it */
	bool plain;   /* without a backend */
};

struct sim_bounds {
	uint64_t seed;
	unsigned steps;  /* at most */
	int64_t span_ms; /* 0: dense, all at once; else so much time, with long pauses */
};

struct sim {
	struct sim_bounds bounds;
	struct fix *f;
	struct id_source_seeded random;
	struct tracked **leases; /* in the order in which they were asked for */
	unsigned count, size;
	struct answer *jobs[SIM_JOBS_MAX]; /* not answered yet */
	unsigned jobs_count;
	int64_t tokens[SIM_TOKENS_MAX];
	unsigned tokens_count;
	int64_t latest_ms;   /* lease time at its highest: what had ended stays ended */
	int64_t troubled_ms; /* when something last went wrong */
	int64_t begun_ms;    /* boot time */
	struct told told;    /* of a reconcile by hand */
	bool reconciling;
	char gone[64]; /* an account whose lease is over */
	unsigned restores;
	bool down, moved;
	unsigned faults; /* that wait for a call to strike */
	uint64_t trace;
	/* what there was */
	unsigned steps, crashes, reboots, moves, store_faults, minted, refused, retired;
};

/* Runs it; every violation fails the test. *ret_sim has the figures, and nothing to be freed. */
void sim_run(const struct sim_bounds *bounds, struct sim *ret_sim);

/* ---- between the files ---- */

unsigned sim_pick(struct sim *s, unsigned n); /* 0 .. n - 1 */
void sim_trace(struct sim *s, const char *what, int64_t value);
void sim_trouble(struct sim *s); /* from now on, for a while, ends may be late */
struct tracked *sim_add(struct sim *s);
/* Moves the clock, no further at once than what is due next; turns the wheels each time. */
void sim_pass(struct sim *s, int64_t ms);
void sim_hung_calls_end(struct sim *s);

void sim_act(struct sim *s); /* one thing happens */
void sim_heal(struct sim *s);
/* What a restored backend brought back goes on command, at rest. */
void sim_reconcile_all(struct sim *s);

#endif
