/*
 * The anchor of lease time as it is kept in the store. For anchor.c, and for tests.
 */
#ifndef LEASE_ANCHOR_H
#define LEASE_ANCHOR_H

#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>

struct lease_anchor {
	char boot_id[64];
	int64_t boot_ms, wall_ms, lease_ms;
	/* What is still to be confirmed, so that a restart in between does not forget it. */
	bool waiting, behind;
	int64_t ref_lease_ms, ref_wall_ms, since_boot_ms;
};
int lease_anchor_decode(
    const char *text, struct lease_anchor *ret_anchor, struct leased_err *err) LEASED_MUST_CHECK;

#endif
