/*
 * Accounts of the Redis plugin: what the daemon says of one, and what one node says of its user.
 */
#ifndef REDIS_ACCOUNT_H
#define REDIS_ACCOUNT_H

#include "redis.h"

#define REDIS_NAME_MAX 128
#define REDIS_HASH_SIZE 65 /* SHA-256 in hex */

struct redis_account {
	const char *name, *server, *kept; /* of the params; NULL: absent */
	const json_t *role;
};
/* LEASED_EINVAL: a name that Redis cannot take, or that is nobody's account. */
int redis_account_read(const struct redis *plugin, const json_t *object,
    struct redis_account *ret_account, struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EMOVED where it was made on another server. */
int redis_account_on_server(const struct redis *plugin, const struct redis_account *account,
    struct leased_err *err) LEASED_MUST_CHECK;
/* ACL GETUSER: is there a user of that name, and do any password or none log in? */
int redis_user_find(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *name, bool *ret_found, bool *ret_nopass, struct leased_err *err) LEASED_MUST_CHECK;
/* Ends all connections of a user and sees them gone, within 1 s. *ret_count: of them. */
int redis_user_kill(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *name, unsigned *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
/* A command that changes a user and answers OK. */
int redis_user_change(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct redis_command *command, struct leased_err *err) LEASED_MUST_CHECK;
int redis_hash(
    const char *password, char ret_hex[REDIS_HASH_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

/* ---- kept.c: what the daemon keeps with the lease. kept may be NULL ---- */

/* NULL: there is none, so that the account cannot be made anew. */
const char *redis_kept_hash(const json_t *kept);
/* Was it made in this life of a server? */
bool redis_kept_made_in(const json_t *kept, const char *run_id);
/* Does it name every node of now? */
bool redis_kept_has_all(const struct redis *plugin, const json_t *kept);
/* A node that it was made on, which is none of now and not said to be gone; NULL: none. Borrowed.
 */
const char *redis_kept_left_out(const struct redis *plugin, const json_t *kept);
/* Puts it into result: of the nodes of now, and those that before tells of and are left out. */
int redis_kept_put(const struct redis *plugin, const char *hash, const json_t *before,
    json_t *result, struct leased_err *err) LEASED_MUST_CHECK;

#endif
