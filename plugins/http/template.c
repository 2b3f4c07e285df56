/*
 * Templates: cuts a text into literals and slots, and checks which slots may stand where. Fills
 * none: fill.c does. Called by config.c once for every template.
 */
#include "template.h"

#include <stdlib.h>
#include <string.h>

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define CHOICE WORD " ."
#define ANYWHERE 0u

/* ---- cutting ---- */

static const char *
skip_blanks(const char *at)
{
	return (at + strspn(at, " "));
}

/* Copies what is made of these characters; NULL: nothing of it, or too much. */
static const char *
take(const char *at, const char *of, char *ret_text, size_t size)
{
	size_t len = strspn(at, of);

	if (len == 0 || len >= size)
		return (NULL);
	memcpy(ret_text, at, len);
	ret_text[len] = '\0';
	return (at + len);
}

static const char *
take_choices(const char *at, char *ret_choices, size_t size)
{
	char one[64];

	if (strlcpy(ret_choices, "|", size) >= size)
		return (NULL);
	while (*at == '|') {
		at = take(at + 1, CHOICE, one, sizeof(one));
		if (at == NULL || strlcat(ret_choices, one, size) >= size ||
		    strlcat(ret_choices, "|", size) >= size)
			return (NULL);
	}
	return (at);
}

/* at stands behind "{{". */
static const char *
take_slot(const char *at, struct http_slot *slot)
{
	*slot = (struct http_slot){"", "", ""};
	at = take(skip_blanks(at), WORD ".", slot->path, sizeof(slot->path));
	if (at == NULL || slot->path[0] == '.' || strstr(slot->path, "..") != NULL ||
	    slot->path[strlen(slot->path) - 1] == '.')
		return (NULL);
	if (*at == ':' && (at = take(at + 1, WORD, slot->type, sizeof(slot->type))) == NULL)
		return (NULL);
	if (*at == '|' && (at = take_choices(at, slot->choices, sizeof(slot->choices))) == NULL)
		return (NULL);
	at = skip_blanks(at);
	return (strncmp(at, "}}", 2) == 0 ? at + 2 : NULL);
}

int
http_template_next(const char **at, const char **ret_text, size_t *ret_len,
    struct http_slot *ret_slot, struct leased_err *err)
{
	const char *text = *at, *end;
	int shown;

	if (*text == '\0')
		return (0);
	if (strncmp(text, "{{", 2) != 0) {
		end = strstr(text, "{{");
		*ret_text = text;
		*ret_len = end != NULL ? (size_t)(end - text) : strlen(text);
		*at = text + *ret_len;
		return (1);
	}
	*ret_len = 0;
	if ((end = take_slot(text + 2, ret_slot)) != NULL) {
		*at = end;
		return (1);
	}
	end = strstr(text, "}}");
	shown = end != NULL && end - text < 40 ? (int)(end - text) + 2 : (int)strnlen(text, 24);
	return (leased_err_set(err, LEASED_EINVAL,
	    "%.*s is no slot: write {{name}}, {{role.x}} or {{role.x|ONE|OTHER}}", shown, text));
}

/* ---- which slots there are ---- */

static const struct {
	const char *word;
	unsigned known;
	bool deeper, is_secret;
} roots[] = {
    {"name", HTTP_KNOWS_NAME, false, false},
    {"handle", HTTP_KNOWS_HANDLE, false, false},
    {"kept", HTTP_KNOWS_KEPT, false, false},
    {"expiration", HTTP_KNOWS_END, false, false},
    {"expiration_unix", HTTP_KNOWS_END, false, false},
    {"ttl", HTTP_KNOWS_END, false, false},
    {"password", HTTP_KNOWS_PASSWORD, false, true},
    {"random", HTTP_KNOWS_RANDOM, false, true},
    {"tag", ANYWHERE, false, false},
    {"role", HTTP_KNOWS_ROLE, true, false},
    {"item", HTTP_KNOWS_ROLE, true, false},
    {"values", HTTP_KNOWS_VALUES, true, false},
    {"login", HTTP_KNOWS_LOGIN, true, true},
    {"connection.username", ANYWHERE, false, false},
    {"connection.password", ANYWHERE, false, true},
    {"connection.token", ANYWHERE, false, true},
};
#define ROOT_COUNT (sizeof(roots) / sizeof(roots[0]))

static size_t
find_root(const char *path)
{
	size_t i, len;

	for (i = 0; i < ROOT_COUNT; i++) {
		len = strlen(roots[i].word);
		if (strncmp(path, roots[i].word, len) == 0 &&
		    (path[len] == '\0' || (path[len] == '.' && roots[i].deeper)))
			break;
	}
	return (i);
}

