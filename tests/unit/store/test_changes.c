/*
 * What may be remembered of a row: the count of its changes says when reading would give something
 * else. Run under ThreadSanitizer as well.
 */
#include "unit/store/fix.h"

#include <event2/event.h>
#include <stdio.h>

static int
update(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_lease *lease = arg;

	lease->next_at_ms++;
	return (store_lease_update(txn, lease, err));
}

static int
update_and_fail(struct store_txn *txn, void *arg, struct leased_err *err)
{
	int64_t version = ((struct store_lease *)arg)->version;
	int r = update(txn, arg, err);

	((struct store_lease *)arg)->version = version;
	return (r != 0 ? r : leased_err_set(err, LEASED_ECANCELED, "on purpose"));
}

static int delete (struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_delete(txn, arg, NULL, 0, 0, err));
}

static int
token_insert(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_token_insert(txn, arg, err));
}

static int
token_use(struct store_txn *txn, void *arg, struct leased_err *err)
{
	int64_t left = 0;

	return (store_token_use(txn, *(int64_t *)arg, &left, err));
}

static int
token_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_token_delete(txn, *(int64_t *)arg, err));
}

static void
every_change_of_a_lease_or_a_token_is_counted_before_its_writer_hears_of_it(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1000, "account");
	struct store_token token = {.id = 1, .uses_left = 3};
	uint64_t before;

	before = store_row_changes(f->store, 1);
#define COUNTS(work, arg)                                                                          \
	do {                                                                                       \
		assert_int_equal(fix_write(f, work, arg), 0);                                      \
		assert_true(store_row_changes(f->store, 1) > before);                              \
		before = store_row_changes(f->store, 1);                                           \
		assert_int_equal(before % 2, 0);                                                   \
	} while (0)
	COUNTS(fix_lease_insert, lease);
	COUNTS(update, lease);
	COUNTS(token_insert, &token);
	COUNTS(token_use, &token.id);
	COUNTS(token_delete, &token.id);
	COUNTS(delete, lease);
	store_lease_free(lease);
}

static void
a_change_that_fails_and_one_of_another_row_leave_the_count_even(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1000, "account");
	uint64_t before;

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	before = store_row_changes(f->store, lease->id);
	assert_int_equal(fix_write(f, update_and_fail, lease), LEASED_ECANCELED);
	assert_int_equal(store_row_changes(f->store, lease->id) % 2, 0);
	before = store_row_changes(f->store, lease->id);
	(void)fix_add(f, 5, 1000, "other");
	assert_int_equal(store_row_changes(f->store, lease->id), before);
	store_lease_free(lease);
}

static int
doc_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_doc_put(txn, arg, err));
}

static int
doc_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_doc *doc = arg;

	return (store_doc_delete(txn, doc->id, doc->version, err));
}

static void
every_change_of_a_document_is_counted_and_none_of_a_lease(void **state)
{
	struct fix *f = *state;
	char kind[] = "role", name[] = "7/app";
	struct store_doc doc = {.kind = kind, .name = name, .data = json_object()};
	uint64_t before = store_doc_changes(f->store);

	assert_int_equal(fix_write(f, doc_put, &doc), 0);
	assert_int_equal(store_doc_changes(f->store), before + 2);
	assert_int_equal(fix_write(f, doc_put, &doc), 0);
	assert_int_equal(store_doc_changes(f->store), before + 4);
	(void)fix_add(f, 5, 1000, "account");
	assert_int_equal(store_doc_changes(f->store), before + 4);
	assert_int_equal(fix_write(f, doc_delete, &doc), 0);
	assert_int_equal(store_doc_changes(f->store), before + 6);
	json_decref(doc.data);
}

/* Before and behind a change in one transaction. */
static int
glance_around(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_lease *lease = arg;
	struct store_glance glance = {0};
	int64_t before = lease->next_at_ms;

	assert_int_equal(store_lease_glance(txn, lease->id, &glance, err), 0);
	assert_int_equal(glance.next_at_ms, before);
	assert_false(glance.revoke);
	lease->revoke = true;
	assert_int_equal(update(txn, lease, err), 0);
	assert_int_equal(store_lease_glance(txn, lease->id, &glance, err), 0);
	assert_int_equal(glance.next_at_ms, before + 1);
	assert_true(glance.revoke);
	return (0);
}

