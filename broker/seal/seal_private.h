/*
 * Inside of seal/ and for its unit tests: the structs, and AES-256-GCM alone.
 */
#ifndef SEAL_SEAL_PRIVATE_H
#define SEAL_SEAL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/evp.h>

#include <leased/secret.h>

#include "seal/seal.h"

#define SEAL_KEY_SIZE 32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE 16
#define SEAL_KEYS_MAX 256
#define SEAL_COUNT_MAX (UINT64_C(1) << 30)

struct seal_root {
	struct leased_secret *key;
};

struct seal_key {
	uint32_t id; /* from 1; in the head of each sealed value */
	struct leased_secret *key;
	_Atomic uint64_t count; /* values sealed */
};

#define SEAL_IDLE 4
struct seal_purpose {
	const char *name;
	EVP_MAC_CTX *mac; /* keyed and never updated: calls work on copies */
	EVP_MAC_CTX *idle[SEAL_IDLE];
	unsigned idle_count; /* with the mutex */
};
#define SEAL_PURPOSES 6

struct seal {
	struct leased_secret *root;     /* wraps the blob again when a key is added */
	struct leased_secret *mac_root; /* the HMAC keys derive from it; never changes */
	struct seal_key keys[SEAL_KEYS_MAX];
	_Atomic unsigned key_count; /* keys below it are whole and never change */
	_Atomic unsigned active;    /* index of the key that seals */
	EVP_CIPHER *cipher;
	EVP_MAC *mac;
	struct seal_purpose purposes[SEAL_PURPOSES];
	pthread_mutex_t mutex; /* idle contexts */
};

struct seal_bytes {
	const uint8_t *bytes;
	size_t len;
};

/* ret_cipher holds plain.len + SEAL_TAG_SIZE bytes: the ciphertext, then the tag. */
int seal_aead_encrypt(const EVP_CIPHER *cipher, const struct leased_secret *key,
    const uint8_t nonce[SEAL_NONCE_SIZE], struct seal_bytes aad, struct seal_bytes plain,
    uint8_t *ret_cipher, struct leased_err *err) LEASED_MUST_CHECK;
/* sealed is ciphertext and tag. LEASED_ECORRUPT when the tag does not match; ret_plain is wiped. */
int seal_aead_decrypt(const EVP_CIPHER *cipher, const struct leased_secret *key,
    const uint8_t nonce[SEAL_NONCE_SIZE], struct seal_bytes aad, struct seal_bytes sealed,
    uint8_t *ret_plain, struct leased_err *err) LEASED_MUST_CHECK;

/* HKDF-SHA-256 without salt. */
int seal_derive(const struct leased_secret *secret, const char *info, size_t len,
    struct leased_secret **ret_key, struct leased_err *err) LEASED_MUST_CHECK;
int seal_mac_init(struct seal *seal, struct leased_err *err) LEASED_MUST_CHECK;
void seal_mac_clear(struct seal *seal);

/* Whole numbers, big-endian. */
static inline uint8_t *
seal_put_number(uint8_t *at, uint64_t number, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		at[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
	return (at + size);
}

static inline uint64_t
seal_get_number(const uint8_t *at, unsigned size)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < size; i++)
		number = number << 8 | at[i];
	return (number);
}

#endif
