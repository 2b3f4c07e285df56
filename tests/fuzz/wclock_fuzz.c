/*
 * Fuzzes the reader of times in base/wclock: what it takes is the time that it writes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/wclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = strndup((const char *)bytes, len), again[WCLOCK_RFC3339_SIZE];
	int64_t us = 0, us_again = 0;

	if (text != NULL && wclock_parse_rfc3339(text, &us)) {
		wclock_format_rfc3339(us, again);
		if (!wclock_parse_rfc3339(again, &us_again) || us_again != us)
			abort();
	}
	free(text);
	return (0);
}
