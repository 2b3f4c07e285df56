/*
 * Memory that runs out in fsck, a backup, a restore and the start of what was restored: nothing
 * half is left, no row is blamed, and the next try comes to its end.
 */
#include "unit/store/world.h"

#include <stdio.h>
#include <unistd.h>

#include "store/hold.h"
#include "store/offline_private.h"
#include "support/failalloc.h"

/* ---- fsck, backup, restore, and the start of what was restored ---- */

static void
on_found(void *arg, enum store_found found, const char *text)
{
	struct world *w = arg;

	(void)text;
	w->left += found == STORE_FOUND_LEFT;
	w->repaired += found == STORE_FOUND_REPAIRED;
}

static int
fsck(struct world *w, bool repair)
{
	struct store_offline_config config = {.dir = w->dir,
	    .writable = repair,
	    .root = w->fix.root,
	    .clock = &w->fix.clock.clock,
	    .ids = id_source_system()};
	struct store_check check = {.repair = repair, .on_found = on_found, .arg = w};
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	w->left = w->repaired = 0;
	if ((r = store_offline_open(&config, &check.store, &err)) == 0)
		r = store_check(&check, &err);
	store_offline_close(check.store);
	return (r);
}

static int
fsck_look(void *arg)
{
	struct world *w = arg;
	int r = fsck(w, false);

	if (w->left > 3)
		fail_msg("%u findings", w->left);
	return (r);
}

static int
fsck_repair(void *arg)
{
	return (fsck(arg, true));
}

/* The connection's leases have no document here, which is a finding of its own: 1 or 2. */
static void
fsck_without_memory_blames_no_row_and_goes_on_where_it_stopped(void **state)
{
	struct world *w = *state;
	unsigned usual;

	store_close(w->fix.store);
	w->fix.store = NULL;
	assert_int_equal(fsck(w, false), 0);
	usual = w->left;
	assert_true(failalloc_each(fsck_look, w) > 30);
	assert_int_equal(w->left, usual);
	fix_open(&w->fix, w->dir);
	fix_sql(&w->fix, "UPDATE lease SET next_at = 77 WHERE account = 'l-one';"
			 "UPDATE job SET sealed = x'00'; DROP INDEX lease_owner;"
			 "UPDATE meta SET value = 'other' WHERE name = 'setting'");
	store_close(w->fix.store);
	w->fix.store = NULL;
	assert_true(failalloc_each(fsck_repair, w) > 30);
	assert_int_equal(fsck(w, true), 0);
	assert_int_equal(w->repaired, 0);
	fix_open(&w->fix, w->dir);
	assert_int_equal(world_read_lease(w), 0);
	assert_int_equal(fix_quarantined(&w->fix), 1);
}

static int
backup_now(void *arg)
{
	struct world *w = arg;
	char from[128];
	struct store_copy_config config = {.from = from,
	    .to = w->copy,
	    .force = true,
	    .clock = &w->fix.clock.clock,
	    .ids = id_source_system()};

	snprintf(from, sizeof(from), "%s/leased.db", w->dir);
	return (store_copy_backup(&config, NULL));
}

static int
restore_now(void *arg)
{
	struct world *w = arg;
	struct store_copy_config config = {.from = w->copy,
	    .to = w->other,
	    .clock = &w->fix.clock.clock,
	    .ids = id_source_system()};

	/* A failure that was survived has made it. */
	if (access(w->other, F_OK) == 0)
		fix_remove(w->other);
	return (store_copy_restore(&config, w->fix.root, NULL));
}

static int
open_restored(void *arg)
{
	struct world *w = arg;
	struct store_config config = fix_config(&w->fix, w->other);
	struct store *store = NULL;
	struct store_hold hold = {.held = false};
	int r = store_open(&config, &store, NULL);

	if (r == 0) {
		store_hold_get(store, &hold);
		assert_true(hold.held);
		assert_true(store_held(store, w->lease_id));
	}
	store_close(store);
	return (r);
}

static void
a_backup_and_a_restore_without_memory_leave_nothing_half(void **state)
{
	struct world *w = *state;

	assert_true(failalloc_each(backup_now, w) > 5);
	assert_true(failalloc_each(restore_now, w) > 10);
	store_close(w->fix.store);
	w->fix.store = NULL;
	assert_true(failalloc_each(open_restored, w) > 10);
	fix_open(&w->fix, w->other);
	assert_int_equal(world_read_lease(w), 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
	    T(fsck_without_memory_blames_no_row_and_goes_on_where_it_stopped),
	    T(a_backup_and_a_restore_without_memory_leave_nothing_half),
	};
#undef T

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: memory, offline", tests, NULL, NULL));
}
