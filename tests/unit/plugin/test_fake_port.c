/*
 * The fake port keeps the promises that plugin.h makes for every port: tests of lease/ stand on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/fake_port.h"

struct seen {
	unsigned calls, gone, recovered;
	struct plugin_outcome last;
	struct plugin_session_ack *ack;
	bool gone_came_first;
};

static void
on_done(void *arg, const struct plugin_outcome *outcome)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->last = *outcome;
	seen->gone_came_first = seen->gone > 0;
}

static void
on_session(void *arg, struct plugin_port *port, const char *worker, const char *session,
    struct plugin_session_ack *ack)
{
	struct seen *seen = arg;

	(void)port;
	assert_non_null(worker);
	assert_non_null(session);
	seen->ack = ack;
}

static void
on_gone(void *arg, struct plugin_port *port, const char *worker)
{
	(void)port;
	assert_non_null(worker);
	((struct seen *)arg)->gone++;
}

static void
on_recovered(void *arg, struct plugin_port *port)
{
	(void)port;
	((struct seen *)arg)->recovered++;
}

static struct plugin_call *
start(struct fake_port *fake, enum plugin_op op, const char *params, struct seen *seen)
{
	json_t *object = json_loads(params, 0, NULL);

	assert_non_null(object);
	return (plugin_call_start(fake_port_port(fake), op, object, 0, on_done, seen));
}

#define MINT                                                                                       \
	"{\"account\":{\"name\":\"l-abcdef-x\",\"role\":{}},\"password\":\"p\",\"expires\":"       \
	"\"2026-01-01T00:00:00Z\"}"
#define ACCOUNTS "{\"accounts\":[{\"name\":\"l-abcdef-x\",\"role\":{}}]}"

static void
a_call_waits_for_its_scripted_answer(void **state)
{
	struct fake_port *fake = fake_port_new(7);
	struct seen seen = {0};

	(void)state;
	assert_non_null(start(fake, PLUGIN_OP_MINT, MINT, &seen));
	assert_int_equal(seen.calls, 0);
	assert_int_equal(fake_port_pending(fake, PLUGIN_OP_MINT), 1);
	assert_true(fake_port_answer(fake, PLUGIN_OP_MINT, LEASED_EREFUSED, "no"));
	assert_int_equal(seen.calls, 1);
	assert_int_equal(seen.last.code, LEASED_EREFUSED);
	assert_false(fake_port_answer(fake, PLUGIN_OP_MINT, 0, NULL));
	fake_port_free(fake);
}

static void
a_worker_sends_nothing_before_its_session_is_acknowledged(void **state)
{
	struct fake_port *fake = fake_port_new(7);
	struct seen seen = {0};

	(void)state;
	fake_port_port(fake)->events =
	    (struct plugin_port_events){.on_session = on_session, .arg = &seen};
	start(fake, PLUGIN_OP_MINT, MINT, &seen);
	fake_port_pump(fake);
	fake_port_pump(fake);
	assert_int_equal(fake_port_account_count(fake), 0);
	plugin_session_ack(seen.ack, 0);
	assert_int_equal(fake_port_pump(fake), 1);
	assert_int_equal(seen.last.code, 0);
	assert_true(fake_port_account(fake, "l-abcdef-x")->armed);
	start(fake, PLUGIN_OP_DISARM, ACCOUNTS, &seen);
	start(fake, PLUGIN_OP_REMOVE, ACCOUNTS, &seen);
	assert_int_equal(fake_port_pump(fake), 2);
	assert_int_equal(fake_port_account_count(fake), 0);
	assert_int_equal(fake_port_counts(fake).overlaps, 1);
	fake_port_free(fake);
}

static void
a_zombie_mint_lands_unless_its_session_was_reaped(void **state)
{
	struct fake_port *fake = fake_port_new(7);
	struct seen seen = {0};

	(void)state;
	fake_port_port(fake)->events =
	    (struct plugin_port_events){.on_worker_gone = on_gone, .arg = &seen};
	for (unsigned reaped = 0; reaped < 2; reaped++) {
		seen = (struct seen){0};
		fake_port_fault(fake, PLUGIN_OP_MINT, FAKE_FAULT_LATE, LEASED_ECRASHED, NULL);
		start(fake, PLUGIN_OP_MINT, MINT, &seen);
		fake_port_pump(fake);
		assert_int_equal(seen.last.code, LEASED_ECRASHED);
		assert_true(seen.gone_came_first);
		if (reaped == 0) {
			assert_int_equal(fake_port_land(fake), 1);
			start(fake, PLUGIN_OP_DISARM, ACCOUNTS, &seen);
			start(fake, PLUGIN_OP_REMOVE, ACCOUNTS, &seen);
			fake_port_pump(fake);
			assert_int_equal(fake_port_account_count(fake), 0);
		} else {
			json_t *sessions = json_array();

			for (int i = 0; i < 64; i++)
				json_array_append_new(sessions, json_sprintf("%d:fake", i));
			plugin_call_start(fake_port_port(fake), PLUGIN_OP_REAP,
			    json_pack("{s:o}", "sessions", sessions), 0, on_done, &seen);
			fake_port_pump(fake);
			assert_int_equal(fake_port_land(fake), 0);
		}
	}
	fake_port_free(fake);
}

static void
a_canceled_call_gets_no_callback_and_its_worker_ends(void **state)
{
	struct fake_port *fake = fake_port_new(7);
	struct seen seen = {0};

	(void)state;
	fake_port_port(fake)->events =
	    (struct plugin_port_events){.on_worker_gone = on_gone, .arg = &seen};
	plugin_call_cancel(start(fake, PLUGIN_OP_MINT, MINT, &seen));
	assert_int_equal(seen.gone, 0);
	fake_port_pump(fake);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.calls, 0);
	fake_port_free(fake);
}

static void
down_is_unavailable_and_up_again_is_told(void **state)
{
	struct fake_port *fake = fake_port_new(7);
	struct seen seen = {0};
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	fake_port_port(fake)->events =
	    (struct plugin_port_events){.on_recovered = on_recovered, .arg = &seen};
	fake_port_set_down(fake, true);
	assert_int_equal(plugin_port_ready(fake_port_port(fake), &err), LEASED_EUNAVAIL);
	start(fake, PLUGIN_OP_MINT, MINT, &seen);
	fake_port_pump(fake);
	assert_int_equal(seen.last.code, LEASED_EUNAVAIL);
	assert_true(seen.last.not_sent);
	fake_port_set_down(fake, false);
	assert_int_equal(seen.recovered, 1);
	start(fake, PLUGIN_OP_MINT, MINT, &seen);
	plugin_port_close(fake_port_port(fake));
	assert_int_equal(seen.last.code, LEASED_ECANCELED);
	fake_port_free(fake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_waits_for_its_scripted_answer),
	    cmocka_unit_test(a_worker_sends_nothing_before_its_session_is_acknowledged),
	    cmocka_unit_test(a_zombie_mint_lands_unless_its_session_was_reaped),
	    cmocka_unit_test(a_canceled_call_gets_no_callback_and_its_worker_ends),
	    cmocka_unit_test(down_is_unavailable_and_up_again_is_told),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
