/*
 * What a worker is asked to sign. 'c' and claims: refused, or a certificate that the reader of the
 * client takes, that verifies and says what was asked. 'k' and a list: refused, or one that begins
 * as a list does. 's' and serials: refused, or sections.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "ssh/sshca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sshca_key ca;

static void
certify(const json_t *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_certificate read = {0};
	struct sshca_claims claims = {0};
	char *line = NULL;

	if (sshca_claims_read(request, &claims, &err) != 0) {
		if (err.text[0] == '\0' || claims.key.blob != NULL)
			abort();
		return;
	}
	if (sshca_certificate(&ca, &claims, &line, &err) == 0) {
		if (sshwire_certificate_read_line(line, &read, &err) != 0 ||
		    sshwire_certificate_verify(&read, &err) != 0 ||
		    !sshwire_key_equal(&read.key, &claims.key) || read.serial != claims.serial ||
		    read.is_host != claims.is_host ||
		    read.principal_count != json_array_size(claims.principals) ||
		    read.principal_count == 0 || strcmp(read.key_id, claims.key_id) != 0 ||
		    read.valid_after >= read.valid_before)
			abort();
		sshwire_certificate_clear(&read);
	} else if (err.code != LEASED_ETOOBIG) {
		abort();
	}
	free(line);
	sshca_claims_clear(&claims);
}

static void
list(const json_t *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_writer krl = {0};

	if (sshca_krl(request, &krl, &err) == 0 &&
	    (krl.len < 44 || krl.len > SSHCA_KRL_MAX || memcmp(krl.bytes, "SSHKRL\n", 8) != 0))
		abort();
	sshwire_writer_clear(&krl);
}

/* How many serials the sections hold. */
static size_t
count_serials(const struct sshwire_writer *sections)
{
	struct sshwire_reader reader = sshwire_reader_of(sections->bytes, sections->len);
	size_t count = 0, len;

	while (reader.left > 0) {
		uint8_t kind = sshwire_get_u8(&reader);
		struct sshwire_reader body = sshwire_get_nested(&reader);

		if (kind == 0x20) {
			count += body.left / 8;
		} else if (kind == 0x21) {
			uint64_t first = sshwire_get_u64(&body);

			count += (size_t)(sshwire_get_u64(&body) - first) + 1;
		} else {
			const uint8_t *bits;

			(void)sshwire_get_u64(&body);
			bits = sshwire_get_mpint(&body, &len);
			if (kind != 0x22 || !sshwire_reader_done(&body) || len == 0 || len > 2048)
				abort();
			for (size_t i = 0; i < len; i++)
				count += (size_t)__builtin_popcount(bits[i]);
		}
		if (reader.failed)
			abort();
	}
	return (count);
}

static void
serials(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_writer sections = {0};
	size_t count = text[0] != '\0';

	for (const char *at = text; *at != '\0'; at++)
		count += *at == ',';
	if (sshca_serials_put(text, &sections, &err) == 0 && count_serials(&sections) != count)
		abort();
	sshwire_writer_clear(&sections);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *request = NULL;
	char *text;

	if (ca.key == NULL && sshca_key_generate("ed25519", &ca, &err) != 0)
		abort();
	if (size < 1)
		return (0);
	if (data[0] == 's') {
		if ((text = strndup((const char *)data + 1, size - 1)) != NULL)
			serials(text);
		free(text);
		return (0);
	}
	if (jdec_parse(data + 1, size - 1, &jdec_default_limits, &request, NULL) != 0)
		return (0);
	if (data[0] == 'c')
		certify(request);
	else
		list(request);
	json_decref(request);
	return (0);
}
