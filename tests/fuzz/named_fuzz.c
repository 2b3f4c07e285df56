/*
 * Fuzzes base/named: whatever a configuration's value is, what is found are absolute paths, each
 * once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/named.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	json_t *config = json_object(), *value = json_stringn((const char *)bytes, len);
	struct named_files files;

	if (config == NULL || value == NULL || json_object_set(config, "a", value) != 0 ||
	    json_object_set(config, "b", value) != 0) {
		json_decref(config);
		json_decref(value);
		return (0); /* no UTF-8 */
	}
	named_files_find(config, &files);
	if (files.count > NAMED_FILES_MAX)
		abort();
	for (unsigned i = 0; i < files.count; i++) {
		if (files.paths[i][0] != '/' || strlen(files.paths[i]) >= NAMED_PATH_MAX)
			abort();
		if (!utf8_is_valid(files.paths[i], strlen(files.paths[i])))
			abort();
		for (unsigned j = 0; j < i; j++)
			if (strcmp(files.paths[i], files.paths[j]) == 0)
				abort();
	}
	json_decref(value);
	json_decref(config);
	return (0);
}
