/*
 * sys/metrics: everything that is counted, in the form that the client asks for. It gathers; what
 * the figures mean is said where they are counted, and in docs/reference/metrics.md. Runs on the
 * loop and asks nothing that waits: with a thousand connections it takes a millisecond or two.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "audit/audit.h"
#include "base/path.h"
#include "engine/stats.h"
#include "lease/hold.h"
#include "lease/stats.h"
#include "metrics/page.h"

static void
put_process(struct api *api, struct metrics_page *page)
{
	struct rusage used;

	metrics_page_family(page, METRICS_KIND_INFO, "leased_build", "What this is.");
	metrics_page_sample(
	    page, 1, METRICS_LABELS({"version", LEASED_VERSION}, {"api_version", API_VERSION}));
	metrics_page_family(
	    page, METRICS_KIND_GAUGE, "process_start_time_seconds", "When the daemon started.");
	metrics_page_sample_us(page, api->stats.started_wall_ms * 1000, METRICS_NO_LABELS);
	if (getrusage(RUSAGE_SELF, &used) != 0)
		return;
	metrics_page_family(page, METRICS_KIND_COUNTER, "process_cpu_seconds",
	    "CPU time of the daemon, without its workers.");
	metrics_page_sample_us(page,
	    ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
		used.ru_utime.tv_usec + used.ru_stime.tv_usec,
	    METRICS_NO_LABELS);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_memory_peak_bytes",
	    "The most memory that the daemon has held at once.", (int64_t)used.ru_maxrss * 1024);
}

static void
put_requests(struct api *api, struct metrics_page *page)
{
	static const char *const classes[API_CLASS_COUNT] = {[API_CLASS_STATE] = "state",
	    [API_CLASS_METRICS] = "metrics",
	    [API_CLASS_CREDENTIALS] = "credentials",
	    [API_CLASS_MOUNTED] = "mounted",
	    [API_CLASS_LEASES] = "leases",
	    [API_CLASS_AUTH] = "auth",
	    [API_CLASS_SYSTEM] = "system",
	    [API_CLASS_NONE] = "none"};
	static const char *const hundreds[API_STATUS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

	metrics_page_family(page, METRICS_KIND_COUNTER, "leased_requests",
	    "Requests that were answered, by what was asked and the answer's status.");
	for (int i = 0; i < API_CLASS_COUNT; i++)
		for (int j = 1; j < API_STATUS_CLASSES; j++)
			if (api->stats.requests[i][j] > 0 || j == 1)
				metrics_page_sample(page, (int64_t)api->stats.requests[i][j],
				    METRICS_LABELS({"class", classes[i]}, {"status", hundreds[j]}));
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_requests_in_flight",
	    "Requests that are not answered yet, this one included.", api->in_flight);
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_http_connections",
	    "Connections of clients that are open.");
	if (api->config.connections != NULL)
		metrics_page_sample(
		    page, api->config.connections(api->config.connections_arg), METRICS_NO_LABELS);
}

static void
put_ready(struct api *api, struct metrics_page *page)
{
	json_t *reasons = api_not_ready(api), *reason;
	size_t i;

	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_ready",
	    "1 while requests should be sent here, as sys/health?ready=true says.",
	    reasons != NULL && json_array_size(reasons) == 0);
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_not_ready_reason",
	    "1 for each reason of its not "
	    "being ready.");
	json_array_foreach(reasons, i, reason)
	    metrics_page_sample(page, 1, METRICS_LABELS({"reason", json_string_value(reason)}));
	json_decref(reasons);
}

static void
put_store(struct store *store, struct metrics_page *page)
{
	struct store_stats stats;

	store_stats_get(store, &stats);
	const struct {
		enum metrics_kind kind;
		const char *name, *help;
		int64_t value;
	} rows[] = {
	    {METRICS_KIND_GAUGE, "leased_store_writable",
		"0 while the store cannot write: no credential is handed out.",
		stats.health.code == 0},
	    {METRICS_KIND_GAUGE, "leased_store_full", "1 while its disk is full or read-only.",
		stats.health.code == LEASED_ENOSPC},
	    {METRICS_KIND_GAUGE, "leased_store_damaged",
		"1 once damage of the store's file was met: no credential is handed out.",
		stats.health.damaged},
	    {METRICS_KIND_GAUGE, "leased_store_reserve",
		"1 while the file that is given back to a full disk is in place.",
		stats.has_reserve},
	    {METRICS_KIND_GAUGE, "leased_store_quarantined",
		"Damaged lease rows: a person has to remove their accounts.",
		(int64_t)stats.health.quarantined},
	    {METRICS_KIND_GAUGE, "leased_store_writes_waiting",
		"Operations that wait for the writer.", (int64_t)stats.writes_waiting},
	    {METRICS_KIND_GAUGE, "leased_store_reads_waiting", "Reads that wait for the reader.",
		(int64_t)stats.reads_waiting},
	    {METRICS_KIND_COUNTER, "leased_store_commits", "Transactions that are on disk.",
		(int64_t)stats.health.commits},
	    {METRICS_KIND_COUNTER, "leased_store_operations", "Operations in these transactions.",
		(int64_t)stats.health.operations},
	    {METRICS_KIND_GAUGE, "leased_store_file_bytes", "Size of the store's file.",
		stats.file_bytes},
	    {METRICS_KIND_GAUGE, "leased_store_log_bytes", "Size of its write-ahead log.",
		stats.log_bytes},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		metrics_page_one(page, rows[i].kind, rows[i].name, rows[i].help, rows[i].value);
}

static void
put_audit(const struct audit *audit, struct metrics_page *page)
{
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_audit_up",
	    "0 while the audit's device takes no records: requests are refused.");
	if (audit != NULL)
		metrics_page_sample(page, audit_healthy(audit), METRICS_NO_LABELS);
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_audit_astray",
	    "1 while records go to a file that the audit's path does not lead to.");
	if (audit != NULL)
		metrics_page_sample(page, audit_is_astray(audit), METRICS_NO_LABELS);
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_audit_lag_seconds",
	    "For how long the oldest record has waited for the audit's device.");
	if (audit != NULL)
		metrics_page_sample_us(page, audit_lag_ms(audit) * 1000, METRICS_NO_LABELS);
}

static void
put_hold(struct leases *leases, struct metrics_page *page)
{
	struct lease_hold hold;

	lease_hold_get(leases, &hold);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_held",
	    "1 while a restored store waits for `lease restore release`.", hold.held);
}

static enum metrics_format
format_of(const struct api_request *request)
{
	const char *accept = http_request_header(request->http, "Accept");
	bool is_scrape = strcmp(request->http->path, API_METRICS_PATH) == 0, bad = false;
	char wanted[32];

	if (!path_query_get(request->http->query, "format", wanted, sizeof(wanted), &bad))
		return (metrics_format_choose(
		    bad ? "" : NULL, accept, is_scrape ? METRICS_PROMETHEUS : METRICS_JSON));
	return (metrics_format_choose(wanted, accept, METRICS_JSON));
}

void
api_sys_metrics(struct api_request *request)
{
	struct api *api = request->api;
	enum metrics_format format = format_of(request);
	struct metrics_page *page = metrics_page_new(format);
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	size_t len = 0;
	int r = LEASED_ENOMEM;

	if (page != NULL) {
		put_process(api, page);
		metrics_page_static(page);
		put_requests(api, page);
		put_ready(api, page);
		put_store(api->config.store, page);
		put_audit(api->config.audit, page);
		leases_metrics(api->config.leases, page);
		put_hold(api->config.leases, page);
		engines_metrics(api->config.engines, page);
		r = metrics_page_finish(page, wclock_wall_ms(api->config.clock), &text, &len, &err);
		metrics_page_free(page);
	}
	if (r != 0)
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while writing the metrics");
	else
		api_reply_text(request, metrics_content_type(format), text, len);
}
