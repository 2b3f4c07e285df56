/*
 * The operation `generate`: a new pair of keys. The private part leaves this process once, to be
 * sealed by the daemon; it signs nothing before a worker is opened with it.
 */
#include <stdlib.h>

#include "token.h"

static EVP_PKEY *
pair_new(const struct token_algorithm *algorithm)
{
	if (algorithm->bits != 0)
		return (EVP_PKEY_Q_keygen(NULL, NULL, algorithm->openssl, algorithm->bits));
	if (algorithm->group != NULL)
		return (EVP_PKEY_Q_keygen(NULL, NULL, algorithm->openssl, algorithm->group));
	return (EVP_PKEY_Q_keygen(NULL, NULL, algorithm->openssl));
}

int
token_generate(const struct token_algorithm *algorithm, json_t *result, struct leased_err *err)
{
	EVP_PKEY *key = pair_new(algorithm);
	json_t *jwk = NULL;
	char *text = NULL;
	size_t len = 0;
	int r;

	if (key == NULL)
		return (leased_err_set(err, LEASED_EBUG, "cannot make a key for %s: %s",
		    algorithm->name, token_openssl_why()));
	if ((r = token_key_private(key, &text, &len, err)) == 0 &&
	    (r = token_jwk(algorithm, key, &jwk, err)) == 0 &&
	    (json_object_set_new(result, "private", json_stringn(text, len)) != 0 ||
		json_object_set(result, "public", jwk) != 0))
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (text != NULL)
		leased_wipe(text, len);
	free(text);
	json_decref(jwk);
	EVP_PKEY_free(key);
	return (r);
}
