/*
 * A private key of a worker's configuration (base64url of PKCS #8): whatever stands there is
 * refused, or is a key of the algorithm that was named, with a public part that can be written. The
 * first byte chooses the algorithm.
 */
#include <stdlib.h>
#include <string.h>

#include "token/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {
	    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"};
	struct leased_err err = LEASED_ERR_INIT;
	struct token_key key = {0};
	unsigned char *bytes = NULL;
	size_t len = 0;
	json_t *config;
	char *text;

	if (size < 1 || size > 4096)
		return (0);
	text = token_base64url(data + 1, size - 1, &len);
	config = json_pack("{s:s,s:s%}", "algorithm", names[data[0] % 7], "private", text, len);
	if (config == NULL || token_base64url_decode(text, len, &bytes, &len, &err) != 0 ||
	    len != size - 1 || memcmp(bytes, data + 1, len) != 0)
		abort();
	/* Never under a name that is not its own; whose it is stands in no seed. */
	if (token_key_read("nobody", config, &key, &err) != LEASED_EINVAL || key.key != NULL)
		abort();
	free(bytes);
	bytes = NULL;
	if (token_base64url_decode((const char *)data + 1, size - 1, &bytes, &len, &err) == 0)
		free(bytes);
	free(text);
	json_decref(config);
	return (0);
}
