/*
 * Issue and preflight, step by step, and each failure at each step (design: the life of a
 * credential).
 */
#include "base/failpoint.h"
#include "unit/lease/fixture.h"

static void
intent_is_durable_before_the_backend_is_asked(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_MINT), 0);
	store_pump(f->store);
	assert_int_equal(fake_port_pending(f->fake, PLUGIN_OP_MINT), 1);
	assert_true(row_is(f, 1, STORE_LEASE_INTENT));
	assert_int_equal(row_of(f, 1)->next_at_ms, leases_now_ms(f->leases) + LEASE_INTENT_MS);
	assert_string_equal(row_of(f, 1)->account,
	    json_string_value(json_object_get(
		json_object_get(fake_port_params(f->fake, PLUGIN_OP_MINT), "account"), "name")));
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
}

static void
live_is_durable_before_the_client_is_answered(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_MINT, 0, "{\"handle\":\"7\"}"));
	assert_int_equal(a.count, 0);
	assert_true(row_is(f, 1, STORE_LEASE_INTENT));
	store_pump(f->store);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, 0);
	assert_true(row_is(f, 1, STORE_LEASE_LIVE));
	assert_string_equal(data_of(f, 1).handle, "7");
}

static void
issued_lease_tells_the_truth(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(a.ttl_s, 60);
	assert_int_equal(strlen(a.password), ID_PASSWORD_LEN);
	assert_string_equal(account_of(f, &a)->password, a.password);
	assert_memory_equal(a.account, "l-", 2);
	assert_memory_equal(a.account + 2, store_tag(f->store), 6);
	assert_memory_equal(a.lease_id, "database/creds/app/", 19);
	assert_int_equal(lease_find(f->leases, a.lease_id, &row, &err), 0);
	assert_int_equal(row->id, a.row);
	assert_int_equal(row->next_at_ms, leases_now_ms(f->leases) + 60000);
	store_lease_free(row);
	a.lease_id[strlen(a.lease_id) - 1] ^= 1;
	assert_int_equal(lease_find(f->leases, a.lease_id, &row, &err), LEASED_ENOENT);
	check_at_rest(f);
}

/* A name that is too long is refused by the backend for ever: the role version keeps what it has.
 */
static void
a_name_is_no_longer_than_role_and_backend_take(void **state)
{
	static const struct {
		const char *role;
		unsigned backend;
		size_t most;
	} rows[] = {{"63", 0, 63}, {"63", 32, 32}, {"32", 63, 32}, {"0", 40, 40}, {"0", 0, 32},
	    {"200", 60, 60}};
	struct fix *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 60);
		char doc[128], name[8];

		snprintf(
		    doc, sizeof(doc), "{\"role\":{},\"role_id\":1,\"name_max\":%s}", rows[i].role);
		snprintf(name, sizeof(name), "m%zu", i);
		issue.role_version = rolever_make(f, name, doc);
		issue.name_max = rows[i].backend;
		issue.role_name =
		    "a-role-whose-name-is-as-long-as-a-name-of-postgresql-may-be-here";
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		assert_int_equal(a.code, 0);
		assert_int_equal(strlen(a.account), rows[i].most);
	}
	check_at_rest(f);
}

static void
a_slow_mint_answers_what_is_left(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	wclock_fake_advance(&f->clock, 4200 * 1000);
	assert_true(fake_port_answer(f->fake, PLUGIN_OP_MINT, 0, "{\"handle\":\"7\"}"));
	store_pump(f->store);
	assert_int_equal(a.code, 0);
	assert_int_equal(a.ttl_s, 56);
	assert_int_equal(row_of(f, 1)->next_at_ms, leases_now_ms(f->leases) + 55800);
}

static void
mint_that_was_not_sent_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no grant");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_EREFUSED);
	assert_string_equal(a.err.text, "no grant");
	assert_int_equal(row_count(f), 0);
	assert_int_equal(fake_port_counts(f->fake).calls[PLUGIN_OP_DISARM], 0);
	check_at_rest(f);
}

static void
what_the_backend_refuses_us_is_never_the_clients_denial(void **state)
{
	struct fix *f = *state;
	const int codes[] = {LEASED_EDENIED, LEASED_ENOENT, LEASED_EINVAL, LEASED_ELIMIT};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 60);

		fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, codes[i],
		    "run ALTER ROLE leased CREATEROLE");
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		assert_int_equal(a.code, LEASED_EREFUSED);
		assert_int_equal(a.err.code, LEASED_EREFUSED);
		assert_string_equal(a.err.text, "run ALTER ROLE leased CREATEROLE");
	}
}

static void
mint_that_failed_after_it_was_sent_is_taken_back_at_once(void **state)
{
	struct fix *f = *state;
	const int codes[] = {LEASED_EREFUSED, LEASED_ETIMEDOUT, LEASED_ECRASHED, LEASED_EUNAVAIL};

	for (size_t i = 0; i < 4; i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 60);

		fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, codes[i], "broken");
		lease_issue_start(f->leases, &issue, on_issued, &a);
		settle(f);
		assert_int_equal(a.count, 1);
		assert_int_equal(a.code, codes[i]);
		later(f, 2000);
		assert_int_equal(row_count(f), 0);
		check_at_rest(f);
	}
}

