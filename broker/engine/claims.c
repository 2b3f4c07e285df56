/*
 * Claims templates (contract 2.7, 3.6 "JSON mode"): reading one when a role is written, and filling
 * it when a token is made. Works on text: a slot is replaced by the JSON of its value, and the
 * whole is parsed. Knows no store and no request.
 */
#include "engine/claims.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "base/jenc.h"
#include "base/utf8.h"

#define SLOT_MAX 256

static const char *const reserved[] = {"iat", "aud", "exp", "iss", "sub", "namespace", "nonce",
    "auth_time", "at_hash", "c_hash", "jti", "nbf"};

/* ---- slots ---- */

static json_t *
text_or_empty(const json_t *value)
{
	const char *text = json_string_value(value);

	return (json_string(text != NULL ? text : ""));
}

static json_t *
map_or_empty(const json_t *value)
{
	return (json_is_object(value) ? json_deep_copy(value) : json_object());
}

/* What follows prefix in text, or NULL. */
static const char *
behind(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return (strncmp(text, prefix, len) == 0 ? text + len : NULL);
}

/* The entity's name at the mount of that accessor: aliases are "<accessor>/<name>". */
static json_t *
alias_name(const struct claims_source *source, const char *accessor, size_t len)
{
	const json_t *aliases = json_object_get(source->entity_data, "aliases"), *alias;
	const char *text;
	size_t i;

	json_array_foreach(aliases, i, alias)
	{
		text = json_string_value(alias);
		if (text != NULL && strncmp(text, accessor, len) == 0 && text[len] == '/')
			return (json_string(text + len + 1));
	}
	return (json_string(""));
}

/* aliases.<accessor>.name, .metadata and .metadata.<key>: aliases have no metadata yet. */
static json_t *
alias_value(const struct claims_source *source, const char *rest)
{
	size_t len = strcspn(rest, ".");
	const char *what = rest + len;

	if (len == 0)
		return (NULL);
	if (strcmp(what, ".name") == 0)
		return (alias_name(source, rest, len));
	if (strcmp(what, ".id") == 0)
		return (json_string(""));
	if (strcmp(what, ".metadata") == 0 || strcmp(what, ".custom_metadata") == 0)
		return (json_object());
	if ((behind(what, ".metadata.") != NULL && behind(what, ".metadata.")[0] != '\0') ||
	    (behind(what, ".custom_metadata.") != NULL &&
		behind(what, ".custom_metadata.")[0] != '\0'))
		return (json_string(""));
	return (NULL);
}

static json_t *
entity_value(const struct claims_source *source, const char *what)
{
	const json_t *metadata = json_object_get(source->entity_data, "metadata");
	const char *rest;

	if (strcmp(what, "id") == 0)
		return (json_string(source->entity));
	if (strcmp(what, "name") == 0)
		return (text_or_empty(json_object_get(source->entity_data, "name")));
	if (strcmp(what, "metadata") == 0)
		return (map_or_empty(metadata));
	if ((rest = behind(what, "metadata.")) != NULL && rest[0] != '\0')
		return (text_or_empty(json_object_get(metadata, rest)));
	if (strcmp(what, "groups.names") == 0 || strcmp(what, "groups.ids") == 0)
		return (json_array());
	if ((rest = behind(what, "aliases.")) != NULL)
		return (alias_value(source, rest));
	return (NULL);
}

static json_t *
time_value(const struct claims_source *source, const char *rest)
{
	bool minus = behind(rest, ".minus.") != NULL;
	const char *length = minus ? behind(rest, ".minus.") : behind(rest, ".plus.");
	int64_t s = 0;

	if (rest[0] == '\0')
		return (json_integer(source->now_s));
	if (length == NULL || jdec_duration_s(length, &s, NULL) != 0 || s > INT32_MAX)
		return (NULL);
	return (json_integer(minus ? source->now_s - s : source->now_s + s));
}

/* NULL: there is no such slot, or no memory (which the caller's own allocation notices). */
static json_t *
slot_value(const struct claims_source *source, const char *slot)
{
	const char *rest;

	if ((rest = behind(slot, "identity.entity.")) != NULL)
		return (entity_value(source, rest));
	if ((rest = behind(slot, "time.now")) != NULL)
		return (time_value(source, rest));
	return (NULL);
}

/* ---- filling ---- */

struct filling {
	const struct claims_source *source;
	bool nulls; /* null for every slot: is the rest in order? */
	FILE *out;
};

