/*
 * The common part of scans over many leases (scan.h): from the reader thread to the loop, and
 * describing rows a few at a time, since a list must not hold up the loop. What does not fit is
 * said. Called by the handlers of lists.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/reply.h"
#include "api/scan.h"

#define SCAN_TURN 16        /* rows described in one turn of the loop */
#define SCAN_RETRY_MS 61000 /* an overdue row is looked at again within this */

void
api_scan_free(struct api_scan *scan)
{
	if (scan == NULL)
		return;
	store_lease_page_free(scan->rows, scan->row_count);
	for (size_t i = 0; i < scan->damaged_count; i++)
		store_damaged_clear(&scan->damaged[i]);
	free(scan->damaged);
	json_decref(scan->keys);
	json_decref(scan->answer);
	free(scan->counts);
	free(scan->text);
	free(scan->place);
	free(scan->more_text);
	free(scan);
}

int
api_scan_nomem(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
scan_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct api_scan *scan = (struct api_scan *)read;

	return (scan->collect(scan, db, err));
}

static void
on_scan_read(struct store_read *read, int result, const struct leased_err *err)
{
	struct api_scan *scan = (struct api_scan *)read;

	if (result == 0 && !scan->request->api->stopping) {
		if (scan->cut)
			api_request_warn(scan->request,
			    "there are more than these: ask with a longer prefix or a higher "
			    "limit");
		scan->finish(scan);
		return;
	}
	if (result == 0)
		api_reply_refuse(scan->request, LEASED_ECANCELED, "leased is stopping");
	else
		api_reply_error(scan->request, 0, err);
	api_scan_free(scan);
}

struct api_scan *
api_scan_new(struct api_request *request,
    int (*collect)(struct api_scan *scan, struct store_db *db, struct leased_err *err),
    void (*finish)(struct api_scan *scan))
{
	struct api_scan *scan = calloc(1, sizeof(*scan));

	if (scan == NULL || (scan->keys = json_object()) == NULL) {
		free(scan);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return (NULL);
	}
	scan->request = request;
	scan->read.run = scan_run;
	scan->read.done = on_scan_read;
	scan->collect = collect;
	scan->finish = finish;
	scan->now_ms = leases_now_ms(request->api->config.leases);
	scan->limit = API_SCAN_ROWS_MAX;
	return (scan);
}

void
api_scan_start(struct api_scan *scan)
{
	store_submit_read(scan->request->api->config.store, &scan->read);
}

/* ---- rows, described a few at a time ---- */

static int
rows_take(struct api_scan *scan, struct store_lease **rows, size_t count)
{
	struct store_lease **all;

	if (count == 0)
		return (0);
	all = reallocarray(scan->rows, scan->row_count + count, sizeof(*all));
	if (all == NULL)
		return (LEASED_ENOMEM);
	scan->rows = all;
	memcpy(all + scan->row_count, rows, count * sizeof(*rows));
	scan->row_count += count;
	return (0);
}

static int
rows_page(struct api_scan *scan, struct store_db *db, size_t *ret_count,
    bool (*wanted)(const struct api_scan *scan, const struct store_lease *row),
    struct leased_err *err)
{
	struct store_lease **rows = NULL;
	size_t count, kept = 0;
	int r;

