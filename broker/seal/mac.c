/*
 * HMAC-SHA-256 under keys that HKDF derives from the keyring, one a purpose. The purposes that are
 * used all the time are keyed once. It does not know what is hashed. Callers: the store (checksums
 * of index columns), auth/ (tokens), from any thread.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "base/log.h"
#include "seal/seal_private.h"

static const char *const common_purposes[SEAL_PURPOSES] = {
    "token", "accessor", "index", "audit", "audit-chain", "opaque"};

int
seal_derive(const struct leased_secret *secret, const char *info, size_t len,
    struct leased_secret **ret_key, struct leased_err *err)
{
	struct leased_secret *key = leased_secret_new_empty(len);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		(void *)(uintptr_t)leased_secret_reveal(secret), leased_secret_len(secret)),
	    OSSL_PARAM_construct_octet_string(
		OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info)),
	    OSSL_PARAM_construct_end(),
	};
	int r = 0;

	if (key == NULL || ctx == NULL ||
	    EVP_KDF_derive(ctx, (uint8_t *)leased_secret_reveal_mutable(key), len, params) != 1) {
		r = leased_err_set(err, LEASED_ENOMEM, "OpenSSL could not derive a key: no memory");
		goto out;
	}
	*ret_key = key;
	key = NULL;
out:
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	leased_secret_free(key);
	return (r);
}

static int
mac_new(struct seal *seal, const char *purpose, EVP_MAC_CTX **ret_mac, struct leased_err *err)
{
	char digest[] = "SHA256", info[96];
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	struct leased_secret *key = NULL;
	EVP_MAC_CTX *mac = NULL;
	int len, r;

	len = snprintf(info, sizeof(info), "leased hmac %s", purpose);
	if (len < 0 || (size_t)len >= sizeof(info))
		return (bug(err, "purpose of an HMAC is too long"));
	if ((r = seal_derive(seal->mac_root, info, SEAL_KEY_SIZE, &key, err)) != 0)
		goto out;
	if ((mac = EVP_MAC_CTX_new(seal->mac)) == NULL ||
	    !EVP_MAC_init(mac, (const uint8_t *)leased_secret_reveal(key), SEAL_KEY_SIZE, params)) {
		r = leased_err_set(err, LEASED_ENOMEM, "OpenSSL could not make an HMAC: no memory");
		goto out;
	}
	*ret_mac = mac;
	mac = NULL;
out:
	EVP_MAC_CTX_free(mac);
	leased_secret_free(key);
	return (r);
}

int
seal_mac_init(struct seal *seal, struct leased_err *err)
{
	int r;

	if ((seal->mac = EVP_MAC_fetch(NULL, "HMAC", NULL)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "OpenSSL has no HMAC: no memory"));
	for (unsigned i = 0; i < SEAL_PURPOSES; i++) {
		struct seal_purpose *purpose = &seal->purposes[i];

		purpose->name = common_purposes[i];
		if ((r = mac_new(seal, purpose->name, &purpose->mac, err)) != 0)
			return (r);
	}
	return (0);
}

void
seal_mac_clear(struct seal *seal)
{
	for (unsigned i = 0; i < SEAL_PURPOSES; i++) {
		struct seal_purpose *purpose = &seal->purposes[i];

		while (purpose->idle_count > 0)
			EVP_MAC_CTX_free(purpose->idle[--purpose->idle_count]);
		EVP_MAC_CTX_free(purpose->mac);
	}
	EVP_MAC_free(seal->mac);
}

static struct seal_purpose *
purpose_find(struct seal *seal, const char *name)
{
	for (unsigned i = 0; i < SEAL_PURPOSES; i++) {
		if (strcmp(name, seal->purposes[i].name) == 0)
			return (&seal->purposes[i]);
	}
	return (NULL);
}

/* A copy costs more than the hashing: those that are done with are kept for the next caller. */
static EVP_MAC_CTX *
mac_acquire(struct seal *seal, struct seal_purpose *purpose)
{
	EVP_MAC_CTX *mac = NULL;

	pthread_mutex_lock(&seal->mutex);
	if (purpose->idle_count > 0)
		mac = purpose->idle[--purpose->idle_count];
	pthread_mutex_unlock(&seal->mutex);
	return (mac != NULL ? mac : EVP_MAC_CTX_dup(purpose->mac));
}

static void
mac_release(struct seal *seal, struct seal_purpose *purpose, EVP_MAC_CTX *mac)
{
	/* Back to the state behind the key, which also forgets what was hashed. */
	if (purpose != NULL && mac != NULL && EVP_MAC_init(mac, NULL, 0, NULL)) {
		pthread_mutex_lock(&seal->mutex);
		if (purpose->idle_count < SEAL_IDLE) {
			purpose->idle[purpose->idle_count++] = mac;
			mac = NULL;
		}
		pthread_mutex_unlock(&seal->mutex);
	}
	EVP_MAC_CTX_free(mac);
}

int
seal_hmac(struct seal *seal, const char *purpose, const void *bytes, size_t len,
    uint8_t ret_mac[SEAL_HMAC_SIZE], struct leased_err *err)
{
	struct seal_purpose *known = purpose_find(seal, purpose);
	EVP_MAC_CTX *mac = NULL;
	uint8_t out[SEAL_HMAC_SIZE];
	size_t out_len = 0;
	int r = 0;

	if (known != NULL)
		mac = mac_acquire(seal, known);
	else if ((r = mac_new(seal, purpose, &mac, err)) != 0)
		return (r);
	if (mac == NULL || !EVP_MAC_update(mac, bytes, len) ||
	    !EVP_MAC_final(mac, out, &out_len, sizeof(out)) || out_len != sizeof(out))
		r = leased_err_set(err, LEASED_ENOMEM, "OpenSSL could not make an HMAC: no memory");
	else
		memcpy(ret_mac, out, sizeof(out));
	mac_release(seal, known, mac);
	return (r);
}
