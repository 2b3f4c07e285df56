/*
 * The watcher is told of each change inside its transaction, and what it leaves in the outbox
 * commits with the change or not at all.
 */
#include "unit/store/fix.h"

struct seen {
	unsigned told;
	enum store_change_kind kind;
	enum store_lease_state state_before;
	bool revoke_before, refuse;
	char name[64];
};

static int
on_change(
    void *arg, struct store_txn *txn, const struct store_change *change, struct leased_err *err)
{
	struct seen *seen = arg;
	char text[64];

	seen->told++;
	seen->kind = change->kind;
	seen->state_before = change->before.state;
	seen->revoke_before = change->before.revoke;
	if (change->doc != NULL)
		(void)snprintf(
		    seen->name, sizeof(seen->name), "%s %s", change->doc->kind, change->doc->name);
	if (seen->refuse)
		return (leased_err_set(err, LEASED_EUNAVAIL, "refused"));
	(void)snprintf(text, sizeof(text), "change %d", change->kind);
	return (store_outbox_put(txn, text, err));
}

static int64_t
rows(struct fix *f)
{
	int64_t count = -1;

	assert_int_equal(store_outbox_count(f->db, &count, NULL), 0);
	return (count);
}

static int
lease_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_delete(txn, arg, NULL, 1, 0, err));
}

static void
each_change_of_a_lease_is_told_with_what_was_there_before(void **state)
{
	struct fix *f = *state;
	struct seen seen = {0};
	struct store_lease *lease = fix_lease(1, 1000, "l-one");

	store_watch_set(f->store, on_change, &seen);
	lease->state = STORE_LEASE_INTENT;
	lease->revoke = false;
	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	assert_int_equal(seen.kind, STORE_CHANGE_LEASE_NEW);
	lease->state = STORE_LEASE_LIVE;
	assert_int_equal(fix_write(f, fix_lease_update, lease), 0);
	assert_int_equal(seen.kind, STORE_CHANGE_LEASE);
	assert_int_equal(seen.state_before, STORE_LEASE_INTENT);
	lease->revoke = true;
	assert_int_equal(fix_write(f, fix_lease_update, lease), 0);
	assert_int_equal(seen.state_before, STORE_LEASE_LIVE);
	assert_false(seen.revoke_before);
	assert_int_equal(fix_write(f, fix_lease_update, lease), 0);
	assert_true(seen.revoke_before);
	assert_int_equal(fix_write(f, lease_delete, lease), 0);
	assert_int_equal(seen.kind, STORE_CHANGE_LEASE_GONE);
	assert_int_equal(seen.told, 5);
	assert_int_equal(rows(f), 5);
	store_lease_free(lease);
}

static void
change_whose_record_is_refused_does_not_happen(void **state)
{
	struct fix *f = *state;
	struct seen seen = {.refuse = true};
	struct store_lease *lease = fix_lease(1, 1000, "l-one"), *found = NULL;

	store_watch_set(f->store, on_change, &seen);
	assert_int_equal(fix_write(f, fix_lease_insert, lease), LEASED_EUNAVAIL);
	assert_int_equal(store_lease_get_account(f->db, "l-one", &found, NULL), LEASED_ENOENT);
	assert_int_equal(rows(f), 0);
	store_lease_free(lease);
}

static int
doc_put_and_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_doc doc = {.data = arg};
	char kind[] = "policy", name[] = "shop";
	int r;

	doc.kind = kind;
	doc.name = name;
	if ((r = store_doc_put(txn, &doc, err)) != 0)
		return (r);
	return (store_doc_delete(txn, doc.id, doc.version, err));
}

static int
job_twice(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_job job = {.data = arg};
	int r;

	if ((r = store_job_put(txn, &job, err)) != 0)
		return (r);
	return (store_job_put(txn, &job, err));
}

static void
documents_are_named_also_when_they_go_and_a_job_is_told_once(void **state)
{
	struct fix *f = *state;
	struct seen seen = {0};
	json_t *data = json_object();

	store_watch_set(f->store, on_change, &seen);
	assert_int_equal(fix_write(f, doc_put_and_delete, data), 0);
	assert_int_equal(seen.kind, STORE_CHANGE_DOC_GONE);
	assert_string_equal(seen.name, "policy shop");
	assert_int_equal(seen.told, 2);
	assert_int_equal(fix_write(f, job_twice, data), 0);
	assert_int_equal(seen.kind, STORE_CHANGE_JOB_NEW);
	assert_int_equal(seen.told, 3);
	json_decref(data);
}

static int
outbox_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_outbox_put(txn, arg, err));
}

static int
outbox_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_outbox_delete(txn, *(int64_t *)arg, err));
}

static void
outbox_is_read_in_order_and_a_number_never_comes_again(void **state)
{
	struct fix *f = *state;
	struct store_outbox_row *page = NULL;
	char one[] = "one", two[] = "two \x22\n";
	int64_t up_to = 2;
	size_t count = 0;

	assert_int_equal(fix_write(f, outbox_put, one), 0);
	assert_int_equal(fix_write(f, outbox_put, two), 0);
	assert_int_equal(store_outbox_page(f->db, 0, 1, &page, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(page[0].text, "one");
	store_outbox_page_free(page, count);
	assert_int_equal(store_outbox_page(f->db, 1, 9, &page, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(page[0].text, two);
	store_outbox_page_free(page, count);
	assert_int_equal(fix_write(f, outbox_delete, &up_to), 0);
	assert_int_equal(rows(f), 0);
	assert_int_equal(fix_write(f, outbox_put, one), 0);
	assert_int_equal(store_outbox_page(f->db, 0, 9, &page, &count, NULL), 0);
	assert_int_equal(page[0].id, 3);
	store_outbox_page_free(page, count);
}

static void
damaged_record_is_handed_over_as_one_that_is_missing(void **state)
{
	struct fix *f = *state;
	struct store_outbox_row *page = NULL;
	char one[] = "one", two[] = "two";
	size_t count = 0;

	assert_int_equal(fix_write(f, outbox_put, one), 0);
	assert_int_equal(fix_write(f, outbox_put, two), 0);
	fix_sql(f, "UPDATE audit_outbox SET sealed = x'0102' WHERE id = 1");
	assert_int_equal(store_outbox_page(f->db, 0, 9, &page, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_null(page[0].text);
	assert_string_equal(page[1].text, "two");
	store_outbox_page_free(page, count);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_change_of_a_lease_is_told_with_what_was_there_before),
	    TEST(change_whose_record_is_refused_does_not_happen),
	    TEST(documents_are_named_also_when_they_go_and_a_job_is_told_once),
	    TEST(outbox_is_read_in_order_and_a_number_never_comes_again),
	    TEST(damaged_record_is_handed_over_as_one_that_is_missing),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
