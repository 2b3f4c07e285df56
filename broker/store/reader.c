/*
 * The reader thread: submitted reads one after another, between them the copying of SQLite's log
 * into the database (so that no commit pays for it), and when there is nothing else, the scrub.
 */
#include <time.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/row.h"

#define READ_MS 10 /* of a walk, before the next read has its turn */

struct reader {
	struct store *store;
	struct store_scrub scrub;
	struct timespec scrub_at; /* monotonic */
};

/* What a checkpoint gave. One that could not run now is made later. */
void
store_checkpoint_result(struct store *store, struct store_db *db, int sqlite_code)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (sqlite_code == SQLITE_OK || (sqlite_code & 0xff) == SQLITE_BUSY ||
	    (sqlite_code & 0xff) == SQLITE_LOCKED)
		return;
	r = store_sql_error(db, sqlite_code, &err);
	if (r == LEASED_EIO)
		store_fail_stop(store, &err);
	if (r == LEASED_ENOSPC)
		store_health_failed(store, r, &err);
	else
		log_error("the store's log could not be copied into the database", LOG_ERR(&err));
}

static void
checkpoint(struct store *store)
{
	int rc = sqlite3_wal_checkpoint_v2(
	    store->reader_db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	store_checkpoint_result(store, store->reader_db, rc);
}

static int64_t
monotonic_ms(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return ((int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000);
}

bool
store_read_is_long(struct store_db *db)
{
	return (monotonic_ms() - db->read_began_ms >= READ_MS);
}

int
store_read_call(struct store_read *read, struct store_db *db)
{
	int r;

	db->read_began_ms = monotonic_ms();
	read->err.text[0] = '\0';
	r = read->run(read, db, &read->err);
	/* A snapshot that was left open would keep the log from ever beginning anew. */
	store_snapshot_end(db);
	return (r);
}

static void
read_run(struct store *store, struct store_read *read)
{
	struct store_read_queue done;

	FAILPOINT(store_read_before);
	read->result = store_read_call(read, store->reader_db);
	if (read->result == STORE_READ_AGAIN) {
		store_submit_read(store, read);
		return;
	}
	store_read_queue_init(&done);
	store_read_queue_append(&done, read);
	store_thread_deliver(store, NULL, &done);
}

static void
scrub(struct reader *reader)
{
	struct leased_err err = LEASED_ERR_INIT;
	int64_t wait_ms = 60000;

	int r;

	r = store_scrub_step(reader->store->reader_db, &reader->scrub, &wait_ms, &err);
	if (r != 0 && r != LEASED_ECANCELED)
		log_error("the scrub of the store failed; it goes on in a minute", LOG_ERR(&err));
	clock_gettime(CLOCK_MONOTONIC, &reader->scrub_at);
	reader->scrub_at.tv_sec += wait_ms / 1000;
}

/* What is to be done next: a read, a checkpoint, a page of the scrub; false: stop. Reads that are
 * queued then are store_stop()'s to answer. */
static bool
next(struct reader *reader, struct store_read **ret_read, bool *ret_checkpoint)
{
	struct store *store = reader->store;
	int timed_out = 0;
	bool go_on;

	pthread_mutex_lock(&store->mutex);
	while (store->reads.first == NULL && !store->checkpoint_wanted && !store->stopping &&
	       timed_out == 0)
		timed_out =
		    pthread_cond_timedwait(&store->read_work, &store->mutex, &reader->scrub_at);
	go_on = !store->stopping;
	*ret_read = go_on ? store_read_queue_take_one(&store->reads) : NULL;
	*ret_checkpoint = store->checkpoint_wanted;
	store->checkpoint_wanted = false;
	pthread_mutex_unlock(&store->mutex);
	return (go_on);
}

void *
store_reader_main(void *arg)
{
	struct reader reader = {.store = store_from(arg)};
	struct store_read *read;
	bool wanted;

	/* Not in the first seconds, which belong to recovery. */
	clock_gettime(CLOCK_MONOTONIC, &reader.scrub_at);
	reader.scrub_at.tv_sec += 30;
	while (next(&reader, &read, &wanted)) {
		if (read != NULL)
			read_run(reader.store, read);
		if (wanted)
			checkpoint(reader.store);
		if (read == NULL && !wanted)
			scrub(&reader);
	}
	return (NULL);
}
