/*
 * PROTOCOL.key: private keys as ssh-keygen writes them, read strictly. The numbers become a key of
 * OpenSSL's; whether they belong together is sshca_key_of()'s to find out.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

#define MAGIC "openssh-key-v1" /* and its NUL */
#define ED25519_LEN 32
#define NUMBERS_MAX 8

static int
bad(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "the OpenSSH private key is malformed: it may have been cut or changed"));
}

/* What a key of OpenSSL's is built from; numbers are freed with it. */
struct build {
	OSSL_PARAM_BLD *params;
	BIGNUM *numbers[NUMBERS_MAX];
	unsigned count;
};

static BIGNUM *
build_own(struct build *build, BIGNUM *number)
{
	if (number == NULL || build->count == NUMBERS_MAX) {
		BN_clear_free(number);
		return (NULL);
	}
	build->numbers[build->count++] = number;
	return (number);
}

static BIGNUM *
build_number(struct build *build, struct sshwire_reader *reader)
{
	size_t len;
	const uint8_t *bytes = sshwire_get_mpint(reader, &len);
	BIGNUM *number = BN_secure_new();

	if (reader->failed || len > SSHCA_CA_RSA_BITS_MAX / 8 || number == NULL ||
	    BN_bin2bn(bytes, (int)len, number) == NULL) {
		reader->failed = true;
		BN_clear_free(number);
		return (NULL);
	}
	return (build_own(build, number));
}

static EVP_PKEY *
build_key(struct build *build, const char *type)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build->params);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return (key);
}

static void
build_clear(struct build *build)
{
	OSSL_PARAM_BLD_free(build->params);
	while (build->count > 0)
		BN_clear_free(build->numbers[--build->count]);
}

static int
push(struct build *build, const char *name, const BIGNUM *number)
{
	return (
	    number != NULL && OSSL_PARAM_BLD_push_BN(build->params, name, number) == 1 ? 0 : -1);
}

/* d mod (prime - 1), which the format leaves out. */
static BIGNUM *
exponent_of(struct build *build, const BIGNUM *d, const BIGNUM *prime)
{
	BIGNUM *less = BN_secure_new(), *rest = BN_secure_new();
	BN_CTX *ctx = BN_CTX_secure_new();
	bool good = less != NULL && rest != NULL && ctx != NULL && d != NULL && prime != NULL &&
		    !BN_is_zero(prime) && !BN_is_one(prime) &&
		    BN_sub(less, prime, BN_value_one()) && BN_mod(rest, d, less, ctx);

	BN_CTX_free(ctx);
	BN_clear_free(less);
	if (!good) {
		BN_clear_free(rest);
		return (NULL);
	}
	return (build_own(build, rest));
}

/* OpenSSL would sign with d alone where the primes do not fit, in silence and slowly. */
static bool
do_primes_fit(const BIGNUM *n, const BIGNUM *p, const BIGNUM *q, const BIGNUM *iqmp)
{
	BIGNUM *product = BN_secure_new();
	BN_CTX *ctx = BN_CTX_secure_new();
	bool fit = product != NULL && ctx != NULL && !BN_is_zero(p) && !BN_is_zero(q) &&
		   BN_mul(product, p, q, ctx) == 1 && BN_cmp(product, n) == 0 &&
		   BN_mod_mul(product, iqmp, q, p, ctx) == 1 && BN_is_one(product);

	BN_CTX_free(ctx);
	BN_clear_free(product);
	return (fit);
}

static EVP_PKEY *
read_rsa(struct build *build, struct sshwire_reader *reader)
{
	BIGNUM *n = build_number(build, reader), *e = build_number(build, reader);
	BIGNUM *d = build_number(build, reader), *iqmp = build_number(build, reader);
	BIGNUM *p = build_number(build, reader), *q = build_number(build, reader);

	if (reader->failed || !do_primes_fit(n, p, q, iqmp) ||
	    push(build, OSSL_PKEY_PARAM_RSA_N, n) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_E, e) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_D, d) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_FACTOR1, p) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_FACTOR2, q) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_EXPONENT1, exponent_of(build, d, p)) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_EXPONENT2, exponent_of(build, d, q)) != 0 ||
	    push(build, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, iqmp) != 0)
		return (NULL);
	return (build_key(build, "RSA"));
}

