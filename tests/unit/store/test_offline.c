/*
 * A store's file without its daemon: what fsck finds and mends, what a backup holds, what a restore
 * makes of it, and the hold.
 */
#include "unit/store/fix.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/hold.h"
#include "store/offline_private.h"

struct place {
	struct fix fix;
	char base[64], dir[80], copy[80], other[80];
	unsigned found[3];
	char last[512];
	unsigned leases;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->base, sizeof(p->base), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->dir, sizeof(p->dir), "%s/data", p->base);
	snprintf(p->copy, sizeof(p->copy), "%s/copy", p->base);
	snprintf(p->other, sizeof(p->other), "%s/other", p->base);
	wclock_fake_init(&p->fix.clock, INT64_C(1795400000000000));
	p->fix.root = seal_root_new_random();
	fix_open(&p->fix, p->dir);
	*state = p;
	return (0);
}

static void
closed(struct place *p)
{
	store_close(p->fix.store);
	p->fix.store = NULL;
}

static int
teardown(void **state)
{
	struct place *p = *state;

	closed(p);
	seal_root_free(p->fix.root);
	fix_remove(p->base);
	free(p);
	return (0);
}

static void
on_found(void *arg, enum store_found found, const char *text)
{
	struct place *p = arg;

	p->found[found]++;
	(void)strlcpy(p->last, text, sizeof(p->last));
}

static int
on_lease(void *arg, const struct store_lease *lease, struct leased_err *err)
{
	(void)lease;
	(void)err;
	((struct place *)arg)->leases++;
	return (0);
}

static void
check(struct place *p, bool repair)
{
	struct store_offline_config config = {.dir = p->dir,
	    .writable = repair,
	    .root = p->fix.root,
	    .clock = &p->fix.clock.clock,
	    .ids = id_source_system()};
	struct store_check own = {
	    .repair = repair, .on_found = on_found, .on_lease = on_lease, .arg = p};
	struct leased_err err = LEASED_ERR_INIT;

	memset(p->found, 0, sizeof(p->found));
	p->leases = 0;
	if (store_offline_open(&config, &own.store, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_check(&own, &err), 0);
	assert_int_equal(own.repaired, p->found[STORE_FOUND_REPAIRED]);
	assert_int_equal(own.left, p->found[STORE_FOUND_LEFT]);
	store_offline_close(own.store);
}

static void
found(struct place *p, unsigned repaired, unsigned left)
{
	assert_int_equal(p->found[STORE_FOUND_REPAIRED], repaired);
	assert_int_equal(p->found[STORE_FOUND_LEFT], left);
}

static void
a_good_store_is_clean(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < 300; i++) {
		char account[32];

		snprintf(account, sizeof(account), "l-%d", i);
		(void)fix_add(&p->fix, 0, 1000 + i, account);
	}
	closed(p);
	check(p, false);
	found(p, 0, 0);
	assert_int_equal(p->leases, 300);
}

static void
a_lease_of_a_connection_that_is_not_there_is_named(void **state)
{
	struct place *p = *state;

	(void)fix_add(&p->fix, 5, 1000, "l-1");
	closed(p);
	check(p, true);
	found(p, 0, 1);
	assert_non_null(strstr(p->last, "1 leases are of a connection"));
}

static void
looking_writes_nothing_and_mending_needs_one_pass(void **state)
{
	struct place *p = *state;

	(void)fix_add(&p->fix, 0, 1000, "l-1");
	(void)fix_add(&p->fix, 0, 2000, "l-2");
	(void)fix_add(&p->fix, 0, 3000, "l-3");
	fix_sql(&p->fix, "UPDATE lease SET next_at = 5 WHERE id = 1");
	fix_sql(&p->fix, "UPDATE lease SET sealed = x'0102' WHERE id = 2");
	fix_sql(&p->fix, "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'lease'");
	closed(p);
	check(p, false);
	found(p, 0, 3);
	check(p, false);
	found(p, 0, 3);
	check(p, true);
	found(p, 3, 0);
	assert_int_equal(p->leases, 2);
	check(p, false);
	found(p, 0, 0);
	assert_int_equal(p->found[STORE_FOUND_NOTE], 1); /* the quarantine is listed */
}

