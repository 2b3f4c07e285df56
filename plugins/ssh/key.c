/*
 * A CA's keys: made, read from a worker's configuration, and back to the text that the daemon
 * seals (base64 of PKCS #8). Nothing outside of this plugin sees the bytes.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

#define NUMBER_MAX (SSHCA_CA_RSA_BITS_MAX / 8)

static const struct {
	const char *name, *openssl, *group;
	unsigned bits; /* of RSA */
	const char *type;
} algorithms[] = {
    {"ed25519", "ED25519", NULL, 0, "ssh-ed25519"},
    {"ecdsa-p256", "EC", "P-256", 0, "ecdsa-sha2-nistp256"},
    {"ecdsa-p384", "EC", "P-384", 0, "ecdsa-sha2-nistp384"},
    {"ecdsa-p521", "EC", "P-521", 0, "ecdsa-sha2-nistp521"},
    {"rsa-2048", "RSA", NULL, 2048, NULL},
    {"rsa-3072", "RSA", NULL, 3072, NULL},
    {"rsa-4096", "RSA", NULL, 4096, NULL},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

const char *
sshca_openssl_why(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return (reason != NULL ? reason : "no reason given");
}

void
sshca_key_clear(struct sshca_key *key)
{
	EVP_MD_CTX_free(key->signer);
	EVP_PKEY_free(key->key);
	sshwire_key_clear(&key->public);
	*key = (struct sshca_key){0};
}

/* ---- the public part ---- */

int
sshca_put_number(struct sshwire_writer *writer, const EVP_PKEY *key, const char *param)
{
	unsigned char bytes[NUMBER_MAX];
	BIGNUM *number = NULL;
	int len = -1;

	if (EVP_PKEY_get_bn_param(key, param, &number) == 1 && BN_num_bytes(number) <= NUMBER_MAX)
		len = BN_bn2bin(number, bytes);
	if (len > 0)
		sshwire_put_mpint(writer, bytes, (size_t)len);
	BN_clear_free(number);
	leased_wipe(bytes, sizeof(bytes));
	return (len > 0 ? 0 : -1);
}

static int
put_point(struct sshwire_writer *writer, const EVP_PKEY *key, const struct sshwire_type *type)
{
	unsigned char point[1 + 2 * 66] = {4}; /* uncompressed */
	static const char *const halves[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};
	int half = (int)type->half_len, r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++) {
		BIGNUM *number = NULL;

		if (EVP_PKEY_get_bn_param(key, halves[i], &number) != 1 ||
		    BN_bn2binpad(number, point + 1 + i * type->half_len, half) != half)
			r = -1;
		BN_free(number);
	}
	sshwire_put_text(writer, type->curve);
	sshwire_put_string(writer, point, 1 + 2 * type->half_len);
	return (r);
}

/* NULL: of no type that is used here. */
static const struct sshwire_type *
type_of(const EVP_PKEY *key)
{
	char group[64] = "";

	if (EVP_PKEY_is_a(key, "RSA") == 1)
		return (sshwire_type_find("ssh-rsa", 7));
	if (EVP_PKEY_is_a(key, "ED25519") == 1)
		return (sshwire_type_find("ssh-ed25519", 11));
	if (EVP_PKEY_is_a(key, "EC") != 1 ||
	    EVP_PKEY_get_utf8_string_param(
		key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) != 1)
		return (NULL);
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (algorithms[i].group != NULL &&
		    (strcmp(group, algorithms[i].group) == 0 ||
			OBJ_txt2nid(group) == OBJ_txt2nid(algorithms[i].group) ||
			OBJ_txt2nid(group) == EC_curve_nist2nid(algorithms[i].group)))
			return (sshwire_type_find(algorithms[i].type, strlen(algorithms[i].type)));
	return (NULL);
}

