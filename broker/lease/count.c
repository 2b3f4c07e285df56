/*
 * How many leases have ended and are not gone, and since when, of each connection: counted on the
 * store's reader thread every 15 s, and every 3 s while there are some, for sys/health and the
 * metrics. The number comes from the index and the plain columns, so that it costs little however
 * large it is; what is about to be ended in time is in it for a moment, and nothing that is overdue
 * is left out, but for what a restored store holds: nothing of that is tried, and its number is one
 * of its own. The age is the oldest of up to LOOKED_MAX that are opened.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/hold.h"
#include "lease/private.h"

#define EVERY_MS 15000
#define AGAIN_MS 3000  /* whoever looks while something is wrong wants to see it end */
#define AHEAD_MS 75000 /* a refused end is tried again within 60 s */
#define PAGE 1024
#define TELL_MS 60000
#define LOOKED_MAX 64 /* of a connection: of those that are due, and of those that wait */

/* Of one connection. */
struct counted {
	int64_t overdue, oldest_ms, leases;
	int64_t error_code, error_wall_ms; /* the last of those that were looked at */
};

struct lease_count {
	struct store_read read; /* first */
	struct leases *leases;  /* NULL: leases_free() let go of it */
	int64_t now_ms;
	int64_t held;
	bool with_held; /* it walks over all of them: every 15 s at most */
	int64_t *connections;
	struct counted *counted; /* as many */
	size_t connection_count, at;
	struct store_late late; /* of the connection at `at`; limit 0: not begun */
	size_t looked;
};

static void
row_look(struct lease_count *count, const struct store_lease *row)
{
	struct counted *counted = &count->counted[count->at];
	struct lease_data data;
	int64_t since_ms = row->next_at_ms;

	if (lease_data_decode(row->data, &data, NULL) == 0) {
		if (data.due_ms != 0 && data.due_ms < since_ms)
			since_ms = data.due_ms;
		if (data.error_wall_ms > counted->error_wall_ms) {
			counted->error_wall_ms = data.error_wall_ms;
			counted->error_code = data.error_code;
		}
	}
	if (count->now_ms - since_ms > counted->oldest_ms)
		counted->oldest_ms = count->now_ms - since_ms;
}

/* The due ones: the number, and the ages of the first. */
static int
due_count(
    struct lease_count *count, struct store_db *db, int64_t connection, struct leased_err *err)
{
	struct store_lease_query query = {.by = STORE_BY_DUE,
	    .number = connection,
	    .until_ms = count->now_ms,
	    .not_held = true,
	    .limit = LOOKED_MAX};
	struct store_lease **rows = NULL;
	int64_t due = 0;
	size_t found = 0;
	int r;

	if ((r = store_lease_due_count(db, connection, count->now_ms, &due, err)) != 0 || due == 0)
		return (r);
	count->counted[count->at].overdue += due;
	if ((r = store_lease_page(db, &query, &rows, &found, err)) != 0)
		return (r);
	for (size_t i = 0; i < found; i++)
		row_look(count, rows[i]);
	store_lease_page_free(rows, found);
	return (0);
}

/* Those that wait for their next try. */
static int
late_page(struct lease_count *count, struct store_db *db, bool *ret_more, struct leased_err *err)
{
	struct store_late *late = &count->late;
	struct store_lease *row = NULL;
	int r;

	if ((r = store_lease_late_page(db, late, ret_more, err)) != 0)
		return (r);
	for (size_t i = 0; i < late->ids_count && count->looked < LOOKED_MAX; i++) {
		row = NULL;
		r = store_lease_get(db, late->ids[i], &row, err);
		if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
			continue; /* gone, or quarantined, since the page was read */
		if (r != 0)
			return (r);
		row_look(count, row);
		store_lease_free(row);
		count->looked++;
	}
	return (0);
}

/* All that it has, by the counter of its ceiling, which is kept with the rows. */
static int
leases_count(
    struct lease_count *count, struct store_db *db, int64_t connection, struct leased_err *err)
{
	char counter[32];

	(void)snprintf(counter, sizeof(counter), "conn:%lld", (long long)connection);
	return (store_counter_get(db, counter, &count->counted[count->at].leases, err));
}

/* 0, an error, or STORE_READ_AGAIN: this connection is not through. */
static int
connection_count(
    struct lease_count *count, struct store_db *db, int64_t connection, struct leased_err *err)
{
	bool more = true;
	int r;

	if (count->late.limit == 0) {
		if ((r = due_count(count, db, connection, err)) != 0 ||
		    (r = leases_count(count, db, connection, err)) != 0)
			return (r);
		count->looked = 0;
		count->late = (struct store_late){.connection = connection,
		    .until_ms = count->now_ms + AHEAD_MS,
		    .from_ms = count->now_ms,
		    .after = INT64_MAX,
		    .limit = PAGE};
	}
	while (more) {
		if ((r = late_page(count, db, &more, err)) != 0)
			return (r);
		if (more && store_read_is_long(db))
			return (STORE_READ_AGAIN);
	}
	count->counted[count->at].overdue += count->late.count;
	count->late.limit = 0;
	return (0);
}

