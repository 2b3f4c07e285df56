/*
 * One line of a public key file, as far as the daemon has to understand it: type and fingerprint.
 * The key itself is read by a worker. Called for each certificate, each ban, and fuzzed.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "engine/ssh/words.h"

#define BLANKS " \t"
#define TEXT_MAX 32768
#define PREFIX "SHA256:"

static int
refuse(const char *why, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "public_key: %s; it is one line of a .pub file: \"ssh-ed25519 AAAA.. comment\"", why));
}

/* Of OpenSSL's, which takes whole groups of four and counts padding as bytes. */
static uint8_t *
decode(const char *text, size_t len, size_t *ret_len)
{
	uint8_t *bytes;
	int got;

	if (len < 16 || len % 4 != 0 || (bytes = malloc(len / 4 * 3)) == NULL)
		return (NULL);
	got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
	if (got < 0) {
		free(bytes);
		return (NULL);
	}
	*ret_len = (size_t)got - (text[len - 1] == '=') - (text[len - 2] == '=');
	return (bytes);
}

/* A blob begins with its type, behind four bytes that say how long that is. */
static bool
begins_with(const uint8_t *blob, size_t len, const char *type)
{
	size_t type_len = strlen(type);

	return (len > 4 + type_len && blob[0] == 0 && blob[1] == 0 && blob[2] == 0 &&
		blob[3] == type_len && memcmp(blob + 4, type, type_len) == 0);
}

static int
digest(const uint8_t *blob, size_t len, struct ssh_key *key, struct leased_err *err)
{
	unsigned char hash[DIGEST_SHA256_LEN], text[45];

	if (digest_sha256(blob, len, hash) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)EVP_EncodeBlock(text, hash, sizeof(hash));
	text[43] = '\0'; /* OpenSSH prints it without padding */
	(void)snprintf(key->fingerprint, sizeof(key->fingerprint), PREFIX "%s", (char *)text);
	digest_hex(hash, key->hash);
	return (0);
}

int
engine_ssh_key_read(const char *text, struct ssh_key *ret_key, struct leased_err *err)
{
	struct ssh_key key = {.line = NULL};
	size_t blob_len = 0, type_len, body_len;
	const char *body;
	uint8_t *blob;
	int r;

	text += strspn(text, BLANKS "\r\n");
	type_len = strcspn(text, BLANKS);
	body = text + type_len + strspn(text + type_len, BLANKS);
	body_len = strcspn(body, BLANKS "\r\n");
	if (strnlen(text, TEXT_MAX + 1) > TEXT_MAX || type_len == 0 ||
	    type_len >= sizeof(key.type) || body_len == 0)
		return (refuse("this is none", err));
	if (strchr(body + strcspn(body, "\n"), '\n') != NULL &&
	    strspn(body + strcspn(body, "\n"), "\r\n") != strlen(body + strcspn(body, "\n")))
		return (refuse("there is more than one line", err));
	memcpy(key.type, text, type_len);
	if (strstr(key.type, "-cert-") != NULL)
		return (refuse("this is a certificate already; give the key alone", err));
	if ((blob = decode(body, body_len, &blob_len)) == NULL)
		return (refuse("what follows the type is no base64", err));
	if (!begins_with(blob, blob_len, key.type))
		r = refuse("it does not say the same type inside", err);
	else
		r = digest(blob, blob_len, &key, err);
	free(blob);
	if (r == 0 &&
	    asprintf(&key.line, "%.*s %.*s", (int)type_len, text, (int)body_len, body) < 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		*ret_key = key;
	return (r);
}
