/*
 * When passwords are due: found by connection, soonest first, and each account has one rotation.
 */
#include "unit/store/fix.h"

static int
rotation_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_rotation_put(txn, arg, err));
}

static int
rotation_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_rotation_delete(txn, *(int64_t *)arg, err));
}

static void
put(struct fix *f, int64_t doc, int64_t connection, const char *account, int64_t at, int code)
{
	struct store_rotation rotation = {doc, connection, account, at};

	assert_int_equal(fix_write(f, rotation_put, &rotation), code);
}

static void
due_ones_come_by_connection_and_in_the_order_of_their_time(void **state)
{
	struct fix *f = *state;
	int64_t docs[4] = {0}, at = 0, gone = 11;
	size_t count = 0;

	assert_int_equal(store_rotation_next_at(f->db, 7, &at, NULL), LEASED_ENOENT);
	put(f, 10, 7, "a", 2000, 0);
	put(f, 11, 7, "b", 1000, 0);
	put(f, 12, 7, "c", 3001, 0);
	put(f, 13, 8, "a", 1, 0);
	assert_int_equal(store_rotation_due(f->db, 7, 3000, 4, docs, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(docs[0], 11);
	assert_int_equal(docs[1], 10);
	assert_int_equal(store_rotation_next_at(f->db, 7, &at, NULL), 0);
	assert_int_equal(at, 1000);
	put(f, 11, 7, "b", 9000, 0);
	assert_int_equal(store_rotation_due(f->db, 7, 3000, 1, docs, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(docs[0], 10);
	assert_int_equal(fix_write(f, rotation_delete, &gone), 0);
	assert_int_equal(fix_write(f, rotation_delete, &gone), 0);
}

static void
an_account_has_one_rotation(void **state)
{
	struct fix *f = *state;

	put(f, 10, 7, "app", 1, 0);
	put(f, 11, 7, "app", 1, LEASED_EINVAL);
	put(f, 11, 8, "app", 1, 0);
	put(f, 7, 7, "", 1, 0);
	put(f, 12, 7, "", 1, 0);
}

static void
a_connections_own_rotation_is_none_that_keeps_it(void **state)
{
	struct fix *f = *state;

	put(f, 7, 7, "", 1, 0);
	assert_int_equal(store_rotation_any(f->db, 7, NULL), LEASED_ENOENT);
	put(f, 10, 7, "app", 1, 0);
	assert_int_equal(store_rotation_any(f->db, 7, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		due_ones_come_by_connection_and_in_the_order_of_their_time, fix_setup,
		fix_teardown),
	    cmocka_unit_test_setup_teardown(an_account_has_one_rotation, fix_setup, fix_teardown),
	    cmocka_unit_test_setup_teardown(
		a_connections_own_rotation_is_none_that_keeps_it, fix_setup, fix_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
