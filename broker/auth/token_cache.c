/*
 * Identities of tokens that authenticated lately, so that a token that is used all the time is not
 * read and opened each time. One is good only while the store says that none of the rows it was
 * made of has changed, and auth/ that no policy has: so it says what reading would say, and nothing
 * has to be taken out of here. Times are compared at each use. Called by token_use.c, on the loop.
 *
 * It holds no token: tokens are found by their HMAC.
 */
#include <string.h>

#include <openssl/crypto.h>

#include "auth/auth_private.h"

void
auth_chain_add(struct auth *auth, struct auth_chain *chain, int64_t id)
{
	uint64_t changes = store_row_changes(auth->config.store, id);

	if (chain->count == AUTH_CHAIN_MAX || changes % 2 != 0) {
		chain->unfit = true;
		return;
	}
	chain->ids[chain->count++] = id;
	chain->changes += changes; /* each only grows: the same sum is the same counts */
}

/* A count that is odd now has grown, and so has the sum. */
static bool
chain_holds(struct auth *auth, const struct auth_chain *chain)
{
	uint64_t changes = 0;

	for (unsigned i = 0; i < chain->count; i++)
		changes += store_row_changes(auth->config.store, chain->ids[i]);
	return (changes == chain->changes);
}

static struct auth_cached *
cache_set(struct auth *auth, const uint8_t mac[SEAL_HMAC_SIZE])
{
	return (auth->cache[mac[0] % AUTH_CACHE_SETS]);
}

static void
cached_clear(struct auth_cached *cached)
{
	auth_identity_release(cached->identity);
	leased_wipe(cached, sizeof(*cached));
}

static bool
cached_holds(struct auth *auth, const struct auth_cached *cached)
{
	return (cached->policy_writes == auth->policy_writes && chain_holds(auth, &cached->chain));
}

struct auth_identity *
auth_cache_find(struct auth *auth, const uint8_t mac[SEAL_HMAC_SIZE])
{
	struct auth_cached *set = cache_set(auth, mac);
	int64_t expires_ms;

	for (unsigned i = 0; i < AUTH_CACHE_WAYS; i++) {
		if (set[i].identity == NULL || CRYPTO_memcmp(set[i].mac, mac, SEAL_HMAC_SIZE) != 0)
			continue;
		expires_ms = set[i].identity->expires_ms;
		if (!cached_holds(auth, &set[i]) ||
		    (expires_ms != 0 && leases_now_ms(auth->config.leases) >= expires_ms)) {
			cached_clear(&set[i]);
			return (NULL);
		}
		set[i].used = ++auth->cache_clock;
		return (auth_identity_acquire(set[i].identity));
	}
	return (NULL);
}

void
auth_cache_put(struct auth *auth, struct auth_identity *identity, const struct auth_chain *chain)
{
	const uint8_t *mac = identity->record->index.mac;
	struct auth_cached *set = cache_set(auth, mac), *oldest = set;

	/* What changes with each use is no use to remember. */
	if (chain->unfit || identity->limited)
		return;
	for (unsigned i = 1; i < AUTH_CACHE_WAYS; i++)
		if (set[i].used < oldest->used)
			oldest = &set[i];
	cached_clear(oldest);
	memcpy(oldest->mac, mac, sizeof(oldest->mac));
	oldest->identity = auth_identity_acquire(identity);
	oldest->chain = *chain;
	oldest->policy_writes = auth->policy_writes;
	oldest->used = ++auth->cache_clock;
}

void
auth_cache_clear(struct auth *auth)
{
	for (unsigned i = 0; i < AUTH_CACHE_SETS; i++)
		for (unsigned j = 0; j < AUTH_CACHE_WAYS; j++)
			cached_clear(&auth->cache[i][j]);
}
