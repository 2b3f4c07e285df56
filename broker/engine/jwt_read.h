/*
 * What a JWT says, before anybody has vouched for it: for looking its lease up.
 */
#ifndef ENGINE_JWT_READ_H
#define ENGINE_JWT_READ_H

#include <jansson.h>

#include <leased/error.h>

#define JWT_TEXT_MAX 65536
#define JWT_HASH_SIZE 65

/* The claims of a compact JWS, a new object. No signature is looked at. LEASED_EINVAL. */
int engine_jwt_read(
    const char *token, json_t **ret_claims, struct leased_err *err) LEASED_MUST_CHECK;
/* SHA-256 over the whole token in hex: what its lease knows it by. */
int engine_jwt_hash(
    const char *token, char ret_hash[JWT_HASH_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

#endif
