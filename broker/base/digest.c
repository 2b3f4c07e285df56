/*
 * SHA-256 with the provider's function looked up once, for the life of the process. Called for each
 * request by engine/, and by sshwire for each key.
 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdatomic.h>

/* Two threads may both look it up: the first one's stays. */
static EVP_MD *
sha256(void)
{
	static _Atomic(EVP_MD *) known;
	EVP_MD *found = atomic_load(&known), *none = NULL;

	if (found == NULL && (found = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL &&
	    !atomic_compare_exchange_strong(&known, &none, found)) {
		EVP_MD_free(found);
		found = none;
	}
	return (found);
}

int
digest_sha256(const void *bytes, size_t len, uint8_t ret_hash[DIGEST_SHA256_LEN])
{
	const EVP_MD *function = sha256();

	if (function == NULL || EVP_Digest(bytes, len, ret_hash, NULL, function, NULL) != 1)
		return (LEASED_ENOMEM);
	return (0);
}

void
digest_hex(const uint8_t hash[DIGEST_SHA256_LEN], char ret_hex[DIGEST_SHA256_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < DIGEST_SHA256_LEN; i++) {
		ret_hex[2 * i] = digits[hash[i] >> 4];
		ret_hex[2 * i + 1] = digits[hash[i] & 15];
	}
	ret_hex[DIGEST_SHA256_HEX_SIZE - 1] = '\0';
}
