/*
 * Key revocation lists (PROTOCOL.krl). Whoever reads one is locked out by a mistake in it, so what
 * does not check is refused as a whole. It is not signed within: OpenSSH from 9.4 on refuses that.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

#define COMMENT_MAX 256
#define CAS_MAX 64
#define LIST_MAX 4096

enum { SECTION_CERTIFICATES = 1, SECTION_FINGERPRINTS = 5, SECTION_KEY_IDS = 0x23 };

static int
put_key_ids(struct sshwire_writer *writer, const json_t *key_ids, struct leased_err *err)
{
	const json_t *one;
	size_t begin, i;

	if (json_array_size(key_ids) == 0)
		return (0);
	if (json_array_size(key_ids) > LIST_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG, "key_ids: more than %d", LIST_MAX));
	sshwire_put_u8(writer, SECTION_KEY_IDS);
	begin = sshwire_put_begin(writer);
	json_array_foreach(key_ids, i, one)
	{
		size_t len = json_string_length(one);

		if (!json_is_string(one) || len < 1 || len > SSHCA_KEY_ID_MAX ||
		    strlen(json_string_value(one)) != len)
			return (leased_err_set(err, LEASED_EINVAL,
			    "key_ids: each is a text of 1 to %d bytes", SSHCA_KEY_ID_MAX));
		sshwire_put_text(writer, json_string_value(one));
	}
	sshwire_put_end(writer, begin);
	return (0);
}

/* Without a line: whoever the CA is. */
static int
put_ca(struct sshwire_writer *writer, const json_t *line, struct leased_err *err)
{
	struct sshwire_key ca = {0};
	int r;

	if (line == NULL) {
		sshwire_put_text(writer, "");
		return (0);
	}
	if (!json_is_string(line))
		return (leased_err_set(err, LEASED_EINVAL, "line must be a text"));
	if ((r = sshwire_key_read_line(json_string_value(line), &ca, err)) != 0)
		return (r);
	sshwire_put_string(writer, ca.blob, ca.blob_len);
	sshwire_key_clear(&ca);
	return (0);
}

static int
put_certificates(struct sshwire_writer *writer, const json_t *ca, struct leased_err *err)
{
	const json_t *serials = json_object_get(ca, "serials");
	const json_t *key_ids = json_object_get(ca, "key_ids");
	const json_t *line = json_object_get(ca, "line");
	size_t begin;
	int r;

	if (!json_is_object(ca) || (serials != NULL && !json_is_string(serials)) ||
	    (key_ids != NULL && !json_is_array(key_ids)))
		return (leased_err_set(
		    err, LEASED_EINVAL, "each has a line, serials (a text) and key_ids (a list)"));
	if (line == NULL && json_string_length(serials) > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "serials without a line would be those of every CA: give the CA's line"));
	if (json_string_length(serials) == 0 && json_array_size(key_ids) == 0)
		return (line != NULL && !json_is_string(line)
			    ? leased_err_set(err, LEASED_EINVAL, "line must be a text")
			    : 0);
	sshwire_put_u8(writer, SECTION_CERTIFICATES);
	begin = sshwire_put_begin(writer);
	if ((r = put_ca(writer, line, err)) != 0)
		return (r);
	sshwire_put_text(writer, "");
	if (json_string_length(serials) > 0 &&
	    (r = sshca_serials_put(json_string_value(serials), writer, err)) != 0)
		return (r);
	if ((r = put_key_ids(writer, key_ids, err)) != 0)
		return (r);
	sshwire_put_end(writer, begin);
	return (0);
}

/* ---- keys by their fingerprints ---- */

static int
read_fingerprint(const json_t *value, unsigned char *ret_hash, struct leased_err *err)
{
	const char *text = json_string_value(value);
	char padded[SSHWIRE_FINGERPRINT_SIZE + 1];
	uint8_t *bytes = NULL;
	size_t len = 0;
	int r = LEASED_EINVAL;

	if (text != NULL && strncmp(text, "SHA256:", 7) == 0 && strlen(text) == 7 + 43) {
		(void)snprintf(padded, sizeof(padded), "%s=", text + 7);
		r = sshwire_base64_decode(padded, strlen(padded), &bytes, &len, err);
	}
	if (r == 0 && len == SHA256_DIGEST_LENGTH)
		memcpy(ret_hash, bytes, SHA256_DIGEST_LENGTH);
	else if (r != LEASED_ENOMEM)
		r = leased_err_set(err, LEASED_EINVAL,
		    "keys: each is a fingerprint as ssh-keygen -l prints it, SHA256: and 43 "
		    "characters");
	free(bytes);
	return (r);
}

