/*
 * Accounts that a volatile backend has lost, of leases that live: each is renewed with the end that
 * it has, by which the plugin makes it anew. One at a time; called by the run (reconcile.c) when
 * the server may have been started anew.
 */
#include <stdlib.h>

#include "base/log.h"
#include "lease/reconcile_private.h"
#include "metrics/metrics.h"

#define REFUSED_MAX 8 /* in a row: then it is not these accounts' trouble */

METRICS_COUNTER(remade_count, "leased_reconcile_remade", "",
    "Accounts of leases that live which their backend had lost, made anew.");

struct reconcile_remake {
	struct reconcile_run *run; /* NULL: nobody waits for it any more */
};

void
lease_reconcile_remake_drop(struct reconcile_remake *remake)
{
	if (remake != NULL)
		remake->run = NULL;
}

/* The lease may have ended meanwhile, which is no trouble of anybody. */
static bool
is_of_no_use(int code)
{
	return (code == LEASED_EEXPIRED || code == LEASED_ENOENT);
}

static void
remade_told(struct reconcile_run *run, const struct lease_renewed *renewed)
{
	static struct log_limit limit;
	const struct reconcile_missing *missing = &run->page->missing[run->at];
	uint64_t left_out = 0;

	if (renewed->code == 0) {
		run->report->remade++;
		run->singles = 0;
		metrics_add(&remade_count, 1);
		return;
	}
	if (is_of_no_use(renewed->code))
		return;
	run->singles++;
	lease_reconcile_report_find(
	    run->report, RECONCILE_MISSING, missing->account, false, missing->row);
	if (log_limited(&limit, &left_out))
		log_error("an account that its backend has lost cannot be made anew",
		    LOG_S("account", missing->account), LOG_I("connection", run->connection->id),
		    LOG_S("error", renewed->err.text), LOG_I("left_out", left_out));
}

static void
on_remade(void *arg, const struct lease_renewed *renewed)
{
	struct reconcile_remake *own = arg;
	struct reconcile_run *run = own->run;
	struct leased_err err = renewed->err;

	free(own);
	if (run == NULL)
		return;
	run->remake = NULL;
	remade_told(run, renewed);
	run->at++;
	if (run->singles >= REFUSED_MAX || renewed->code == LEASED_ECANCELED ||
	    (renewed->code != 0 && !lease_connection_ready(run->connection)))
		lease_reconcile_run_fail(run, renewed->code, &err);
	else
		lease_reconcile_remake(run);
}

void
lease_reconcile_remake(struct reconcile_run *run)
{
	struct leases *leases = run->connection->leases;
	const struct reconcile_page *page = run->page;
	struct leased_err err = LEASED_ERR_INIT;

	/* What something is being done to is not as the reader saw it. */
	while (run->at < page->missing_count &&
	       (!lease_reconcile_is_here(run, &page->missing[run->at]) ||
		   lease_busy(leases, page->missing[run->at].row) != NULL))
		run->at++;
	if (run->at == page->missing_count) {
		lease_reconcile_run_acted(run);
		return;
	}
	if ((run->remake = calloc(1, sizeof(*run->remake))) == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		lease_reconcile_run_fail(run, LEASED_ENOMEM, &err);
		return;
	}
	run->remake->run = run;
	lease_remake_start(leases, page->missing[run->at].row, on_remade, run->remake);
}
