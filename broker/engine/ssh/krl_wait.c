/*
 * Who has the list and waits for the next one. They cost a look at the list's version a few times a
 * second, which is in memory. They hold connections, so that no more than a number of them may wait
 * long: who comes then is told soon that nothing is new, but not at once, since hosts would come
 * again at once. At a stop, and when the mount goes, they are answered, too.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include <event2/event.h>

#include "base/log.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/mount.h"

#define LOOK_MS 200
#define BUILT_LOOK_MS 20
#define TELL_MAX 64 /* in one turn of the loop, which everybody else waits for */
#define TELL_BYTES_MAX ((size_t)16 << 20)
#define FILES_KEPT 512
#define WAITERS_MIN 16

/* What it has holds: api/ makes a 304 of it. */
static void
tell_same(struct engine_request_copy *request, int64_t version)
{
	struct engine_page page = {.type = "application/octet-stream", .cache = "no-cache"};
	char etag[SSH_ETAG_SIZE];

	engine_ssh_krl_etag(version, etag);
	page.etag = etag;
	request->reply.page = &page;
	engine_finish(request);
}

static unsigned
waiting(const struct engines *engines)
{
	const struct ssh_mount *mount;
	unsigned count = 0;

	LIST_FOREACH (mount, &engines->ssh, link)
		count += mount->waiter_count;
	return (count);
}

/* Half of the connections that there can be by the limit of open files. */
unsigned
engine_ssh_waiters_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 ||
	    files.rlim_cur >= 2 * (rlim_t)SSH_WAITERS_MAX + FILES_KEPT)
		return (SSH_WAITERS_MAX);
	return (files.rlim_cur > FILES_KEPT + 2 * WAITERS_MIN
		    ? (unsigned)(files.rlim_cur - FILES_KEPT) / 2
		    : WAITERS_MIN);
}

static void
waiter_push(struct ssh_mount *mount, struct ssh_waiter *waiter)
{
	waiter->next = mount->waiters;
	mount->waiters = waiter;
	mount->waiter_count++;
}

/* ---- the timer ---- */

static void
arm(struct engines *engines, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (engines->ssh_timer != NULL && evtimer_add(engines->ssh_timer, &after) != 0)
		log_warn("no memory for a timer: who waits for a list of revoked certificates "
			 "waits longer");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct engines *engines = arg;
	int64_t ms = engine_ssh_tick(engines);

	(void)fd;
	(void)what;
	if (ms >= 0)
		arm(engines, ms);
}

static void
timer_start(struct engines *engines)
{
	if (engines->config.loop == NULL)
		return; /* a test, which calls engine_ssh_tick() */
	if (engines->ssh_timer == NULL)
		engines->ssh_timer = evtimer_new(engines->config.loop, on_timer, engines);
	if (engines->ssh_timer != NULL && !evtimer_pending(engines->ssh_timer, NULL))
		arm(engines, LOOK_MS);
}

/* ---- waiting ---- */

void
engine_ssh_krl_wait(struct ssh_mount *mount, struct engine_request_copy *request, bool signature,
    int64_t version, int64_t wait_ms)
{
	struct engines *engines = mount->engines;
	unsigned count = waiting(engines), max = engine_ssh_waiters_max();
	struct ssh_waiter *waiter;

	if (wait_ms <= 0 || engines->quiet || engines->stopping || count >= max + max / 2 ||
	    (waiter = calloc(1, sizeof(*waiter))) == NULL) {
		tell_same(request, version);
		return;
	}
	if (count >= max && wait_ms > SSH_CROWDED_WAIT_MS)
		wait_ms = SSH_CROWDED_WAIT_MS;
	waiter->request = request;
	waiter->signature = signature;
	waiter->version = version;
	waiter->until_ms = leases_now_ms(engines->leases) + wait_ms;
	waiter_push(mount, waiter);
	timer_start(engines);
}

/* So many that their copies of a long list do not fill the memory. */
static unsigned
tell_most(const struct ssh_mount *mount)
{
	size_t most = TELL_BYTES_MAX / (mount->list.krl_len + 1);

	return (most >= TELL_MAX ? TELL_MAX : most > 0 ? (unsigned)most : 1);
}

/* What is to be said to whom is said, up to a number; the rest after *ret_ms. Who waits for a list
 * that is being made goes on waiting: the first has it made, and nobody is told in its turn. */
static void
mount_look(struct ssh_mount *mount, int64_t now_ms, int64_t *ret_ms)
{
	struct ssh_waiter *list = mount->waiters, *waiter;
	unsigned told = 0, most = tell_most(mount);
	int64_t version = 0;
	int r = engine_ssh_krl_version(mount, &version, NULL);

	mount->waiters = NULL;
	mount->waiter_count = 0;
	while ((waiter = list) != NULL) {
		bool changed = r == 0 && waiter->version != version;
		bool coming = changed && mount->building && mount->list.version != version;

		list = waiter->next;
		if (coming || told == most || (!changed && now_ms < waiter->until_ms)) {
			waiter_push(mount, waiter);
			continue;
		}
		told++;
		if (changed)
			engine_ssh_krl_tell(mount, waiter->request, waiter->signature);
		else
			tell_same(waiter->request, waiter->version);
		free(waiter);
	}
	if (mount->building && *ret_ms > BUILT_LOOK_MS)
		*ret_ms = BUILT_LOOK_MS;
	if (told == TELL_MAX)
		*ret_ms = 1;
}

int64_t
engine_ssh_tick(struct engines *engines)
{
	int64_t now_ms = leases_now_ms(engines->leases);
	struct ssh_mount *mount;
	int64_t ms = LOOK_MS;

	LIST_FOREACH (mount, &engines->ssh, link)
		if (mount->waiters != NULL)
			mount_look(mount, now_ms, &ms);
	return (waiting(engines) > 0 ? ms : -1);
}

void
engine_ssh_krl_forget(struct ssh_mount *mount, const char *why)
{
	struct ssh_waiter *waiter;

	while ((waiter = mount->waiters) != NULL) {
		mount->waiters = waiter->next;
		mount->waiter_count--;
		engine_fail(waiter->request, LEASED_EUNAVAIL, "%s", why);
		free(waiter);
	}
}
