/*
 * HTTP Basic: whatever stands in the header, a text without a NUL comes out, or it is none of
 * Basic's.
 */
#include <stdlib.h>
#include <string.h>

#include "api/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *header = strndup((const char *)data, size), *token = NULL;

	if (header != NULL && api_basic_decode(header, &token)) {
		if (token == NULL || token[0] == '\0' || strlen(token) > size + 64)
			abort();
		free(token);
	}
	free(header);
	return (0);
}
