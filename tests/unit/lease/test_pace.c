/*
 * How ends make room for mints: what a batch may hold and when it may begin.
 */
#include "unit/lease/fixture.h"

#define DISARM LEASE_PACE_DISARM
#define REMOVE LEASE_PACE_REMOVE

/* A mint that the backend takes so long for; *now_us goes on by it. */
static void
mint(struct lease_pace *pace, int64_t takes_us, int64_t *now_us)
{
	lease_pace_mint_began(pace);
	*now_us += takes_us;
	lease_pace_mint_over(pace, takes_us, *now_us / 1000);
}

/* A full batch with a backend that takes so long for the call and so long for each account. */
static unsigned
batch(struct lease_pace *pace, enum lease_pace_kind kind, int64_t call_us, int64_t each_us,
    int64_t *now_us)
{
	unsigned accounts = lease_pace_room(pace, kind, *now_us / 1000);
	struct lease_pace_batch of;

	assert_true(accounts > 0);
	lease_pace_began(pace, kind, *now_us, *now_us / 1000, &of);
	*now_us += call_us + accounts * each_us;
	lease_pace_over(pace, &of, accounts, *now_us, *now_us / 1000);
	*now_us += lease_pace_rest_ms(pace, *now_us / 1000) * 1000;
	return (accounts);
}

static void
without_mints_calls_of_both_kinds_are_full_and_follow_one_another(void **state)
{
	struct lease_pace pace;
	struct lease_pace_batch of[8];
	unsigned i;

	(void)state;
	lease_pace_init(&pace);
	for (i = 0; i < 8; i++) {
		assert_int_equal(lease_pace_room(&pace, i % 2, 9000), LEASE_BATCH_MAX);
		lease_pace_began(&pace, i % 2, 9000000, 9000, &of[i]);
	}
	assert_int_equal(lease_pace_room(&pace, DISARM, 9000), 0);
	assert_int_equal(lease_pace_room(&pace, REMOVE, 9000), 0);
	assert_false(lease_pace_idle(&pace));
	for (i = 0; i < 8; i++)
		lease_pace_over(&pace, &of[i], LEASE_BATCH_MAX, 9500000, 9500);
	assert_true(lease_pace_idle(&pace));
	assert_int_equal(lease_pace_rest_ms(&pace, 9500), 0);
	assert_int_equal(lease_pace_room(&pace, DISARM, 9500), LEASE_BATCH_MAX);
}

static void
without_mints_a_batch_of_two_seconds_halves_those_to_come(void **state)
{
	struct lease_pace pace;
	int64_t now_us = 9000000;

	(void)state;
	lease_pace_init(&pace);
	assert_int_equal(batch(&pace, REMOVE, 0, 2000000 / LEASE_BATCH_MAX, &now_us), 64);
	assert_int_equal(lease_pace_room(&pace, REMOVE, now_us / 1000), 32);
	assert_int_equal(lease_pace_room(&pace, DISARM, now_us / 1000), LEASE_BATCH_MAX);
}

static void
beside_mints_a_batch_takes_about_as_long_as_a_mint(void **state)
{
	static const struct {
		int64_t mint_us, call_us, each_us;
		unsigned least, most;
	} rows[] = {
	    {8000, 3000, 200, 17, 38},      /* a server next door: (8 - 3) / 0.2 = 25 */
	    {1000, 500, 100, 23, 53},       /* never held below 4 ms */
	    {600000, 300000, 1000, 64, 64}, /* far away: a round trip is not made for one account */
	    {60000, 40000, 10000, 1, 4},
	};
	struct lease_pace pace;
	unsigned last = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t now_us = 9000000;

		lease_pace_init(&pace);
		for (unsigned n = 0; n < 40; n++) {
			mint(&pace, rows[i].mint_us, &now_us);
			last = batch(&pace, DISARM, rows[i].call_us, rows[i].each_us, &now_us);
			if (n >= 20)
				assert_in_range(last, rows[i].least, rows[i].most);
		}
		now_us += 2001000; /* nobody mints any more */
		assert_int_equal(lease_pace_room(&pace, DISARM, now_us / 1000), LEASE_BATCH_MAX);
	}
}

static void
mints_that_batches_slow_down_do_not_let_batches_grow(void **state)
{
	struct lease_pace pace;
	int64_t now_us = 9000000, was_us;
	unsigned n;

	(void)state;
	lease_pace_init(&pace);
	mint(&pace, 8000, &now_us);
	for (n = 0; n < 300; n++) /* one of 20 meets nothing */
		mint(&pace, n % 20 == 0 ? 8100 : 30000, &now_us);
	assert_in_range(pace.mint_us, 8000, 9000);
	for (n = 0; n < 1000; n++) /* the backend has moved far away */
		mint(&pace, 100000, &now_us);
	assert_in_range(pace.mint_us, 90000, 101000);
	was_us = pace.mint_us;
	lease_pace_mint_began(&pace);
	lease_pace_mint_over(&pace, 0, now_us / 1000); /* refused: says nothing */
	assert_int_equal(pace.mint_us, was_us);
}

