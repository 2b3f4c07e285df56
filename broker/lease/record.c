/*
 * Sealed data to JSON and back by a table, and the table of a lease's row (that of a tombstone is
 * in ended.c). Knows no state and no store; every transaction of lease/ goes through it. What is
 * zero or empty is left out.
 */
#include <stdio.h>
#include <string.h>

#include "lease/record.h"

#define ENGINE "engine"
#define FIELD(member, kind) LEASE_FIELD(struct lease_data, member, LEASE_##kind)

static const struct lease_field fields[] = {
    FIELD(issued_ms, FIELD_INT),
    FIELD(issued_wall_ms, FIELD_INT),
    FIELD(expires_ms, FIELD_INT),
    FIELD(renewed_wall_ms, FIELD_INT),
    FIELD(disarmed_wall_ms, FIELD_INT),
    FIELD(ttl_s, FIELD_INT),
    FIELD(max_s, FIELD_INT),
    FIELD(mint_deadline_ms, FIELD_INT),
    FIELD(due_ms, FIELD_INT),
    FIELD(role_version, FIELD_INT),
    FIELD(owner_token, FIELD_INT),
    FIELD(fails, FIELD_INT),
    FIELD(error_code, FIELD_INT),
    FIELD(error_wall_ms, FIELD_INT),
    FIELD(mint_over, FIELD_BOOL),
    FIELD(failed_mint, FIELD_BOOL),
    FIELD(cut, FIELD_BOOL),
    FIELD(delivered, FIELD_BOOL),
    FIELD(fixed, FIELD_BOOL),
    FIELD(run, FIELD_TEXT),
    FIELD(role, FIELD_TEXT),
    FIELD(display, FIELD_TEXT),
    FIELD(entity, FIELD_TEXT),
    FIELD(handle, FIELD_TEXT),
    FIELD(server, FIELD_TEXT),
    FIELD(cause, FIELD_TEXT),
    FIELD(revoke_cause, FIELD_TEXT),
    FIELD(end, FIELD_INT),
    FIELD(end_by, FIELD_TEXT),
    FIELD(end_accessor, FIELD_TEXT),
    FIELD(error, FIELD_TEXT),
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static json_t *
field_encode(const struct lease_field *field, const void *from)
{
	const char *at = (const char *)from + field->offset;
	int64_t number;

	switch (field->kind) {
	case LEASE_FIELD_INT:
		memcpy(&number, at, sizeof(number));
		return (number != 0 ? json_integer(number) : json_null());
	case LEASE_FIELD_BOOL:
		return (*(const bool *)at ? json_true() : json_null());
	case LEASE_FIELD_TEXT:
		return (at[0] != '\0' ? json_string(at) : json_null());
	}
	return (NULL);
}

static int
caps_encode(json_t *object, const struct lease_data *data)
{
	json_t *caps = json_array();

	if (json_object_set_new(object, "caps", caps) != 0)
		return (-1);
	for (unsigned i = 0; i < data->caps_count; i++)
		if (json_array_append_new(caps, json_string(data->caps[i])) != 0)
			return (-1);
	return (0);
}

json_t *
lease_fields_encode(const struct lease_field *table, size_t count, const void *from)
{
	json_t *object = json_object(), *value;

	for (size_t i = 0; i < count && object != NULL; i++) {
		value = field_encode(&table[i], from);
		if (json_is_null(value))
			continue;
		if (json_object_set_new(object, table[i].name, value) != 0) {
			json_decref(object);
			return (NULL);
		}
	}
	return (object);
}

json_t *
lease_data_encode(const struct lease_data *data)
{
	json_t *object = lease_fields_encode(fields, FIELD_COUNT, data);

	if (object == NULL || data->caps_count == 0 || caps_encode(object, data) == 0)
		return (object);
	json_decref(object);
	return (NULL);
}

/* What data has no member for. */
static int
rest_put(json_t *object, const json_t *before)
{
	static const char *const rest[] = {ENGINE, LEASE_KEPT};
	json_t *value;

	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		value = json_object_get(before, rest[i]);
		if (value != NULL && json_object_set(object, rest[i], value) != 0)
			return (-1);
	}
	return (0);
}

