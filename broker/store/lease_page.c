/*
 * Pages of leases by one question, and what the timer asks of the index alone. Rows that do not
 * open are left out (lease.c quarantines them). Each question is answered from an index, so that a
 * page costs its rows and not the table.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/row.h"

/* Bad rows passed over in one page: the next page finds them moved away. */
#define SKIP_MAX 1024

struct page {
	struct store_list leases;
	unsigned limit, skipped;
	bool by_due;   /* else by number .. */
	int64_t after; /* .. above this */
};

void
store_lease_page_free(struct store_lease **leases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_lease_free(leases[i]);
	free(leases);
}

static void
on_lease_free(void *item)
{
	store_lease_free(item);
}

static int
page_add(struct store_db *db, sqlite3_stmt *stmt, struct page *page, struct leased_err *err)
{
	struct store_lease *lease = NULL;
	int r;

	if ((r = store_lease_from_row(db, stmt, &lease, err)) == LEASED_ECORRUPT) {
		page->skipped++;
		return (0);
	}
	if (r == 0 && (r = store_list_append(&page->leases, lease, err)) != 0)
		store_lease_free(lease);
	return (r);
}

static int
page_fill(struct store_db *db, const char *text, const struct store_sql_arg *args, size_t count,
    struct page *page, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, text, args, count, &stmt, err);
	while (r == 0 && page->leases.count < page->limit && page->skipped < SKIP_MAX &&
	       (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		if (!page->by_due)
			r = store_sql_advance(
			    db, sqlite3_column_int64(stmt, LEASE_ID), &page->after, err);
		if (r == 0)
			r = page_add(db, stmt, page, err);
	}
	store_sql_finish(stmt);
	return (r);
}

/*
 * Places below a path are few (one a role), leases many: for each place in turn, the lowest ids,
 * kept in one ascending array of at most limit. So a page costs places + limit, however many rows
 * follow.
 */
struct lowest {
	int64_t *ids;
	size_t count, limit;
};

static void
lowest_add(struct lowest *lowest, int64_t id)
{
	size_t at = lowest->count;

	if (lowest->count == lowest->limit)
		at--;
	else
		lowest->count++;
	for (; at > 0 && lowest->ids[at - 1] > id; at--)
		lowest->ids[at] = lowest->ids[at - 1];
	lowest->ids[at] = id;
}

static int
lowest_of_place(struct store_db *db, const struct store_lease_query *query, const char *place,
    struct lowest *lowest, struct leased_err *err)
{
	int64_t highest = query->at_most != 0 ? query->at_most : INT64_MAX, id = query->after;
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT id FROM lease WHERE mount = ?1 AND place = ?2 AND id > ?3 AND id <= ?4"
	    " ORDER BY id",
	    SQL_ARGS(store_sql_int(query->number), store_sql_text(place),
		store_sql_int(query->after), store_sql_int(highest)),
	    &stmt, err);
	for (size_t taken = 0; r == 0 && taken < lowest->limit; taken++) {
		if ((r = store_sql_step(db, stmt, &row, err)) != 0 || !row ||
		    (r = store_sql_advance(db, sqlite3_column_int64(stmt, 0), &id, err)) != 0)
			break;
		if (lowest->count == lowest->limit && id > lowest->ids[lowest->count - 1])
			break;
		lowest_add(lowest, id);
	}
	store_sql_finish(stmt);
	return (r);
}

