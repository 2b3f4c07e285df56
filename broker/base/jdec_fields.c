/*
 * Strict JSON, second half: a table says which fields an object may hold and where each goes, with
 * the weak typing that clients of this API rely on (contract 1.8). Error texts name fields, never
 * values. Called by every handler with a body.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/jdec.h"

static int
out_of_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
wrong_kind(const char *want, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL, "must be %s", want));
}

/* The shortest text that reads back as the same number. */
static void
format_real(double value, char *ret_text, size_t size)
{
	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(ret_text, size, "%.*g", precision, value);
		if (strtod(ret_text, NULL) == value)
			return;
	}
}

/* A scalar as text: buf serves numbers and bools; NULL when value is no scalar. */
static const char *
scalar_text(const json_t *value, char *buf, size_t size)
{
	if (json_is_string(value))
		return (json_string_value(value));
	if (json_is_boolean(value))
		return (json_is_true(value) ? "1" : "0");
	if (json_is_integer(value)) {
		(void)snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return (buf);
	}
	if (json_is_real(value)) {
		format_real(json_real_value(value), buf, size);
		return (buf);
	}
	return (NULL);
}

static int
decode_string(const json_t *value, char **target, struct leased_err *err)
{
	char buf[64];
	const char *text = scalar_text(value, buf, sizeof(buf));
	char *copy;

	if (text == NULL)
		return (wrong_kind("a string", err));
	if ((copy = strdup(text)) == NULL)
		return (out_of_memory(err));
	free(*target);
	*target = copy;
	return (0);
}

static int
decode_secret(const json_t *value, struct leased_secret **target, struct leased_err *err)
{
	char buf[64];
	const char *text = scalar_text(value, buf, sizeof(buf));
	struct leased_secret *secret;

	if (text == NULL)
		return (wrong_kind("a string", err));
	secret = leased_secret_new(text, strlen(text));
	leased_wipe(buf, sizeof(buf));
	if (secret == NULL)
		return (out_of_memory(err));
	leased_secret_free(*target);
	*target = secret;
	return (0);
}

static int
decode_bool(const json_t *value, bool *target, struct leased_err *err)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"", "0", "f", "F", "false", "FALSE", "False"};
	const char *text;

	if (json_is_boolean(value)) {
		*target = json_is_true(value);
		return (0);
	}
	if (json_is_number(value)) {
		*target = json_number_value(value) != 0;
		return (0);
	}
	if ((text = json_string_value(value)) == NULL)
		return (wrong_kind("true or false", err));
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0) {
			*target = true;
			return (0);
		}
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		if (strcmp(text, no[i]) == 0) {
			*target = false;
			return (0);
		}
	}
	return (wrong_kind("true or false", err));
}

static int
decode_int(const json_t *value, int64_t *target, struct leased_err *err)
{
	const char *text;
	long long number;
	char *end;

	if (json_is_integer(value)) {
		*target = json_integer_value(value);
		return (0);
	}
	if (json_is_boolean(value)) {
		*target = json_is_true(value) ? 1 : 0;
		return (0);
	}
	if ((text = json_string_value(value)) == NULL)
		return (wrong_kind("a whole number", err));
	if (text[0] == '\0') {
		*target = 0;
		return (0);
	}
	if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
		return (wrong_kind("a whole number", err));
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || end == text)
		return (wrong_kind("a whole number", err));
	*target = number;
	return (0);
}

static int
decode_duration(const json_t *value, int64_t *target, struct leased_err *err)
{
	char buf[64];

	if (json_is_real(value)) { /* a fraction beside whole seconds is cut off */
		double seconds = json_real_value(value);

		if (seconds < 0) {
			format_real(seconds, buf, sizeof(buf));
			return (leased_err_set(
			    err, LEASED_EINVAL, "cannot provide negative value '%s'", buf));
		}
		if (seconds > 9e9)
			return (leased_err_set(err, LEASED_EINVAL, "the duration is too long"));
		if (seconds > 0 && seconds < 1)
			return (leased_err_set(err, LEASED_EINVAL,
			    "the duration is shorter than a second, which is the least that can be "
			    "told apart"));
		*target = (int64_t)seconds;
		return (0);
	}
	if (json_is_integer(value) || json_is_string(value))
		return (jdec_duration_s(scalar_text(value, buf, sizeof(buf)), target, err));
	return (wrong_kind("a duration such as 3600 or \"1h\"", err));
}