static int
put_public(struct sshwire_writer *writer, const EVP_PKEY *key, const struct sshwire_type *type)
{
	unsigned char point[32];
	size_t len = sizeof(point);

	sshwire_put_text(writer, type->name);
	switch (type->kind) {
	case SSHWIRE_ED25519:
		if (EVP_PKEY_get_raw_public_key(key, point, &len) != 1)
			return (-1);
		sshwire_put_string(writer, point, len);
		return (0);
	case SSHWIRE_ECDSA:
		return (put_point(writer, key, type));
	case SSHWIRE_RSA:
		return (sshca_put_number(writer, key, OSSL_PKEY_PARAM_RSA_E) |
			sshca_put_number(writer, key, OSSL_PKEY_PARAM_RSA_N));
	}
	return (-1);
}

static void
name_algorithm(struct sshca_key *key)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		if (algorithms[i].type != NULL &&
		    strcmp(algorithms[i].type, key->public.type->name) == 0)
			(void)snprintf(
			    key->algorithm, sizeof(key->algorithm), "%s", algorithms[i].name);
	if (key->algorithm[0] == '\0')
		(void)snprintf(key->algorithm, sizeof(key->algorithm), "rsa-%u", key->public.bits);
}

/* Signs and verifies once: whoever imports a key whose parts do not belong together hears it now.
 */
static int
check_pair(const struct sshca_key *key, struct leased_err *err)
{
	struct sshwire_writer writer = {0};
	struct leased_err why = LEASED_ERR_INIT;
	struct sshwire_reader reader;
	const uint8_t *signature;
	size_t len;
	int r;

	sshwire_put_text(&writer, "a pair of keys");
	if ((r = sshca_sign(key, &writer, 0, &why)) == 0) {
		size_t message_len = sizeof(uint32_t) + strlen("a pair of keys");

		reader = sshwire_reader_of(writer.bytes + message_len, writer.len - message_len);
		signature = sshwire_get_string(&reader, &len);
		r = sshwire_verify(&key->public, signature, len, writer.bytes, message_len, &why);
	}
	sshwire_writer_clear(&writer);
	if (r == 0)
		return (0);
	if (r == LEASED_ENOMEM)
		return (leased_err_set(err, r, "out of memory"));
	return (leased_err_set(err, LEASED_EINVAL,
	    "the private key does not belong to the public one beside it: the file is damaged"));
}

int
sshca_key_of(EVP_PKEY *openssl, struct sshca_key *ret_key, struct leased_err *err)
{
	struct sshca_key key = {.key = openssl};
	const struct sshwire_type *type = type_of(openssl);
	struct sshwire_writer writer = {0};
	int r;

	if (type == NULL)
		r = leased_err_set(err, LEASED_EINVAL,
		    "a CA's key is ed25519, ecdsa on P-256, P-384 or P-521, or RSA, and this is "
		    "none of them (DSA is no longer taken by any sshd)");
	else if (type->kind == SSHWIRE_RSA &&
		 (EVP_PKEY_get_bits(openssl) < SSHWIRE_RSA_BITS_MIN ||
		     EVP_PKEY_get_bits(openssl) > SSHCA_CA_RSA_BITS_MAX))
		r = leased_err_set(err, LEASED_EINVAL,
		    "an RSA key of a CA has %d to %d bits, and this one %d", SSHWIRE_RSA_BITS_MIN,
		    SSHCA_CA_RSA_BITS_MAX, EVP_PKEY_get_bits(openssl));
	else if (put_public(&writer, openssl, type) != 0)
		r = leased_err_set(
		    err, LEASED_EINVAL, "this is no whole key: %s", sshca_openssl_why());
	else if (writer.failed)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if ((r = sshwire_key_read(writer.bytes, writer.len, &key.public, err)) == 0) {
		name_algorithm(&key);
		if ((r = sshca_signer_make(&key, err)) == 0)
			r = check_pair(&key, err);
	}
	sshwire_writer_clear(&writer);
	if (r != 0) {
		sshca_key_clear(&key);
		return (r);
	}
	*ret_key = key;
	return (0);
}

/* ---- new ones ---- */

