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

/* What jansson and the heap make of it, rather more than less. */
static size_t
bytes_of(const json_t *value)
{
	size_t bytes = 64, i;
	const char *key;
	json_t *item;

	if (json_is_string(value))
		return (bytes + 32 + json_string_length(value));
	json_array_foreach(value, i, item) bytes += 16 + bytes_of(item);
	json_object_foreach((json_t *)(uintptr_t)value, key, item) bytes +=
	    144 + strlen(key) + bytes_of(item);
	return (json_is_object(value) || json_is_array(value) ? bytes + 160 : bytes);
}

static void
slot_clear(struct leases *leases, struct lease_remembered *slot)
{
	store_lease_free(slot->row);
	leases->remembered_bytes -= slot->bytes;
	*slot = (struct lease_remembered){0};
}

/*
 * row is taken. The hand comes by every slot, in no order: were it that of the rows, whoever asks
 * for a few more than there is room for, in turn, would find each just gone.
 */
static void
slot_fill(
    struct leases *leases, struct lease_remembered *slot, struct store_lease *row, uint64_t changes)
{
	size_t bytes = sizeof(*row) + 256 + bytes_of(row->data);

	slot_clear(leases, slot);
	while (leases->remembered_bytes > 0 &&
	       leases->remembered_bytes + bytes > LEASE_REMEMBERED_BYTES) {
		slot_clear(leases, &leases->remembered[leases->remembered_hand]);
		leases->remembered_hand =
		    (leases->remembered_hand * 1664525 + 1013904223) % LEASE_REMEMBERED_MAX;
	}
	*slot = (struct lease_remembered){.row = row, .changes = changes, .bytes = bytes};
	leases->remembered_bytes += bytes;
}

const struct store_lease *
lease_row_remembered(struct leases *leases, int64_t id)
{
	const struct lease_remembered *slot = slot_of(leases, id);

	if (slot->row == NULL || slot->row->id != id ||
	    slot->changes != store_row_changes(leases->config.store, id))
		return (NULL);
	return (slot->row);
}

int
lease_row_get(
    struct leases *leases, int64_t id, struct store_lease **ret_row, struct leased_err *err)
{
	uint64_t changes = store_row_changes(leases->config.store, id);
	const struct store_lease *known = lease_row_remembered(leases, id);
	struct store_lease *row = NULL;
	int r;

	if (known != NULL && (row = row_copy(known)) != NULL) {
		*ret_row = row;
		return (0);
	}
	if ((r = store_lease_get(store_db(leases->config.store), id, &row, err)) != 0)
		return (r);
	*ret_row = row;
	/* Odd: it is being changed, and what was read may be over the next moment. */
	if (changes % 2 == 0 && (row = row_copy(row)) != NULL)
		slot_fill(leases, slot_of(leases, id), row, changes);
	return (0);
}

void
lease_remembered_clear(struct leases *leases)
{
	for (unsigned i = 0; i < LEASE_REMEMBERED_MAX; i++)
		slot_clear(leases, &leases->remembered[i]);
}
