/*
 * Certificates (PROTOCOL.certkeys), read strictly: options in order and each once, nothing behind
 * the end. Decides nothing about times, principals or trust.
 */
#include <stdlib.h>
#include <string.h>

#include "sshwire/line.h"

#define NONCE_MAX 256
#define OPTIONS_MAX 64

enum { TYPE_USER = 1, TYPE_HOST = 2 };

static int
bad(struct leased_err *err, const char *what)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "the certificate is malformed (%s): it may have been cut or changed", what));
}

static int
bad_text(const struct sshwire_reader *reader, struct leased_err *err, const char *what)
{
	if (reader->no_memory)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (bad(err, what));
}

static void
options_free(struct sshwire_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(options[i].name);
		free(options[i].value);
	}
	free(options);
}

void
sshwire_certificate_clear(struct sshwire_certificate *certificate)
{
	sshwire_key_clear(&certificate->key);
	sshwire_key_clear(&certificate->ca);
	free(certificate->key_id);
	for (size_t i = 0; i < certificate->principal_count; i++)
		free(certificate->principals[i]);
	free(certificate->principals);
	options_free(certificate->critical_options, certificate->critical_option_count);
	options_free(certificate->extensions, certificate->extension_count);
	free(certificate->blob);
	*certificate = (struct sshwire_certificate){0};
}

static int
read_principals(
    struct sshwire_reader reader, struct sshwire_certificate *certificate, struct leased_err *err)
{
	char *one;

	while (!reader.failed && reader.left > 0) {
		if (certificate->principal_count == SSHWIRE_PRINCIPALS_MAX)
			return (bad(err, "more principals than sshd takes"));
		if ((one = sshwire_get_text(&reader)) == NULL)
			break;
		if (certificate->principals == NULL)
			certificate->principals =
			    calloc(SSHWIRE_PRINCIPALS_MAX, sizeof(*certificate->principals));
		if (certificate->principals == NULL) {
			free(one);
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		}
		certificate->principals[certificate->principal_count++] = one;
	}
	return (reader.failed ? bad_text(&reader, err, "principals") : 0);
}

/* An option's data: nothing, or one text in a string of its own; another's own form is no text. */
static char *
read_value(struct sshwire_reader data, bool *ret_no_memory)
{
	struct sshwire_reader check = data;
	size_t len;
	const uint8_t *text;
	char *value;

	if (data.left == 0) {
		value = strdup("");
		*ret_no_memory = value == NULL;
		return (value);
	}
	text = sshwire_get_string(&check, &len);
	if (!sshwire_reader_done(&check) || memchr(text, '\0', len) != NULL)
		return (NULL);
	value = sshwire_get_text(&data);
	*ret_no_memory = value == NULL;
	return (value);
}

static int
read_options(struct sshwire_reader reader, struct sshwire_option **ret_options, size_t *ret_count,
    struct leased_err *err)
{
	struct sshwire_option *options = calloc(OPTIONS_MAX, sizeof(*options));
	bool no_memory = false;
	size_t count = 0;
	int r = 0;

	if (options == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	while (r == 0 && reader.left > 0) {
		if (count == OPTIONS_MAX) {
			r = bad(err, "too many options");
			break;
		}
		if ((options[count].name = sshwire_get_text(&reader)) == NULL) {
			r = bad_text(&reader, err, "an option");
			break;
		}
		options[count].value = read_value(sshwire_get_nested(&reader), &no_memory);
		count++;
		if (no_memory)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		else if (reader.failed)
			r = bad(err, "an option");
		else if (count > 1 && strcmp(options[count - 2].name, options[count - 1].name) >= 0)
			r = bad(err, "its options are not in order");
	}
	if (r != 0 || reader.failed || count == 0) {
		options_free(options, count);
		options = NULL;
		count = 0;
	}
	if (r == 0 && reader.failed)
		r = bad(err, "options");
	*ret_options = options;
	*ret_count = count;
	return (r);
}

/* From the serial to the principals and times. */
static int
read_claims(
    struct sshwire_reader *reader, struct sshwire_certificate *certificate, struct leased_err *err)
{
	uint32_t type;
	int r;

	certificate->serial = sshwire_get_u64(reader);
	type = sshwire_get_u32(reader);
	certificate->is_host = type == TYPE_HOST;
	if (reader->failed || (type != TYPE_USER && type != TYPE_HOST))
		return (bad(err, "it is for neither users nor hosts"));
	if ((certificate->key_id = sshwire_get_text(reader)) == NULL)
		return (bad_text(reader, err, "key id"));
	if ((r = read_principals(sshwire_get_nested(reader), certificate, err)) != 0)
		return (r);
	certificate->valid_after = sshwire_get_u64(reader);
	certificate->valid_before = sshwire_get_u64(reader);
	return (reader->failed ? bad(err, "times") : 0);
}

/* From the options to the end. */
static int
read_rest(
    struct sshwire_reader *reader, struct sshwire_certificate *certificate, struct leased_err *err)
{
	struct sshwire_reader ca;
	const uint8_t *signature;
	size_t reserved_len;
	int r;

	r = read_options(sshwire_get_nested(reader), &certificate->critical_options,
	    &certificate->critical_option_count, err);
	if (r == 0)
		r = read_options(sshwire_get_nested(reader), &certificate->extensions,
		    &certificate->extension_count, err);
	if (r != 0)
		return (r);
	(void)sshwire_get_string(reader, &reserved_len);
	ca = sshwire_get_nested(reader);
	certificate->signed_len = (size_t)(reader->at - certificate->blob);
	signature = sshwire_get_string(reader, &certificate->signature_len);
	if (!sshwire_reader_done(reader))
		return (bad(err, "its end"));
	certificate->signature_at = (size_t)(signature - certificate->blob);
	if (certificate->signature_len == 0)
		return (bad(err, "signature"));
	if ((r = sshwire_key_read(ca.at, ca.left, &certificate->ca, err)) != 0)
		return (leased_err_prefix(err, "the certificate's CA"));
	return (0);
}

int
sshwire_certificate_read_line(
    const char *line, struct sshwire_certificate *ret_certificate, struct leased_err *err)
{
	struct sshwire_certificate certificate = {0};
	const struct sshwire_type *type;
	struct sshwire_reader reader;
	const char *name;
	size_t name_len, nonce_len;
	int r;

	r = sshwire_line_read(
	    line, &name, &name_len, &certificate.blob, &certificate.blob_len, err);
	if (r != 0)
		return (r);
	reader = sshwire_reader_of(certificate.blob, certificate.blob_len);
	if ((type = sshwire_type_of_certificate(name, name_len)) == NULL) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "this is no certificate: one begins with a type such as "
		    "ssh-ed25519-cert-v01@openssh.com");
		goto out;
	}
	(void)sshwire_get_string(&reader, &name_len);
	(void)sshwire_get_string(&reader, &nonce_len);
	if (reader.failed || nonce_len > NONCE_MAX) {
		r = bad(err, "nonce");
		goto out;
	}
	if ((r = sshwire_key_fields(type, &reader, &certificate.key, err)) != 0 ||
	    (r = read_claims(&reader, &certificate, err)) != 0 ||
	    (r = read_rest(&reader, &certificate, err)) != 0)
		goto out;
	*ret_certificate = certificate;
	return (0);
out:
	sshwire_certificate_clear(&certificate);
	return (r);
}

int
sshwire_certificate_verify(const struct sshwire_certificate *certificate, struct leased_err *err)
{
	return (sshwire_verify(&certificate->ca, certificate->blob + certificate->signature_at,
	    certificate->signature_len, certificate->blob, certificate->signed_len, err));
}
