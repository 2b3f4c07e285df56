/*
 * A connection that leads to another server than the configured one is asked again, by itself.
 */
#include <signal.h>

#include "fixture.h"

/* As engine/ does: the first time another server answers. */
static void
on_opened_elsewhere(void *arg, struct plugin_port *port)
{
	unsigned *opened = arg;

	port->moved = ++*opened == 1;
}

static void
a_connection_that_leads_elsewhere_is_asked_again_though_nobody_calls(void **state)
{
	struct fix *fix = *state;
	unsigned opened = 0;

	fix_open(fix, "good", 1);
	fix->port->events.on_opened = on_opened_elsewhere;
	fix->port->events.opened_arg = &opened;
	fix_until(fix, &opened, 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EMOVED);
	assert_true(fix->port->moved);
	fix_until(fix, &opened, 2);
	assert_false(fix->port->moved);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 2);
	assert_int_equal(fix->out.code, 0);
	assert_int_equal(opened, 2);
	fix->port->events.on_opened = NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_connection_that_leads_elsewhere_is_asked_again_though_nobody_calls, fix_setup,
		fix_teardown),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
