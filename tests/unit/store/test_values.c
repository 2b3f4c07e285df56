/*
 * The small values of a store and what it is called: a changed byte is found and not believed,
 * values of versions that had no checksums are, and a store does not forget its tag.
 */
#include "unit/store/fix.h"

#include <stdio.h>

#include "store/value.h"
#include "store/hold.h"
#include "store/offline_private.h"

struct place {
	struct fix fix;
	char base[64], dir[80];
	char tag[STORE_TAG_LEN + 1];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->base, sizeof(p->base), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->dir, sizeof(p->dir), "%s/data", p->base);
	wclock_fake_init(&p->fix.clock, INT64_C(1795400000000000));
	p->fix.root = seal_root_new_random();
	fix_open(&p->fix, p->dir);
	(void)strlcpy(p->tag, store_tag(p->fix.store), sizeof(p->tag));
	*state = p;
	return (0);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	store_close(p->fix.store);
	seal_root_free(p->fix.root);
	fix_remove(p->base);
	free(p);
	return (0);
}

static void
again(struct place *p)
{
	store_close(p->fix.store);
	p->fix.store = NULL;
	fix_open(&p->fix, p->dir);
}

static int
put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_meta_put(txn, "setting", arg, err));
}

static void
a_value_that_was_changed_is_not_believed(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	char *text = NULL;

	assert_int_equal(fix_write(&p->fix, put, "7000"), 0);
	fix_sql(&p->fix, "UPDATE meta SET value = '3000' WHERE name = 'setting'");
	assert_int_equal(store_meta_get(p->fix.db, "setting", &text, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "leased fsck"));
	assert_null(text);
	assert_int_equal(fix_write(&p->fix, put, "9000"), 0);
	assert_int_equal(store_meta_get(p->fix.db, "setting", &text, &err), 0);
	assert_string_equal(text, "9000");
	free(text);
}

static void
a_value_under_another_values_name_is_not_believed(void **state)
{
	struct place *p = *state;
	char *text = NULL;

	assert_int_equal(fix_write(&p->fix, put, "7000"), 0);
	fix_sql(&p->fix, "UPDATE meta SET name = 'limit' WHERE name = 'setting'");
	assert_int_equal(store_meta_get(p->fix.db, "limit", &text, NULL), LEASED_ECORRUPT);
}

static void
a_value_of_a_version_without_checksums_is_believed(void **state)
{
	struct place *p = *state;
	char *text = NULL;

	fix_sql(&p->fix, "INSERT INTO meta (name, value) VALUES ('setting', 'old')");
	assert_int_equal(store_meta_get(p->fix.db, "setting", &text, NULL), 0);
	assert_string_equal(text, "old");
	free(text);
}

static void
a_store_of_the_version_before_gets_checksums_at_its_next_start(void **state)
{
	struct place *p = *state;
	char *text = NULL;
	int64_t count = 0;

	fix_sql(&p->fix,
	    "DROP INDEX tombstone_account; ALTER TABLE meta DROP COLUMN sum; DELETE FROM meta "
	    "WHERE name = 'birth';"
	    "INSERT INTO meta (name, value) VALUES ('setting', 'old'); PRAGMA user_version = 6");
	again(p);
	assert_int_equal(store_meta_get(p->fix.db, "setting", &text, NULL), 0);
	free(text);
	assert_int_equal(store_sql_number(p->fix.db,
			     "SELECT count(*) FROM meta WHERE name = 'birth' AND sum IS NOT NULL",
			     SQL_NO_ARGS, &count, NULL),
	    0);
	assert_int_equal(count, 1);
}

static void
a_store_whose_tag_was_damaged_takes_it_from_its_copy(void **state)
{
	struct place *p = *state;
	char other[STORE_TAG_LEN + 1], sql[96];

	(void)strlcpy(other, p->tag, sizeof(other));
	other[2] = other[2] == 'a' ? 'b' : 'a';
	snprintf(sql, sizeof(sql), "UPDATE birth SET tag = '%s'", other);
	fix_sql(&p->fix, sql);
	again(p);
	assert_string_equal(store_tag(p->fix.store), p->tag);
	fix_sql(&p->fix, "UPDATE meta SET value = 'xxxxxx' WHERE name = 'birth'");
	again(p);
	assert_string_equal(store_tag(p->fix.store), p->tag);
	again(p); /* the copy was made anew */
	fix_sql(&p->fix, sql);
	again(p);
	assert_string_equal(store_tag(p->fix.store), p->tag);
}

