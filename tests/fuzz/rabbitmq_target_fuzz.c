/*
 * Fuzzes names in paths of the management API: whatever a name holds, it is one element, and reads
 * back as itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rabbitmq/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int
digit(char c)
{
	const char *all = "0123456789ABCDEF", *at = strchr(all, c);

	if (c == '\0' || at == NULL)
		abort();
	return ((int)(at - all));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *name = strndup((const char *)bytes, len);
	const char *elements[] = {"users", name, "permissions"};
	char *target, *at;
	const char *expected = name;

	if (name == NULL || (target = rabbitmq_target(elements, 3, NULL)) == NULL)
		abort();
	if (strncmp(target, "/api/users/", 11) != 0)
		abort();
	for (at = target + 11; *at != '/'; expected++) {
		char c = *at;

		if (c == '%') {
			c = (char)(digit(at[1]) * 16 + digit(at[2]));
			at += 2;
		}
		at++;
		if (c != *expected)
			abort();
	}
	if (*expected != '\0' || strcmp(at, "/permissions") != 0)
		abort();
	free(target);
	free(name);
	return (0);
}
