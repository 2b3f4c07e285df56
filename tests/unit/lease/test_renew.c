/*
 * Renewal, and what beats it.
 */
#include "unit/lease/fixture.h"

static void
renewal_counts_from_now_and_tells_the_backend_first(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	later(f, 30000);
	request.ttl.increment_s = 100;
	lease_renew_start(f->leases, &request, on_renewed, &r);
	leases_tick(f->leases);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	assert_int_equal(row_of(f, a.row)->next_at_ms, leases_now_ms(f->leases) + 30000);
	fake_port_pump(f->fake);
	assert_int_equal(r.count, 0);
	settle(f);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.ttl_s, 100);
	assert_int_equal(row_of(f, a.row)->next_at_ms, leases_now_ms(f->leases) + 100000);
	later(f, 99500);
	assert_true(account_of(f, &a)->armed);
	later(f, 1000);
	assert_null(account_of(f, &a));
}

static void
renewal_that_the_backend_refuses_keeps_the_old_end(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r;

	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no");
	r = renew(f, a.row, 500);
	assert_int_equal(r.code, LEASED_EREFUSED);
	/* A right that our own login lacks is none that the client lacks. */
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_BEFORE, LEASED_EDENIED, "GRANT it");
	r = renew(f, a.row, 500);
	assert_int_equal(r.code, LEASED_EREFUSED);
	assert_int_equal(r.err.code, LEASED_EREFUSED);
	assert_string_equal(r.err.text, "GRANT it");
	later(f, 60000);
	assert_null(row_of(f, a.row));
}

static void
revocation_beats_a_renewal_in_flight(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), n = {0}, r = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &n);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	store_pump(f->store);
	leases_tick(f->leases);
	/* disarm waits for the worker's call */
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 0);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	settle(f);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	assert_string_equal(n.err.text, "lease expired");
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	check_at_rest(f);
}

static void
lease_that_ends_during_its_renewal_stays_ended(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 5), n = {0};
	struct lease_renew request = {.row = a.row, .ttl = issue_of(f, 60).ttl};

	lease_renew_start(f->leases, &request, on_renewed, &n);
	wclock_fake_advance(&f->clock, 5 * 1000000);
	settle(f);
	assert_int_equal(n.code, LEASED_EEXPIRED);
	assert_null(row_of(f, a.row));
	check_at_rest(f);
}

static void
renewal_of_a_deleted_role_or_beyond_the_max_is_refused(void **state)
{
	struct fix *f = *state;
	struct lease_issue issue = issue_of(f, 60);
	struct answer a = {0}, r = {0};
	struct lease_renew request = {.ttl = issue.ttl, .role_deleted = true};

	issue.ttl.role_max_s = 100;
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	request.row = a.row;
	lease_renew_start(f->leases, &request, on_renewed, &r);
	settle(f);
	assert_int_equal(r.code, LEASED_EINVAL);
	assert_non_null(strstr(r.err.text, "lease is not renewable"));
	/* The role's max was raised meanwhile: the snapshot's still holds. */
	later(f, 50000);
	r = renew(f, a.row, 500);
	assert_int_equal(r.ttl_s, 50);
	assert_non_null(strstr(r.warning, "exceeded the effective max_ttl of \"1m40s\""));
	assert_int_equal(renew(f, 999, 10).code, LEASED_ENOENT);
}

static void
expired_lease_whose_end_is_refused_cannot_be_renewed(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	unsigned calls = fake_port_counts(f->fake).calls[PLUGIN_OP_RENEW];
	json_t *shown;

	account_of(f, &a)->stubborn = true;
	later(f, 11000);
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
	assert_true(row_of(f, a.row)->next_at_ms > leases_now_ms(f->leases));
	shown = lease_describe(f->leases, row_of(f, a.row));
	assert_string_equal(json_string_value(json_object_get(shown, "state")), "disarming");
	assert_true(json_is_false(json_object_get(shown, "renewable")));
	json_decref(shown);
	assert_int_equal(renew(f, a.row, 60).code, LEASED_EEXPIRED);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_RENEW], calls);
}

static void
renewal_of_an_account_that_was_dropped_by_hand_is_a_mistake_of_the_request(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r;

	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_BEFORE, LEASED_ENOENT, "no role");
	r = renew(f, a.row, 60);
	assert_int_equal(r.code, LEASED_EINVAL);
	assert_non_null(strstr(r.err.text, "not on the backend any more: no role"));
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(renewal_counts_from_now_and_tells_the_backend_first),
	    TEST(renewal_that_the_backend_refuses_keeps_the_old_end),
	    TEST(revocation_beats_a_renewal_in_flight),
	    TEST(lease_that_ends_during_its_renewal_stays_ended),
	    TEST(renewal_of_an_account_that_was_dropped_by_hand_is_a_mistake_of_the_request),
	    TEST(renewal_of_a_deleted_role_or_beyond_the_max_is_refused),
	    TEST(expired_lease_whose_end_is_refused_cannot_be_renewed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
