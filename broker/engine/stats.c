/*
 * The families of connections: whether each is up, how many leases it has, what waits for it and
 * what goes wrong there. A page has all samples of a family together, so what is known of the
 * connections is gathered first. Owns nothing; the API calls.
 */
#include "engine/stats.h"

#include <stdlib.h>

#include "engine/private.h"
#include "lease/stats.h"

enum column {
	UP,
	DOWN,
	LEASES,
	OVERDUE,
	OLDEST_US,
	DISARMING,
	REMOVING,
	END_FAILURES,
	END_ERROR_US,
	MINTS,
	CALLS,
	REMOVALS,
	RUNNING,
	WORKERS,
	DIED,
	COLUMNS
};

static const struct {
	enum metrics_kind kind;
	const char *name, *help;
	bool is_us;
	bool by_error; /* there only while there is an error, which is a label */
} families[COLUMNS] = {
    [UP] = {METRICS_KIND_GAUGE, "leased_connection_up",
	"1 while the backend answers, or has not been asked yet; 0: nothing is minted on it.",
	false, false},
    [DOWN] = {METRICS_KIND_GAUGE, "leased_connection_down_reason",
	"1, with the kind of what is wrong.", false, true},
    [LEASES] = {METRICS_KIND_GAUGE, "leased_connection_leases",
	"Leases of it, whatever their state, as of the last count.", false, false},
    [OVERDUE] = {METRICS_KIND_GAUGE, "leased_connection_overdue",
	"Leases of it that have ended and whose accounts are not gone, as of the last count.",
	false, false},
    [OLDEST_US] = {METRICS_KIND_GAUGE, "leased_connection_overdue_oldest_seconds",
	"For how long the oldest of them should have been gone; 0: none is overdue.", true, false},
    [DISARMING] = {METRICS_KIND_GAUGE, "leased_connection_disarming",
	"Leases of it whose access is being ended now.", false, false},
    [REMOVING] = {METRICS_KIND_GAUGE, "leased_connection_removing",
	"Leases of it whose accounts are being removed now.", false, false},
    [END_FAILURES] = {METRICS_KIND_COUNTER, "leased_connection_end_failures",
	"Failures to end accounts: an account that was refused, or a whole call that failed.",
	false, false},
    [END_ERROR_US] = {METRICS_KIND_GAUGE, "leased_connection_end_error_timestamp_seconds",
	"When an account could not be ended last, with the kind of error.", true, true},
    [MINTS] = {METRICS_KIND_GAUGE, "leased_connection_mints_waiting",
	"Mints that wait for a worker of it.", false, false},
    [CALLS] = {METRICS_KIND_GAUGE, "leased_connection_calls_waiting",
	"Disarms and other calls that wait for a worker of it.", false, false},
    [REMOVALS] = {METRICS_KIND_GAUGE, "leased_connection_removals_waiting",
	"Removals that wait for a worker of it.", false, false},
    [RUNNING] = {METRICS_KIND_GAUGE, "leased_connection_calls_running",
	"Calls that workers of it have now.", false, false},
    [WORKERS] = {METRICS_KIND_GAUGE, "leased_connection_workers",
	"Worker processes of it that run.", false, false},
    [DIED] = {METRICS_KIND_COUNTER, "leased_connection_workers_died",
	"Worker processes of it that ended, or were killed, without being asked to.", false, false},
};

struct row {
	const char *name, *mount;
	char *labels; /* both, as the page writes them */
	int64_t values[COLUMNS];
	int errors[COLUMNS]; /* of families by error: a leased_code; 0: none */
};

/* ---- gathering ---- */

static int
down_reason(const struct engine_connection *connection)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r;

	if (connection->moved)
		return (LEASED_EMOVED);
	if (connection->port == NULL)
		return (connection->closed.code != 0 ? connection->closed.code : LEASED_EUNAVAIL);
	if ((r = plugin_port_ready(connection->port, &why)) == 0)
		return (0);
	return (why.code != 0 ? why.code : r); /* why keeps what the backend said */
}

