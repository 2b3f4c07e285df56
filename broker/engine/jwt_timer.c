/*
 * Begins the rotations of keys that are due, and forgets what is over on the list of ended tokens.
 * When each is due stands in its document; there are few, and all are in memory.
 */
#include <event2/event.h>

#include "base/log.h"
#include "engine/jwt.h"

#define LONGEST_MS 60000
#define AGAIN_MS 5000 /* after a failure */

int64_t
engine_jwt_due_ms(const struct jwt_key *key)
{
	int64_t due_ms = engine_jwt_number(key, NULL, "next_rotation_ms");
	int64_t ready_ms = engine_jwt_number(key, "next", "ready_ms");

	if (ready_ms > due_ms)
		due_ms = ready_ms;
	return (key->known_ms > due_ms ? key->known_ms : due_ms);
}

static void
on_rotated(void *arg, int code, const struct leased_err *err)
{
	struct engine_jwt *jwt = engine_jwt_from(arg);

	if (code == 0 || jwt->engines->stopping)
		return;
	log_warn("a key of JWTs could not be rotated; the present one signs on, and it is tried "
		 "again",
	    LOG_ERR(err));
	jwt->pause_ms = leases_now_ms(jwt->engines->leases) + AGAIN_MS;
}

int64_t
engine_jwt_tick(struct engine_jwt *jwt)
{
	struct leases *leases = jwt->engines->leases;
	struct jwt_order order = {.aim = JWT_ROTATE, .verification_ttl_s = -1};
	int64_t now_ms, due_ms, wait_ms = LONGEST_MS;
	struct jwt_key *key;

	if (jwt->engines->stopping || leases == NULL || leases_clock_in_doubt(leases))
		return (AGAIN_MS);
	engine_jwt_denied_purge(jwt);
	now_ms = leases_now_ms(leases);
	if (now_ms < jwt->pause_ms)
		return (jwt->pause_ms - now_ms);
	LIST_FOREACH (key, &jwt->keys, link) {
		due_ms = engine_jwt_due_ms(key);
		if (key->busy)
			continue; /* its end wakes us */
		if (due_ms > now_ms) {
			wait_ms = due_ms - now_ms < wait_ms ? due_ms - now_ms : wait_ms;
			continue;
		}
		order.name = key->name;
		engine_jwt_change(jwt, &order, on_rotated, jwt);
		return (AGAIN_MS); /* the list may have changed; one at a time is enough */
	}
	return (wait_ms);
}

static void
arm(struct engine_jwt *jwt, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (jwt->timer != NULL && evtimer_add(jwt->timer, &after) != 0)
		log_warn("no memory for a timer: keys of JWTs are rotated later than they are due");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct engine_jwt *jwt = engine_jwt_from(arg);

	(void)fd;
	(void)what;
	arm(jwt, engine_jwt_tick(jwt));
}

void
engine_jwt_timer_start(struct engine_jwt *jwt)
{
	if (jwt->engines->config.loop == NULL)
		return;
	if ((jwt->timer = evtimer_new(jwt->engines->config.loop, on_timer, jwt)) == NULL)
		log_warn(
		    "no memory for a timer: keys of JWTs are not rotated until the next start");
	arm(jwt, 1000);
}

void
engine_jwt_timer_wake(struct engine_jwt *jwt)
{
	arm(jwt, 10);
}

void
engine_jwt_timer_stop(struct engine_jwt *jwt)
{
	if (jwt->timer != NULL)
		event_free(jwt->timer);
	jwt->timer = NULL;
}
