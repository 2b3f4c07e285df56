/* Connections and mounts with leases whose records are damaged: only they can end access to those
 * accounts, so that they stay for as long as one is not disarmed and forgotten. */
#include "store/store_private.h"
#include "unit/engine/fixture.h"

#define CONFIG                                                                                     \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"allowed_roles\":\"*"   \
	"\"}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":3600}"

static void
on_forgotten(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = (int)state;
}

static int
forget(struct fix *f, int64_t row)
{
	struct lease_actor root = {"root", ""};
	int state = -1;

	lease_damaged_forget(f->leases, row, &root, on_forgotten, &state);
	settle(f);
	return (state);
}

static void
access_ends(struct fix *f, int64_t row)
{
	int state = -1;

	lease_revoke_start(f->leases, row, 10000, "req-2", on_forgotten, &state);
	later(f, 5);
	assert_int_equal(state, LEASE_REVOKE_DISARMED);
}

static int64_t
damaged_lease(struct fix *f)
{
	int64_t row;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = must(f, ENGINE_READ, "creds/app", NULL)->row;
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite,
		"UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) ||"
		" substr(sealed, 39) AS BLOB)",
		NULL, NULL, NULL),
	    SQLITE_OK);
	return (row);
}

static void
mount_stays_for_as_long_as_a_damaged_lease_is_below_it(void **state)
{
	struct fix *f = *state;
	struct answer unmounted = {0};
	int64_t row = damaged_lease(f);

	unmount_ask(f, "database/", &unmounted);
	later(f, 70);
	assert_int_equal(unmounted.count, 1);
	assert_int_equal(unmounted.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(unmounted.err.text, "damaged"));
	assert_int_equal(docs(f, "connection"), 1);
	/* And access has ended. */
	assert_int_equal(forget(f, row), LEASE_REVOKE_DISARMED);
	unmount_ask(f, "database/", &unmounted);
	later(f, 70);
	assert_int_equal(unmounted.code, 0);
	assert_int_equal(docs(f, "connection"), 0);
	mount_ask(f, "database/", "{\"type\":\"database\"}", &unmounted);
	settle(f);
}

static void
connection_can_go_when_a_damaged_lease_is_forgotten(void **state)
{
	struct fix *f = *state;
	int64_t row = damaged_lease(f);

	access_ends(f, row);
	refused(f, ENGINE_DELETE, "config/main", NULL, LEASED_EEXIST, "type=irrevocable");
	assert_int_equal(forget(f, row), LEASE_REVOKE_DISARMED);
	must(f, ENGINE_DELETE, "config/main", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mount_stays_for_as_long_as_a_damaged_lease_is_below_it),
	    TEST(connection_can_go_when_a_damaged_lease_is_forgotten),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
