/*
 * What lease/ remembers of rows must never be seen: a lookup says what reading the row now would
 * say. Each test looks a lease up first, so that it is remembered.
 */
#include "unit/lease/fixture.h"

/* The state that a lookup finds, or a code. */
static int
looked_up(struct fix *f, const char *lease_id, int64_t *ret_next_at_ms)
{
	struct store_lease *row = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r = lease_find(f->leases, lease_id, &row, &err);

	if (r == 0) {
		r = row->revoke ? 100 : (int)row->state;
		if (ret_next_at_ms != NULL)
			*ret_next_at_ms = row->next_at_ms;
	}
	store_lease_free(row);
	return (r);
}

static bool
is_remembered(struct fix *f, int64_t id)
{
	const struct lease_remembered *slot = &f->leases->remembered[id % LEASE_REMEMBERED_MAX];

	return (slot->row != NULL && slot->row->id == id &&
		slot->changes == store_row_changes(f->store, id));
}

static void
lookup_that_follows_another_reads_nothing_and_says_the_same(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	struct store_lease *first = NULL, *second = NULL;
	char wrong[LEASE_ID_MAX];

	assert_int_equal(lease_find(f->leases, a.lease_id, &first, NULL), 0);
	assert_true(is_remembered(f, a.row));
	assert_int_equal(lease_find(f->leases, a.lease_id, &second, NULL), 0);
	assert_ptr_equal(first->data, second->data); /* nothing was opened anew */
	assert_ptr_not_equal(first, second);
	assert_string_equal(first->account, second->account);
	assert_string_equal(first->owner, second->owner);
	assert_string_equal(first->place, second->place);
	store_lease_free(first);
	/* Who has one of them keeps it, whatever becomes of what is remembered. */
	lease_remembered_clear(f->leases);
	assert_string_equal(second->account, a.account);
	store_lease_free(second);
	/* An id that is wrong in its last character stays wrong. */
	(void)looked_up(f, a.lease_id, NULL);
	(void)snprintf(wrong, sizeof(wrong), "%s", a.lease_id);
	wrong[strlen(wrong) - 1] = wrong[strlen(wrong) - 1] == 'A' ? 'B' : 'A';
	assert_int_equal(looked_up(f, wrong, NULL), LEASED_ENOENT);
}

static void
renewal_is_seen_at_once(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);
	int64_t before_ms = 0, after_ms = 0;

	for (unsigned i = 1; i < 20; i++) {
		assert_int_equal(looked_up(f, a.lease_id, &before_ms), STORE_LEASE_LIVE);
		assert_true(is_remembered(f, a.row));
		assert_int_equal(renew(f, a.row, 60 + i).code, 0);
		assert_int_equal(looked_up(f, a.lease_id, &after_ms), STORE_LEASE_LIVE);
		assert_int_equal(after_ms, before_ms + 1000);
	}
}

static void
revocation_is_seen_as_soon_as_it_is_on_disk(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60), r = {0};

	assert_int_equal(looked_up(f, a.lease_id, NULL), STORE_LEASE_LIVE);
	lease_revoke_start(f->leases, a.row, 10000, "req-3", on_revoked, &r);
	assert_int_equal(looked_up(f, a.lease_id, NULL), STORE_LEASE_LIVE); /* only queued */
	(void)store_pump(f->store);
	assert_int_equal(looked_up(f, a.lease_id, NULL), 100);
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	assert_int_equal(looked_up(f, a.lease_id, NULL), LEASED_ENOENT);
}

static void
expiry_is_seen_at_each_of_its_steps(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);

	assert_int_equal(looked_up(f, a.lease_id, NULL), STORE_LEASE_LIVE);
	fake_port_fault(
	    f->fake, PLUGIN_OP_REMOVE, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "it owns a table");
	later(f, 60500);
	assert_int_equal(looked_up(f, a.lease_id, NULL), STORE_LEASE_DISARMED);
	later(f, 120000);
	assert_int_equal(looked_up(f, a.lease_id, NULL), LEASED_ENOENT);
}

