/*
 * A disk of which the n-th call fails, for every n: what was acknowledged is there afterwards, what
 * was refused is not, and the store serves on, or ends the process where nothing could be believed
 * any more. Each case in a process of its own, on real files.
 */
#include "unit/store/fix.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "store/offline_private.h"
#include "support/child.h"
#include "support/diskfault.h"

#define WRITES 4
#define BEFORE 3 /* leases that are there already */

struct fault {
	const char *name;
	uint32_t calls;
	int error;
	uint32_t times;
};

static const struct fault faults[] = {
    {"sync, EIO", DISKFAULT_SYNC, EIO, 1},
    {"sync, ENOSPC", DISKFAULT_SYNC, ENOSPC, 1},
    {"write, EIO", DISKFAULT_WRITE, EIO, 1},
    {"write, ENOSPC once", DISKFAULT_WRITE, ENOSPC, 1},
    {"write, ENOSPC", DISKFAULT_WRITE, ENOSPC, UINT32_MAX},
    {"write, EROFS", DISKFAULT_WRITE, EROFS, UINT32_MAX},
    {"write, EDQUOT", DISKFAULT_WRITE, EDQUOT, UINT32_MAX},
    {"resize, EIO", DISKFAULT_RESIZE, EIO, UINT32_MAX},
    {"resize, ENOSPC", DISKFAULT_RESIZE, ENOSPC, UINT32_MAX},
    {"read, EIO", DISKFAULT_READ, EIO, 1},
};

/* What a child tells, in memory that outlives it. */
struct told {
	unsigned asked, acked;
	bool acked_one[WRITES + 1], failed, served, refused, refused_without_words;
};

struct disk {
	struct fix fix;
	char dir[64];
	const struct fault *fault;
	unsigned n;
	bool at_start; /* the fault is there when the store is opened */
	struct told *told;
};

static void
account_of(unsigned i, char ret_account[32])
{
	(void)snprintf(ret_account, 32, "l-written-%u", i);
}

static void
fault_arm(const struct disk *disk)
{
	atomic_store(&diskfault->error, disk->fault->error);
	atomic_store(&diskfault->after, disk->n);
	atomic_store(&diskfault->times, disk->fault->times);
	atomic_store(&diskfault->calls, disk->fault->calls);
}

static int
child_write(struct disk *disk, unsigned i)
{
	char account[32];
	struct store_lease *lease;
	struct fix_op op;

	account_of(i, account);
	lease = fix_lease(0, 1000, account);
	op = fix_op(fix_lease_insert, lease);
	store_submit(disk->fix.store, &op.op);
	store_pump(disk->fix.store);
	CHILD_CHECK(op.finished);
	CHILD_CHECK(op.result == 0 || op.err.text[0] != '\0');
	disk->told->asked++;
	disk->told->acked_one[i] = op.result == 0;
	disk->told->acked += op.result == 0;
	store_lease_free(lease);
	return (op.result);
}

static void
child_body(void *arg)
{
	struct disk *disk = arg;
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = fix_config(&disk->fix, disk->dir);
	int r;

	if (disk->at_start)
		fault_arm(disk);
	r = store_open(&config, &disk->fix.store, &err);
	disk->told->refused = r != 0;
	disk->told->refused_without_words = r != 0 && err.text[0] == '\0';
	if (r != 0) {
		disk->told->failed = atomic_load(&diskfault->failed) > 0;
		return;
	}
	disk->fix.db = store_db(disk->fix.store);
	if (!disk->at_start)
		fault_arm(disk);
	for (unsigned i = 0; i < WRITES; i++) {
		(void)child_write(disk, i);
		disk->told->failed = atomic_load(&diskfault->failed) > 0;
	}
	/* As long as nothing can be written, nobody is told otherwise. */
	if (disk->fault->times == UINT32_MAX && store_health_code(disk->fix.store) != 0) {
		store_pump(disk->fix.store);
		store_pump(disk->fix.store);
		CHILD_CHECK(store_health_code(disk->fix.store) != 0);
	}
	/* The trouble is over: soon everything is as before. */
	atomic_store(&diskfault->calls, 0);
	for (unsigned i = 0; i < 3 && store_health_code(disk->fix.store) != 0; i++)
		store_pump(disk->fix.store);
	disk->told->served =
	    child_write(disk, WRITES) == 0 && store_health_code(disk->fix.store) == 0;
	store_close(disk->fix.store);
}

/* ---- looking afterwards, with a disk that works ---- */

