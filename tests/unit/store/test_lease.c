/*
 * Lease rows and tombstones: what is written comes back, versions, and every page's question.
 */
#include "unit/store/fix.h"

static void
an_inserted_lease_comes_back_whole(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1000, "l-abc-app-1"), *got = NULL;

	lease->revoke = lease->late = true;
	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	assert_int_equal(lease->id, 1);
	assert_int_equal(lease->version, 1);
	assert_int_equal(store_lease_get(f->db, 1, &got, NULL), 0);
	assert_int_equal(got->id, 1);
	assert_int_equal(got->version, 1);
	assert_int_equal(got->state, STORE_LEASE_INTENT);
	assert_int_equal(got->kind, STORE_LEASE_CREDENTIAL);
	assert_int_equal(got->connection, 5);
	assert_int_equal(got->mount, 3);
	assert_int_equal(got->next_at_ms, 1000);
	assert_true(got->revoke);
	assert_false(got->stuck);
	assert_true(got->late);
	assert_string_equal(got->random, "0123456789abcdef");
	assert_string_equal(got->place, "creds/app");
	assert_string_equal(got->account, "l-abc-app-1");
	assert_string_equal(got->owner, "entity:7");
	assert_true(json_equal(got->data, lease->data));
	store_lease_free(got);
	got = NULL;
	assert_int_equal(store_lease_get_account(f->db, "l-abc-app-1", &got, NULL), 0);
	assert_int_equal(got->id, 1);
	store_lease_free(got);
	store_lease_free(lease);
}

static void
the_random_part_is_not_readable_in_the_file(void **state)
{
	struct fix *f = *state;
	int64_t found = -1;

	fix_add(f, 5, 1000, "l-abc-app-1");
	assert_int_equal(
	    store_sql_number(f->db,
		"SELECT count(*) FROM lease WHERE instr(hex(sealed), hex('abcdef')) > 0",
		SQL_NO_ARGS, &found, NULL),
	    0);
	assert_int_equal(found, 0);
}

static void
an_absent_lease_is_ENOENT(void **state)
{
	struct fix *f = *state;
	struct store_lease *got = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	assert_int_equal(store_lease_get(f->db, 4711, &got, &err), LEASED_ENOENT);
	assert_null(got);
	assert_non_null(strstr(err.text, "4711"));
	assert_int_equal(store_lease_get_account(f->db, "x", &got, &err), LEASED_ENOENT);
	/* "" is no account: rows without one are not found by it. */
	fix_add(f, 1, 1, "");
	assert_int_equal(store_lease_get_account(f->db, "", &got, &err), LEASED_ENOENT);
}

static void
an_update_of_an_old_version_is_a_conflict(void **state)
{
	struct fix *f = *state;
	struct store_lease *mine = NULL, *theirs = NULL, *got = NULL;
	int64_t id = fix_add(f, 5, 1000, "a");

	assert_int_equal(store_lease_get(f->db, id, &mine, NULL), 0);
	assert_int_equal(store_lease_get(f->db, id, &theirs, NULL), 0);
	theirs->state = STORE_LEASE_LIVE;
	theirs->next_at_ms = 2000;
	assert_int_equal(fix_write(f, fix_lease_update, theirs), 0);
	assert_int_equal(theirs->version, 2);
	mine->stuck = true;
	assert_int_equal(fix_write(f, fix_lease_update, mine), LEASED_ECONFLICT);
	assert_int_equal(mine->version, 1);
	assert_int_equal(store_lease_get(f->db, id, &got, NULL), 0);
	assert_int_equal(got->version, 2);
	assert_int_equal(got->state, STORE_LEASE_LIVE);
	assert_int_equal(got->next_at_ms, 2000);
	assert_false(got->stuck);
	store_lease_free(got);
	store_lease_free(mine);
	store_lease_free(theirs);
}

