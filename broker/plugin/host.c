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
#include "plugin/pool.h"
#include "plugin/worker.h"

#define HOST_TAG 0x9c705700u
#define SPAWNER_END_MS 5000
#define GONE_US 60000000

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
free_events(struct plugin_host *host)
{
	struct event **events[] = {&host->readable, &host->writable, &host->again};

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (*events[i] != NULL)
			event_free(*events[i]);
		*events[i] = NULL;
	}
}

static void
close_spawner(struct plugin_host *host)
{
	if (host->fd < 0)
		return;
	(void)event_del(host->readable);
	(void)event_del(host->writable);
	close(host->fd);
	host->fd = -1;
}

/* Never called from within a call of pool.c or worker.c: it ends workers. */
static void
lose_spawner(struct plugin_host *host, const char *why)
{
	struct worker *worker, *next;

	if (host->fd < 0)
		return;
	log_error("the spawner is lost: until leased is restarted no plugin can be started, so "
		  "that nothing can be minted and no lease ended",
	    LOG_S("reason", why));
	close_spawner(host);
	for (worker = TAILQ_FIRST(&host->workers); worker != NULL; worker = next) {
		next = TAILQ_NEXT(worker, in_host);
		plugin_worker_on_spawner_lost(worker);
	}
	if (host->on_lost != NULL)
		host->on_lost(host->on_lost_arg);
}

/* ---- to the spawner ---- */

/* The files that a connection's configuration names. NULL: out of memory. */
static json_t *
named_files(const struct worker *worker)
{
	const struct named_files *files = &worker->pool->named;
	json_t *list = json_array();

	for (unsigned i = 0; list != NULL && i < files->count; i++)
		if (json_array_append_new(list, json_string(files->paths[i])) != 0) {
			json_decref(list);
			return (NULL);
		}
	return (list);
}

static int
add_limits(const struct plugin_host *host, const struct worker *worker, json_t *message)
{
	int r = json_object_set_new(message, "files", named_files(worker));

	if (worker->pool->row->starts_programs)
		r |= json_object_set_new(message, "starts_programs", json_true());
	if (worker->pool->named.count > 0)
		r |= json_object_set_new(message, "guarded", plugin_guards_list(&host->guards));
	return (r);
}

