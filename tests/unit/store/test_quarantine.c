/*
 * Damaged rows: every changed byte is noticed, the row is moved away with what is known of its
 * account, and the others are served.
 */
#include "unit/store/fix.h"

#include "store/row.h"

static struct store_quarantined *
only_quarantined(struct fix *f)
{
	struct store_quarantine_query query = {
	    .connection = -1, .until_ms = INT64_MAX, .with_disarmed = true, .limit = 10};
	struct store_quarantined *rows = NULL;
	size_t count = 0;

	assert_int_equal(store_quarantine_list(f->db, &query, &rows, &count, NULL), 0);
	assert_int_equal(count, 1);
	return (rows);
}

/* Three rows, one damaged by text (SQL) first; the two others are served, the one is moved. */
static void
damage(struct fix *f, const char *text, int64_t expected_connection, int64_t expected_next_at)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 64};
	struct store_lease **leases = NULL, *got = NULL;
	struct store_quarantined *rows;
	int64_t first, bad;
	size_t count = 0;

	first = fix_add(f, 5, 1000, "good-1");
	bad = fix_add(f, 5, 2000, "bad");
	fix_add(f, 5, 3000, "good-2");
	fix_sql(f, text);
	assert_int_equal(store_lease_page(f->db, &query, &leases, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(leases[0]->id, first);
	assert_string_equal(leases[1]->account, "good-2");
	store_lease_page_free(leases, count);
	store_pump(f->store);
	assert_int_equal(fix_quarantined(f), 1);
	rows = only_quarantined(f);
	assert_int_equal(rows[0].id, bad);
	assert_int_equal(rows[0].connection, expected_connection);
	assert_int_equal(rows[0].next_at_ms, expected_next_at);
	assert_string_equal(rows[0].account, "bad");
	assert_false(rows[0].disarmed);
	store_quarantine_list_free(rows, 1);
	/* It is no row any more, and it is not absent either. */
	assert_int_equal(store_lease_get(f->db, bad, &got, NULL), LEASED_ECORRUPT);
	assert_int_equal(store_lease_get_account(f->db, "bad", &got, NULL), LEASED_ECORRUPT);
	assert_int_equal(store_lease_any(f->db, 5, NULL), 0);
}

static void
a_damaged_sealed_value_keeps_its_deadline_by_the_index(void **state)
{
	damage(*state,
	    "UPDATE lease SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) || substr(sealed, "
	    "39)"
	    " AS BLOB) WHERE account = 'bad'",
	    5, 2000);
}

static void
a_damaged_sealed_value_and_checksum_end_it_at_once(void **state)
{
	damage(*state,
	    "UPDATE lease SET sealed = zeroblob(80), sum = zeroblob(16) WHERE account = 'bad'", 5,
	    0);
}

static void
a_changed_deadline_is_noticed_and_the_sealed_one_holds(void **state)
{
	damage(*state, "UPDATE lease SET next_at = 99999999 WHERE account = 'bad'", 5, 2000);
}

static void
a_changed_connection_is_noticed_and_the_sealed_one_holds(void **state)
{
	damage(*state, "UPDATE lease SET connection = 6 WHERE account = 'bad'", 5, 2000);
}

static void
a_row_of_another_version_or_number_does_not_open(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = NULL;
	int64_t one = fix_add(f, 5, 1000, "one"), two = fix_add(f, 5, 1000, "two");

	(void)two;
	/* One lease's sealed value on another's row: as if it were that one. */
	fix_sql(
	    f, "UPDATE lease SET sealed = (SELECT sealed FROM lease WHERE id = 2) WHERE id = 1");
	assert_int_equal(store_lease_get(f->db, one, &lease, NULL), LEASED_ECORRUPT);
	fix_sql(f, "UPDATE lease SET version = 2 WHERE id = 2");
	assert_int_equal(store_lease_get(f->db, two, &lease, NULL), LEASED_ECORRUPT);
}

/* Every byte of the sealed value, and every index column. */
static void
every_changed_byte_is_noticed(void **state)
{
	struct fix *f = *state;
	int64_t len = 0, good = 0;
	struct store_lease *lease = NULL;
	int64_t id = fix_add(f, 5, 1000, "account");
	char text[256];

	assert_int_equal(
	    store_sql_number(f->db, "SELECT length(sealed) FROM lease", SQL_NO_ARGS, &len, NULL),
	    0);
	fix_sql(f, "CREATE TABLE kept AS SELECT * FROM lease");
	for (int64_t at = 1; at <= len; at++) {
		snprintf(text, sizeof(text),
		    "UPDATE lease SET sealed = CAST(substr(sealed, 1, %lld) ||"
		    " char((unicode(hex(substr(sealed, %lld, 1))) + 1) %% 128) ||"
		    " substr(sealed, %lld) AS BLOB)",
		    (long long)at - 1, (long long)at, (long long)at + 1);
		fix_sql(f, text);
		if (store_lease_get(f->db, id, &lease, NULL) == 0) {
			/* The byte was that already. */
			store_lease_free(lease);
			good++;
		}
		fix_sql(f, "UPDATE lease SET sealed = (SELECT sealed FROM kept)");
	}
	assert_in_range(good, 0, len / 10);
	assert_int_equal(store_lease_get(f->db, id, &lease, NULL), 0);
	store_lease_free(lease);
}

static void
the_scrub_finds_what_nobody_reads(void **state)
{
	struct fix *f = *state;
	struct store_scrub scrub = {0};
	int64_t wait_ms = 0;

	for (int i = 0; i < 200; i++)
		fix_add(f, 5, 1000, "account");
	fix_sql(f, "UPDATE lease SET sum = zeroblob(16) WHERE id = 150");
	fix_sql(f, "UPDATE lease SET sealed = zeroblob(90) WHERE id = 151");
	for (int step = 0; step < 3; step++) {
		assert_int_equal(store_scrub_step(f->db, &scrub, &wait_ms, NULL), 0);
		assert_int_equal(wait_ms, 1000);
	}
	assert_int_equal(store_scrub_step(f->db, &scrub, &wait_ms, NULL), 0);
	/* The pass is over: the next one begins half a day after this one began. */
	assert_int_equal(wait_ms, 12 * 3600 * 1000);
	store_pump(f->store);
	assert_int_equal(fix_quarantined(f), 2);
}

static void
more_bad_rows_than_a_page_do_not_hide_the_good_ones(void **state)
{
	struct fix *f = *state;
	struct store_lease_query query = {
	    .by = STORE_BY_DUE, .number = 5, .until_ms = 5000, .limit = 4};
	struct store_lease **leases = NULL;
	size_t count = 0;

	for (int i = 0; i < 20; i++)
		fix_add(f, 5, 1000 + i, "bad");
	fix_sql(f, "UPDATE lease SET sealed = zeroblob(90)");
	fix_add(f, 5, 3000, "good");
	assert_int_equal(store_lease_page(f->db, &query, &leases, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(leases[0]->account, "good");
	store_lease_page_free(leases, count);
	query = (struct store_lease_query){
	    .by = STORE_BY_PLACE, .number = 3, .text = "creds", .limit = 4};
	assert_int_equal(store_lease_page(f->db, &query, &leases, &count, NULL), 0);
	assert_int_equal(count, 1);
	store_lease_page_free(leases, count);
	store_pump(f->store);
	assert_int_equal(fix_quarantined(f), 20);
}

static int
mark_disarmed(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_quarantine_update(txn, *(int64_t *)arg, true, 0, err));
}

static int
try_later(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_quarantine_update(txn, *(int64_t *)arg, false, 7000, err));
}

static int
forget(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_quarantine_delete(txn, *(int64_t *)arg, err));
}

