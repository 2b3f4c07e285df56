/*
 * On which servers the leases of a connection may be.
 */
#include "unit/store/fix.h"

static int
server_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_server_put(txn, 7, arg, err));
}

static int
server_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_server_delete(txn, arg, err));
}

static void
server_that_is_recorded_again_is_not_forgotten_by_an_older_look(void **state)
{
	struct fix *f = *state;
	struct store_server *old = NULL, *now = NULL;
	size_t count = 0;
	char one[] = "one", two[] = "two";

	assert_int_equal(fix_write(f, server_put, one), 0);
	assert_int_equal(fix_write(f, server_put, two), 0);
	assert_int_equal(store_server_list(f->db, 8, &old, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_server_list_free(old, count);
	assert_int_equal(store_server_list(f->db, 7, &old, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(fix_write(f, server_put, one), 0);
	assert_int_equal(fix_write(f, server_delete, &old[0]), 0);
	assert_int_equal(fix_write(f, server_delete, &old[1]), 0);
	store_server_list_free(old, count);
	assert_int_equal(store_server_list(f->db, 7, &now, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(now[0].server, "one");
	assert_int_equal(now[0].uses, 2);
	store_server_list_free(now, count);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		server_that_is_recorded_again_is_not_forgotten_by_an_older_look, fix_setup,
		fix_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