static void
a_damaged_hold_does_not_start_and_ends_nobodys_leases(void **state)
{
	struct place *p = *state;
	struct store_config config = fix_config(&p->fix, p->dir);
	struct leased_err err = LEASED_ERR_INIT;
	struct store_hold hold = {.held = true, .below = 700, .since_wall_ms = 5};

	memcpy(hold.old_tag, "abc123", 7);
	assert_int_equal(store_hold_begin(p->fix.db, &hold, &err), 0);
	again(p);
	assert_true(store_held(p->fix.store, 700));
	assert_false(store_held(p->fix.store, 701));
	fix_sql(&p->fix, "UPDATE meta SET value = 'abc123 300 5' WHERE name = 'restore_hold'");
	store_close(p->fix.store);
	p->fix.store = NULL;
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "restore_hold"));
}

static void
only_what_a_hold_looks_like_is_one(void **state)
{
	static const char *const bad[] = {"", "abc123", "abc123 ", "abc123 1", "abc123 1 ",
	    "abc12 1 2", "abc1234 1 2", "Abc123 1 2", "abc123 -1 2", "abc123 1 2 ", "abc123  1 2",
	    "abc123 1 2x", "abc123 9999999999999999999 1", "abc123 0x1 2", "abc123\t1 2"};
	struct store_hold hold = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (store_hold_decode(bad[i], &hold, NULL) != LEASED_ECORRUPT)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(store_hold_decode("abc123 4294967296 17954", &hold, NULL), 0);
	assert_true(hold.held);
	assert_string_equal(hold.old_tag, "abc123");
	assert_int_equal(hold.below, INT64_C(4294967296));
	assert_int_equal(hold.since_wall_ms, 17954);
}

static void
a_copy_of_the_version_before_is_restored_with_its_hold(void **state)
{
	struct place *p = *state;
	char from[96], to[96];
	struct store_copy_config config = {
	    .from = from, .to = to, .clock = &p->fix.clock.clock, .ids = id_source_system()};
	struct leased_err err = LEASED_ERR_INIT;
	struct store_hold hold;

	snprintf(from, sizeof(from), "%s/leased.db", p->dir);
	snprintf(to, sizeof(to), "%s/restored", p->base);
	(void)fix_add(&p->fix, 5, 1000, "l-1");
	fix_sql(&p->fix, "DROP INDEX tombstone_account; ALTER TABLE meta DROP COLUMN sum; DELETE "
			 "FROM meta WHERE name = 'birth';"
			 "PRAGMA user_version = 6");
	store_close(p->fix.store);
	p->fix.store = NULL;
	if (store_copy_restore(&config, p->fix.root, &err) != 0)
		fail_msg("%s", err.text);
	fix_open(&p->fix, to);
	store_hold_get(p->fix.store, &hold);
	assert_true(hold.held);
	assert_string_equal(hold.old_tag, p->tag);
	assert_string_not_equal(store_tag(p->fix.store), p->tag);
}

static void
numbers_that_were_damaged_are_set_right_at_a_start(void **state)
{
	struct place *p = *state;
	int64_t first = fix_add(&p->fix, 5, 1000, "l-1"), second = fix_add(&p->fix, 5, 1000, "l-2");

	fix_sql(&p->fix, "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'lease'");
	again(p);
	assert_int_equal(fix_add(&p->fix, 5, 1000, "l-3"), second + 1);
	fix_sql(
	    &p->fix, "UPDATE sqlite_sequence SET seq = 4611686018427387904 WHERE name = 'lease'");
	again(p);
	assert_true(fix_add(&p->fix, 5, 1000, "l-4") > second + 1);
	assert_true(fix_add(&p->fix, 5, 1000, "l-5") < INT64_C(100000000000000));
	assert_int_equal(first + 1, second);
}

/* ---- fsck ---- */

struct findings {
	unsigned found[3];
	char texts[2048];
};

static void
on_found(void *arg, enum store_found found, const char *text)
{
	struct findings *findings = arg;

	findings->found[found]++;
	(void)strlcat(findings->texts, text, sizeof(findings->texts));
}

