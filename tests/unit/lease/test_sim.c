/*
 * Seeded runs of everything at once: issues, renewals, revocations, bulk jobs, tokens, workers that
 * die or hang, replies that are lost, zombies, outages, refusals, faults of the store, moves of the
 * connection, crashes of the daemon, reboots. Dense ones, a month, and one run twice.
 *
 * LEASE_SIM_SEED replays a seed that was printed: LEASE_SIM_STEPS a dense run, LEASE_SIM_DAYS a
 * long one.
 */
#include <inttypes.h>
#include <time.h>

#include "unit/lease/sim.h"

static uint64_t
number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return (text != NULL ? strtoull(text, NULL, 10) : otherwise);
}

static void
nothing_is_lost_and_nothing_is_left_whatever_happens(void **state)
{
	struct sim_bounds bounds = {.seed = number_from("LEASE_SIM_SEED", (uint64_t)time(NULL)),
	    .steps = (unsigned)number_from("LEASE_SIM_STEPS", 1000)};
	struct sim sim;

	(void)state;
	for (unsigned i = 0; i < (getenv("LEASE_SIM_SEED") != NULL ? 1 : 4); i++, bounds.seed++) {
		print_message(
		    "LEASE_SIM_SEED=%" PRIu64 " LEASE_SIM_STEPS=%u\n", bounds.seed, bounds.steps);
		sim_run(&bounds, &sim);
		assert_true(sim.minted > 0);
	}
}

static void
a_month_passes_and_every_lease_ends_in_its_time(void **state)
{
	struct sim_bounds bounds = {.seed = number_from("LEASE_SIM_SEED", (uint64_t)time(NULL)),
	    .steps = UINT32_MAX,
	    .span_ms = (int64_t)number_from("LEASE_SIM_DAYS", 31) * SIM_DAY_MS};
	struct sim sim;

	(void)state;
	print_message("LEASE_SIM_SEED=%" PRIu64 " LEASE_SIM_DAYS=%" PRId64 "\n", bounds.seed,
	    bounds.span_ms / SIM_DAY_MS);
	sim_run(&bounds, &sim);
	assert_true(sim.latest_ms - sim.begun_ms >= bounds.span_ms);
	assert_true(sim.minted > 0 && sim.crashes > 0 && sim.moves > 0 && sim.store_faults > 0);
}

static void
the_same_seed_gives_the_same_run_bit_for_bit(void **state)
{
	struct sim_bounds bounds[] = {{.seed = (uint64_t)time(NULL), .steps = 500},
	    {.seed = (uint64_t)time(NULL), .steps = 500, .span_ms = 100 * SIM_DAY_MS}};
	struct sim first, second, other;

	(void)state;
	for (unsigned i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		sim_run(&bounds[i], &first);
		sim_run(&bounds[i], &second);
		assert_true(first.trace == second.trace);
		assert_int_equal(first.minted, second.minted);
		bounds[i].seed++;
		sim_run(&bounds[i], &other);
		assert_true(first.trace != other.trace);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_lost_and_nothing_is_left_whatever_happens),
	    cmocka_unit_test(the_same_seed_gives_the_same_run_bit_for_bit),
	    cmocka_unit_test(a_month_passes_and_every_lease_ends_in_its_time),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
