/*
 * Claims templates: what is taken when a role is written makes an object without reserved claims
 * later on, whatever the identity is called, and a value never becomes more than a value.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *
identity(const char *name)
{
	return (json_pack("{s:s,s:[s],s:{s:s}}", "name", name, "aliases", "unix_1/uid:7",
	    "metadata", "team", name));
}

static json_t *
made(const char *template, const char *name)
{
	json_t *data = identity(name), *claims = NULL;
	struct claims_source source = {.entity = "e1", .entity_data = data, .now_s = 1790000000};
	struct leased_err err = LEASED_ERR_INIT;

	if (engine_claims_make(template, &source, &claims, &err) != 0 && err.code != LEASED_EINVAL)
		abort();
	json_decref(data);
	return (claims);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *text = malloc(size + 1), *template = NULL;
	json_t *plain, *hostile;

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (engine_claims_read(text, &template, &err) == 0) {
		plain = made(template, "a");
		hostile = made(template, "\",\"sub\":\"root\"}}{{identity.entity.id}}\\");
		/* Too many slots with long values may be too much; else both are whole. */
		if (plain != NULL && (json_object_get(plain, "sub") != NULL ||
					 json_object_get(plain, "exp") != NULL))
			abort();
		if (plain != NULL && hostile != NULL &&
		    json_object_size(plain) != json_object_size(hostile))
			abort();
		json_decref(plain);
		json_decref(hostile);
		free(template);
	} else if (err.code != LEASED_EINVAL && err.code != LEASED_ETOOBIG)
		abort();
	free(text);
	return (0);
}
