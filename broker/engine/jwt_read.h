/*
 * What a JWT says, before anybody has vouched for it, and its lease, which does (jwt_find.c).
 */
#ifndef ENGINE_JWT_READ_H
#define ENGINE_JWT_READ_H

#include <jansson.h>

#include <leased/error.h>

#include "lease/plain.h"

struct engines;

#define JWT_TEXT_MAX 65536
#define JWT_HASH_SIZE 65

/* The claims of a compact JWS, a new object. No signature is looked at. LEASED_EINVAL. */
int engine_jwt_read(
    const char *token, json_t **ret_claims, struct leased_err *err) LEASED_MUST_CHECK;
/* SHA-256 over the whole token in hex: what its lease knows it by. */
int engine_jwt_hash(
    const char *token, char ret_hash[JWT_HASH_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

/* The lease of a token of ours that has not ended, and its claims (new; may be NULL).
 * LEASED_EINVAL: it is no JWT; LEASED_ENOENT, without a text: none of ours, or over. */
int engine_jwt_lease(struct engines *engines, const char *token, struct lease_plain *ret_plain,
    json_t **ret_claims, struct leased_err *err) LEASED_MUST_CHECK;
/* Would who verifies it himself take it: is now before exp, and its key published? */
bool engine_jwt_is_good(struct engines *engines, const struct lease_plain *plain);

#endif
