/*
 * The daemon's end of the spawner: asks for processes, hears of their start and end. Owns the
 * socket and the lists of workers and pools; what a worker does is worker.c's, what it is for
 * pool.c's.
 */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/host.h"
#include "plugin/packet.h"
#include "plugin/pool.h"
#include "plugin/worker.h"

#define HOST_TAG 0x9c705700u
#define SPAWNER_END_MS 5000

struct host_packet {
	struct packet packet;
	STAILQ_ENTRY(host_packet) entry;
};

static struct plugin_host *
host_from(void *arg)
{
	struct plugin_host *host = arg;

	if (host->tag != HOST_TAG)
		abort();
	return (host);
}

static struct worker *
find_worker(struct plugin_host *host, const char *id)
{
	struct worker *worker;

	TAILQ_FOREACH (worker, &host->workers, in_host)
		if (strcmp(worker->id, id) == 0)
			return (worker);
	return (NULL);
}

static void
drop_unsent(struct plugin_host *host)
{
	struct host_packet *unsent;

	while ((unsent = STAILQ_FIRST(&host->unsent)) != NULL) {
		STAILQ_REMOVE_HEAD(&host->unsent, entry);
		plugin_packet_clear(&unsent->packet);
		free(unsent);
	}
}

static void
close_spawner(struct plugin_host *host)
{
	if (host->fd < 0)
		return;
	event_free(host->readable);
	event_free(host->writable);
	host->readable = host->writable = NULL;
	close(host->fd);
	host->fd = -1;
	drop_unsent(host);
}

/* Never called from within a call of pool.c or worker.c: it ends workers. */
static void
lose_spawner(struct plugin_host *host, const char *why)
{
	struct worker *worker, *next;

	log_error("the spawner is lost: no plugin can be started until leased is restarted",
	    LOG_S("reason", why));
	close_spawner(host);
	for (worker = TAILQ_FIRST(&host->workers); worker != NULL; worker = next) {
		next = TAILQ_NEXT(worker, in_host);
		plugin_worker_on_spawner_lost(worker);
	}
}

/* ---- to the spawner ---- */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct plugin_host *host = host_from(arg);
	struct leased_err err = LEASED_ERR_INIT;
	struct host_packet *first;
	int r;

	(void)what;
	while ((first = STAILQ_FIRST(&host->unsent)) != NULL) {
		if ((r = plugin_packet_send(fd, &first->packet, &err)) == LEASED_EUNAVAIL)
			break;
		if (r != 0) {
			lose_spawner(host, err.text);
			return;
		}
		STAILQ_REMOVE_HEAD(&host->unsent, entry);
		plugin_packet_clear(&first->packet);
		free(first);
	}
	if (!STAILQ_EMPTY(&host->unsent))
		event_add(host->writable, NULL);
}

/* Sent from the loop, so that a failure is told from there. Without memory there is no way to keep
 * the promise that a worker ends. */
static void
queue_packet(struct plugin_host *host, json_t *object)
{
	struct host_packet *unsent = calloc(1, sizeof(*unsent));

	if (unsent == NULL || object == NULL)
		log_fatal("out of memory");
	unsent->packet = (struct packet)PACKET_INIT;
	unsent->packet.object = object;
	STAILQ_INSERT_TAIL(&host->unsent, unsent, entry);
	event_active(host->writable, EV_WRITE, 0);
}

/* With the spawner gone the worker's end is told at the loop's next turn as well. */
static void
on_never_started(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	plugin_worker_on_exited(arg, "the spawner is lost: restart leased");
}

void
plugin_host_start_worker(struct plugin_host *host, struct worker *worker)
{
	if (host->fd >= 0)
		queue_packet(host, json_pack("{s:s,s:s,s:s}", "op", "start", "id", worker->id,
				       "program", worker->program));
	else if (event_base_once(host->loop, -1, EV_TIMEOUT, on_never_started, worker,
		     &(struct timeval){0, 1}) != 0)
		log_fatal("out of memory");
}

void
plugin_host_kill_worker(struct plugin_host *host, const struct worker *worker)
{
	if (host->fd >= 0)
		queue_packet(host, json_pack("{s:s,s:s}", "op", "kill", "id", worker->id));
}

/* ---- from the spawner ---- */

