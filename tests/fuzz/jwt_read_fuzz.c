/*
 * What comes to introspection as a JWT: claims that are an object, or a refusal.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/jwt_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *text = malloc(size + 1), hash[JWT_HASH_SIZE];
	json_t *claims = NULL;
	int r;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	r = engine_jwt_read(text, &claims, &err);
	if ((r == 0) != json_is_object(claims) || (r != 0 && r != LEASED_EINVAL))
		abort();
	if (engine_jwt_hash(text, hash, &err) != 0 || strlen(hash) != JWT_HASH_SIZE - 1)
		abort();
	json_decref(claims);
	free(text);
	return (0);
}
