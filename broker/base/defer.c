/*
 * Frees objects one turn of the loop later, when libevent can no longer call back into them.
 *
 * Keeps no list of its own: each object is a one-shot timer of the loop. Called wherever a
 * connection, call or job ends inside one of its own callbacks.
 */
#include "base/defer.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/log.h"

#define DEFERRED_TAG 0x44656672u

struct deferred {
	unsigned tag;
	void (*fn)(void *arg);
	void *arg;
};

static void
on_turn_end(evutil_socket_t fd, short what, void *arg)
{
	struct deferred *deferred = arg;

	(void)fd;
	(void)what;
	if (deferred->tag != DEFERRED_TAG)
		log_fatal("memory is damaged: a deferred free is none");
	deferred->fn(deferred->arg);
	deferred->tag = 0;
	free(deferred);
}

void
defer_free(struct event_base *loop, void (*fn)(void *arg), void *arg)
{
	/* Not zero: libevent would run that in this turn still, before callbacks that it has put
	 * off. */
	static const struct timeval next_turn = {0, 1};
	struct deferred *deferred;

	if ((deferred = calloc(1, sizeof(*deferred))) == NULL)
		log_fatal("out of memory");
	deferred->tag = DEFERRED_TAG;
	deferred->fn = fn;
	deferred->arg = arg;
	if (event_base_once(loop, -1, EV_TIMEOUT, on_turn_end, deferred, &next_turn) != 0)
		log_fatal("out of memory");
}