static int
glance_and_fail(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_lease changed = *(struct store_lease *)arg;

	assert_int_equal(glance_around(txn, &changed, err), 0);
	return (leased_err_set(err, LEASED_ECANCELED, "on purpose"));
}

static int
glance_at_nothing(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_glance glance;

	assert_int_equal(store_lease_glance(txn, *(int64_t *)arg, &glance, err), LEASED_ENOENT);
	return (0);
}

static void
a_glance_sees_what_its_own_transaction_changed_and_nothing_that_was_undone(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1000, "account");

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fix_write(f, glance_and_fail, lease), LEASED_ECANCELED);
	assert_int_equal(fix_write(f, glance_around, lease), 0);
	assert_int_equal(fix_write(f, delete, lease), 0);
	assert_int_equal(fix_write(f, glance_at_nothing, &lease->id), 0);
	store_lease_free(lease);
}

struct look {
	struct store *store;
	uint64_t seen;
};

static int
on_commit(void *arg)
{
	struct look *look = arg;

	look->seen = store_row_changes(look->store, 1);
	return (0);
}

static void
while_a_commit_is_on_its_way_nothing_may_be_remembered(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(5, 1000, "account");
	struct look look = {.store = f->store};

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	(void)sqlite3_commit_hook(f->db->sqlite, on_commit, &look);
	assert_int_equal(fix_write(f, update, lease), 0);
	assert_int_equal(look.seen % 2, 1);
	(void)sqlite3_commit_hook(f->db->sqlite, NULL, NULL);
	store_lease_free(lease);
}

/* The writer changes the row as fast as it can; what is remembered is held against the row. */
static void
what_the_count_calls_unchanged_is_what_reading_gives(void **state)
{
	struct fix f = {0};
	struct event_base *loop = event_base_new();
	char dir[] = "/tmp/leased-test-XXXXXX";
	struct store_config config;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_lease *lease = fix_lease(5, 1000, "account"), *row;
	struct fix_op op = fix_op(fix_lease_insert, lease);
	uint64_t changes, submitted_at, remembered_at = 1;
	int64_t remembered = 0;
	unsigned writes = 0, held = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	wclock_fake_init(&f.clock, INT64_C(1795400000000000));
	f.root = seal_root_new_random();
	config = fix_config(&f, dir);
	config.inline_mode = false;
	config.loop = loop;
	assert_int_equal(store_open(&config, &f.store, &err), 0);
	store_submit(f.store, &op.op);
	while (!op.finished)
		assert_int_equal(event_base_loop(loop, EVLOOP_ONCE), 0);
	submitted_at = store_row_changes(f.store, 1);
	op = fix_op(update, lease);
	store_submit(f.store, &op.op);
	while (writes < 300) {
		changes = store_row_changes(f.store, 1);
		row = NULL;
		assert_int_equal(store_lease_get(store_db(f.store), 1, &row, &err), 0);
		if (changes % 2 == 0 && changes == remembered_at &&
		    store_row_changes(f.store, 1) == changes) {
			assert_int_equal(row->version, remembered);
			held++;
		}
		if (changes % 2 == 0) {
			remembered_at = changes;
			remembered = row->version;
		}
		store_lease_free(row);
		assert_true(event_base_loop(loop, EVLOOP_NONBLOCK) >= 0);
		if (!op.finished)
			continue;
		writes++;
		assert_int_equal(op.result, 0);
		assert_true(store_row_changes(f.store, 1) >= submitted_at + 2);
		submitted_at = store_row_changes(f.store, 1);
		op = fix_op(update, lease);
		store_submit(f.store, &op.op);
	}
	assert_true(held > 0);
	store_close(f.store);
	store_lease_free(lease);
	seal_root_free(f.root);
	event_base_free(loop);
	fix_remove(dir);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
	    T(every_change_of_a_lease_or_a_token_is_counted_before_its_writer_hears_of_it),
	    T(a_change_that_fails_and_one_of_another_row_leave_the_count_even),
	    T(every_change_of_a_document_is_counted_and_none_of_a_lease),
	    T(a_glance_sees_what_its_own_transaction_changed_and_nothing_that_was_undone),
	    T(while_a_commit_is_on_its_way_nothing_may_be_remembered),
	    cmocka_unit_test(what_the_count_calls_unchanged_is_what_reading_gives),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
