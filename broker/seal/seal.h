/*
 * The keyring: a root key (from a file here) wraps data keys; data keys seal rows and key the
 * HMACs. Safe from any thread once open.
 */
#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

struct seal_root; /* the root key */
struct seal;      /* the keyring */

/*
 * The root key of a file: 32 random bytes in base64 and a newline, 0600, owned by us; wider is
 * refused. With create, a missing file is made (and fsynced with its directory) and *ret_created
 * says so.
 */
int seal_root_open_file(const char *path, bool create, struct seal_root **ret_root,
    bool *ret_created, struct leased_err *err) LEASED_MUST_CHECK;
/* A fresh random root key in memory, for tests and for --dev without a directory. */
struct seal_root *seal_root_new_random(void);
void seal_root_free(struct seal_root *root); /* wipes; NULL is fine */

/* A new keyring, and the wrapped blob to keep (caller frees). */
int seal_new(struct seal_root *root, struct seal **ret_seal, uint8_t **ret_blob, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Opens a blob. LEASED_ECORRUPT: damaged, or another root key. */
int seal_open(struct seal_root *root, const uint8_t *blob, size_t len, struct seal **ret_seal,
    struct leased_err *err) LEASED_MUST_CHECK;
void seal_free(struct seal *seal);

/* Values sealed with the active key. The store keeps it over restarts (rounded up). */
uint64_t seal_count(struct seal *seal);
void seal_count_restore(struct seal *seal, uint64_t count);
/*
 * A further data key, in two steps: the blob that holds it (caller frees), to be made durable; then
 * it comes into use. Older keys go on opening what they sealed. One thread at a time.
 */
int seal_add_key(struct seal *seal, uint8_t **ret_blob, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;
void seal_use_newest_key(struct seal *seal);

/* What a sealed value is bound to. */
struct seal_place {
	const char *table;
	int64_t key;
	int64_t version;
};

/* AES-256-GCM, a random 96-bit nonce, AAD = place. The caller frees. Seals are counted; over 2^30
 * with one key: LEASED_ELIMIT. */
int seal_wrap(struct seal *seal, const struct seal_place *place, const void *plain, size_t len,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
/* *ret_plain is wiped and freed by the caller with seal_plain_free(). LEASED_ECORRUPT when it does
 * not open at that place. */
int seal_unwrap(struct seal *seal, const struct seal_place *place, const uint8_t *sealed,
    size_t len, uint8_t **ret_plain, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;
void seal_plain_free(uint8_t *plain, size_t len);

/* HMAC-SHA-256 under a key derived for purpose ("token", "accessor", "index"): deterministic for
 * the life of the keyring. */
#define SEAL_HMAC_SIZE 32
int seal_hmac(struct seal *seal, const char *purpose, const void *bytes, size_t len,
    uint8_t ret_mac[SEAL_HMAC_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

#endif