static int
ask(struct plugin_host *host, const char *op, const struct worker *worker, struct leased_err *err)
{
	struct packet packet = PACKET_INIT;
	int r;

	packet.object =
	    json_pack("{s:s,s:s,s:s}", "op", op, "id", worker->id, "program", worker->program);
	if (packet.object == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (strcmp(op, "start") == 0 && add_limits(host, worker, packet.object) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else
		r = plugin_packet_send(host->fd, &packet, err);
	plugin_packet_clear(&packet);
	return (r);
}

/* In the order of the requests: a worker is killed after it was started. */
static int
ask_for(struct plugin_host *host, struct worker *worker, struct leased_err *err)
{
	int r;

	if (worker->wants_start) {
		if ((r = ask(host, "start", worker, err)) != 0)
			return (r);
		worker->wants_start = false;
	}
	if (worker->wants_kill) {
		if ((r = ask(host, "kill", worker, err)) != 0)
			return (r);
		worker->wants_kill = false;
	}
	return (0);
}

/* With the spawner gone a worker that was to start never will. */
static void
end_unstarted(struct plugin_host *host)
{
	struct worker *worker, *next;

	for (worker = TAILQ_FIRST(&host->workers); worker != NULL; worker = next) {
		next = TAILQ_NEXT(worker, in_host);
		if (worker->wants_start)
			plugin_worker_on_exited(worker, "the spawner is lost: restart leased");
	}
}

/* Memory was short. */
static void
try_again(struct plugin_host *host)
{
	const struct timeval soon = {0, 10000};

	if (event_add(host->again, &soon) != 0)
		event_active(host->again, EV_TIMEOUT, 0);
}

/* ---- from the spawner ---- */

/* What it began may still come to us under its number. */
static void
remember(struct plugin_host *host, pid_t pid)
{
	if (pid == 0)
		return;
	host->gone[host->gone_next].pid = pid;
	host->gone[host->gone_next].until_us = host->clock->boot_us(host->clock) + GONE_US;
	host->gone_next = (host->gone_next + 1) % HOST_GONE_MAX;
}

bool
plugin_host_has_had(const struct plugin_host *host, pid_t pid)
{
	int64_t now_us = host->clock->boot_us(host->clock);
	const struct worker *worker;

	if (pid <= 0)
		return (false);
	TAILQ_FOREACH (worker, &host->workers, in_host)
		if (worker->pid == pid)
			return (true);
	for (unsigned i = 0; i < HOST_GONE_MAX; i++)
		if (host->gone[i].pid == pid && now_us < host->gone[i].until_us)
			return (true);
	return (false);
}

static void
on_started(struct worker *worker, struct packet *packet)
{
	worker->pid = (pid_t)json_integer_value(json_object_get(packet->object, "pid"));
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
	else if (strcmp(op, "exited") == 0) {
		remember(host, worker->pid);
		plugin_worker_on_exited(worker, how != NULL ? how : "it ended");
	}
}

/* False: there is no memory for what came; it is kept. */
static bool
take_incoming(struct plugin_host *host)
{
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (host->incoming.len == 0)
		return (true);
	if ((r = plugin_packet_decode(&host->incoming, &err)) == LEASED_ENOMEM)
		return (false);
	if (r == 0)
		take_packet(host, &host->incoming);
	plugin_packet_clear(&host->incoming);
	if (r != 0)
		lose_spawner(host, err.text);
	return (true);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct plugin_host *host = host_from(arg);
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	(void)what;
	if (host->incoming.len == 0 &&
	    (r = plugin_packet_receive(fd, &host->incoming, &err)) != 0) {
		if (r != LEASED_EUNAVAIL)
			lose_spawner(host, err.text);
		return;
	}
	if (!take_incoming(host))
		try_again(host);
}

/* ---- turns of its own ---- */

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct plugin_host *host = host_from(arg);
	struct leased_err err = LEASED_ERR_INIT;
	struct worker *worker;
	int r = 0;

	(void)fd;
	(void)what;
	if (!take_incoming(host))
		r = LEASED_ENOMEM;
	if (host->fd < 0) {
		end_unstarted(host);
		return;
	}
	TAILQ_FOREACH (worker, &host->workers, in_host)
		if (r == 0)
			r = ask_for(host, worker, &err);
	if (r == LEASED_EIO)
		lose_spawner(host, err.text);
	else if (r == LEASED_EUNAVAIL && event_add(host->writable, NULL) == 0)
		return;
	else if (r != 0)
		try_again(host);
}

void
plugin_host_wake(struct plugin_host *host)
{
	event_active(host->again, EV_TIMEOUT, 0);
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
	host->incoming = (struct packet)PACKET_INIT;
	id_uuid(ids, host->instance);
	TAILQ_INIT(&host->workers);
	TAILQ_INIT(&host->pools);
	host->readable = event_new(loop, spawner_fd, EV_READ | EV_PERSIST, on_readable, host);
	host->writable = event_new(loop, spawner_fd, EV_WRITE, on_wake, host);
	host->again = evtimer_new(loop, on_wake, host);
	if (host->readable == NULL || host->writable == NULL || host->again == NULL ||
	    evutil_make_socket_nonblocking(spawner_fd) != 0 ||
	    event_add(host->readable, NULL) != 0) {
		free_events(host);
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

int
plugin_host_guard(
    struct plugin_host *host, enum plugin_guard kind, const char *path, struct leased_err *err)
{
	return (plugin_guards_add(&host->guards, kind, path, err));
}

void
plugin_host_on_lost(struct plugin_host *host, void (*on_lost)(void *arg), void *arg)
{
	host->on_lost = on_lost;
	host->on_lost_arg = arg;
}

void
plugin_host_mute(struct plugin_host *host)
{
	if (host == NULL)
		return;
	host->muted = true;
	host->on_lost = NULL;
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
	struct pollfd hello = {.events = POLLIN};
	struct worker *worker;
	struct pool *pool;

	if (host == NULL)
		return;
	hello.fd = host->fd;
	if (host->spawner == 0 && host->fd >= 0 && poll(&hello, 1, 1000) == 1 &&
	    plugin_packet_receive(host->fd, &host->incoming, &err) == 0)
		(void)take_incoming(host);
	host->muted = host->freeing = true;
	close_spawner(host);
	if (host->spawner != 0)
		wait_for_spawner(host->spawner);
	while ((pool = TAILQ_FIRST(&host->pools)) != NULL)
		plugin_port_close(&pool->port);
	while ((worker = TAILQ_FIRST(&host->workers)) != NULL)
		plugin_worker_on_exited(worker, "leased is stopping");
	plugin_packet_clear(&host->incoming);
	free_events(host);
	plugin_guards_clear(&host->guards);
	host->tag = 0;
	free(host);
}