static EVP_PKEY *
read_ecdsa(struct build *build, const struct sshwire_type *type, struct sshwire_reader *reader)
{
	size_t curve_len, point_len;
	const uint8_t *curve = sshwire_get_string(reader, &curve_len);
	const uint8_t *point = sshwire_get_string(reader, &point_len);
	BIGNUM *d = build_number(build, reader);

	if (reader->failed || strlen(type->curve) != curve_len ||
	    memcmp(curve, type->curve, curve_len) != 0 ||
	    OSSL_PARAM_BLD_push_utf8_string(
		build->params, OSSL_PKEY_PARAM_GROUP_NAME, type->group, 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(
		build->params, OSSL_PKEY_PARAM_PUB_KEY, point, point_len) != 1 ||
	    push(build, OSSL_PKEY_PARAM_PRIV_KEY, d) != 0)
		return (NULL);
	return (build_key(build, "EC"));
}

/* The seed, and behind it the public part again. */
static EVP_PKEY *
read_ed25519(struct sshwire_reader *reader)
{
	size_t public_len, private_len;
	const uint8_t *public = sshwire_get_string(reader, &public_len);
	const uint8_t *private = sshwire_get_string(reader, &private_len);

	if (reader->failed || public_len != ED25519_LEN || private_len != 2 * ED25519_LEN ||
	    memcmp(private + ED25519_LEN, public, ED25519_LEN) != 0)
		return (NULL);
	return (EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private, ED25519_LEN));
}

static EVP_PKEY *
read_key(struct build *build, const struct sshwire_type *type, struct sshwire_reader *reader)
{
	switch (type->kind) {
	case SSHWIRE_ED25519:
		return (read_ed25519(reader));
	case SSHWIRE_ECDSA:
		return (read_ecdsa(build, type, reader));
	case SSHWIRE_RSA:
		return (read_rsa(build, reader));
	}
	return (NULL);
}

/* 1, 2, 3, .. as many as fill the block. */
static bool
is_padding(struct sshwire_reader *reader)
{
	for (unsigned i = 1; reader->left > 0; i++)
		if (sshwire_get_u8(reader) != (uint8_t)i || i > 255)
			return (false);
	return (!reader->failed);
}

static int
read_private(struct sshwire_reader reader, struct sshca_key *ret_key, struct leased_err *err)
{
	uint32_t check = sshwire_get_u32(&reader), again = sshwire_get_u32(&reader);
	size_t name_len, comment_len;
	const char *name = (const char *)sshwire_get_string(&reader, &name_len);
	const struct sshwire_type *type = sshwire_type_find(name, name_len);
	struct build build = {.params = OSSL_PARAM_BLD_new()};
	EVP_PKEY *key;

	if (reader.failed || check != again || build.params == NULL) {
		build_clear(&build);
		return (bad(err));
	}
	if (type == NULL || type->is_security_key) {
		build_clear(&build);
		return (leased_err_set(err, LEASED_EINVAL,
		    "a CA's key is ed25519, ecdsa or RSA, and this one is of another type, or is "
		    "kept by a security key"));
	}
	key = read_key(&build, type, &reader);
	build_clear(&build);
	(void)sshwire_get_string(&reader, &comment_len);
	if (key == NULL || !is_padding(&reader)) {
		EVP_PKEY_free(key);
		(void)sshca_openssl_why();
		return (bad(err));
	}
	return (sshca_key_of(key, ret_key, err));
}

/* The public part stands before the private one, too: both must be the same key. */
static int
read_file(struct sshwire_reader reader, struct sshca_key *ret_key, struct leased_err *err)
{
	const uint8_t *magic = sshwire_get_bytes(&reader, sizeof(MAGIC));
	size_t cipher_len, kdf_len, options_len, public_len;
	const uint8_t *cipher, *public;
	struct sshwire_reader private;
	struct sshca_key key = {0};
	uint32_t count;
	int r;

	if (reader.failed || memcmp(magic, MAGIC, sizeof(MAGIC)) != 0)
		return (bad(err));
	cipher = sshwire_get_string(&reader, &cipher_len);
	(void)sshwire_get_string(&reader, &kdf_len);
	(void)sshwire_get_string(&reader, &options_len);
	count = sshwire_get_u32(&reader);
	public = sshwire_get_string(&reader, &public_len);
	private = sshwire_get_nested(&reader);
	if (!sshwire_reader_done(&reader) || count != 1)
		return (bad(err));
	if (cipher_len != 4 || memcmp(cipher, "none", 4) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this private key has a passphrase: take it off from a copy (ssh-keygen -p -N "
		    "'' -f COPY), import that, and shred it"));
	if ((r = read_private(private, &key, err)) != 0)
		return (r);
	if (key.public.blob_len != public_len || memcmp(key.public.blob, public, public_len) != 0) {
		sshca_key_clear(&key);
		return (bad(err));
	}
	*ret_key = key;
	return (0);
}

int
sshca_import_openssh(
    const char *base64, size_t len, struct sshca_key *ret_key, struct leased_err *err)
{
	char *digits = malloc(len + 1);
	uint8_t *bytes = NULL;
	size_t used = 0, bytes_len = 0;
	int r;

	if (digits == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < len; i++)
		if (base64[i] != '\n' && base64[i] != '\r')
			digits[used++] = base64[i];
	r = sshwire_base64_decode(digits, used, &bytes, &bytes_len, err);
	leased_wipe(digits, used);
	free(digits);
	if (r != 0)
		return (r == LEASED_EINVAL ? bad(err) : r);
	r = read_file(sshwire_reader_of(bytes, bytes_len), ret_key, err);
	leased_wipe(bytes, bytes_len);
	free(bytes);
	return (r);
}
