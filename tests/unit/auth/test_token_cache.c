/*
 * What auth/ remembers of tokens must never be seen: each request gets what reading the token now
 * would give. Each test uses a token first, so that it is remembered.
 */
#include "unit/auth/fixture.h"

/* A request with the token at just this moment, with nothing else done before; 0 or the refusal. */
static void
on_asked(void *arg, int code, struct auth_identity *identity, const struct leased_err *err)
{
	(void)identity;
	(void)err;
	*(int *)arg = code;
}

static int
ask(struct fix *f, const char *token)
{
	struct http_peer peer = {.kind = HTTP_PEER_TCP};
	int code = 1;

	auth_authenticate(f->auth, token, &peer, on_asked, &code);
	return (code);
}

static bool
is_remembered(struct fix *f, const char *token)
{
	struct auth_identity *first = login(f, token, NULL), *second = login(f, token, NULL);
	bool same = first != NULL && first == second;

	auth_identity_release(first);
	auth_identity_release(second);
	return (same);
}

struct answered {
	struct fix *f;
	const char *token;
	int then; /* what a request got that came with the answer */
};

static void
on_revoked(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct answered *answered = arg;

	(void)status;
	(void)err;
	assert_int_equal(code, 0);
	answered->then = ask(answered->f, answered->token);
}

static void
revoke_and_ask(struct fix *f, int64_t id, const char *token)
{
	struct answered answered = {.f = f, .token = token, .then = 1};

	assert_true(is_remembered(f, token));
	auth_token_revoke(f->auth, id, 0, "test", NULL, on_revoked, &answered);
	settle(f);
	assert_int_equal(answered.then, LEASED_EDENIED);
	assert_int_equal(ask(f, token), LEASED_EDENIED);
}

static void
a_token_is_refused_with_the_answer_to_its_revocation(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < 20; i++) {
		struct token_answer token = make(f, NULL, true, "app", 3600);

		revoke_and_ask(f, token.id, token.text);
		token_answer_clear(&token);
	}
}

static void
so_is_every_descendant_of_it(void **state)
{
	struct fix *f = *state;
	struct token_answer top = make(f, NULL, true, "app", 3600), child, grandchild;
	struct auth_identity *identity = login(f, top.text, NULL);

	child = make(f, identity, false, NULL, 0);
	auth_identity_release(identity);
	identity = login(f, child.text, NULL);
	grandchild = make(f, identity, false, NULL, 0);
	auth_identity_release(identity);
	assert_true(is_remembered(f, child.text));
	revoke_and_ask(f, top.id, grandchild.text);
	assert_int_equal(ask(f, child.text), LEASED_EDENIED);
	token_answer_clear(&top);
	token_answer_clear(&child);
	token_answer_clear(&grandchild);
}

static void
a_revocation_of_which_nobody_was_told_yet_holds_as_soon_as_it_is_on_disk(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 3600);
	struct answered answered = {.f = f, .token = token.text, .then = 1};

	assert_true(is_remembered(f, token.text));
	auth_token_revoke(f->auth, token.id, 0, "test", NULL, on_revoked, &answered);
	assert_int_equal(ask(f, token.text), 0); /* it is only queued */
	(void)store_pump(f->store);
	assert_int_equal(ask(f, token.text), LEASED_EDENIED);
	settle(f);
	token_answer_clear(&token);
}

static void
a_remembered_token_ends_at_its_time_and_with_its_ancestor(void **state)
{
	struct fix *f = *state;
	struct token_answer top = make(f, NULL, true, "app", 60), child, other;
	struct auth_identity *identity = login(f, top.text, NULL);

	other = make(f, NULL, true, "app", 30);
	child = make(f, identity, false, NULL, 0);
	auth_identity_release(identity);
	assert_true(is_remembered(f, child.text));
	assert_true(is_remembered(f, other.text));
	wclock_fake_advance(&f->clock, INT64_C(29999) * 1000);
	assert_int_equal(ask(f, other.text), 0);
	wclock_fake_advance(&f->clock, 1000);
	assert_int_equal(ask(f, other.text), LEASED_EDENIED);
	wclock_fake_advance(&f->clock, INT64_C(29999) * 1000);
	assert_int_equal(ask(f, child.text), 0);
	wclock_fake_advance(&f->clock, 1000);
	assert_int_equal(ask(f, child.text), LEASED_EDENIED);
	token_answer_clear(&top);
	token_answer_clear(&child);
	token_answer_clear(&other);
}

static void
a_renewal_is_seen_by_the_next_request_of_the_token_and_of_its_children(void **state)
{
	struct fix *f = *state;
	struct token_answer top = make(f, NULL, true, "app", 60), child, renewed;
	struct auth_identity *identity = login(f, top.text, NULL);

	child = make(f, identity, false, NULL, 0);
	auth_identity_release(identity);
	assert_true(is_remembered(f, top.text));
	assert_true(is_remembered(f, child.text));
	renewed = renew(f, top.id, 5);
	assert_int_equal(renewed.code, 0);
	identity = login(f, top.text, NULL);
	assert_int_equal(auth_identity_left_s(f->auth, identity), 5);
	auth_identity_release(identity);
	identity = login(f, child.text, NULL);
	assert_int_equal(auth_identity_left_s(f->auth, identity), 5);
	auth_identity_release(identity);
	token_answer_clear(&renewed);
	token_answer_clear(&top);
	token_answer_clear(&child);
}

