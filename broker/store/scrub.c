/*
 * The scrub: opens every lease row within a day, a small page at a time, so that damage is found
 * while a person can still act. The reader thread calls it between other work.
 */
#include "store/row.h"

#define SCRUB_PAGE 64
#define SCRUB_PAUSE_MS 1000
#define SCRUB_PASS_MS ((int64_t)12 * 3600 * 1000)

/* Rows a page, so that a pass over a very large store still ends within half of SCRUB_PASS_MS. */
static int
page_size(struct store_db *db, unsigned *ret_rows, struct leased_err *err)
{
	int64_t first = 0, last = 0, rows;
	int r;

	r = store_sql_number(db, "SELECT min(id) FROM lease", SQL_NO_ARGS, &first, err);
	if (r == 0)
		r = store_sql_number(db, "SELECT max(id) FROM lease", SQL_NO_ARGS, &last, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	rows = (last - first + 1) / (SCRUB_PASS_MS / 2 / SCRUB_PAUSE_MS);
	if (rows < SCRUB_PAGE)
		rows = SCRUB_PAGE;
	*ret_rows = rows > 4096 ? 4096 : (unsigned)rows;
	return (0);
}

/* The index that expiry goes by: a lease that is missing there would never end. */
static int
index_check(struct store_db *db, const struct store_lease *lease, struct leased_err *err)
{
	int64_t found;
	int r;

	r = store_sql_number(db,
	    "SELECT 1 FROM lease INDEXED BY lease_due WHERE connection = ?1 AND next_at = ?2"
	    " AND id = ?3",
	    SQL_ARGS(store_sql_int(lease->connection), store_sql_int(lease->next_at_ms),
		store_sql_int(lease->id)),
	    &found, err);
	if (r != LEASED_ENOENT && r != LEASED_ECORRUPT)
		return (r);
	store_quarantine_reindex(db->store);
	return (0);
}

static int
row_check(struct store_db *db, sqlite3_stmt *stmt, struct leased_err *err)
{
	struct store_lease *lease = NULL;
	bool good = false;
	int r;

	if ((r = store_lease_from_row(db, stmt, &lease, err)) == LEASED_ECORRUPT)
		return (0); /* reported */
	if (r != 0)
		return (r);
	r = store_record_sum_check(db->store, "lease", stmt, LEASE_SUM, &good, err);
	if (r == 0 && !good)
		store_quarantine_lease(
		    db, stmt, lease, "its index columns' checksum does not match");
	else if (r == 0)
		r = index_check(db, lease, err);
	store_lease_free(lease);
	return (r);
}

int
store_scrub_step(
    struct store_db *db, struct store_scrub *scrub, int64_t *ret_wait_ms, struct leased_err *err)
{
	int64_t now_ms = wclock_boot_ms(db->store->clock);
	sqlite3_stmt *stmt = NULL;
	unsigned limit, count = 0;
	bool row = false;
	int r;

	if (!scrub->running)
		*scrub = (struct store_scrub){.running = true, .started_ms = now_ms};
	if ((r = page_size(db, &limit, err)) != 0)
		return (r);
	r = store_sql_start(db, LEASE_SELECT "WHERE id > ?1 ORDER BY id LIMIT ?2",
	    SQL_ARGS(store_sql_int(scrub->after), store_sql_int(limit)), &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		count++;
		r = store_sql_advance(db, sqlite3_column_int64(stmt, LEASE_ID), &scrub->after, err);
		if (r == 0)
			r = row_check(db, stmt, err);
	}
	store_sql_finish(stmt);
	if (r != 0)
		return (r);
	*ret_wait_ms = SCRUB_PAUSE_MS;
	if (count < limit) {
		*ret_wait_ms = scrub->started_ms + SCRUB_PASS_MS - now_ms;
		*scrub = (struct store_scrub){0};
	}
	return (0);
}
