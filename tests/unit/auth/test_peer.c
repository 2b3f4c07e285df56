/*
 * Peers of the Unix socket: entities, roles, and the policies that they give.
 */
#include "auth/declare.h"
#include "unit/auth/fixture.h"

static bool
holds(const struct auth_identity *identity, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(identity->policies, i,
	    item) if (strcmp(json_string_value(item), name) == 0) return (true);
	return (false);
}

static void
a_user_has_one_entity_also_after_a_restart(void **state)
{
	struct fix *f = *state;
	struct auth_identity *first, *other, *again;
	int code;

	first = login_peer(f, 1001, 1001, 0, &code);
	assert_int_equal(code, 0);
	other = login_peer(f, 1002, 1001, 0, &code);
	fix_reopen_auth(f);
	again = login_peer(f, 1001, 7, 9, &code);
	assert_string_equal(first->entity, again->entity);
	assert_string_not_equal(first->entity, other->entity);
	assert_int_equal(strlen(first->entity), 36);
	assert_true(holds(first, "default"));
	assert_int_equal(json_array_size(first->policies), 1);
	auth_identity_release(first);
	auth_identity_release(other);
	auth_identity_release(again);
}

struct two {
	unsigned count;
	char entity[2][ID_UUID_SIZE];
};

static void
on_both(void *arg, int code, struct auth_identity *identity, const struct leased_err *err)
{
	struct two *two = arg;

	(void)err;
	assert_int_equal(code, 0);
	memcpy(two->entity[two->count++], identity->entity, ID_UUID_SIZE);
}

static void
two_first_requests_at_once_make_one_entity(void **state)
{
	struct fix *f = *state;
	struct http_peer peer = {.kind = HTTP_PEER_UNIX, .uid = 1003};
	struct two two = {0};

	auth_authenticate(f->auth, NULL, &peer, on_both, &two);
	auth_authenticate(f->auth, "", &peer, on_both, &two);
	settle(f);
	assert_int_equal(two.count, 2);
	assert_string_equal(two.entity[0], two.entity[1]);
}

static void
nobody_is_refused(void **state)
{
	struct fix *f = *state;
	int code;

	assert_null(login_peer(f, 65534, 65534, 0, &code));
	assert_int_equal(code, LEASED_EDENIED);
	assert_null(login_peer(f, (uid_t)-1, 0, 0, &code));
	assert_int_equal(code, LEASED_EDENIED);
}

static void
in_dev_root_and_our_own_uid_are_root_and_nobody_else(void **state)
{
	static const struct {
		uid_t uid;
		bool root;
	} cases[] = {{0, true}, {999, true}, {1000, false}, {1, false}};
	struct fix *f = *state;
	int code;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct auth_identity *identity = login_peer(f, cases[i].uid, 0, 0, &code);

		assert_int_equal(identity->root, cases[i].root);
		assert_int_equal(policy_acl_is_root(identity->acl), cases[i].root);
		assert_int_equal(identity->max_leases, 0);
		auth_identity_release(identity);
	}
}

static void
roles_between_fields_and_within_a_list_or(void **state)
{
	struct fix *f = *state;
	static const struct {
		uid_t uid;
		gid_t gid, group;
		bool a, b;
	} cases[] = {{1, 50, 0, true, true}, {2, 9, 60, true, false}, {3, 50, 60, false, true},
	    {1, 9, 0, false, false}, {4, 9, 61, false, false}};
	int code;

	assert_int_equal(put_role(f, "a",
			     "{\"bound_uids\":[1,2],\"bound_gids\":[50,60],\"policies\":[\"a\"],"
			     "\"max_leases\":9}"),
	    0);
	assert_int_equal(
	    put_role(f, "b", "{\"bound_gids\":\"50\",\"policies\":\"b\",\"max_leases\":4}"), 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct auth_identity *identity =
			    login_peer(f, cases[i].uid, cases[i].gid, cases[i].group, &code);

			assert_int_equal(holds(identity, "a"), cases[i].a);
			assert_int_equal(holds(identity, "b"), cases[i].b);
			assert_int_equal(
			    identity->max_leases, cases[i].b ? 4 : (cases[i].a ? 9 : 0));
			auth_identity_release(identity);
		}
		fix_reopen_auth(f); /* the same by what is stored */
	}
}

