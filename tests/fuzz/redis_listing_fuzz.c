/*
 * Fuzzes lines of ACL LIST: a name is a word of the line, as it stands there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "redis/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct redis_listed user;

	if (redis_listed_read((const char *)bytes, len, &user) &&
	    (user.name[0] == '\0' || strchr(user.name, ' ') != NULL ||
		memmem(bytes, len, user.name, strlen(user.name)) == NULL))
		abort();
	return (0);
}