static void
every_field_can_be_updated(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = NULL, *got = NULL;
	int64_t id = fix_add(f, 5, 1000, "old");

	assert_int_equal(store_lease_get(f->db, id, &lease, NULL), 0);
	free(lease->account);
	lease->account = strdup("new");
	free(lease->owner);
	lease->owner = strdup("token:9");
	free(lease->place);
	lease->place = strdup("creds/b");
	lease->connection = 6;
	lease->mount = 4;
	lease->kind = STORE_LEASE_CANARY;
	assert_int_equal(fix_write(f, fix_lease_update, lease), 0);
	assert_int_equal(store_lease_get_account(f->db, "new", &got, NULL), 0);
	assert_int_equal(got->connection, 6);
	assert_int_equal(got->mount, 4);
	assert_int_equal(got->kind, STORE_LEASE_CANARY);
	assert_string_equal(got->owner, "token:9");
	assert_string_equal(got->place, "creds/b");
	store_lease_free(got);
	store_lease_free(lease);
	assert_int_equal(store_lease_get_account(f->db, "old", &got, NULL), LEASED_ENOENT);
}

static int
next_then_insert(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_lease *lease = arg;
	int64_t told = store_next_lease_id(txn);
	int r = store_lease_insert(txn, lease, err);

	if (r == 0)
		assert_int_equal(lease->id, told);
	return (r);
}

static int
delete_plain(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_delete(txn, arg, NULL, 0, 0, err));
}

static void
a_lease_number_is_never_used_again(void **state)
{
	struct fix *f = *state;
	struct store_lease *first = fix_lease(1, 1, "a"), *second = fix_lease(1, 1, "b");

	assert_int_equal(fix_write(f, next_then_insert, first), 0);
	assert_int_equal(fix_write(f, delete_plain, first), 0);
	assert_int_equal(fix_write(f, next_then_insert, second), 0);
	assert_int_equal(second->id, first->id + 1);
	store_lease_free(first);
	store_lease_free(second);
}

