/*
 * The token plugin: signs JWTs with keys that no other process uses. What its files share. OpenSSL
 * does the cryptography; an algorithm is what the table of algorithm.c says, or it does not exist.
 */
#ifndef TOKEN_TOKEN_H
#define TOKEN_TOKEN_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stddef.h>

#include <leased/plugin.h>

#define TOKEN_KEYS_MAX 128     /* private keys of one worker */
#define TOKEN_CLAIMS_MAX 16384 /* bytes of JSON: a token travels in a header line */
#define TOKEN_PRIVATE_MAX 8192 /* bytes of base64url of a private key */
#define TOKEN_KEY_ID_SIZE 44   /* RFC 7638 with SHA-256, and a NUL */

/* ---- algorithm.c ---- */
struct token_algorithm {
	const char *name;    /* as in a JWT's header: RS256 */
	const char *type;    /* as in a JWK's kty */
	const char *openssl; /* type of key as OpenSSL calls it */
	const char *curve;   /* as in a JWK's crv; NULL: none */
	const char *group;   /* as OpenSSL calls the curve */
	const char *digest;  /* NULL: the signature hashes by itself */
	size_t bits;         /* of RSA */
	size_t half_len;     /* of a coordinate, and of half a signature; 0: no ECDSA */
};
const struct token_algorithm *token_algorithm_find(const char *name); /* NULL: not allowed */
/* Is key one of this algorithm: its type, its curve, and as many bits as we would make? */
bool token_algorithm_fits(const struct token_algorithm *algorithm, const EVP_PKEY *key);

/* ---- base64url.c: RFC 7515, without padding ---- */
/* A new text, its length in *ret_len (may be NULL); NULL: out of memory. */
char *token_base64url(const void *bytes, size_t len, size_t *ret_len);
/* Strict: no padding, no blanks, no bits behind the end. LEASED_EINVAL. The caller wipes and frees.
 */
int token_base64url_decode(const char *text, size_t len, unsigned char **ret_bytes, size_t *ret_len,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- key.c ---- */
struct token_key {
	char id[TOKEN_KEY_ID_SIZE];
	const struct token_algorithm *algorithm;
	EVP_PKEY *key;
	EVP_MD_CTX *signer; /* set up once: each signature begins with a copy of it */
};
void token_key_clear(struct token_key *key);
/* From a config's {"algorithm": .., "private": base64url of PKCS #8}; id must be the key's own. */
int token_key_read(const char *id, const json_t *value, struct token_key *ret_key,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The private part as token_key_read() takes it; the caller wipes and frees. */
int token_key_private(
    EVP_PKEY *key, char **ret_text, size_t *ret_len, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- jwk.c ---- */
/* The public part: a new object with kty, use, alg, kid and what the type has. */
int token_jwk(const struct token_algorithm *algorithm, EVP_PKEY *key, json_t **ret_jwk,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- sign.c ---- */
/* A compact JWT; the caller wipes and frees. LEASED_ETOOBIG for claims that no header would hold.
 */
int token_sign(const struct token_key *key, const json_t *claims, char **ret_token,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Its text, of malloc(3); NULL: out of memory. */
char *token_json(const json_t *value, size_t flags);

/* ---- generate.c ---- */
/* {"private": .., "public": JWK} into result. */
int token_generate(const struct token_algorithm *algorithm, json_t *result,
    struct leased_err *err) LEASED_MUST_CHECK;

/* What OpenSSL says of its last failure, as the end of a text; empties its queue. */
const char *token_openssl_why(void);

#endif
