/*
 * Tokens: their rules, their families, their uses; and that memory may run out anywhere.
 */
#include "lease/private.h"
#include "unit/auth/fixture.h"

static struct auth_identity *
as(struct fix *f, const struct token_answer *token)
{
	struct auth_identity *identity = login(f, token->text, NULL);

	assert_non_null(identity);
	return (identity);
}

static void
a_token_gives_its_policies_and_is_kept_as_a_mac_only(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 3600);
	struct auth_identity *identity = as(f, &token);

	assert_int_equal(token.code, 0);
	assert_int_equal(token.ttl_s, 3600);
	assert_false(identity->root);
	assert_int_equal(json_array_size(identity->policies), 2); /* and default */
	assert_null(strstr(json_string_value(json_object_get(token.data, "path")), token.text));
	assert_true(auth_identity_left_s(f->auth, identity) == 3600);
	auth_identity_release(identity);
	token_answer_clear(&token);
}

static void
a_wrong_token_is_denied_like_one_that_ended(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 10);
	struct leased_err wrong, ended;
	char long_text[600];

	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_null(login(f, "hvs.wrong", &wrong));
	later(f, 10500);
	assert_null(login(f, token.text, &ended));
	assert_int_equal(wrong.code, LEASED_EDENIED);
	assert_string_equal(wrong.text, ended.text);
	assert_null(login(f, long_text, &ended));
	assert_string_equal(wrong.text, ended.text);
	token_answer_clear(&token);
}

static void
a_token_ends_at_its_time_and_not_before(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 60);

	wclock_fake_advance(&f->clock, INT64_C(59999) * 1000);
	assert_true(passes(f, token.text));
	wclock_fake_advance(&f->clock, 1000);
	assert_false(passes(f, token.text)); /* before any timer has run */
	token_answer_clear(&token);
}

static void
a_wall_clock_that_jumps_ends_no_token(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 60);

	wclock_fake_jump(&f->clock, INT64_C(86400) * 1000000);
	assert_true(passes(f, token.text));
	wclock_fake_jump(&f->clock, INT64_C(-2) * 86400 * 1000000);
	wclock_fake_advance(&f->clock, INT64_C(61) * 1000000);
	assert_false(passes(f, token.text));
	token_answer_clear(&token);
}

static void
revoking_holds_at_once_for_the_whole_family(void **state)
{
	struct fix *f = *state;
	struct token_answer token[4];
	struct auth_identity *identity;
	int64_t lease;
	char owner[64];

	token[0] = make(f, NULL, true, "app", 3600);
	for (int i = 1; i < 4; i++) {
		identity = as(f, &token[i - 1]);
		token[i] = make(f, identity, false, NULL, 0);
		assert_int_equal(token[i].code, 0);
		auth_identity_release(identity);
	}
	(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)token[3].id);
	lease = put_lease(f, owner, "");
	revoke(f, token[0].id);
	for (int i = 0; i < 4; i++) {
		assert_false(passes(f, token[i].text));
		token_answer_clear(&token[i]);
	}
	later(f, 2000);
	assert_true(lease_is_marked(f, lease));
}

/* The daemon goes on running: no restart, no request that would find out. */
static void
the_timer_learns_of_a_token_that_was_made_and_of_one_that_was_renewed(void **state)
{
	struct fix *f = *state;
	struct token_answer made, renewed, child;
	struct auth_identity *identity;
	int64_t lease[2];
	char owner[64];

	later(f, 5000); /* nothing is due, and the timer has said so */
	made = make(f, NULL, true, "app", 2);
	identity = as(f, &made);
	child = make(f, identity, false, NULL, 0);
	(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)child.id);
	lease[0] = put_lease(f, owner, "");
	later(f, 3000);
	assert_true(lease_is_marked(f, lease[0]));
	auth_identity_release(identity);
	token_answer_clear(&made);
	token_answer_clear(&child);

	made = make(f, NULL, true, "app", 3600);
	(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)made.id);
	lease[1] = put_lease(f, owner, "");
	later(f, 5000);
	renewed = renew(f, made.id, 2); /* nearer than it was */
	assert_int_equal(renewed.ttl_s, 2);
	later(f, 1500);
	assert_false(lease_is_marked(f, lease[1]));
	later(f, 1500);
	assert_true(lease_is_marked(f, lease[1]));
	token_answer_clear(&made);
	token_answer_clear(&renewed);
}

/* Between the parent's mark and the job that comes for the children. */
static void
a_child_of_a_marked_parent_is_denied_before_any_job_has_run(void **state)
{
	struct fix *f = *state;
	struct token_answer parent = make(f, NULL, true, "app", 5), child;
	struct auth_identity *identity = as(f, &parent);
	struct auth_token_params params = {.renewable = true, .no_parent = false};

	child = make_with(f, identity, true, &params, "app");
	assert_true(child.ttl_s <= 5); /* the truth: it ends with its parent */
	assert_true(json_array_size(child.warnings) >= 1);
	wclock_fake_advance(&f->clock, INT64_C(5000) * 1000);
	assert_false(passes(f, child.text));
	auth_identity_release(identity);
	token_answer_clear(&parent);
	token_answer_clear(&child);
}