static struct findings
fsck(struct place *p, bool repair)
{
	struct store_offline_config config = {.dir = p->dir,
	    .writable = repair,
	    .root = p->fix.root,
	    .clock = &p->fix.clock.clock,
	    .ids = id_source_system()};
	struct findings findings = {.texts = ""};
	struct store_check check = {.repair = repair, .on_found = on_found, .arg = &findings};
	struct leased_err err = LEASED_ERR_INIT;

	store_close(p->fix.store);
	p->fix.store = NULL;
	if (store_offline_open(&config, &check.store, &err) != 0 || store_check(&check, &err) != 0)
		fail_msg("%s", err.text);
	store_offline_close(check.store);
	return (findings);
}

static void
fsck_finds_values_and_a_tag_that_were_changed(void **state)
{
	struct place *p = *state;
	struct findings findings;

	assert_int_equal(fix_write(&p->fix, put, "7000"), 0);
	fix_sql(&p->fix, "UPDATE meta SET value = '3000' WHERE name = 'setting';"
			 "INSERT INTO meta (name, value, sum) VALUES ('auth_x', 'y', x'00');"
			 "UPDATE birth SET tag = 'zzzzzz'");
	findings = fsck(p, false);
	assert_int_equal(findings.found[STORE_FOUND_LEFT], 3);
	assert_non_null(strstr(findings.texts, "the value setting: its checksum does not match"));
	assert_non_null(strstr(findings.texts, "zzzzzz"));
	findings = fsck(p, true);
	assert_int_equal(findings.found[STORE_FOUND_REPAIRED], 2);
	assert_int_equal(findings.found[STORE_FOUND_LEFT], 1);
	assert_non_null(strstr(findings.texts, "the value auth_x"));
	findings = fsck(p, false);
	assert_int_equal(findings.found[STORE_FOUND_LEFT], 1);
	fix_open(&p->fix, p->dir);
	assert_string_equal(store_tag(p->fix.store), p->tag);
}

static int
job_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_job_put(txn, arg, err));
}

static void
what_fsck_removed_or_found_good_again_is_no_longer_counted(void **state)
{
	struct place *p = *state;
	struct store_job job = {.data = json_object()}, *got = NULL;
	struct findings findings;

	assert_int_equal(fix_write(&p->fix, job_put, &job), 0);
	json_decref(job.data);
	fix_sql(&p->fix,
	    "UPDATE job SET sealed = x'00';"
	    "INSERT INTO quarantine (table_name, key, at, reason, connection, account,"
	    " next_at, disarmed) VALUES ('doc', 9, 1, 'it did not open', 0, '', 0, 1)");
	assert_int_equal(store_job_get(p->fix.db, job.id, &got, NULL), LEASED_ECORRUPT);
	findings = fsck(p, true);
	assert_int_equal(findings.found[STORE_FOUND_REPAIRED], 1);
	assert_int_equal(findings.found[STORE_FOUND_NOTE], 0);
	fix_open(&p->fix, p->dir);
	assert_int_equal(fix_quarantined(&p->fix), 0);
}

static void
fsck_makes_an_index_anew_whose_definition_was_damaged(void **state)
{
	struct place *p = *state;
	struct findings findings;

	fix_sql(
	    &p->fix, "DROP INDEX lease_due; CREATE INDEX lease_due ON lease (connection, mount)");
	findings = fsck(p, false);
	assert_int_equal(findings.found[STORE_FOUND_LEFT], 1);
	assert_non_null(strstr(findings.texts, "lease_due"));
	findings = fsck(p, true);
	assert_int_equal(findings.found[STORE_FOUND_REPAIRED], 1);
	findings = fsck(p, false);
	assert_int_equal(findings.found[STORE_FOUND_LEFT], 0);
	fix_open(&p->fix, p->dir);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_value_that_was_changed_is_not_believed),
	    T(a_value_under_another_values_name_is_not_believed),
	    T(a_value_of_a_version_without_checksums_is_believed),
	    T(a_store_of_the_version_before_gets_checksums_at_its_next_start),
	    T(a_store_whose_tag_was_damaged_takes_it_from_its_copy),
	    T(a_damaged_hold_does_not_start_and_ends_nobodys_leases),
	    T(only_what_a_hold_looks_like_is_one),
	    T(a_copy_of_the_version_before_is_restored_with_its_hold),
	    T(numbers_that_were_damaged_are_set_right_at_a_start),
	    T(fsck_finds_values_and_a_tag_that_were_changed),
	    T(what_fsck_removed_or_found_good_again_is_no_longer_counted),
	    T(fsck_makes_an_index_anew_whose_definition_was_damaged),
	};
#undef T

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: values", tests, NULL, NULL));
}