	if ((r = store_lease_page(db, &scan->query, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		bool take = wanted(scan, rows[i]);

		scan->query.after = rows[i]->id;
		scan->query.from_ms = rows[i]->next_at_ms;
		if (take && scan->row_count + kept < scan->limit) {
			rows[kept++] = rows[i];
			continue;
		}
		scan->cut = scan->cut || take;
		store_lease_free(rows[i]);
	}
	*ret_count = count;
	if (rows_take(scan, rows, kept) != 0) {
		store_lease_page_free(rows, kept);
		return (api_scan_nomem(err));
	}
	free(rows);
	return (0);
}

int
api_scan_rows_page_all(struct api_scan *scan, struct store_db *db,
    const struct store_lease_query *query,
    bool (*wanted)(const struct api_scan *scan, const struct store_lease *row),
    struct leased_err *err)
{
	size_t count = 0;
	int r;

	if (!scan->paging) {
		scan->query = *query;
		scan->query.limit = API_SCAN_PAGE;
		scan->paging = true;
	}
	do {
		if ((r = rows_page(scan, db, &count, wanted, err)) != 0)
			return (r);
		if (count > 0 && !scan->cut && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	} while (count > 0 && !scan->cut);
	scan->paging = false;
	return (0);
}

static void
rows_answer(struct api_scan *scan)
{
	struct lease_counts counts;
	json_t *data;

	data = json_pack("{s:I, s:O}", "lease_count", (json_int_t)json_array_size(scan->answer),
	    "leases", scan->answer);
	if (data != NULL && scan->overdue) {
		leases_counts(scan->request->api->config.leases, &counts);
		if (json_object_update_new(data,
			json_pack("{s:I, s:I}", "overdue", (json_int_t)counts.overdue,
			    "oldest_overdue_s", (json_int_t)(counts.oldest_overdue_ms / 1000))) !=
		    0) {
			json_decref(data);
			data = NULL;
		}
	}
	api_reply_data(scan->request, data);
	api_scan_free(scan);
}

static void on_rows_turn(evutil_socket_t fd, short what, void *arg);

/* Lists name two fields otherwise than lookup does. */
static int
row_alias(json_t *text, const char *alias, const char *field)
{
	json_t *value = json_object_get(text, field);

	return (value != NULL ? json_object_set(text, alias, value) : 0);
}

static json_t *
row_describe(const struct api_scan *scan, size_t at)
{
	struct leases *leases = scan->request->api->config.leases;

	if (at < scan->row_count)
		return (lease_describe(leases, scan->rows[at]));
	return (lease_damaged_describe(leases, &scan->damaged[at - scan->row_count]));
}

/* Out of memory while describing: the row is said to be missing. */
void
api_scan_rows_turn(struct api_scan *scan)
{
	struct api *api = scan->request->api;
	size_t total = scan->row_count + scan->damaged_count;
	struct timeval now = {0, 0};

	if (api->stopping) {
		api_reply_refuse(scan->request, LEASED_ECANCELED, "leased is stopping");
		api_scan_free(scan);
		return;
	}
	if (scan->answer == NULL)
		scan->answer = json_array();
	for (unsigned i = 0; i < SCAN_TURN && scan->described < total; i++) {
		json_t *text = row_describe(scan, scan->described++);

		if (text == NULL || row_alias(text, "lease_id", "id") != 0 ||
		    row_alias(text, "error", "revoke_error") != 0) {
			json_decref(text);
			text = NULL;
		}
		if (text == NULL || json_array_append_new(scan->answer, text) != 0)
			api_request_warn(scan->request, "a lease is missing: out of memory");
	}
	if (scan->described == total) {
		rows_answer(scan);
		return;
	}
	if (api->config.loop == NULL ||
	    event_base_once(api->config.loop, -1, EV_TIMEOUT, on_rows_turn, scan, &now) != 0)
		api_scan_rows_turn(scan);
}

static void
on_rows_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	api_scan_rows_turn(arg);
}

/* ---- overdue ones: ended, marked or stuck, and not gone ---- */

static bool
wanted_overdue(const struct api_scan *scan, const struct store_lease *row)
{
	if (row->kind == STORE_LEASE_TOKEN)
		return (false);
	return (row->stuck || row->revoke || row->state == STORE_LEASE_DISARMED ||
		row->next_at_ms <= scan->now_ms);
}

/* All of them need a person; those of tokens have no account. */
static int
damaged_collect(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	struct store_quarantine_query query = {.connection = -1,
	    .until_ms = INT64_MAX,
	    .with_disarmed = true,
	    .limit = API_SCAN_ROWS_MAX + 1};
	struct store_quarantined *found = NULL;
	size_t count = 0, i;
	int r;

	if ((r = store_quarantine_list(db, &query, &found, &count, err)) != 0 || count == 0)
		goto out;
	if ((scan->damaged = calloc(count, sizeof(*scan->damaged))) == NULL)
		r = api_scan_nomem(err);
	for (i = 0; i < count && r == 0 && !scan->cut; i++) {
		scan->cut = scan->row_count + scan->damaged_count >= scan->limit;
		if (scan->cut || found[i].account[0] == '\0')
			continue;
		r = store_damaged_get(db, found[i].id, &scan->damaged[scan->damaged_count], err);
		if (r == 0)
			scan->damaged_count++;
		else if (r == LEASED_ENOENT)
			r = 0; /* forgotten meanwhile */
	}
out:
	store_quarantine_list_free(found, count);
	return (r);
}

int
api_scan_overdue(struct api_scan *scan, struct store_db *db, struct leased_err *err)
{
	int64_t *connections = NULL;
	size_t count = 0;
	int r;

	if ((r = store_lease_connections(db, &connections, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count && r == 0 && !scan->cut; i++) {
		struct store_lease_query query = {.by = STORE_BY_DUE,
		    .number = connections[i],
		    .until_ms = scan->now_ms + SCAN_RETRY_MS};

		if (connections[i] == 0 || connections[i] < scan->step)
			continue;
		if (connections[i] != scan->step)
			scan->paging = false; /* the one that was begun has no row any more */
		scan->step = connections[i];
		r = api_scan_rows_page_all(scan, db, &query, wanted_overdue, err);
		scan->step += r == 0;
	}
	free(connections);
	return (r == 0 ? damaged_collect(scan, db, err) : r);
}