static void
on_policy(void *arg, int code, const struct leased_err *err)
{
	struct answered *answered = arg;
	struct auth_identity *identity;

	(void)err;
	assert_int_equal(code, 0);
	identity = login(answered->f, answered->token, NULL);
	answered->then = policy_acl_allows(identity->acl, "a/b", POLICY_READ);
	auth_identity_release(identity);
}

static void
a_policy_holds_from_the_answer_to_its_writing_on(void **state)
{
	struct fix *f = *state;
	struct token_answer token = make(f, NULL, true, "app", 3600);
	struct answered answered = {.f = f, .token = token.text};

	for (unsigned i = 0; i < 3; i++) {
		assert_true(is_remembered(f, token.text));
		answered.then = -1;
		auth_policy_put(f->auth, "app", "path \"a/*\" { capabilities = [\"read\"] }",
		    on_policy, &answered);
		settle(f);
		assert_int_equal(answered.then, 1);
		assert_true(is_remembered(f, token.text));
		answered.then = -1;
		if (i == 1)
			auth_policy_delete(f->auth, "app", on_policy, &answered);
		else
			auth_policy_put(f->auth, "app",
			    "path \"a/*\" { capabilities = [\"deny\"] }", on_policy, &answered);
		settle(f);
		assert_int_equal(answered.then, 0);
	}
	token_answer_clear(&token);
}

static void
a_token_of_limited_use_is_never_remembered(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {.num_uses = 4};
	struct token_answer token = make_with(f, NULL, true, &params, "app");

	assert_false(is_remembered(f, token.text));
	assert_true(passes(f, token.text));
	assert_true(passes(f, token.text));
	assert_false(passes(f, token.text));
	token_answer_clear(&token);
}

static void
what_was_wrong_once_is_not_remembered_as_wrong(void **state)
{
	struct fix *f = *state;
	struct auth_token_params params = {.id = leased_secret_new("wished", 6)};
	struct token_answer token;

	assert_int_equal(ask(f, "wished"), LEASED_EDENIED);
	token = make_with(f, NULL, true, &params, "app");
	assert_int_equal(ask(f, "wished"), 0);
	leased_secret_free(params.id);
	token_answer_clear(&token);
}

#define MANY 1500 /* more than are remembered */

static void
more_tokens_than_are_remembered_all_pass_and_all_end(void **state)
{
	struct fix *f = *state;
	struct token_answer *tokens = calloc(MANY, sizeof(*tokens));

	for (unsigned i = 0; i < MANY; i++)
		tokens[i] = make(f, NULL, true, "app", 3600);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < MANY; i++)
			assert_int_equal(ask(f, tokens[i].text), 0);
	for (unsigned i = 0; i < MANY; i += 50)
		revoke_and_ask(f, tokens[i].id, tokens[i].text);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(ask(f, tokens[i].text), i % 50 == 0 ? LEASED_EDENIED : 0);
		token_answer_clear(&tokens[i]);
	}
	free(tokens);
}

struct without_memory {
	struct fix *f;
	struct token_answer token;
};

/* The answer is the token's or want of memory, and never a refusal that would stick. */
static int
use_without_memory(void *arg)
{
	struct without_memory *w = arg;
	int code;

	/* Forgets it, so that each walk reads it anew. */
	if ((code = put_policy(w->f, "app", "path \"a\" { capabilities = [\"read\"] }")) != 0)
		return (code);
	for (unsigned i = 0; i < 2; i++)
		if ((code = ask(w->f, w->token.text)) != 0)
			return (code);
	return (0);
}

static void
running_out_of_memory_remembers_no_half_identity(void **state)
{
	struct without_memory w = {.f = *state};

	w.token = make(w.f, NULL, true, "app", 3600);
	assert_true(failalloc_each(use_without_memory, &w) > 10);
	assert_true(is_remembered(w.f, w.token.text));
	token_answer_clear(&w.token);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_token_is_refused_with_the_answer_to_its_revocation),
	    T(so_is_every_descendant_of_it),
	    T(a_revocation_of_which_nobody_was_told_yet_holds_as_soon_as_it_is_on_disk),
	    T(a_remembered_token_ends_at_its_time_and_with_its_ancestor),
	    T(a_renewal_is_seen_by_the_next_request_of_the_token_and_of_its_children),
	    T(a_policy_holds_from_the_answer_to_its_writing_on),
	    T(a_token_of_limited_use_is_never_remembered),
	    T(what_was_wrong_once_is_not_remembered_as_wrong),
	    T(more_tokens_than_are_remembered_all_pass_and_all_end),
	    T(running_out_of_memory_remembers_no_half_identity),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