static void
a_role_with_units_never_matches(void **state)
{
	struct fix *f = *state;
	struct auth_identity *identity;
	int code;

	assert_int_equal(put_role(f, "unit",
			     "{\"bound_uids\":[1],\"bound_units\":[\"x.service\"],"
			     "\"policies\":[\"a\"]}"),
	    0);
	identity = login_peer(f, 1, 1, 0, &code);
	assert_false(holds(identity, "a"));
	auth_identity_release(identity);
}

static void
a_role_that_says_nothing_of_whom_it_means_is_refused(void **state)
{
	static const char *const bodies[] = {"{}", "{\"policies\":[\"a\"]}",
	    "{\"bound_uids\":[],\"bound_gids\":\"\"}", "{\"bound_units\":[\"x\"]}",
	    "{\"bound_gids\":[1],\"bound_units\":[\"x\"]}", "{\"bound_uids\":[\"root\"]}",
	    "{\"bound_uids\":[-1]}", "{\"bound_uids\":[65534]}", "{\"bound_uids\":[4294967295]}",
	    "{\"bound_uids\":[1.5]}", "{\"bound_uids\":[1],\"policies\":[\"root\"]}",
	    "{\"bound_uids\":[1],\"max_leases\":-1}", "{\"bound_uids\":{\"a\":1}}"};
	struct fix *f = *state;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_int_equal(put_role(f, "bad", bodies[i]), LEASED_EINVAL);
	assert_int_equal(put_role(f, "bad/name", "{\"bound_uids\":[1]}"), LEASED_EINVAL);
}

static void
an_update_keeps_what_it_does_not_name(void **state)
{
	struct fix *f = *state;
	json_t *role = NULL;
	struct leased_err err;

	assert_int_equal(
	    put_role(f, "r", "{\"bound_uids\":[1],\"policies\":[\"a\"],\"max_leases\":3}"), 0);
	assert_int_equal(put_role(f, "r", "{\"max_leases\":5}"), 0);
	assert_int_equal(auth_unix_role_get(f->auth, "r", &role, &err), 0);
	assert_int_equal(json_integer_value(json_object_get(role, "max_leases")), 5);
	assert_int_equal(json_array_size(json_object_get(role, "bound_uids")), 1);
	assert_int_equal(json_array_size(json_object_get(role, "policies")), 1);
	json_decref(role);
}

static void
what_is_declared_cannot_be_changed_over_the_api(void **state)
{
	struct fix *f = *state;
	json_t *body = json_pack("{s:[i], s:[s]}", "bound_uids", 1, "policies", "fixed");
	struct leased_err err = LEASED_ERR_INIT;
	struct auth_declared *declared = NULL;
	struct auth_identity *identity;
	int code;

	assert_int_equal(auth_declared_new(&declared, &err), 0);
	assert_int_equal(auth_declared_unix_role(declared, "fixed", body, &err), 0);
	assert_int_equal(auth_declared_policy(declared, "fixed",
			     "path \"sys/mounts\" { capabilities = [\"read\"] }", &err),
	    0);
	auth_declared_apply(f->auth, declared);
	assert_int_equal(put_role(f, "fixed", "{\"bound_uids\":[2]}"), LEASED_EINVAL);
	assert_int_equal(
	    put_policy(f, "fixed", "path \"a\" { capabilities = [\"read\"] }"), LEASED_EINVAL);
	identity = login_peer(f, 1, 1, 0, &code);
	assert_true(policy_acl_allows(identity->acl, "sys/mounts", POLICY_READ));
	auth_identity_release(identity);
	json_decref(body);
}

/* Declares a role and a policy of this name for uid, alone. */
static void
declare(struct fix *f, const char *name, int uid)
{
	json_t *body = json_pack("{s:[i], s:[s]}", "bound_uids", uid, "policies", name);
	struct auth_declared *declared = NULL;
	struct leased_err err;
	char text[100];

	(void)snprintf(text, sizeof(text), "path \"%s\" { capabilities = [\"read\"] }", name);
	assert_int_equal(auth_declared_new(&declared, &err), 0);
	assert_int_equal(auth_declared_policy(declared, name, text, &err), 0);
	assert_int_equal(auth_declared_policy(declared, name, text, &err), LEASED_EEXIST);
	assert_int_equal(auth_declared_unix_role(declared, name, body, &err), 0);
	auth_declared_apply(f->auth, declared);
	json_decref(body);
}

static bool
may(struct fix *f, uid_t uid, const char *path)
{
	struct auth_identity *identity;
	bool allowed;
	int code;

	identity = login_peer(f, uid, uid, 0, &code);
	allowed = policy_acl_allows(identity->acl, path, POLICY_READ);
	auth_identity_release(identity);
	return (allowed);
}

