/*
 * What engine.c and mount_change.c call of the type ssh.
 */
#ifndef ENGINE_SSH_MOUNT_H
#define ENGINE_SSH_MOUNT_H

#include <stdint.h>

struct engines;

void engine_ssh_start(struct engines *engines); /* with engines_start() */
/* The store was restored, and its hold is over: lists get a version above the original's. */
void engine_ssh_krl_restored(struct engines *engines);
void engine_ssh_quiet(struct engines *engines); /* nobody waits for a list any more */
void engine_ssh_stop(struct engines *engines);
void engine_ssh_free(struct engines *engines);
void engine_ssh_unmounted(struct engines *engines, int64_t mount);
/* What is due; milliseconds until it wants to be called again, -1: nothing waits. */
int64_t engine_ssh_tick(struct engines *engines);

#endif
