/*
 * A backend that loses accounts when it is started anew: those of leases that live are made anew,
 * from what was kept; no others, and not where the backend is not of that kind.
 */
#include "unit/lease/fixture_reconcile.h"

#define MANY 600

/* A volatile backend in its first life, compared once. */
static void
setup(struct fix *f)
{
	fake_port_opens(f->fake, "{\"volatile\":true}");
	fake_port_mints(f->fake, "{\"kept\":\"k3pt\"}");
	fake_port_set_remakes(f->fake, true);
	fake_port_set_incarnation(f->fake, "run 1");
	f->by_itself = true;
	(void)make(f, 3600);
	later(f, 60000);
}

static void
lose(struct fix *f, const struct answer *answers, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fake_port_drop_account(f->fake, answers[i].account);
	fake_port_set_incarnation(f->fake, "run 2");
}

static struct reconcile_report *
last_report(struct fix *f)
{
	return (lease_connection_find(f->leases, f->connection)->reconciling->last);
}

static void
accounts_that_a_volatile_backend_lost_are_made_anew(void **state)
{
	struct fix *f = *state;
	struct answer a[2], gone;
	char expires[64];

	setup(f);
	a[0] = make(f, 3600);
	a[1] = make(f, 3600);
	gone = make(f, 3600);
	snprintf(expires, sizeof(expires), "%s", account_of(f, &a[0])->expires);
	assert_int_equal(revoke_row(f, gone.row).state, LEASE_REVOKE_GONE);
	lose(f, a, 2);
	later(f, 15000); /* it is asked often, and the leases are seconds old */
	for (unsigned i = 0; i < 2; i++) {
		assert_non_null(account_of(f, &a[i]));
		assert_string_equal(account_of(f, &a[i])->password, "k3pt");
	}
	assert_string_equal(account_of(f, &a[0])->expires, expires);
	assert_null(account_of(f, &gone));
	assert_int_equal(last_report(f)->remade, 2);
	assert_int_equal(last_report(f)->missing, 0);
	assert_int_equal(revoke_row(f, a[0].row).state, LEASE_REVOKE_GONE);
	check_at_rest(f);
}

static void
more_than_a_page_of_them_are_made_anew(void **state)
{
	struct fix *f = *state;
	struct answer *a = calloc(MANY, sizeof(*a));

	setup(f);
	for (unsigned i = 0; i < MANY; i++)
		a[i] = make(f, 86400);
	lose(f, a, MANY);
	later(f, 15000);
	assert_int_equal(fake_port_account_count(f->fake), MANY + 1);
	assert_int_equal(last_report(f)->remade, MANY);
	assert_int_equal(last_report(f)->accounts, 1);
	free(a);
}

static void
account_lost_while_leased_was_not_there_is_made_anew(void **state)
{
	struct fix *f = *state;
	struct answer a;

	setup(f);
	a = make(f, 3600);
	lose(f, &a, 1);
	fix_crash(f, true);
	later(f, 60000);
	assert_non_null(account_of(f, &a));
}

/* It is on some nodes of its backend: seen, and renewed; what the plugin wants kept then is told it
 * at the end, also by a leased that was started anew. */
static void
account_that_is_not_everywhere_is_renewed_and_what_it_keeps_is_stored(void **state)
{
	struct fix *f = *state;
	struct answer a, whole;
	char expires[64];

	setup(f);
	a = make(f, 3600);
	whole = make(f, 3600);
	snprintf(expires, sizeof(expires), "%s", account_of(f, &a)->expires);
	account_of(f, &a)->partial = true;
	fake_port_set_incarnation(f->fake, "run 2");
	later(f, 15000);
	assert_false(account_of(f, &a)->partial);
	assert_int_equal(last_report(f)->remade, 1);
	assert_int_equal(account_of(f, &whole)->renewals, 0);
	assert_string_equal(account_of(f, &a)->expires, expires);
	fix_crash(f, true);
	later(f, 60000);
	fake_port_drop_account(f->fake, a.account);
	fake_port_set_incarnation(f->fake, "run 3");
	later(f, 15000);
	assert_string_equal(account_of(f, &a)->password, FAKE_KEPT_WHOLE);
	assert_int_equal(revoke_row(f, a.row).state, LEASE_REVOKE_GONE);
	check_at_rest(f);
}

