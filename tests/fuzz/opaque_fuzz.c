/*
 * The text of opaque tokens: what is taken for one is one, letter by letter, and is found again in
 * a text that holds it. And the search for JWTs.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jws.h"
#include "base/opaque.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), prefix[OPAQUE_PREFIX_MAX + 1] = "";
	char random[OPAQUE_RANDOM_LEN + 1] = "", again[OPAQUE_SIZE];
	struct opaque opaque;

	if (text != NULL && opaque_parse(text, &opaque)) {
		memcpy(prefix, text, opaque.prefix_len);
		memcpy(random, opaque.random, OPAQUE_RANDOM_LEN);
		if (opaque_format(prefix, opaque.row, random, again) != 0 ||
		    strcmp(again, text) != 0 || !opaque_is_in(text))
			abort();
	}
	if (text != NULL) {
		(void)opaque_is_in(text);
		(void)jws_is_in(text);
	}
	free(text);
	return (0);
}
