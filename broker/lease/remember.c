/*
 * Rows of leases that were asked for by id lately, so that one that a client looks at again and
 * again is not read and opened each time. A row is good only while the store says that it has not
 * changed since it was read: so it says what reading would say, and nothing has to be taken out of
 * here. Called by id.c, on the loop; transactions read for themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "lease/private.h"

static struct lease_remembered *
slot_of(struct leases *leases, int64_t id)
{
	return (&leases->remembered[(uint64_t)id % LEASE_REMEMBERED_MAX]);
}

/* What is in data is shared, and written by nobody. */
static struct store_lease *
row_copy(const struct store_lease *row)
{
	struct store_lease *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return (NULL);
	*copy = *row;
	copy->place = strdup(row->place);
	copy->account = strdup(row->account);
	copy->owner = strdup(row->owner);
	copy->data = json_incref(row->data);
	if (copy->place != NULL && copy->account != NULL && copy->owner != NULL)
		return (copy);
	store_lease_free(copy);
	return (NULL);
}

static void
slot_clear(struct lease_remembered *slot)
{
	store_lease_free(slot->row);
	*slot = (struct lease_remembered){0};
}

int
lease_row_get(
    struct leases *leases, int64_t id, struct store_lease **ret_row, struct leased_err *err)
{
	struct lease_remembered *slot = slot_of(leases, id);
	uint64_t changes = store_row_changes(leases->config.store, id);
	struct store_lease *row = NULL;
	int r;

	if (slot->row != NULL && slot->row->id == id) {
		if (slot->changes == changes && (row = row_copy(slot->row)) != NULL) {
			*ret_row = row;
			return (0);
		}
		slot_clear(slot);
	}
	if ((r = store_lease_get(store_db(leases->config.store), id, &row, err)) != 0)
		return (r);
	*ret_row = row;
	/* Odd: it is being changed, and what was read may be over the next moment. */
	if (changes % 2 != 0 || (row = row_copy(row)) == NULL)
		return (0);
	slot_clear(slot);
	slot->row = row;
	slot->changes = changes;
	return (0);
}

void
lease_remembered_clear(struct leases *leases)
{
	for (unsigned i = 0; i < LEASE_REMEMBERED_MAX; i++)
		slot_clear(&leases->remembered[i]);
}
