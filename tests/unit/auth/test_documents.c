/*
 * Policies and roles as documents, while memory runs out: a write is whole or not there, and a
 * deletion is done or not.
 */
#include "unit/auth/fixture.h"

#define OLD "path \"old\" { capabilities = [\"read\"] }"
#define NEW "path \"new\" { capabilities = [\"read\", \"list\"] }"
#define OLD_ROLE "{\"bound_uids\":[7],\"policies\":[\"old\"]}"
#define NEW_ROLE "{\"bound_uids\":[7,8],\"policies\":[\"new\",\"more\"]}"

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

/* What it holds, outside the count of allocations; the caller frees it, NULL: not there. */
static char *
policy_now(struct fix *f)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	int r;

	failalloc_pause();
	r = auth_policy_get(f->auth, "p", &text, &err);
	assert_true(r == 0 || r == LEASED_ENOENT);
	failalloc_resume();
	return (r == 0 ? text : NULL);
}

static int
put_without_memory(void *arg)
{
	struct fix *f = arg;
	char *now;
	int r;

	failalloc_pause();
	assert_int_equal(put_policy(f, "p", OLD), 0);
	failalloc_resume();
	r = put_policy(f, "p", NEW);
	now = policy_now(f);
	assert_non_null(now);
	assert_string_equal(now, r == 0 ? NEW : OLD);
	free(now);
	return (r);
}

static int
delete_without_memory(void *arg)
{
	struct fix *f = arg;
	int r = 1;
	char *now;

	failalloc_pause();
	assert_int_equal(put_policy(f, "p", OLD), 0);
	failalloc_resume();
	auth_policy_delete(f->auth, "p", on_written, &r);
	settle(f);
	now = policy_now(f);
	if (r == 0)
		assert_null(now);
	else
		assert_string_equal(now, OLD);
	free(now);
	return (r);
}

static void
a_policy_is_whole_or_as_before(void **state)
{
	assert_true(failalloc_each(put_without_memory, *state) > 5);
	assert_true(failalloc_each(delete_without_memory, *state) > 3);
}

/* How many policies the stored role gives; -1: it is not there. */
static int
role_now(struct fix *f)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *role = NULL;
	int r, policies = -1;

	failalloc_pause();
	r = auth_unix_role_get(f->auth, "r", &role, &err);
	assert_true(r == 0 || r == LEASED_ENOENT);
	if (r == 0)
		policies = (int)json_array_size(json_object_get(role, "policies"));
	json_decref(role);
	failalloc_resume();
	return (policies);
}

static int
put_role_without_memory(void *arg)
{
	struct fix *f = arg;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *body, *data = NULL, *unknown = NULL;
	int r;

	failalloc_pause();
	assert_int_equal(put_role(f, "r", OLD_ROLE), 0);
	body = json_loads(NEW_ROLE, 0, NULL);
	failalloc_resume();
	if ((r = auth_unix_role_check(f->auth, "r", body, &data, &unknown, &err)) == 0) {
		auth_unix_role_put(f->auth, "r", data, on_written, &r);
		settle(f);
	}
	assert_int_equal(role_now(f), r == 0 ? 2 : 1);
	json_decref(body);
	json_decref(unknown);
	return (r);
}

static int
delete_role_without_memory(void *arg)
{
	struct fix *f = arg;
	int r = 1;

	failalloc_pause();
	assert_int_equal(put_role(f, "r", OLD_ROLE), 0);
	failalloc_resume();
	auth_unix_role_delete(f->auth, "r", on_written, &r);
	settle(f);
	assert_int_equal(role_now(f), r == 0 ? -1 : 1);
	return (r);
}

static void
a_role_is_whole_or_as_before(void **state)
{
	struct fix *f = *state;

	assert_true(failalloc_each(put_role_without_memory, f) > 10);
	assert_int_equal(put_role(f, "r", NEW_ROLE), 0);
	fix_reopen_auth(f); /* and what memory says is what the store says */
	assert_int_equal(role_now(f), 2);
	assert_true(failalloc_each(delete_role_without_memory, f) > 3);
	fix_reopen_auth(f);
	assert_int_equal(role_now(f), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_policy_is_whole_or_as_before, fix_setup, fix_teardown),
	    cmocka_unit_test_setup_teardown(a_role_is_whole_or_as_before, fix_setup, fix_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
