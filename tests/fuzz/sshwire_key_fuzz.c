/*
 * A line with a public key, as a client sends it: refused, or a key that is written the same again
 * and that OpenSSL takes.
 */
#include <stdlib.h>
#include <string.h>

#include "sshwire/sshwire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The blob itself, which a mutation reaches more easily than base64 of it. */
static void
read_blob(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	EVP_PKEY *openssl;

	if (sshwire_key_read(data, size, &key, &err) != 0)
		return;
	if (key.blob_len != size || memcmp(key.blob, data, size) != 0)
		abort();
	if ((openssl = sshwire_key_openssl(&key)) == NULL)
		abort();
	EVP_PKEY_free(openssl);
	sshwire_key_clear(&key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0}, other = {0};
	char *line = strndup((const char *)data, size), *again;

	if (line == NULL)
		return (0);
	if (sshwire_key_read_line(line, &key, &err) == 0) {
		read_blob(key.blob, key.blob_len);
		again = sshwire_key_line(&key);
		if (again == NULL || sshwire_key_read_line(again, &other, &err) != 0 ||
		    !sshwire_key_equal(&key, &other))
			abort();
		sshwire_key_clear(&key);
		sshwire_key_clear(&other);
		free(again);
	}
	free(line);
	read_blob(data, size);
	return (0);
}
