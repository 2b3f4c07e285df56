/*
 * Forms and queries: whatever comes, an object of texts (or lists of them) comes out, or a refusal.
 */
#include <stdlib.h>

#include "api/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *object = NULL, *value;
	const char *key;
	int r;

	if (size == 0)
		return (0);
	r = api_form_decode((const char *)data + 1, size - 1, (data[0] & 1) != 0, &object, &err);
	if ((r == 0) != (object != NULL))
		abort();
	json_object_foreach(object, key,
	    value) if (!json_is_string(value) && ((data[0] & 1) == 0 || !json_is_array(value)))
	    abort();
	json_decref(object);
	return (0);
}
