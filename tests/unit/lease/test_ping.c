/*
 * Pings, by which lease/ learns that a backend is not the one that it was a moment ago.
 */
#include "store/store_private.h"
#include "unit/lease/fixture_reconcile.h"

static unsigned
inventories(struct fix *f)
{
	return (fake_port_counts(f->fake).calls[PLUGIN_OP_INVENTORY]);
}

static void
accounts_that_a_restored_backend_brings_back_are_disarmed_at_once(void **state)
{
	struct fix *f = *state;
	struct answer a, b;

	fake_port_set_incarnation(f->fake, "1 monday");
	f->by_itself = true;
	a = make(f, 3600);
	b = make(f, 3600);
	later(f, 3000);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	assert_int_equal(inventories(f), 0);
	/* Restored: it was away for a moment, and what had gone is back. */
	fake_port_set_incarnation(f->fake, "2 tuesday");
	add(f, b.account);
	fake_port_crash(f->fake);
	assert_int_equal(make(f, 60).code, 0); /* some worker has a session again */
	later(f, 5000);
	assert_int_equal(inventories(f), 1);
	assert_false(is_armed(f, b.account));
	assert_true(account_of(f, &a)->armed);
	/* The same life: no further one. */
	fake_port_crash(f->fake);
	(void)make(f, 60);
	later(f, 5000);
	assert_int_equal(inventories(f), 1);
}

static void
restored_backend_is_noticed_though_the_ping_was_not_answered(void **state)
{
	struct fix *f = *state;
	struct answer b;

	fake_port_set_incarnation(f->fake, "1 monday");
	f->by_itself = true;
	b = make(f, 3600);
	later(f, 3000);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	later(f, 1000);
	fake_port_set_incarnation(f->fake, "2 tuesday");
	add(f, b.account);
	fake_port_fault(
	    f->fake, PLUGIN_OP_PING, FAKE_FAULT_BEFORE, LEASED_EUNAVAIL, "it is starting up");
	fake_port_crash(f->fake);
	assert_int_equal(make(f, 60).code, 0); /* the only new session for hours, perhaps */
	later(f, 12000);
	assert_int_equal(fake_port_faults(f->fake), 0);
	assert_int_equal(inventories(f), 1);
	assert_false(is_armed(f, b.account));
}

static void
restored_backend_is_noticed_though_nobody_wants_anything(void **state)
{
	struct fix *f = *state;
	struct answer b;

	fake_port_set_incarnation(f->fake, "1 monday");
	f->by_itself = true;
	b = make(f, 36000);
	later(f, 3000);
	assert_int_equal(revoke_row(f, b.row).state, LEASE_REVOKE_GONE);
	later(f, 600000);
	assert_int_equal(inventories(f), 0);
	fake_port_set_incarnation(f->fake, "2 tuesday");
	add(f, b.account);
	for (unsigned i = 0; i < 60; i++)
		later(f, 1000);
	assert_int_equal(inventories(f), 1);
	assert_false(is_armed(f, b.account));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(accounts_that_a_restored_backend_brings_back_are_disarmed_at_once),
	    TEST(restored_backend_is_noticed_though_the_ping_was_not_answered),
	    TEST(restored_backend_is_noticed_though_nobody_wants_anything),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
