/*
 * Reads the settings of a role, strictly: a misspelled permission is an error, and no permission
 * for nobody. Whether a virtual host is there is the server's to know. Called by mint.
 */
#include "role.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"

#define TEXT_MAX 32768
#define PATTERN_MAX 4096
#define NAME_MAX_LEN 255
#define ENTRIES_MAX 256
#define TAGS_MAX 512

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* ---- tags ---- */

static bool
is_tag(const char *tag, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)tag[i] <= ' ' || tag[i] == 0x7f ||
		    strchr("\",'\\", tag[i]) != NULL)
			return (false);
	return (len > 0);
}

static int
add_tag(char *tags, const char *tag, size_t len, struct leased_err *err)
{
	size_t at = strlen(tags);

	while (len > 0 && tag[0] == ' ') {
		tag++;
		len--;
	}
	while (len > 0 && tag[len - 1] == ' ')
		len--;
	if (!is_tag(tag, len))
		return (leased_err_set(err, LEASED_EINVAL,
		    "tags: \"%.*s\" is none; they look like management,monitoring",
		    len < 60 ? (int)len : 60, tag));
	if (at + 1 + len >= TAGS_MAX)
		return (
		    leased_err_set(err, LEASED_EINVAL, "tags: more than %d bytes", TAGS_MAX - 1));
	if (at > 0)
		tags[at++] = ',';
	memcpy(tags + at, tag, len);
	tags[at + len] = '\0';
	return (0);
}

/* A text with commas, or a list. */
static int
read_tags(const json_t *value, char *tags, struct leased_err *err)
{
	const char *text = json_string_value(value), *comma;
	const json_t *one;
	size_t i;
	int r = 0;

	if (value != NULL && !json_is_null(value) && text == NULL && !json_is_array(value))
		return (leased_err_set(
		    err, LEASED_EINVAL, "tags: must be a text with commas, or a list of texts"));
	json_array_foreach(value, i, one)
	{
		if (!json_is_string(one))
			return (leased_err_set(err, LEASED_EINVAL, "tags: must be texts"));
		if ((r = add_tag(tags, json_string_value(one), json_string_length(one), err)) != 0)
			return (r);
	}
	for (; r == 0 && text != NULL && text[0] != '\0'; text = comma + (comma[0] == ',')) {
		comma = strchrnul(text, ',');
		r = add_tag(tags, text, (size_t)(comma - text), err);
		if (r == 0 && comma[0] == ',' && comma[1] == '\0')
			r = leased_err_set(err, LEASED_EINVAL, "tags: ends with a comma");
	}
	return (r);
}

/* ---- permissions ---- */

/* The object that a setting is, or that its text holds; NULL: it is not given. A new reference. */
static int
read_object(const json_t *role, const char *setting, json_t **ret_object, struct leased_err *err)
{
	static const struct jdec_limits limits = {
	    .depth = 8, .tokens = 4096, .string_len = PATTERN_MAX};
	json_t *value = json_object_get(role, setting);
	struct leased_err why = LEASED_ERR_INIT;
	int r = 0;

	if (value == NULL || json_is_null(value) ||
	    (json_is_string(value) && json_string_length(value) == 0))
		return (0);
	if (!json_is_string(value))
		*ret_object = json_incref(value);
	else if (json_string_length(value) > TEXT_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s: longer than %d bytes", setting, TEXT_MAX));
	else
		r = jdec_parse(
		    json_string_value(value), json_string_length(value), &limits, ret_object, &why);
	if (r == LEASED_ENOMEM)
		return (no_memory(err));
	if (r != 0 || !json_is_object(*ret_object)) {
		json_decref(*ret_object);
		*ret_object = NULL;
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be a JSON object whose names are virtual hosts%s%.150s", setting,
		    r != 0 ? ": " : "", why.text));
	}
	return (0);
}

