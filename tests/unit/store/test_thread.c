/*
 * The store with its threads: order of results, grouping of commits, reads beside writes, closing
 * with work queued. Run under ThreadSanitizer as well.
 */
#include "unit/store/fix.h"

#include <event2/event.h>
#include <ftw.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct threaded {
	struct fix fix;
	struct event_base *loop;
	char dir[64];
};

static void
threaded_open(struct threaded *t)
{
	struct store_config config = fix_config(&t->fix, t->dir);
	struct leased_err err = LEASED_ERR_INIT;

	config.inline_mode = false;
	config.loop = t->loop;
	if (store_open(&config, &t->fix.store, &err) != 0)
		fail_msg("store_open: %s", err.text);
	t->fix.db = store_db(t->fix.store);
}

static int
setup(void **state)
{
	struct threaded *t = calloc(1, sizeof(*t));

	snprintf(t->dir, sizeof(t->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	wclock_fake_init(&t->fix.clock, INT64_C(1795400000000000));
	t->fix.root = seal_root_new_random();
	t->loop = event_base_new();
	threaded_open(t);
	*state = t;
	return (0);
}

static int
teardown(void **state)
{
	struct threaded *t = *state;

	store_close(t->fix.store);
	fix_remove(t->dir);
	event_base_free(t->loop);
	seal_root_free(t->fix.root);
	free(t);
	return (0);
}

static void
wait_for(struct threaded *t, const bool *finished)
{
	while (!*finished)
		assert_int_equal(event_base_loop(t->loop, EVLOOP_ONCE), 0);
}

static int
hold(struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)txn;
	(void)err;
	while (sem_wait(arg) != 0)
		continue;
	return (0);
}

static void
what_waits_for_a_commit_shares_the_next_one(void **state)
{
	enum { COUNT = 100 };
	struct threaded *t = *state;
	struct store_lease *leases[COUNT];
	struct fix_op ops[COUNT], holder;
	struct store_health before, after;
	sem_t gate;

	sem_init(&gate, 0, 0);
	holder = fix_op(hold, &gate);
	store_health_get(t->fix.store, &before);
	store_submit(t->fix.store, &holder.op);
	for (int i = 0; i < COUNT; i++) {
		leases[i] = fix_lease(5, i, "account");
		ops[i] = fix_op(fix_lease_insert, leases[i]);
		store_submit(t->fix.store, &ops[i].op);
	}
	sem_post(&gate);
	wait_for(t, &ops[COUNT - 1].finished);
	store_health_get(t->fix.store, &after);
	assert_int_equal(after.operations - before.operations, COUNT + 1);
	assert_in_range(after.commits - before.commits, 1, 3);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(ops[i].result, 0);
		assert_int_equal(leases[i]->id, i + 1);
		store_lease_free(leases[i]);
	}
	sem_destroy(&gate);
}

struct gates {
	sem_t begun, gate;
};

static int
hold_told(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct gates *gates = arg;

	(void)sem_post(&gates->begun);
	return (hold(txn, &gates->gate, err));
}

static int
nothing(struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)txn;
	(void)arg;
	(void)err;
	return (0);
}

static void
what_waits_and_what_is_on_disk_is_told(void **state)
{
	struct threaded *t = *state;
	struct store_stats stats;
	struct fix_op holder, waits[3];
	struct gates gates;

	sem_init(&gates.begun, 0, 0);
	sem_init(&gates.gate, 0, 0);
	store_stats_get(t->fix.store, &stats);
	assert_int_equal(stats.writes_waiting, 0);
	assert_true(stats.file_bytes > 0 && stats.has_reserve);
	holder = fix_op(hold_told, &gates);
	store_submit(t->fix.store, &holder.op);
	while (sem_wait(&gates.begun) != 0)
		continue;
	for (int i = 0; i < 3; i++) {
		waits[i] = fix_op(nothing, NULL);
		store_submit(t->fix.store, &waits[i].op);
	}
	store_stats_get(t->fix.store, &stats);
	assert_int_equal(stats.writes_waiting, 3);
	assert_int_equal(stats.reads_waiting, 0);
	assert_int_equal(stats.health.code, 0);
	sem_post(&gates.gate);
	wait_for(t, &waits[2].finished);
	store_stats_get(t->fix.store, &stats);
	assert_int_equal(stats.writes_waiting, 0);
	assert_true(stats.log_bytes > 0);
	sem_destroy(&gates.begun);
	sem_destroy(&gates.gate);
}

