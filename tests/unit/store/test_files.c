/*
 * The data directory and what happens to it: modes, the lock, other schemas, other keys, and that a
 * process killed anywhere leaves all that it acknowledged and nothing half.
 */
#include "unit/store/fix.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "store/row.h"
#include "support/child.h"

struct place {
	struct fix fix;
	char dir[64];
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	wclock_fake_init(&p->fix.clock, INT64_C(1795400000000000));
	p->fix.root = seal_root_new_random();
	*state = p;
	return (0);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	fix_remove(p->dir);
	seal_root_free(p->fix.root);
	free(p);
	return (0);
}

static int
try_open(struct place *p, const char *dir, struct leased_err *err)
{
	struct store_config config = fix_config(&p->fix, dir);

	p->fix.store = NULL;
	return (store_open(&config, &p->fix.store, err));
}

static void
path_in(const struct place *p, const char *name, char ret_path[128])
{
	snprintf(ret_path, 128, "%s/%s", p->dir, name);
}

static void
mode_is(const struct place *p, const char *name, mode_t mode)
{
	char path[128];
	struct stat st;

	path_in(p, name, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
all_files_are_ours_alone(void **state)
{
	struct place *p = *state;
	mode_t before = umask(0);

	fix_open(&p->fix, p->dir);
	fix_add(&p->fix, 1, 1, "a");
	umask(before);
	mode_is(p, "leased.db", 0600);
	mode_is(p, "leased.db-wal", 0600);
	mode_is(p, "leased.db-shm", 0600);
	mode_is(p, "lock", 0600);
	mode_is(p, "reserve", 0600);
	store_close(p->fix.store);
}

static void
a_missing_directory_is_made_for_us_alone(void **state)
{
	struct place *p = *state;
	char path[128];

	path_in(p, "data", path);
	fix_open(&p->fix, path);
	store_close(p->fix.store);
	mode_is(p, "data", 0700);
}

static void
a_directory_or_file_open_to_others_is_refused(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;
	char path[128];

	assert_int_equal(chmod(p->dir, 0750), 0);
	assert_int_equal(try_open(p, p->dir, &err), LEASED_EDENIED);
	assert_non_null(strstr(err.text, "chmod 700"));
	assert_int_equal(chmod(p->dir, 0700), 0);
	fix_open(&p->fix, p->dir);
	store_close(p->fix.store);
	path_in(p, "leased.db", path);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(try_open(p, p->dir, &err), LEASED_EDENIED);
	assert_non_null(strstr(err.text, "chmod 600"));
}

static void
a_second_opener_is_refused_by_the_firsts_pid(void **state)
{
	struct place *p = *state, second = *p;
	struct leased_err err = LEASED_ERR_INIT;
	char pid[32];

	fix_open(&p->fix, p->dir);
	assert_int_equal(try_open(&second, p->dir, &err), LEASED_EEXIST);
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_non_null(strstr(err.text, pid));
	store_close(p->fix.store);
	assert_int_equal(try_open(&second, p->dir, &err), 0);
	store_close(second.fix.store);
}

static void
tag_cluster_and_content_outlive_a_restart_and_the_epoch_grows(void **state)
{
	struct place *p = *state;
	struct store_lease *got = NULL;
	uint8_t mac[SEAL_HMAC_SIZE], again[SEAL_HMAC_SIZE];
	char tag[16], cluster[40];
	int64_t id, epoch;

	fix_open(&p->fix, p->dir);
	id = fix_add(&p->fix, 1, 1, "a");
	snprintf(tag, sizeof(tag), "%s", store_tag(p->fix.store));
	snprintf(cluster, sizeof(cluster), "%s", store_cluster_id(p->fix.store));
	assert_int_equal(seal_hmac(store_seal(p->fix.store), "token", "x", 1, mac, NULL), 0);
	epoch = p->fix.store->epoch;
	assert_int_equal(strspn(tag, "0123456789abcdefghijklmnopqrstuvwxyz"), 6);
	assert_int_equal(strlen(cluster), 36);
	store_close(p->fix.store);
	fix_open(&p->fix, p->dir);
	assert_string_equal(store_tag(p->fix.store), tag);
	assert_string_equal(store_cluster_id(p->fix.store), cluster);
	assert_int_equal(p->fix.store->epoch, epoch + 1);
	assert_int_equal(seal_hmac(store_seal(p->fix.store), "token", "x", 1, again, NULL), 0);
	assert_memory_equal(mac, again, sizeof(mac));
	assert_int_equal(store_lease_get(p->fix.db, id, &got, NULL), 0);
	store_lease_free(got);
	store_close(p->fix.store);
}

static void
another_root_key_does_not_open_it_and_changes_nothing(void **state)
{
	struct place *p = *state;
	struct seal_root *right = p->fix.root;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(&p->fix, p->dir);
	store_close(p->fix.store);
	p->fix.root = seal_root_new_random();
	assert_int_equal(try_open(p, p->dir, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "root key"));
	seal_root_free(p->fix.root);
	p->fix.root = right;
	fix_open(&p->fix, p->dir);
	assert_int_equal(p->fix.store->epoch, 2);
	store_close(p->fix.store);
}

static void
a_newer_schema_is_refused_with_what_to_do(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(&p->fix, p->dir);
	fix_sql(&p->fix, "PRAGMA user_version = 99");
	store_close(p->fix.store);
	assert_int_equal(try_open(p, p->dir, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "schema 99"));
	assert_non_null(strstr(err.text, "newer version"));
}

static void
another_programs_database_is_refused(void **state)
{
	struct place *p = *state;
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(&p->fix, p->dir);
	fix_sql(&p->fix, "PRAGMA application_id = 1");
	store_close(p->fix.store);
	assert_int_equal(try_open(p, p->dir, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "not a leased store"));
}

/* ---- damage to the file itself, not through SQL ---- */

static void
flip(const char *path, const char *what, unsigned occurrence)
{
	int fd = open(path, O_RDWR);
	struct stat st;
	char *bytes, *at;

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	at = bytes;
	for (unsigned i = 0; i < occurrence; i++) {
		at = memmem(at, (size_t)(bytes + st.st_size - at), what, strlen(what));
		assert_non_null(at);
		at++;
	}
	assert_int_equal(pwrite(fd, "#", 1, at - 1 - bytes), 1);
	free(bytes);
	close(fd);
}

static void
damaged_columns_and_damaged_indexes_of_the_file_hide_no_lease(void **state)
{
	struct place *p = *state;
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 200};
	struct store_lease **leases = NULL;
	char path[128], account[32];
	size_t count = 0;

	fix_open(&p->fix, p->dir);
	for (int i = 0; i < 100; i++) {
		snprintf(account, sizeof(account), "account-%03d-x", i);
		fix_add(&p->fix, 5, 1000 + i, account);
	}
	store_close(p->fix.store);
	path_in(p, "leased.db", path);
	/* The account stands in the row and in its index: each of the two once. */
	flip(path, "account-017-x", 1);
	flip(path, "account-042-x", 2);
	fix_open(&p->fix, p->dir);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_lease_page(p->fix.db, &query, &leases, &count, NULL), 0);
		store_lease_page_free(leases, count);
		store_pump(p->fix.store);
	}
	assert_true(count >= 98);
	assert_int_equal(count + fix_quarantined(&p->fix), 100);
	store_close(p->fix.store);
}

