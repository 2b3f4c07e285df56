/*
 * Transactions: one operation's failure is its own, a newer broker ends the writing, a full disk is
 * survived, and an operation that runs out of memory leaves nothing half.
 */
#include "unit/store/fix.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "support/child.h"
#include "support/failalloc.h"

static int
put_two_and_fail(struct store_txn *txn, void *arg, struct leased_err *err)
{
	int r;

	(void)arg;
	if ((r = store_meta_put(txn, "half", "1", err)) != 0 ||
	    (r = store_take(txn, "half", 9, err)) != 0)
		return (r);
	return (leased_err_set(err, LEASED_EREFUSED, "no"));
}

static void
a_failed_operation_leaves_nothing_and_its_neighbours_commit(void **state)
{
	struct fix *f = *state;
	struct store_lease *first = fix_lease(1, 1, "a"), *last = fix_lease(1, 1, "b");
	struct fix_op ops[] = {fix_op(fix_lease_insert, first), fix_op(put_two_and_fail, NULL),
	    fix_op(fix_lease_insert, last)};
	struct store_health health;
	char *text = NULL;
	int64_t count = 9;

	for (size_t i = 0; i < 3; i++)
		store_submit(f->store, &ops[i].op);
	assert_int_equal(store_pump(f->store), 3);
	assert_int_equal(ops[0].result, 0);
	assert_int_equal(ops[1].result, LEASED_EREFUSED);
	assert_string_equal(ops[1].err.text, "no");
	assert_int_equal(ops[2].result, 0);
	/* The failed one took a number neither. */
	assert_int_equal(last->id, first->id + 1);
	assert_int_equal(store_meta_get(f->db, "half", &text, NULL), LEASED_ENOENT);
	assert_int_equal(store_counter_get(f->db, "half", &count, NULL), 0);
	assert_int_equal(count, 0);
	store_health_get(f->store, &health);
	assert_int_equal(health.commits, 1);
	assert_int_equal(health.operations, 3);
	store_lease_free(first);
	store_lease_free(last);
}

static int
insert_then_fail(struct store_txn *txn, void *arg, struct leased_err *err)
{
	int r = store_lease_insert(txn, arg, err);

	return (r != 0 ? r : leased_err_set(err, LEASED_EREFUSED, "no"));
}

static void
a_number_taken_by_a_failed_operation_is_given_to_the_next(void **state)
{
	struct fix *f = *state;
	struct store_lease *first = fix_lease(1, 1, "a"), *second = fix_lease(1, 1, "b");
	struct fix_op ops[] = {fix_op(insert_then_fail, first), fix_op(fix_lease_insert, second)};

	store_submit(f->store, &ops[0].op);
	store_submit(f->store, &ops[1].op);
	store_pump(f->store);
	assert_int_equal(ops[0].result, LEASED_EREFUSED);
	assert_int_equal(ops[1].result, 0);
	assert_int_equal(second->id, 1);
	store_lease_free(first);
	store_lease_free(second);
}

static struct fix_op second_op;

static void
submit_another(struct store_op *op, int result, const struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	fix_op_done(op, result, err);
	store_submit(f->arg, &second_op.op);
}

static int
nothing(struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)arg;
	return (store_meta_put(txn, "x", "y", err));
}

static void
what_a_done_submits_is_for_the_next_pump(void **state)
{
	struct fix *f = *state;
	struct fix_op first = fix_op(nothing, f->store);

	second_op = fix_op(nothing, NULL);
	first.op.done = submit_another;
	store_submit(f->store, &first.op);
	assert_int_equal(store_pump(f->store), 1);
	assert_true(first.finished);
	assert_false(second_op.finished);
	assert_int_equal(store_pump(f->store), 1);
	assert_true(second_op.finished);
	assert_int_equal(store_pump(f->store), 0);
}

static void
a_newer_brokers_epoch_ends_the_writing(void **state)
{
	struct fix *f = *state;
	struct store_lease *lease = fix_lease(1, 1, "a");
	struct fix_op op = fix_op(fix_lease_insert, lease);

	fix_sql(f, "UPDATE birth SET epoch = epoch + 1");
	store_submit(f->store, &op.op);
	store_pump(f->store);
	assert_int_equal(op.result, LEASED_ECONFLICT);
	assert_non_null(strstr(op.err.text, "taken this store over"));
	store_lease_free(lease);
}

static void
the_count_of_seals_is_kept_ahead_and_a_new_key_comes_in_time(void **state)
{
	struct fix *f = *state;
	struct store_lease *got = NULL;
	int64_t kept = 0, old, newer;

	old = fix_add(f, 1, 1, "a");
	assert_int_equal(
	    store_sql_number(f->db, "SELECT seals FROM birth", SQL_NO_ARGS, &kept, NULL), 0);
	assert_true((uint64_t)kept > seal_count(f->store->seal));
	seal_count_restore(f->store->seal, UINT64_C(1) << 29);
	fix_add(f, 1, 1, "b");
	assert_int_equal(seal_count(f->store->seal), 0);
	newer = fix_add(f, 1, 1, "c");
	assert_int_equal(seal_count(f->store->seal), 1);
	assert_int_equal(store_lease_get(f->db, old, &got, NULL), 0);
	store_lease_free(got);
	assert_int_equal(store_lease_get(f->db, newer, &got, NULL), 0);
	store_lease_free(got);
}

