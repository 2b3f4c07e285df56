/*
 * The writer thread: takes what is queued, runs it as one transaction, hands the results over. All
 * that arrives while a commit is on its way to disk shares the next one. It also keeps the log of
 * SQLite from growing without bound, and looks whether a full disk has room again.
 */
#include <time.h>

#include "base/log.h"
#include "store/store_private.h"

#define BATCH_MAX 512
#define PROBE_MS 1000
/* The reader copies the log into the database from 4 MiB on; from 16 MiB on the writer ends it. */
#define WAL_READER_PAGES 1024
#define WAL_WRITER_PAGES 4096
/* The longest wait for a group to be complete again. */
#define GATHER_NS (100 * 1000)

struct writer {
	struct store *store;
	size_t in_flight; /* operations under way when the last group was done */
	int64_t probe_ms; /* when to look at a full disk again */
	int wal_copied;   /* pages of the log when the reader was last asked */
};

static struct timespec
after_ns(int64_t ns)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	ns += at.tv_nsec;
	at.tv_sec += ns / 1000000000;
	at.tv_nsec = ns % 1000000000;
	return (at);
}

static int64_t
now_ms(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return ((int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000);
}

/*
 * Callers that wait for their commits come back together: one that is a moment earlier would take
 * the writer away alone, and n callers would need two commits a round. So the group waits, for less
 * than a commit takes, for as many as were under way when the last one was done. Called with the
 * mutex.
 */
static void
gather(struct writer *writer)
{
	struct store *store = writer->store;
	struct timespec until = after_ns(GATHER_NS);
	size_t expected = writer->in_flight;

	if (expected > BATCH_MAX)
		expected = BATCH_MAX;
	store->wanted = expected;
	while (store->queue.count < expected && !store->stopping) {
		if (pthread_cond_timedwait(&store->work, &store->mutex, &until) != 0)
			break;
	}
	store->wanted = 1;
}

static void
count_in_flight(struct writer *writer, size_t done)
{
	pthread_mutex_lock(&writer->store->mutex);
	writer->in_flight = writer->store->queue.count + done;
	pthread_mutex_unlock(&writer->store->mutex);
}

/* A full disk is looked at once a second, whether or not there is work. */
static void
probe(struct writer *writer)
{
	struct leased_err err = LEASED_ERR_INIT;

	writer->probe_ms = now_ms() + PROBE_MS;
	if (store_transaction_probe(writer->store, &err) == 0)
		store_health_recovered(writer->store);
}

/* false: the store is stopping and nothing is queued. */
static bool
take(struct writer *writer, struct store_op_queue *ret_batch)
{
	struct store *store = writer->store;
	struct timespec until;
	bool got;

	pthread_mutex_lock(&store->mutex);
	while (store->queue.first == NULL && !store->stopping) {
		if (store->health.code == 0) {
			pthread_cond_wait(&store->work, &store->mutex);
			continue;
		}
		until = after_ns((int64_t)PROBE_MS * 1000000);
		if (pthread_cond_timedwait(&store->work, &store->mutex, &until) != 0)
			break;
	}
	if (store->queue.first != NULL)
		gather(writer);
	store_queue_take(&store->queue, BATCH_MAX, ret_batch);
	got = ret_batch->first != NULL || !store->stopping;
	pthread_mutex_unlock(&store->mutex);
	return (got);
}

static void
checkpoint(struct writer *writer)
{
	struct store *store = writer->store;
	int pages = store->wal_pages, rc;

	if (pages < writer->wal_copied)
		writer->wal_copied = 0; /* the log has begun anew */
	if (pages - writer->wal_copied >= WAL_READER_PAGES) {
		writer->wal_copied = pages;
		pthread_mutex_lock(&store->mutex);
		store->checkpoint_wanted = true;
		pthread_cond_signal(&store->read_work);
		pthread_mutex_unlock(&store->mutex);
	}
	if (pages < WAL_WRITER_PAGES)
		return;
	/* The reader has copied nearly all. With no page left, the next commit begins anew. */
	rc = sqlite3_wal_checkpoint_v2(
	    store->writer_db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	store_checkpoint_result(store, store->writer_db, rc);
}

void *
store_writer_main(void *arg)
{
	struct writer writer = {.store = store_from(arg)};
	struct store_op_queue batch;

	while (take(&writer, &batch)) {
		if (batch.first != NULL) {
			store_transaction_run(writer.store, &batch);
			count_in_flight(&writer, batch.count);
			store_thread_deliver(writer.store, &batch, NULL);
			checkpoint(&writer);
		}
		if (store_health_code(writer.store) != 0 && now_ms() >= writer.probe_ms)
			probe(&writer);
	}
	return (NULL);
}