int
lease_record_put(struct store_lease *row, const struct lease_data *data, struct leased_err *err)
{
	json_t *object = lease_data_encode(data);

	if (object == NULL || rest_put(object, row->data) != 0) {
		json_decref(object);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	json_decref(row->data);
	row->data = object;
	return (0);
}

int
lease_record_deliver(struct store_lease *row, struct leased_err *err)
{
	if (json_object_set_new(row->data, "delivered", json_true()) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

const json_t *
lease_record_engine(const struct store_lease *row)
{
	return (json_object_get(row->data, ENGINE));
}

static int
field_decode(const struct lease_field *field, const json_t *value, void *into)
{
	char *at = (char *)into + field->offset;
	int64_t number;

	switch (field->kind) {
	case LEASE_FIELD_INT:
		if (!json_is_integer(value))
			return (-1);
		number = json_integer_value(value);
		memcpy(at, &number, sizeof(number));
		return (0);
	case LEASE_FIELD_BOOL:
		if (!json_is_boolean(value))
			return (-1);
		*(bool *)at = json_is_true(value);
		return (0);
	case LEASE_FIELD_TEXT:
		if (!json_is_string(value) || json_string_length(value) >= field->size)
			return (-1);
		memcpy(at, json_string_value(value), json_string_length(value) + 1);
		return (0);
	}
	return (-1);
}

static int
caps_decode(const json_t *value, struct lease_data *data)
{
	const json_t *cap;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > LEASE_CAPS_MAX)
		return (-1);
	json_array_foreach(value, i, cap)
	{
		if (!json_is_string(cap) || json_string_length(cap) >= sizeof(data->caps[0]))
			return (-1);
		memcpy(data->caps[i], json_string_value(cap), json_string_length(cap) + 1);
		data->caps_count++;
	}
	return (0);
}

int
lease_field_decode(
    const struct lease_field *table, size_t count, const char *key, const json_t *value, void *into)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(key, table[i].name) == 0)
			return (field_decode(&table[i], value, into));
	return (-1);
}

static int
member_decode(const char *key, const json_t *value, struct lease_data *data)
{
	if (strcmp(key, "caps") == 0)
		return (caps_decode(value, data));
	if (strcmp(key, ENGINE) == 0) /* stays in the row: see lease_record_engine() */
		return (json_is_object(value) ? 0 : -1);
	if (strcmp(key, LEASE_KEPT) == 0) /* .. and so does this: see lease_kept() */
		return (
		    json_is_string(value) && json_string_length(value) <= PLUGIN_KEPT_MAX ? 0 : -1);
	return (lease_field_decode(fields, FIELD_COUNT, key, value, data));
}

int
lease_data_decode(const json_t *object, struct lease_data *ret_data, struct leased_err *err)
{
	struct lease_data data;
	const char *key;
	json_t *value;

	memset(&data, 0, sizeof(data));
	if (!json_is_object(object))
		return (leased_err_set(err, LEASED_ECORRUPT, "a lease's record is no object"));
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (member_decode(key, value, &data) != 0)
			return (leased_err_set(err, LEASED_ECORRUPT,
			    "a lease's record holds a field \"%.64s\" that this version does not "
			    "know or cannot read",
			    key));
	}
	*ret_data = data;
	return (0);
}

void
lease_text_copy(char *ret_text, size_t size, const char *text)
{
	static const char mark[] = " [cut]";
	size_t len;

	if (text == NULL)
		text = "";
	len = strlen(text);
	if (len < size) {
		memcpy(ret_text, text, len + 1);
		return;
	}
	len = size - sizeof(mark);
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	memcpy(ret_text, text, len);
	memcpy(ret_text + len, mark, sizeof(mark));
}