static int
job_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct store_job job = {.data = json_object()};
	int r = store_job_put(txn, &job, err);

	(void)arg;
	json_decref(job.data);
	return (r);
}

static void
a_token_whose_lost_job_was_its_end_is_due_again(void **state)
{
	struct place *p = *state;
	struct store_lease *token = fix_lease(0, INT64_MAX / 4, "");
	struct store_lease *again = NULL;
	struct leased_err err = LEASED_ERR_INIT;

	token->kind = STORE_LEASE_TOKEN;
	token->state = STORE_LEASE_LIVE;
	token->revoke = true;
	assert_int_equal(fix_write(&p->fix, fix_lease_insert, token), 0);
	assert_int_equal(fix_write(&p->fix, job_put, NULL), 0);
	fix_sql(&p->fix, "UPDATE job SET sealed = x'00'");
	closed(p);
	check(p, true);
	found(p, 1, 0);
	fix_open(&p->fix, p->dir);
	assert_int_equal(store_lease_get(p->fix.db, token->id, &again, &err), 0);
	assert_int_equal(again->next_at_ms, 1);
	store_lease_free(again);
	store_lease_free(token);
}

/* ---- copies ---- */

static int
backup(struct place *p, bool force, struct leased_err *err)
{
	char from[128];
	struct store_copy_config config = {.from = from,
	    .to = p->copy,
	    .force = force,
	    .clock = &p->fix.clock.clock,
	    .ids = id_source_system()};

	snprintf(from, sizeof(from), "%s/leased.db", p->dir);
	return (store_copy_backup(&config, err));
}

static int
restore(struct place *p, struct seal_root *root, struct leased_err *err)
{
	struct store_copy_config config = {.from = p->copy,
	    .to = p->other,
	    .clock = &p->fix.clock.clock,
	    .ids = id_source_system()};

	return (store_copy_restore(&config, root, err));
}

