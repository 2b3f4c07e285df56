/*
 * JSON pointers (RFC 6901): where a value stands in an answer. Owns nothing. Called by config.c,
 * which checks them, and by those who read answers.
 */
#include "template.h"

#include <stdlib.h>
#include <string.h>

#define POINTER_MAX 255

int
http_pointer_check(const char *pointer, const char *where, struct leased_err *err)
{
	if (strlen(pointer) > POINTER_MAX || (pointer[0] != '\0' && pointer[0] != '/'))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be a JSON pointer such as /data/0/token, of at most %d bytes", where,
		    POINTER_MAX));
	for (const char *at = pointer; *at != '\0'; at++)
		if (*at == '~' && at[1] != '0' && at[1] != '1')
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: in a JSON pointer ~ is written ~0, and / in a name ~1", where));
	return (0);
}

/* The next name, unescaped. */
static size_t
take_name(const char *at, char ret_name[POINTER_MAX + 1])
{
	size_t len = 0, used = 0;

	for (; at[used] != '\0' && at[used] != '/' && len < POINTER_MAX; used++) {
		if (at[used] == '~' && (at[used + 1] == '0' || at[used + 1] == '1'))
			ret_name[len++] = at[++used] == '0' ? '~' : '/';
		else
			ret_name[len++] = at[used];
	}
	ret_name[len] = '\0';
	return (used);
}

/* "0", "17"; no sign, no leading zero. */
static json_t *
element(const json_t *array, const char *name)
{
	char *end;
	unsigned long index;

	if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1] != '\0') ||
	    strlen(name) > 9)
		return (NULL);
	index = strtoul(name, &end, 10);
	return (*end == '\0' ? json_array_get(array, index) : NULL);
}

json_t *
http_pointer_get(const json_t *value, const char *pointer)
{
	char name[POINTER_MAX + 1];

	while (value != NULL && *pointer == '/') {
		pointer++;
		pointer += take_name(pointer, name);
		if (json_is_array(value))
			value = element(value, name);
		else
			value = json_object_get(value, name);
	}
	return (*pointer == '\0' ? (json_t *)(uintptr_t)value : NULL);
}

char *
http_value_text(const json_t *value)
{
	char *text = NULL;

	if (json_is_string(value))
		return (strdup(json_string_value(value)));
	if (json_is_boolean(value))
		return (strdup(json_is_true(value) ? "true" : "false"));
	if (json_is_integer(value) &&
	    asprintf(&text, "%lld", (long long)json_integer_value(value)) >= 0)
		return (text);
	if (json_is_real(value) && asprintf(&text, "%.17g", json_real_value(value)) >= 0)
		return (text);
	return (NULL);
}
