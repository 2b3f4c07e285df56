/*
 * A list of revoked certificates on its way: from krl_build.c to the store's reader (krl_read.c).
 */
#ifndef ENGINE_SSH_KRL_BUILD_H
#define ENGINE_SSH_KRL_BUILD_H

#include <stdio.h>

#include "engine/ssh/krl.h"

#define PURGE_MAX 256

/* One key of the CA, and what it signed that is revoked. */
struct krl_ca {
	char kid[SSH_KID_SIZE], *line;
	FILE *out; /* each serial as its distance to the one before: "7,1,30" */
	char *serials;
	size_t size;
	int64_t last;
};

struct krl_build {
	struct store_read read; /* first */
	struct ssh_mount *mount;
	struct engines *engines;
	int64_t mount_id, version, date_s;
	char kid[SSH_KID_SIZE];
	struct krl_ca cas[SSH_KEYS_MAX + SSH_RETIRED_MAX];
	size_t ca_count;
	json_t *key_ids, *keys;
	struct over {
		int64_t id, version;
	} over[PURGE_MAX];
	size_t over_count;
	/* Of the list before, and of this one; the mount's while none is being made. */
	struct ssh_known known, next;
};

/* On the reader thread. */
int engine_ssh_krl_read_run(
    struct store_read *read, struct store_db *db, struct leased_err *err) LEASED_MUST_CHECK;
/* On the loop, around it. good: next has all of them. */
void engine_ssh_krl_known_take(struct ssh_known *known, struct krl_build *build);
void engine_ssh_krl_known_give(struct krl_build *build, bool good, struct ssh_known *ret_known);

#endif
