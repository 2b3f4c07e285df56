/*
 * A run of reconcile over one connection: asks the backend for its accounts a page at a time, has
 * each page compared and acted upon, and ends with a report. Owns the run; knows nothing of when
 * one begins. A run is made of steps that can be cut anywhere: what it had begun to remove are
 * leases, and one that was to fix leaves a note until it has ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/hold.h"
#include "lease/reconcile_private.h"
#include "store/hold.h"

#define RUN_TAG 0x6c726563u
#define AGAIN_MS 1000
#define AGAIN_MAX 5
#define WAIT_EVERY_MS 250
#define WAIT_MAX_MS 600000

struct reconcile_run *
lease_reconcile_run_from(void *arg)
{
	struct reconcile_run *run = arg;

	if (run->tag != RUN_TAG)
		log_fatal("a callback of lease/ was given something that is no run of reconcile");
	return (run);
}

static void
run_enter(struct reconcile_run *run, enum reconcile_step to)
{
	static const bool edges[RECONCILE_STEP_COUNT][RECONCILE_STEP_COUNT] = {
	    [RECONCILE_NOTING] = {[RECONCILE_LISTING] = true, [RECONCILE_OVER] = true},
	    [RECONCILE_LISTING] = {[RECONCILE_COMPARING] = true,
		[RECONCILE_CLEARING] = true,
		[RECONCILE_OVER] = true},
	    [RECONCILE_COMPARING] = {[RECONCILE_AGAIN] = true,
		[RECONCILE_ENDING] = true,
		[RECONCILE_CLEARING] = true,
		[RECONCILE_OVER] = true},
	    [RECONCILE_AGAIN] = {[RECONCILE_COMPARING] = true},
	    [RECONCILE_ENDING] = {[RECONCILE_LISTING] = true,
		[RECONCILE_REMAKING] = true,
		[RECONCILE_WAITING] = true,
		[RECONCILE_CLEARING] = true,
		[RECONCILE_OVER] = true},
	    [RECONCILE_REMAKING] = {[RECONCILE_LISTING] = true,
		[RECONCILE_WAITING] = true,
		[RECONCILE_CLEARING] = true,
		[RECONCILE_OVER] = true},
	    [RECONCILE_WAITING] = {[RECONCILE_CLEARING] = true},
	    [RECONCILE_CLEARING] = {[RECONCILE_OVER] = true},
	};

	if (!edges[run->step][to])
		(void)bug(NULL, "a run of reconcile may not go from step %d to %d", (int)run->step,
		    (int)to);
	run->step = to;
	log_debug("reconcile", LOG_I("connection", run->report->connection), LOG_I("step", to));
}

void
lease_reconcile_run_free(struct reconcile_run *run)
{
	if (run == NULL)
		return;
	if (run->call != NULL)
		plugin_call_cancel(run->call);
	lease_reconcile_task_drop(run->task);
	lease_reconcile_wait_drop(run->wait);
	lease_reconcile_remake_drop(run->remake);
	if (run->page != NULL)
		run->page->run = NULL;
	if (!run->reading) /* else the reader's done() does */
		lease_reconcile_page_free(run->page);
	lease_reconcile_report_free(run->report);
	run->tag = 0;
	free(run);
}

/* ---- its end ---- */

static void
run_over(struct reconcile_run *run)
{
	struct lease_connection *connection = run->connection;
	struct reconcile_report *report = run->report;

	run_enter(run, RECONCILE_OVER);
	connection->reconciling->run = NULL;
	run->report = NULL;
	lease_reconcile_run_free(run);
	lease_reconcile_report_finish(connection, report);
}

/* The note is of no use any more, whatever became of the run: who asked is told. */
static void
run_end(struct reconcile_run *run)
{
	if (!run->report->fix) {
		run_over(run);
		return;
	}
	run_enter(run, RECONCILE_CLEARING);
	if (!lease_reconcile_note(run, false))
		run_over(run);
}

void
lease_reconcile_run_fail(struct reconcile_run *run, int code, const struct leased_err *err)
{
	run->report->err = *err;
	run->report->err.code = code;
	if (run->step == RECONCILE_NOTING)
		run_over(run);
	else
		run_end(run);
}

static void
run_nomem(struct reconcile_run *run)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	lease_reconcile_run_fail(run, LEASED_ENOMEM, &err);
}

/* ---- the backend is asked ---- */

