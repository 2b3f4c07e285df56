/*
 * Writes certificates (PROTOCOL.certkeys) from claims that certify.c has checked.
 */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "sshca.h"

#define NONCE_LEN 32

enum { TYPE_USER = 1, TYPE_HOST = 2 };

static void
put_principals(struct sshwire_writer *writer, const json_t *principals)
{
	size_t begin = sshwire_put_begin(writer), i;
	const json_t *one;

	json_array_foreach(principals, i, one) sshwire_put_text(writer, json_string_value(one));
	sshwire_put_end(writer, begin);
}

static int
compare_names(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

/* In the order of their names, each with its value in a string of its own, or with nothing. */
static void
put_options(struct sshwire_writer *writer, const json_t *options)
{
	size_t count = json_object_size(options), i = 0, begin, value_begin;
	const char **names = calloc(count + 1, sizeof(*names)), *name;
	json_t *value;

	if (names == NULL) {
		writer->failed = true;
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)options, name, value) names[i++] = name;
	qsort(names, count, sizeof(*names), compare_names);
	begin = sshwire_put_begin(writer);
	for (i = 0; i < count; i++) {
		value = json_object_get(options, names[i]);
		sshwire_put_text(writer, names[i]);
		value_begin = sshwire_put_begin(writer);
		if (json_string_length(value) > 0)
			sshwire_put_text(writer, json_string_value(value));
		sshwire_put_end(writer, value_begin);
	}
	sshwire_put_end(writer, begin);
	free(names);
}

static int
put_nonce(struct sshwire_writer *writer, struct leased_err *err)
{
	unsigned char nonce[NONCE_LEN];

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return (leased_err_set(
		    err, LEASED_EBUG, "no random bytes for a nonce: %s", sshca_openssl_why()));
	sshwire_put_string(writer, nonce, sizeof(nonce));
	return (0);
}

/* A key's fields are the same in a certificate: what follows the name of its type. */
static void
put_key_fields(struct sshwire_writer *writer, const struct sshwire_key *key)
{
	size_t name_len = sizeof(uint32_t) + strlen(key->type->name);

	sshwire_put_bytes(writer, key->blob + name_len, key->blob_len - name_len);
}

int
sshca_certificate(const struct sshca_key *ca, const struct sshca_claims *claims, char **ret_line,
    struct leased_err *err)
{
	const struct sshwire_type *type = claims->key.type;
	struct sshwire_writer writer = {0};
	char *base64 = NULL, *line = NULL;
	int r;

	sshwire_put_text(&writer, type->certificate);
	if ((r = put_nonce(&writer, err)) != 0)
		goto out;
	put_key_fields(&writer, &claims->key);
	sshwire_put_u64(&writer, claims->serial);
	sshwire_put_u32(&writer, claims->is_host ? TYPE_HOST : TYPE_USER);
	sshwire_put_text(&writer, claims->key_id);
	put_principals(&writer, claims->principals);
	sshwire_put_u64(&writer, claims->valid_after);
	sshwire_put_u64(&writer, claims->valid_before);
	put_options(&writer, claims->critical_options);
	put_options(&writer, claims->extensions);
	sshwire_put_text(&writer, "");
	sshwire_put_string(&writer, ca->public.blob, ca->public.blob_len);
	if ((r = sshca_sign(ca, &writer, 0, err)) != 0)
		goto out;
	if (writer.len > SSHCA_CERTIFICATE_MAX) {
		r = leased_err_set(err, LEASED_ETOOBIG,
		    "the certificate would have %zu bytes, and %d is the most: ask for fewer "
		    "principals or shorter options",
		    writer.len, SSHCA_CERTIFICATE_MAX);
		goto out;
	}
	if ((base64 = sshwire_base64(writer.bytes, writer.len)) == NULL ||
	    asprintf(&line, "%s %s", type->certificate, base64) < 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	*ret_line = line;
out:
	free(base64);
	sshwire_writer_clear(&writer);
	return (r);
}
