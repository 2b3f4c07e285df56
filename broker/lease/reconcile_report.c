/*
 * What a run of reconcile found and did: counts, the first names of each kind, and how that is told
 * in the log, in metrics and over the API. A report belongs to its run, then to its connection.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/reconcile_private.h"
#include "metrics/metrics.h"

METRICS_COUNTER(
    runs_count, "leased_reconcile_runs", "", "Comparisons of a backend's accounts with the store.");
METRICS_COUNTER(failed_count, "leased_reconcile_failed", "",
    "Comparisons of a backend's accounts with the store that did not go through.");
METRICS_GAUGE(unknown_gauge, "leased_reconcile_unknown_accounts", "",
    "Accounts with our tag that no lease has, as of the last comparison of each connection.");
METRICS_GAUGE(missing_gauge, "leased_reconcile_missing_accounts", "",
    "Leases that live and whose account is not there, as of the last comparison.");
METRICS_GAUGE(rearmed_gauge, "leased_reconcile_rearmed_accounts", "",
    "Accounts that were disarmed and can log in again, as of the last comparison.");

static const char *
what_text(enum reconcile_what what)
{
	switch (what) {
	case RECONCILE_KNOWN:
		break;
	case RECONCILE_ENDED:
		return ("ended");
	case RECONCILE_UNKNOWN:
		return ("unknown");
	case RECONCILE_REARMED:
		return ("rearmed");
	case RECONCILE_DAMAGED:
		return ("damaged");
	case RECONCILE_MISSING:
		return ("missing");
	}
	return ("known");
}

struct reconcile_report *
lease_reconcile_report_new(struct lease_connection *connection, bool fix)
{
	struct reconcile_report *report = calloc(1, sizeof(*report));

	if (report == NULL || (report->findings = json_array()) == NULL) {
		free(report);
		return (NULL);
	}
	report->connection = connection->id;
	report->fix = fix;
	report->why = "by hand";
	return (report);
}

void
lease_reconcile_report_free(struct reconcile_report *report)
{
	if (report == NULL)
		return;
	json_decref(report->findings);
	free(report);
}

void
lease_reconcile_report_find(struct reconcile_report *report, enum reconcile_what what,
    const char *account, bool armed, int64_t row)
{
	json_t *finding;

	switch (what) {
	case RECONCILE_KNOWN:
		return;
	case RECONCILE_ENDED:
		report->ended++;
		break;
	case RECONCILE_UNKNOWN:
		report->unknown++;
		break;
	case RECONCILE_REARMED:
		report->rearmed++;
		break;
	case RECONCILE_DAMAGED:
		report->damaged++;
		break;
	case RECONCILE_MISSING:
		report->missing++;
		break;
	}
	if (json_array_size(report->findings) >= RECONCILE_FINDINGS_MAX) {
		report->cut = true;
		return;
	}
	finding = json_pack(
	    "{s:s,s:s,s:b}", "what", what_text(what), "account", account, "can_log_in", (int)armed);
	if (finding != NULL && row != 0 &&
	    json_object_set_new(finding, "row", json_integer(row)) != 0) {
		json_decref(finding);
		finding = NULL;
	}
	report->cut =
	    report->cut || finding == NULL || json_array_append_new(report->findings, finding) != 0;
}

/* ---- the log and metrics ---- */

static void
report_log(const struct reconcile_report *report)
{
	bool clean = report->err.code == 0 && report->ended + report->unknown + report->rearmed +
						      report->missing + report->damaged ==
						  0;
	const char *text = report->err.code != 0
			       ? "the accounts of a backend could not be compared with the store"
			   : clean ? "the accounts of a backend are those of the store"
				   : "the accounts of a backend are not those of the store; `lease "
				     "reconcile --status` names them";
	const struct log_field fields[] = {LOG_I("connection", report->connection),
	    LOG_S("why", report->why), LOG_I("accounts", (int64_t)report->accounts),
	    LOG_I("unknown", (int64_t)report->unknown), LOG_I("ended", (int64_t)report->ended),
	    LOG_I("rearmed", (int64_t)report->rearmed), LOG_I("missing", (int64_t)report->missing),
	    LOG_I("damaged", (int64_t)report->damaged), LOG_I("remade", (int64_t)report->remade),
	    LOG_I("disarmed", (int64_t)report->disarmed),
	    LOG_I("refused", (int64_t)report->refused),
	    LOG_I("removing", (int64_t)report->removing), LOG_I("left", (int64_t)report->left),
	    LOG_S("by", report->by), LOG_S("error", report->err.text)};

	log_write(clean ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, text, fields,
	    sizeof(fields) / sizeof(fields[0]));
}

/* What a connection adds to the metrics; a run that failed found nothing out and changes nothing.
 */
static void
gauges_replace(struct leases *leases, struct lease_reconciling *own, uint64_t unknown,
    uint64_t missing, uint64_t rearmed)
{
	struct lease_reconcile_counts *counts = &leases->reconcile_counts;

	counts->unknown = counts->unknown - own->unknown + unknown;
	counts->missing = counts->missing - own->missing + missing;
	counts->rearmed = counts->rearmed - own->rearmed + rearmed;
	own->unknown = unknown;
	own->missing = missing;
	own->rearmed = rearmed;
	metrics_set(&unknown_gauge, (long long)counts->unknown);
	metrics_set(&missing_gauge, (long long)counts->missing);
	metrics_set(&rearmed_gauge, (long long)counts->rearmed);
}

