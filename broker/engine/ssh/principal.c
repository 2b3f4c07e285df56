/*
 * Principals: the names that a certificate is good for. Lists from outside are split once, here; a
 * template's value is one principal whatever stands in it, and is refused where it could be taken
 * for more. Knows no role and no request.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/ssh/ssh.h"
#include "engine/ssh/words.h"

#define SLOT_MAX 200

static int
refuse(const char *principal, const char *why, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EINVAL, "the principal \"%s\" %s", UTF8_SHORT(principal, 64), why));
}

int
engine_ssh_principal_check(const char *principal, struct leased_err *err)
{
	if (principal[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "a principal is empty: a certificate without one would be good for everybody"));
	if (strlen(principal) > SSH_PRINCIPAL_MAX)
		return (refuse(principal, "is too long", err));
	for (const char *at = principal; *at != '\0'; at++) {
		if (*at == ',')
			return (refuse(principal, "has a comma: sshd would take it for two", err));
		if (*at == '*' || *at == '?' || *at == '!')
			return (refuse(principal, "has a wildcard: it must be a name", err));
		if ((unsigned char)*at <= ' ' || *at == 0x7f || *at == '"')
			return (
			    refuse(principal, "has a blank, a quote or a control character", err));
	}
	return (0);
}

/* ---- lists ---- */

static bool
has(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (strcmp(json_string_value(one), text) == 0)
			return (true);
	}
	return (false);
}