static void
a_quarantined_account_is_worked_off(void **state)
{
	struct fix *f = *state;
	struct store_quarantine_query due = {.connection = 5, .until_ms = 6999, .limit = 10};
	struct store_quarantined *rows = NULL;
	struct store_lease *lease = NULL;
	int64_t id = fix_add(f, 5, 1000, "account"), absent = 77;
	size_t count = 9;

	fix_sql(f, "UPDATE lease SET sealed = zeroblob(90)");
	assert_int_equal(store_lease_get(f->db, id, &lease, NULL), LEASED_ECORRUPT);
	store_pump(f->store);
	assert_int_equal(fix_write(f, try_later, &absent), LEASED_ENOENT);
	assert_int_equal(fix_write(f, try_later, &id), 0);
	assert_int_equal(store_quarantine_list(f->db, &due, &rows, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_quarantine_list_free(rows, count);
	due.until_ms = 7000;
	assert_int_equal(store_quarantine_list(f->db, &due, &rows, &count, NULL), 0);
	assert_int_equal(count, 1);
	store_quarantine_list_free(rows, count);
	assert_int_equal(fix_write(f, mark_disarmed, &id), 0);
	assert_int_equal(store_quarantine_list(f->db, &due, &rows, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_quarantine_list_free(rows, count);
	store_quarantine_list_free(only_quarantined(f), 1);
	assert_int_equal(fix_write(f, forget, &id), 0);
	assert_int_equal(fix_quarantined(f), 0);
	assert_int_equal(store_lease_get(f->db, id, &lease, NULL), LEASED_ENOENT);
}

static void
a_damaged_document_is_counted_once_and_stays(void **state)
{
	struct fix *f = *state;
	struct store_doc *got = NULL, **docs = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 9;

	fix_sql(f, "INSERT INTO doc (version, kind, name, sealed)"
		   " VALUES (1, 'role', 'app', zeroblob(60))");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_doc_get(f->db, "role", "app", &got, &err), LEASED_ECORRUPT);
		assert_non_null(strstr(err.text, "role app"));
		store_pump(f->store);
	}
	assert_int_equal(store_doc_list(f->db, "role", "", NULL, 9, &docs, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(docs);
	assert_int_equal(fix_quarantined(f), 1);
}

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(a_damaged_sealed_value_keeps_its_deadline_by_the_index),
	    FIX_TEST(a_damaged_sealed_value_and_checksum_end_it_at_once),
	    FIX_TEST(a_changed_deadline_is_noticed_and_the_sealed_one_holds),
	    FIX_TEST(a_changed_connection_is_noticed_and_the_sealed_one_holds),
	    FIX_TEST(a_row_of_another_version_or_number_does_not_open),
	    FIX_TEST(every_changed_byte_is_noticed),
	    FIX_TEST(the_scrub_finds_what_nobody_reads),
	    FIX_TEST(more_bad_rows_than_a_page_do_not_hide_the_good_ones),
	    FIX_TEST(a_quarantined_account_is_worked_off),
	    FIX_TEST(a_damaged_document_is_counted_once_and_stays),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: quarantine", tests, NULL, NULL));
}