/* ---- a full disk, in a process of its own: failpoints are armed once ---- */

struct full {
	char dir[64];
	struct seal_root *root;
};

static void
child_open(struct fix *f, const struct full *full)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config;

	wclock_fake_init(&f->clock, INT64_C(1795400000000000));
	f->root = full->root;
	config = fix_config(f, full->dir);
	CHILD_CHECK(store_open(&config, &f->store, &err) == 0);
	f->db = store_db(f->store);
}

static int
child_write(struct fix *f, struct store_lease *lease)
{
	struct fix_op op = fix_op(fix_lease_insert, lease);

	store_submit(f->store, &op.op);
	store_pump(f->store);
	CHILD_CHECK(op.finished);
	return (op.result);
}

static bool
reserve_is_there(const struct full *full)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/reserve", full->dir);
	return (stat(path, &st) == 0 && st.st_size == 64 * 1024 * 1024 && st.st_blocks > 0);
}

static void
child_full_commit(void *arg)
{
	const struct full *full = arg;
	struct store_lease *lease = fix_lease(1, 1, "a"), *again;
	struct store_health health;
	struct fix f = {0};

	setenv("LEASED_FAILPOINT",
	    "store_commit_fail=error:no_space,store_reserve_make=error:no_space@2", 1);
	failpoint_setup();
	child_open(&f, full);
	CHILD_CHECK(reserve_is_there(full));
	CHILD_CHECK(child_write(&f, lease) == LEASED_ENOSPC);
	store_health_get(f.store, &health);
	CHILD_CHECK(health.code == LEASED_ENOSPC);
	CHILD_CHECK(!reserve_is_there(full));
	/* The next write has the reserve's room; health stays until the reserve is back. */
	again = fix_lease(1, 1, "a");
	CHILD_CHECK(child_write(&f, again) == 0);
	CHILD_CHECK(again->id == 1);
	store_health_get(f.store, &health);
	CHILD_CHECK(health.code == LEASED_ENOSPC);
	store_pump(f.store);
	store_health_get(f.store, &health);
	CHILD_CHECK(health.code == 0);
	CHILD_CHECK(reserve_is_there(full));
	store_close(f.store);
}

static void
child_full_start(void *arg)
{
	const struct full *full = arg;
	struct store_lease *got = NULL;
	struct store_health health;
	struct fix f = {0};

	setenv("LEASED_FAILPOINT",
	    "store_open_birth=error:no_space,store_reserve_make=error:no_space", 1);
	failpoint_setup();
	child_open(&f, full);
	store_health_get(f.store, &health);
	CHILD_CHECK(health.code == LEASED_ENOSPC);
	CHILD_CHECK(f.store->epoch == 2);
	CHILD_CHECK(store_lease_get(f.db, 1, &got, NULL) == 0);
	/* The first write that finds room takes the epoch with it. */
	CHILD_CHECK(child_write(&f, fix_lease(1, 1, "b")) == 0);
	store_close(f.store);
}

static void
child_full_birth(void *arg)
{
	const struct full *full = arg;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config;
	struct fix f = {.root = full->root};

	setenv("LEASED_FAILPOINT",
	    "store_open_birth=error:no_space,store_reserve_make=error:no_space", 1);
	failpoint_setup();
	wclock_fake_init(&f.clock, INT64_C(1795400000000000));
	config = fix_config(&f, full->dir);
	CHILD_CHECK(store_open(&config, &f.store, &err) == LEASED_ENOSPC);
}

static void
child_full_file(void *arg)
{
	const struct full *full = arg;
	struct rlimit small = {256 * 1024, 256 * 1024};
	struct store_lease *got = NULL;
	struct store_health health;
	struct fix f = {0};
	int r = 0;

	child_open(&f, full);
	signal(SIGXFSZ, SIG_IGN);
	CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	for (int i = 0; i < 1000 && r == 0; i++) {
		struct store_lease *lease = fix_lease(1, 1, "a");

		r = child_write(&f, lease);
		store_lease_free(lease);
	}
	CHILD_CHECK(r == LEASED_ENOSPC);
	store_health_get(f.store, &health);
	CHILD_CHECK(health.code == LEASED_ENOSPC);
	/* Reading goes on. */
	CHILD_CHECK(store_lease_get(f.db, 1, &got, NULL) == 0);
}

static void
child_failed_disk(void *arg)
{
	const struct full *full = arg;
	struct fix f = {0};

	setenv("LEASED_FAILPOINT", "store_commit_fail=error:io", 1);
	failpoint_setup();
	child_open(&f, full);
	(void)child_write(&f, fix_lease(1, 1, "a"));
	_exit(77); /* not reached */
}

static void
in_child(void (*body)(void *arg), struct full *full, int expected)
{
	char output[4096];
	int status = child_run(body, full, output, sizeof(output));

	if (status != expected)
		fail_msg("status %d: %s", status, output);
}

