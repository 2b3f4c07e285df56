/*
 * Memory that runs out at each allocation of each typed call: it says so, what it was about to
 * write is not there, and no good row is taken for a bad one.
 */
#include "unit/store/world.h"

#include "store/hold.h"
#include "support/failalloc.h"

#define UNDONE LEASED_ETOOBIG /* what a write that came to its end says, so that it is undone */

/* ---- reads: each a function of its own, so that each fails alone ---- */

static int
read_docs(struct world *w)
{
	struct store_doc *doc = NULL, **docs = NULL;
	size_t count = 0;
	int r;

	if ((r = store_doc_get(w->fix.db, "role", "app", &doc, NULL)) != 0)
		return (r);
	assert_int_equal(json_array_size(json_object_get(doc->data, "list")), 2);
	store_doc_free(doc);
	if ((r = store_doc_get_id(w->fix.db, w->doc_id, &doc, NULL)) != 0)
		return (r);
	store_doc_free(doc);
	if ((r = store_doc_list(w->fix.db, "role", "", NULL, 9, &docs, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	store_doc_free(docs[0]);
	free(docs);
	return (0);
}

static int
read_pages(struct world *w)
{
	static const struct store_lease_query queries[] = {
	    {.by = STORE_BY_DUE, .number = 1, .until_ms = 9000, .limit = 9},
	    {.by = STORE_BY_OWNER, .text = "entity:7", .limit = 9},
	    {.by = STORE_BY_PLACE, .number = 3, .text = "creds", .limit = 9},
	    {.by = STORE_IN_PLACE, .number = 3, .text = "creds/app", .limit = 9},
	    {.by = STORE_BY_ID, .limit = 9},
	};
	struct store_lease **leases = NULL;
	size_t count = 0;
	int r;

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		r = store_lease_page(w->fix.db, &queries[i], &leases, &count, NULL);
		if (r != 0)
			return (r);
		assert_int_equal(count, 1);
		store_lease_page_free(leases, count);
	}
	return (0);
}

static int
read_places(struct world *w)
{
	char *place = NULL;
	int64_t *connections = NULL;
	size_t count = 0;
	int r;

	if ((r = store_lease_place_next(w->fix.db, 3, "", &place, NULL)) != 0) {
		free(place);
		return (r);
	}
	assert_string_equal(place, "creds/app");
	free(place);
	if ((r = store_lease_connections(w->fix.db, &connections, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	free(connections);
	return (0);
}

static int
read_quarantine(struct world *w)
{
	struct store_quarantine_query query = {
	    .connection = -1, .until_ms = INT64_MAX, .with_disarmed = true, .limit = 9};
	struct store_quarantined *rows = NULL;
	struct store_damaged damaged;
	size_t count = 0;
	int r;

	if ((r = store_quarantine_list(w->fix.db, &query, &rows, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	store_quarantine_list_free(rows, count);
	if ((r = store_quarantine_due(w->fix.db, 1, 9000, 9, &rows, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	store_quarantine_list_free(rows, count);
	if ((r = store_damaged_get(w->fix.db, w->bad_id, &damaged, NULL)) != 0)
		return (r);
	assert_string_equal(damaged.account, "l-bad");
	store_damaged_clear(&damaged);
	return (0);
}

static int
read_token_and_job(struct world *w)
{
	struct store_job_query query = {.limit = 9};
	struct store_token token;
	struct store_job *job = NULL, **jobs = NULL;
	size_t count = 0;
	int r;

	if ((r = store_token_get_id(w->fix.db, w->lease_id, &token, NULL)) != 0 ||
	    (r = store_job_get(w->fix.db, w->job_id, &job, NULL)) != 0)
		return (r);
	assert_int_equal(token.uses_left, 5);
	store_job_free(job);
	if ((r = store_job_page(w->fix.db, &query, &jobs, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	store_job_free(jobs[0]);
	free(jobs);
	return (0);
}

static int
read_tombstones(struct world *w)
{
	struct store_tombstone *one = NULL, **due = NULL;
	size_t count = 0;
	int r;

	if ((r = store_tombstone_get(w->fix.db, w->gone_id, &one, NULL)) != 0)
		return (r);
	assert_string_equal(one->account, "l-one");
	store_tombstone_free(one);
	if ((r = store_tombstone_due(w->fix.db, 1, 9000, 9, &due, &count, NULL)) != 0)
		return (r);
	assert_int_equal(count, 1);
	store_tombstone_free(due[0]);
	free(due);
	return (0);
}

static int
read_small(struct world *w)
{
	struct store_session *sessions = NULL;
	struct store_server *servers = NULL;
	struct store_counter *counters = NULL;
	struct store_outbox_row *rows = NULL;
	size_t count = 0;
	char *text = NULL;
	bool complete;
	int r;

	if ((r = store_session_list(w->fix.db, 1, &sessions, &count, NULL)) != 0)
		return (r);
	store_session_list_free(sessions, count);
	if ((r = store_server_list(w->fix.db, 1, &servers, &count, NULL)) != 0)
		return (r);
	store_server_list_free(servers, count);
	if ((r = store_counter_list(w->fix.db, NULL, 9, &counters, &count, NULL)) != 0)
		return (r);
	store_counter_list_free(counters, count);
	if ((r = store_outbox_page(w->fix.db, 0, 9, &rows, &count, NULL)) != 0)
		return (r);
	assert_string_equal(rows[0].text, "a record");
	store_outbox_page_free(rows, count);
	if ((r = store_meta_get(w->fix.db, "setting", &text, NULL)) != 0)
		return (r);
	assert_string_equal(text, "value");
	free(text);
	return (store_servers_complete(w->fix.db, &complete, NULL));
}

static int
read_all(void *arg)
{
	static int (*const reads[])(struct world *) = {read_docs, world_read_lease, read_pages,
	    read_places, read_quarantine, read_token_and_job, read_tombstones, read_small};
	int r = 0;

	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]) && r == 0; i++)
		r = reads[i](arg);
	return (r);
}

static void
every_read_says_that_memory_ran_out_and_blames_no_row(void **state)
{
	struct world *w = *state;

	assert_true(failalloc_each(read_all, w) > 60);
	store_pump(w->fix.store);
	assert_int_equal(fix_quarantined(&w->fix), 1);
	assert_int_equal(read_all(w), 0);
}

/* ---- writes ---- */

static int
write_more(struct store_txn *txn, struct world *w, struct leased_err *err)
{
	int64_t uses = 0;
	int r;

	if ((r = store_doc_put(txn, &w->doc, err)) != 0 ||
	    (r = store_doc_delete(txn, w->doc.id, w->doc.version, err)) != 0 ||
	    (r = store_lease_update(txn, w->lease, err)) != 0 ||
	    (r = store_token_use(txn, w->lease_id, &uses, err)) != 0 ||
	    (r = store_token_delete(txn, w->lease_id, err)) != 0 ||
	    (r = store_job_put(txn, &w->job, err)) != 0 ||
	    (r = store_job_delete(txn, w->job.id, err)) != 0 ||
	    (r = store_quarantine_update(txn, w->bad_id, true, 7, err)) != 0 ||
	    (r = store_counter_add(txn, "counter", 3, err)) != 0 ||
	    (r = store_outbox_put(txn, "another", err)) != 0 ||
	    (r = store_connection_forget(txn, 1, err)) != 0)
		return (r);
	return (store_hold_begin(
	    txn->db, &(struct store_hold){.held = true, .below = 5, .old_tag = "abc123"}, err));
}

static int
run_write(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct world *w = arg;
	int r;

	w->doc.id = w->doc_id;
	w->doc.version = 1;
	w->lease->id = w->lease_id;
	w->lease->version = 1;
	w->job.id = w->job_id;
	w->job.version = 1;
	w->lease->state = STORE_LEASE_DISARMED;
	if ((r = write_more(txn, w, err)) != 0 ||
	    (r = store_lease_delete(txn, w->lease, w->tombstone, 3, 4, err)) != 0)
		return (r);
	return (leased_err_set(err, UNDONE, "undone"));
}

static int
write_all(void *arg)
{
	struct world *w = arg;
	struct fix_op op = fix_op(run_write, w);

	store_submit(w->fix.store, &op.op);
	store_pump(w->fix.store);
	return (op.result == UNDONE ? 0 : op.result);
}

static void
every_write_that_ran_out_of_memory_left_nothing(void **state)
{
	struct world *w = *state;
	unsigned long n;

	n = failalloc_each(write_all, w);
	print_message("%lu allocations\n", n);
	assert_true(n > 10);
	assert_int_equal(read_all(w), 0);
	assert_int_equal(fix_quarantined(&w->fix), 1);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
	    T(every_read_says_that_memory_ran_out_and_blames_no_row),
	    T(every_write_that_ran_out_of_memory_left_nothing),
	};
#undef T

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: memory", tests, NULL, NULL));
}
