/*
 * Fuzzes base/path: what is accepted is canonical, however it was spelled.
 */
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char path[512], value[64], *query;
	bool bad;
	int r = path_decode((const char *)bytes, len, path, sizeof(path), NULL);

	if (r == 0 || r == LEASED_EEXIST) {
		size_t n = strlen(path);

		if (path[0] != '/' || strstr(path, "//") != NULL || strstr(path, "/../") != NULL ||
		    strstr(path, "/./") != NULL || !utf8_is_valid(path, n) ||
		    (n >= 3 && strcmp(path + n - 3, "/..") == 0) ||
		    (n >= 2 && strcmp(path + n - 2, "/.") == 0))
			abort();
		(void)path_has_prefix(path, "/v1/sys");
		(void)path_is_name(path + 1, n - 1);
	}
	if ((query = strndup((const char *)bytes, len)) == NULL)
		return (0);
	if (path_query_get(query, "list", value, sizeof(value), &bad) &&
	    (bad || !utf8_is_valid(value, strlen(value))))
		abort();
	free(query);
	return (0);
}