/* By another program than leased, while none runs. */
static void
outside(const struct place *p, const char *text)
{
	char path[128];
	sqlite3 *sqlite = NULL;

	path_in(p, "leased.db", path);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
}

/* The index's definition, changed behind SQLite's back: with WHERE 0 it takes no entries. */
static void
index_define(const struct place *p, const char *condition)
{
	char text[256];

	snprintf(text, sizeof(text),
	    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql ="
	    " 'CREATE INDEX lease_due ON lease (connection, next_at)%s' WHERE name = 'lease_due'",
	    condition);
	outside(p, text);
}

static void
a_store_whose_definitions_are_damaged_is_refused_and_not_written_to(void **state)
{
	struct place *p = *state;
	struct store_config config = fix_config(&p->fix, p->dir);
	struct leased_err err = LEASED_ERR_INIT;

	fix_open(&p->fix, p->dir);
	fix_add(&p->fix, 5, 1000, "account");
	store_close(p->fix.store);
	index_define(p, " WHERE 0");
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "index lease_due is not as leased makes it"));
	assert_non_null(strstr(err.text, "leased fsck --repair"));
	index_define(p, "");
	outside(p, "DROP INDEX lease_owner");
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "index lease_owner is missing"));
	outside(p, "CREATE INDEX lease_owner ON lease (owner) WHERE owner <> ''");
	outside(p, "DROP TABLE session");
	assert_int_equal(store_open(&config, &p->fix.store, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "table session is missing"));
	assert_non_null(strstr(err.text, "backup"));
}

static void
a_lease_that_is_missing_from_the_index_of_expiry_is_found(void **state)
{
	struct place *p = *state;
	struct store_lease_query due = {
	    .by = STORE_BY_DUE, .number = 5, .until_ms = 5000, .limit = 9};
	struct store_scrub scrub = {0};
	struct store_lease **leases = NULL;
	int64_t wait_ms = 0;
	size_t count = 9;

	fix_open(&p->fix, p->dir);
	fix_add(&p->fix, 5, 1000, "account");
	store_close(p->fix.store);
	index_define(p, " WHERE 0");
	outside(p, "REINDEX lease_due");
	index_define(p, "");
	fix_open(&p->fix, p->dir);
	assert_int_equal(store_lease_page(p->fix.db, &due, &leases, &count, NULL), 0);
	assert_int_equal(count, 0);
	assert_int_equal(store_scrub_step(p->fix.db, &scrub, &wait_ms, NULL), 0);
	store_pump(p->fix.store);
	assert_int_equal(store_lease_page(p->fix.db, &due, &leases, &count, NULL), 0);
	assert_int_equal(count, 1);
	store_lease_page_free(leases, count);
	assert_int_equal(fix_quarantined(&p->fix), 0);
	store_close(p->fix.store);
}

