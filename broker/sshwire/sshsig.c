/*
 * SSHSIG (PROTOCOL.sshsig): a signature over a file, with a name of what it is for.
 */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "sshwire/line.h"

#define MAGIC "SSHSIG"
#define MAGIC_LEN 6
#define VERSION 1
#define ARMOR_BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define ARMOR_END "-----END SSH SIGNATURE-----\n"
#define ARMORED_MAX 32768

static int
bad(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "this is no SSH signature (-----BEGIN SSH "
	    "SIGNATURE-----), or one that was changed"));
}

static int
put_message(struct sshwire_writer *writer, const char *name_space, const char *hash_name,
    const void *message, size_t len, struct leased_err *err)
{
	unsigned char hash[SHA512_DIGEST_LENGTH];
	unsigned hash_len = sizeof(hash);

	if (EVP_Digest(message, len, hash, &hash_len,
		strcmp(hash_name, "sha512") == 0 ? EVP_sha512() : EVP_sha256(), NULL) != 1)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	sshwire_put_bytes(writer, MAGIC, MAGIC_LEN);
	sshwire_put_text(writer, name_space);
	sshwire_put_text(writer, "");
	sshwire_put_text(writer, hash_name);
	sshwire_put_string(writer, hash, hash_len);
	return (writer->failed ? leased_err_set(err, LEASED_ENOMEM, "out of memory") : 0);
}

int
sshwire_sshsig_message(struct sshwire_writer *writer, const char *name_space, const void *message,
    size_t len, struct leased_err *err)
{
	return (put_message(writer, name_space, "sha512", message, len, err));
}

/* The bytes between the armor's lines. */
static int
unarmor(const char *armored, uint8_t **ret_bytes, size_t *ret_len, struct leased_err *err)
{
	size_t len = strnlen(armored, ARMORED_MAX + 1), used = 0;
	const char *at = armored + strlen(ARMOR_BEGIN), *end;
	char *base64;
	int r;

	if (len > ARMORED_MAX || strncmp(armored, ARMOR_BEGIN, strlen(ARMOR_BEGIN)) != 0 ||
	    (end = strstr(at, ARMOR_END)) == NULL || end[strlen(ARMOR_END)] != '\0')
		return (bad(err));
	if ((base64 = malloc(len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (; at < end; at++)
		if (*at != '\n')
			base64[used++] = *at;
	r = sshwire_base64_decode(base64, used, ret_bytes, ret_len, err);
	free(base64);
	return (r == LEASED_EINVAL ? bad(err) : r);
}

struct parts {
	const uint8_t *key, *name_space, *hash, *signature;
	size_t key_len, name_space_len, hash_len, signature_len;
};

static bool
read_parts(const uint8_t *bytes, size_t len, struct parts *ret_parts)
{
	struct sshwire_reader reader = sshwire_reader_of(bytes, len);
	const uint8_t *magic = sshwire_get_bytes(&reader, MAGIC_LEN);
	size_t reserved_len;
	struct parts parts;

	if (reader.failed || memcmp(magic, MAGIC, MAGIC_LEN) != 0 ||
	    sshwire_get_u32(&reader) != VERSION)
		return (false);
	parts.key = sshwire_get_string(&reader, &parts.key_len);
	parts.name_space = sshwire_get_string(&reader, &parts.name_space_len);
	(void)sshwire_get_string(&reader, &reserved_len);
	parts.hash = sshwire_get_string(&reader, &parts.hash_len);
	parts.signature = sshwire_get_string(&reader, &parts.signature_len);
	*ret_parts = parts;
	return (sshwire_reader_done(&reader));
}

static const char *
hash_name_of(const struct parts *parts)
{
	if (parts->hash_len == 6 && memcmp(parts->hash, "sha512", 6) == 0)
		return ("sha512");
	if (parts->hash_len == 6 && memcmp(parts->hash, "sha256", 6) == 0)
		return ("sha256");
	return (NULL);
}

static int
verify_parts(const struct parts *parts, const char *name_space, const void *message, size_t len,
    const struct sshwire_key *keys, size_t key_count, struct leased_err *err)
{
	const char *hash_name = hash_name_of(parts);
	struct sshwire_writer writer = {0};
	size_t i;
	int r;

	for (i = 0; i < key_count; i++)
		if (keys[i].blob_len == parts->key_len &&
		    memcmp(keys[i].blob, parts->key, parts->key_len) == 0)
			break;
	if (i == key_count)
		return (leased_err_set(
		    err, LEASED_EDENIED, "the signature is by a key that is not trusted for it"));
	if (parts->name_space_len != strlen(name_space) ||
	    memcmp(parts->name_space, name_space, parts->name_space_len) != 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "the signature is for something else than \"%s\"", name_space));
	if (hash_name == NULL)
		return (bad(err));
	if ((r = put_message(&writer, name_space, hash_name, message, len, err)) == 0)
		r = sshwire_verify(&keys[i], parts->signature, parts->signature_len, writer.bytes,
		    writer.len, err);
	sshwire_writer_clear(&writer);
	return (r);
}

int
sshwire_sshsig_verify(const char *armored, const char *name_space, const void *message, size_t len,
    const struct sshwire_key *keys, size_t key_count, struct leased_err *err)
{
	uint8_t *bytes = NULL;
	struct parts parts;
	size_t bytes_len;
	int r;

	if ((r = unarmor(armored, &bytes, &bytes_len, err)) != 0)
		return (r);
	r = read_parts(bytes, bytes_len, &parts)
		? verify_parts(&parts, name_space, message, len, keys, key_count, err)
		: bad(err);
	free(bytes);
	return (r);
}