/* *place becomes the next one of mount above it that starts with prefix, NULL after the last. */
static int
place_next(struct store_db *db, int64_t mount, const char *prefix, bool inclusive, char **place,
    struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	char *next = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    inclusive ? "SELECT place FROM lease WHERE mount = ?1 AND place >= ?2"
			" ORDER BY place LIMIT 1"
		      : "SELECT place FROM lease WHERE mount = ?1 AND place > ?2"
			" ORDER BY place LIMIT 1",
	    SQL_ARGS(store_sql_int(mount), store_sql_text(*place)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row &&
	    strncmp(store_sql_column_text(stmt, 0), prefix, strlen(prefix)) == 0) {
		if ((next = store_sql_column_dup(stmt, 0)) == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list leases");
		else if (!inclusive && strcmp(next, *place) <= 0)
			r = store_sql_disorder(db, err);
	}
	store_sql_finish(stmt);
	if (r != 0) {
		free(next);
		return (r);
	}
	free(*place);
	*place = next;
	return (0);
}

int
store_lease_place_next(
    struct store_db *db, int64_t mount, const char *prefix, char **place, struct leased_err *err)
{
	bool first = *place == NULL;

	if (first && (*place = strdup(prefix)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to list leases"));
	return (place_next(db, mount, prefix, first, place, err));
}

static int
lowest_below(struct store_db *db, const struct store_lease_query *query, struct lowest *lowest,
    struct leased_err *err)
{
	char *prefix = NULL, *place = NULL;
	size_t len = strlen(query->text);
	bool inclusive = true;
	int r = 0;

	if ((prefix = calloc(1, len + 2)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to list leases");
		goto out;
	}
	memcpy(prefix, query->text, len);
	if (len > 0) {
		if ((r = lowest_of_place(db, query, prefix, lowest, err)) != 0)
			goto out;
		prefix[len] = '/';
	}
	if ((place = strdup(prefix)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to list leases");
		goto out;
	}
	while ((r = place_next(db, query->number, prefix, inclusive, &place, err)) == 0 &&
	       place != NULL) {
		inclusive = false;
		if ((r = lowest_of_place(db, query, place, lowest, err)) != 0)
			goto out;
	}
out:
	free(prefix);
	free(place);
	return (r);
}

static int
page_by_place(struct store_db *db, const struct store_lease_query *query, struct page *page,
    struct leased_err *err)
{
	struct store_lease_query rest = *query;
	struct lowest lowest = {.limit = query->limit};
	int r = 0;

	if ((lowest.ids = calloc(query->limit, sizeof(*lowest.ids))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to list leases"));
	/* Once, unless all of them are bad: an empty page would look like the end. */
	do {
		lowest.count = 0;
		r = lowest_below(db, &rest, &lowest, err);
		for (size_t i = 0; i < lowest.count && r == 0; i++)
			r = page_fill(db, LEASE_SELECT "WHERE id = ?1",
			    SQL_ARGS(store_sql_int(lowest.ids[i])), page, err);
		if (lowest.count > 0)
			rest.after = lowest.ids[lowest.count - 1];
	} while (r == 0 && lowest.count > 0 && page->leases.count == 0 && page->skipped < SKIP_MAX);
	free(lowest.ids);
	return (r);
}

/*
 * Those of the very moment where the last page ended, then the later ones. As one question, SQLite
 * would seek the moment only and step over all of its rows that were seen: a bulk gives thousands
 * of leases the same next_at, and pages would cost their number squared.
 */
static int
page_by_due(struct store_db *db, const struct store_lease_query *query, struct page *page,
    struct leased_err *err)
{
	bool first = query->from_ms == 0 && query->after == 0;
	const struct store_hold_state *hold =
	    query->not_held && store_held(db->store, 1) ? &db->store->hold : NULL;
	int r = 0;

	if (!first && query->from_ms <= query->until_ms)
		r = page_fill(db,
		    hold != NULL ? hold->due_same
				 : LEASE_SELECT "WHERE connection = ?1 AND next_at = ?2"
						" AND id > ?3 ORDER BY id",
		    SQL_ARGS(store_sql_int(query->number), store_sql_int(query->from_ms),
			store_sql_int(query->after)),
		    page, err);
	if (r != 0)
		return (r);
	return (page_fill(db,
	    hold != NULL ? hold->due_later
			 : LEASE_SELECT "WHERE connection = ?1 AND next_at > ?2 AND next_at <= ?3"
					" ORDER BY next_at, id",
	    SQL_ARGS(store_sql_int(query->number),
		store_sql_int(first ? INT64_MIN : query->from_ms), store_sql_int(query->until_ms)),
	    page, err));
}

static int
page_query(struct store_db *db, const struct store_lease_query *query, struct page *page,
    struct leased_err *err)
{
	int64_t highest = query->at_most != 0 ? query->at_most : INT64_MAX;

	switch (query->by) {
	case STORE_BY_DUE:
		return (page_by_due(db, query, page, err));
	case STORE_BY_OWNER:
		return (page_fill(db,
		    LEASE_SELECT "WHERE owner = ?1 AND owner <> '' AND id > ?2 AND id <= ?3"
				 " ORDER BY id",
		    SQL_ARGS(store_sql_text(query->text), store_sql_int(query->after),
			store_sql_int(highest)),
		    page, err));
	case STORE_BY_PLACE:
		return (page_by_place(db, query, page, err));
	case STORE_IN_PLACE:
		return (page_fill(db,
		    LEASE_SELECT "WHERE mount = ?1 AND place = ?2 AND id > ?3 AND id <= ?4"
				 " ORDER BY id",
		    SQL_ARGS(store_sql_int(query->number), store_sql_text(query->text),
			store_sql_int(query->after), store_sql_int(highest)),
		    page, err));
	case STORE_BY_ID:
		return (page_fill(db, LEASE_SELECT "WHERE id > ?1 AND id <= ?2 ORDER BY id",
		    SQL_ARGS(store_sql_int(query->after), store_sql_int(highest)), page, err));
	}
	return (bug(err, "a lease query of kind %d", (int)query->by));
}

int
store_lease_page(struct store_db *db, const struct store_lease_query *query,
    struct store_lease ***ret_leases, size_t *ret_count, struct leased_err *err)
{
	struct page page = {
	    .limit = query->limit, .by_due = query->by == STORE_BY_DUE, .after = query->after};
	int r = 0;

	if (query->limit > 0 && (r = page_query(db, query, &page, err)) != 0) {
		/* Bad rows are passed over: this is SQLite's own word on an index. */
		if (r == LEASED_ECORRUPT)
			store_quarantine_reindex(db->store);
		store_list_clear(&page.leases, on_lease_free);
		return (r);
	}
	*ret_leases = (struct store_lease **)page.leases.items;
	*ret_count = page.leases.count;
	return (0);
}

int
store_lease_next_at(
    struct store_db *db, int64_t connection, int64_t *ret_ms, struct leased_err *err)
{
	return (store_sql_number(db,
	    connection != 0 && store_held(db->store, 1)
		? db->store->hold.next_at
		: "SELECT next_at FROM lease WHERE connection = ?1 ORDER BY next_at LIMIT 1",
	    SQL_ARGS(store_sql_int(connection)), ret_ms, err));
}

int
store_lease_connections(
    struct store_db *db, int64_t **ret_connections, size_t *ret_count, struct leased_err *err)
{
	int64_t *connections = NULL, *larger, last = INT64_MIN, found = 0;
	size_t count = 0, size = 0;
	int r;

	/* One index probe a connection, not one step a row. */
	while (
	    (r = store_sql_number(db,
		 "SELECT connection FROM lease WHERE connection > ?1 ORDER BY connection LIMIT 1",
		 SQL_ARGS(store_sql_int(last)), &found, err)) == 0 &&
	    (r = store_sql_advance(db, found, &last, err)) == 0) {
		if (count == size) {
			size = size == 0 ? 16 : size * 2;
			larger = reallocarray(connections, size, sizeof(*connections));
			if (larger == NULL) {
				free(connections);
				return (leased_err_set(
				    err, LEASED_ENOMEM, "no memory to list connections"));
			}
			connections = larger;
		}
		connections[count++] = last;
	}
	if (r != LEASED_ENOENT) {
		free(connections);
		return (r);
	}
	*ret_connections = connections;
	*ret_count = count;
	return (0);
}

int
store_lease_any(struct store_db *db, int64_t connection, struct leased_err *err)
{
	int64_t found;
	int r;

	r = store_sql_number(db, "SELECT 1 FROM lease WHERE connection = ?1 LIMIT 1",
	    SQL_ARGS(store_sql_int(connection)), &found, err);
	if (r != LEASED_ENOENT)
		return (r);
	/* An account in quarantine is ended through its connection as well. */
	return (store_sql_number(db,
	    "SELECT 1 FROM quarantine WHERE table_name = 'lease' AND connection = ?1 LIMIT 1",
	    SQL_ARGS(store_sql_int(connection)), &found, err));
}
