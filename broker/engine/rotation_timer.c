/*
 * Begins the rotations that are due. When each is stands in the store, by connection; nothing is
 * loaded at a start, and there is one timer for all. A connection that cannot be asked is passed
 * over whole, without a write.
 */
#include <event2/event.h>

#include "base/log.h"
#include "engine/rotation.h"
#include "engine/ssh/mount.h"

#define AT_ONCE 2u /* of a connection: the pool is for leases */
#define PAGE 64u
#define LONGEST_MS 60000
#define AGAIN_MS 1000
#define FENCED_MS 100

static unsigned
rotating_on(const struct engines *engines, int64_t connection)
{
	const struct engine_rotation *rotation;
	unsigned count = 0;

	LIST_FOREACH (rotation, &engines->rotating, link)
		count += rotation->connection == connection;
	return (count);
}

/* Milliseconds until the connection wants to be looked at again. */
static int64_t
connection_tick(struct engines *engines, const struct engine_connection *connection, int64_t now_ms)
{
	struct store_db *db = store_db(engines->config.store);
	int64_t docs[PAGE], at_ms = 0;
	size_t count = 0, i;
	unsigned busy;
	int r;

	r = store_rotation_next_at(db, connection->id, &at_ms, NULL);
	if (r == LEASED_ENOENT)
		return (LONGEST_MS);
	if (r == 0 && at_ms > now_ms)
		return (at_ms - now_ms);
	if (r != 0 || connection->moved || plugin_port_ready(connection->port, NULL) != 0 ||
	    store_rotation_due(db, connection->id, now_ms, PAGE, docs, &count, NULL) != 0)
		return (AGAIN_MS);
	busy = rotating_on(engines, connection->id);
	for (i = 0; i < count && busy < AT_ONCE; i++) {
		if (engine_rotation_find(engines, docs[i]) != NULL)
			continue;
		engine_rotate(engines, docs[i],
		    docs[i] == connection->id ? ENGINE_SETTLE : ENGINE_DUE, NULL, NULL);
		/* One that cannot even be read must not keep those behind it. */
		busy += engine_rotation_find(engines, docs[i]) != NULL;
	}
	return (AGAIN_MS);
}

/* What begins may end at once, but changes no list of connections. */
int64_t
engine_rotations_tick(struct engines *engines)
{
	struct engine_connection *connection;
	struct engine_rotation *rotation, *next;
	int64_t now_ms, wait_ms = LONGEST_MS, one_ms;

	if (engines->stopping || engines->leases == NULL)
		return (LONGEST_MS);
	now_ms = leases_now_ms(engines->leases);
	for (rotation = LIST_FIRST(&engines->rotating); rotation != NULL; rotation = next) {
		next = LIST_NEXT(rotation, link);
		engine_rotation_look(rotation);
	}
	LIST_FOREACH (rotation, &engines->rotating, link)
		if (rotation->state == ROTATION_FENCE)
			wait_ms = FENCED_MS;
	if (now_ms < engines->rotations_pause_ms)
		return (wait_ms < AGAIN_MS ? wait_ms : AGAIN_MS);
	LIST_FOREACH (connection, &engines->connections, link) {
		if (connection->candidate || connection->closing || connection->port == NULL)
			continue;
		one_ms = connection_tick(engines, connection, now_ms);
		wait_ms = one_ms < wait_ms ? one_ms : wait_ms;
	}
	return (wait_ms);
}

static void
arm(struct engines *engines, int64_t ms)
{
	struct timeval after = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (engines->rotations != NULL && evtimer_add(engines->rotations, &after) != 0)
		log_warn("no memory for a timer: passwords are rotated later than they are due");
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct engines *engines = arg;

	(void)fd;
	(void)what;
	arm(engines, engine_rotations_tick(engines));
}

void
engine_rotations_start(struct engines *engines)
{
	if (engines->config.loop == NULL)
		return;
	if ((engines->rotations = evtimer_new(engines->config.loop, on_timer, engines)) == NULL)
		log_warn("no memory for a timer: passwords are not rotated until the next start");
	arm(engines, FENCED_MS);
}

void
engine_rotations_wake(struct engines *engines)
{
	arm(engines, FENCED_MS / 10);
}

void
engines_restore_released(struct engines *engines)
{
	if (engines->stopping)
		return;
	engine_rotations_wake(engines);
	engine_ssh_krl_restored(engines);
}

void
engine_rotations_stop(struct engines *engines)
{
	struct engine_rotation *rotation, *next;

	if (engines->rotations != NULL)
		event_free(engines->rotations);
	engines->rotations = NULL;
	for (rotation = LIST_FIRST(&engines->rotating); rotation != NULL; rotation = next) {
		next = LIST_NEXT(rotation, link);
		engine_rotation_cancel(rotation);
	}
}
