/*
 * The algorithms that there are: one row each. A name that is not here is no algorithm, whatever
 * OpenSSL could do ("none", HMACs with a public key as secret). RFC 7518, RFC 8037.
 */
#include <openssl/core_names.h>
#include <string.h>

#include "token.h"

static const struct token_algorithm algorithms[] = {
    {"RS256", "RSA", "RSA", NULL, NULL, "SHA256", 2048, 0},
    {"RS384", "RSA", "RSA", NULL, NULL, "SHA384", 2048, 0},
    {"RS512", "RSA", "RSA", NULL, NULL, "SHA512", 2048, 0},
    {"ES256", "EC", "EC", "P-256", "prime256v1", "SHA256", 0, 32},
    {"ES384", "EC", "EC", "P-384", "secp384r1", "SHA384", 0, 48},
    {"ES512", "EC", "EC", "P-521", "secp521r1", "SHA512", 0, 66},
    {"EdDSA", "OKP", "ED25519", "Ed25519", NULL, NULL, 0, 0},
};

const struct token_algorithm *
token_algorithm_find(const char *name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (strcmp(algorithms[i].name, name) == 0)
			return (&algorithms[i]);
	return (NULL);
}

bool
token_algorithm_fits(const struct token_algorithm *algorithm, const EVP_PKEY *key)
{
	char group[64] = "";

	if (EVP_PKEY_is_a(key, algorithm->openssl) != 1)
		return (false);
	if (algorithm->bits != 0)
		return (EVP_PKEY_get_bits(key) >= (int)algorithm->bits);
	return (algorithm->group == NULL ||
		(EVP_PKEY_get_utf8_string_param(
		     key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) == 1 &&
		    strcmp(group, algorithm->group) == 0));
}