static int
compare_hashes(const void *a, const void *b)
{
	return (memcmp(a, b, SHA256_DIGEST_LENGTH));
}

/* In order and each once, as sshd wants them. */
static int
put_keys(struct sshwire_writer *writer, const json_t *keys, struct leased_err *err)
{
	size_t count = json_array_size(keys), i, begin;
	unsigned char *hashes;
	int r = 0;

	if (keys != NULL && !json_is_array(keys))
		return (leased_err_set(err, LEASED_EINVAL, "keys must be a list"));
	if (count > LIST_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG, "keys: more than %d", LIST_MAX));
	if (count == 0)
		return (0);
	if ((hashes = calloc(count, SHA256_DIGEST_LENGTH)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (i = 0; r == 0 && i < count; i++)
		r = read_fingerprint(
		    json_array_get(keys, i), hashes + i * SHA256_DIGEST_LENGTH, err);
	qsort(hashes, count, SHA256_DIGEST_LENGTH, compare_hashes);
	sshwire_put_u8(writer, SECTION_FINGERPRINTS);
	begin = sshwire_put_begin(writer);
	for (i = 0; i < count; i++) {
		const unsigned char *hash = hashes + i * SHA256_DIGEST_LENGTH;

		if (i == 0 || compare_hashes(hash - SHA256_DIGEST_LENGTH, hash) != 0)
			sshwire_put_string(writer, hash, SHA256_DIGEST_LENGTH);
	}
	sshwire_put_end(writer, begin);
	free(hashes);
	return (r);
}

/* ---- the whole ---- */

static int
put_header(struct sshwire_writer *writer, const json_t *request, struct leased_err *err)
{
	const json_t *date = json_object_get(request, "date");
	const char *comment = leased_get_string_optional(request, "comment");
	uint64_t version;

	if (!sshca_read_u64(json_object_get(request, "version"), &version))
		return (leased_err_set(err, LEASED_EINVAL,
		    "version must be a decimal number from 1 to 2^64 - 1, as a text"));
	if (!json_is_integer(date) || json_integer_value(date) < 0)
		return (leased_err_set(err, LEASED_EINVAL, "date must be UNIX seconds"));
	if (comment != NULL && strlen(comment) > COMMENT_MAX)
		return (
		    leased_err_set(err, LEASED_EINVAL, "comment: at most %d bytes", COMMENT_MAX));
	sshwire_put_u64(writer, SSHWIRE_KRL_MAGIC);
	sshwire_put_u32(writer, SSHWIRE_KRL_FORMAT);
	sshwire_put_u64(writer, version);
	sshwire_put_u64(writer, (uint64_t)json_integer_value(date));
	sshwire_put_u64(writer, 0); /* flags */
	sshwire_put_text(writer, "");
	sshwire_put_text(writer, comment != NULL ? comment : "");
	return (0);
}

int
sshca_krl(const json_t *request, struct sshwire_writer *writer, struct leased_err *err)
{
	const json_t *cas = json_object_get(request, "cas"), *ca;
	size_t i;
	int r;

	if (cas != NULL && (!json_is_array(cas) || json_array_size(cas) > CAS_MAX))
		return (leased_err_set(
		    err, LEASED_EINVAL, "cas must be a list of at most %d", CAS_MAX));
	if ((r = put_header(writer, request, err)) != 0)
		return (r);
	json_array_foreach(cas, i, ca) if ((r = put_certificates(writer, ca, err)) != 0) return (
	    leased_err_prefix(err, "cas"));
	if ((r = put_keys(writer, json_object_get(request, "keys"), err)) != 0)
		return (r);
	if (writer->failed)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (writer->len > SSHCA_KRL_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "the list of what is revoked would have %zu bytes, and %d is the most",
		    writer->len, SSHCA_KRL_MAX));
	return (0);
}