static void
accounts_are_listed_by_their_bytes_without_opening_a_row(void **state)
{
	struct fix *f = *state;
	struct store_account accounts[STORE_ACCOUNTS_PAGE];
	char name[32], long_name[300];
	size_t count = 0;
	int64_t high = -1;

	assert_int_equal(store_lease_high(f->db, &high, NULL), 0);
	assert_int_equal(high, 0);
	memset(long_name, 'b', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	(void)fix_add(f, 5, 1, "b-2");
	(void)fix_add(f, 6, 1, "b-1");
	(void)fix_add(f, 5, 1, "b.1");
	(void)fix_add(f, 5, 1, "B-1");
	(void)fix_add(f, 5, 1, long_name);
	fix_sql(f, "UPDATE lease SET sealed = x'00'");
	assert_int_equal(store_account_page(f->db, "b-", "b.", accounts, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(accounts[0].account, "b-1");
	assert_int_equal(accounts[0].connection, 6);
	assert_string_equal(accounts[1].account, "b-2");
	assert_int_equal(store_account_page(f->db, "b-1", "b-2", accounts, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(accounts[0].id, 1);
	assert_int_equal(store_account_page(f->db, "b", "c", accounts, &count, NULL), 0);
	assert_int_equal(count, 3); /* a name that is too long for one of ours is none */
	for (unsigned i = 0; i < STORE_ACCOUNTS_PAGE + 10; i++) {
		(void)snprintf(name, sizeof(name), "d-%04u", i);
		(void)fix_add(f, 5, 1, name);
	}
	assert_int_equal(store_account_page(f->db, "d-", "d.", accounts, &count, NULL), 0);
	assert_int_equal(count, STORE_ACCOUNTS_PAGE);
	assert_int_equal(
	    store_account_page(f->db, accounts[count - 1].account, "d.", accounts, &count, NULL),
	    0);
	assert_int_equal(count, 10);
	assert_int_equal(store_lease_high(f->db, &high, NULL), 0);
	assert_int_equal(high, STORE_ACCOUNTS_PAGE + 15);
	assert_int_equal(fix_quarantined(f), 0);
}

static int
delete_with_tombstone(struct store_txn *txn, void *arg, struct leased_err *err)
{
	json_t *data = json_pack("{s:s}", "why", "expired");
	int r = store_lease_delete(txn, arg, data, 5000, 6000, err);

	json_decref(data);
	return (r);
}

static int
looked(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_tombstone_looked(txn, *(int64_t *)arg, 0, err));
}

static int
purge(struct store_txn *txn, void *arg, struct leased_err *err)
{
	unsigned purged = 0;

	return (store_tombstone_purge(txn, *(int64_t *)arg, 10, &purged, err));
}

static void
a_tombstone_tells_how_the_lease_ended_and_is_looked_at_once_more(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1, "acc"), *got = NULL;
	struct store_tombstone *tombstone = NULL, **due = NULL;
	int64_t later = 100000, id;
	size_t count = 9;

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	id = lease->id;
	lease->version = 7;
	assert_int_equal(fix_write(f, delete_with_tombstone, lease), LEASED_ECONFLICT);
	assert_int_equal(store_tombstone_get(f->db, id, &tombstone, NULL), LEASED_ENOENT);
	lease->version = 1;
	assert_int_equal(fix_write(f, delete_with_tombstone, lease), 0);
	assert_int_equal(store_lease_get(f->db, id, &got, NULL), LEASED_ENOENT);
	assert_int_equal(store_tombstone_get(f->db, id, &tombstone, NULL), 0);
	assert_string_equal(tombstone->account, "acc");
	assert_int_equal(tombstone->connection, 5);
	assert_int_equal(tombstone->ended_ms, 5000);
	assert_int_equal(tombstone->look_again_ms, 6000);
	assert_string_equal(json_string_value(json_object_get(tombstone->data, "why")), "expired");
	store_tombstone_free(tombstone);
	assert_int_equal(store_tombstone_get_account(f->db, "acc", &tombstone, NULL), 0);
	assert_int_equal(tombstone->id, id);
	store_tombstone_free(tombstone);
	assert_int_equal(store_tombstone_get_account(f->db, "ac", &tombstone, NULL), LEASED_ENOENT);

	assert_int_equal(store_tombstone_due(f->db, 5, 5999, 10, &due, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(due);
	assert_int_equal(store_tombstone_due(f->db, 5, 6000, 10, &due, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(due[0]->id, id);
	store_tombstone_free(due[0]);
	free(due);
	assert_int_equal(store_tombstone_due(f->db, 6, 6000, 10, &due, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(due);
	/* One that is still to be looked at survives the purge. */
	assert_int_equal(fix_write(f, purge, &later), 0);
	assert_int_equal(store_tombstone_get(f->db, id, &tombstone, NULL), 0);
	store_tombstone_free(tombstone);
	assert_int_equal(fix_write(f, looked, &id), 0);
	assert_int_equal(store_tombstone_due(f->db, 5, 6000, 10, &due, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(due);
	assert_int_equal(fix_write(f, purge, &later), 0);
	assert_int_equal(store_tombstone_get(f->db, id, &tombstone, NULL), LEASED_ENOENT);
	store_lease_free(lease);
}

/* The ids of a page as text, "1 3 4". */
static void
page_is(struct fix *f, struct store_lease_query query, const char *expected)
{
	struct store_lease **leases = NULL;
	char text[256] = "";
	size_t count = 0, len = 0;

	if (query.limit == 0)
		query.limit = 64;
	assert_int_equal(store_lease_page(f->db, &query, &leases, &count, NULL), 0);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lld", i > 0 ? " " : "",
		    (long long)leases[i]->id);
	assert_string_equal(text, expected);
	store_lease_page_free(leases, count);
}

static void
due_rows_come_by_time_and_go_on_behind_a_row(void **state)
{
	struct fix *f = *state;
	const int64_t times[] = {30, 10, 20, 10, 40};
	int64_t at = 0;

	for (size_t i = 0; i < 5; i++)
		fix_add(f, 5, times[i], "a");
	fix_add(f, 6, 1, "other connection");
	page_is(f, (struct store_lease_query){.by = STORE_BY_DUE, .number = 5, .until_ms = 30},
	    "2 4 3 1");
	page_is(f,
	    (struct store_lease_query){.by = STORE_BY_DUE, .number = 5, .until_ms = 30, .limit = 2},
	    "2 4");
	page_is(f,
	    (struct store_lease_query){
		.by = STORE_BY_DUE, .number = 5, .until_ms = 30, .from_ms = 10, .after = 2},
	    "4 3 1");
	page_is(f,
	    (struct store_lease_query){
		.by = STORE_BY_DUE, .number = 5, .until_ms = 30, .from_ms = 20, .after = 3},
	    "1");
	page_is(f, (struct store_lease_query){.by = STORE_BY_DUE, .number = 5, .until_ms = 9}, "");
	assert_int_equal(store_lease_next_at(f->db, 5, &at, NULL), 0);
	assert_int_equal(at, 10);
	assert_int_equal(store_lease_next_at(f->db, 7, &at, NULL), LEASED_ENOENT);
}

static int64_t
add_at(struct fix *f, int64_t mount, const char *place)
{
	struct store_lease *lease = fix_lease(1, 1, "a");
	int64_t id;

	lease->mount = mount;
	free(lease->place);
	lease->place = strdup(place);
	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	id = lease->id;
	store_lease_free(lease);
	return (id);
}

static void
what_is_late_is_found_page_by_page_without_opening_it(void **state)
{
	struct fix *f = *state;
	struct store_late late = {
	    .connection = 5, .until_ms = 75000, .limit = 2, .from_ms = 1000, .after = INT64_MAX};
	int64_t due = 0, ids[6], seen[6];
	size_t count = 0;
	bool more = true;

	for (int i = 0; i < 6; i++)
		ids[i] = fix_add(f, 5, i < 2 ? 1000 : 60000, "");
	(void)fix_add(f, 5, 75001, "");
	(void)fix_add(f, 6, 60000, "");
	fix_sql(f, "UPDATE lease SET flags = 4 WHERE id IN (3, 6)");
	fix_sql(f, "UPDATE lease SET state = 3 WHERE id IN (1, 4)");
	assert_int_equal(store_lease_due_count(f->db, 5, 1000, &due, NULL), 0);
	assert_int_equal(due, 2);
	while (more) {
		assert_int_equal(store_lease_late_page(f->db, &late, &more, NULL), 0);
		for (size_t i = 0; i < late.ids_count && count < 6; i++)
			seen[count++] = late.ids[i];
	}
	assert_int_equal(late.count, 3);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(seen[i], ids[i == 0 ? 2 : i == 1 ? 3 : 5]);
	assert_int_equal(fix_quarantined(f), 0);
}

static void
a_place_holds_itself_and_what_is_below_it_in_order_of_numbers(void **state)
{
	struct fix *f = *state;

	add_at(f, 3, "creds/b");      /* 1 */
	add_at(f, 3, "creds/a");      /* 2 */
	add_at(f, 3, "creds/a/deep"); /* 3 */
	add_at(f, 3, "creds/ab");     /* 4 */
	add_at(f, 4, "creds/a");      /* 5 */
	add_at(f, 3, "creds/a");      /* 6 */
	add_at(f, 3, "creds/b");      /* 7 */
	add_at(f, 3, "creds-x");      /* 8 */
	add_at(f, 3, "creds");        /* 9 */
	page_is(f, (struct store_lease_query){.by = STORE_BY_PLACE, .number = 3, .text = "creds/a"},
	    "2 3 6");
	page_is(f, (struct store_lease_query){.by = STORE_BY_PLACE, .number = 3, .text = "creds"},
	    "1 2 3 4 6 7 9");
	page_is(f, (struct store_lease_query){.by = STORE_BY_PLACE, .number = 3, .text = ""},
	    "1 2 3 4 6 7 8 9");
	page_is(f,
	    (struct store_lease_query){
		.by = STORE_BY_PLACE, .number = 3, .text = "creds", .limit = 3},
	    "1 2 3");
	page_is(f,
	    (struct store_lease_query){
		.by = STORE_BY_PLACE, .number = 3, .text = "creds", .after = 3, .limit = 2},
	    "4 6");
	page_is(f,
	    (struct store_lease_query){
		.by = STORE_BY_PLACE, .number = 3, .text = "creds", .after = 3, .at_most = 6},
	    "4 6");
	page_is(f, (struct store_lease_query){.by = STORE_BY_PLACE, .number = 9, .text = ""}, "");
}

static void
pages_by_owner_and_by_number(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(1, 1, "a");

	fix_add(f, 1, 1, "a");
	free(lease->owner);
	lease->owner = strdup("token:4");
	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	store_lease_free(lease);
	fix_add(f, 2, 1, "b");
	page_is(f, (struct store_lease_query){.by = STORE_BY_OWNER, .text = "entity:7"}, "1 3");
	page_is(f, (struct store_lease_query){.by = STORE_BY_OWNER, .text = "entity:7", .after = 1},
	    "3");
	page_is(f, (struct store_lease_query){.by = STORE_BY_OWNER, .text = "token:4"}, "2");
	page_is(f, (struct store_lease_query){.by = STORE_BY_OWNER, .text = "token:44"}, "");
	page_is(f, (struct store_lease_query){.by = STORE_BY_ID, .after = 1}, "2 3");
	page_is(f, (struct store_lease_query){.by = STORE_BY_ID, .at_most = 2}, "1 2");
	page_is(f, (struct store_lease_query){.by = STORE_BY_ID, .limit = 1}, "1");
}

static void
connections_with_rows_are_listed(void **state)
{
	struct fix *f = *state;
	int64_t *connections = NULL;
	size_t count = 0;

	fix_add(f, 9, 1, "a");
	fix_add(f, 0, 1, "");
	fix_add(f, 9, 1, "b");
	assert_int_equal(store_lease_connections(f->db, &connections, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(connections[0], 0);
	assert_int_equal(connections[1], 9);
	free(connections);
	assert_int_equal(store_lease_any(f->db, 9, NULL), 0);
	assert_int_equal(store_lease_any(f->db, 8, NULL), LEASED_ENOENT);
}

static void
text_that_is_not_utf8_is_refused(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(1, 1, "\xff\xfe");

	assert_int_equal(fix_write(f, fix_lease_insert, lease), LEASED_EINVAL);
	assert_int_equal(lease->id, 0);
	store_lease_free(lease);
}

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(an_inserted_lease_comes_back_whole),
	    FIX_TEST(the_random_part_is_not_readable_in_the_file),
	    FIX_TEST(an_absent_lease_is_ENOENT),
	    FIX_TEST(an_update_of_an_old_version_is_a_conflict),
	    FIX_TEST(every_field_can_be_updated),
	    FIX_TEST(a_lease_number_is_never_used_again),
	    FIX_TEST(accounts_are_listed_by_their_bytes_without_opening_a_row),
	    FIX_TEST(a_tombstone_tells_how_the_lease_ended_and_is_looked_at_once_more),
	    FIX_TEST(due_rows_come_by_time_and_go_on_behind_a_row),
	    FIX_TEST(what_is_late_is_found_page_by_page_without_opening_it),
	    FIX_TEST(a_place_holds_itself_and_what_is_below_it_in_order_of_numbers),
	    FIX_TEST(pages_by_owner_and_by_number),
	    FIX_TEST(connections_with_rows_are_listed),
	    FIX_TEST(text_that_is_not_utf8_is_refused),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: leases", tests, NULL, NULL));
}