/* The port, as long as it is the server that the run began with. */
static struct plugin_port *
run_port(struct reconcile_run *run, struct leased_err *err)
{
	struct plugin_port *port = lease_connection_port(run->connection);

	if (port == NULL) {
		(void)lease_port_absent(run->connection->leases, run->connection->id, err);
		return (NULL);
	}
	if (port->moved || (run->server[0] != '\0' && port->server[0] != '\0' &&
			       strcmp(port->server, run->server) != 0)) {
		(void)leased_err_set(err, LEASED_EMOVED,
		    "another server answers than the one that this connection is configured for: "
		    "nothing is compared with it");
		return (NULL);
	}
	if (plugin_port_ready(port, err) != 0)
		return (NULL);
	if (port->server[0] != '\0')
		lease_text_copy(run->server, sizeof(run->server), port->server);
	return (port);
}

static void
compare_start(struct reconcile_run *run)
{
	run_enter(run, RECONCILE_COMPARING);
	run->reading = true;
	store_submit_read(run->connection->leases->config.store, &run->page->read);
}

static void
on_compared(struct store_read *read, int result, const struct leased_err *err)
{
	struct reconcile_page *page = (struct reconcile_page *)read;
	struct reconcile_run *run = page->run;
	struct leased_err why = *err;

	if (run == NULL) {
		lease_reconcile_page_free(page);
		return;
	}
	run->reading = false;
	if (result != 0) {
		lease_reconcile_run_fail(run, result, &why);
	} else if (page->damaged && run->again < AGAIN_MAX) {
		run->again++;
		run->next_ms = leases_now_ms(run->connection->leases) + AGAIN_MS;
		run_enter(run, RECONCILE_AGAIN);
	} else {
		run_enter(run, RECONCILE_ENDING);
		run->report->accounts += page->count;
		run->at = 0;
		lease_reconcile_act(run);
	}
}

static void
on_listed(void *arg, const struct plugin_outcome *outcome)
{
	struct reconcile_run *run = lease_reconcile_run_from(arg);
	struct leases *leases = run->connection->leases;
	struct leased_err err = outcome->err;
	int64_t asked_ms = run->next_ms;
	int r = outcome->code;

	run->call = NULL;
	FAILPOINT(lease_reconcile_after_list);
	if (r == 0 && run_port(run, &err) == NULL)
		r = err.code; /* it moved while it was asked */
	if (r == 0)
		r = lease_reconcile_page_new(
		    outcome->result, run->of_tag, run->after, &run->page, &err);
	if (r != 0) {
		lease_reconcile_run_fail(run, r, &err);
		return;
	}
	run->page->read.run = lease_reconcile_page_run;
	run->page->read.done = on_compared;
	run->page->run = run;
	run->page->connection = run->connection->id;
	run->page->high_most = run->high_most;
	run->page->asked_ms = asked_ms;
	run->page->asked_wall_ms = leases_wall_ms(leases, asked_ms);
	run->report->remakes = run->report->may_remake && !run->report->held &&
			       plugin_port_says(run_port(run, &err), "volatile", false);
	run->page->remakes = run->report->remakes;
	compare_start(run);
}

/* Behind run->after. */
static void
list_start(struct reconcile_run *run)
{
	struct leases *leases = run->connection->leases;
	struct leased_err err = LEASED_ERR_INIT;
	struct plugin_port *port = run_port(run, &err);
	json_t *params;

	if (port != NULL && !plugin_port_has(port, PLUGIN_OP_INVENTORY)) {
		(void)leased_err_set(
		    &err, LEASED_EINVAL, "the plugin of this connection lists no accounts");
		port = NULL;
	}
	if (port == NULL) {
		lease_reconcile_run_fail(run, err.code, &err);
		return;
	}
	params = json_pack("{s:s}", "tag", run->of_tag);
	if (params != NULL && run->after[0] != '\0' &&
	    json_object_set_new(params, "after", json_string(run->after)) != 0) {
		json_decref(params);
		params = NULL;
	}
	run->next_ms = leases_now_ms(leases);
	if (params != NULL)
		run->call = plugin_call_start(port, PLUGIN_OP_INVENTORY, params, 0, on_listed, run);
	if (run->call == NULL)
		run_nomem(run);
}

/* ---- what follows ---- */