static unsigned order_next;

static void
on_ordered(struct store_op *op, int result, const struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	(void)err;
	f->result = result;
	assert_ptr_equal(f->arg, (void *)(uintptr_t)order_next);
	order_next++;
	f->finished = true;
}

static int
odd_ones_fail(struct store_txn *txn, void *arg, struct leased_err *err)
{
	if ((uintptr_t)arg % 2 == 1)
		return (leased_err_set(err, LEASED_EINVAL, "odd"));
	return (store_meta_put(txn, "last", "x", err));
}

static void
results_come_in_order_of_submission_each_its_own(void **state)
{
	enum { COUNT = 1500 };
	struct threaded *t = *state;
	struct fix_op *ops = calloc(COUNT, sizeof(*ops));

	order_next = 0;
	for (uintptr_t i = 0; i < COUNT; i++) {
		ops[i] = fix_op(odd_ones_fail, (void *)i);
		ops[i].op.done = on_ordered;
		store_submit(t->fix.store, &ops[i].op);
		assert_false(ops[i].finished);
	}
	wait_for(t, &ops[COUNT - 1].finished);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(ops[i].result, i % 2 == 1 ? LEASED_EINVAL : 0);
	free(ops);
}

struct counting_read {
	struct store_read read; /* first */
	size_t count;
	int result;
	bool finished;
	_Atomic bool enough;
};

static int
count_leases(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct counting_read *counting = (struct counting_read *)read;
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 100000};
	struct store_lease **leases = NULL;
	int r;

	if ((r = store_snapshot_begin(db, err)) != 0)
		return (r);
	r = store_lease_page(db, &query, &leases, &counting->count, err);
	store_snapshot_end(db);
	if (r == 0)
		store_lease_page_free(leases, counting->count);
	return (r);
}

static void
on_counted(struct store_read *read, int result, const struct leased_err *err)
{
	struct counting_read *counting = (struct counting_read *)read;

	(void)err;
	counting->result = result;
	counting->finished = true;
}

/* Reads and writes at once, long enough for the log to be copied and begun anew. */
static void
reads_run_beside_writes(void **state)
{
	enum { ROUNDS = 30, COUNT = 200 };
	struct threaded *t = *state;
	struct store_lease *got = NULL;
	size_t last = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct counting_read read = {.read = {.run = count_leases, .done = on_counted}};
		struct fix_op ops[COUNT];
		struct store_lease *leases[COUNT];

		for (int i = 0; i < COUNT; i++) {
			leases[i] = fix_lease(5, i, "account");
			ops[i] = fix_op(fix_lease_insert, leases[i]);
			store_submit(t->fix.store, &ops[i].op);
		}
		store_submit_read(t->fix.store, &read.read);
		assert_false(read.finished);
		wait_for(t, &ops[COUNT - 1].finished);
		wait_for(t, &read.finished);
		assert_int_equal(read.result, 0);
		assert_in_range(read.count, last, (size_t)(round + 1) * COUNT);
		last = read.count;
		/* The loop's own handle sees what is done. */
		assert_int_equal(store_lease_get(t->fix.db, leases[COUNT - 1]->id, &got, NULL), 0);
		store_lease_free(got);
		for (int i = 0; i < COUNT; i++)
			store_lease_free(leases[i]);
	}
}

static void
closing_writes_what_is_queued_and_calls_back(void **state)
{
	enum { COUNT = 50 };
	struct threaded *t = *state;
	struct counting_read read = {.read = {.run = count_leases, .done = on_counted}};
	struct store_lease *leases[COUNT], *got = NULL;
	struct fix_op ops[COUNT];

	for (int i = 0; i < COUNT; i++) {
		leases[i] = fix_lease(5, i, "account");
		ops[i] = fix_op(fix_lease_insert, leases[i]);
		store_submit(t->fix.store, &ops[i].op);
	}
	store_submit_read(t->fix.store, &read.read);
	store_close(t->fix.store);
	assert_true(read.finished);
	for (int i = 0; i < COUNT; i++)
		assert_true(ops[i].finished && ops[i].result == 0);
	threaded_open(t);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(store_lease_get(t->fix.db, leases[i]->id, &got, NULL), 0);
		store_lease_free(got);
		store_lease_free(leases[i]);
	}
}