static void
on_started(struct worker *worker, struct packet *packet)
{
	if (packet->fds[0] < 0 || packet->fds[1] < 0)
		return; /* our table of descriptors is full; its exit comes, since its stream ended
			 */
	plugin_worker_on_started(worker, packet->fds[0], packet->fds[1]);
	packet->fds[0] = packet->fds[1] = -1; /* handed over */
}

static void
take_packet(struct plugin_host *host, struct packet *packet)
{
	const char *op = json_string_value(json_object_get(packet->object, "op"));
	const char *id = json_string_value(json_object_get(packet->object, "id"));
	const char *text = json_string_value(json_object_get(packet->object, "text"));
	const char *how = json_string_value(json_object_get(packet->object, "how"));
	struct worker *worker;

	if (op != NULL && strcmp(op, "hello") == 0) {
		host->spawner = (pid_t)json_integer_value(json_object_get(packet->object, "pid"));
		return;
	}
	if (op == NULL || id == NULL || (worker = find_worker(host, id)) == NULL)
		return;
	if (strcmp(op, "started") == 0)
		on_started(worker, packet);
	else if (strcmp(op, "failed") == 0)
		plugin_worker_on_exited(worker, text != NULL ? text : "it could not be started");
	else if (strcmp(op, "exited") == 0)
		plugin_worker_on_exited(worker, how != NULL ? how : "it ended");
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct plugin_host *host = host_from(arg);
	struct packet packet = PACKET_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	(void)what;
	if ((r = plugin_packet_receive(fd, &packet, &err)) == LEASED_EUNAVAIL)
		return;
	if (r != 0)
		lose_spawner(host, err.text);
	else
		take_packet(host, &packet);
	plugin_packet_clear(&packet);
}

struct plugin_host *
plugin_host_new(
    struct event_base *loop, int spawner_fd, struct wclock *clock, struct id_source *ids)
{
	struct plugin_host *host = calloc(1, sizeof(*host));

	if (host == NULL)
		return (NULL);
	host->tag = HOST_TAG;
	host->loop = loop;
	host->clock = clock;
	host->ids = ids;
	host->fd = spawner_fd;
	id_uuid(ids, host->instance);
	STAILQ_INIT(&host->unsent);
	TAILQ_INIT(&host->workers);
	TAILQ_INIT(&host->pools);
	host->readable = event_new(loop, spawner_fd, EV_READ | EV_PERSIST, on_readable, host);
	host->writable = event_new(loop, spawner_fd, EV_WRITE, on_writable, host);
	if (host->readable == NULL || host->writable == NULL ||
	    evutil_make_socket_nonblocking(spawner_fd) != 0 ||
	    event_add(host->readable, NULL) != 0) {
		if (host->readable != NULL)
			event_free(host->readable);
		if (host->writable != NULL)
			event_free(host->writable);
		free(host);
		return (NULL);
	}
	return (host);
}

void
plugin_host_set_tag(struct plugin_host *host, const char *tag)
{
	snprintf(host->store_tag, sizeof(host->store_tag), "%s", tag);
}

void
plugin_host_mute(struct plugin_host *host)
{
	if (host != NULL)
		host->muted = true;
}

/* It kills its children and ends when our end of the socket closes; it is our own child. */
static void
wait_for_spawner(pid_t pid)
{
	const struct timespec pause = {0, 2000000};

	for (unsigned waited_ms = 0; waited_ms < SPAWNER_END_MS; waited_ms += 2) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(pid, SIGKILL); /* its workers die with it */
	(void)waitpid(pid, NULL, 0);
}

void
plugin_host_free(struct plugin_host *host)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct packet packet = PACKET_INIT;
	struct pollfd hello = {.events = POLLIN};
	struct worker *worker;
	struct pool *pool;

	if (host == NULL)
		return;
	hello.fd = host->fd;
	if (host->spawner == 0 && host->fd >= 0 && poll(&hello, 1, 1000) == 1 &&
	    plugin_packet_receive(host->fd, &packet, &err) == 0)
		take_packet(host, &packet);
	plugin_packet_clear(&packet);
	host->muted = host->freeing = true;
	close_spawner(host);
	if (host->spawner != 0)
		wait_for_spawner(host->spawner);
	while ((pool = TAILQ_FIRST(&host->pools)) != NULL)
		plugin_port_close(&pool->port);
	while ((worker = TAILQ_FIRST(&host->workers)) != NULL)
		plugin_worker_on_exited(worker, "leased is stopping");
	host->tag = 0;
	free(host);
}