int
sshca_key_generate(const char *algorithm, struct sshca_key *ret_key, struct leased_err *err)
{
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < ALGORITHMS && strcmp(algorithms[i].name, algorithm) != 0; i++)
		;
	if (i == ALGORITHMS)
		return (leased_err_set(err, LEASED_EINVAL,
		    "there is no algorithm %.16s: ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, "
		    "rsa-2048, rsa-3072 and rsa-4096 are",
		    algorithm));
	if (algorithms[i].bits != 0)
		key = EVP_PKEY_Q_keygen(
		    NULL, NULL, algorithms[i].openssl, (size_t)algorithms[i].bits);
	else if (algorithms[i].group != NULL)
		key = EVP_PKEY_Q_keygen(NULL, NULL, algorithms[i].openssl, algorithms[i].group);
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, algorithms[i].openssl);
	if (key == NULL)
		return (leased_err_set(err, LEASED_EBUG, "cannot make a key for %s: %s",
		    algorithms[i].name, sshca_openssl_why()));
	return (sshca_key_of(key, ret_key, err));
}

/* ---- as text ---- */

/* PKCS #8 and nothing behind it. */
static EVP_PKEY *
key_from_der(const unsigned char *der, size_t len)
{
	const unsigned char *at = der;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
	EVP_PKEY *key = NULL;

	if (info != NULL && at == der + len)
		key = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	return (key);
}

int
sshca_key_read(
    const char *id, const json_t *value, struct sshca_key *ret_key, struct leased_err *err)
{
	const char *algorithm = json_string_value(json_object_get(value, "algorithm"));
	const json_t *text = json_object_get(value, "private");
	struct sshca_key key = {0};
	uint8_t *der = NULL;
	EVP_PKEY *openssl;
	size_t len = 0;
	int r;

	if (algorithm == NULL || !json_is_string(text) ||
	    json_string_length(text) > SSHCA_PRIVATE_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "keys: each has an algorithm and a private part, as `generate` said"));
	r = sshwire_base64_decode(
	    json_string_value(text), json_string_length(text), &der, &len, err);
	if (r != 0)
		return (leased_err_prefix(err, "keys: private"));
	openssl = key_from_der(der, len);
	leased_wipe(der, len);
	free(der);
	if (openssl == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "keys: no private key in PKCS #8: %s",
		    sshca_openssl_why()));
	if ((r = sshca_key_of(openssl, &key, err)) != 0)
		return (leased_err_prefix(err, "keys"));
	if (strcmp(key.algorithm, algorithm) != 0)
		r = leased_err_set(err, LEASED_EINVAL, "keys: this is no key for %.16s", algorithm);
	else if (strcmp(key.public.fingerprint, id) != 0)
		r = leased_err_set(
		    err, LEASED_EINVAL, "keys: a key stands there under another one's id");
	if (r == 0)
		*ret_key = key;
	else
		sshca_key_clear(&key);
	return (r);
}

static char *
private_text(const struct sshca_key *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->key);
	unsigned char *der = NULL;
	int len = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	char *text = NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	if (len > 0) {
		text = sshwire_base64(der, (size_t)len);
		OPENSSL_clear_free(der, (size_t)len);
	}
	return (text);
}

int
sshca_key_result(const struct sshca_key *key, json_t *result, struct leased_err *err)
{
	char *private = private_text(key), *line = sshwire_key_line(&key->public);
	json_t *public = line != NULL ? json_pack("{s:s,s:s,s:s}", "kid", key->public.fingerprint,
					    "algorithm", key->algorithm, "line", line)
				      : NULL;
	int r = 0;

	if (private == NULL || public == NULL ||
	    json_object_set_new(result, "private", json_string(private)) != 0 ||
	    json_object_set(result, "public", public) != 0)
		r = leased_err_set(
		    err, LEASED_ENOMEM, "cannot write a key: %s", sshca_openssl_why());
	if (private != NULL)
		leased_wipe(private, strlen(private));
	free(private);
	free(line);
	json_decref(public);
	return (r);
}
