/*
 * A page of a backend's accounts compared with the store (reconcile_compare.c), and the report that
 * its findings go into (reconcile_report.c). Inside of reconcile.
 */
#ifndef LEASE_RECONCILE_PAGE_H
#define LEASE_RECONCILE_PAGE_H

#include "lease/private.h"

#define RECONCILE_FINDINGS_MAX 1000
#define RECONCILE_MISSING_MAX 256

enum reconcile_what {
	RECONCILE_KNOWN,   /* a lease has it */
	RECONCILE_ENDED,   /* no lease has it, and the one that had is over */
	RECONCILE_UNKNOWN, /* no lease has it */
	RECONCILE_REARMED, /* its lease says that it is disarmed, and it can log in */
	RECONCILE_DAMAGED, /* its lease is in quarantine */
	RECONCILE_MISSING, /* a lease that lives, without its account */
};

/* ---- a page of the inventory (reconcile_compare.c) ---- */

struct reconcile_account {
	char name[LEASE_ACCOUNT_SIZE], handle[65];
	bool armed, found; /* found: a row has it */
	bool partial;      /* not on every node of the backend */
	bool asked;        /* it is in the batch to be disarmed */
	enum reconcile_what what;
	int64_t row; /* of REARMED, and what the lease was of ENDED */
};
struct reconcile_missing {
	int64_t row;
	char account[LEASE_ACCOUNT_SIZE], server[128];
};
struct reconcile_run;
struct reconcile_page {
	struct store_read read;    /* first */
	struct reconcile_run *run; /* NULL: nobody waits for it any more */
	char tag[8];
	int64_t connection;
	int64_t asked_ms, asked_wall_ms; /* before the backend was asked */
	char until[LEASE_ACCOUNT_SIZE], cursor[LEASE_ACCOUNT_SIZE];
	bool remakes; /* what is missing is made anew: the page ends where that is too much for one
		       */
	bool last, walked, damaged; /* damaged: a row was; look again when it is in quarantine */
	uint64_t damaged_met;
	bool by_template; /* names of this store may have another form than the default one */
	int64_t high, high_most; /* of the numbers given out; what it may be under this tag */
	size_t count, classified;
	struct reconcile_missing *missing;
	size_t missing_count;
	uint64_t missing_left_out;
	struct reconcile_account accounts[];
};
/* The page that begins behind `after`. LEASED_EPROTO for names out of order. Takes nothing. */
int lease_reconcile_page_new(const json_t *result, const char *tag, const char *after,
    struct reconcile_page **ret_page, struct leased_err *err);
void lease_reconcile_page_free(struct reconcile_page *page); /* NULL is fine */
/* So that it is compared (once more): as it was when it was new. */
void lease_reconcile_page_rewind(struct reconcile_page *page, const char *after);
/* On the reader thread. */
int lease_reconcile_page_run(struct store_read *read, struct store_db *db, struct leased_err *err);

/* ---- the report ---- */

struct reconcile_report {
	int64_t job, connection;
	bool fix, by_hand, finished, held;
	bool may_remake, remakes; /* the backend may have lost accounts; and it is of that kind */
	const char *why;          /* a literal */
	char by[129];
	struct leased_err err; /* code 0: it went through */
	int64_t started_wall_ms, ended_wall_ms;
	uint64_t accounts, ended, unknown, rearmed, damaged, missing;
	uint64_t disarmed, refused; /* of those that had ended */
	uint64_t remade;            /* were missing: the backend had lost them */
	uint64_t removing, left;    /* got a lease that ends them; of these are not gone */
	json_t *findings;
	bool cut; /* there are more */
};

struct reconcile_report *lease_reconcile_report_new(struct lease_connection *connection, bool fix);
void lease_reconcile_report_free(struct reconcile_report *report); /* NULL is fine */
void lease_reconcile_report_find(struct reconcile_report *report, enum reconcile_what what,
    const char *account, bool armed, int64_t row);
/* It is over: log, metrics, and it becomes the connection's last one. */
void lease_reconcile_report_finish(
    struct lease_connection *connection, struct reconcile_report *report);

#endif
