/*
 * How a lease ended, for whoever asks within a day: the data of its tombstone, made in the
 * transaction of GONE, and found again by the lease's id. Does not decide who may see it (api/
 * does) and sweeps nothing (lease.c does).
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "lease/ended.h"
#include "lease/private.h"

#define FIELD(member, kind) LEASE_FIELD(struct lease_ended, member, LEASE_##kind)

/* look.c reads some of these by name. */
static const struct lease_field fields[] = {
    FIELD(format, FIELD_INT),
    FIELD(kind, FIELD_INT),
    FIELD(mount, FIELD_INT),
    FIELD(role_version, FIELD_INT),
    FIELD(end, FIELD_INT),
    FIELD(issued_wall_ms, FIELD_INT),
    FIELD(expires_wall_ms, FIELD_INT),
    FIELD(renewed_wall_ms, FIELD_INT),
    FIELD(disarmed_wall_ms, FIELD_INT),
    FIELD(gone_wall_ms, FIELD_INT),
    FIELD(failed_mint, FIELD_BOOL),
    FIELD(delivered, FIELD_BOOL),
    FIELD(mount_path, FIELD_TEXT),
    FIELD(place, FIELD_TEXT),
    FIELD(random, FIELD_TEXT),
    FIELD(owner, FIELD_TEXT),
    FIELD(entity, FIELD_TEXT),
    FIELD(role, FIELD_TEXT),
    FIELD(handle, FIELD_TEXT),
    FIELD(server, FIELD_TEXT),
    FIELD(cause, FIELD_TEXT),
    FIELD(revoke_cause, FIELD_TEXT),
    FIELD(end_by, FIELD_TEXT),
    FIELD(end_accessor, FIELD_TEXT),
    FIELD(reason, FIELD_TEXT),
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

void
lease_data_end(struct lease_data *data, enum lease_end end, const char *cause,
    const struct lease_actor *actor, int64_t now_ms)
{
	/* An earlier version noted the text alone. */
	if (data->end != LEASE_END_NONE || data->revoke_cause[0] != '\0')
		return;
	if (data->mint_over && !data->failed_mint && data->expires_ms != 0 &&
	    now_ms >= data->expires_ms) {
		data->end = LEASE_END_EXPIRED;
		return;
	}
	data->end = end;
	lease_text_copy(data->revoke_cause, sizeof(data->revoke_cause), cause);
	if (actor == NULL)
		return;
	lease_text_copy(data->end_by, sizeof(data->end_by), actor->name);
	lease_text_copy(data->end_accessor, sizeof(data->end_accessor), actor->accessor);
}

enum lease_end
lease_ended_end(const struct lease *lease)
{
	const struct lease_data *data = &lease->data;

	if (data->end != LEASE_END_NONE)
		return ((enum lease_end)data->end);
	if (data->failed_mint || lease->row->state == STORE_LEASE_INTENT)
		return (LEASE_END_MINT);
	return (data->revoke_cause[0] != '\0' ? LEASE_END_REVOKED : LEASE_END_EXPIRED);
}

void
lease_ended_fill(const struct lease *lease, struct lease_ended *ret_ended)
{
	const struct lease_data *data = &lease->data;
	const struct store_lease *row = lease->row;
	struct lease_ended ended = {.format = LEASE_ENDED_FORMAT,
	    .kind = row->kind,
	    .mount = row->mount,
	    .role_version = data->role_version,
	    .end = lease_ended_end(lease),
	    .issued_wall_ms = data->issued_wall_ms,
	    .renewed_wall_ms = data->renewed_wall_ms,
	    .disarmed_wall_ms = data->disarmed_wall_ms,
	    .gone_wall_ms = lease->wall_ms,
	    .failed_mint = data->failed_mint,
	    .delivered = data->delivered};

	if (data->expires_ms != 0)
		ended.expires_wall_ms = lease->wall_ms + (data->expires_ms - lease->now_ms);
	lease_text_copy(ended.mount_path, sizeof(ended.mount_path), lease->mount);
	lease_text_copy(ended.place, sizeof(ended.place), row->place);
	lease_text_copy(ended.random, sizeof(ended.random), row->random);
	lease_text_copy(ended.owner, sizeof(ended.owner), row->owner);
	lease_text_copy(ended.entity, sizeof(ended.entity), data->entity);
	lease_text_copy(ended.role, sizeof(ended.role), data->role);
	lease_text_copy(ended.handle, sizeof(ended.handle), data->handle);
	lease_text_copy(ended.server, sizeof(ended.server), data->server);
	lease_text_copy(ended.cause, sizeof(ended.cause), data->cause);
	lease_text_copy(ended.revoke_cause, sizeof(ended.revoke_cause), data->revoke_cause);
	lease_text_copy(ended.end_by, sizeof(ended.end_by), data->end_by);
	lease_text_copy(ended.end_accessor, sizeof(ended.end_accessor), data->end_accessor);
	*ret_ended = ended;
}

json_t *
lease_ended_encode(const struct lease_ended *ended)
{
	return (lease_fields_encode(fields, FIELD_COUNT, ended));
}

int
lease_ended_decode(const json_t *data, struct lease_ended *ret_ended, struct leased_err *err)
{
	struct lease_ended ended;
	const char *key;
	json_t *value;

	memset(&ended, 0, sizeof(ended));
	if (json_integer_value(json_object_get(data, "format")) != LEASE_ENDED_FORMAT)
		return (leased_err_set(err, LEASED_ENOENT,
		    "the tombstone is of a version that did not keep how a lease ended"));
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
	{
		/* The one is for who looks for the account once more. */
		if (strcmp(key, LEASE_KEPT) != 0 &&
		    lease_field_decode(fields, FIELD_COUNT, key, value, &ended) != 0)
			return (leased_err_set(err, LEASED_ECORRUPT,
			    "a tombstone holds a field \"%.64s\" that this version does not know "
			    "or cannot read",
			    key));
	}
	*ret_ended = ended;
	return (0);
}

/* ---- by its id ---- */

static bool
same_id(const struct lease_ended *ended, const struct lease_id_parts *parts)
{
	size_t mount_len = strlen(ended->mount_path), place_len = strlen(ended->place);

	return (strlen(ended->random) == STORE_LEASE_RANDOM_LEN &&
		CRYPTO_memcmp(ended->random, parts->random, STORE_LEASE_RANDOM_LEN) == 0 &&
		mount_len > 0 && parts->path_len == mount_len + place_len &&
		memcmp(parts->path, ended->mount_path, mount_len) == 0 &&
		memcmp(parts->path + mount_len, ended->place, place_len) == 0);
}

/* As store/ keeps it, if it is young enough: the sweep comes in its own time. */
static int
tombstone_read(
    struct leases *leases, int64_t row, struct lease_ended *ret_ended, struct leased_err *err)
{
	struct store_tombstone *tombstone = NULL;
	int r;

	r = store_tombstone_get(store_db(leases->config.store), row, &tombstone, err);
	if (r != 0)
		return (r);
	if (tombstone->ended_ms <= leases_now_ms(leases) - LEASE_ENDED_MS)
		r = LEASED_ENOENT;
	else
		r = lease_ended_decode(tombstone->data, ret_ended, err);
	if (r == 0) {
		ret_ended->row = tombstone->id;
		ret_ended->connection = tombstone->connection;
		lease_text_copy(ret_ended->account, sizeof(ret_ended->account), tombstone->account);
	}
	store_tombstone_free(tombstone);
	return (r);
}

int
lease_ended_find(struct leases *leases, const char *lease_id, struct lease_ended **ret_ended,
    struct leased_err *err)
{
	struct lease_id_parts parts;
	struct lease_ended *ended = NULL;
	struct leased_err why = LEASED_ERR_INIT;
	int r = LEASED_ENOENT;

	if (!lease_id_split(lease_id, &parts))
		goto out;
	if ((ended = malloc(sizeof(*ended))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = tombstone_read(leases, parts.row, ended, &why);
	if (r == 0 && !same_id(ended, &parts))
		r = LEASED_ENOENT;
	if (r == 0) {
		*ret_ended = ended;
		return (0);
	}
out:
	free(ended);
	/* A damaged one is counted by the store; here it must not tell that it was there. */
	if (r == LEASED_ENOENT || r == LEASED_ECORRUPT)
		return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
	if (err != NULL)
		*err = why;
	return (r);
}
