/*
 * Sealing of values: AES-256-GCM under the keyring's active key, bound to a place (table, key,
 * version). A sealed value is format (1 byte), key id (4), nonce (12), ciphertext, tag (16). It
 * does not keep keys (keyring.c) and does not know what it seals. The store calls it, from any
 * thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "seal/seal_private.h"

#define WRAP_FORMAT 1
#define WRAP_HEAD_SIZE (1 + 4 + SEAL_NONCE_SIZE)
#define WRAP_TABLE_MAX 64
#define WRAP_AAD_MAX (1 + 4 + 1 + WRAP_TABLE_MAX + 8 + 8)

int
seal_aead_encrypt(const EVP_CIPHER *cipher, const struct leased_secret *key,
    const uint8_t nonce[SEAL_NONCE_SIZE], struct seal_bytes aad, struct seal_bytes plain,
    uint8_t *ret_cipher, struct leased_err *err)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const uint8_t *key_bytes = (const uint8_t *)leased_secret_reveal(key);
	int len, r = 0;

	if (plain.len > INT32_MAX - SEAL_TAG_SIZE)
		r = leased_err_set(err, LEASED_ETOOBIG, "a value of 2 GiB cannot be sealed");
	else if (ctx == NULL || !EVP_EncryptInit_ex2(ctx, cipher, key_bytes, nonce, NULL) ||
		 !EVP_EncryptUpdate(ctx, NULL, &len, aad.bytes, (int)aad.len) ||
		 !EVP_EncryptUpdate(ctx, ret_cipher, &len, plain.bytes, (int)plain.len) ||
		 !EVP_EncryptFinal_ex(ctx, ret_cipher + len, &len) ||
		 !EVP_CIPHER_CTX_ctrl(
		     ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE, ret_cipher + plain.len))
		r = leased_err_set(err, LEASED_ENOMEM, "OpenSSL could not encrypt: no memory");
	EVP_CIPHER_CTX_free(ctx);
	return (r);
}

int
seal_aead_decrypt(const EVP_CIPHER *cipher, const struct leased_secret *key,
    const uint8_t nonce[SEAL_NONCE_SIZE], struct seal_bytes aad, struct seal_bytes sealed,
    uint8_t *ret_plain, struct leased_err *err)
{
	EVP_CIPHER_CTX *ctx = NULL;
	const uint8_t *key_bytes = (const uint8_t *)leased_secret_reveal(key);
	uint8_t tag[SEAL_TAG_SIZE];
	size_t plain_len;
	int len, r = 0;

	if (sealed.len < SEAL_TAG_SIZE || sealed.len > INT32_MAX)
		return (leased_err_set(err, LEASED_ECORRUPT, "the sealed value is cut"));
	plain_len = sealed.len - SEAL_TAG_SIZE;
	memcpy(tag, sealed.bytes + plain_len, sizeof(tag));
	if ((ctx = EVP_CIPHER_CTX_new()) == NULL ||
	    !EVP_DecryptInit_ex2(ctx, cipher, key_bytes, nonce, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE, tag) ||
	    !EVP_DecryptUpdate(ctx, NULL, &len, aad.bytes, (int)aad.len) ||
	    !EVP_DecryptUpdate(ctx, ret_plain, &len, sealed.bytes, (int)plain_len))
		r = leased_err_set(err, LEASED_ENOMEM, "OpenSSL could not decrypt: no memory");
	else if (!EVP_DecryptFinal_ex(ctx, ret_plain + len, &len))
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the sealed value does not open: it was changed, or it is not at its place");
	if (r != 0)
		leased_wipe(ret_plain, plain_len);
	EVP_CIPHER_CTX_free(ctx);
	return (r);
}

/* Format and key id are bound as well, so that no byte of a sealed value can change. */
static int
aad_encode(const struct seal_place *place, uint32_t key_id, uint8_t aad[WRAP_AAD_MAX],
    size_t *ret_len, struct leased_err *err)
{
	size_t table_len = strlen(place->table);
	uint8_t *at = aad;

	if (table_len > WRAP_TABLE_MAX)
		return (bug(err, "table name too long to seal: %s", place->table));
	at = seal_put_number(at, WRAP_FORMAT, 1);
	at = seal_put_number(at, key_id, 4);
	at = seal_put_number(at, table_len, 1);
	memcpy(at, place->table, table_len);
	at = seal_put_number(at + table_len, (uint64_t)place->key, 8);
	at = seal_put_number(at, (uint64_t)place->version, 8);
	*ret_len = (size_t)(at - aad);
	return (0);
}

