/*
 * Fuzzes the decoder of the keyring behind its seal: the input is wrapped under a root key, as only
 * its owner can, and opened. What opens must seal and open a value.
 */
#include <stdlib.h>
#include <string.h>

#include "seal/seal_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct seal_place place = {"lease", 1, 1};
	static struct seal_root *root;
	static EVP_CIPHER *cipher;
	uint8_t *blob = calloc(1, len + 4 + SEAL_NONCE_SIZE + SEAL_TAG_SIZE), *sealed = NULL;
	uint8_t *plain = NULL;
	struct seal *seal = NULL;
	size_t sealed_len = 0, plain_len = 0;

	if (root == NULL)
		root = seal_root_new_random();
	if (cipher == NULL)
		cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (blob == NULL || root == NULL || cipher == NULL)
		abort();
	memcpy(blob, "LKR1", 4);
	if (seal_aead_encrypt(cipher, root->key, blob + 4, (struct seal_bytes){blob, 4},
		(struct seal_bytes){bytes, len}, blob + 4 + SEAL_NONCE_SIZE, NULL) != 0)
		abort();
	if (seal_open(root, blob, len + 4 + SEAL_NONCE_SIZE + SEAL_TAG_SIZE, &seal, NULL) == 0 &&
	    (seal_wrap(seal, &place, "x", 1, &sealed, &sealed_len, NULL) != 0 ||
		seal_unwrap(seal, &place, sealed, sealed_len, &plain, &plain_len, NULL) != 0))
		abort();
	seal_plain_free(plain, plain_len);
	free(sealed);
	seal_free(seal);
	free(blob);
	return (0);
}
