/*
 * The small values of a store's file that are read by hand: the record of the hold, the copy of the
 * tag, the anchor of lease time. The first byte says which. Whatever the bytes, reading says yes or
 * no; what it takes is within its bounds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/anchor.h"
#include "store/value.h"
#include "store/hold.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
hold(const char *text)
{
	struct store_hold hold, back;
	char again[128];

	if (store_hold_decode(text, &hold, NULL) != 0)
		return;
	(void)snprintf(again, sizeof(again), "%s %" PRId64 " %" PRId64, hold.old_tag, hold.below,
	    hold.since_wall_ms);
	if (!hold.held || hold.below < 0 || strlen(hold.old_tag) != STORE_TAG_LEN ||
	    store_hold_decode(again, &back, NULL) != 0 || back.below != hold.below ||
	    back.since_wall_ms != hold.since_wall_ms)
		abort();
}

static void
birth(const char *text)
{
	struct store_birth birth;
	char again[STORE_TAG_LEN + 1 + ID_UUID_SIZE];

	if (store_birth_decode(text, &birth, NULL) != 0)
		return;
	(void)snprintf(again, sizeof(again), "%s %s", birth.tag, birth.cluster_id);
	if (strcmp(again, text) != 0)
		abort();
}

static void
anchor(const char *text)
{
	struct lease_anchor anchor;
	const int64_t bound = INT64_C(1) << 48;

	if (lease_anchor_decode(text, &anchor, NULL) != 0)
		return;
	if (anchor.lease_ms > bound || anchor.lease_ms < -bound || anchor.boot_ms > bound ||
	    anchor.boot_ms < -bound || strlen(anchor.boot_id) >= sizeof(anchor.boot_id))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text;

	if (len == 0 || (text = strndup((const char *)bytes + 1, len - 1)) == NULL)
		return (0);
	if (bytes[0] == 'h')
		hold(text);
	else if (bytes[0] == 'b')
		birth(text);
	else
		anchor(text);
	free(text);
	return (0);
}
