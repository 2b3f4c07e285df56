/*
 * Fills the slots of templates that were checked. JSON is filled as JSON: only strings within it
 * are templates. Called by render.c for every request.
 */
#include "template.h"

#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static json_t *
copy_of(const json_t *value, json_t *(*copy)(const json_t *value))
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *made = copy(value);

	if (leased_secret_alloc_failures() == failures)
		return (made);
	json_decref(made);
	return (NULL);
}

static json_t *
shallow(const json_t *value)
{
	return (json_copy((json_t *)(uintptr_t)value));
}

json_t *
http_json_copy(const json_t *value)
{
	return (copy_of(value, shallow));
}

json_t *
http_json_deep_copy(const json_t *value)
{
	return (copy_of(value, json_deep_copy));
}

static const json_t *
slot_value(const json_t *values, const char *path)
{
	char name[96];
	size_t len;

	while (values != NULL && *path != '\0') {
		len = strcspn(path, ".");
		(void)snprintf(name, sizeof(name), "%.*s", (int)len, path);
		values = json_object_get(values, name);
		path += len + (path[len] == '.');
	}
	return (json_is_null(values) ? NULL : values);
}

static int
missing(const struct http_slot *slot, const char *where, struct leased_err *err)
{
	const char *name = strchr(slot->path, '.');

	if (name != NULL && strncmp(slot->path, "role.", 5) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s}} has no value: set \"%s\" in the role's settings, or in the "
		    "connection's role_defaults",
		    where, slot->path, name + 1));
	return (leased_err_set(err, LEASED_EINVAL, "%s: {{%s}} has no value", where, slot->path));
}

int
http_slot_text(const struct http_slot *slot, const json_t *values, const char *where,
    char **ret_text, struct leased_err *err)
{
	const json_t *value = slot_value(values, slot->path);
	char choice[66], *text;

	if (value == NULL)
		return (missing(slot, where, err));
	if (json_is_object(value) || json_is_array(value))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s}} must be a text or a number, not a list or an object", where,
		    slot->path));
	if ((text = http_value_text(value)) == NULL)
		return (no_memory(err));
	(void)snprintf(choice, sizeof(choice), "|%.63s|", text);
	if (slot->choices[0] != '\0' && (strlen(text) > 63 || strchr(text, '|') != NULL ||
					    strstr(slot->choices, choice) == NULL)) {
		free(text);
		return (leased_err_set(err, LEASED_EINVAL, "%s: {{%s}} must be one of %s", where,
		    slot->path, slot->choices));
	}
	*ret_text = text;
	return (0);
}

static int
fill_slot(FILE *out, const struct http_slot *slot, enum http_place place, const json_t *values,
    const char *where, struct leased_err *err)
{
	char *text;
	int r;

	if ((r = http_slot_text(slot, values, where, &text, err)) != 0)
		return (r);
	if ((r = http_escape(out, place, text, err)) != 0)
		(void)leased_err_prefix(err, "%s: {{%s}}", where, slot->path);
	free(text); /* wiped, as whatever is freed */
	return (r);
}

static int
fill_text(FILE *out, const char *text, enum http_place place, const json_t *values,
    const char *where, struct leased_err *err)
{
	struct http_slot slot;
	const char *literal;
	size_t len;
	int r;

	while ((r = http_template_next(&text, &literal, &len, &slot, err)) > 0) {
		if (len == 0)
			r = fill_slot(out, &slot, place, values, where, err);
		else if (place == HTTP_QUERY || place == HTTP_FORM) {
			/* What a person writes there is text, too. */
			char *copy = strndup(literal, len);

			r = copy == NULL ? no_memory(err) : http_escape(out, place, copy, err);
			free(copy);
		} else
			r = fwrite(literal, 1, len, out) == len ? 0 : no_memory(err);
		if (r != 0)
			return (r);
	}
	return (r);
}