static void
row_fill(struct engines *engines, const struct engine_connection *connection, struct row *row)
{
	const struct engine_mount *mount = engine_mount_find(engines, connection->mount);
	struct lease_connection_stats leases = {0};
	struct plugin_port_stats port = {0};

	if (engines->leases != NULL)
		leases_connection_stats(engines->leases, connection->id, &leases);
	if (connection->port != NULL)
		plugin_port_stats(connection->port, &port);
	row->name = connection->name;
	row->mount = mount != NULL ? mount->path : "";
	row->errors[DOWN] = down_reason(connection);
	row->values[DOWN] = 1;
	row->values[UP] = row->errors[DOWN] == 0;
	row->values[LEASES] = (int64_t)leases.leases;
	row->values[OVERDUE] = (int64_t)leases.overdue;
	row->values[OLDEST_US] = leases.oldest_overdue_ms * 1000;
	row->values[DISARMING] = leases.disarming;
	row->values[REMOVING] = leases.removing;
	row->values[END_FAILURES] = (int64_t)leases.end_failures;
	row->errors[END_ERROR_US] = leases.error_code;
	row->values[END_ERROR_US] = leases.error_wall_ms * 1000;
	row->values[MINTS] = port.mints_waiting;
	row->values[CALLS] = port.ends_waiting;
	row->values[REMOVALS] = port.removals_waiting;
	row->values[RUNNING] = port.running;
	row->values[WORKERS] = port.workers;
	row->values[DIED] = (int64_t)port.workers_died;
}

static size_t
connections_count(const struct engines *engines)
{
	const struct engine_connection *connection;
	size_t count = 0;

	LIST_FOREACH (connection, &engines->connections, link)
		count += !connection->candidate;
	return (count);
}

/* The list has the newest first: those are left out where there are more than count. */
static void
rows_gather(struct engines *engines, struct row *rows, size_t count, size_t all)
{
	const struct engine_connection *connection;
	size_t at = all;

	LIST_FOREACH (connection, &engines->connections, link)
		if (!connection->candidate && --at < count)
			row_fill(engines, connection, &rows[at]);
}

/* ---- writing ---- */

/* Without memory for its labels a row is left out, and the page is lost, which its finish says. */
static void
family_put(struct metrics_page *page, enum column column, const struct row *rows, size_t count)
{
	bool is_us = families[column].is_us;
	const struct row *row;
	char *labels;

	metrics_page_family(
	    page, families[column].kind, families[column].name, families[column].help);
	for (size_t i = 0; i < count; i++) {
		row = &rows[i];
		if (!families[column].by_error) {
			if (row->labels != NULL)
				metrics_page_sample_with(
				    page, row->values[column], is_us, row->labels);
			continue;
		}
		if (row->errors[column] == 0)
			continue;
		labels = metrics_page_labels(
		    page, METRICS_LABELS({"connection", row->name}, {"mount", row->mount},
			      {"error", leased_code_name(row->errors[column])}));
		if (labels != NULL)
			metrics_page_sample_with(page, row->values[column], is_us, labels);
		free(labels);
	}
}

void
engines_metrics(struct engines *engines, struct metrics_page *page)
{
	size_t all = connections_count(engines), i;
	size_t count = all < ENGINE_STATS_MAX ? all : ENGINE_STATS_MAX;
	struct row *rows = calloc(count + 1, sizeof(*rows));

	if (rows == NULL)
		count = 0; /* and all are told as left out */
	else
		rows_gather(engines, rows, count, all);
	for (i = 0; i < count; i++)
		rows[i].labels = metrics_page_labels(
		    page, METRICS_LABELS({"connection", rows[i].name}, {"mount", rows[i].mount}));
	for (i = 0; i < COLUMNS; i++)
		family_put(page, (enum column)i, rows, count);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_connections", "Configured connections.",
	    (int64_t)all);
	metrics_page_one(page, METRICS_KIND_GAUGE, "leased_connections_left_out",
	    "Of these, those that have no lines of their own here.", (int64_t)(all - count));
	for (i = 0; i < count; i++)
		free(rows[i].labels);
	free(rows);
}

bool
engines_are_loading(const struct engines *engines)
{
	return (engines->loading > 0);
}