static int
check_slot(const struct http_slot *slot, enum http_place place, unsigned known, bool is_whole,
    const char *where, struct leased_err *err)
{
	size_t root = find_root(slot->path);

	if (root == ROOT_COUNT)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: there is no slot {{%s}}: there are name, password, expiration, "
		    "expiration_unix, ttl, handle, kept, random, tag, role.x, item, values.x, "
		    "login.x, connection.username, connection.password and connection.token",
		    where, slot->path));
	if (roots[root].known != ANYWHERE && (roots[root].known & known) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s}} has no value in this request", where, slot->path));
	if (roots[root].is_secret && (place == HTTP_PATH || place == HTTP_QUERY))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s}} is a secret, and URLs are written to logs: send it in a header or "
		    "in the body",
		    where, slot->path));
	if (place == HTTP_PLAIN && slot->choices[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: nobody knows how to escape {{%s}} in a plain text: use json, form or "
		    "influxql, or list what it may be: {{%s|one|other}}",
		    where, slot->path, slot->path));
	if (slot->type[0] == '\0')
		return (0);
	if (strcmp(slot->type, "number") != 0 && strcmp(slot->type, "json") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s:%s}}: the types are number and json", where, slot->path, slot->type));
	if (place != HTTP_JSON || !is_whole)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: {{%s:%s}} must be a whole string of a JSON body", where, slot->path,
		    slot->type));
	return (0);
}

/* ---- checking ---- */

static int
check_literal(
    const char *text, size_t len, enum http_place place, const char *where, struct leased_err *err)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (place != HTTP_JSON && place != HTTP_PLAIN && (c < ' ' || c == 0x7f))
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: holds a control character", where));
		if (place == HTTP_PATH && (c > 0x7f || strchr(" ?#\\\"<>{}|^`", c) != NULL))
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: \"%c\" cannot stand in a path: what follows a ? goes into query, "
			    "and other characters are written %%XX",
			    where, c > 0x7f ? '?' : c));
	}
	return (0);
}

static int
check_text(const char *text, enum http_place place, unsigned known, const char *where,
    struct leased_err *err)
{
	const char *at = text, *literal;
	struct http_slot slot;
	size_t len, pieces = 0;
	int r;

	while ((r = http_template_next(&at, &literal, &len, &slot, err)) > 0) {
		pieces++;
		if (len > 0)
			r = check_literal(literal, len, place, where, err);
		else
			r = check_slot(&slot, place, known, pieces == 1 && *at == '\0', where, err);
		if (r != 0)
			return (r);
	}
	return (r < 0 ? leased_err_prefix(err, "%s", where) : 0);
}

const char *
http_template_statement(const json_t *template)
{
	return (json_object_size(template) == 1
		    ? json_string_value(json_object_get(template, "influxql"))
		    : NULL);
}

int
http_template_check(const json_t *template, enum http_place place, unsigned known,
    const char *where, struct leased_err *err)
{
	const char *statement = http_template_statement(template);
	int r;

	if (json_is_string(template))
		return (check_text(json_string_value(template), place, known, where, err));
	if (statement == NULL || (place != HTTP_QUERY && place != HTTP_FORM))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text%s", where,
		    place == HTTP_QUERY || place == HTTP_FORM ? ", or {\"influxql\": \"..\"}"
							      : ""));
	if ((r = http_influxql_check(statement, where, err)) != 0)
		return (r);
	return (check_text(statement, place, known, where, err));
}

int
http_template_check_json(
    const json_t *value, unsigned known, const char *where, struct leased_err *err)
{
	char place[200];
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	if (strlen(where) > sizeof(place) - 40)
		return (leased_err_set(err, LEASED_EINVAL, "%s: is too deep", where));
	if (json_is_string(value))
		return (check_text(json_string_value(value), HTTP_JSON, known, where, err));
	json_array_foreach(value, i, item)
	{
		(void)snprintf(place, sizeof(place), "%s[%zu]", where, i);
		if ((r = http_template_check_json(item, known, place, err)) != 0)
			return (r);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		(void)snprintf(place, sizeof(place), "%s.%.32s", where, key);
		if (strstr(key, "{{") != NULL)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: slots go into values, not into names", place));
		if ((r = http_template_check_json(item, known, place, err)) != 0)
			return (r);
	}
	return (r);
}

static bool
text_uses(const char *text, const char *word)
{
	struct leased_err unused = LEASED_ERR_INIT;
	struct http_slot slot;
	const char *literal;
	size_t len, word_len = strlen(word);

	while (http_template_next(&text, &literal, &len, &slot, &unused) > 0)
		if (len == 0 && strncmp(slot.path, word, word_len) == 0 &&
		    (slot.path[word_len] == '\0' || slot.path[word_len] == '.'))
			return (true);
	return (false);
}

bool
http_template_uses(const json_t *value, const char *word)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(value))
		return (text_uses(json_string_value(value), word));
	json_array_foreach(value, i, item)
	{
		if (http_template_uses(item, word))
			return (true);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		if (http_template_uses(item, word))
			return (true);
	}
	return (false);
}
