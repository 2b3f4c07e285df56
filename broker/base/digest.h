/*
 * SHA-256 for who needs it for each request. OpenSSL's own EVP_sha256() is looked up by its name in
 * the provider each time it is used, which takes longer than to hash a key or a token.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#define DIGEST_SHA256_LEN 32
#define DIGEST_SHA256_HEX_SIZE 65

/* From any thread. 0, or LEASED_ENOMEM. */
int digest_sha256(
    const void *bytes, size_t len, uint8_t ret_hash[DIGEST_SHA256_LEN]) LEASED_MUST_CHECK;
/* In small letters. */
void digest_hex(const uint8_t hash[DIGEST_SHA256_LEN], char ret_hex[DIGEST_SHA256_HEX_SIZE]);

#endif
