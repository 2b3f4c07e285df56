/* Connections and mounts with leases whose records are damaged: only they can end access to those
 * accounts, so that they stay for as long as one is not disarmed and forgotten. And connections and
 * roles whose own records are. */
#include "engine/stats.h"
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

/* ---- documents that do not open ---- */

/* With the daemon stopped: what is read of it next does not open. */
static void
damage_doc(struct fix *f, const char *kind)
{
	char text[200];

	(void)snprintf(text, sizeof(text),
	    "UPDATE doc SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) ||"
	    " substr(sealed, 39) AS BLOB) WHERE kind = '%s'",
	    kind);
	fix_close(f);
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	fix_open(f);
}

static int64_t
doc_id(struct fix *f, const char *kind, const char *name)
{
	struct store_doc *doc = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int64_t id;

	assert_int_equal(store_doc_columns(store_db(f->store), kind, name, &doc, &err), 0);
	id = doc->id;
	store_doc_free(doc);
	return (id);
}

static uint64_t
quarantined(struct fix *f)
{
	struct store_health health;

	store_health_get(f->store, &health);
	return (health.quarantined);
}

static void
assert_metric(struct fix *f, const char *line)
{
	struct metrics_page *page = metrics_page_new(METRICS_OPENMETRICS);
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;
	size_t len;

	assert_non_null(page);
	engines_metrics(f->engines, page);
	assert_int_equal(metrics_page_finish(page, 0, &text, &len, &err), 0);
	metrics_page_free(page);
	if (strstr(text, line) == NULL)
		fail_msg("not in the text: %s\n%s", line, text);
	free(text);
}

/* What list and show say of why it has not ended. */
static void
assert_waits_for_a_write(struct fix *f, int64_t row)
{
	struct store_lease *lease = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	const char *text;
	json_t *shown;

	assert_int_equal(store_lease_get(store_db(f->store), row, &lease, &err), 0);
	shown = lease_describe(f->leases, lease);
	text = json_string_value(json_object_get(shown, "revoke_error"));
	assert_non_null(text);
	assert_non_null(strstr(text, "write database/config/main again"));
	json_decref(shown);
	store_lease_free(lease);
}

static void
connection_that_does_not_open_is_told_and_written_again_so_that_its_leases_end(void **state)
{
	struct fix *f = *state;
	int64_t row, id;
	int revoked = -1;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = must(f, ENGINE_READ, "creds/app", NULL)->row;
	id = doc_id(f, "connection", "1/main");
	damage_doc(f, "connection");
	lease_revoke_start(f->leases, row, 10000, "req-2", on_forgotten, &revoked);
	later(f, 60);
	assert_int_equal(rows(f), 1);
	assert_int_equal(engines_connections_down(f->engines), 1);
	assert_metric(f, "leased_connection_up{connection=\"main\",mount=\"database/\"} 0");
	assert_metric(f, "leased_connection_down_reason{connection=\"main\",mount=\"database/\","
			 "error=\"corrupt\"} 1");
	assert_metric(f, "leased_connection_overdue{connection=\"main\",mount=\"database/\"} 1");
	assert_waits_for_a_write(f, row);
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_ECORRUPT, "write database/config/main");
	refused(f, ENGINE_DELETE, "config/main", NULL, LEASED_EEXIST, "there are leases");
	/* Part of it is not enough. */
	refused(f, ENGINE_WRITE, "config/main", "{\"allowed_roles\":\"*\"}", LEASED_EINVAL,
	    "all must be written");
	assert_int_equal(quarantined(f), 1);
	assert_true(warned(must(f, ENGINE_WRITE, "config/main", CONFIG), "is replaced"));
	later(f, 60);
	assert_int_equal(doc_id(f, "connection", "1/main"), id);
	assert_int_equal(engines_connections_down(f->engines), 0);
	assert_int_equal(quarantined(f), 0);
	assert_int_equal(rows(f), 0);
	must(f, ENGINE_READ, "creds/app", NULL);
	/* And it is there after a start. */
	fix_close(f);
	fix_open(f);
	assert_int_equal(engines_connections_down(f->engines), 0);
	assert_int_equal(quarantined(f), 0);
}

static void
connection_that_is_written_again_can_be_damaged_and_written_again_once_more(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	for (int i = 0; i < 2; i++) {
		damage_doc(f, "connection");
		refused(f, ENGINE_READ, "config/main", NULL, LEASED_ECORRUPT, "does not open");
		assert_int_equal(quarantined(f), 1);
		must(f, ENGINE_WRITE, "config/main", CONFIG);
		assert_int_equal(quarantined(f), 0);
	}
}

static void
connection_that_does_not_open_can_go_when_it_has_no_leases(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	later(f, 60); /* the canary is gone */
	damage_doc(f, "connection");
	assert_int_equal(engines_connections_down(f->engines), 1);
	must(f, ENGINE_DELETE, "config/main", NULL);
	assert_int_equal(engines_connections_down(f->engines), 0);
	assert_int_equal(quarantined(f), 0);
}

static void
role_that_does_not_open_is_written_again_or_deleted(void **state)
{
	struct fix *f = *state;
	int64_t id;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	id = doc_id(f, "role", "1/app");
	damage_doc(f, "role");
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_ECORRUPT, "write database/roles/app");
	assert_int_equal(quarantined(f), 1);
	assert_true(warned(must(f, ENGINE_WRITE, "roles/app", ROLE), "is replaced"));
	assert_int_equal(doc_id(f, "role", "1/app"), id);
	assert_int_equal(quarantined(f), 0);
	must(f, ENGINE_READ, "creds/app", NULL);
	damage_doc(f, "role");
	must(f, ENGINE_DELETE, "roles/app", NULL);
	assert_int_equal(quarantined(f), 0);
}

static void
role_whose_version_does_not_open_gets_another_one(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", CONFIG);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	damage_doc(f, "rolever");
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_READ, "creds/app", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mount_stays_for_as_long_as_a_damaged_lease_is_below_it),
	    TEST(connection_can_go_when_a_damaged_lease_is_forgotten),
	    TEST(connection_that_does_not_open_is_told_and_written_again_so_that_its_leases_end),
	    TEST(connection_that_is_written_again_can_be_damaged_and_written_again_once_more),
	    TEST(connection_that_does_not_open_can_go_when_it_has_no_leases),
	    TEST(role_that_does_not_open_is_written_again_or_deleted),
	    TEST(role_whose_version_does_not_open_gets_another_one),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
