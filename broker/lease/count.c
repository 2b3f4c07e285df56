/*
 * How many leases have ended and are not gone, and since when: counted on the store's reader thread
 * every 15 s, for health and metrics. A refused lease waits at most 60 s for its next try, so that
 * what is overdue is due within 75 s; what is merely about to end is told apart by its record.
 */
#include <stdlib.h>

#include "base/log.h"
#include "lease/private.h"

#define EVERY_MS 15000
#define AHEAD_MS 75000
#define PAGE 512
#define ROWS_MAX 200000 /* beyond it the number is no news */

struct lease_count {
	struct store_read read; /* first */
	struct leases *leases;  /* NULL: leases_free() let go of it */
	int64_t now_ms, oldest_ms;
	uint64_t overdue, rows;
};

static void
row_count(struct lease_count *count, const struct store_lease *row)
{
	struct lease_data data;
	int64_t since_ms = row->next_at_ms;

	count->rows++;
	if (row->kind == STORE_LEASE_TOKEN || lease_data_decode(row->data, &data, NULL) != 0)
		return;
	if (row->state == STORE_LEASE_LIVE && !row->revoke && data.expires_ms > count->now_ms)
		return;
	if (row->state == STORE_LEASE_INTENT && !row->revoke && since_ms > count->now_ms)
		return;
	if (data.expires_ms < since_ms)
		since_ms = data.expires_ms;
	if (since_ms > count->now_ms)
		since_ms = count->now_ms;
	count->overdue++;
	if (count->now_ms - since_ms > count->oldest_ms)
		count->oldest_ms = count->now_ms - since_ms;
}

static int
connection_count(
    struct lease_count *count, struct store_db *db, int64_t connection, struct leased_err *err)
{
	struct store_lease_query query = {.by = STORE_BY_DUE,
	    .number = connection,
	    .until_ms = count->now_ms + AHEAD_MS,
	    .limit = PAGE};
	struct store_lease **rows;
	size_t found = PAGE;
	int r = 0;

	while (r == 0 && found == PAGE && count->rows < ROWS_MAX) {
		rows = NULL;
		found = 0;
		if ((r = store_lease_page(db, &query, &rows, &found, err)) != 0)
			break;
		for (size_t i = 0; i < found; i++)
			row_count(count, rows[i]);
		if (found > 0) {
			query.from_ms = rows[found - 1]->next_at_ms;
			query.after = rows[found - 1]->id;
		}
		store_lease_page_free(rows, found);
	}
	return (r);
}

static int
on_count_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct lease_count *count = (struct lease_count *)read;
	int64_t *connections = NULL;
	size_t found = 0;
	int r;

	r = store_lease_connections(db, &connections, &found, err);
	for (size_t i = 0; i < found && r == 0; i++)
		if (connections[i] != 0)
			r = connection_count(count, db, connections[i], err);
	free(connections);
	return (r);
}

static void
on_count_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct lease_count *count = (struct lease_count *)read;
	struct leases *leases = count->leases;

	if (leases != NULL) {
		leases->counting = NULL;
		if (result == 0) {
			leases->counts.overdue = count->overdue;
			leases->counts.oldest_overdue_ms = count->oldest_ms;
		} else if (result != LEASED_ECANCELED) {
			log_warn("overdue leases cannot be counted", LOG_ERR(err));
		}
	}
	free(count);
}

void
lease_count_step(struct leases *leases, int64_t now_ms)
{
	struct lease_count *count;

	if (leases->counting != NULL || now_ms < leases->count_ms)
		return;
	leases->count_ms = now_ms + EVERY_MS;
	if ((count = calloc(1, sizeof(*count))) == NULL)
		return;
	count->read.run = on_count_run;
	count->read.done = on_count_done;
	count->leases = leases;
	count->now_ms = now_ms;
	leases->counting = count;
	store_submit_read(leases->config.store, &count->read);
}

void
lease_count_clear(struct leases *leases)
{
	if (leases->counting != NULL)
		leases->counting->leases = NULL;
}

void
leases_counts(struct leases *leases, struct lease_counts *ret_counts)
{
	*ret_counts = leases->counts;
	ret_counts->in_flight = HASH_COUNT(leases->busy);
}
