/*
 * The keyring and its wrapped form. The blob is "LKR1", nonce, then sealed under the root key: the
 * secret that HMAC keys derive from, the number of data keys, and each (id, key), oldest first; the
 * last one seals. It keeps nothing on disk itself: the store does, and opens it at start.
 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "seal/seal_private.h"

#define BLOB_MAGIC "LKR1"
#define BLOB_MAGIC_SIZE 4
#define BLOB_HEAD_SIZE (BLOB_MAGIC_SIZE + SEAL_NONCE_SIZE)
#define BODY_HEAD_SIZE (SEAL_KEY_SIZE + 4)
#define BODY_KEY_SIZE (4 + SEAL_KEY_SIZE)

static const struct seal_bytes magic = {(const uint8_t *)BLOB_MAGIC, BLOB_MAGIC_SIZE};

static struct leased_secret *
random_secret(void)
{
	struct leased_secret *secret = leased_secret_new_empty(SEAL_KEY_SIZE);

	if (secret != NULL)
		id_source_system()->fill(
		    id_source_system(), leased_secret_reveal_mutable(secret), SEAL_KEY_SIZE);
	return (secret);
}

struct seal_root *
seal_root_new_random(void)
{
	struct seal_root *root = calloc(1, sizeof(*root));

	if (root == NULL || (root->key = random_secret()) == NULL) {
		free(root);
		return (NULL);
	}
	return (root);
}

void
seal_root_free(struct seal_root *root)
{
	if (root == NULL)
		return;
	leased_secret_free(root->key);
	free(root);
}

static int
keyring_alloc(struct seal_root *root, struct seal **ret_seal, struct leased_err *err)
{
	struct seal *seal = calloc(1, sizeof(*seal));

	if (seal != NULL)
		pthread_mutex_init(&seal->mutex, NULL);
	if (seal == NULL || (seal->root = leased_secret_copy(root->key)) == NULL ||
	    (seal->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) == NULL) {
		seal_free(seal);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory for the keyring"));
	}
	*ret_seal = seal;
	return (0);
}

void
seal_free(struct seal *seal)
{
	if (seal == NULL)
		return;
	seal_mac_clear(seal);
	for (unsigned i = 0; i < atomic_load(&seal->key_count); i++)
		leased_secret_free(seal->keys[i].key);
	leased_secret_free(seal->mac_root);
	leased_secret_free(seal->root);
	EVP_CIPHER_free(seal->cipher);
	pthread_mutex_destroy(&seal->mutex);
	free(seal);
}

/* Takes ownership of key, which may be NULL (no memory). */
static int
key_append(struct seal *seal, uint32_t id, struct leased_secret *key, struct leased_err *err)
{
	unsigned count = atomic_load(&seal->key_count);

	if (key == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory for a data key"));
	seal->keys[count].id = id;
	seal->keys[count].key = key;
	atomic_store(&seal->keys[count].count, 0);
	atomic_store(&seal->key_count, count + 1);
	return (0);
}

static int
blob_encode(struct seal *seal, uint8_t **ret_blob, size_t *ret_len, struct leased_err *err)
{
	unsigned count = atomic_load(&seal->key_count);
	size_t body_len = BODY_HEAD_SIZE + count * BODY_KEY_SIZE;
	size_t len = BLOB_HEAD_SIZE + body_len + SEAL_TAG_SIZE;
	struct leased_secret *body = leased_secret_new_empty(body_len);
	uint8_t *blob = malloc(len), *at;
	int r;

	if (body == NULL || blob == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to wrap the keyring");
		goto out;
	}
	at = (uint8_t *)leased_secret_reveal_mutable(body);
	memcpy(at, leased_secret_reveal(seal->mac_root), SEAL_KEY_SIZE);
	at = seal_put_number(at + SEAL_KEY_SIZE, count, 4);
	for (unsigned i = 0; i < count; i++) {
		at = seal_put_number(at, seal->keys[i].id, 4);
		memcpy(at, leased_secret_reveal(seal->keys[i].key), SEAL_KEY_SIZE);
		at += SEAL_KEY_SIZE;
	}
	memcpy(blob, BLOB_MAGIC, BLOB_MAGIC_SIZE);
	at = blob + BLOB_MAGIC_SIZE;
	id_source_system()->fill(id_source_system(), at, SEAL_NONCE_SIZE);
	r = seal_aead_encrypt(seal->cipher, seal->root, at, magic,
	    (struct seal_bytes){(const uint8_t *)leased_secret_reveal(body), body_len},
	    blob + BLOB_HEAD_SIZE, err);
	if (r != 0)
		goto out;
	*ret_blob = blob;
	*ret_len = len;
	blob = NULL;
out:
	leased_secret_free(body);
	free(blob);
	return (r);
}

static int
body_decode(struct seal *seal, const uint8_t *body, size_t len, struct leased_err *err)
{
	const uint8_t *at = body + BODY_HEAD_SIZE;
	uint64_t count;
	int r;

	if (len < BODY_HEAD_SIZE || (count = seal_get_number(at - 4, 4)) == 0 ||
	    count > SEAL_KEYS_MAX || len != BODY_HEAD_SIZE + count * BODY_KEY_SIZE)
		return (leased_err_set(err, LEASED_ECORRUPT, "the keyring is malformed"));
	if ((seal->mac_root = leased_secret_new(body, SEAL_KEY_SIZE)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory for the keyring"));
	for (uint64_t i = 0; i < count; i++, at += BODY_KEY_SIZE) {
		r = key_append(seal, (uint32_t)seal_get_number(at, 4),
		    leased_secret_new(at + 4, SEAL_KEY_SIZE), err);
		if (r != 0)
			return (r);
	}
	atomic_store(&seal->active, (unsigned)count - 1);
	return (0);
}

int
seal_new(struct seal_root *root, struct seal **ret_seal, uint8_t **ret_blob, size_t *ret_len,
    struct leased_err *err)
{
	struct seal *seal = NULL;
	int r;

	if ((r = keyring_alloc(root, &seal, err)) != 0)
		return (r);
	if ((seal->mac_root = random_secret()) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory for the keyring");
		goto out;
	}
	if ((r = key_append(seal, 1, random_secret(), err)) != 0 ||
	    (r = seal_mac_init(seal, err)) != 0 ||
	    (r = blob_encode(seal, ret_blob, ret_len, err)) != 0)
		goto out;
	*ret_seal = seal;
	seal = NULL;
out:
	seal_free(seal);
	return (r);
}

int
seal_open(struct seal_root *root, const uint8_t *blob, size_t len, struct seal **ret_seal,
    struct leased_err *err)
{
	struct leased_secret *body = NULL;
	struct seal *seal = NULL;
	int r;

	if (len < BLOB_HEAD_SIZE + BODY_HEAD_SIZE + SEAL_TAG_SIZE ||
	    memcmp(blob, BLOB_MAGIC, BLOB_MAGIC_SIZE) != 0)
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "the keyring is damaged, or of a format that this version does not know: "
		    "restore "
		    "the store from a backup (`leased restore`), or start the newer version"));
	if ((r = keyring_alloc(root, &seal, err)) != 0)
		goto out;
	if ((body = leased_secret_new_empty(len - BLOB_HEAD_SIZE - SEAL_TAG_SIZE)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "no memory to open the keyring");
		goto out;
	}
	r = seal_aead_decrypt(seal->cipher, seal->root, blob + BLOB_MAGIC_SIZE, magic,
	    (struct seal_bytes){blob + BLOB_HEAD_SIZE, len - BLOB_HEAD_SIZE},
	    (uint8_t *)leased_secret_reveal_mutable(body), err);
	if (r == LEASED_ECORRUPT)
		r = leased_err_set(err, LEASED_ECORRUPT,
		    "the keyring does not open with this root key: either the root key is another "
		    "one than this store was made with, or the keyring is damaged. Put the right "
		    "root key file in place, or restore the store from a backup");
	if (r != 0 ||
	    (r = body_decode(seal, (const uint8_t *)leased_secret_reveal(body),
		 leased_secret_len(body), err)) != 0 ||
	    (r = seal_mac_init(seal, err)) != 0)
		goto out;
	*ret_seal = seal;
	seal = NULL;
out:
	leased_secret_free(body);
	seal_free(seal);
	return (r);
}

uint64_t
seal_count(struct seal *seal)
{
	return (atomic_load(&seal->keys[atomic_load(&seal->active)].count));
}

void
seal_count_restore(struct seal *seal, uint64_t count)
{
	atomic_store(&seal->keys[atomic_load(&seal->active)].count, count);
}

int
seal_add_key(struct seal *seal, uint8_t **ret_blob, size_t *ret_len, struct leased_err *err)
{
	unsigned count = atomic_load(&seal->key_count);
	int r;

	/* One that was added and never came into use is offered again. */
	if (atomic_load(&seal->active) == count - 1) {
		if (count == SEAL_KEYS_MAX)
			return (leased_err_set(err, LEASED_ELIMIT, "the keyring is full"));
		r = key_append(seal, seal->keys[count - 1].id + 1, random_secret(), err);
		if (r != 0)
			return (r);
	}
	return (blob_encode(seal, ret_blob, ret_len, err));
}

void
seal_use_newest_key(struct seal *seal)
{
	atomic_store(&seal->active, atomic_load(&seal->key_count) - 1);
}
