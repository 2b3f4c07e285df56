/* Lack of memory at any place of a request: it is answered once, with no_memory or what follows
 * from it, and what holds afterwards is whole. */
#include "unit/engine/fixture.h"

#define GOOD                                                                                       \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"usrname\":\"x\","      \
	"\"connection_url\":\"postgresql://u:p@h/d\",\"allowed_roles\":[\"a\",\"app\"]}"
#define ROLE                                                                                       \
	"{\"db_name\":\"main\",\"grant_roles\":[\"app\",\"b\"],\"default_ttl\":60,"                \
	"\"revocation_statements\":[\"DROP ROLE {{name}}\"]}"

/* Does it with the n-th allocation failing, for every n until none fails; check looks afterwards.
 */
static void
each(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    void (*check)(struct fix *f, const struct answer *answer))
{
	struct answer answer;
	unsigned long n;
	bool failed = true;

	for (n = 1; failed; n++) {
		failalloc_arm(n);
		start(f, operation, path, body, &answer);
		settle(f);
		failed = failalloc_disarm();
		later(f, 2);
		if (answer.count == 0)
			later(f, 70);
		if (answer.count != 1)
			fail_msg("%s: allocation %lu: answered %u times", path, n, answer.count);
		if (!failed && answer.code != 0)
			fail_msg("%s: %s", path, answer.err.text);
		check(f, &answer);
		answer_clear(&answer);
		if (n > 3000)
			fail_msg("%s: still allocating", path);
	}
	assert_true(n > 10);
}

static void
check_config(struct fix *f, const struct answer *answer)
{
	struct answer *now = ask(f, ENGINE_READ, "config/main", NULL);

	if (answer->code == 0 && now->data == NULL)
		fail_msg("it was said to hold and is not there");
	if (now->data != NULL)
		assert_int_equal(json_array_size(json_object_get(now->data, "allowed_roles")), 2);
}

static void
check_role(struct fix *f, const struct answer *answer)
{
	struct answer *now = ask(f, ENGINE_READ, "roles/app", NULL);

	if (answer->code == 0 && now->data == NULL)
		fail_msg("it was said to hold and is not there");
	if (now->data == NULL)
		return;
	assert_int_equal(json_array_size(json_object_get(now->data, "grant_roles")), 2);
	assert_int_equal(json_array_size(json_object_get(now->data, "revocation_statements")), 1);
}

static void
check_creds(struct fix *f, const struct answer *answer)
{
	if (answer->code == 0) {
		assert_non_null(json_object_get(answer->data, "password"));
		revoke(f, answer->row);
	}
	later(f, 130);
	assert_int_equal(rows(f), 0);
	assert_int_equal(fake_port_account_count(last_port(f)), 0);
}

static void
check_read(struct fix *f, const struct answer *answer)
{
	(void)f;
	if (answer->code == 0)
		assert_non_null(answer->data); /* never "not found" */
}

static void
a_config_write_is_whole_or_not_there(void **state)
{
	each(*state, ENGINE_WRITE, "config/main", GOOD, check_config);
}

static void
a_role_write_is_whole_or_not_there(void **state)
{
	must(*state, ENGINE_WRITE, "config/main", GOOD);
	each(*state, ENGINE_WRITE, "roles/app", ROLE, check_role);
}

static void
a_credential_is_whole_or_leaves_nothing(void **state)
{
	must(*state, ENGINE_WRITE, "config/main", GOOD);
	must(*state, ENGINE_WRITE, "roles/app", ROLE);
	each(*state, ENGINE_READ, "creds/app", NULL, check_creds);
}

static void
a_read_is_never_not_found_for_lack_of_memory(void **state)
{
	must(*state, ENGINE_WRITE, "config/main", GOOD);
	must(*state, ENGINE_WRITE, "roles/app", ROLE);
	each(*state, ENGINE_READ, "config/main", NULL, check_read);
	each(*state, ENGINE_READ, "roles/app", NULL, check_read);
	each(*state, ENGINE_LIST, "roles", NULL, check_read);
}

/* Gone when it was said so, whole otherwise; there again for the next. */
static void
check_delete(struct fix *f, const struct answer *answer)
{
	bool gone = answer->code == 0;

	for (unsigned i = 0; i < 2; i++) {
		const char *path = i == 0 ? "config/main" : "roles/app";
		struct answer *now = ask(f, ENGINE_READ, path, NULL);

		if (!gone && now->data == NULL)
			fail_msg(
			    "%s is gone though its deletion failed: %s", path, answer->err.text);
	}
	if (!gone)
		return;
	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
}

static void
a_deletion_is_done_or_not(void **state)
{
	must(*state, ENGINE_WRITE, "config/main", GOOD);
	must(*state, ENGINE_WRITE, "roles/app", ROLE);
	each(*state, ENGINE_DELETE, "roles/app", NULL, check_delete);
	each(*state, ENGINE_DELETE, "config/main", NULL, check_delete);
}

/* A mount with a lease in it, and the n-th allocation of its end fails; false: none did. */
static bool
unmount_nth(struct fix *f, unsigned long n)
{
	struct answer answer;
	bool failed;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_READ, "creds/app", NULL);
	failalloc_arm(n);
	unmount_ask(f, "database/", &answer);
	settle(f);
	failed = failalloc_disarm();
	for (unsigned i = 0; i < 20 && answer.count == 0; i++)
		later(f, 10);
	if (answer.count != 1)
		fail_msg("allocation %lu: answered %u times", n, answer.count);
	if (answer.code != 0 && !failed)
		fail_msg("%s", answer.err.text);
	if (answer.code != 0) {
		assert_non_null(ask(f, ENGINE_READ, "config/main", NULL)->data);
		unmount_ask(f, "database/", &answer); /* nothing stands in the way of the next */
		for (unsigned i = 0; i < 20 && answer.count == 0; i++)
			later(f, 10);
		if (answer.code != 0)
			fail_msg("behind allocation %lu: %s", n, answer.err.text);
	}
	assert_int_equal(rows(f), 0);
	assert_int_equal(docs(f, "connection"), 0);
	mount_ask(f, "database/", "{\"type\":\"database\"}", &answer);
	settle(f);
	assert_int_equal(answer.code, 0);
	return (failed);
}

static void
an_unmount_is_done_or_can_be_asked_for_again(void **state)
{
	unsigned long n = 1;

	while (unmount_nth(*state, n))
		assert_true(++n < 1500);
	assert_true(n > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	    T(a_config_write_is_whole_or_not_there),
	    T(a_role_write_is_whole_or_not_there),
	    T(a_credential_is_whole_or_leaves_nothing),
	    T(a_deletion_is_done_or_not),
	    T(an_unmount_is_done_or_can_be_asked_for_again),
	    T(a_read_is_never_not_found_for_lack_of_memory),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
