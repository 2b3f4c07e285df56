/*
 * The daemon's end of the spawner, for worker.c and pool.c.
 */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

#include <sys/queue.h>

#include "plugin/guard.h"
#include "plugin/packet.h"
#include "plugin/plugin.h"

struct worker;
struct pool;

#define HOST_GONE_MAX 128

TAILQ_HEAD(host_workers, worker);
TAILQ_HEAD(host_pools, pool);

struct plugin_host {
	unsigned tag;
	struct event_base *loop;
	struct wclock *clock;
	struct id_source *ids;
	int fd; /* the spawner's socket; -1 once it is lost */
	struct event *readable, *writable, *again;
	struct packet incoming;
	pid_t spawner; /* 0 until it said hello */
	char store_tag[32];
	struct guards guards; /* files that no worker reads */
	struct {
		pid_t pid;
		int64_t until_us; /* boot clock: it is somebody else's then, if anybody's */
	} gone[HOST_GONE_MAX];    /* a ring */
	unsigned gone_next;
	void (*on_lost)(void *arg); /* NULL: nobody is told */
	void *on_lost_arg;
	bool muted;   /* owners are told nothing any more */
	bool freeing; /* not within a callback: what ends is freed at once */
	char instance[ID_UUID_SIZE];
	struct host_workers workers; /* from the start asked for to the reaping */
	struct host_pools pools;     /* until freed */
};

/*
 * Sees to what workers want of the spawner (wants_start, wants_kill), from the loop's next turn on
 * until it is done: without memory or room in the socket it is tried again.
 * plugin_worker_on_started() or _on_exited() follow.
 */
void plugin_host_wake(struct plugin_host *host);

#endif