void
lease_reconcile_run_noted(struct reconcile_run *run, int result, const struct leased_err *err)
{
	if (run->step == RECONCILE_CLEARING) {
		if (result != 0)
			log_warn("the note of a finished reconcile stays: it is done again at the "
				 "next start",
			    LOG_I("connection", run->report->connection), LOG_ERR(err));
		run_over(run);
	} else if (result != 0) {
		lease_reconcile_run_fail(run, result, err);
	} else {
		run_enter(run, RECONCILE_LISTING);
		list_start(run);
	}
}

/*
 * A restored store has leases of the tag that it had before; and what the original made after the
 * backup has that tag, too, and is in no store. Not while a hold lasts: they are not ours yet.
 */
static bool
goes_on_with_old_tag(struct reconcile_run *run)
{
	struct store_hold hold;

	store_hold_get(run->connection->leases->config.store, &hold);
	if (run->of_old_tag || run->report->held || hold.over_tag[0] == '\0')
		return (false);
	lease_text_copy(run->of_tag, sizeof(run->of_tag), hold.over_tag);
	run->of_old_tag = true;
	run->high_most = hold.over_below;
	run->after[0] = '\0';
	return (true);
}

void
lease_reconcile_run_acted(struct reconcile_run *run)
{
	struct reconcile_page *page = run->page;
	bool last = page->last;

	if (page->remakes && page->missing_count > 0 && run->step == RECONCILE_ENDING) {
		run_enter(run, RECONCILE_REMAKING);
		run->at = 0;
		lease_reconcile_remake(run);
		return;
	}
	memcpy(run->after, page->until, sizeof(run->after));
	run->page = NULL;
	lease_reconcile_page_free(page);
	if (!last || goes_on_with_old_tag(run)) {
		run_enter(run, RECONCILE_LISTING);
		list_start(run);
	} else if (run->report->removing > 0) {
		run_enter(run, RECONCILE_WAITING);
		run->report->left = run->report->removing; /* until it is counted */
		run->next_ms = leases_now_ms(run->connection->leases);
		run->until_ms = run->next_ms + WAIT_MAX_MS;
	} else {
		run_end(run);
	}
}

/* Those that are refused are tried on and on, as any lease: the report says how many are left. */
void
lease_reconcile_run_waited(struct reconcile_run *run, uint64_t total, uint64_t late)
{
	int64_t now_ms = leases_now_ms(run->connection->leases);

	run->report->left = total;
	if (total > late && now_ms < run->until_ms)
		run->next_ms = now_ms + WAIT_EVERY_MS;
	else
		run_end(run);
}

void
lease_reconcile_run_step(struct reconcile_run *run, int64_t now_ms)
{
	if (run->step == RECONCILE_AGAIN && now_ms >= run->next_ms) {
		lease_reconcile_page_rewind(run->page, run->after);
		compare_start(run);
	} else if (run->step == RECONCILE_WAITING && run->wait == NULL && now_ms >= run->next_ms &&
		   !lease_reconcile_wait_start(run)) {
		run->next_ms = now_ms + WAIT_EVERY_MS;
	}
}

/* Not in a restored store that is held: whatever it would end may be another daemon's. */
void
lease_reconcile_run_start(struct lease_connection *connection, struct reconcile_report *report,
    const char *accessor, const char *cause)
{
	struct reconcile_run *run = calloc(1, sizeof(*run));
	struct lease_hold hold;

	lease_hold_get(connection->leases, &hold);
	report->held = hold.held;
	report->started_wall_ms =
	    leases_wall_ms(connection->leases, leases_now_ms(connection->leases));
	if (run == NULL) {
		(void)leased_err_set(&report->err, LEASED_ENOMEM, "out of memory");
		lease_reconcile_report_finish(connection, report);
		return;
	}
	run->tag = RUN_TAG;
	run->connection = connection;
	run->report = report;
	lease_text_copy(run->accessor, sizeof(run->accessor), accessor);
	lease_text_copy(run->cause, sizeof(run->cause), cause);
	lease_text_copy(
	    run->of_tag, sizeof(run->of_tag), store_tag(connection->leases->config.store));
	run->high_most = INT64_MAX;
	connection->reconciling->run = run;
	report->may_remake = connection->reconciling->remake;
	connection->reconciling->remake = false; /* what is lost from now on is the next one's */
	if (!report->fix) {
		run->step = RECONCILE_LISTING;
		list_start(run);
	} else {
		run->step = RECONCILE_NOTING;
		if (!lease_reconcile_note(run, true))
			run_nomem(run);
	}
}