/* ---- killed in the middle ---- */

#ifdef LEASED_FAILPOINTS
struct crash {
	struct place *place;
	const char *failpoint;
	int acked_fd;
};

struct acked_op {
	struct store_op op; /* first */
	struct store_lease *lease;
	int fd;
	bool finished;
};

static int
run_acked(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct acked_op *acked = (struct acked_op *)op;
	int r = store_lease_insert(txn, acked->lease, err);

	/* Two rows or none: the counter tells whether the operation is whole. */
	return (r != 0 ? r : store_take(txn, "rows", INT64_MAX, err));
}

static void
on_acked(struct store_op *op, int result, const struct leased_err *err)
{
	struct acked_op *acked = (struct acked_op *)op;

	(void)err;
	CHILD_CHECK(result == 0);
	CHILD_CHECK(write(acked->fd, &acked->lease->id, sizeof(int64_t)) == sizeof(int64_t));
	acked->finished = true;
}

static void
child_writes(void *arg)
{
	struct crash *crash = arg;
	struct event_base *loop = event_base_new();
	struct store_config config = fix_config(&crash->place->fix, crash->place->dir);
	struct acked_op ops[32];
	struct store *store = NULL;

	setenv("LEASED_FAILPOINT", crash->failpoint, 1);
	failpoint_setup();
	config.inline_mode = false;
	config.loop = loop;
	CHILD_CHECK(store_open(&config, &store, NULL) == 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 32; i++) {
			ops[i] = (struct acked_op){.op = {.run = run_acked, .done = on_acked},
			    .lease = fix_lease(5, i, "account"),
			    .fd = crash->acked_fd};
			store_submit(store, &ops[i].op);
		}
		while (!ops[31].finished)
			CHILD_CHECK(event_base_loop(loop, EVLOOP_ONCE) == 0);
	}
	store_close(store);
}

static void
killed_at(struct place *p, const char *failpoint)
{
	struct store_lease *got = NULL;
	int64_t id, counted = 0, rows = 0, acked = 0;
	struct leased_err err = LEASED_ERR_INIT;
	int fds[2], status;
	char output[2048];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	status = child_run(child_writes,
	    &(struct crash){.place = p, .failpoint = failpoint, .acked_fd = fds[1]}, output,
	    sizeof(output));
	close(fds[1]);
	if (status != 128 + SIGKILL)
		fail_msg("%s: status %d: %s", failpoint, status, output);
	fix_open(&p->fix, p->dir);
	while (read(fds[0], &id, sizeof(id)) == sizeof(id)) {
		acked++;
		if (store_lease_get(p->fix.db, id, &got, &err) != 0)
			fail_msg("%s: lease %lld was acknowledged: %s", failpoint, (long long)id,
			    err.text);
		store_lease_free(got);
	}
	close(fds[0]);
	assert_int_equal(
	    store_sql_number(p->fix.db, "SELECT count(*) FROM lease", SQL_NO_ARGS, &rows, NULL), 0);
	assert_int_equal(store_counter_get(p->fix.db, "rows", &counted, NULL), 0);
	assert_int_equal(rows, counted);
	assert_true(rows >= acked);
	store_close(p->fix.store);
}

static void
whatever_was_acknowledged_survives_a_kill_and_nothing_is_half(void **state)
{
	struct place *p = *state;

	killed_at(p, "store_open_migrate=kill");
	killed_at(p, "store_open_birth=kill");
	killed_at(p, "store_op_before=kill@70");
	killed_at(p, "store_commit_before=kill@1");
	killed_at(p, "store_commit_before=kill@6");
	killed_at(p, "store_commit_after=kill@1");
	killed_at(p, "store_commit_after=kill@9");
}
#endif

#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    PLACE_TEST(all_files_are_ours_alone),
	    PLACE_TEST(a_missing_directory_is_made_for_us_alone),
	    PLACE_TEST(a_directory_or_file_open_to_others_is_refused),
	    PLACE_TEST(a_second_opener_is_refused_by_the_firsts_pid),
	    PLACE_TEST(tag_cluster_and_content_outlive_a_restart_and_the_epoch_grows),
	    PLACE_TEST(another_root_key_does_not_open_it_and_changes_nothing),
	    PLACE_TEST(a_newer_schema_is_refused_with_what_to_do),
	    PLACE_TEST(another_programs_database_is_refused),
	    PLACE_TEST(a_lease_that_is_missing_from_the_index_of_expiry_is_found),
	    PLACE_TEST(a_store_whose_definitions_are_damaged_is_refused_and_not_written_to),
	    PLACE_TEST(damaged_columns_and_damaged_indexes_of_the_file_hide_no_lease),
#ifdef LEASED_FAILPOINTS
	    PLACE_TEST(whatever_was_acknowledged_survives_a_kill_and_nothing_is_half),
#endif
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: files", tests, NULL, NULL));
}