int
seal_wrap(struct seal *seal, const struct seal_place *place, const void *plain, size_t len,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err)
{
	struct seal_key *key = &seal->keys[atomic_load(&seal->active)];
	uint8_t aad[WRAP_AAD_MAX];
	uint8_t *sealed = NULL;
	size_t aad_len;
	int r;

	if ((r = aad_encode(place, key->id, aad, &aad_len, err)) != 0)
		return (r);
	if (atomic_fetch_add(&key->count, 1) >= SEAL_COUNT_MAX) {
		atomic_fetch_sub(&key->count, 1);
		return (leased_err_set(err, LEASED_ELIMIT,
		    "key %u has sealed 2^30 values: a new data key is needed", (unsigned)key->id));
	}
	if ((sealed = malloc(WRAP_HEAD_SIZE + len + SEAL_TAG_SIZE)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to seal a value"));
	sealed[0] = WRAP_FORMAT;
	seal_put_number(sealed + 1, key->id, 4);
	id_source_system()->fill(id_source_system(), sealed + 5, SEAL_NONCE_SIZE);
	r = seal_aead_encrypt(seal->cipher, key->key, sealed + 5, (struct seal_bytes){aad, aad_len},
	    (struct seal_bytes){plain, len}, sealed + WRAP_HEAD_SIZE, err);
	if (r != 0) {
		free(sealed);
		return (r);
	}
	*ret_sealed = sealed;
	*ret_len = WRAP_HEAD_SIZE + len + SEAL_TAG_SIZE;
	return (0);
}

static struct seal_key *
key_find(struct seal *seal, uint32_t id)
{
	unsigned count = atomic_load(&seal->key_count);

	for (unsigned i = count; i-- > 0;) {
		if (seal->keys[i].id == id)
			return (&seal->keys[i]);
	}
	return (NULL);
}

int
seal_unwrap(struct seal *seal, const struct seal_place *place, const uint8_t *sealed, size_t len,
    uint8_t **ret_plain, size_t *ret_len, struct leased_err *err)
{
	uint8_t aad[WRAP_AAD_MAX];
	struct seal_key *key;
	uint8_t *plain;
	size_t aad_len, plain_len;
	int r;

	if (len < WRAP_HEAD_SIZE + SEAL_TAG_SIZE || sealed[0] != WRAP_FORMAT ||
	    (key = key_find(seal, (uint32_t)seal_get_number(sealed + 1, 4))) == NULL)
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "the sealed value is cut, or of a format or key that is unknown"));
	if ((r = aad_encode(place, key->id, aad, &aad_len, err)) != 0)
		return (r);
	plain_len = len - WRAP_HEAD_SIZE - SEAL_TAG_SIZE;
	if ((plain = malloc(plain_len + 1)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to open a sealed value"));
	r = seal_aead_decrypt(seal->cipher, key->key, sealed + 5, (struct seal_bytes){aad, aad_len},
	    (struct seal_bytes){sealed + WRAP_HEAD_SIZE, len - WRAP_HEAD_SIZE}, plain, err);
	if (r != 0) {
		free(plain);
		return (r);
	}
	plain[plain_len] = '\0';
	*ret_plain = plain;
	*ret_len = plain_len;
	return (0);
}

void
seal_plain_free(uint8_t *plain, size_t len)
{
	if (plain == NULL)
		return;
	leased_wipe(plain, len);
	free(plain);
}
