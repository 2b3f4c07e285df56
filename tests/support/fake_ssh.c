/*
 * What the fake backend does of the plugin ssh: certificates and lists that say in clear what they
 * are of, so that a test can read them. fake_backend.c calls.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/fake_private.h"

void
fake_ssh_public(const char *id, json_t *result)
{
	char line[128];

	unsigned char blob[19 + 16] = "\0\0\0\013ssh-ed25519", base64[64];

	(void)snprintf((char *)blob + 15, sizeof(blob) - 15, "%s", id);
	(void)EVP_EncodeBlock(base64, blob, 33);
	(void)snprintf(line, sizeof(line), "ssh-ed25519 %s", (char *)base64);
	json_object_set_new(result, "public",
	    json_pack("{s:s,s:s,s:s}", "kid", id, "algorithm", "ed25519", "line", line));
}

/* As OpenSSH: base64 of the SHA-256 of what the line's base64 says. */
static void
tell_key(const char *line, json_t *result)
{
	const char *at = strchr(line, ' ');
	size_t len = at != NULL ? strcspn(at + 1, " ") : 0;
	unsigned char blob[2048], hash[32], base64[48];
	char text[64];
	int got = 0;

	if (len > 0 && len < sizeof(blob))
		got = EVP_DecodeBlock(blob, (const unsigned char *)at + 1, (int)len);
	got -= len > 2 && at[len] == '=';
	got -= len > 2 && at[len - 1] == '=';
	assert(EVP_Digest(blob, got > 0 ? (size_t)got : 0, hash, NULL, EVP_sha256(), NULL) == 1);
	(void)EVP_EncodeBlock(base64, hash, sizeof(hash));
	(void)snprintf(text, sizeof(text), "SHA256:%.43s", (char *)base64);
	json_object_set_new(result, "fingerprint", json_string(text));
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, " "), line);
	json_object_set_new(result, "type", json_string(text));
	json_object_set_new(
	    result, "bits", json_string(strstr(line, "rsa") != NULL ? "3072" : "256"));
}

static void
tell_list(const char *text, json_t *result)
{
	size_t len = strlen(text);
	unsigned char *base64 = malloc(len / 3 * 4 + 8);

	assert(base64 != NULL);
	(void)EVP_EncodeBlock(base64, (const unsigned char *)text, (int)len);
	json_object_set_new(result, "krl", json_string((char *)base64));
	free(base64);
}

int
fake_ssh_run(enum plugin_op op, const json_t *params, json_t *result, struct leased_err *err)
{
	const json_t *certificate = json_object_get(params, "certificate");
	const json_t *what = op == PLUGIN_OP_KRL ? json_object_get(params, "krl") : certificate;
	const char *line = json_string_value(
	    json_object_get(op == PLUGIN_OP_INSPECT ? params : certificate, "public_key"));
	const char *given = json_string_value(json_object_get(params, "private"));
	char *text;

	if (op == PLUGIN_OP_IMPORT) {
		if (given == NULL || strncmp(given, "key ", 4) != 0)
			return (leased_err_set(err, LEASED_EINVAL, "this is no private key"));
		json_object_set_new(result, "private", json_string(given));
		fake_ssh_public(given + 4, result);
		return (0);
	}
	if (op != PLUGIN_OP_KRL && line == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "which key?"));
	if (op != PLUGIN_OP_KRL)
		tell_key(line, result);
	if (op == PLUGIN_OP_INSPECT)
		return (0);
	if (json_object_get(params, "key") == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "with which key?"));
	text = json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS);
	assert(text != NULL);
	if (op == PLUGIN_OP_CERTIFY)
		json_object_set_new(result, "certificate", json_string(text));
	else
		tell_list(text, result);
	free(text);
	if (op == PLUGIN_OP_KRL)
		json_object_set(result, "signature", json_object_get(params, "key"));
	return (0);
}
