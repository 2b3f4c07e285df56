/*
 * The daemon's end of the spawner, for worker.c and pool.c.
 */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include <sys/queue.h>

#include "plugin/plugin.h"

struct worker;
struct pool;

TAILQ_HEAD(host_workers, worker);
TAILQ_HEAD(host_pools, pool);

struct host_packet;
STAILQ_HEAD(host_packets, host_packet);

struct plugin_host {
	unsigned tag;
	struct event_base *loop;
	struct wclock *clock;
	struct id_source *ids;
	int fd; /* the spawner's socket; -1 once it is lost */
	struct event *readable, *writable;
	struct host_packets unsent;
	pid_t spawner; /* 0 until it said hello */
	char store_tag[32];
	bool muted;   /* owners are told nothing any more */
	bool freeing; /* not within a callback: what ends is freed at once */
	char instance[ID_UUID_SIZE];
	struct host_workers workers; /* from the start asked for to the reaping */
	struct host_pools pools;     /* until freed */
};

/* Asks for a process; plugin_worker_on_started() or worker_on_failed() follow, never before this
 * returns.
 */
void plugin_host_start_worker(struct plugin_host *host, struct worker *worker);

/* Asks for SIGKILL; plugin_worker_on_exited() follows. */
void plugin_host_kill_worker(struct plugin_host *host, const struct worker *worker);

#endif