/* An entry of three patterns, or of two: absent ones are "", which no name matches. */
static int
add_entry(json_t *list, const char *setting, json_t *entry, const json_t *patterns,
    const char *const *names, struct leased_err *err)
{
	const json_t *pattern;
	size_t found = 0;
	int bad = entry == NULL;

	for (; bad == 0 && *names != NULL; names++) {
		pattern = json_object_get(patterns, *names);
		found += pattern != NULL;
		if (pattern != NULL &&
		    (!json_is_string(pattern) || json_string_length(pattern) > PATTERN_MAX)) {
			json_decref(entry);
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: %s must be a regular expression, a text of at most %d bytes",
			    setting, *names, PATTERN_MAX));
		}
		bad |= json_object_set_new(
		    entry, *names, json_string(pattern != NULL ? json_string_value(pattern) : ""));
	}
	if (bad == 0 && (!json_is_object(patterns) || json_object_size(patterns) != found)) {
		json_decref(entry);
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: permissions look like {\"configure\": \"\", \"write\": \".*\", \"read\": "
		    "\".*\"} (of topics without configure), and hold nothing else",
		    setting));
	}
	if (bad == 0 && json_array_size(list) == ENTRIES_MAX) {
		json_decref(entry);
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s: more than %d entries", setting, ENTRIES_MAX));
	}
	if (bad != 0) {
		json_decref(entry);
		return (no_memory(err));
	}
	return (json_array_append_new(list, entry) == 0 ? 0 : no_memory(err));
}

static int
check_name(const char *setting, const char *what, const char *name, struct leased_err *err)
{
	size_t len = strlen(name);

	if (len > NAME_MAX_LEN || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    (len == 0 && strcmp(what, "virtual host") == 0))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: \"%.60s\" cannot be the name of a %s", setting, name, what));
	return (0);
}

static int
read_vhosts(const json_t *vhosts, json_t *list, struct leased_err *err)
{
	static const char *const names[] = {"configure", "write", "read", NULL};
	const char *vhost;
	json_t *patterns;
	int r;

	json_object_foreach((json_t *)(uintptr_t)vhosts, vhost, patterns)
	{
		if ((r = check_name("vhosts", "virtual host", vhost, err)) != 0 ||
		    (r = add_entry(list, "vhosts", json_pack("{s:s}", "vhost", vhost), patterns,
			 names, err)) != 0)
			return (r);
	}
	return (0);
}

static int
read_topics(const json_t *vhosts, json_t *list, struct leased_err *err)
{
	static const char *const names[] = {"write", "read", NULL};
	const char *vhost, *exchange;
	json_t *exchanges, *patterns;
	int r;

	json_object_foreach((json_t *)(uintptr_t)vhosts, vhost, exchanges)
	{
		if ((r = check_name("vhost_topics", "virtual host", vhost, err)) != 0)
			return (r);
		if (!json_is_object(exchanges))
			return (leased_err_set(err, LEASED_EINVAL,
			    "vhost_topics: a virtual host holds an object whose names are "
			    "exchanges"));
		json_object_foreach(exchanges, exchange, patterns)
		{
			if ((r = check_name("vhost_topics", "exchange", exchange, err)) != 0 ||
			    (r = add_entry(list, "vhost_topics",
				 json_pack("{s:s, s:s}", "vhost", vhost, "exchange", exchange),
				 patterns, names, err)) != 0)
				return (r);
		}
	}
	return (0);
}

int
rabbitmq_role_read(const json_t *object, struct rabbitmq_role *ret_role, struct leased_err *err)
{
	json_t *vhosts = NULL, *topics = NULL;
	int r;

	ret_role->permissions = json_array();
	ret_role->topics = json_array();
	ret_role->tags = calloc(1, TAGS_MAX);
	if (ret_role->permissions == NULL || ret_role->topics == NULL || ret_role->tags == NULL)
		return (no_memory(err));
	if ((r = read_tags(json_object_get(object, "tags"), ret_role->tags, err)) != 0 ||
	    (r = read_object(object, "vhosts", &vhosts, err)) != 0 ||
	    (r = read_object(object, "vhost_topics", &topics, err)) != 0 ||
	    (r = read_vhosts(vhosts, ret_role->permissions, err)) != 0)
		goto out;
	r = read_topics(topics, ret_role->topics, err);
out:
	json_decref(vhosts);
	json_decref(topics);
	return (r);
}

void
rabbitmq_role_clear(struct rabbitmq_role *role)
{
	free(role->tags);
	json_decref(role->permissions);
	json_decref(role->topics);
	memset(role, 0, sizeof(*role));
}