static int
list_append(struct jdec_list *list, const char *text, size_t len, struct leased_err *err)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(list->items[0]));

	if (items == NULL)
		return (out_of_memory(err));
	list->items = items;
	if ((items[list->count] = strndup(text, len)) == NULL)
		return (out_of_memory(err));
	list->count++;
	return (0);
}

void
jdec_list_clear(struct jdec_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct jdec_list){0};
}

/* Appends the parts of text between commas, trimmed, without the empty ones. */
static int
split_commas(struct jdec_list *list, const char *text, struct leased_err *err)
{
	int r = 0;

	while (r == 0 && *text != '\0') {
		const char *end = text + strcspn(text, ",");
		const char *next = *end == ',' ? end + 1 : end;

		while (text < end && strchr(" \t\r\n", *text) != NULL)
			text++;
		while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
			end--;
		if (end > text)
			r = list_append(list, text, (size_t)(end - text), err);
		text = next;
	}
	return (r);
}

static int
decode_list(const json_t *value, bool commas, struct jdec_list *target, struct leased_err *err)
{
	struct jdec_list list = {0};
	char buf[64];
	const char *text;
	const json_t *item;
	size_t i;
	int r = 0;

	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			if ((text = scalar_text(item, buf, sizeof(buf))) == NULL)
				r = wrong_kind("a list of strings", err);
			else
				r = list_append(&list, text, strlen(text), err);
			if (r != 0)
				goto out;
		}
	} else if ((text = scalar_text(value, buf, sizeof(buf))) == NULL) {
		r = wrong_kind("a list of strings", err);
	} else if (commas) {
		r = split_commas(&list, text, err);
	} else if (text[0] != '\0') {
		r = list_append(&list, text, strlen(text), err);
	}
	if (r != 0)
		goto out;
	jdec_list_clear(target);
	*target = list;
	list = (struct jdec_list){0};
out:
	jdec_list_clear(&list);
	return (r);
}

/* "key=value" into map. */
static int
map_put_pair(json_t *map, const char *pair, struct leased_err *err)
{
	const char *equals = strchr(pair, '=');
	char *key;
	int r;

	if (equals == NULL || equals == pair)
		return (wrong_kind("an object of strings, or a list of \"key=value\"", err));
	if ((key = strndup(pair, (size_t)(equals - pair))) == NULL)
		return (out_of_memory(err));
	r = json_object_set_new(map, key, json_string(equals + 1)) == 0 ? 0 : out_of_memory(err);
	free(key);
	return (r);
}

static int
map_fill(json_t *map, const json_t *value, struct leased_err *err)
{
	char buf[64];
	const char *key, *text;
	json_t *item;
	size_t i;
	int r = 0;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, item)
		{
			if ((text = scalar_text(item, buf, sizeof(buf))) == NULL)
				return (wrong_kind("an object of strings", err));
			if (json_object_set_new(map, key, json_string(text)) != 0)
				return (out_of_memory(err));
		}
		return (0);
	}
	if (json_is_string(value))
		return (json_string_length(value) == 0
			    ? 0
			    : map_put_pair(map, json_string_value(value), err));
	if (!json_is_array(value))
		return (wrong_kind("an object of strings", err));
	json_array_foreach(value, i, item)
	{
		if (!json_is_string(item))
			return (
			    wrong_kind("an object of strings, or a list of \"key=value\"", err));
		if ((r = map_put_pair(map, json_string_value(item), err)) != 0)
			return (r);
	}
	return (0);
}

static int
decode_map(const json_t *value, json_t **target, struct leased_err *err)
{
	json_t *map = json_object();
	int r = map != NULL ? map_fill(map, value, err) : out_of_memory(err);

	if (r != 0) {
		json_decref(map);
		return (r);
	}
	json_decref(*target);
	*target = map;
	return (0);
}