static void
acked_is_there(struct disk *disk, int status)
{
	struct store_lease *lease = NULL;
	char account[32];
	int r;

	for (unsigned i = 0; i <= WRITES; i++) {
		account_of(i, account);
		r = store_lease_get_account(disk->fix.db, account, &lease, NULL);
		if (r == 0)
			store_lease_free(lease);
		if (disk->told->acked_one[i] && r != 0)
			fail_msg("%s, call %u: %s was acknowledged and is not there",
			    disk->fault->name, disk->n, account);
		/* Who died in the middle told nobody; it may be there. */
		if (!disk->told->acked_one[i] && r == 0 && status == 0)
			fail_msg("%s, call %u: %s was refused and is there", disk->fault->name,
			    disk->n, account);
	}
}

static void
on_found(void *arg, enum store_found found, const char *text)
{
	const struct disk *disk = arg;

	if (found == STORE_FOUND_LEFT)
		fail_msg("%s, call %u: fsck: %s", disk->fault->name, disk->n, text);
}

static void
fsck_is_clean(struct disk *disk)
{
	struct store_offline_config config = {.dir = disk->dir,
	    .root = disk->fix.root,
	    .clock = &disk->fix.clock.clock,
	    .ids = id_source_system()};
	struct store_check check = {.on_found = on_found, .arg = disk};
	struct leased_err err = LEASED_ERR_INIT;

	if (store_offline_open(&config, &check.store, &err) != 0 || store_check(&check, &err) != 0)
		fail_msg("%s, call %u: fsck: %s", disk->fault->name, disk->n, err.text);
	store_offline_close(check.store);
}

static void
store_make(struct disk *disk)
{
	char account[32];

	fix_open(&disk->fix, disk->dir);
	for (unsigned i = 0; i < BEFORE; i++) {
		(void)snprintf(account, sizeof(account), "l-before-%u", i);
		(void)fix_add(&disk->fix, 0, 1000, account);
	}
	store_close(disk->fix.store);
}

/* false: the call that was to fail was never made. */
static bool
case_run(struct disk *disk)
{
	char output[4096];
	int status;

	memset(disk->told, 0, sizeof(*disk->told));
	(void)snprintf(disk->dir, sizeof(disk->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(disk->dir));
	store_make(disk);
	status = child_run(child_body, disk, output, sizeof(output));
	if (status != 0 && status != 1)
		fail_msg("%s, call %u: status %d: %s", disk->fault->name, disk->n, status, output);
	if (status == 1 && strstr(output, "the store's disk failed") == NULL)
		fail_msg(
		    "%s, call %u: it ended without a word: %s", disk->fault->name, disk->n, output);
	/* Trouble of space never ends the process; a sync that failed always does. */
	if (status == 1 && disk->fault->error != EIO && disk->fault->calls != DISKFAULT_SYNC)
		fail_msg("%s, call %u: it ended: %s", disk->fault->name, disk->n, output);
	if (disk->told->refused_without_words)
		fail_msg("%s, call %u: refused without a word", disk->fault->name, disk->n);
	if (status == 0 && !disk->told->refused && !disk->told->served)
		fail_msg(
		    "%s, call %u: it does not serve again: %s", disk->fault->name, disk->n, output);
	fix_open(&disk->fix, disk->dir);
	acked_is_there(disk, status);
	store_close(disk->fix.store);
	fsck_is_clean(disk);
	fix_remove(disk->dir);
	return (disk->told->failed || status == 1);
}

static void
each_call_of_each_fault(struct disk *disk)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		disk->fault = &faults[i];
		for (disk->n = 0; case_run(disk);)
			disk->n += disk->n < 12 ? 1 : 9; /* later ones are the same again */
		print_message("%s: %u calls\n", disk->fault->name, disk->n);
		if ((disk->fault->calls & (DISKFAULT_SYNC | DISKFAULT_WRITE)) != 0)
			assert_in_range(disk->n, 3, 300);
	}
}

static int
setup(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	wclock_fake_init(&disk->fix.clock, INT64_C(1795400000000000));
	disk->fix.root = seal_root_new_random();
	disk->told = mmap(
	    NULL, sizeof(*disk->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(disk->told != MAP_FAILED);
	*state = disk;
	return (0);
}

static int
teardown(void **state)
{
	struct disk *disk = *state;

	seal_root_free(disk->fix.root);
	(void)munmap(disk->told, sizeof(*disk->told));
	free(disk);
	return (0);
}

static void
whichever_call_fails_what_was_acknowledged_is_there_and_nothing_else(void **state)
{
	each_call_of_each_fault(*state);
}

static void
whichever_call_of_a_start_fails_it_says_why_and_the_next_one_serves(void **state)
{
	struct disk *disk = *state;

	disk->at_start = true;
	each_call_of_each_fault(disk);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(whichever_call_fails_what_was_acknowledged_is_there_and_nothing_else),
	    T(whichever_call_of_a_start_fails_it_says_why_and_the_next_one_serves),
	};
#undef T

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: disk", tests, NULL, NULL));
}
