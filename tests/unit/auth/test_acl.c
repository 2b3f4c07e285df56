/*
 * Compiled sets of policies: how many rules there may be, and what a write throws away.
 */
#include "auth/auth_private.h"
#include "unit/auth/fixture.h"

/* A policy of count rules, whose paths begin with prefix; freed by the caller. */
static char *
rules_text(const char *prefix, unsigned count)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	for (unsigned i = 0; i < count; i++)
		(void)fprintf(to, "path \"%s/%u\" { capabilities = [\"read\"] }\n", prefix, i);
	(void)fclose(to);
	return (text);
}

static int
put_rules(struct fix *f, const char *name, unsigned count)
{
	char *text = rules_text(name, count);
	int r = put_policy(f, name, text);

	free(text);
	return (r);
}

static void
a_policy_of_too_many_rules_is_refused_when_it_is_written(void **state)
{
	struct fix *f = *state;

	assert_int_equal(put_rules(f, "big", AUTH_RULES_MAX), 0);
	assert_int_equal(put_rules(f, "big", AUTH_RULES_MAX + 1), LEASED_EINVAL);
	assert_int_equal(put_rules(f, "bigger", AUTH_RULES_MAX + 1), LEASED_EINVAL);
	assert_false(auth_policy_exists(f->auth, "bigger"));
}

#define SET (AUTH_SET_RULES_MAX / AUTH_RULES_MAX + 1)

static void
a_set_of_too_many_rules_is_refused_when_it_is_used_until_it_has_fewer(void **state)
{
	struct auth_token_params params = {.no_default_policy = true};
	struct fix *f = *state;
	struct token_answer token;
	struct auth_identity *identity;
	struct auth_acl *found = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	char names[SET][8], *items[SET];

	params.policies.items = items;
	params.policies.count = SET;
	for (unsigned i = 0; i < SET; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "p%u", i);
		items[i] = names[i];
		assert_int_equal(put_rules(f, names[i], AUTH_RULES_MAX), 0);
	}
	token = make_with(f, NULL, true, &params, NULL);
	assert_int_equal(token.code, 0);
	for (int i = 0; i < 2; i++) {
		assert_null(login(f, token.text, &err));
		assert_int_equal(err.code, LEASED_EDENIED);
		assert_non_null(strstr(err.text, "more than 2000 rules"));
		/* It is not found out again by each request. */
		for (size_t k = 0; k < AUTH_ACL_SLOTS; k++) {
			struct auth_acl *acl = f->auth->acls[k];

			if (acl != NULL && acl->refused.code != 0) {
				assert_true(i == 0 || found == acl);
				found = acl;
			}
		}
		assert_non_null(found);
	}
	assert_int_equal(put_rules(f, "p1", 1), 0);
	assert_int_equal(put_rules(f, "p2", 1), 0);
	identity = login(f, token.text, &err);
	assert_non_null(identity);
	assert_true(policy_acl_allows(identity->acl, "p0/7", POLICY_READ));
	auth_identity_release(identity);
	token_answer_clear(&token);
}

static void
a_write_drops_the_sets_that_hold_the_policy_and_no_other(void **state)
{
	struct fix *f = *state;
	struct token_answer mine, theirs;
	struct auth_identity *my[2], *their[2];
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(put_rules(f, "mine", 2), 0);
	assert_int_equal(put_rules(f, "mine-too", 2), 0);
	mine = make(f, NULL, true, "mine", 3600);
	theirs = make(f, NULL, true, "mine-too", 3600);
	my[0] = login(f, mine.text, &err);
	their[0] = login(f, theirs.text, &err);
	assert_non_null(my[0]);
	assert_non_null(their[0]);
	assert_int_equal(put_rules(f, "mine", 3), 0);
	my[1] = login(f, mine.text, &err);
	their[1] = login(f, theirs.text, &err);
	assert_ptr_equal(their[0]->shared_acl, their[1]->shared_acl);
	assert_ptr_not_equal(my[0]->shared_acl, my[1]->shared_acl);
	assert_true(policy_acl_allows(my[1]->acl, "mine/2", POLICY_READ));
	assert_false(policy_acl_allows(my[0]->acl, "mine/2", POLICY_READ));
	for (int i = 0; i < 2; i++) {
		auth_identity_release(my[i]);
		auth_identity_release(their[i]);
	}
	token_answer_clear(&mine);
	token_answer_clear(&theirs);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_policy_of_too_many_rules_is_refused_when_it_is_written),
	    T(a_set_of_too_many_rules_is_refused_when_it_is_used_until_it_has_fewer),
	    T(a_write_drops_the_sets_that_hold_the_policy_and_no_other),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
