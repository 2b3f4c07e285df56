/*
 * A device of which the n-th call fails, and memory that runs out at the n-th allocation: what was
 * said to be recorded stands in the file, the chain holds, and no record of a change is lost.
 */
#include "unit/audit/fixture.h"

#include <errno.h>

#include "base/log.h"
#include "support/diskfault.h"
#include "support/failalloc.h"

#define RECORDS 4

struct fault {
	const char *name;
	uint32_t calls;
	int error;
	uint32_t times;
};

static const struct fault faults[] = {
    {"write, ENOSPC once", DISKFAULT_WRITE, ENOSPC, 1},
    {"write, EIO", DISKFAULT_WRITE, EIO, UINT32_MAX},
    {"write, EROFS", DISKFAULT_WRITE, EROFS, UINT32_MAX},
    {"sync, EIO", DISKFAULT_SYNC, EIO, 1},
    {"sync, EIO for long", DISKFAULT_SYNC, EIO, UINT32_MAX},
    {"write and truncate, EIO", DISKFAULT_WRITE | DISKFAULT_RESIZE, EIO, UINT32_MAX},
    {"write and truncate, ENOSPC for two calls", DISKFAULT_WRITE | DISKFAULT_RESIZE, ENOSPC, 2},
};

struct change_op {
	struct store_op op; /* first */
	struct store_doc doc;
	int result;
};

static int
on_change_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	return (store_doc_put(txn, &((struct change_op *)op)->doc, err));
}

static void
on_change_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)err;
	((struct change_op *)op)->result = result;
}

static void
turns(struct fixture *f)
{
	for (unsigned i = 0; i < 8; i++) {
		store_pump(f->store);
		audit_pump(f->audit);
	}
}

/* A policy of that name; data is the caller's. 0 or LEASED_ENOMEM: a device that fails costs no
 * change. */
static int
change(struct fixture *f, char *name, json_t *data)
{
	static char kind[] = "policy";
	struct change_op own = {.op = {.run = on_change_run, .done = on_change_done},
	    .doc = {.kind = kind, .name = name, .data = data},
	    .result = LEASED_ECANCELED};

	store_submit(f->store, &own.op);
	turns(f);
	return (own.result);
}

static unsigned
count_of(struct fixture *f, const char *what)
{
	size_t len = 0, size = strlen(what);
	char *bytes = fixture_read(f, &len);
	unsigned count = 0;

	for (char *at = bytes; (at = memmem(at, len - (size_t)(at - bytes), what, size)) != NULL;
	     at += size)
		count++;
	free(bytes);
	return (count);
}

/* ---- the device ---- */

struct outcome {
	bool acked[RECORDS];
	char names[RECORDS][32], paths[RECORDS][32];
};

static void
work(struct fixture *f, unsigned round, struct outcome *outcome)
{
	json_t *data = json_object();

	for (unsigned i = 0; i < RECORDS; i++) {
		(void)snprintf(outcome->paths[i], 32, "asked-%u-%u-end", round, i);
		(void)snprintf(outcome->names[i], 32, "changed-%u-%u-end", round, i);
		outcome->acked[i] = fixture_record(f, AUDIT_REQUEST, outcome->paths[i]) == 0;
		assert_int_equal(change(f, outcome->names[i], data), 0);
	}
	json_decref(data);
}

