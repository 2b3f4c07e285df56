/*
 * Signatures (RFC 4253 6.6, RFC 5656 3.1.2, RFC 8332, RFC 8709), verified. The algorithm that a
 * signature names must be one of its key's: nothing falls back to SHA-1.
 */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "sshwire/line.h"

#define ED25519_SIGNATURE_LEN 64

/* The digest for the algorithm; false: it is none of this key's. */
static bool
find_digest(const struct sshwire_type *type, const char *name, size_t len, const char **ret_digest)
{
	*ret_digest = sshwire_type_digest(type);
	if (type->is_security_key)
		return (false);
	if (type->kind != SSHWIRE_RSA)
		return (strlen(type->name) == len && memcmp(type->name, name, len) == 0);
	if (len != 12)
		return (false);
	if (memcmp(name, "rsa-sha2-256", len) == 0)
		*ret_digest = "SHA256";
	return (memcmp(name, "rsa-sha2-256", len) == 0 || memcmp(name, "rsa-sha2-512", len) == 0);
}

/* {mpint r, mpint s} as OpenSSL wants it, in DER; NULL: it is no such pair. */
static unsigned char *
der_of(struct sshwire_reader pair, size_t *ret_len)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	size_t r_len, s_len;
	const uint8_t *r_bytes = sshwire_get_mpint(&pair, &r_len);
	const uint8_t *s_bytes = sshwire_get_mpint(&pair, &s_len);
	BIGNUM *r = NULL, *s = NULL;
	unsigned char *der = NULL;
	int len = -1;

	if (sshwire_reader_done(&pair) && r_len <= 66 && s_len <= 66) {
		r = BN_bin2bn(r_bytes, (int)r_len, NULL);
		s = BN_bin2bn(s_bytes, (int)s_len, NULL);
	}
	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL;
		len = i2d_ECDSA_SIG(sig, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	*ret_len = len > 0 ? (size_t)len : 0;
	return (len > 0 ? der : NULL);
}

/* 1: it is good; anything else: not. */
static int
digest_verify(const struct sshwire_key *key, const char *digest, const uint8_t *signature,
    size_t signature_len, const void *message, size_t len)
{
	EVP_PKEY *openssl = sshwire_key_openssl(key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = 0;

	if (openssl != NULL && ctx != NULL &&
	    EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, openssl, NULL) == 1)
		good = EVP_DigestVerify(ctx, signature, signature_len, message, len);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(openssl);
	ERR_clear_error();
	return (good);
}

int
sshwire_verify(const struct sshwire_key *key, const void *signature, size_t signature_len,
    const void *message, size_t len, struct leased_err *err)
{
	struct sshwire_reader reader = sshwire_reader_of(signature, signature_len), pair;
	size_t name_len, bytes_len;
	const char *name = (const char *)sshwire_get_string(&reader, &name_len);
	const char *digest;
	const uint8_t *bytes;
	unsigned char *der = NULL;
	int good = 0;

	pair = reader;
	bytes = sshwire_get_string(&reader, &bytes_len);
	if (!sshwire_reader_done(&reader))
		return (leased_err_set(err, LEASED_EINVAL, "the signature is malformed"));
	if (!find_digest(key->type, name, name_len, &digest))
		return (leased_err_set(err, LEASED_EDENIED,
		    "the signature is by an algorithm that is not taken from a key of type %s",
		    key->type->name));
	switch (key->type->kind) {
	case SSHWIRE_ED25519:
		if (bytes_len == ED25519_SIGNATURE_LEN)
			good = digest_verify(key, digest, bytes, bytes_len, message, len);
		break;
	case SSHWIRE_ECDSA:
		if ((der = der_of(sshwire_get_nested(&pair), &bytes_len)) != NULL)
			good = digest_verify(key, digest, der, bytes_len, message, len);
		OPENSSL_free(der);
		break;
	case SSHWIRE_RSA:
		if (bytes_len == (key->bits + 7) / 8)
			good = digest_verify(key, digest, bytes, bytes_len, message, len);
		break;
	}
	if (good == 1)
		return (0);
	return (leased_err_set(err, LEASED_EDENIED, "the signature does not verify"));
}