#define MANY (LEASE_REMEMBERED_MAX + 40)

static void
more_leases_than_are_remembered_are_never_mixed_up(void **state)
{
	struct fix *f = *state;
	struct answer *all = calloc(MANY, sizeof(*all));
	struct store_lease *row = NULL;

	assert_non_null(all);
	for (unsigned i = 0; i < MANY; i++)
		all[i] = make_plain(f, 3600);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < MANY; i++) {
			assert_int_equal(lease_find(f->leases, all[i].lease_id, &row, NULL), 0);
			assert_int_equal(row->id, all[i].row);
			assert_string_equal(row->account, all[i].account);
			store_lease_free(row);
			row = NULL;
		}
	free(all);
	assert_in_range(
	    f->leases->remembered_bytes, LEASE_REMEMBERED_BYTES / 4, LEASE_REMEMBERED_BYTES);
}

/* Few rows may be as large as many: what counts is memory. */
static void
what_is_remembered_has_a_bound_in_bytes(void **state)
{
	struct fix *f = *state;
	struct lease_remembered *slot;
	struct answer a = make(f, 60), b = make(f, 60);
	size_t bytes = 0, first;

	assert_int_equal(looked_up(f, a.lease_id, NULL), STORE_LEASE_LIVE);
	first = f->leases->remembered_bytes;
	assert_in_range(first, 500, 10000);
	/* As if it took all that there is. */
	slot = &f->leases->remembered[a.row % LEASE_REMEMBERED_MAX];
	slot->bytes = LEASE_REMEMBERED_BYTES - 100;
	f->leases->remembered_bytes += slot->bytes - first;
	assert_int_equal(looked_up(f, b.lease_id, NULL), STORE_LEASE_LIVE);
	assert_true(is_remembered(f, b.row) && !is_remembered(f, a.row));
	for (unsigned i = 0; i < LEASE_REMEMBERED_MAX; i++)
		bytes += f->leases->remembered[i].bytes;
	assert_int_equal(bytes, f->leases->remembered_bytes);
	assert_in_range(bytes, 500, 10000);
	lease_remembered_clear(f->leases);
	assert_int_equal(f->leases->remembered_bytes, 0);
}

/* How many allocations there were to fail. */
static unsigned long
fail_each(struct fix *f, const struct answer *a, bool remembered)
{
	unsigned long n;
	bool failed;
	int r;

	for (n = 1;; n++) {
		lease_remembered_clear(f->leases);
		if (remembered)
			(void)looked_up(f, a->lease_id, NULL);
		failalloc_arm(n);
		r = looked_up(f, a->lease_id, NULL);
		failed = failalloc_disarm();
		if (!failed)
			break;
		assert_true(r == STORE_LEASE_LIVE || r == LEASED_ENOMEM);
		assert_int_equal(looked_up(f, a->lease_id, NULL), STORE_LEASE_LIVE);
	}
	assert_int_equal(r, STORE_LEASE_LIVE);
	assert_true(is_remembered(f, a->row));
	return (n - 1);
}

static void
memory_that_runs_out_costs_the_lookup_and_nothing_else(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 60);

	assert_in_range(fail_each(f, &a, true), 4, 1000);
	assert_in_range(fail_each(f, &a, false), 8, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lookup_that_follows_another_reads_nothing_and_says_the_same),
	    TEST(renewal_is_seen_at_once),
	    TEST(revocation_is_seen_as_soon_as_it_is_on_disk),
	    TEST(expiry_is_seen_at_each_of_its_steps),
	    TEST(more_leases_than_are_remembered_are_never_mixed_up),
	    TEST(what_is_remembered_has_a_bound_in_bytes),
	    TEST(memory_that_runs_out_costs_the_lookup_and_nothing_else),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