static void
another_file_takes_the_place_of_what_was_declared(void **state)
{
	struct fix *f = *state;
	struct auth_identity *held;
	int code;

	assert_int_equal(put_role(f, "one", "{\"bound_uids\":[7],\"policies\":[\"stored\"]}"), 0);
	assert_int_equal(put_policy(f, "stored", "path \"s\" { capabilities = [\"read\"] }"), 0);
	assert_true(may(f, 7, "s"));
	declare(f, "one", 1);
	assert_true(may(f, 1, "one"));
	assert_false(may(f, 7, "s")); /* hidden by the file's */
	held = login_peer(f, 1, 1, 0, &code);
	declare(f, "two", 1);
	assert_true(policy_acl_allows(held->acl, "one", POLICY_READ)); /* a request in flight */
	assert_false(may(f, 1, "one"));
	assert_true(may(f, 1, "two"));
	assert_true(may(f, 7, "s"));
	assert_int_equal(put_role(f, "one", "{\"bound_uids\":[8]}"), 0);
	auth_identity_release(held);
	declare(f, "one", 1);
	assert_false(may(f, 8, "s"));
	declare(f, "two", 1);
	assert_true(may(f, 8, "s")); /* from memory, as it was written last */
}

static int
declare_without_memory(void *arg)
{
	struct fix *f = arg;
	json_t *body = json_pack("{s:[i], s:[s]}", "bound_uids", 9, "policies", "mem");
	struct auth_declared *declared = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r = body != NULL ? auth_declared_new(&declared, &err) : LEASED_ENOMEM;

	if (r == 0)
		r = auth_declared_policy(
		    declared, "mem", "path \"m\" { capabilities = [\"read\"] }", &err);
	if (r == 0)
		r = auth_declared_unix_role(declared, "mem", body, &err);
	if (r == 0)
		auth_declared_apply(f->auth, declared);
	else
		auth_declared_free(declared);
	json_decref(body);
	return (r);
}

static void
a_file_for_which_memory_runs_out_changes_nothing(void **state)
{
	struct fix *f = *state;

	declare(f, "before", 1);
	assert_true(failalloc_each(declare_without_memory, f) > 5);
	assert_false(may(f, 1, "before"));
	assert_true(may(f, 9, "m"));
}

static void
a_write_of_a_policy_holds_for_the_next_request(void **state)
{
	struct fix *f = *state;
	struct auth_identity *before, *after;
	int code;

	assert_int_equal(put_role(f, "r", "{\"bound_uids\":[1],\"policies\":[\"p\"]}"), 0);
	assert_int_equal(put_policy(f, "p", "path \"x\" { capabilities = [\"read\"] }"), 0);
	before = login_peer(f, 1, 1, 0, &code);
	assert_true(policy_acl_allows(before->acl, "x", POLICY_READ));
	assert_int_equal(put_policy(f, "p", "path \"x\" { capabilities = [\"deny\"] }"), 0);
	after = login_peer(f, 1, 1, 0, &code);
	assert_false(policy_acl_allows(after->acl, "x", POLICY_READ));
	auth_identity_release(before);
	auth_identity_release(after);
}

static int
login_without_memory(void *arg)
{
	static uid_t uid = 5000;
	struct auth_identity *identity;
	int code;

	auth_identity_release(identity = login_peer(arg, uid, 1, 2, &code));
	if (code == 0)
		uid++;
	return (code);
}

static void
running_out_of_memory_denies_and_nothing_else(void **state)
{
	assert_true(failalloc_each(login_without_memory, *state) > 5);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_user_has_one_entity_also_after_a_restart),
	    T(two_first_requests_at_once_make_one_entity),
	    T(nobody_is_refused),
	    T(in_dev_root_and_our_own_uid_are_root_and_nobody_else),
	    T(roles_between_fields_and_within_a_list_or),
	    T(a_role_with_units_never_matches),
	    T(a_role_that_says_nothing_of_whom_it_means_is_refused),
	    T(an_update_keeps_what_it_does_not_name),
	    T(what_is_declared_cannot_be_changed_over_the_api),
	    T(another_file_takes_the_place_of_what_was_declared),
	    T(a_file_for_which_memory_runs_out_changes_nothing),
	    T(a_write_of_a_policy_holds_for_the_next_request),
	    T(running_out_of_memory_denies_and_nothing_else),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
