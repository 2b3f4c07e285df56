/*
 * What a plugin says that it takes: a configuration against the fields of `describe`. The pool
 * sends no other fields to a worker (PROTOCOL.md), engine/ stores none.
 */
#include <string.h>

#include "plugin/plugin.h"

static bool
is_listed(const json_t *rows, const char *field)
{
	const json_t *row, *name;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		name = json_object_get(row, "name");
		if (json_is_string(name) && strcmp(json_string_value(name), field) == 0)
			return (true);
	}
	return (false);
}

json_t *
plugin_config_known(const json_t *description, const json_t *config, json_t *unknown)
{
	const json_t *rows = json_object_get(description, "config_fields");
	json_t *known = json_object(), *value;
	const char *field;
	int r = known != NULL ? 0 : -1;

	json_object_foreach((json_t *)(uintptr_t)config, field, value)
	{
		if (!json_is_array(rows) || is_listed(rows, field))
			r |= json_object_set(known, field, value);
		else if (unknown != NULL)
			r |= json_array_append_new(unknown, json_string(field));
	}
	if (r == 0)
		return (known);
	json_decref(known);
	return (NULL);
}
