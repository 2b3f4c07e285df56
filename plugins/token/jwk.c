/*
 * The public part of a key as a JWK (RFC 7517, 7518 6, 8037), and its thumbprint (RFC 7638), which
 * is the key's id. Holds no secret.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "token.h"

#define POINT_MAX 66

/* Sets name to base64url of the number; len: as many bytes, 0: as few as it has. */
static int
set_number(json_t *jwk, const char *name, const EVP_PKEY *key, const char *param, size_t len)
{
	unsigned char bytes[1024];
	BIGNUM *number = NULL;
	char *text = NULL;
	int n = -1, r = -1;

	if (EVP_PKEY_get_bn_param(key, param, &number) == 1 &&
	    BN_num_bytes(number) <= (int)sizeof(bytes))
		n = BN_bn2binpad(number, bytes, len != 0 ? (int)len : BN_num_bytes(number));
	if (n > 0 && (text = token_base64url(bytes, (size_t)n, NULL)) != NULL)
		r = json_object_set_new(jwk, name, json_string(text));
	free(text);
	BN_free(number);
	return (r);
}

static int
set_point(json_t *jwk, const EVP_PKEY *key)
{
	unsigned char bytes[POINT_MAX];
	size_t len = sizeof(bytes);
	char *text = NULL;
	int r = -1;

	if (EVP_PKEY_get_raw_public_key(key, bytes, &len) == 1 &&
	    (text = token_base64url(bytes, len, NULL)) != NULL)
		r = json_object_set_new(jwk, "x", json_string(text));
	free(text);
	return (r);
}

/* What a thumbprint is made of: just these members. */
static int
set_members(json_t *jwk, const struct token_algorithm *algorithm, const EVP_PKEY *key)
{
	int r = json_object_set_new(jwk, "kty", json_string(algorithm->type));

	if (algorithm->curve != NULL)
		r |= json_object_set_new(jwk, "crv", json_string(algorithm->curve));
	if (algorithm->bits != 0)
		return (r | set_number(jwk, "n", key, OSSL_PKEY_PARAM_RSA_N, 0) |
			set_number(jwk, "e", key, OSSL_PKEY_PARAM_RSA_E, 0));
	if (algorithm->half_len == 0)
		return (r | set_point(jwk, key));
	return (r | set_number(jwk, "x", key, OSSL_PKEY_PARAM_EC_PUB_X, algorithm->half_len) |
		set_number(jwk, "y", key, OSSL_PKEY_PARAM_EC_PUB_Y, algorithm->half_len));
}

static int
set_thumbprint(json_t *jwk)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char *canonical = token_json(jwk, JSON_COMPACT | JSON_SORT_KEYS), *text = NULL;
	int r = -1;

	if (canonical != NULL &&
	    EVP_Digest(canonical, strlen(canonical), hash, NULL, EVP_sha256(), NULL) == 1 &&
	    (text = token_base64url(hash, sizeof(hash), NULL)) != NULL)
		r = json_object_set_new(jwk, "kid", json_string(text));
	free(text);
	free(canonical);
	return (r);
}

int
token_jwk(const struct token_algorithm *algorithm, EVP_PKEY *key, json_t **ret_jwk,
    struct leased_err *err)
{
	json_t *jwk = json_object();

	if (jwk == NULL || set_members(jwk, algorithm, key) != 0 || set_thumbprint(jwk) != 0 ||
	    json_object_set_new(jwk, "use", json_string("sig")) != 0 ||
	    json_object_set_new(jwk, "alg", json_string(algorithm->name)) != 0) {
		json_decref(jwk);
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot write a public key: %s", token_openssl_why()));
	}
	*ret_jwk = jwk;
	return (0);
}
