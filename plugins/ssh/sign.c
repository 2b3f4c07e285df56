/*
 * Signatures as SSH has them (RFC 4253 6.6, RFC 5656 3.1.2, RFC 8332, RFC 8709), and SSHSIG. RSA
 * signs with SHA-512: sshd takes no SHA-1 from a CA.
 */
#include <openssl/ecdsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

#define SIGNATURE_MAX (SSHCA_CA_RSA_BITS_MAX / 8)
#define ARMOR_WIDTH 70

static const char *
digest_of(const struct sshwire_type *type)
{
	switch (type->kind) {
	case SSHWIRE_ED25519:
		return (NULL);
	case SSHWIRE_ECDSA:
		return (type->bits == 256 ? "SHA256" : type->bits == 384 ? "SHA384" : "SHA512");
	case SSHWIRE_RSA:
		return ("SHA512");
	}
	return (NULL);
}

static void
put_bn(struct sshwire_writer *writer, const BIGNUM *number)
{
	unsigned char bytes[66];
	int len = BN_bn2binpad(number, bytes, sizeof(bytes));

	if (len < 0)
		writer->failed = true;
	else
		sshwire_put_mpint(writer, bytes, (size_t)len);
}

/* OpenSSL's is DER; SSH has two numbers. */
static int
put_pair(struct sshwire_writer *writer, const unsigned char *der, size_t len)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
	size_t begin;

	if (pair == NULL)
		return (-1);
	begin = sshwire_put_begin(writer);
	put_bn(writer, ECDSA_SIG_get0_r(pair));
	put_bn(writer, ECDSA_SIG_get0_s(pair));
	sshwire_put_end(writer, begin);
	ECDSA_SIG_free(pair);
	return (0);
}

static int
cannot_sign(const struct sshca_key *key, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EBUG, "cannot sign with a key of %s: %s", key->algorithm,
	    sshca_openssl_why()));
}

int
sshca_signer_make(struct sshca_key *key, struct leased_err *err)
{
	const char *digest = digest_of(key->public.type);

	if ((key->signer = EVP_MD_CTX_new()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (EVP_DigestSignInit_ex(key->signer, NULL, digest, NULL, NULL, key->key, NULL) != 1)
		return (cannot_sign(key, err));
	return (0);
}

int
sshca_sign(
    const struct sshca_key *key, struct sshwire_writer *writer, size_t from, struct leased_err *err)
{
	const struct sshwire_type *type = key->public.type;
	unsigned char signature[SIGNATURE_MAX];
	size_t len = sizeof(signature), begin;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = 0;

	if (writer->failed || ctx == NULL) {
		EVP_MD_CTX_free(ctx);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (EVP_MD_CTX_copy_ex(ctx, key->signer) != 1 ||
	    EVP_DigestSign(ctx, signature, &len, writer->bytes + from, writer->len - from) != 1) {
		EVP_MD_CTX_free(ctx);
		return (cannot_sign(key, err));
	}
	EVP_MD_CTX_free(ctx);
	begin = sshwire_put_begin(writer);
	sshwire_put_text(writer, type->kind == SSHWIRE_RSA ? "rsa-sha2-512" : type->name);
	if (type->kind == SSHWIRE_ECDSA)
		r = put_pair(writer, signature, len);
	else
		sshwire_put_string(writer, signature, len);
	sshwire_put_end(writer, begin);
	return (r != 0 || writer->failed ? leased_err_set(err, LEASED_ENOMEM, "out of memory") : 0);
}

/* The armor of PROTOCOL.sshsig. */
char *
sshca_armor(const struct sshwire_writer *blob, const char *label)
{
	char *base64 = sshwire_base64(blob->bytes, blob->len);
	struct sshwire_writer text = {0};
	char *armored = NULL, line[64];
	size_t len;

	if (base64 == NULL)
		return (NULL);
	len = strlen(base64);
	(void)snprintf(line, sizeof(line), "-----BEGIN %s-----\n", label);
	sshwire_put_bytes(&text, line, strlen(line));
	for (size_t at = 0; at < len; at += ARMOR_WIDTH) {
		sshwire_put_bytes(
		    &text, base64 + at, len - at < ARMOR_WIDTH ? len - at : ARMOR_WIDTH);
		sshwire_put_u8(&text, '\n');
	}
	(void)snprintf(line, sizeof(line), "-----END %s-----\n", label);
	sshwire_put_bytes(&text, line, strlen(line) + 1);
	if (!text.failed)
		armored = strdup((const char *)text.bytes);
	sshwire_writer_clear(&text);
	leased_wipe(base64, len);
	free(base64);
	return (armored);
}

int
sshca_sshsig(const struct sshca_key *key, const char *name_space, const void *message, size_t len,
    char **ret_armored, struct leased_err *err)
{
	struct sshwire_writer signed_text = {0}, blob = {0};
	size_t signed_len;
	char *armored = NULL;
	int r;

	if ((r = sshwire_sshsig_message(&signed_text, name_space, message, len, err)) != 0)
		goto out;
	signed_len = signed_text.len;
	if ((r = sshca_sign(key, &signed_text, 0, err)) != 0)
		goto out;
	sshwire_put_bytes(&blob, "SSHSIG", 6);
	sshwire_put_u32(&blob, 1);
	sshwire_put_string(&blob, key->public.blob, key->public.blob_len);
	sshwire_put_text(&blob, name_space);
	sshwire_put_text(&blob, "");
	sshwire_put_text(&blob, "sha512");
	sshwire_put_bytes(&blob, signed_text.bytes + signed_len, signed_text.len - signed_len);
	if (blob.failed || (armored = sshca_armor(&blob, "SSH SIGNATURE")) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	*ret_armored = armored;
out:
	sshwire_writer_clear(&signed_text);
	sshwire_writer_clear(&blob);
	return (r);
}