static void
a_token_that_was_just_revoked_makes_no_child(void **state)
{
	struct fix *f = *state;
	struct token_answer parent = make(f, NULL, true, "app", 3600), child;
	struct auth_identity *identity = as(f, &parent);

	revoke(f, parent.id);
	child = make(f, identity, false, NULL, 0); /* authenticated before */
	assert_true(child.code != 0);
	auth_identity_release(identity);
	token_answer_clear(&parent);
	token_answer_clear(&child);
}

static void
generations_are_bounded(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 3600), child;
	struct auth_identity *identity;
	int i;

	for (i = 0; i < 100; i++) {
		identity = as(f, &token);
		child = make(f, identity, false, NULL, 0);
		auth_identity_release(identity);
		token_answer_clear(&token);
		token = child;
		if (child.code != 0)
			break;
	}
	assert_int_equal(child.code, LEASED_EINVAL);
	assert_non_null(strstr(child.err.text, "generation"));
	assert_true(i > 5 && i < 50);
	token_answer_clear(&token);
}

static void
uses_are_taken_exactly_once_each(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {.num_uses = 2};
	struct token_answer token = make_with(f, NULL, true, &params, "app");
	struct auth_identity *first, *second;

	first = as(f, &token);
	assert_false(first->last_use);
	second = as(f, &token);
	assert_true(second->last_use);
	assert_false(passes(f, token.text));
	auth_identity_release(first);
	auth_identity_release(second);
	fix_reopen_auth(f);
	assert_false(passes(f, token.text));
	token_answer_clear(&token);
}

static void
a_used_up_token_ends_though_nobody_came_to_end_it(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {.num_uses = 1};
	struct token_answer token = make_with(f, NULL, true, &params, "app");
	struct auth_identity *last = as(f, &token);
	struct store_token index;
	struct leased_err err;

	assert_true(last->last_use);
	auth_identity_release(last);
	fix_reopen_auth(f);
	later(f, 130000);
	assert_int_equal(
	    store_token_get_id(store_db(f->store), token.id, &index, &err), LEASED_ENOENT);
	token_answer_clear(&token);
}

static void
rights_never_grow(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 3600), child;
	struct auth_identity *identity = as(f, &token);
	struct auth_token_params params = {.period_s = 5};

	child = make(f, identity, false, "other", 0);
	assert_int_equal(child.code, LEASED_EINVAL);
	assert_non_null(strstr(child.err.text, "child policies must be subset of parent"));
	child = make(f, identity, false, "root", 0);
	assert_int_equal(child.code, LEASED_EINVAL);
	child = make(f, identity, true, "root", 0); /* sudo is not root */
	assert_int_equal(child.code, LEASED_EINVAL);
	child = make_with(f, identity, false, &params, NULL);
	assert_int_equal(child.code, LEASED_EINVAL);
	auth_identity_release(identity);
	token_answer_clear(&token);
}

static void
nothing_that_looks_like_root_is_root(void **state)
{
	static const char *const names[] = {"Root", "ROOT", " root", "root ", "rOOt", "root\t",
	    "r\xd0\xbe\xd0\xbet", "root\xe2\x80\x8b", "\xef\xbd\x92oot", "root/", "\"root\""};
	struct fix *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct token_answer token = make(f, NULL, true, names[i], 60);
		struct auth_identity *identity;

		if (token.code == 0) {
			identity = as(f, &token);
			assert_false(identity->root);
			assert_false(policy_acl_is_root(identity->acl));
			auth_identity_release(identity);
		}
		token_answer_clear(&token);
	}
}

static void
root_is_a_flag_and_no_policy_of_that_name_can_be_written(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "root", 60);
	struct auth_identity *identity = as(f, &token);

	assert_true(identity->root);
	assert_int_equal(json_array_size(identity->policies), 1);
	assert_int_equal(
	    put_policy(f, "root", "path \"a\" { capabilities = [\"deny\"] }"), LEASED_EINVAL);
	auth_identity_release(identity);
	token_answer_clear(&token);
}

static void
renewing_counts_from_now_and_stops_at_the_maximum(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {
	    .renewable = true, .ttl_s = 600, .explicit_max_ttl_s = 1200};
	struct token_answer token = make_with(f, NULL, true, &params, "app"), renewed;

	later(f, 100000);
	renewed = renew(f, token.id, 900);
	assert_int_equal(renewed.code, 0);
	assert_int_equal(renewed.ttl_s, 900);
	token_answer_clear(&renewed);
	renewed = renew(f, token.id, 3600);
	assert_int_equal(renewed.ttl_s, 1100);
	assert_int_equal(json_array_size(renewed.warnings), 1);
	token_answer_clear(&renewed);
	wclock_fake_advance(&f->clock, INT64_C(1100) * 1000000);
	assert_false(passes(f, token.text));
	assert_true(renew(f, token.id, 60).code != 0); /* the dead stay dead */
	assert_false(passes(f, token.text));
	token_answer_clear(&token);
}

