/*
 * Key pairs of Ed25519, made by OpenSSL, and the file format of OpenSSH (PROTOCOL.key) for one. Who
 * keeps which where is the caller's.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "keypair.h"
#include "sshwire/bytes.h"

#define FILE_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define FILE_END "-----END OPENSSH PRIVATE KEY-----\n"
#define FILE_MAGIC "openssh-key-v1" /* its NUL belongs to it */
#define FILE_COLUMNS 70
#define FILE_MAX 4096

int
keypair_generate(struct keypair *ret_keys, struct leased_err *err)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct leased_secret *seed = leased_secret_new_empty(KEYPAIR_SEED_LEN);
	size_t seed_len = KEYPAIR_SEED_LEN, public_len = KEYPAIR_PUBLIC_LEN;
	int r = 0;

	if (key == NULL || seed == NULL ||
	    EVP_PKEY_get_raw_private_key(
		key, (unsigned char *)leased_secret_reveal_mutable(seed), &seed_len) != 1 ||
	    EVP_PKEY_get_raw_public_key(key, ret_keys->public, &public_len) != 1) {
		r = leased_err_set(err, LEASED_ENOMEM, "no key could be made: out of memory?");
		goto out;
	}
	ret_keys->seed = seed;
	seed = NULL;
out:
	leased_secret_free(seed);
	EVP_PKEY_free(key);
	return (r);
}

void
keypair_clear(struct keypair *keys)
{
	leased_secret_free(keys->seed);
	memset(keys, 0, sizeof(*keys));
}

static void
put_public(struct sshwire_writer *writer, const uint8_t public[KEYPAIR_PUBLIC_LEN])
{
	sshwire_put_text(writer, KEYPAIR_TYPE);
	sshwire_put_string(writer, public, KEYPAIR_PUBLIC_LEN);
}

char *
keypair_line(const uint8_t public[KEYPAIR_PUBLIC_LEN])
{
	struct sshwire_writer writer = {0};
	char *base64 = NULL, *line = NULL;

	put_public(&writer, public);
	if (!writer.failed && (base64 = sshwire_base64(writer.bytes, writer.len)) != NULL &&
	    asprintf(&line, KEYPAIR_TYPE " %s", base64) < 0)
		line = NULL;
	free(base64);
	sshwire_writer_clear(&writer);
	return (line);
}

/* PROTOCOL.key, 3: what a passphrase would hide, here in the clear; in blocks of 8 bytes. */
static void
put_private(struct sshwire_writer *writer, const struct keypair *keys, const char *comment)
{
	size_t all, pair, start;
	uint32_t check = 0;
	uint8_t pad = 0;

	(void)RAND_bytes((unsigned char *)&check, sizeof(check));
	all = sshwire_put_begin(writer);
	start = writer->len;
	sshwire_put_u32(writer, check);
	sshwire_put_u32(writer, check);
	put_public(writer, keys->public);
	pair = sshwire_put_begin(writer);
	sshwire_put_bytes(writer, leased_secret_reveal(keys->seed), KEYPAIR_SEED_LEN);
	sshwire_put_bytes(writer, keys->public, KEYPAIR_PUBLIC_LEN);
	sshwire_put_end(writer, pair);
	sshwire_put_text(writer, comment);
	while (!writer->failed && (writer->len - start) % 8 != 0)
		sshwire_put_u8(writer, ++pad);
	sshwire_put_end(writer, all);
}

/* base64 in lines between the two marks; wipes what it made on the way. */
static struct leased_secret *
armor(const struct sshwire_writer *writer)
{
	struct sshwire_writer text = {0};
	struct leased_secret *file = NULL;
	char *base64;
	size_t at, len;

	if ((base64 = sshwire_base64(writer->bytes, writer->len)) == NULL)
		return (NULL);
	sshwire_put_bytes(&text, FILE_BEGIN, strlen(FILE_BEGIN));
	for (at = 0; base64[at] != '\0'; at += len) {
		len = strnlen(base64 + at, FILE_COLUMNS);
		sshwire_put_bytes(&text, base64 + at, len);
		sshwire_put_u8(&text, '\n');
	}
	sshwire_put_bytes(&text, FILE_END, strlen(FILE_END));
	if (!text.failed)
		file = leased_secret_new(text.bytes, text.len);
	leased_wipe(base64, strlen(base64));
	free(base64);
	sshwire_writer_clear(&text);
	return (file);
}

struct leased_secret *
keypair_file(const struct keypair *keys, const char *comment)
{
	struct sshwire_writer writer = {0};
	struct leased_secret *file = NULL;
	size_t begin;

	sshwire_put_bytes(&writer, FILE_MAGIC, sizeof(FILE_MAGIC));
	sshwire_put_text(&writer, "none"); /* cipher, KDF, its options */
	sshwire_put_text(&writer, "none");
	sshwire_put_text(&writer, "");
	sshwire_put_u32(&writer, 1);
	begin = sshwire_put_begin(&writer);
	put_public(&writer, keys->public);
	sshwire_put_end(&writer, begin);
	put_private(&writer, keys, comment);
	if (!writer.failed)
		file = armor(&writer);
	sshwire_writer_clear(&writer);
	return (file);
}

/* The bytes between the marks; the caller wipes and frees. */
static int
armor_read(const char *text, uint8_t **ret_bytes, size_t *ret_len, struct leased_err *err)
{
	const char *at, *end;
	char *joined;
	size_t len = 0;
	int r;

	if (strncmp(text, FILE_BEGIN, strlen(FILE_BEGIN)) != 0 || strlen(text) > FILE_MAX ||
	    (end = strstr(text, "\n" FILE_END)) == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "no private key of OpenSSH's"));
	if ((joined = malloc(FILE_MAX)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (at = text + strlen(FILE_BEGIN); at < end; at++)
		if (*at != '\n')
			joined[len++] = *at;
	r = sshwire_base64_decode(joined, len, ret_bytes, ret_len, err);
	leased_wipe(joined, FILE_MAX);
	free(joined);
	return (r);
}

int
keypair_file_public(
    const char *text, uint8_t ret_public[KEYPAIR_PUBLIC_LEN], struct leased_err *err)
{
	struct sshwire_reader reader, public_reader;
	const uint8_t *magic, *type, *public;
	size_t len = 0, type_len = 0, public_len = 0;
	uint8_t *bytes = NULL;
	int r;

	if ((r = armor_read(text, &bytes, &len, err)) != 0)
		return (r);
	reader = sshwire_reader_of(bytes, len);
	magic = sshwire_get_bytes(&reader, sizeof(FILE_MAGIC));
	if (!reader.failed && memcmp(magic, FILE_MAGIC, sizeof(FILE_MAGIC)) != 0)
		reader.failed = true;
	for (int i = 0; i < 3; i++)
		(void)sshwire_get_nested(&reader);
	if (sshwire_get_u32(&reader) != 1)
		reader.failed = true;
	public_reader = sshwire_get_nested(&reader);
	type = sshwire_get_string(&public_reader, &type_len);
	public = sshwire_get_string(&public_reader, &public_len);
	if (reader.failed || !sshwire_reader_done(&public_reader) ||
	    type_len != strlen(KEYPAIR_TYPE) || memcmp(type, KEYPAIR_TYPE, type_len) != 0 ||
	    public_len != KEYPAIR_PUBLIC_LEN)
		r = leased_err_set(err, LEASED_EINVAL, "no private key of Ed25519");
	else
		memcpy(ret_public, public, KEYPAIR_PUBLIC_LEN);
	leased_wipe(bytes, len);
	free(bytes);
	return (r);
}