static int
count_begin(struct lease_count *count, struct store_db *db, struct leased_err *err)
{
	int r = 0;

	if (count->with_held)
		r = store_held_overdue(db, count->now_ms, &count->held, err);
	if (r != 0 || (r = store_lease_connections(
			   db, &count->connections, &count->connection_count, err)) != 0)
		return (r);
	count->counted = calloc(count->connection_count + 1, sizeof(*count->counted));
	return (count->counted != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
on_count_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct lease_count *count = (struct lease_count *)read;
	int r = 0;

	if (count->counted == NULL)
		r = count_begin(count, db, err);
	while (r == 0 && count->at < count->connection_count) {
		/* Connection 0 is the timer of tokens. */
		if (count->connections[count->at] != 0)
			r = connection_count(count, db, count->connections[count->at], err);
		if (r != 0)
			break;
		count->at++;
		if (count->at < count->connection_count && store_read_is_long(db))
			r = STORE_READ_AGAIN;
	}
	return (r);
}

/* Said once a minute while it lasts, and when it is over: revocation goes on by itself, and
 * somebody may have to help it. */
static void
overdue_tell(struct leases *leases)
{
	int64_t oldest_ms = leases->counts.oldest_overdue_ms, now_ms = leases_now_ms(leases);

	if (oldest_ms >= TELL_MS && now_ms >= leases->overdue_told_ms + TELL_MS) {
		log_warn("leases are overdue: their accounts are not disarmed or not removed yet, "
			 "which is tried again and again; `lease list --state stuck` shows why",
		    LOG_I("overdue", (int64_t)leases->counts.overdue),
		    LOG_I("oldest_s", oldest_ms / 1000));
		leases->overdue_told_ms = now_ms;
	} else if (oldest_ms < TELL_MS && leases->overdue_told_ms != 0) {
		log_info("no lease is long overdue any more",
		    LOG_I("overdue", (int64_t)leases->counts.overdue));
		leases->overdue_told_ms = 0;
	}
}

/* Those without a row have none that is overdue. */
static void
count_take(struct leases *leases, const struct lease_count *count)
{
	struct lease_connection *connection, *next;
	struct lease_connection_stats *stats;
	uint64_t overdue = 0;
	int64_t oldest_ms = 0;

	HASH_ITER(hh, leases->connections, connection, next)
	{
		connection->stats.leases = connection->stats.overdue = 0;
		connection->stats.oldest_overdue_ms = 0;
	}
	for (size_t i = 0; i < count->connection_count; i++) {
		const struct counted *counted = &count->counted[i];

		overdue += (uint64_t)counted->overdue;
		oldest_ms = counted->oldest_ms > oldest_ms ? counted->oldest_ms : oldest_ms;
		connection = lease_connection_find(leases, count->connections[i]);
		if (connection == NULL)
			continue;
		stats = &connection->stats;
		stats->leases = (uint64_t)counted->leases;
		stats->overdue = (uint64_t)counted->overdue;
		stats->oldest_overdue_ms = counted->oldest_ms;
		if (counted->error_wall_ms > stats->error_wall_ms) {
			stats->error_wall_ms = counted->error_wall_ms;
			stats->error_code = (int)counted->error_code;
		}
	}
	leases->counts.overdue = overdue;
	leases->counts.oldest_overdue_ms = oldest_ms;
	if (count->with_held)
		leases->counts.held = (uint64_t)count->held;
}

static void
on_count_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct lease_count *count = (struct lease_count *)read;
	struct leases *leases = count->leases;

	if (leases != NULL) {
		leases->counting = NULL;
		if (result == 0) {
			count_take(leases, count);
			overdue_tell(leases);
		} else if (result != LEASED_ECANCELED) {
			log_warn("overdue leases cannot be counted", LOG_ERR(err));
		}
	}
	free(count->connections);
	free(count->counted);
	free(count);
}

void
lease_count_step(struct leases *leases, int64_t now_ms)
{
	struct lease_count *count;

	if (leases->counting != NULL || now_ms < leases->count_ms)
		return;
	leases->count_ms = now_ms + (leases->counts.overdue > 0 ? AGAIN_MS : EVERY_MS);
	if ((count = calloc(1, sizeof(*count))) == NULL)
		return;
	count->read.run = on_count_run;
	count->read.done = on_count_done;
	count->leases = leases;
	count->now_ms = now_ms;
	if (now_ms >= leases->held_count_ms) {
		count->with_held = true;
		leases->held_count_ms = now_ms + EVERY_MS;
	}
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