static void
no_renewal_outlives_the_family(void **state)
{
	struct fix *f = *state;
	struct token_answer top = make(f, NULL, true, "app", 30), child, grandchild, renewed;
	struct auth_identity *identity = as(f, &top);

	child = make(f, identity, false, NULL, 20);
	auth_identity_release(identity);
	identity = as(f, &child);
	grandchild = make(f, identity, false, NULL, 10);
	auth_identity_release(identity);
	renewed = renew(f, grandchild.id, 3600);
	assert_int_equal(renewed.ttl_s, 20);
	assert_int_equal(json_array_size(renewed.warnings), 1);
	token_answer_clear(&renewed);
	renewed = renew(f, child.id, 3600);
	assert_int_equal(renewed.ttl_s, 30);
	token_answer_clear(&renewed);
	/* An ancestor whose end was brought nearer takes the others along, and they say so. */
	renewed = renew(f, top.id, 5);
	token_answer_clear(&renewed);
	identity = as(f, &grandchild);
	assert_int_equal(auth_identity_left_s(f->auth, identity), 5);
	auth_identity_release(identity);
	token_answer_clear(&top);
	token_answer_clear(&child);
	token_answer_clear(&grandchild);
}

static void
a_revocation_beats_a_renewal(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 600), renewed;

	revoke(f, token.id);
	renewed = renew(f, token.id, 900);
	assert_true(renewed.code != 0);
	later(f, 3000);
	assert_false(passes(f, token.text));
	token_answer_clear(&token);
	token_answer_clear(&renewed);
}

static void
a_wished_id_is_taken_once(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {.id = leased_secret_new("wished", 6)};
	struct token_answer token = make_with(f, NULL, true, &params, "app"), again;

	assert_string_equal(token.text, "wished");
	again = make_with(f, NULL, true, &params, "app");
	assert_int_equal(again.code, LEASED_EINVAL);
	assert_true(passes(f, "wished"));
	leased_secret_free(params.id);
	token_answer_clear(&token);
}

/* Lease time may be about to move over the hours that the machine was off. */
static void
no_token_is_made_or_renewed_by_a_clock_in_doubt(void **state)
{
	struct fix *f = *state;
	struct token_answer before = make(f, NULL, true, "app", 3600), answer;
	struct auth_identity *identity;

	f->clock.is_synchronized = false;
	f->leases->time.waiting = true;
	f->leases->time.since_boot_ms = wclock_boot_ms(&f->clock.clock);
	answer = make(f, NULL, true, "app", 3600);
	assert_int_equal(answer.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(answer.err.text, "ask again in"));
	token_answer_clear(&answer);
	answer = renew(f, before.id, 7200);
	assert_int_equal(answer.code, LEASED_EUNAVAIL);
	token_answer_clear(&answer);
	identity = as(f, &before); /* those that there are go on */
	auth_identity_release(identity);
	answer = make(f, NULL, true, "root", 0); /* has no end that could move */
	assert_int_equal(answer.code, 0);
	token_answer_clear(&answer);
	token_answer_clear(&before);
}

static int
make_without_memory(void *arg)
{
	struct fix *f = arg;
	struct token_answer answer = {0};
	struct auth_token_params params = {.renewable = true, .ttl_s = 60};
	char name[] = "app", *items[] = {name};
	struct auth_identity *identity;
	int code;

	params.policies.items = items;
	params.policies.count = 1;
	answer = make_with(f, NULL, true, &params, NULL);
	code = answer.code;
	if (code == 0) {
		identity = login(f, answer.text, &answer.err);
		code = identity != NULL ? 0 : answer.err.code;
		auth_identity_release(identity);
	}
	token_answer_clear(&answer);
	return (code);
}

static void
running_out_of_memory_makes_no_half_token(void **state)
{
	assert_true(failalloc_each(make_without_memory, *state) > 10);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_token_gives_its_policies_and_is_kept_as_a_mac_only),
	    T(a_wrong_token_is_denied_like_one_that_ended),
	    T(a_token_ends_at_its_time_and_not_before),
	    T(a_wall_clock_that_jumps_ends_no_token),
	    T(revoking_holds_at_once_for_the_whole_family),
	    T(the_timer_learns_of_a_token_that_was_made_and_of_one_that_was_renewed),
	    T(a_child_of_a_marked_parent_is_denied_before_any_job_has_run),
	    T(a_token_that_was_just_revoked_makes_no_child),
	    T(generations_are_bounded),
	    T(uses_are_taken_exactly_once_each),
	    T(a_used_up_token_ends_though_nobody_came_to_end_it),
	    T(rights_never_grow),
	    T(nothing_that_looks_like_root_is_root),
	    T(root_is_a_flag_and_no_policy_of_that_name_can_be_written),
	    T(renewing_counts_from_now_and_stops_at_the_maximum),
	    T(no_renewal_outlives_the_family),
	    T(a_revocation_beats_a_renewal),
	    T(a_wished_id_is_taken_once),
	    T(no_token_is_made_or_renewed_by_a_clock_in_doubt),
	    T(running_out_of_memory_makes_no_half_token),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
