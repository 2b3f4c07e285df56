/*
 * Deferred frees: once, after the turn, also when asked for within one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <event2/event.h>
#include <stdbool.h>

#include "base/defer.h"

struct thing {
	struct event_base *loop;
	bool is_freed;
	unsigned calls_after_defer;
};

static void
free_thing(void *arg)
{
	struct thing *thing = arg;

	assert_false(thing->is_freed);
	thing->is_freed = true;
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct thing *thing = arg;

	(void)fd;
	(void)what;
	assert_false(thing->is_freed);
	thing->calls_after_defer++;
}

static void
on_first(evutil_socket_t fd, short what, void *arg)
{
	struct thing *thing = arg;

	(void)fd;
	(void)what;
	defer_free(thing->loop, free_thing, thing);
	/* What the loop has still to call in this turn comes first. */
	assert_int_equal(event_base_once(thing->loop, -1, EV_TIMEOUT, on_second, thing, NULL), 0);
	assert_false(thing->is_freed);
}

static void
object_is_freed_after_the_turn_and_once(void **state)
{
	struct thing thing = {.loop = event_base_new()};

	(void)state;
	assert_int_equal(event_base_once(thing.loop, -1, EV_TIMEOUT, on_first, &thing, NULL), 0);
	assert_int_equal(event_base_dispatch(thing.loop), 1);
	assert_int_equal(thing.calls_after_defer, 1);
	assert_true(thing.is_freed);
	event_base_free(thing.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(object_is_freed_after_the_turn_and_once),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
