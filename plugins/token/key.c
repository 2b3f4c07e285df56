/*
 * Private keys: from a worker's configuration, and back to the text that the daemon seals. Called
 * by main.c and generate.c; nothing else sees the bytes.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token.h"

const char *
token_openssl_why(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return (reason != NULL ? reason : "no reason given");
}

void
token_key_clear(struct token_key *key)
{
	EVP_MD_CTX_free(key->signer);
	EVP_PKEY_free(key->key);
	*key = (struct token_key){0};
}

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

static int
signer_make(struct token_key *key, struct leased_err *err)
{
	const char *digest = key->algorithm->digest;

	if ((key->signer = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestSignInit_ex(key->signer, NULL, digest, NULL, NULL, key->key, NULL) == 1)
		return (0);
	return (leased_err_set(err, LEASED_EBUG, "keys: cannot sign by %s: %s",
	    key->algorithm->name, token_openssl_why()));
}

/* The id is the key's own thumbprint: a key that was put under another's name signs nothing. */
static int
check_id(const char *id, const struct token_key *key, struct leased_err *err)
{
	json_t *jwk = NULL;
	int r;

	if ((r = token_jwk(key->algorithm, key->key, &jwk, err)) != 0)
		return (r);
	if (strcmp(json_string_value(json_object_get(jwk, "kid")), id) != 0)
		r = leased_err_set(
		    err, LEASED_EINVAL, "keys: a key stands there under another one's id");
	json_decref(jwk);
	return (r);
}

int
token_key_read(
    const char *id, const json_t *value, struct token_key *ret_key, struct leased_err *err)
{
	const char *algorithm = json_string_value(json_object_get(value, "algorithm"));
	const json_t *text = json_object_get(value, "private");
	struct token_key key = {0};
	unsigned char *der = NULL;
	size_t len = 0;
	int r;

	if (strlen(id) >= sizeof(key.id) || algorithm == NULL || !json_is_string(text) ||
	    json_string_length(text) > TOKEN_PRIVATE_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "keys: each has an id, an algorithm and a private part, as `generate` said"));
	if ((key.algorithm = token_algorithm_find(algorithm)) == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "keys: there is no algorithm %.16s", algorithm));
	r = token_base64url_decode(
	    json_string_value(text), json_string_length(text), &der, &len, err);
	if (r != 0)
		return (leased_err_prefix(err, "keys: private"));
	(void)snprintf(key.id, sizeof(key.id), "%s", id);
	key.key = key_from_der(der, len);
	leased_wipe(der, len);
	free(der);
	if (key.key == NULL)
		r = leased_err_set(
		    err, LEASED_EINVAL, "keys: no private key in PKCS #8: %s", token_openssl_why());
	else if (!token_algorithm_fits(key.algorithm, key.key))
		r = leased_err_set(err, LEASED_EINVAL, "keys: this is no key for %s", algorithm);
	else if ((r = check_id(id, &key, err)) == 0)
		r = signer_make(&key, err);
	if (r == 0) {
		*ret_key = key;
		return (0);
	}
	token_key_clear(&key);
	return (r);
}

int
token_key_private(EVP_PKEY *key, char **ret_text, size_t *ret_len, struct leased_err *err)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	char *text = NULL;

	PKCS8_PRIV_KEY_INFO_free(info);
	if (len > 0) {
		text = token_base64url(der, (size_t)len, ret_len);
		OPENSSL_clear_free(der, (size_t)len);
	}
	if (text == NULL)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot write a private key: %s", token_openssl_why()));
	*ret_text = text;
	return (0);
}
