/*
 * Escapes names for paths of the management API. Called by api.c.
 */
#include "target.h"

#include <stdlib.h>
#include <string.h>

static char *
add_escaped(char *to, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    strchr("-_.~", c) != NULL) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		}
	}
	return (to);
}

char *
rabbitmq_target(const char *const *elements, size_t count, const char *query)
{
	size_t size = sizeof("/api") + (query != NULL ? 1 + strlen(query) : 0);
	char *target, *to;

	for (size_t i = 0; i < count; i++)
		size += 1 + 3 * strlen(elements[i]);
	if ((target = malloc(size)) == NULL)
		return (NULL);
	memcpy(target, "/api", 4);
	to = target + 4;
	for (size_t i = 0; i < count; i++) {
		*to++ = '/';
		to = add_escaped(to, elements[i]);
	}
	if (query != NULL) {
		*to++ = '?';
		memcpy(to, query, strlen(query));
		to += strlen(query);
	}
	*to = '\0';
	return (target);
}
