/*
 * application/x-www-form-urlencoded text, from a body or a query, to a JSON object of strings
 * (contract 1.1, 1.2). Does not interpret names. Bytes that do not decode to UTF-8 text are
 * refused.
 */
#include <stdlib.h>
#include <string.h>

#include "api/parse.h"

#define FORM_FIELDS_MAX 1000

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* Decodes len bytes into ret_text (len + 1 bytes), NUL-terminated. */
static int
form_decode_text(const char *text, size_t len, char *ret_text, size_t *ret_len)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = -1;

			if (len - i < 3 || (high = hex_digit(text[i + 1])) < 0 ||
			    hex_digit(text[i + 2]) < 0)
				return (LEASED_EINVAL);
			c = (char)(high * 16 + hex_digit(text[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return (LEASED_EINVAL);
		ret_text[used++] = c;
	}
	ret_text[used] = '\0';
	*ret_len = used;
	return (0);
}

static int
form_join(json_t *object, const char *name, const char *value)
{
	const char *before = json_string_value(json_object_get(object, name));
	char *joined;
	int r;

	if ((joined = malloc(strlen(before) + strlen(value) + 2)) == NULL)
		return (LEASED_ENOMEM);
	(void)stpcpy(stpcpy(stpcpy(joined, before), ","), value);
	r = json_object_set_new(object, name, json_string(joined)) == 0 ? 0 : LEASED_ENOMEM;
	leased_wipe(joined, strlen(joined));
	free(joined);
	return (r);
}

static int
form_add(json_t *object, const char *name, json_t *value, bool query)
{
	json_t *before = json_object_get(object, name);
	int r;

	if (before == NULL)
		return (json_object_set_new(object, name, value) == 0 ? 0 : LEASED_ENOMEM);
	if (!query) {
		r = form_join(object, name, json_string_value(value));
		json_decref(value);
		return (r);
	}
	if (json_is_array(before))
		return (json_array_append_new(before, value) == 0 ? 0 : LEASED_ENOMEM);
	return (json_object_set_new(object, name, json_pack("[O, o]", before, value)) == 0
		    ? 0
		    : LEASED_ENOMEM);
}

/* One "name=value" or "name". buffer holds len + 2 bytes. */
static int
form_field(json_t *object, const char *text, size_t len, bool query, char *buffer)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - text) : len, value_len = 0;
	char *name = buffer, *value;
	json_t *string;
	int r;

	if ((r = form_decode_text(text, name_len, name, &name_len)) != 0)
		return (r);
	value = name + name_len + 1;
	*value = '\0';
	if (equals != NULL)
		r = form_decode_text(
		    equals + 1, len - (size_t)(equals - text) - 1, value, &value_len);
	if (r != 0)
		return (r);
	if (name_len == 0)
		return (0);
	/* NULL for what is no UTF-8; jansson checks both. */
	if ((string = json_stringn(value, value_len)) == NULL)
		return (LEASED_EINVAL);
	if ((r = form_add(object, name, string, query)) != 0)
		return (LEASED_EINVAL);
	return (0);
}

int
api_form_decode(
    const char *text, size_t len, bool query, json_t **ret_object, struct leased_err *err)
{
	json_t *object = json_object();
	char *buffer = malloc(len + 2);
	const char *end = text + len;
	unsigned count = 0;
	int r = 0;

	if (object == NULL || buffer == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	while (text < end) {
		const char *stop = memchr(text, '&', (size_t)(end - text));
		size_t part = (size_t)((stop != NULL ? stop : end) - text);

		if (++count > FORM_FIELDS_MAX) {
			r = leased_err_set(err, LEASED_EINVAL, "over %d fields", FORM_FIELDS_MAX);
			goto out;
		}
		if ((r = form_field(object, text, part, query, buffer)) != 0) {
			r = leased_err_set(
			    err, LEASED_EINVAL, "field %u is no percent-encoded UTF-8 text", count);
			goto out;
		}
		text += part + 1;
	}
	*ret_object = object;
	object = NULL; /* ownership handed over */
out:
	if (buffer != NULL)
		leased_wipe(buffer, len + 2);
	free(buffer);
	json_decref(object);
	return (r);
}