static int
add(json_t *list, const char *text, bool wild, struct leased_err *err)
{
	int r;

	/* Of a role's list: what a template comes to is looked at when it is filled. */
	if (!(wild && (strcmp(text, "*") == 0 || strstr(text, "{{") != NULL)) &&
	    (r = engine_ssh_principal_check(text, err)) != 0)
		return (r);
	if (has(list, text))
		return (0);
	if (json_array_size(list) >= SSH_PRINCIPALS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "there are more than %d principals", SSH_PRINCIPALS_MAX));
	if (json_array_append_new(list, json_string(text)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

/* Blanks around a comma are how people write; anything else stands as it is. */
static int
split(const char *text, bool wild, json_t *list, struct leased_err *err)
{
	const char *end;
	char *one;
	int r = 0;

	for (; r == 0; text = end + 1) {
		end = text + strcspn(text, ",");
		text += strspn(text, " ");
		size_t len = text < end ? (size_t)(end - text) : 0;
		while (len > 0 && text[len - 1] == ' ')
			len--;
		if ((one = strndup(len > 0 ? text : "", len)) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		r = add(list, one, wild, err);
		free(one);
		if (*end == '\0')
			break;
	}
	return (r);
}

int
engine_ssh_principals_read(
    const json_t *value, bool wild, json_t **ret_list, struct leased_err *err)
{
	json_t *list = json_array();
	const json_t *one;
	size_t i;
	int r = list != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory");

	if (r == 0 && json_is_string(value) && json_string_length(value) > 0)
		r = split(json_string_value(value), wild, list, err);
	else if (r == 0 && json_is_array(value))
		json_array_foreach(value, i, one)
		{
			if (r == 0 && !json_is_string(one))
				r = leased_err_set(
				    err, LEASED_EINVAL, "a list of principals holds texts");
			else if (r == 0)
				r = add(list, json_string_value(one), wild, err);
		}
	else if (r == 0 && value != NULL && !json_is_null(value) && !json_is_string(value))
		r = leased_err_set(
		    err, LEASED_EINVAL, "principals are a list, or a text with commas");
	if (r != 0) {
		json_decref(list);
		return (r);
	}
	*ret_list = list;
	return (0);
}

/* ---- templates ---- */

/* The entity's name at the mount of that accessor: aliases are "<accessor>/<name>". */
static const char *
alias_name(const json_t *entity, const char *accessor, size_t len)
{
	const json_t *alias;
	const char *text;
	size_t i;

	json_array_foreach(json_object_get(entity, "aliases"), i, alias)
	{
		text = json_string_value(alias);
		if (text != NULL && strncmp(text, accessor, len) == 0 && text[len] == '/')
			return (text + len + 1);
	}
	return ("");
}

/* NULL: there is no such slot; "": this identity has no such value. */
static const char *
slot_value(const char *slot, const char *entity_id, const json_t *entity)
{
	static const char prefix[] = "identity.entity.";
	const char *rest = slot + sizeof(prefix) - 1, *text, *dot;

	if (strncmp(slot, prefix, sizeof(prefix) - 1) != 0)
		return (NULL);
	if (strcmp(rest, "id") == 0)
		return (entity_id);
	if (strcmp(rest, "name") == 0) {
		text = json_string_value(json_object_get(entity, "name"));
		return (text != NULL ? text : "");
	}
	if (strncmp(rest, "metadata.", 9) == 0 && rest[9] != '\0') {
		text = json_string_value(
		    json_object_get(json_object_get(entity, "metadata"), rest + 9));
		return (text != NULL ? text : "");
	}
	if (strncmp(rest, "aliases.", 8) == 0 && (dot = strrchr(rest, '.')) > rest + 8 &&
	    strcmp(dot, ".name") == 0)
		return (alias_name(entity, rest + 8, (size_t)(dot - rest - 8)));
	return (NULL);
}

/* What follows "{{" up to "}}", trimmed; NULL: the braces do not close, or it is too long. */
static const char *
slot_read(const char *at, char ret_slot[SLOT_MAX])
{
	const char *end = strstr(at, "}}");
	size_t len;

	at += strspn(at, " ");
	if (end == NULL || at >= end || (len = (size_t)(end - at)) >= SLOT_MAX)
		return (NULL);
	while (len > 0 && at[len - 1] == ' ')
		len--;
	memcpy(ret_slot, at, len);
	ret_slot[len] = '\0';
	return (end + 2);
}

/* What must not come out of a value: a role's author wrote one principal. */
static int
value_check(const char *slot, const char *value, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;

	if (strchr(value, '/') == NULL && engine_ssh_principal_check(value, &why) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "{{%s}} is \"%s\" here, which can be no principal: a comma, a slash, a blank or a "
	    "wildcard in a value that an identity brings is refused",
	    slot, UTF8_SHORT(value, 64)));
}

/* known: only whether each slot is one. */
static int
fill(const char *template, const char *entity_id, const json_t *entity, bool known, FILE *out,
    bool *ret_lacks, struct leased_err *err)
{
	const char *open, *value;
	char slot[SLOT_MAX];
	int r;

	while ((open = strstr(template, "{{")) != NULL) {
		(void)fwrite(template, 1, (size_t)(open - template), out);
		if ((template = slot_read(open + 2, slot)) == NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "a template has {{ without what belongs between it and }}"));
		if ((value = slot_value(slot, entity_id, entity)) == NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "a template has {{%s}}; there are identity.entity.id, .name, "
			    ".metadata.KEY and .aliases.ACCESSOR.name",
			    slot));
		if (known) {
			(void)fputs("x", out);
			continue;
		}
		if (value[0] == '\0')
			*ret_lacks = true;
		else if ((r = value_check(slot, value, err)) != 0)
			return (r);
		(void)fputs(value, out);
	}
	(void)fputs(template, out);
	return (0);
}

static int
filled(const char *template, const char *entity_id, const json_t *entity, bool known,
    char **ret_text, struct leased_err *err)
{
	char *text = NULL;
	bool lacks = false;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (out == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = fill(template, entity_id, entity, known, out, &lacks, err);
	if (fclose(out) != 0 && r == 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0 && !lacks && !(known && strcmp(text, "*") == 0))
		r = engine_ssh_principal_check(text, err);
	if (r != 0 || lacks) {
		free(text);
		text = NULL;
	}
	if (r == 0)
		*ret_text = text;
	return (r);
}

int
engine_ssh_template_check(const char *template, struct leased_err *err)
{
	char *text = NULL;
	int r = filled(template, "x", NULL, true, &text, err);

	free(text);
	return (r);
}

int
engine_ssh_template_fill(const char *template, const char *entity_id, const json_t *entity,
    char **ret_text, struct leased_err *err)
{
	return (filled(template, entity_id, entity, false, ret_text, err));
}
