/*
 * The operation `sign`: claims become a compact JWS (RFC 7515). Header and algorithm follow from
 * the key alone, never from what is to be signed.
 */
#include <openssl/ecdsa.h>
#include <stdlib.h>
#include <string.h>

#include "token.h"

#define SIGNATURE_MAX 1024

/* OpenSSL's signature is DER; a JWS has both numbers in their whole length (RFC 7518, 3.4). */
static int
flatten(const struct token_algorithm *algorithm, unsigned char *signature, size_t *len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *pair;
	int half = (int)algorithm->half_len, r = -1;

	if (half == 0)
		return (0);
	if ((pair = d2i_ECDSA_SIG(NULL, &at, (long)*len)) != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, half) == half &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, half) == half) {
		*len = 2 * algorithm->half_len;
		r = 0;
	}
	ECDSA_SIG_free(pair);
	return (r);
}

/* base64url of the signature over text. */
static char *
signature_of(const struct token_key *key, const char *text)
{
	unsigned char signature[SIGNATURE_MAX];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char *encoded = NULL;

	if (ctx != NULL && EVP_MD_CTX_copy_ex(ctx, key->signer) == 1 &&
	    EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)) == 1 &&
	    flatten(key->algorithm, signature, &len) == 0)
		encoded = token_base64url(signature, len, NULL);
	EVP_MD_CTX_free(ctx);
	return (encoded);
}

static char *
header_of(const struct token_key *key)
{
	char text[256];

	/* Neither holds a character that JSON would escape: the table's name, base64url. */
	(void)snprintf(text, sizeof(text), "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}",
	    key->algorithm->name, key->id);
	return (token_base64url(text, strlen(text), NULL));
}

static void
wipe_free(char *text)
{
	if (text != NULL)
		leased_wipe(text, strlen(text));
	free(text);
}

/* jansson's own json_dumps() gives memory of its own allocator. */
char *
token_json(const json_t *value, size_t flags)
{
	size_t len = json_dumpb(value, NULL, 0, flags);
	char *text = len > 0 ? malloc(len + 1) : NULL;

	if (text == NULL)
		return (NULL);
	(void)json_dumpb(value, text, len, flags);
	text[len] = '\0';
	return (text);
}

int
token_sign(
    const struct token_key *key, const json_t *claims, char **ret_token, struct leased_err *err)
{
	char *payload = token_json(claims, JSON_COMPACT);
	char *header = NULL, *body = NULL, *signed_text = NULL, *signature = NULL, *token = NULL;
	int r = LEASED_ENOMEM;

	if (payload != NULL && strlen(payload) > TOKEN_CLAIMS_MAX) {
		r = leased_err_set(err, LEASED_ETOOBIG,
		    "the claims are longer than %d bytes, which no header of a request holds",
		    TOKEN_CLAIMS_MAX);
		goto out;
	}
	if (payload == NULL || (header = header_of(key)) == NULL ||
	    (body = token_base64url(payload, strlen(payload), NULL)) == NULL ||
	    asprintf(&signed_text, "%s.%s", header, body) < 0) {
		signed_text = NULL;
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((signature = signature_of(key, signed_text)) == NULL) {
		r = leased_err_set(err, LEASED_EBUG, "cannot sign by %s: %s", key->algorithm->name,
		    token_openssl_why());
		goto out;
	}
	if (asprintf(&token, "%s.%s", signed_text, signature) < 0) {
		token = NULL;
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	*ret_token = token;
	r = 0;
out:
	wipe_free(payload);
	wipe_free(header);
	wipe_free(body);
	wipe_free(signed_text);
	wipe_free(signature);
	return (r);
}
