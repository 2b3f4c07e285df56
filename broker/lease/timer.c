/*
 * Drives leases_tick() from a timer of the event loop. The only file of lease/ that knows libevent;
 * a simulator does without it.
 */
#include <event2/event.h>
#include <stdlib.h>

#include "base/log.h"
#include "lease/lease.h"

#define TIMER_TAG 0x6c74696du

struct leases_timer {
	unsigned tag;
	struct event *event;
	struct leases *leases;
	bool ticking, woken;
};

static void
arm(struct leases_timer *timer, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (event_add(timer->event, &after) != 0)
		log_fatal("the timer of leases cannot be armed");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct leases_timer *timer = arg;
	int64_t ms;

	(void)fd;
	(void)what;
	if (timer->tag != TIMER_TAG)
		log_fatal("a callback of lease/ was given something that is no timer");
	timer->woken = false;
	timer->ticking = true;
	ms = leases_tick(timer->leases);
	timer->ticking = false;
	/* A wake within the tick is a turn of the loop later: others get their turn. */
	arm(timer, timer->woken ? 0 : ms);
}

struct leases_timer *
leases_timer_start(struct event_base *loop, struct leases *leases)
{
	struct leases_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return (NULL);
	timer->tag = TIMER_TAG;
	timer->leases = leases;
	timer->event = event_new(loop, -1, 0, on_timer, timer);
	if (timer->event == NULL) {
		free(timer);
		return (NULL);
	}
	arm(timer, 0);
	return (timer);
}

void
leases_timer_wake(struct leases_timer *timer)
{
	if (timer == NULL || timer->woken)
		return;
	timer->woken = true;
	if (!timer->ticking)
		arm(timer, 0);
}

void
leases_timer_stop(struct leases_timer *timer)
{
	if (timer == NULL)
		return;
	event_free(timer->event);
	timer->tag = 0;
	free(timer);
}