static int
decode_field(const json_t *value, enum jdec_kind kind, void *at, struct leased_err *err)
{
	switch (kind) {
	case JDEC_STRING:
		return (decode_string(value, at, err));
	case JDEC_SECRET:
		return (decode_secret(value, at, err));
	case JDEC_BOOL:
		return (decode_bool(value, at, err));
	case JDEC_INT:
		return (decode_int(value, at, err));
	case JDEC_DURATION_S:
		return (decode_duration(value, at, err));
	case JDEC_STRING_LIST:
		return (decode_list(value, false, at, err));
	case JDEC_COMMA_LIST:
		return (decode_list(value, true, at, err));
	case JDEC_STRING_MAP:
		return (decode_map(value, at, err));
	case JDEC_JSON:
		json_decref(*(json_t **)at);
		*(json_t **)at = json_incref((json_t *)(uintptr_t)value);
		return (0);
	case JDEC_IGNORED:
		return (0);
	}
	return (leased_err_set(err, LEASED_EBUG, "unknown kind of field %d", (int)kind));
}

static int
compare_names(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

static const struct jdec_field *
find_field(const struct jdec_field *fields, const char *name)
{
	for (; fields->name != NULL; fields++)
		if (strcmp(fields->name, name) == 0)
			return (fields);
	return (NULL);
}

/* The names of object that the table does not know, sorted; NULL when there are none. */
static int
collect_unknown(const json_t *object, const struct jdec_field *fields, json_t **ret_unknown,
    struct leased_err *err)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof(names[0]));
	json_t *unknown = NULL, *value;
	const char *name;
	size_t count = 0;
	int r = 0;

	if (names == NULL)
		return (out_of_memory(err));
	json_object_foreach((json_t *)(uintptr_t)object, name,
	    value) if (find_field(fields, name) == NULL) names[count++] = name;
	if (count > 0) {
		qsort(names, count, sizeof(names[0]), compare_names);
		unknown = json_array();
		for (size_t i = 0; i < count; i++)
			if (json_array_append_new(unknown, json_string(names[i])) != 0)
				r = out_of_memory(err);
	}
	free(names);
	if (r != 0) {
		json_decref(unknown);
		return (r);
	}
	*ret_unknown = unknown;
	return (0);
}

int
jdec_decode(const json_t *object, const struct jdec_field *fields, void *target,
    json_t **ret_unknown, struct leased_err *err)
{
	json_t *unknown = NULL;
	int r;

	if (object != NULL && !json_is_object(object))
		return (leased_err_set(
		    err, LEASED_EINVAL, "Field validation failed: this must be a JSON object"));
	for (const struct jdec_field *field = fields; field->name != NULL; field++) {
		const json_t *value = json_object_get(object, field->name);

		if (value == NULL || json_is_null(value))
			continue;
		r = decode_field(value, field->kind, (char *)target + field->offset, err);
		if (r == LEASED_EINVAL)
			(void)leased_err_prefix(err, "Field validation failed: %s", field->name);
		if (r != 0)
			return (r);
		if (field->present_offset != JDEC_NO_PRESENT)
			*(bool *)((char *)target + field->present_offset) = true;
	}
	if (ret_unknown == NULL)
		return (0);
	if (object != NULL && (r = collect_unknown(object, fields, &unknown, err)) != 0)
		return (r);
	*ret_unknown = unknown;
	return (0);
}

static void
clear_field(enum jdec_kind kind, void *at)
{
	switch (kind) {
	case JDEC_STRING:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case JDEC_SECRET:
		leased_secret_free(*(struct leased_secret **)at);
		*(struct leased_secret **)at = NULL;
		break;
	case JDEC_BOOL:
		*(bool *)at = false;
		break;
	case JDEC_INT:
	case JDEC_DURATION_S:
		*(int64_t *)at = 0;
		break;
	case JDEC_STRING_LIST:
	case JDEC_COMMA_LIST:
		jdec_list_clear(at);
		break;
	case JDEC_STRING_MAP:
	case JDEC_JSON:
		json_decref(*(json_t **)at);
		*(json_t **)at = NULL;
		break;
	case JDEC_IGNORED:
		break;
	}
}

void
jdec_clear(const struct jdec_field *fields, void *target)
{
	for (; fields->name != NULL; fields++) {
		clear_field(fields->kind, (char *)target + fields->offset);
		if (fields->present_offset != JDEC_NO_PRESENT)
			*(bool *)((char *)target + fields->present_offset) = false;
	}
}