static void
a_backup_of_an_open_store_restores_held_with_a_new_tag_and_far_numbers(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	char tag[STORE_TAG_LEN + 1];
	struct store_hold hold;
	struct store_lease *lease = NULL;
	int64_t id = fix_add(&p->fix, 4, 1000, "l-old"), at_ms = 0;

	if (backup(p, false, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(backup(p, false, &err), LEASED_EEXIST);
	assert_int_equal(backup(p, true, &err), 0);
	(void)fix_add(&p->fix, 4, 1000, "l-later");
	memcpy(tag, store_tag(p->fix.store), sizeof(tag));
	closed(p);
	if (restore(p, p->fix.root, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(restore(p, p->fix.root, &err), LEASED_EEXIST);
	fix_open(&p->fix, p->other);
	assert_string_not_equal(store_tag(p->fix.store), tag);
	store_hold_get(p->fix.store, &hold);
	assert_true(hold.held);
	assert_int_equal(hold.below, id);
	assert_string_equal(hold.old_tag, tag);
	assert_int_equal(store_lease_get(p->fix.db, id, &lease, &err), 0);
	assert_string_equal(lease->account, "l-old");
	store_lease_free(lease);
	assert_int_equal(store_lease_get(p->fix.db, id + 1, &lease, &err), LEASED_ENOENT);
	assert_true(store_held(p->fix.store, id));
	assert_int_equal(store_lease_next_at(p->fix.db, 4, &at_ms, &err), LEASED_ENOENT);
	assert_true(fix_add(&p->fix, 4, 7000, "l-new") > (INT64_C(1) << 32));
	assert_int_equal(store_lease_next_at(p->fix.db, 4, &at_ms, &err), 0);
	assert_int_equal(at_ms, 7000);
}

static int
release(struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)arg;
	return (store_hold_release(txn, err));
}

static unsigned
due(struct place *p)
{
	struct store_lease_query query = {
	    .by = STORE_BY_DUE, .number = 4, .until_ms = 9000, .not_held = true, .limit = 1};
	struct store_lease **rows = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	unsigned seen = 0;
	size_t count = 1;

	while (count > 0) {
		assert_int_equal(store_lease_page(p->fix.db, &query, &rows, &count, &err), 0);
		seen += (unsigned)count;
		if (count > 0) {
			query.from_ms = rows[0]->next_at_ms;
			query.after = rows[0]->id;
		}
		store_lease_page_free(rows, count);
	}
	return (seen);
}

static void
what_is_held_is_not_due_until_it_is_released(void **state)
{
	struct place *p = *state;
	int64_t doc = 0, since_ms;
	struct store_hold hold;
	size_t count = 0;
	struct leased_err err = LEASED_ERR_INIT;

	(void)fix_add(&p->fix, 4, 1000, "l-1");
	(void)fix_add(&p->fix, 4, 1000, "l-2");
	fix_sql(&p->fix, "INSERT INTO rotation VALUES (9, 4, 'static', 99000)");
	fix_sql(&p->fix, "INSERT INTO rotation VALUES (4, 4, '', 99000)");
	fix_sql(&p->fix, "INSERT INTO session VALUES (4, 'worker', 'pid 5')");
	assert_int_equal(backup(p, false, &err), 0);
	closed(p);
	assert_int_equal(restore(p, p->fix.root, &err), 0);
	fix_open(&p->fix, p->other);
	(void)fix_add(&p->fix, 4, 1000, "l-3");
	(void)fix_add(&p->fix, 4, 1000, "l-4");
	(void)fix_add(&p->fix, 4, 2000, "l-5");
	assert_int_equal(due(p), 3);
	assert_int_equal(store_rotation_due(p->fix.db, 4, 9000, 1, &doc, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_rotation_next_at(p->fix.db, 4, &doc, &err), LEASED_ENOENT);
	assert_int_equal(fix_write(&p->fix, release, NULL), 0);
	assert_int_equal(due(p), 3); /* what is remembered holds until the loop knows */
	store_hold_released(p->fix.store);
	assert_int_equal(due(p), 5);
	assert_int_equal(store_rotation_due(p->fix.db, 4, 9000, 1, &doc, &count, &err), 0);
	/* Of static roles, which the original may have rotated, alone. */
	assert_int_equal(count, 1);
	assert_int_equal(doc, 9);
	store_hold_get(p->fix.store, &hold);
	assert_false(hold.held);
	since_ms = hold.restored_wall_ms;
	assert_true(since_ms > 0);
	/* A second release is none: what was settled meanwhile stays so. */
	fix_sql(&p->fix, "UPDATE rotation SET next_at = 99000");
	assert_int_equal(fix_write(&p->fix, release, NULL), 0);
	assert_int_equal(store_rotation_due(p->fix.db, 4, 9000, 1, &doc, &count, &err), 0);
	assert_int_equal(count, 0);
	closed(p);
	fix_open(&p->fix, p->other);
	store_hold_get(p->fix.store, &hold);
	assert_true(hold.restored_wall_ms == since_ms && !hold.held);
	assert_int_equal(due(p), 5);
	assert_false(store_held(p->fix.store, 1));
}

static void
another_key_restores_nothing(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct seal_root *other = seal_root_new_random();
	struct stat status;

	assert_int_equal(backup(p, false, &err), 0);
	assert_int_equal(restore(p, other, &err), LEASED_ECORRUPT);
	assert_int_not_equal(stat(p->other, &status), 0);
	seal_root_free(other);
}

static void
a_backup_is_no_store(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = fix_config(&p->fix, p->other);
	char path[128];

	assert_int_equal(backup(p, false, &err), 0);
	closed(p);
	assert_int_equal(mkdir(p->other, 0700), 0);
	snprintf(path, sizeof(path), "%s/leased.db", p->other);
	assert_int_equal(rename(p->copy, path), 0);
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "leased restore"));
}

static void
an_emptied_file_is_not_a_new_store(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = fix_config(&p->fix, p->dir);
	char path[128];

	closed(p);
	snprintf(path, sizeof(path), "%s/leased.db", p->dir);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "is empty"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_good_store_is_clean, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_lease_of_a_connection_that_is_not_there_is_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		looking_writes_nothing_and_mending_needs_one_pass, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_token_whose_lost_job_was_its_end_is_due_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_backup_of_an_open_store_restores_held_with_a_new_tag_and_far_numbers, setup,
		teardown),
	    cmocka_unit_test_setup_teardown(
		what_is_held_is_not_due_until_it_is_released, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_key_restores_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_backup_is_no_store, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_emptied_file_is_not_a_new_store, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