static void
mint_that_cannot_be_written_down_is_taken_back_though_the_first_try_is_refused(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 3600);

	setenv("LEASED_FAILPOINT", "lease_issue_live=error:no_space", 1);
	failpoint_setup();
	unsetenv("LEASED_FAILPOINT");
	fake_port_fault(f->fake, PLUGIN_OP_DISARM, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "died");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, LEASED_ENOSPC);
	later(f, 3000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
failed_mint_says_so_to_remove(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 60);
	const json_t *account;

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	fake_port_answer(f->fake, PLUGIN_OP_MINT, LEASED_EREFUSED, "half done");
	store_pump(f->store); /* the mark */
	leases_tick(f->leases);
	assert_true(
	    fake_port_answer(f->fake, PLUGIN_OP_DISARM, 0, "{\"results\":[{\"ok\":true}]}"));
	store_pump(f->store); /* DISARMED */
	leases_tick(f->leases);
	account = json_array_get(
	    json_object_get(fake_port_params(f->fake, PLUGIN_OP_REMOVE), "accounts"), 0);
	assert_true(json_is_true(json_object_get(account, "failed_mint")));
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 1);
}

static void
connection_in_back_off_answers_without_an_intent(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = {0};
	struct lease_issue issue = issue_of(f, 60);

	fake_port_set_down(f->fake, true);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(row_count(f), 0);
	f->no_port = true;
	lease_issue_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_EUNAVAIL);
	f->no_port = false;
}

static void
lost_answer_is_revoked_at_once(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 3600);

	lease_delivery(f->leases, a.row, false);
	lease_delivery(f->leases, b.row, true);
	settle(f);
	assert_null(row_of(f, a.row));
	assert_true(data_of(f, b.row).delivered);
	check_at_rest(f);
}

static void
caps_hold_exactly_under_64_racing_issues(void **state)
{
	struct fix *f = *state;
	struct answer answers[64];
	unsigned good = 0;

	memset(answers, 0, sizeof(answers));
	for (unsigned i = 0; i < 64; i++) {
		struct lease_issue issue = issue_of(f, 60);

		issue.caps[0].limit = 20;
		lease_issue_start(f->leases, &issue, on_issued, &answers[i]);
	}
	settle(f);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(answers[i].count, 1);
		good += answers[i].code == 0;
		assert_true(answers[i].code == 0 || answers[i].code == LEASED_ELIMIT);
	}
	assert_int_equal(good, 20);
	assert_int_equal(counter(f, "role:1"), 20);
	assert_int_equal(counter(f, "conn:1"), 20);
	later(f, 61000);
	assert_int_equal(counter(f, "role:1"), 0);
	assert_int_equal(counter(f, "conn:1"), 0);
}

static void
preflight_goes_through_a_whole_life_and_leaves_nothing(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 0);
	struct fake_port_counts counts;

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, 0);
	counts = fake_port_counts(f->fake);
	assert_int_equal(counts.calls[PLUGIN_OP_MINT], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_CHECK], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_DISARM], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_REMOVE], 1);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

static void
preflight_says_which_step_failed_and_ends_its_canary(void **state)
{
	struct fix *f = *state;
	const enum plugin_op steps[] = {
	    PLUGIN_OP_MINT, PLUGIN_OP_CHECK, PLUGIN_OP_DISARM, PLUGIN_OP_REMOVE};

	for (size_t i = 0; i < 4; i++) {
		struct answer a = {0};
		struct lease_issue issue = issue_of(f, 0);

		fake_port_fault(
		    f->fake, steps[i], FAKE_FAULT_BEFORE, LEASED_EDENIED, "GRANT is missing");
		lease_preflight_start(f->leases, &issue, on_probed, &a);
		settle(f);
		assert_int_equal(a.count, 1);
		assert_int_equal(a.code, LEASED_EDENIED);
		assert_string_equal(a.err.text, "GRANT is missing");
		later(f, 3000);
		assert_int_equal(row_count(f), 0);
		check_at_rest(f);
	}
}

static void
canary_of_a_daemon_that_died_is_ended(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 0);

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	while (fake_port_account_count(f->fake) == 0)
		turn(f);
	fix_crash(f, true);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.code, LEASED_ECANCELED);
	later(f, 61000);
	assert_int_equal(row_count(f), 0);
	check_at_rest(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(intent_is_durable_before_the_backend_is_asked),
	    TEST(live_is_durable_before_the_client_is_answered),
	    TEST(issued_lease_tells_the_truth),
	    TEST(a_name_is_no_longer_than_role_and_backend_take),
	    TEST(a_slow_mint_answers_what_is_left),
	    TEST(mint_that_was_not_sent_leaves_nothing),
	    TEST(what_the_backend_refuses_us_is_never_the_clients_denial),
	    TEST(mint_that_failed_after_it_was_sent_is_taken_back_at_once),
	    TEST(mint_that_cannot_be_written_down_is_taken_back_though_the_first_try_is_refused),
	    TEST(failed_mint_says_so_to_remove),
	    TEST(connection_in_back_off_answers_without_an_intent),
	    TEST(lost_answer_is_revoked_at_once),
	    TEST(caps_hold_exactly_under_64_racing_issues),
	    TEST(preflight_goes_through_a_whole_life_and_leaves_nothing),
	    TEST(preflight_says_which_step_failed_and_ends_its_canary),
	    TEST(canary_of_a_daemon_that_died_is_ended),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
