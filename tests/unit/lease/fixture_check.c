/*
 * The oracle of the lease tests, see fixture.h: what must hold when everything is at rest.
 */
#include "unit/lease/fixture.h"

static size_t
all_rows(struct fix *f, struct store_lease ***ret_rows)
{
	struct store_lease_query query = {.by = STORE_BY_ID, .limit = 100000};
	struct leased_err err = LEASED_ERR_INIT;
	size_t count = 0;

	if (store_lease_page(store_db(f->store), &query, ret_rows, &count, &err) != 0)
		fail_msg("%s", err.text);
	return (count);
}

unsigned
row_count(struct fix *f)
{
	struct store_lease **rows = NULL;
	size_t count = all_rows(f, &rows);

	store_lease_page_free(rows, count);
	return ((unsigned)count);
}

static void
print_accounts(struct fix *f)
{
	struct store_tombstone *tombstone;
	struct store_lease *row;

	for (int64_t id = 1; id < 4000; id++) {
		tombstone = NULL;
		row = NULL;
		if (store_lease_get(store_db(f->store), id, &row, NULL) == 0)
			print_message("row %lld: %s state %d\n", (long long)id, row->account,
			    (int)row->state);
		else if (store_tombstone_get(store_db(f->store), id, &tombstone, NULL) == 0 &&
			 fake_port_account(f->fake, tombstone->account) != NULL)
			print_message("left behind, lease %lld: look again %lld, now %lld, %s\n",
			    (long long)id, (long long)tombstone->look_again_ms,
			    (long long)leases_now_ms(f->leases),
			    json_dumps(tombstone->data, JSON_COMPACT));
		store_lease_free(row);
		store_tombstone_free(tombstone);
	}
}

void
check_counts(struct fix *f)
{
	struct lease_connection *connection, *next;

	HASH_ITER(hh, f->leases->connections, connection, next)
	{
		assert_int_equal(connection->ending, 0);
		assert_int_equal(connection->removals, 0);
		assert_true(lease_pace_idle(&connection->pace));
	}
}

void
check_at_rest(struct fix *f)
{
	struct store_lease **rows = NULL;
	size_t count = all_rows(f, &rows);
	unsigned live = 0, held = 0, kept = 0, credentials = 0, plain = 0;

	for (size_t i = 0; i < count; i++) {
		struct fake_account *account;

		if (rows[i]->kind == STORE_LEASE_TOKEN)
			continue;
		if (rows[i]->kind == STORE_LEASE_PLAIN) {
			assert_int_equal(rows[i]->state, STORE_LEASE_LIVE);
			assert_false(rows[i]->revoke);
			assert_true(rows[i]->next_at_ms > leases_now_ms(f->leases));
			assert_int_equal(
			    json_integer_value(json_object_get(lease_record_engine(rows[i]), "n")),
			    7);
			plain++;
			continue;
		}
		credentials++;
		account = fake_port_account(f->fake, rows[i]->account);
		if (rows[i]->state == STORE_LEASE_LIVE && !rows[i]->revoke) {
			assert_non_null(account);
			assert_true(account->armed);
			assert_true(rows[i]->next_at_ms > leases_now_ms(f->leases));
			live++;
			held++;
		} else if (rows[i]->state == STORE_LEASE_DISARMED) {
			assert_true(account == NULL || !account->armed);
			kept += account != NULL;
		} else {
			assert_true(rows[i]->next_at_ms > leases_now_ms(f->leases));
			held++;
		}
	}
	store_lease_page_free(rows, count);
	check_counts(f);
	if (fake_port_account_count(f->fake) != live + kept && getenv("LEASE_SIM_SEED") != NULL)
		print_accounts(f);
	assert_int_equal(fake_port_account_count(f->fake), live + kept);
	assert_int_equal(counter(f, "role:1"), held);
	assert_int_equal(counter(f, "conn:1"), credentials);
	assert_int_equal(counter(f, "role:2"), plain);
	assert_int_equal(counter(f, "conn:2"), plain);
	assert_int_equal(fake_port_counts(f->fake).overlaps, 0);
}
