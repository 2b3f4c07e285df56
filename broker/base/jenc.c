/*
 * Writes JSON into memory that is wiped: records of the store, bodies of answers. Strings of a
 * json_t are UTF-8 already (jansson sees to it); others are checked. It reads nothing: jansson
 * does.
 */
#include "base/jenc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "base/utf8.h"

/* Nothing of ours comes near it; it keeps a loop in a json_t from running away. */
#define DEPTH_MAX 64

void
jenc_clear(struct jenc *json)
{
	if (json->bytes != NULL)
		leased_wipe(json->bytes, json->len);
	free(json->bytes);
	*json = (struct jenc){0};
}

static uint8_t *
reserve(struct jenc *json, size_t len)
{
	size_t size = json->size > 0 ? json->size * 2 : 1024;
	uint8_t *larger;

	if (json->size - json->len >= len)
		return (json->bytes + json->len);
	while (size - json->len < len)
		size *= 2;
	/* realloc(3) would leave the old bytes behind. */
	if ((larger = malloc(size)) == NULL) {
		json->failed = LEASED_ENOMEM;
		return (NULL);
	}
	if (json->len > 0) {
		memcpy(larger, json->bytes, json->len);
		leased_wipe(json->bytes, json->len);
	}
	free(json->bytes);
	json->bytes = larger;
	json->size = size;
	return (larger + json->len);
}

void
jenc_bytes(struct jenc *json, const void *bytes, size_t len)
{
	uint8_t *at;

	if (len == 0 || json->failed != 0 || (at = reserve(json, len)) == NULL)
		return;
	memcpy(at, bytes, len);
	json->len += len;
}

static void
put_int(struct jenc *json, int64_t number)
{
	/* Negated in unsigned arithmetic, so that the smallest number works as well. */
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[21];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (number < 0)
		digits[--at] = '-';
	jenc_bytes(json, digits + at, sizeof(digits) - at);
}

static void
put_escaped(struct jenc *json, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

	if (byte == '"' || byte == '\\') {
		text[1] = (char)byte;
		jenc_bytes(json, text, 2);
	} else {
		jenc_bytes(json, text, sizeof(text));
	}
}

static void
put_string(struct jenc *json, const char *text, size_t len)
{
	size_t from = 0;

	jenc_bytes(json, "\"", 1);
	for (size_t at = 0; at < len; at++) {
		uint8_t byte = (uint8_t)text[at];

		if (byte >= 0x20 && byte != '"' && byte != '\\')
			continue;
		jenc_bytes(json, text + from, at - from);
		put_escaped(json, byte);
		from = at + 1;
	}
	jenc_bytes(json, text + from, len - from);
	jenc_bytes(json, "\"", 1);
}

static void
put_real(struct jenc *json, double number)
{
	char text[40];
	int len = snprintf(text, sizeof(text), "%.17g", number);

	if (!isfinite(number) || len <= 0) {
		json->failed = LEASED_EINVAL;
		return;
	}
	jenc_bytes(json, text, (size_t)len);
	if (strpbrk(text, ".e") == NULL) /* else it would be read as an integer */
		jenc_bytes(json, ".0", 2);
}

static void put_value(struct jenc *json, const json_t *value, unsigned depth);

static void
put_object(struct jenc *json, const json_t *object, unsigned depth)
{
	/* jansson's iterators take no const; they change nothing. */
	json_t *mutable_object = (json_t *)(uintptr_t)object;
	const char *separator = "{";

	if (json_object_size(object) == 0) {
		jenc_bytes(json, "{}", 2);
		return;
	}
	for (void *at = json_object_iter(mutable_object); at != NULL;
	     at = json_object_iter_next(mutable_object, at)) {
		const char *key = json_object_iter_key(at);

		jenc_bytes(json, separator, 1);
		put_string(json, key, strlen(key));
		jenc_bytes(json, ":", 1);
		put_value(json, json_object_iter_value(at), depth + 1);
		separator = ",";
	}
	jenc_bytes(json, "}", 1);
}

static void
put_array(struct jenc *json, const json_t *array, unsigned depth)
{
	jenc_bytes(json, "[", 1);
	for (size_t i = 0; i < json_array_size(array); i++) {
		jenc_bytes(json, ",", i > 0 ? 1 : 0);
		put_value(json, json_array_get(array, i), depth + 1);
	}
	jenc_bytes(json, "]", 1);
}

static void
put_value(struct jenc *json, const json_t *value, unsigned depth)
{
	if (depth > DEPTH_MAX)
		json->failed = LEASED_EINVAL;
	if (json->failed != 0)
		return;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		put_object(json, value, depth);
		return;
	case JSON_ARRAY:
		put_array(json, value, depth);
		return;
	case JSON_STRING:
		put_string(json, json_string_value(value), json_string_length(value));
		return;
	case JSON_INTEGER:
		put_int(json, json_integer_value(value));
		return;
	case JSON_REAL:
		put_real(json, json_real_value(value));
		return;
	case JSON_TRUE:
		jenc_bytes(json, "true", 4);
		return;
	case JSON_FALSE:
		jenc_bytes(json, "false", 5);
		return;
	case JSON_NULL:
		jenc_bytes(json, "null", 4);
		return;
	}
	json->failed = LEASED_EBUG;
}

void
jenc_json(struct jenc *json, const json_t *value)
{
	put_value(json, value, 0);
}

static void
separate(struct jenc *json)
{
	jenc_bytes(json, json->len == 0 ? "[" : ",", 1);
}

void
jenc_int(struct jenc *json, int64_t number)
{
	separate(json);
	put_int(json, number);
}

void
jenc_text(struct jenc *json, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (!utf8_is_valid(text != NULL ? text : "", len)) {
		json->failed = LEASED_EINVAL;
		return;
	}
	separate(json);
	put_string(json, text != NULL ? text : "", len);
}

void
jenc_bool(struct jenc *json, bool value)
{
	separate(json);
	jenc_bytes(json, value ? "true" : "false", value ? 4 : 5);
}

void
jenc_value(struct jenc *json, const json_t *value)
{
	separate(json);
	if (value == NULL)
		jenc_bytes(json, "{}", 2);
	else
		put_value(json, value, 0);
}

int
jenc_end(struct jenc *json, struct leased_err *err)
{
	jenc_bytes(json, "]", 1);
	return (jenc_check(json, err));
}

int
jenc_check(const struct jenc *json, struct leased_err *err)
{
	switch (json->failed) {
	case 0:
		return (0);
	case LEASED_ENOMEM:
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to write JSON"));
	default:
		return (leased_err_set(err, LEASED_EINVAL,
		    "JSON cannot be written: a text in it is not UTF-8, a number is not "
		    "finite, "
		    "or it is nested too deep"));
	}
}