int
http_template_fill(const json_t *template, enum http_place place, const json_t *values,
    const char *where, char **ret_text, struct leased_err *err)
{
	const char *statement = http_template_statement(template),
		   *text = json_string_value(template);
	char *filled = NULL, *inner = NULL;
	size_t size = 0, inner_size = 0;
	FILE *out = open_memstream(&filled, &size), *inside = NULL;
	int r;

	if (out == NULL)
		return (no_memory(err));
	if (statement == NULL)
		r = fill_text(out, text != NULL ? text : "", place, values, where, err);
	else if ((inside = open_memstream(&inner, &inner_size)) == NULL)
		r = no_memory(err);
	else {
		r = http_influxql_fill(inside, statement, values, where, err);
		if (fclose(inside) != 0 && r == 0)
			r = no_memory(err);
		if (r == 0)
			r = http_escape(out, place, inner, err);
	}
	free(inner);
	if (fclose(out) != 0 && r == 0)
		r = no_memory(err);
	if (r != 0)
		free(filled);
	else
		*ret_text = filled;
	return (r);
}

/* "{{ttl:number}}", "{{role.scopes:json}}": a whole string that becomes a value. 1: it is none. */
static int
fill_typed(const char *text, const json_t *values, const char *where, json_t **ret_value,
    struct leased_err *err)
{
	struct http_slot slot;
	const json_t *value;
	const char *literal, *at = text;
	char *number, *end;
	size_t len;
	int r;

	if (http_template_next(&at, &literal, &len, &slot, err) <= 0 || len > 0 ||
	    slot.type[0] == '\0')
		return (1);
	if (strcmp(slot.type, "json") == 0) {
		if ((value = slot_value(values, slot.path)) == NULL)
			return (missing(&slot, where, err));
		*ret_value = http_json_deep_copy(value);
		return (*ret_value != NULL ? 0 : no_memory(err));
	}
	if ((r = http_slot_text(&slot, values, where, &number, err)) != 0)
		return (r);
	*ret_value = json_integer(strtoll(number, &end, 10));
	if (*number == '\0' || *end != '\0') {
		json_decref(*ret_value);
		*ret_value = NULL;
		r = leased_err_set(
		    err, LEASED_EINVAL, "%s: {{%s}} must be a number", where, slot.path);
	}
	free(number);
	return (r != 0 || *ret_value != NULL ? r : no_memory(err));
}

static int
fill_string(const char *text, const json_t *values, const char *where, json_t **ret_value,
    struct leased_err *err)
{
	char *filled = NULL;
	size_t size = 0;
	FILE *out;
	int r;

	if ((r = fill_typed(text, values, where, ret_value, err)) != 1)
		return (r);
	if ((out = open_memstream(&filled, &size)) == NULL)
		return (no_memory(err));
	r = fill_text(out, text, HTTP_JSON, values, where, err);
	if (fclose(out) != 0 && r == 0)
		r = no_memory(err);
	if (r == 0 && (*ret_value = json_string(filled)) == NULL)
		r = no_memory(err);
	free(filled);
	return (r);
}

/* The members are filled into a copy of the same shape. */
int
http_template_fill_json(const json_t *value, const json_t *values, const char *where,
    json_t **ret_value, struct leased_err *err)
{
	json_t *copy, *item, *filled;
	char place[200];
	const char *key;
	size_t i;
	int r = 0;

	if (json_is_string(value))
		return (fill_string(json_string_value(value), values, where, ret_value, err));
	if ((copy = http_json_copy(value)) == NULL)
		return (no_memory(err));
	json_array_foreach(value, i, item)
	{
		(void)snprintf(place, sizeof(place), "%s[%zu]", where, i);
		if ((r = http_template_fill_json(item, values, place, &filled, err)) != 0)
			goto out;
		if (json_array_set_new(copy, i, filled) != 0)
			r = no_memory(err);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		(void)snprintf(place, sizeof(place), "%s.%.32s", where, key);
		if (r != 0 || (r = http_template_fill_json(item, values, place, &filled, err)) != 0)
			goto out;
		if (json_object_set_new(copy, key, filled) != 0)
			r = no_memory(err);
	}
out:
	if (r != 0)
		json_decref(copy);
	else
		*ret_value = copy;
	return (r);
}
