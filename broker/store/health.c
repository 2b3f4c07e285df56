/*
 * What the operator must know of the store, and the reserve's part in it: given back to the disk
 * when a write finds it full, made again when there is room. Called by the writer; read from
 * anywhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/store_private.h"

void
store_health_failed(struct store *store, int code, const struct leased_err *err)
{
	bool first;

	pthread_mutex_lock(&store->mutex);
	first = store->health.code == 0;
	store->health.code = code;
	pthread_mutex_unlock(&store->mutex);
	if (code == LEASED_ENOSPC && store->files.has_reserve)
		store_files_reserve_release(store);
	if (!first)
		return;
	log_error("the store cannot write; no credential is handed out until it can. Free disk "
		  "space, or make the file system writable",
	    LOG_ERR(err));
}

void
store_health_recovered(struct store *store)
{
	pthread_mutex_lock(&store->mutex);
	store->health.code = 0;
	pthread_mutex_unlock(&store->mutex);
	log_info("the store can write again, and its reserve is in place");
}

int
store_health_code(struct store *store)
{
	int code;

	pthread_mutex_lock(&store->mutex);
	code = store->health.code;
	pthread_mutex_unlock(&store->mutex);
	return (code);
}

void
store_health_count(struct store *store, uint64_t operations)
{
	pthread_mutex_lock(&store->mutex);
	store->health.commits++;
	store->health.operations += operations;
	pthread_mutex_unlock(&store->mutex);
}

void
store_health_damaged(struct store *store, bool damaged)
{
	pthread_mutex_lock(&store->mutex);
	store->health.damaged = damaged;
	pthread_mutex_unlock(&store->mutex);
}

void
store_health_quarantined(struct store *store, int64_t change)
{
	pthread_mutex_lock(&store->mutex);
	store->health.quarantined += (uint64_t)change;
	pthread_mutex_unlock(&store->mutex);
}

void
store_health_get(struct store *store, struct store_health *ret_health)
{
	pthread_mutex_lock(&store->mutex);
	*ret_health = store->health;
	pthread_mutex_unlock(&store->mutex);
}

static int64_t
file_bytes(const char *path)
{
	struct stat status;

	return (stat(path, &status) == 0 ? (int64_t)status.st_size : 0);
}

void
store_stats_get(struct store *store, struct store_stats *ret_stats)
{
	struct store_stats stats = {0};
	char *log = NULL;

	pthread_mutex_lock(&store->mutex);
	stats.health = store->health;
	stats.writes_waiting = store->queue.count;
	for (const struct store_read *read = store->reads.first; read != NULL; read = read->next)
		stats.reads_waiting++;
	pthread_mutex_unlock(&store->mutex);
	stats.has_reserve = store->files.has_reserve;
	if (store->files.database != NULL) {
		/* Names that the kernel knows: neither waits for the disk. */
		stats.file_bytes = file_bytes(store->files.database);
		if (asprintf(&log, "%s-wal", store->files.database) >= 0)
			stats.log_bytes = file_bytes(log);
		free(log);
	}
	*ret_stats = stats;
}
