/*
 * The row number in an account's name, as a backend lists it: whatever the bytes, reading says a
 * number or no, and a number that was read stands in a name that is made with it.
 */
#include <stdlib.h>
#include <string.h>

#include "lease/private.h"

#define TAG "k3x9ab"
#define RANDOM_LEN 13

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char account[LEASE_ACCOUNT_SIZE], random[RANDOM_LEN + 1];
	char *text = strndup((const char *)bytes, len);
	struct lease_name name = {.tag = TAG, .role = "", .random = random, .name_max = 63};
	const char *tail;

	if (text != NULL && lease_name_sequence(text, TAG, &name.sequence)) {
		if (name.sequence <= 0 || strncmp(text, "l-" TAG "-", 9) != 0)
			abort();
		tail = strrchr(text, '-') + 1;
		memcpy(random, tail + strlen(tail) - RANDOM_LEN, sizeof(random));
		if (lease_name_format(&name, account, NULL) != 0 ||
		    strcmp(strrchr(account, '-') + 1, tail) != 0)
			abort();
	}
	free(text);
	return (0);
}