static struct full *
full_new(void)
{
	struct full *full = calloc(1, sizeof(*full));

	snprintf(full->dir, sizeof(full->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(full->dir));
	full->root = seal_root_new_random();
	return (full);
}

static void
full_free(struct full *full)
{
	fix_remove(full->dir);
	seal_root_free(full->root);
	free(full);
}

#ifdef LEASED_FAILPOINTS
static void
a_full_disk_costs_the_write_and_the_reserve_not_the_store(void **state)
{
	struct full *full = full_new();

	(void)state;
	in_child(child_full_commit, full, 0);
	full_free(full);
}

static void
a_start_on_a_full_disk_without_a_reserve_reads_and_takes_its_epoch_later(void **state)
{
	struct full *full = full_new();
	struct fix f = {.root = full->root};

	(void)state;
	wclock_fake_init(&f.clock, INT64_C(1795400000000000));
	fix_open(&f, full->dir);
	assert_int_equal(fix_add(&f, 1, 1, "a"), 1);
	store_close(f.store);
	in_child(child_full_start, full, 0);
	fix_open(&f, full->dir);
	assert_int_equal(f.store->epoch, 3);
	store_close(f.store);
	full_free(full);
}

static void
no_store_is_born_on_a_full_disk(void **state)
{
	struct full *full = full_new();

	(void)state;
	in_child(child_full_birth, full, 0);
	full_free(full);
}

static void
a_failed_disk_ends_the_process_and_the_next_start_verifies(void **state)
{
	struct full *full = full_new();
	char path[96];
	struct fix f = {0};

	(void)state;
	in_child(child_failed_disk, full, 1);
	snprintf(path, sizeof(path), "%s/suspect", full->dir);
	assert_int_equal(access(path, F_OK), 0);
	wclock_fake_init(&f.clock, INT64_C(1795400000000000));
	f.root = full->root;
	fix_open(&f, full->dir);
	assert_int_equal(access(path, F_OK), -1);
	store_close(f.store);
	full_free(full);
}
#endif

static void
a_file_that_cannot_grow_is_a_full_disk(void **state)
{
	struct full *full = full_new();

	(void)state;
	in_child(child_full_file, full, 0);
	full_free(full);
}

/* ---- memory ---- */

/* The lease is made outside: the test's own allocations are not what is tested. */
struct one_lease {
	struct fix *fix;
	struct store_lease *lease;
};

static int
write_now(struct fix *f, fix_work work, struct store_lease *lease)
{
	struct fix_op op = fix_op(work, lease);

	store_submit(f->store, &op.op);
	store_pump(f->store);
	return (op.result);
}

static int
put_and_get(void *arg)
{
	struct one_lease *one = arg;
	struct store_lease *got = NULL;
	int r;

	one->lease->id = one->lease->version = 0;
	if ((r = write_now(one->fix, fix_lease_insert, one->lease)) != 0 ||
	    (r = store_lease_get(one->fix->db, one->lease->id, &got, NULL)) != 0)
		return (r);
	assert_string_equal(got->account, "account");
	store_lease_free(got);
	return (write_now(one->fix, fix_lease_update, one->lease));
}

static void
every_failed_allocation_of_a_write_and_a_read_is_survived(void **state)
{
	struct one_lease one = {*state, fix_lease(5, 1000, "account")};

	assert_true(failalloc_each(put_and_get, &one) > 10);
	store_pump(one.fix->store);
	assert_int_equal(fix_quarantined(one.fix), 0);
	store_lease_free(one.lease);
}

static int
open_and_close(void *arg)
{
	struct fix *f = arg;
	struct store_config config = fix_config(f, NULL);
	struct store *store = NULL;
	int r = store_open(&config, &store, NULL);

	store_close(store);
	return (r);
}

static void
every_failed_allocation_of_an_open_is_survived(void **state)
{
	assert_true(failalloc_each(open_and_close, *state) > 10);
}

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(a_failed_operation_leaves_nothing_and_its_neighbours_commit),
	    FIX_TEST(a_number_taken_by_a_failed_operation_is_given_to_the_next),
	    FIX_TEST(what_a_done_submits_is_for_the_next_pump),
	    FIX_TEST(a_newer_brokers_epoch_ends_the_writing),
	    FIX_TEST(the_count_of_seals_is_kept_ahead_and_a_new_key_comes_in_time),
#ifdef LEASED_FAILPOINTS
	    cmocka_unit_test(a_full_disk_costs_the_write_and_the_reserve_not_the_store),
	    cmocka_unit_test(
		a_start_on_a_full_disk_without_a_reserve_reads_and_takes_its_epoch_later),
	    cmocka_unit_test(no_store_is_born_on_a_full_disk),
	    cmocka_unit_test(a_failed_disk_ends_the_process_and_the_next_start_verifies),
#endif
	    cmocka_unit_test(a_file_that_cannot_grow_is_a_full_disk),
	    FIX_TEST(every_failed_allocation_of_a_write_and_a_read_is_survived),
	    FIX_TEST(every_failed_allocation_of_an_open_is_survived),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: transactions", tests, NULL, NULL));
}
