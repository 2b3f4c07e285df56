/*
 * What reconcile does about a page: accounts that are known as ended are disarmed, by calls of its
 * own; what is found goes into the report. Nothing is done in a store that is held. Called by the
 * run (reconcile.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "lease/reconcile_private.h"
#include "metrics/metrics.h"

#define SINGLES_MAX 8 /* accounts that failed alone */

METRICS_COUNTER(disarmed_count, "leased_reconcile_disarmed", "",
    "Accounts whose lease had ended, and that could still log in, or again: disarmed.");

/* ---- what is known as ended is disarmed ---- */

/* What has ended, or was disarmed, and can log in; orphans of a run that fixes have leases by now.
 * Not what something is being done to already: look.c and the way out have it. */
static bool
is_to_be_disarmed(const struct reconcile_run *run, const struct reconcile_account *account)
{
	return (account->armed &&
		(account->what == RECONCILE_REARMED ||
		    (account->what == RECONCILE_ENDED && !run->report->fix)) &&
		lease_busy(run->connection->leases, account->row) == NULL);
}

static void
disarm_told(struct reconcile_run *run, const struct reconcile_account *account, const json_t *one)
{
	static struct log_limit limit;
	const json_t *error = json_object_get(one, "error");
	const char *text = json_string_value(json_object_get(error, "text"));
	uint64_t left_out = 0;

	if (json_is_true(json_object_get(one, "ok"))) {
		run->report->disarmed++;
		run->connection->leases->reconcile_counts.disarmed++;
		metrics_add(&disarmed_count, 1);
		if (log_limited(&limit, &left_out))
			log_warn("an account could log in after its lease had ended: disarmed",
			    LOG_S("account", account->name),
			    LOG_I("connection", run->connection->id), LOG_I("left_out", left_out));
		return;
	}
	run->report->refused++;
	if (log_limited(&limit, &left_out))
		log_error("an account can log in after its lease has ended, and cannot be disarmed",
		    LOG_S("account", account->name), LOG_I("connection", run->connection->id),
		    LOG_S("error", text != NULL ? text : "the plugin gave no reason"),
		    LOG_I("left_out", left_out));
}

/* One account's trouble must not keep the others: after a batch that failed they go alone, and one
 * that fails alone is passed over, as long as it is not all of them. */
static bool
is_passed_over(struct reconcile_run *run, int code)
{
	if (code != LEASED_ETIMEDOUT && code != LEASED_ECRASHED)
		return (false);
	if (run->batch > 1) {
		run->single = true;
		return (true);
	}
	run->report->refused++;
	run->at++;
	return (++run->singles < SINGLES_MAX);
}

static void
on_disarmed(void *arg, const struct plugin_outcome *outcome)
{
	struct reconcile_run *run = lease_reconcile_run_from(arg);
	const json_t *results = json_object_get(outcome->result, "results");
	struct reconcile_account *account;
	struct leased_err err = outcome->err;
	size_t told = 0;

	run->call = NULL;
	FAILPOINT(lease_reconcile_after_disarm);
	if (outcome->code != 0 && !is_passed_over(run, outcome->code)) {
		lease_reconcile_run_fail(run, outcome->code, &err);
		return;
	}
	for (; outcome->code == 0 && told < run->batch; run->at++) {
		account = &run->page->accounts[run->at];
		if (account->asked)
			disarm_told(run, account, json_array_get(results, told++));
	}
	lease_reconcile_disarm(run);
}

static json_t *
disarm_params(struct reconcile_run *run)
{
	struct reconcile_page *page = run->page;
	size_t max = run->single ? 1 : LEASE_BATCH_MAX;
	json_t *accounts = json_array(), *one;

	run->batch = 0;
	for (size_t i = run->at; i < page->count && run->batch < max; i++) {
		page->accounts[i].asked = is_to_be_disarmed(run, &page->accounts[i]);
		if (!page->accounts[i].asked)
			continue;
		one = json_pack("{s:s,s:{}}", "name", page->accounts[i].name, "role");
		if ((page->accounts[i].handle[0] != '\0' &&
			json_object_set_new(one, "handle", json_string(page->accounts[i].handle)) !=
			    0) ||
		    (run->server[0] != '\0' &&
			json_object_set_new(one, "server", json_string(run->server)) != 0) ||
		    json_array_append(accounts, one) != 0) {
			json_decref(one);
			json_decref(accounts);
			return (NULL);
		}
		json_decref(one);
		run->batch++;
	}
	return (json_pack("{s:o}", "accounts", accounts));
}

/* Those from run->at on, a batch at a time. */
void
lease_reconcile_disarm(struct reconcile_run *run)
{
	struct plugin_port *port = lease_connection_port(run->connection);
	struct leased_err err = LEASED_ERR_INIT;
	json_t *params;

	while (run->at < run->page->count && !is_to_be_disarmed(run, &run->page->accounts[run->at]))
		run->at++;
	if (run->at == run->page->count) {
		lease_reconcile_run_acted(run);
		return;
	}
	if (port == NULL || port->moved) {
		(void)leased_err_set(&err, LEASED_EUNAVAIL, "the connection was closed meanwhile");
		lease_reconcile_run_fail(run, LEASED_EUNAVAIL, &err);
		return;
	}
	if ((params = disarm_params(run)) != NULL)
		run->call = plugin_call_start(port, PLUGIN_OP_DISARM, params, 0, on_disarmed, run);
	if (run->call != NULL)
		return;
	(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	lease_reconcile_run_fail(run, LEASED_ENOMEM, &err);
}

/* ---- both, and what is only told ---- */

/* A lease whose account is on a server that this one has not taken over from is not expected here.
 */
bool
lease_reconcile_is_here(const struct reconcile_run *run, const struct reconcile_missing *missing)
{
	const struct leases_config *config = &run->connection->leases->config;
	const char *server = missing->server;

	if (server[0] != '\0' && config->server_of != NULL)
		server = config->server_of(config->arg, run->connection->id, server);
	return (server[0] == '\0' || run->server[0] == '\0' || strcmp(server, run->server) == 0);
}

void
lease_reconcile_act(struct reconcile_run *run)
{
	struct reconcile_page *page = run->page;

	for (size_t i = 0; i < page->count; i++)
		lease_reconcile_report_find(run->report, page->accounts[i].what,
		    page->accounts[i].name, page->accounts[i].armed, page->accounts[i].row);
	for (size_t i = 0; i < page->missing_count && !page->remakes; i++)
		if (lease_reconcile_is_here(run, &page->missing[i]) &&
		    lease_busy(run->connection->leases, page->missing[i].row) == NULL)
			lease_reconcile_report_find(run->report, RECONCILE_MISSING,
			    page->missing[i].account, false, page->missing[i].row);
	if (page->missing_left_out > 0) {
		run->report->missing += page->missing_left_out;
		run->report->cut = true;
	}
	if (run->report->held)
		lease_reconcile_run_acted(run);
	else if (run->report->fix)
		lease_reconcile_fix(run);
	else
		lease_reconcile_disarm(run);
}
