/*
 * Lease ids: "<mount path><place>/<8 digits of row number><16 random>". A lookup is one indexed
 * read by row number (or none: remember.c); every wrong id looks alike from outside.
 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "lease/ended.h"
#include "lease/private.h"

#define TAIL_LEN (8 + STORE_LEASE_RANDOM_LEN)

int
lease_id_format(struct leases *leases, const struct store_lease *row, char *ret_id, size_t size)
{
	const char *mount = leases->config.mount_path(leases->config.arg, row->mount);
	char number[9];
	int len;

	if (mount == NULL)
		return (LEASED_ENOENT);
	if (id_number_encode(row->id, number) != 0)
		return (LEASED_EINVAL);
	len = snprintf(ret_id, size, "%s%s/%s%s", mount, row->place, number, row->random);
	return (len > 0 && (size_t)len < size ? 0 : LEASED_ETOOBIG);
}

static bool
same_place(struct leases *leases, const struct store_lease *row, const char *id, size_t len)
{
	const char *mount = leases->config.mount_path(leases->config.arg, row->mount);
	size_t mount_len, place_len = strlen(row->place);

	if (mount == NULL)
		return (false);
	mount_len = strlen(mount);
	return (len == mount_len + place_len && memcmp(id, mount, mount_len) == 0 &&
		memcmp(id + mount_len, row->place, place_len) == 0);
}

bool
lease_id_split(const char *lease_id, struct lease_id_parts *ret_parts)
{
	struct lease_id_parts parts = {.path = lease_id};
	size_t len = strlen(lease_id);

	if (len <= TAIL_LEN || len >= LEASE_ID_MAX || lease_id[len - TAIL_LEN - 1] != '/' ||
	    id_number_decode(lease_id + len - TAIL_LEN, &parts.row) != 0)
		return (false);
	parts.path_len = len - TAIL_LEN - 1;
	parts.random = lease_id + len - STORE_LEASE_RANDOM_LEN;
	*ret_parts = parts;
	return (true);
}

int
lease_find(struct leases *leases, const char *lease_id, struct store_lease **ret_row,
    struct leased_err *err)
{
	struct store_lease *row = NULL;
	struct leased_err why = LEASED_ERR_INIT;
	struct lease_id_parts parts;
	int r;

	if (!lease_id_split(lease_id, &parts))
		goto unknown;
	r = lease_row_get(leases, parts.row, &row, &why);
	if (r == LEASED_ENOENT)
		goto unknown;
	if (r != 0) {
		if (err != NULL)
			*err = why;
		return (r);
	}
	if (strlen(row->random) != STORE_LEASE_RANDOM_LEN ||
	    CRYPTO_memcmp(row->random, parts.random, STORE_LEASE_RANDOM_LEN) != 0 ||
	    !same_place(leases, row, parts.path, parts.path_len))
		goto unknown;
	*ret_row = row;
	return (0);
unknown:
	store_lease_free(row);
	return (leased_err_set(err, LEASED_ENOENT, "invalid lease"));
}
