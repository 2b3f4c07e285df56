/*
 * Memory that runs out while a connection is opened and called, or the spawner is asked, costs at
 * most that call: nothing crashes, leaks, hangs or is told twice. What a worker says is parsed with
 * memory again: jansson's parser itself does not survive without.
 */
#include "fixture.h"

#include <event2/event.h>

#include "plugin/worker.h"
#include "support/failalloc.h"

static void
run_until_no_worker_is_left(struct fix *fix)
{
	for (unsigned i = 0; i < 5000 && !TAILQ_EMPTY(&fix->host->workers); i++)
		fix_run_ms(fix, 1);
	assert_true(TAILQ_EMPTY(&fix->host->workers));
	fix_run_ms(fix, 2);
}

/* A mint on a fresh connection; 0 or LEASED_ENOMEM, as failalloc_each() wants it. */
static int
mint_once(void *arg)
{
	struct fix *fix = arg;
	struct plugin_call *call;
	int r = 0;

	fix->out.count = 0;
	if (!fix_try_open(fix, "good", 1))
		return (LEASED_ENOMEM);
	call = fix_mint(fix, 5000, &fix->out);
	event_base_loop(fix->loop, EVLOOP_NONBLOCK); /* asks the spawner */
	(void)failalloc_disarm();
	if (call != NULL) {
		fix_until(fix, &fix->out.count, 1);
		assert_int_equal(fix->out.code, 0);
	} else {
		fix_run_ms(fix, 2);
		assert_int_equal(fix->out.count, 0);
		r = LEASED_ENOMEM;
	}
	plugin_port_close(fix->port);
	fix->port = NULL;
	run_until_no_worker_is_left(fix);
	return (r);
}

static void
memory_that_runs_out_costs_at_most_the_call(void **state)
{
	assert_true(failalloc_each(mint_once, *state) > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		memory_that_runs_out_costs_at_most_the_call, fix_setup, fix_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