static void
account_that_a_lasting_backend_lacks_is_only_reported(void **state)
{
	struct fix *f = *state;
	struct answer a;

	setup(f);
	fake_port_opens(f->fake, "{\"volatile\":false}");
	a = make(f, 86400);
	later(f, 120000);
	lose(f, &a, 1);
	later(f, 60000);
	assert_null(account_of(f, &a));
	assert_int_equal(last_report(f)->missing, 1);
	assert_int_equal(last_report(f)->remade, 0);
}

/* Who removes an account by hand while the server goes on wants it to be gone; the daily run, and
 * one by hand, say so. */
static void
account_removed_by_hand_is_not_made_anew(void **state)
{
	struct fix *f = *state;
	struct answer a;

	setup(f);
	a = make(f, 86400);
	later(f, 120000);
	fake_port_drop_account(f->fake, a.account);
	assert_found(reconcile(f, false), "missing", a.account);
	assert_null(account_of(f, &a));
}

static void
refused_remake_is_reported_and_tried_again(void **state)
{
	struct fix *f = *state;
	struct answer a[2];

	setup(f);
	a[0] = make(f, 86400);
	a[1] = make(f, 86400);
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no");
	lose(f, a, 2);
	later(f, 15000);
	assert_null(account_of(f, &a[0]));
	assert_non_null(account_of(f, &a[1]));
	assert_int_equal(last_report(f)->missing, 1);
	later(f, 90000);
	assert_non_null(account_of(f, &a[0]));
	assert_int_equal(last_report(f)->missing, 0);
}

static void
backend_that_goes_away_meanwhile_is_asked_again(void **state)
{
	struct fix *f = *state;
	struct answer a;

	setup(f);
	a = make(f, 86400);
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_LATE, LEASED_ECRASHED, "died");
	lose(f, &a, 1);
	later(f, 150000);
	assert_non_null(account_of(f, &a));
	assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
}

static void
revocation_beats_a_remake(void **state)
{
	struct fix *f = *state;
	struct answer a, r = {0};

	setup(f);
	a = make(f, 86400);
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_HANG, 0, "");
	lose(f, &a, 1);
	later(f, 15000);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	settle(f);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_DISARM), 0);
	add(f, a.account); /* as it is made, and then the call is answered */
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_RENEW, 0, "{}"));
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_null(account_of(f, &a));
	check_at_rest(f);
}

/* The connection goes, or leased stops, while an account is being made anew. */
static void
remake_that_is_cut_off_is_nobodys(void **state)
{
	struct fix *f = *state;
	struct answer a;

	setup(f);
	a = make(f, 86400);
	fake_port_fault(f->fake, PLUGIN_OP_RENEW, FAKE_FAULT_HANG, 0, "");
	lose(f, &a, 1);
	later(f, 15000);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_RENEW), 1);
	fix_crash(f, true);
	later(f, 60000);
	assert_non_null(account_of(f, &a));
}

static void
lack_of_memory_delays_a_remake_and_no_more(void **state)
{
	struct fix *f = *state;
	struct answer a;
	bool failed = true;
	char life[32];

	setup(f);
	a = make(f, 86400);
	for (unsigned long n = 1; failed; n++) {
		fake_port_drop_account(f->fake, a.account);
		snprintf(life, sizeof(life), "life %lu", n);
		fake_port_set_incarnation(f->fake, life);
		failalloc_arm(n);
		later(f, 8000);
		failed = failalloc_disarm();
		for (unsigned i = 0; i < 80 && account_of(f, &a) == NULL; i++)
			later(f, 60000);
		if (account_of(f, &a) == NULL)
			fail_msg("allocation %lu: it is lost", n);
		assert_true(row_is(f, a.row, STORE_LEASE_LIVE));
		if (n % 8 == 0)
			assert_int_equal(renew(f, a.row, 86400).code, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(accounts_that_a_volatile_backend_lost_are_made_anew),
	    TEST(more_than_a_page_of_them_are_made_anew),
	    TEST(account_that_is_not_everywhere_is_renewed_and_what_it_keeps_is_stored),
	    TEST(account_lost_while_leased_was_not_there_is_made_anew),
	    TEST(account_that_a_lasting_backend_lacks_is_only_reported),
	    TEST(account_removed_by_hand_is_not_made_anew),
	    TEST(refused_remake_is_reported_and_tried_again),
	    TEST(backend_that_goes_away_meanwhile_is_asked_again),
	    TEST(revocation_beats_a_remake),
	    TEST(remake_that_is_cut_off_is_nobodys),
	    TEST(lack_of_memory_delays_a_remake_and_no_more),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
