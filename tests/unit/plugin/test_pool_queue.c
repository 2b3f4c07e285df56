/*
 * Whose turn it is: mints, then what ends access, then removals; and none waits for ever.
 */
#include <signal.h>
#include <string.h>

#include "fixture.h"

#define ONE_ACCOUNT "{\"accounts\":[{\"name\":\"a\",\"role\":{}}]}"

static void
mints_go_first_and_keep_a_worker(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "slow", 2);
	for (unsigned i = 0; i < 8; i++)
		fix_call(fix, PLUGIN_OP_DISARM, ONE_ACCOUNT, &fix->other);
	fix_until(fix, &fix->other.count, 1);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
	assert_true(fix->other.count < 6);
	fix_until(fix, &fix->other.count, 8);
}

/* More removals than workers hang; access is ended, and accounts are made, all the same. */
static void
removals_hang(struct fix *fix, unsigned size, unsigned soon_ms)
{
	struct outcomes removes = {0};

	fix_open(fix, "slow", size);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	for (unsigned i = 0; i < size + 2; i++)
		fix_call(fix, PLUGIN_OP_REMOVE, ONE_ACCOUNT, &removes);
	fix_run_ms(fix, 300);
	for (unsigned i = 0; i < 3; i++)
		fix_call(fix, PLUGIN_OP_DISARM, ONE_ACCOUNT, &fix->other);
	assert_in_range(fix_until(fix, &fix->other.count, 4), 1, soon_ms);
	assert_int_equal(fix->other.code, 0);
	fix_mint(fix, 5000, &fix->out);
	assert_in_range(fix_until(fix, &fix->out.count, 1), 1, soon_ms);
	assert_int_equal(fix->out.code, 0);
	if (size > 1)
		assert_int_equal(removes.count, 0);
	plugin_port_close(fix->port);
	fix->port = NULL;
	json_decref(removes.result);
}

static void
removals_that_hang_delay_no_disarm(void **state)
{
	removals_hang(*state, 4, 1500);
}

static void
removals_that_hang_delay_no_disarm_in_a_pool_of_two(void **state)
{
	removals_hang(*state, 2, 1500);
}

static void
removal_that_hangs_gives_the_only_worker_back(void **state)
{
	removals_hang(*state, 1, 4500);
}

static void
removal_gets_a_worker_while_disarms_never_end(void **state)
{
	struct fix *fix = *state;
	struct outcomes removes = {0};

	fix_open(fix, "queue", 3);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	for (unsigned i = 0; i < 120; i++)
		fix_call(fix, PLUGIN_OP_DISARM, ONE_ACCOUNT, &fix->other);
	fix_call(fix, PLUGIN_OP_REMOVE, ONE_ACCOUNT, &removes);
	fix_until(fix, &fix->other.count, 20);
	assert_int_equal(removes.count, 0);
	fix_until(fix, &removes.count, 1);
	assert_true(fix->other.count < 110);
	assert_int_equal(removes.code, 0);
	json_decref(removes.result);
}

/* Clients ask without a pause: what ends access has its turn all the same, and they have theirs. */
static void
mints_never_end(struct fix *fix, unsigned size, bool removal_hangs)
{
	struct outcomes removes = {0};

	fix_open(fix, "slow", size);
	fix_call(fix, PLUGIN_OP_PING, "{}", &fix->other);
	fix_until(fix, &fix->other.count, 1);
	if (removal_hangs) {
		fix_call(fix, PLUGIN_OP_REMOVE, ONE_ACCOUNT, &removes);
		fix_run_ms(fix, 200);
	}
	for (unsigned i = 0; i < 40; i++)
		fix_mint(fix, 9000, &fix->out);
	for (unsigned i = 0; i < 3; i++)
		fix_call(fix, PLUGIN_OP_DISARM, ONE_ACCOUNT, &fix->other);
	fix_until(fix, &fix->other.count, 4);
	assert_int_equal(fix->other.code, 0);
	assert_in_range(fix->out.count, 2, 12);
	plugin_port_close(fix->port);
	fix->port = NULL;
	json_decref(removes.result);
}

static void
one_of_two_workers_mints_and_one_ends(void **state)
{
	mints_never_end(*state, 2, false);
}

static void
an_only_worker_mints_and_ends_by_turns(void **state)
{
	mints_never_end(*state, 1, false);
}

static void
disarm_has_its_turn_beside_mints_and_a_removal_that_hangs(void **state)
{
	mints_never_end(*state, 2, true);
}

static void
removal_has_its_turn_beside_mints_that_never_end(void **state)
{
	struct fix *fix = *state;

	fix_open(fix, "slow_mint", 2);
	for (unsigned i = 0; i < 40; i++)
		fix_mint(fix, 9000, &fix->out);
	fix_call(fix, PLUGIN_OP_REMOVE, ONE_ACCOUNT, &fix->other);
	fix_until(fix, &fix->other.count, 1);
	assert_int_equal(fix->other.code, 0);
	assert_in_range(fix->out.count, 0, 12);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIXTURE(mints_go_first_and_keep_a_worker),
	    WITH_FIXTURE(removals_that_hang_delay_no_disarm),
	    WITH_FIXTURE(removals_that_hang_delay_no_disarm_in_a_pool_of_two),
	    WITH_FIXTURE(removal_that_hangs_gives_the_only_worker_back),
	    WITH_FIXTURE(removal_gets_a_worker_while_disarms_never_end),
	    WITH_FIXTURE(one_of_two_workers_mints_and_one_ends),
	    WITH_FIXTURE(an_only_worker_mints_and_ends_by_turns),
	    WITH_FIXTURE(disarm_has_its_turn_beside_mints_and_a_removal_that_hangs),
	    WITH_FIXTURE(removal_has_its_turn_beside_mints_that_never_end),
	};

	/* As harden_process() does: a worker that died is an error to look at, not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
