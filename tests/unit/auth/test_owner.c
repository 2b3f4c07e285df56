/*
 * Whose a token or a lease is: one's own and one's descendants'; the rest are strangers.
 */
#include "unit/auth/fixture.h"

#include "auth/owner.h"

static struct auth_identity *
as(struct fix *f, const struct token_answer *token)
{
	struct auth_identity *identity = login(f, token->text, NULL);

	assert_non_null(identity);
	return (identity);
}

static bool
owns(struct fix *f, const struct auth_identity *identity, int64_t lease)
{
	struct store_lease *row = NULL;
	struct leased_err err;
	bool own;

	assert_int_equal(store_lease_get(store_db(f->store), lease, &row, &err), 0);
	own = auth_identity_owns(f->auth, identity, row);
	store_lease_free(row);
	return (own);
}

static void
an_accessor_finds_the_token_and_kin_is_told_from_strangers(void **state)
{
	struct fix *f = *state;
	struct token_answer parent = make(f, NULL, true, "app", 600), child, stranger;
	struct auth_identity *mine, *theirs, *childs;
	struct auth_token found = {0};
	struct leased_err err;

	mine = as(f, &parent);
	child = make(f, mine, false, NULL, 0);
	childs = as(f, &child);
	stranger = make(f, NULL, true, "app", 600);
	theirs = as(f, &stranger);
	assert_int_equal(auth_token_find_accessor(f->auth, child.accessor, &found, &err), 0);
	assert_int_equal(found.index.id, child.id);
	assert_true(auth_token_is_kin(f->auth, mine, &found));
	assert_true(auth_token_is_kin(f->auth, childs, &found));
	assert_false(auth_token_is_kin(f->auth, theirs, &found));
	auth_token_clear(&found);
	assert_int_equal(auth_token_find_accessor(f->auth, parent.accessor, &found, &err), 0);
	assert_false(auth_token_is_kin(f->auth, childs, &found)); /* upwards it is a stranger */
	auth_token_clear(&found);
	assert_int_equal(
	    auth_token_find_accessor(f->auth, "AAAAAAAAAAAAAAAAAAAAAAAA", &found, &err),
	    LEASED_ENOENT);
	auth_identity_release(mine);
	auth_identity_release(theirs);
	auth_identity_release(childs);
	token_answer_clear(&parent);
	token_answer_clear(&child);
	token_answer_clear(&stranger);
}

static void
what_root_makes_has_no_entity(void **state)
{
	struct fix *f = *state;
	struct token_answer token[2] = {
	    make(f, NULL, true, "app", 600), make(f, NULL, true, "root", 600)};

	assert_true(f->root_identity->entity[0] != '\0');
	for (int i = 0; i < 2; i++) {
		assert_string_equal(
		    json_string_value(json_object_get(token[i].data, "entity")), "");
		token_answer_clear(&token[i]);
	}
}

/* One user made all of them; each goes to another program. */
static void
tokens_of_one_user_do_not_own_each_others_leases(void **state)
{
	struct fix *f = *state;
	struct token_answer token[3];
	struct auth_identity *alice, *identity[3];
	struct auth_token found = {0};
	struct leased_err err;
	int64_t made[3], shared;
	char owner[64];
	int code;

	alice = login_peer(f, 4321, 4321, 0, &code);
	for (int i = 0; i < 3; i++) {
		/* The third is the second's child. */
		token[i] = make(f, i < 2 ? alice : identity[1], false, NULL, 600);
		identity[i] = as(f, &token[i]);
		assert_string_equal(identity[i]->entity, alice->entity);
		(void)snprintf(owner, sizeof(owner), "token:%lld", (long long)token[i].id);
		made[i] = put_lease(f, owner, alice->entity);
	}
	(void)snprintf(owner, sizeof(owner), "entity:%s", alice->entity);
	shared = put_lease(f, owner, alice->entity);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++)
			assert_int_equal(
			    owns(f, identity[i], made[j]), i == j || (i == 1 && j == 2));
		assert_true(owns(f, identity[i], shared));
		assert_true(owns(f, alice, made[i]));
		assert_int_equal(
		    auth_token_find_accessor(f->auth, token[0].accessor, &found, &err), 0);
		assert_int_equal(auth_token_is_kin(f->auth, identity[i], &found), i == 0);
		assert_true(auth_token_is_kin(f->auth, alice, &found));
		auth_token_clear(&found);
	}
	for (int i = 0; i < 3; i++) {
		auth_identity_release(identity[i]);
		token_answer_clear(&token[i]);
	}
	auth_identity_release(alice);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(an_accessor_finds_the_token_and_kin_is_told_from_strangers),
	    T(what_root_makes_has_no_entity),
	    T(tokens_of_one_user_do_not_own_each_others_leases),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
