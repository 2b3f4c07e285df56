/*
 * Lists of leases: what is listed, and that a directory costs no reading of all that is in it.
 */
#include "store/store_private.h"
#include "unit/api/edge.h"

static void
sql(struct edge *edge, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(edge->fix->store->writer_db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static void
assert_listed(struct edge *edge, const char *path, const char *keys)
{
	struct ask ask = {.method = HTTP_LIST, .path = path};
	struct answer answer = edge_ask(edge, &ask);
	json_t *got = json_object_get(json_object_get(answer.body, "data"), "keys");
	json_t *wanted = json_loads(keys, 0, NULL);

	assert_int_equal(answer.status, 200);
	assert_true(json_equal(got, wanted));
	json_decref(wanted);
	answer_clear(&answer);
}

static void
a_prefix_lists_the_next_segments_and_the_leases_of_its_own(void **state)
{
	static const char *const places[] = {
	    "creds/app", "creds/app", "creds/app-2", "creds/app/deeper/still", "creds/b", "other"};
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_LIST, .path = "/v1/sys/leases/lookup/database/creds/app"};
	struct answer answer;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		(void)put_lease_at(edge->fix, places[i], "token:1", "");
	assert_listed(edge, "/v1/sys/leases/lookup/database/creds", "[\"app-2/\",\"app/\",\"b/\"]");
	assert_listed(edge, "/v1/sys/leases/lookup/database/creds/app/deeper", "[\"still/\"]");
	answer = edge_ask(edge, &ask);
	assert_int_equal(
	    json_array_size(json_object_get(json_object_get(answer.body, "data"), "keys")), 3);
	answer_clear(&answer);
	assert_int_equal(
	    edge_status(edge, HTTP_LIST, "/v1/sys/leases/lookup/database/creds/ap", NULL, NULL),
	    404);
}

static void
a_list_of_a_directory_reads_no_more_than_its_first_rows(void **state)
{
	struct edge *edge = *state;
	struct store_health health;

	for (int i = 0; i < 20; i++)
		(void)put_lease_at(edge->fix, "creds/app", "token:1", "");
	/* Whoever opens these is found out by the quarantine. */
	sql(edge, "UPDATE lease SET sealed = x'00' WHERE id > (SELECT min(id) FROM lease) + 10");
	assert_listed(edge, "/v1/sys/leases/lookup/database/creds", "[\"app/\"]");
	(void)store_pump(edge->fix->store);
	store_health_get(edge->fix->store, &health);
	assert_int_equal(health.quarantined, 0);
}

/* Counts the calls of the read that is queued when a write before it is through. */
static struct {
	int (*run)(struct store_read *, struct store_db *, struct leased_err *);
	struct store *store;
	unsigned calls;
} counted;

static int
counted_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	counted.calls++;
	return (counted.run(read, db, err));
}

static void
on_many_written(struct store_op *op, int result, const struct leased_err *err)
{
	struct store_read *read = counted.store->reads.first;

	(void)op;
	(void)err;
	assert_int_equal(result, 0);
	assert_non_null(read);
	counted.run = read->run;
	counted.calls = 0;
	read->run = counted_run;
}

/* Enough to list that a walk over them is long. */
static int
many_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc doc = {.kind = (char *)(uintptr_t) "policy"};
	char name[32];
	int r = 0;

	(void)op;
	doc.name = name;
	doc.data = json_pack("{s:s}", "policy", "path \"a\" { capabilities = [\"read\"] }");
	for (int i = 0; i < 6000 && r == 0; i++) {
		doc.id = 0;
		(void)snprintf(name, sizeof(name), "p-%04d", i);
		r = store_doc_put(txn, &doc, err);
	}
	json_decref(doc.data);
	return (r);
}

static void
a_long_list_of_policies_gives_others_their_turn(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_LIST, .path = "/v1/sys/policies/acl"};
	struct store_op many = {.run = many_run, .done = on_many_written};
	struct answer answer;

	counted.store = edge->fix->store;
	store_submit(edge->fix->store, &many);
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	assert_int_equal(
	    json_array_size(json_object_get(json_object_get(answer.body, "data"), "keys")), 6002);
	assert_true(counted.calls > 1);
	answer_clear(&answer);
}

#define LIST_TEST(name) cmocka_unit_test_setup_teardown(name, edge_setup, edge_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    LIST_TEST(a_prefix_lists_the_next_segments_and_the_leases_of_its_own),
	    LIST_TEST(a_list_of_a_directory_reads_no_more_than_its_first_rows),
	    LIST_TEST(a_long_list_of_policies_gives_others_their_turn),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("api: lists", tests, NULL, NULL));
}