/* As a walk over a large store, of which nobody sees the end. */
static int
walk_for_ever(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 64};
	struct store_lease **leases = NULL;
	size_t count;
	int r;

	(void)read;
	while ((r = store_lease_page(db, &query, &leases, &count, err)) == 0)
		store_lease_page_free(leases, count);
	return (r);
}

static int
walk_until_told(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct counting_read *walk = (struct counting_read *)read;

	(void)err;
	walk->count++;
	while (!store_read_is_long(db))
		usleep(1000);
	return (walk->enough ? 0 : STORE_READ_AGAIN);
}

static void
a_short_read_does_not_wait_for_the_end_of_a_long_one(void **state)
{
	struct threaded *t = *state;
	struct counting_read walk = {.read = {.run = walk_until_told, .done = on_counted}};
	struct counting_read quick = {.read = {.run = count_leases, .done = on_counted}};

	store_submit_read(t->fix.store, &walk.read);
	store_submit_read(t->fix.store, &quick.read);
	wait_for(t, &quick.finished);
	assert_false(walk.finished);
	walk.enough = true;
	wait_for(t, &walk.finished);
	assert_true(walk.result == 0 && walk.count > 1);
}

static int
never_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	(void)read;
	(void)db;
	(void)err;
	abort();
}

static void
a_stop_cuts_reads_and_tells_whoever_waits_before_it_returns(void **state)
{
	struct threaded *t = *state;
	struct counting_read walk = {.read = {.run = walk_for_ever, .done = on_counted}};
	struct counting_read queued = {.read = {.run = never_run, .done = on_counted}};
	struct store_lease *lease = fix_lease(5, 1, "account");
	struct fix_op op = fix_op(fix_lease_insert, lease), late = fix_op(fix_lease_insert, lease);

	store_submit_read(t->fix.store, &walk.read);
	store_submit_read(t->fix.store, &queued.read);
	store_submit(t->fix.store, &op.op);
	store_stop(t->fix.store);
	assert_true(walk.finished && walk.result == LEASED_ECANCELED);
	assert_true(queued.finished && queued.result == LEASED_ECANCELED);
	assert_true(op.finished && op.result == 0);
	store_submit(t->fix.store, &late.op);
	store_close(t->fix.store);
	assert_true(late.finished && late.result == LEASED_ECANCELED);
	store_lease_free(lease);
	threaded_open(t);
}

static void
the_log_does_not_grow_without_bound(void **state)
{
	enum { ROUNDS = 60, COUNT = 200 };
	struct threaded *t = *state;
	char path[96];
	struct stat st;

	for (int round = 0; round < ROUNDS; round++) {
		struct fix_op ops[COUNT];
		struct store_lease *leases[COUNT];

		for (int i = 0; i < COUNT; i++) {
			leases[i] = fix_lease(5, i * 7919 % 1000, "account");
			ops[i] = fix_op(fix_lease_insert, leases[i]);
			store_submit(t->fix.store, &ops[i].op);
		}
		wait_for(t, &ops[COUNT - 1].finished);
		for (int i = 0; i < COUNT; i++)
			store_lease_free(leases[i]);
	}
	snprintf(path, sizeof(path), "%s/leased.db-wal", t->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 1, 24 * 1024 * 1024);
}

#define THREADED_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    THREADED_TEST(what_waits_for_a_commit_shares_the_next_one),
	    THREADED_TEST(what_waits_and_what_is_on_disk_is_told),
	    THREADED_TEST(results_come_in_order_of_submission_each_its_own),
	    THREADED_TEST(reads_run_beside_writes),
	    THREADED_TEST(closing_writes_what_is_queued_and_calls_back),
	    THREADED_TEST(a_short_read_does_not_wait_for_the_end_of_a_long_one),
	    THREADED_TEST(a_stop_cuts_reads_and_tells_whoever_waits_before_it_returns),
	    THREADED_TEST(the_log_does_not_grow_without_bound),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: threads", tests, NULL, NULL));
}