static void
behind_a_batch_is_a_rest_as_long_as_it_was(void **state)
{
	struct lease_pace pace;
	struct lease_pace_batch of;
	int64_t now_us = 9000000;

	(void)state;
	lease_pace_init(&pace);
	mint(&pace, 8000, &now_us);
	assert_int_equal(lease_pace_turn(&pace), DISARM);
	lease_pace_began(&pace, DISARM, now_us, now_us / 1000, &of);
	assert_int_equal(lease_pace_turn(&pace), REMOVE);
	assert_int_equal(lease_pace_room(&pace, REMOVE, now_us / 1000), 0);
	now_us += 5000;
	lease_pace_over(&pace, &of, 4, now_us, now_us / 1000);
	assert_int_equal(lease_pace_rest_ms(&pace, now_us / 1000), 5);
	assert_int_equal(lease_pace_room(&pace, REMOVE, now_us / 1000), 0);
	now_us += 5000;
	assert_int_equal(lease_pace_rest_ms(&pace, now_us / 1000), 0);
	assert_true(lease_pace_room(&pace, REMOVE, now_us / 1000) > 0);
	/* One account can take what it likes: the rest is no longer than a mint. */
	lease_pace_began(&pace, REMOVE, now_us, now_us / 1000, &of);
	now_us += 700000;
	lease_pace_over(&pace, &of, 1, now_us, now_us / 1000);
	assert_in_range(lease_pace_rest_ms(&pace, now_us / 1000), 1, 9);
}

static void
a_removal_that_hangs_holds_up_no_disarm(void **state)
{
	struct lease_pace pace;
	struct lease_pace_batch hung;
	int64_t now_us = 9000000;

	(void)state;
	lease_pace_init(&pace);
	mint(&pace, 8000, &now_us);
	lease_pace_began(&pace, REMOVE, now_us, now_us / 1000, &hung);
	now_us += lease_pace_rest_ms(&pace, now_us / 1000) * 1000;
	assert_in_range(now_us, 9008000 + 8000, 9008000 + 20000);
	for (unsigned n = 0; n < 20; n++) {
		mint(&pace, 8000, &now_us);
		assert_int_equal(lease_pace_room(&pace, REMOVE, now_us / 1000), 0);
		assert_true(batch(&pace, DISARM, 3000, 200, &now_us) >= 1);
	}
}

static unsigned
under_way(struct fix *f)
{
	return (fake_port_pending(f->fake, PLUGIN_OP_DISARM) +
		fake_port_pending(f->fake, PLUGIN_OP_REMOVE));
}

/* One batch at a time beside mints, of each kind in turn, and a rest behind each. */
static void
ends_take_turns_with_mints(void **state)
{
	struct fix *f = *state;
	unsigned disarms = 0, removals = 0;

	for (unsigned i = 0; i < 60; i++)
		(void)make(f, 10);
	wclock_fake_advance(&f->clock, 9 * 1000000);
	(void)make(f, 3600); /* its mint is over, and the next one may come */
	wclock_fake_advance(&f->clock, 1 * 1000000);
	for (unsigned i = 0; i < 20; i++) {
		leases_tick(f->leases);
		assert_int_equal(under_way(f), 1);
		disarms += fake_port_pending(f->fake, PLUGIN_OP_DISARM);
		removals += fake_port_pending(f->fake, PLUGIN_OP_REMOVE);
		wclock_fake_advance(&f->clock, 12000);
		fake_port_pump(f->fake);
		store_pump(f->store);
		assert_in_range(leases_tick(f->leases), 1, 8);
		assert_int_equal(under_way(f), 0);
		wclock_fake_advance(&f->clock, 8000);
	}
	assert_int_equal(disarms, 10);
	assert_int_equal(removals, 10);
	wclock_fake_advance(&f->clock, 2 * 1000000);
	leases_tick(f->leases);
	/* Nobody mints any more. */
	assert_true(json_array_size(json_object_get(
			fake_port_params(f->fake, PLUGIN_OP_DISARM), "accounts")) > 20);
	settle(f);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_mints_calls_of_both_kinds_are_full_and_follow_one_another),
	    cmocka_unit_test(without_mints_a_batch_of_two_seconds_halves_those_to_come),
	    cmocka_unit_test(beside_mints_a_batch_takes_about_as_long_as_a_mint),
	    cmocka_unit_test(mints_that_batches_slow_down_do_not_let_batches_grow),
	    cmocka_unit_test(behind_a_batch_is_a_rest_as_long_as_it_was),
	    cmocka_unit_test(a_removal_that_hangs_holds_up_no_disarm),
	    TEST(ends_take_turns_with_mints),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
