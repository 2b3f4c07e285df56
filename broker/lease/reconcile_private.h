/*
 * What the files of reconcile share: reconcile.c (a run), reconcile_when.c (when one begins, and
 * who waits for it), reconcile_compare.c (a page against the store), reconcile_act.c (what is done
 * about it), reconcile_remake.c (what the backend has lost), reconcile_report.c (what is told).
 */
#ifndef LEASE_RECONCILE_PRIVATE_H
#define LEASE_RECONCILE_PRIVATE_H

#include "lease/reconcile_page.h"

#define RECONCILE_PLACE "reconcile"

/* ---- a run (reconcile.c) ---- */

enum reconcile_step {
	RECONCILE_NOTING,    /* that it is to be done again after a crash */
	RECONCILE_LISTING,   /* the backend is asked */
	RECONCILE_COMPARING, /* the store is */
	RECONCILE_AGAIN,     /* the same page, in a moment */
	RECONCILE_ENDING,    /* what is known as ended is disarmed, or all orphans get leases */
	RECONCILE_REMAKING,  /* what a volatile backend has lost is made anew */
	RECONCILE_WAITING,   /* for the end of these leases */
	RECONCILE_CLEARING,  /* the note */
	RECONCILE_OVER,
	RECONCILE_STEP_COUNT
};

struct reconcile_task;
struct reconcile_wait;
struct reconcile_remake;
struct reconcile_run {
	unsigned tag;
	struct lease_connection *connection;
	struct reconcile_report *report;
	char accessor[25], cause[129], server[128];
	enum reconcile_step step;
	struct plugin_call *call;
	struct reconcile_page *page; /* the reader has it while `reading` */
	struct reconcile_task *task;
	struct reconcile_wait *wait;
	struct reconcile_remake *remake; /* the account that is being made anew */
	bool reading;
	unsigned again;
	size_t at, batch; /* accounts of the page (or missing ones) that have been dealt with; of
			     the former, under way */
	unsigned singles; /* a batch failed as a whole: one at a time; how many failed so */
	bool single;
	int64_t next_ms, until_ms;
	int64_t first_row, last_row; /* of the leases that orphans got */
	/* Ours; then, up to its highest number, the one that a restored store had before. */
	char of_tag[8], after[LEASE_ACCOUNT_SIZE];
	int64_t high_most;
	bool of_old_tag;
};
struct reconcile_run *lease_reconcile_run_from(void *arg);
void lease_reconcile_run_start(struct lease_connection *connection, struct reconcile_report *report,
    const char *accessor, const char *cause);
void lease_reconcile_run_step(struct reconcile_run *run, int64_t now_ms);
/* Without a word to anybody: the connection goes. */
void lease_reconcile_run_free(struct reconcile_run *run);
/* What was under way came to an end; a failure ends the run. */
void lease_reconcile_run_noted(struct reconcile_run *run, int result, const struct leased_err *err);
void lease_reconcile_run_acted(struct reconcile_run *run);
void lease_reconcile_run_fail(struct reconcile_run *run, int code, const struct leased_err *err);

/* ---- what is done about a page (reconcile_act.c) ---- */

/* Submits what is to be done about run->page; lease_reconcile_run_acted() or _fail() follows, also
 * before it returns. */
void lease_reconcile_act(struct reconcile_run *run);
/* Its two halves: all accounts of the page without a lease get one (reconcile_fix.c); then those
 * from run->at on that are to be disarmed are. */
void lease_reconcile_fix(struct reconcile_run *run);
void lease_reconcile_disarm(struct reconcile_run *run);
/* Is the account of this lease to be expected on the server that the run is about? */
bool lease_reconcile_is_here(
    const struct reconcile_run *run, const struct reconcile_missing *missing);
/* Those of the page's missing accounts from run->at on, one by one (reconcile_remake.c);
 * lease_reconcile_run_acted() or _fail() follows, also before it returns. */
void lease_reconcile_remake(struct reconcile_run *run);
void lease_reconcile_remake_drop(struct reconcile_remake *remake);
/* lease_reconcile_run_noted() follows. False: out of memory. */
bool lease_reconcile_note(struct reconcile_run *run, bool wanted);
/* Did an earlier run of the daemon begin to fix, and not end it? By whom. */
bool lease_reconcile_note_read(
    struct leases *leases, int64_t connection, char *ret_by, size_t size);
void lease_reconcile_task_drop(struct reconcile_task *task);
/* Counts the leases of orphans that are not gone; lease_reconcile_run_waited() follows. */
bool lease_reconcile_wait_start(struct reconcile_run *run);
void lease_reconcile_run_waited(struct reconcile_run *run, uint64_t total, uint64_t late);
void lease_reconcile_wait_drop(struct reconcile_wait *wait);

/* ---- when (reconcile_when.c) ---- */

struct lease_reconciling { /* of a connection */
	struct reconcile_run *run;
	struct reconcile_report *last, *by_hand; /* the latest, and the latest by hand */
	uint64_t unknown, missing, rearmed;      /* in the metrics: of the last that went through */
	struct reconcile_report *wanted;         /* by hand, not begun */
	char wanted_accessor[25], wanted_cause[129];
	int64_t due_ms, since_ms; /* by itself: 0: not; since: it was due and could not begin */
	const char *why;
	bool remake; /* the backend may have lost accounts since the last run began */
	unsigned fails;
	char incarnation[128]; /* of the backend, as the last ping said it; "" before */
	int64_t ping_ms;       /* 0: no need to ask */
	struct plugin_call *ping;
};
struct lease_reconciling *lease_reconciling_of(
    struct lease_connection *connection); /* NULL: no memory */
void lease_reconcile_when_finished(
    struct lease_connection *connection, const struct reconcile_report *report);
/* The metrics of a connection that goes forget it (reconcile_report.c). */
void lease_reconcile_uncount(struct leases *leases, struct lease_reconciling *own);

#endif
