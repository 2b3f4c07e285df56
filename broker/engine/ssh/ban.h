/*
 * A ban, for those who keep it in memory (ban_memory.c), who write it (ban.c) and who end what it
 * hits (ban_sweep.c).
 */
#ifndef ENGINE_SSH_BAN_H
#define ENGINE_SSH_BAN_H

#include "engine/ssh/ssh.h"

struct ssh_ban *engine_ssh_ban_find(const struct ssh_mount *mount, int64_t id);
bool engine_ssh_ban_hits(
    const struct ssh_ban *ban, const char *entity, const char *fingerprint, const char *key_id);
/* Holds at once; NULL: out of memory. */
struct ssh_ban *engine_ssh_ban_add(struct ssh_mount *mount, const struct store_doc *doc);
void engine_ssh_ban_drop(struct ssh_mount *mount, struct ssh_ban *ban);
/* Of a document without data: LEASED_ECORRUPT, and what to do. */
int engine_ssh_ban_damaged(const struct store_doc *doc, struct leased_err *err);
/* Reads them where they are not known yet, at most once a second. */
int engine_ssh_bans_need(struct ssh_mount *mount, struct leased_err *err) LEASED_MUST_CHECK;
void engine_ssh_bans_free(struct ssh_mount *mount);
void engine_ssh_ban_sweep(struct ssh_mount *mount, const struct ssh_ban *ban);

#endif
