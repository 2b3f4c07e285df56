/*
 * What auth/ remembers of tokens that were used lately (token_cache.c). Only auth/ includes it.
 */
#ifndef AUTH_TOKEN_CACHE_H
#define AUTH_TOKEN_CACHE_H

#include "auth/auth.h"

#define AUTH_CACHE_SETS 128 /* identities of tokens that are kept: sets of .. */
#define AUTH_CACHE_WAYS 4
#define AUTH_CHAIN_MAX 8 /* a token with more ancestors is read each time */

/* The rows that say whether a token lives: its own and its ancestors', and how often they had
 * changed when they were about to be read. */
struct auth_chain {
	int64_t ids[AUTH_CHAIN_MAX];
	unsigned count;
	bool unfit; /* too long, or one of them was being changed */
	uint64_t changes;
};
struct auth_cached {
	uint8_t mac[SEAL_HMAC_SIZE];
	struct auth_identity *identity; /* NULL: free */
	struct auth_chain chain;
	uint64_t policy_writes, used;
};

/* Each row is added before it is read. */
void auth_chain_add(struct auth *auth, struct auth_chain *chain, int64_t id);
/* A new reference, NULL: the token has to be read. */
struct auth_identity *auth_cache_find(struct auth *auth, const uint8_t mac[SEAL_HMAC_SIZE]);
void auth_cache_put(
    struct auth *auth, struct auth_identity *identity, const struct auth_chain *chain);
void auth_cache_clear(struct auth *auth);

#endif
