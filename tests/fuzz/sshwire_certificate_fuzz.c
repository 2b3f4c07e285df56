/*
 * A line with a certificate, or the bytes of one: refused, or read within its bounds. What verifies
 * was signed by who is named.
 */
#include <stdlib.h>
#include <string.h>

#include "sshwire/sshwire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_line(const char *line)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_certificate certificate = {0};

	if (sshwire_certificate_read_line(line, &certificate, &err) != 0) {
		if (certificate.blob != NULL)
			abort();
		return;
	}
	if (certificate.signed_len >= certificate.signature_at ||
	    certificate.signature_at + certificate.signature_len != certificate.blob_len ||
	    certificate.principal_count > SSHWIRE_PRINCIPALS_MAX || certificate.key_id == NULL)
		abort();
	for (size_t i = 1; i < certificate.extension_count; i++)
		if (strcmp(certificate.extensions[i - 1].name, certificate.extensions[i].name) >= 0)
			abort();
	(void)sshwire_certificate_verify(&certificate, &err);
	sshwire_certificate_clear(&certificate);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sshwire_reader reader = sshwire_reader_of(data, size);
	size_t len;
	const uint8_t *type = sshwire_get_string(&reader, &len);
	char *line = strndup((const char *)data, size), *base64;

	if (line != NULL)
		read_line(line);
	free(line);
	if (reader.failed || len > 64 || size > SSHWIRE_LINE_MAX / 2)
		return (0);
	base64 = sshwire_base64(data, size);
	line = NULL;
	if (base64 != NULL && asprintf(&line, "%.*s %s", (int)len, (const char *)type, base64) > 0)
		read_line(line);
	free(line);
	free(base64);
	return (0);
}