/* at: behind "{{". Returns how many bytes the slot has with its end; 0 with err. */
static size_t
put_slot(struct filling *filling, const char *at, struct leased_err *err)
{
	const char *end = strstr(at, "}}");
	size_t len = end != NULL ? (size_t)(end - at) : 0, from = 0;
	char slot[SLOT_MAX];
	struct jenc json = {0};
	json_t *value;

	while (from < len && at[from] == ' ')
		from++;
	while (len > from && at[len - 1] == ' ')
		len--;
	if (end == NULL || len - from >= sizeof(slot)) {
		(void)leased_err_set(err, LEASED_EINVAL, "a {{ has no }}, or one far away");
		return (0);
	}
	(void)snprintf(slot, sizeof(slot), "%.*s", (int)(len - from), at + from);
	if ((value = slot_value(filling->source, slot)) == NULL) {
		(void)leased_err_set(err, LEASED_EINVAL,
		    "there is no {{%s}}: identity.entity.id, .name, .metadata, .metadata.KEY, "
		    ".groups.names, .groups.ids, .aliases.ACCESSOR.name and time.now, "
		    ".plus.DURATION, .minus.DURATION are",
		    UTF8_SHORT(slot, 80));
		return (0);
	}
	if (filling->nulls)
		jenc_bytes(&json, "null", 4);
	else
		jenc_json(&json, value);
	json_decref(value);
	if (jenc_check(&json, err) == 0)
		(void)fwrite(json.bytes, 1, json.len, filling->out);
	else
		end = NULL;
	jenc_clear(&json);
	if (end == NULL)
		return (0);
	return ((size_t)(end - at) + 2);
}

/* In JSON "{{" stands nowhere but in strings. */
static int
put_all(struct filling *filling, const char *template, struct leased_err *err)
{
	bool in_string = false;
	size_t len;

	for (const char *at = template; *at != '\0'; at++) {
		if (at[0] == '{' && at[1] == '{' && in_string)
			return (leased_err_set(err, LEASED_EINVAL,
			    "a {{slot}} is a whole value: it stands without quotes, and not within "
			    "a string"));
		if (at[0] == '{' && at[1] == '{') {
			if ((len = put_slot(filling, at + 2, err)) == 0)
				return (err->code);
			at += 2 + len - 1;
			continue;
		}
		if (*at == '"')
			in_string = !in_string;
		(void)fputc(*at, filling->out);
		if (in_string && at[0] == '\\' && at[1] != '\0')
			(void)fputc(*++at, filling->out);
	}
	return (0);
}

static int
fill(const char *template, const struct claims_source *source, bool nulls, json_t **ret_claims,
    struct leased_err *err)
{
	struct filling filling = {.source = source, .nulls = nulls};
	json_t *claims = NULL;
	char *text = NULL;
	size_t size = 0;
	int r;

	if ((filling.out = open_memstream(&text, &size)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = put_all(&filling, template, err);
	if (fclose(filling.out) != 0 && r == 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		r = jdec_parse(text, size, NULL, &claims, err);
	if (r == LEASED_ETOOBIG) /* 413 is for bodies */
		r = leased_err_set(
		    err, LEASED_EINVAL, "the claims are nested too deep, or too many");
	if (r == 0 && !json_is_object(claims))
		r = leased_err_set(err, LEASED_EINVAL, "it must be a JSON object");
	free(text);
	if (r != 0) {
		json_decref(claims);
		return (r);
	}
	*ret_claims = claims;
	return (0);
}

int
engine_claims_make(const char *template, const struct claims_source *source, json_t **ret_claims,
    struct leased_err *err)
{
	int r = fill(template, source, false, ret_claims, err);

	return (r == 0 ? 0 : leased_err_prefix(err, "template"));
}

/* ---- reading ---- */

/* JSON begins with a brace, which base64 does not have. NULL: neither. */
static char *
unwrap(const char *text, size_t len)
{
	size_t first = jdec_blanks(text, len);
	char *plain;
	int n;

	if (first < len && text[first] == '{')
		return (strdup(text));
	if (len == 0 || len % 4 != 0 || (plain = malloc(len)) == NULL)
		return (NULL);
	n = EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)text, (int)len);
	if (n < 0) {
		free(plain);
		return (NULL);
	}
	n -= (text[len - 1] == '=') + (text[len - 2] == '=');
	plain[n] = '\0';
	if (strlen(plain) == (size_t)n && utf8_is_valid(plain, (size_t)n))
		return (plain);
	free(plain);
	return (NULL);
}

static int
check_reserved(const json_t *claims, struct leased_err *err)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (json_object_get(claims, reserved[i]) != NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "top level key \"%s\" not allowed. Restricted keys: iat, aud, exp, "
			    "iss, sub, namespace, nonce, auth_time, at_hash, c_hash, jti, nbf",
			    reserved[i]));
	return (0);
}

int
engine_claims_read(const char *text, char **ret_template, struct leased_err *err)
{
	const struct claims_source nobody = {.entity = ""};
	size_t len = strlen(text);
	char *template = NULL;
	json_t *claims = NULL;
	int r;

	if (len > CLAIMS_TEMPLATE_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "template: longer than %d bytes", CLAIMS_TEMPLATE_MAX));
	if ((template = unwrap(text, len)) == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "template: neither a JSON object nor one in base64"));
	if ((r = fill(template, &nobody, true, &claims, err)) == 0)
		r = check_reserved(claims, err);
	json_decref(claims);
	if (r != 0) {
		free(template);
		return (leased_err_prefix(err, "template"));
	}
	*ret_template = template;
	return (0);
}