/* false: the call that was to fail was never made. */
static bool
case_run(struct fixture *f, const struct fault *fault, unsigned n, unsigned round)
{
	struct outcome outcome, after;
	bool failed;

	atomic_store(&diskfault->failed, 0);
	atomic_store(&diskfault->error, fault->error);
	atomic_store(&diskfault->after, n);
	atomic_store(&diskfault->times, fault->times);
	atomic_store(&diskfault->calls, fault->calls);
	work(f, round, &outcome);
	failed = atomic_load(&diskfault->failed) > 0;
	atomic_store(&diskfault->calls, 0);
	work(f, round + 1, &after);
	assert_true(audit_healthy(f->audit));
	if (fixture_verify(f) != 0)
		fail_msg("%s, call %u: %s", fault->name, n, f->faults);
	for (unsigned i = 0; i < RECORDS; i++) {
		if (outcome.acked[i] && count_of(f, outcome.paths[i]) == 0)
			fail_msg("%s, call %u: %s was recorded and is not there", fault->name, n,
			    outcome.paths[i]);
		if (!after.acked[i] || count_of(f, after.paths[i]) != 1)
			fail_msg("%s, call %u: nothing is recorded any more", fault->name, n);
		if (count_of(f, outcome.names[i]) == 0 || count_of(f, after.names[i]) == 0)
			fail_msg("%s, call %u: the change %s is in no record", fault->name, n,
			    outcome.names[i]);
	}
	return (failed);
}

static void
whichever_call_of_the_device_fails_no_record_is_lost_and_the_chain_holds(void **state)
{
	struct fixture *f = *state;
	unsigned n, round = 0;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_int_equal(fixture_audit(f), 0);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		for (n = 0; case_run(f, &faults[i], n, round); n++)
			round += 2;
		round += 2;
		print_message("%s: %u calls\n", faults[i].name, n);
		assert_in_range(n, 3, 200);
	}
}

static void
a_device_that_fails_at_a_start_takes_records_when_it_can(void **state)
{
	struct fixture *f = *state;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "before"), 0);
	fixture_audit_end(f);
	atomic_store(&diskfault->error, EROFS);
	atomic_store(&diskfault->after, 0);
	atomic_store(&diskfault->times, UINT32_MAX);
	atomic_store(&diskfault->calls, DISKFAULT_WRITE);
	assert_int_equal(fixture_audit(f), 0);
	assert_false(audit_healthy(f->audit));
	assert_int_not_equal(fixture_record(f, AUDIT_REQUEST, "meanwhile"), 0);
	atomic_store(&diskfault->calls, 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "behind"), 0);
	assert_true(audit_healthy(f->audit));
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(count_of(f, "\"before\"") + count_of(f, "\"behind\""), 2);
}

/* ---- memory ---- */

struct memory {
	struct fixture *f;
	json_t *data;
	unsigned done, tried;
};

static int
change_without_memory(void *arg)
{
	struct memory *memory = arg;
	char name[32];
	int r;

	(void)snprintf(name, sizeof(name), "change-%u-end", ++memory->tried);
	r = change(memory->f, name, memory->data);
	memory->done += r == 0;
	return (r);
}

static void
a_change_without_memory_is_recorded_or_has_not_happened(void **state)
{
	struct memory memory = {.f = *state, .data = json_object()};
	char name[32];

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_int_equal(fixture_audit(memory.f), 0);
	assert_true(failalloc_each(change_without_memory, &memory) > 20);
	assert_int_equal(change_without_memory(&memory), 0); /* moves what a failure left */
	for (unsigned i = 1; i <= memory.tried; i++) {
		struct store_doc *doc = NULL;
		int r;

		(void)snprintf(name, sizeof(name), "change-%u-end", i);
		r = store_doc_get(store_db(memory.f->store), "policy", name, &doc, NULL);
		store_doc_free(doc);
		if ((count_of(memory.f, name) > 0) != (r == 0))
			fail_msg("%s is %s and %s", name, r == 0 ? "there" : "not there",
			    r == 0 ? "has no record" : "has one");
	}
	assert_int_equal(fixture_verify(memory.f), 0);
	json_decref(memory.data);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(whichever_call_of_the_device_fails_no_record_is_lost_and_the_chain_holds),
	    TEST(a_device_that_fails_at_a_start_takes_records_when_it_can),
	    TEST(a_change_without_memory_is_recorded_or_has_not_happened),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("audit: disk", tests, NULL, NULL));
}
