/*
 * What a plugin says of itself and takes: a configuration or a role against the fields of
 * `describe`, its operations. The pool sends no other fields to a worker (PROTOCOL.md), engine/
 * stores none.
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

static bool
has_text(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_is_string(one) && strcmp(json_string_value(one), text) == 0)
			return (true);
	}
	return (false);
}

bool
plugin_role_lists(const json_t *description, const char *field)
{
	return (has_text(json_object_get(description, "role_fields"), field));
}

json_t *
plugin_role_known(const json_t *description, json_t *role)
{
	json_t *known = NULL, *value;
	const char *field;
	void *next;

	if (json_is_array(json_object_get(description, "role_fields")))
		json_object_foreach(role, field, value)
		{
			if (!plugin_role_lists(description, field) && known == NULL &&
			    (known = json_copy(role)) == NULL)
				return (NULL);
		}
	if (known == NULL)
		return (json_incref(role)); /* as nearly always */
	json_object_foreach_safe(known, next, field, value)
	{
		if (!plugin_role_lists(description, field))
			(void)json_object_del(known, field);
	}
	return (known);
}

bool
plugin_port_has(const struct plugin_port *port, enum plugin_op op)
{
	const json_t *ops = json_object_get(port->description, "ops");

	return (!json_is_array(ops) || has_text(ops, plugin_op_name(op)));
}

bool
plugin_port_says(const struct plugin_port *port, const char *member, bool otherwise)
{
	const json_t *said = json_object_get(port->opened, member);

	if (said == NULL)
		said = json_object_get(port->description, member);
	return (json_is_boolean(said) ? json_is_true(said) : otherwise);
}
