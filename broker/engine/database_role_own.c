/*
 * Settings of a role that are its plugin's own (PROTOCOL.md, "Role settings"): which they are, how
 * large they may be, which a role cannot do without. What they mean is the plugin's to say, when
 * the role is tried. Called by database_role.c and database_role_build.c for a write.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/utf8.h"
#include "engine/database_role.h"

/* With what is around it in a frame, one below the deepest that is taken (base/frame.c). */
#define OWN_DEPTH_MAX 12u
#define OWN_LEN_MAX 32768u

static unsigned
depth_of(const json_t *value)
{
	unsigned deepest = 0, depth;
	const json_t *item;
	const char *key;
	size_t i;

	json_array_foreach(value, i, item)
	{
		depth = depth_of(item);
		deepest = depth > deepest ? depth : deepest;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		depth = depth_of(item);
		deepest = depth > deepest ? depth : deepest;
	}
	return (deepest + 1);
}

static int
sizes_check(const json_t *own, struct leased_err *err)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)own, key, value)
	{
		if (depth_of(value) > OWN_DEPTH_MAX)
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: lists and objects in it are more than %u levels deep",
			    UTF8_SHORT(key, 64), OWN_DEPTH_MAX));
	}
	if (json_dumpb(own, NULL, 0, JSON_COMPACT) > OWN_LEN_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the settings that are the plugin's own are larger than %u bytes together",
		    OWN_LEN_MAX));
	return (0);
}

/* Our own names and the plugin's, for "did you mean"; to be freed, the names are borrowed. */
static const char **
names_of(const json_t *description)
{
	const json_t *fields = json_object_get(description, "role_fields"), *field;
	size_t count = 0, i;
	const char **names;

	while (engine_role_field_names[count] != NULL)
		count++;
	if ((names = calloc(count + json_array_size(fields) + 1, sizeof(*names))) == NULL)
		return (NULL);
	memcpy(names, engine_role_field_names, count * sizeof(*names));
	json_array_foreach(fields, i, field) names[count++] = json_string_value(field);
	return (names);
}

static void
warn_unchecked(struct engine_role_write *write)
{
	char *text = NULL;
	const char *key, *nearest;
	size_t size = 0, count = 0;
	json_t *value;
	FILE *to;

	if (json_object_size(write->own) == 0 || (to = open_memstream(&text, &size)) == NULL)
		return;
	while (engine_role_field_names[count] != NULL)
		count++;
	json_object_foreach(write->own, key, value)
	{
		nearest = jdec_nearest(key, engine_role_field_names, count);
		(void)fprintf(to, " %s", key);
		if (nearest != NULL)
			(void)fprintf(to, " (did you mean %s?)", nearest);
	}
	if (fclose(to) == 0 && text != NULL)
		engine_warn(write->request,
		    "no plugin could be asked about these settings yet; they are stored as they "
		    "are, and nobody has checked them:%s",
		    text);
	free(text);
}

/* What the plugin does not list leaves write->own. */
static int
own_filter(struct engine_role_write *write, struct leased_err *err)
{
	json_t *unknown = json_array(), *value;
	const char **names = names_of(write->description), *key;
	void *next;
	int r = unknown != NULL && names != NULL ? 0 : -1;

	if (r == 0)
		json_object_foreach_safe(write->own, next, key, value)
		{
			if (plugin_role_lists(write->description, key))
				continue;
			r |= json_array_append_new(unknown, json_string(key));
			(void)json_object_del(write->own, key);
		}
	if (r == 0)
		engine_warn_unknown(write->request, unknown, names);
	free(names);
	json_decref(unknown);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
engine_role_own_take(struct engine_role_write *write, const json_t *merged, const json_t *unknown,
    struct leased_err *err)
{
	const json_t *name;
	size_t i;
	int r = 0;

	if ((write->own = json_object()) == NULL)
		r = -1;
	json_array_foreach(unknown, i, name)
	{
		const char *key = json_string_value(name);

		if (r == 0 && key != NULL)
			r = json_object_set_new(
			    write->own, key, json_deep_copy(json_object_get(merged, key)));
	}
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
engine_role_own_check(struct engine_role_write *write, struct leased_err *err)
{
	int r;

	if (write->description == NULL)
		warn_unchecked(write);
	else if ((r = own_filter(write, err)) != 0)
		return (r);
	return (sizes_check(write->own, err));
}

/* ---- what a role cannot do without ---- */

static bool
is_given(const struct engine_role_write *write, const char *field)
{
	const struct engine_role_body *body = &write->body;
	const struct {
		const char *name;
		size_t count;
	} ours[] = {
	    {"creation_statements", body->creation_statements.count},
	    {"revocation_statements", body->revocation_statements.count},
	    {"rollback_statements", body->rollback_statements.count},
	    {"renew_statements", body->renew_statements.count},
	    {"grant_roles", body->grant_roles.count},
	};
	const json_t *value = json_object_get(write->own, field);

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(field, ours[i].name) == 0)
			return (ours[i].count > 0);
	if (json_is_string(value))
		return (json_string_length(value) > 0);
	if (json_is_array(value) || json_is_object(value))
		return (json_array_size(value) + json_object_size(value) > 0);
	return (value != NULL);
}

int
engine_role_needs_check(const struct engine_role_write *write, struct leased_err *err)
{
	const json_t *needs = json_object_get(write->description, "role_needs"), *need;
	size_t count = json_array_size(needs), size = 0, i;
	char *names = NULL;
	FILE *to;

	json_array_foreach(needs, i, need)
	{
		if (is_given(write, json_string_value(need)))
			return (0);
	}
	if (count == 0)
		return (0);
	if ((to = open_memstream(&names, &size)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	json_array_foreach(needs, i, need)
	{
		(void)fprintf(to, "%s%s",
		    i == 0          ? ""
		    : i + 1 < count ? ", "
				    : " nor ",
		    json_string_value(need));
	}
	(void)fclose(to);
	if (names != NULL)
		(void)leased_err_set(err, LEASED_EINVAL,
		    "%s %s: an account of this role could do nothing; give the role %s",
		    count == 1 ? "no" : "neither", names, count == 1 ? "it" : "one of them");
	else
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	free(names);
	return (err->code);
}
