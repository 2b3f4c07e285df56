/*
 * A lease as the JSON array that is sealed, and back. The array: format, state, kind, connection,
 * mount, next_at_ms, flags, random, place, account, owner, data. It does no SQL.
 */
#include <stdlib.h>
#include <string.h>

#include "store/row.h"

#define LEASE_FORMAT 1
#define LEASE_FIELDS 12
#define FLAG_REVOKE 1
#define FLAG_STUCK 2
#define FLAG_LATE 4
#define FLAGS ((int64_t)(FLAG_REVOKE | FLAG_STUCK | FLAG_LATE))

void
store_lease_free(struct store_lease *lease)
{
	if (lease == NULL)
		return;
	free(lease->place);
	free(lease->account);
	free(lease->owner);
	json_decref(lease->data);
	leased_wipe(lease->random, sizeof(lease->random));
	free(lease);
}

int64_t
store_lease_flags(const struct store_lease *lease)
{
	return ((lease->revoke ? FLAG_REVOKE : 0) | (lease->stuck ? FLAG_STUCK : 0) |
		(lease->late ? FLAG_LATE : 0));
}

bool
store_lease_flags_revoke(int64_t flags)
{
	return ((flags & FLAG_REVOKE) != 0);
}

void
store_lease_encode(const struct store_lease *lease, struct jenc *record)
{
	jenc_int(record, LEASE_FORMAT);
	jenc_int(record, lease->state);
	jenc_int(record, lease->kind);
	jenc_int(record, lease->connection);
	jenc_int(record, lease->mount);
	jenc_int(record, lease->next_at_ms);
	jenc_int(record, store_lease_flags(lease));
	jenc_text(record, lease->random);
	jenc_text(record, lease->place);
	jenc_text(record, lease->account);
	jenc_text(record, lease->owner);
	jenc_value(record, lease->data);
}

static bool
numbers_decode(const json_t *record, struct store_lease *lease)
{
	int64_t format, state, kind, flags;

	if (!store_record_int(record, 0, &format) || format != LEASE_FORMAT ||
	    !store_record_int(record, 1, &state) || state < STORE_LEASE_INTENT ||
	    state > STORE_LEASE_DISARMED || !store_record_int(record, 2, &kind) ||
	    kind < STORE_LEASE_CREDENTIAL || kind > STORE_LEASE_PLAIN ||
	    !store_record_int(record, 3, &lease->connection) ||
	    !store_record_int(record, 4, &lease->mount) ||
	    !store_record_int(record, 5, &lease->next_at_ms) ||
	    !store_record_int(record, 6, &flags) || (flags & ~FLAGS) != 0)
		return (false);
	lease->state = (enum store_lease_state)state;
	lease->kind = (enum store_lease_kind)kind;
	lease->revoke = (flags & FLAG_REVOKE) != 0;
	lease->stuck = (flags & FLAG_STUCK) != 0;
	lease->late = (flags & FLAG_LATE) != 0;
	return (true);
}

static bool
texts_are_there(const json_t *record)
{
	const json_t *random = json_array_get(record, 7);

	/* As long as the random part is, or empty: tokens are not found by a lease id. */
	return (json_is_string(random) &&
		(json_string_length(random) == STORE_LEASE_RANDOM_LEN ||
		    json_string_length(random) == 0) &&
		json_is_string(json_array_get(record, 8)) &&
		json_is_string(json_array_get(record, 9)) &&
		json_is_string(json_array_get(record, 10)) &&
		json_is_object(json_array_get(record, 11)));
}

int
store_lease_decode(const json_t *record, struct store_lease **ret_lease, struct leased_err *err)
{
	struct store_lease *lease = calloc(1, sizeof(*lease));
	int r = 0;

	if (lease == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a lease"));
	if (json_array_size(record) != LEASE_FIELDS || !numbers_decode(record, lease) ||
	    !texts_are_there(record)) {
		r = leased_err_set(err, LEASED_ECORRUPT, "the lease's record is malformed");
		goto out;
	}
	memcpy(lease->random, json_string_value(json_array_get(record, 7)),
	    json_string_length(json_array_get(record, 7)) + 1);
	lease->data = json_incref(json_array_get(record, 11));
	if (!store_record_text(record, 8, &lease->place) ||
	    !store_record_text(record, 9, &lease->account) ||
	    !store_record_text(record, 10, &lease->owner)) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to read a lease");
		goto out;
	}
	*ret_lease = lease;
	lease = NULL;
out:
	store_lease_free(lease);
	return (r);
}
