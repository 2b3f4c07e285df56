/*
 * Fuzzes the decoder of lease records: whatever it takes is written again as a record that decodes
 * to the same lease.
 */
#include <stdlib.h>
#include <string.h>

#include "store/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct store_lease *
decode(const uint8_t *bytes, size_t len)
{
	json_t *record = json_loadb((const char *)bytes, len, 0, NULL);
	struct store_lease *lease = NULL;

	if (json_is_array(record))
		(void)(store_lease_decode(record, &lease, NULL) == 0);
	json_decref(record);
	return (lease);
}

static void
check(bool good)
{
	if (!good)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct store_lease *lease = decode(len > 0 ? bytes : (const uint8_t *)"", len), *again;
	struct jenc record = {0};

	if (lease == NULL)
		return (0);
	store_lease_encode(lease, &record);
	/* Refused for its depth at most: all of its texts came out of JSON. */
	if (jenc_end(&record, NULL) == 0) {
		check((again = decode(record.bytes, record.len)) != NULL);
		check(again->state == lease->state && again->kind == lease->kind &&
		      again->connection == lease->connection && again->mount == lease->mount &&
		      again->next_at_ms == lease->next_at_ms &&
		      store_lease_flags(again) == store_lease_flags(lease));
		check(strcmp(again->random, lease->random) == 0 &&
		      strcmp(again->place, lease->place) == 0 &&
		      strcmp(again->account, lease->account) == 0 &&
		      strcmp(again->owner, lease->owner) == 0);
		check(json_equal(again->data, lease->data));
		store_lease_free(again);
	}
	jenc_clear(&record);
	store_lease_free(lease);
	return (0);
}