void
lease_reconcile_uncount(struct leases *leases, struct lease_reconciling *own)
{
	gauges_replace(leases, own, 0, 0, 0);
}

void
lease_reconcile_report_finish(struct lease_connection *connection, struct reconcile_report *report)
{
	struct leases *leases = connection->leases;
	struct lease_reconciling *own = connection->reconciling;

	report->finished = true;
	report->ended_wall_ms = leases_wall_ms(leases, leases_now_ms(leases));
	report_log(report);
	metrics_add(&runs_count, 1);
	leases->reconcile_counts.runs++;
	if (report->err.code != 0) {
		metrics_add(&failed_count, 1);
		leases->reconcile_counts.failed++;
	} else {
		gauges_replace(
		    leases, own, report->unknown + report->ended, report->missing, report->rearmed);
	}
	if (own->last != own->by_hand)
		lease_reconcile_report_free(own->last);
	own->last = report;
	if (report->by_hand) {
		lease_reconcile_report_free(own->by_hand);
		own->by_hand = report;
	}
	lease_reconcile_when_finished(connection, report);
}

void
leases_reconcile_counts(struct leases *leases, struct lease_reconcile_counts *ret_counts)
{
	*ret_counts = leases->reconcile_counts;
}

/* ---- over the API ---- */

static json_t *
time_or_null(int64_t wall_ms)
{
	char text[WCLOCK_RFC3339_SIZE];

	if (wall_ms == 0)
		return (json_null());
	wclock_format_rfc3339(wall_ms * 1000, text);
	return (json_string(text));
}

/* An answer has no more names than a report may have, of however many connections. */
static json_t *
findings_of(const struct reconcile_report *report, size_t *left, bool *ret_cut)
{
	size_t count = json_array_size(report->findings);

	*ret_cut = report->cut || count > *left;
	if (count > *left)
		return (json_array());
	*left -= count;
	return (json_incref(report->findings));
}

static json_t *
report_describe(const struct reconcile_report *report, bool running, size_t *left)
{
	const char *state = running                 ? "running"
			    : !report->finished     ? "waiting"
			    : report->err.code != 0 ? "failed"
						    : "done";

	bool cut;
	json_t *findings = findings_of(report, left, &cut);

	return (json_pack("{s:I,s:s,s:s,s:b,s:b,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:"
			  "I,s:I,s:o,s:b,s:s}",
	    "connection", (json_int_t)report->connection, "state", state, "why", report->why, "fix",
	    (int)report->fix, "held", (int)report->held, "by", report->by, "started",
	    time_or_null(report->started_wall_ms), "ended", time_or_null(report->ended_wall_ms),
	    "accounts", (json_int_t)report->accounts, "unknown_count", (json_int_t)report->unknown,
	    "ended_count", (json_int_t)report->ended, "rearmed_count", (json_int_t)report->rearmed,
	    "missing_count", (json_int_t)report->missing, "damaged_count",
	    (json_int_t)report->damaged, "remade", (json_int_t)report->remade, "disarmed",
	    (json_int_t)report->disarmed, "not_disarmed", (json_int_t)report->refused, "removing",
	    (json_int_t)report->removing, "not_removed_yet", (json_int_t)report->left, "findings",
	    findings, "findings_cut", (int)cut, "error", report->err.text));
}

/* Of a connection: the run under way, the one that waits, the latest; or those of a job alone. */
static const struct reconcile_report *
report_of(const struct lease_reconciling *own, int64_t job, bool *ret_running)
{
	const struct reconcile_report *running = own->run != NULL ? own->run->report : NULL;
	const struct reconcile_report *all[] = {running, own->wanted, own->last, own->by_hand};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] != NULL && (job == 0 || all[i]->job == job)) {
			*ret_running = all[i] == running;
			return (all[i]);
		}
	return (NULL);
}

static int
nomem(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
lease_reconcile_describe(
    struct leases *leases, int64_t job, json_t **ret_answer, struct leased_err *err)
{
	struct lease_connection *connection, *next;
	const struct reconcile_report *report;
	json_t *list = json_array(), *answer;
	bool finished = leases->reconcile_job.id == 0, running;
	size_t left = RECONCILE_FINDINGS_MAX;

	if (list == NULL)
		return (nomem(err));
	if (job != 0)
		finished = leases->reconcile_job.id != job;
	HASH_ITER(hh, leases->connections, connection, next)
	{
		if (connection->reconciling == NULL ||
		    (report = report_of(connection->reconciling, job, &running)) == NULL)
			continue;
		if (json_array_append_new(list, report_describe(report, running, &left)) != 0) {
			json_decref(list);
			return (nomem(err));
		}
	}
	if (job != 0 && json_array_size(list) == 0) {
		json_decref(list);
		return (leased_err_set(err, LEASED_ENOENT,
		    "no such job: those before the last one, and of earlier starts, are not kept"));
	}
	answer = json_pack("{s:I,s:b,s:o}", "job",
	    (json_int_t)(job != 0 ? job : leases->reconcile_job.last_id), "finished", (int)finished,
	    "connections", list);
	if (answer == NULL)
		return (nomem(err));
	*ret_answer = answer;
	return (0);
}
