/* What is kept beside a connection (sessions of its workers, servers, second looks at accounts)
 * goes with it: nobody could do anything about it any more. */
#include "lease/private.h"
#include "store/store_private.h"
#include "unit/engine/fixture.h"

#define CONFIG                                                                                     \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"allowed_roles\":\"*"   \
	"\"}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":3600}"

static void
sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static int64_t
number(struct fix *f, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	int64_t value;

	assert_int_equal(
	    sqlite3_prepare_v2(f->store->writer_db->sqlite, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	(void)sqlite3_finalize(stmt);
	return (value);
}

#define KEPT                                                                                       \
	"SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM server) +"                  \
	" (SELECT count(*) FROM tombstone WHERE look_again > 0)"

/* Of the canary's own connection some may stay: it was a document of its own. */
#define LOOKED_AT "SELECT count(*) FROM tombstone WHERE look_again > 0 AND account LIKE '%-app-%'"

/* A connection without leases, of which something is known. */
static void
leave_traces(struct fix *f)
{
	must(f, ENGINE_WRITE, "config/main", CONFIG);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	revoke(f, must(f, ENGINE_READ, "creds/app", NULL)->row);
	sql(f, "INSERT OR IGNORE INTO session SELECT id, 'w', 's' FROM doc WHERE kind = "
	       "'connection'");
	sql(f,
	    "INSERT OR IGNORE INTO server SELECT id, 'one', 1 FROM doc WHERE kind = 'connection'");
	sql(f, "UPDATE tombstone SET look_again = 1 << 60");
	assert_true(number(f, KEPT) >= 3);
}

static void
what_is_kept_of_a_connection_goes_with_it(void **state)
{
	struct fix *f = *state;

	leave_traces(f);
	must(f, ENGINE_DELETE, "config/main", NULL);
	assert_int_equal(number(f, "SELECT count(*) FROM session WHERE worker = 'w'"), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM server"), 0);
	assert_int_equal(number(f, LOOKED_AT), 0);
}

static void
what_is_kept_of_a_connection_goes_with_its_mount(void **state)
{
	struct fix *f = *state;
	struct answer answer = {0};

	leave_traces(f);
	unmount_ask(f, "database/", &answer);
	settle(f);
	assert_int_equal(answer.code, 0);
	assert_int_equal(number(f, "SELECT count(*) FROM session WHERE worker = 'w'"), 0);
	assert_int_equal(number(f, "SELECT count(*) FROM server"), 0);
	assert_int_equal(number(f, LOOKED_AT), 0);
	mount_ask(f, "database/", "{\"type\":\"database\"}", &answer);
	settle(f);
}

/* But for that of the tokens, which is there from the start. */
static unsigned
entries_of_leases(struct fix *f)
{
	leases_tick(f->leases);
	return (HASH_COUNT(f->leases->connections) - 1);
}

static void
what_leases_keep_of_a_connection_goes_with_it_or_its_mount(void **state)
{
	struct fix *f = *state;
	struct answer answer = {0};

	leave_traces(f);
	for (unsigned i = 0; i < 5; i++) /* each by a candidate, which is a connection for a time */
		must(f, ENGINE_WRITE, "config/main", CONFIG);
	settle(f);
	assert_int_equal(entries_of_leases(f), 1);
	must(f, ENGINE_DELETE, "config/main", NULL);
	assert_int_equal(entries_of_leases(f), 0);
	leave_traces(f);
	settle(f);
	assert_int_equal(entries_of_leases(f), 1);
	unmount_ask(f, "database/", &answer);
	settle(f);
	assert_int_equal(answer.code, 0);
	assert_int_equal(entries_of_leases(f), 0);
	mount_ask(f, "database/", "{\"type\":\"database\"}", &answer);
	settle(f);
}

static void
a_start_forgets_what_is_kept_of_connections_that_are_gone(void **state)
{
	struct fix *f = *state;

	leave_traces(f);
	sql(f, "INSERT INTO session VALUES (99999, 'w', 's')");
	sql(f, "INSERT INTO server VALUES (99999, 'one', 1)");
	sql(f, "INSERT INTO tombstone VALUES (99999, 99999, 'l-x', 1, 1, x'00')");
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_int_equal(
	    number(f, "SELECT (SELECT count(*) FROM session WHERE connection = 99999) +"
		      " (SELECT count(*) FROM server WHERE connection = 99999) +"
		      " (SELECT count(*) FROM tombstone WHERE connection = 99999 AND look_again"
		      " > 0)"),
	    0);
	/* And nothing of those that are there. */
	assert_true(number(f, "SELECT count(*) FROM tombstone WHERE look_again > 0") > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_kept_of_a_connection_goes_with_it),
	    TEST(what_is_kept_of_a_connection_goes_with_its_mount),
	    TEST(what_leases_keep_of_a_connection_goes_with_it_or_its_mount),
	    TEST(a_start_forgets_what_is_kept_of_connections_that_are_gone),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
