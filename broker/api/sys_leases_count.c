/*
 * Counts of leases over the API: one counter a connection, kept by lease/, so that nothing is
 * counted here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/reply.h"
#include "api/scan.h"

/* ---- counts: one counter a connection, and whose mount it is by any of its rows ---- */

static int
count_connection(
    struct api_scan *scan, struct store_db *db, int64_t connection, struct leased_err *err)
{
	struct store_lease_query query = {
	    .by = STORE_BY_DUE, .number = connection, .until_ms = INT64_MAX, .limit = 1};
	struct store_lease **rows = NULL;
	char counter[48];
	size_t count = 0;
	int64_t value = 0;
	int r;

	if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
		return (r);
	if (count == 1) {
		(void)snprintf(counter, sizeof(counter), "conn:%lld", (long long)connection);
		r = store_counter_get(db, counter, &value, err);
		if (r == 0) {
			scan->counts[scan->count_count].mount = rows[0]->mount;
			scan->counts[scan->count_count++].count = value;
			scan->counts_total += value;
		}
	}
	store_lease_page_free(rows, count);
	return (r);
}

static int
count_collect(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	int64_t *connections = NULL;
	size_t count = 0;
	int r;

	if ((r = store_lease_connections(db, &connections, &count, err)) != 0)
		return (r);
	if ((scan->counts = calloc(count + 1, sizeof(*scan->counts))) == NULL)
		r = api_scan_nomem(err);
	for (size_t i = 0; i < count && r == 0; i++)
		if (connections[i] != 0)
			r = count_connection(scan, db, connections[i], err);
	free(connections);
	return (r);
}

static void
count_finish(struct api_scan *scan)
{
	struct engines *engines = scan->request->api->config.engines;
	json_t *counts = json_object(), *mounts = engines_mounts(engines);
	const char *path, *accessor;
	int r = counts == NULL || mounts == NULL || scan->counts == NULL;

	for (size_t i = 0; i < scan->count_count; i++) {
		path = engines_mount_path(engines, scan->counts[i].mount);
		accessor = path == NULL ? NULL
					: json_string_value(json_object_get(
					      json_object_get(mounts, path), "accessor"));
		if (accessor == NULL)
			accessor = "unknown";
		r |= json_object_set_new(counts, accessor,
		    json_integer(json_integer_value(json_object_get(counts, accessor)) +
				 scan->counts[i].count));
	}
	json_decref(mounts);
	if (r == 0)
		api_reply_data(
		    scan->request, json_pack("{s:I, s:O}", "lease_count",
				       (json_int_t)scan->counts_total, "counts", counts));
	else
		api_reply_data(scan->request, NULL);
	json_decref(counts);
	api_scan_free(scan);
}

static void
count_overdue_finish(struct api_scan *scan)
{
	size_t total = scan->row_count + scan->damaged_count;

	scan->counts = calloc(total + 1, sizeof(*scan->counts));
	for (size_t i = 0; scan->counts != NULL && i < total; i++) {
		scan->counts[i].mount = i < scan->row_count
					    ? scan->rows[i]->mount
					    : scan->damaged[i - scan->row_count].mount;
		scan->counts[i].count = 1;
		scan->counts_total++;
		scan->count_count++;
	}
	count_finish(scan);
}

void
api_sys_lease_count(struct api_request *request)
{
	const char *type = json_string_value(json_object_get(request->body, "type"));
	struct api_scan *scan;

	if (type != NULL && strcmp(type, "irrevocable") == 0)
		scan = api_scan_new(request, api_scan_overdue, count_overdue_finish);
	else
		scan = api_scan_new(request, count_collect, count_finish);
	if (scan == NULL)
		return;
	scan->limit = API_SCAN_KEYS_MAX;
	api_scan_start(scan);
}
