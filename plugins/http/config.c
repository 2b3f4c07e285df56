/*
 * The configuration of a connection as a whole: which fields there are, and what they must be to
 * each other. A request by itself is config_request.c's. Called by open.c.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 16
#define NAME "abcdefghijklmnopqrstuvwxyz0123456789_"

static const struct {
	const char *name;
	bool is_single, changes;
	unsigned knows;
} kinds[HTTP_KIND_COUNT] = {
    [HTTP_LOGIN] = {"login", true, false, 0},
    [HTTP_IDENTITY] = {"identity", true, false, HTTP_KNOWS_LOGIN},
    [HTTP_CREATE] = {"create", false, true,
	HTTP_KNOWS_NAME | HTTP_KNOWS_END | HTTP_KNOWS_PASSWORD | HTTP_KNOWS_RANDOM |
	    HTTP_KNOWS_ROLE | HTTP_KNOWS_VALUES | HTTP_KNOWS_LOGIN},
    [HTTP_RENEW] = {"renew", false, true,
	HTTP_KNOWS_NAME | HTTP_KNOWS_HANDLE | HTTP_KNOWS_KEPT | HTTP_KNOWS_END | HTTP_KNOWS_ROLE |
	    HTTP_KNOWS_LOGIN},
    [HTTP_REVOKE] = {"revoke", false, true,
	HTTP_KNOWS_NAME | HTTP_KNOWS_HANDLE | HTTP_KNOWS_KEPT | HTTP_KNOWS_RANDOM |
	    HTTP_KNOWS_ROLE | HTTP_KNOWS_LOGIN},
    [HTTP_REMOVE] = {"remove", false, true,
	HTTP_KNOWS_NAME | HTTP_KNOWS_HANDLE | HTTP_KNOWS_KEPT | HTTP_KNOWS_ROLE | HTTP_KNOWS_LOGIN},
    [HTTP_LOOKUP] = {"lookup", true, false,
	HTTP_KNOWS_NAME | HTTP_KNOWS_HANDLE | HTTP_KNOWS_KEPT | HTTP_KNOWS_ROLE | HTTP_KNOWS_LOGIN},
    [HTTP_INVENTORY] = {"inventory", true, false, HTTP_KNOWS_LOGIN},
    [HTTP_CHECK] = {"check", false, false,
	HTTP_KNOWS_NAME | HTTP_KNOWS_HANDLE | HTTP_KNOWS_PASSWORD | HTTP_KNOWS_ROLE},
};

static const struct {
	const char *name;
	bool is_secret, is_required;
	json_type type;
} fields[] = {
    {"base_url", false, true, JSON_STRING},
    {"ca_cert", false, false, JSON_STRING},
    {"allow_plain_http", false, false, JSON_TRUE},
    {"username", false, false, JSON_STRING},
    {"password", true, false, JSON_STRING},
    {"token", true, false, JSON_STRING},
    {"headers", false, false, JSON_OBJECT},
    {"basic_auth", false, false, JSON_OBJECT},
    {"answers", false, false, JSON_ARRAY},
    {"error_text", false, false, JSON_STRING},
    {"can_revoke", false, false, JSON_TRUE},
    {"role_defaults", false, false, JSON_OBJECT},
    {"credential", false, false, JSON_OBJECT},
    {"handle", false, false, JSON_STRING},
    {"kept", false, false, JSON_STRING},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

const char *
http_kind_name(enum http_kind kind)
{
	return (kinds[kind].name);
}

unsigned
http_kind_knows(enum http_kind kind)
{
	return (kinds[kind].knows);
}

bool
http_kind_changes(enum http_kind kind)
{
	return (kinds[kind].changes);
}

json_t *
http_config_fields(void)
{
	json_t *list = json_array();
	int bad = list == NULL;

	for (size_t i = 0; i < FIELD_COUNT; i++)
		bad |= json_array_append_new(
		    list, json_pack("{s:s, s:b, s:b}", "name", fields[i].name, "secret",
			      fields[i].is_secret, "required", fields[i].is_required));
	for (size_t i = 0; i < HTTP_KIND_COUNT; i++)
		bad |=
		    json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "name", kinds[i].name,
						    "secret", 0, "required", i == HTTP_CREATE));
	if (bad == 0)
		return (list);
	json_decref(list);
	return (NULL);
}

const json_t *
http_config_requests(const struct http_config *config, enum http_kind kind)
{
	return (json_object_get(config->document, kinds[kind].name));
}

/* ---- checking ---- */

static int
check_types(const json_t *document, struct leased_err *err)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const json_t *value = json_object_get(document, fields[i].name);

		if (value == NULL && fields[i].is_required)
			return (
			    leased_err_set(err, LEASED_EINVAL, "%s is missing", fields[i].name));
		if (value == NULL || json_typeof(value) == fields[i].type ||
		    (fields[i].type == JSON_TRUE && json_is_boolean(value)))
			continue;
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be %s", fields[i].name,
		    fields[i].type == JSON_STRING   ? "a text"
		    : fields[i].type == JSON_TRUE   ? "true or false"
		    : fields[i].type == JSON_OBJECT ? "an object"
						    : "a list"));
	}
	return (0);
}

/* One request may stand without a list. Here all become lists. */
static int
normalize(json_t *document, enum http_kind kind, struct leased_err *err)
{
	const char *name = kinds[kind].name;
	json_t *value = json_object_get(document, name), *list;
	size_t count;

	if (value == NULL)
		return (0);
	if (json_is_object(value)) {
		list = json_pack("[O]", value);
		if (list == NULL || json_object_set_new(document, name, list) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		return (0);
	}
	count = json_array_size(value);
	if (count == 0 || count > REQUESTS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be a request, or a list of 1 to %d", name, REQUESTS_MAX));
	if (kinds[kind].is_single && count != 1)
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be one request", name));
	return (0);
}

static int
check_requests(json_t *document, struct leased_err *err)
{
	char where[64];
	json_t *request;
	size_t i;
	int r;

	for (unsigned kind = 0; kind < HTTP_KIND_COUNT; kind++) {
		if ((r = normalize(document, kind, err)) != 0)
			return (r);
		json_array_foreach(json_object_get(document, kinds[kind].name), i, request)
		{
			(void)snprintf(where, sizeof(where), "%s[%zu]", kinds[kind].name, i);
			if ((r = http_config_check_request(request, kind, where, err)) != 0)
				return (r);
		}
	}
	return (0);
}

/* credential, handle, kept: what is made of create's answers. */
static int
check_results(const json_t *document, struct leased_err *err)
{
	static const char *const texts[] = {"handle", "kept"};
	unsigned known = kinds[HTTP_CREATE].knows;
	const json_t *credential = json_object_get(document, "credential"), *value;
	const char *key;
	char where[80];
	int r;

	for (size_t i = 0; i < 2; i++) {
		value = json_object_get(document, texts[i]);
		if (value != NULL &&
		    (r = http_template_check(value, HTTP_JSON, known, texts[i], err)) != 0)
			return (r);
	}
	if (json_object_size(credential) > 16)
		return (leased_err_set(err, LEASED_EINVAL, "credential: at most 16 fields"));
	json_object_foreach((json_t *)(uintptr_t)credential, key, value)
	{
		(void)snprintf(where, sizeof(where), "credential.%.60s", key);
		if (key[0] == '\0' || strlen(key) > 64 || key[strspn(key, NAME)] != '\0')
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: names of what clients get are made of a-z, 0-9 and _", where));
		if ((r = http_template_check(value, HTTP_JSON, known, where, err)) != 0)
			return (r);
	}
	return (0);
}

static int
check_common(const json_t *document, struct leased_err *err)
{
	unsigned known = kinds[HTTP_INVENTORY].knows;
	const json_t *value;
	int r = 0;

	if ((value = json_object_get(document, "headers")) != NULL)
		r = http_config_check_headers(value, known, "headers", err);
	if (r == 0 && (value = json_object_get(document, "basic_auth")) != NULL)
		r = http_config_check_login(value, known, "basic_auth", err);
	if (r == 0 && (value = json_object_get(document, "answers")) != NULL)
		r = http_answers_check(value, "answers", err);
	if (r == 0 && (value = json_object_get(document, "error_text")) != NULL)
		r = http_pointer_check(json_string_value(value), "error_text", err);
	return (r);
}

static bool
uses(const json_t *document, enum http_kind kind, const char *word)
{
	return (http_template_uses(json_object_get(document, kinds[kind].name), word));
}

/* What the parts must be to each other. */
static int
check_whole(struct http_config *config, struct leased_err *err)
{
	static const enum http_kind later[] = {
	    HTTP_RENEW, HTTP_REVOKE, HTTP_REMOVE, HTTP_LOOKUP, HTTP_CHECK};
	static const char *const words[] = {"handle", "kept"};
	const json_t *document = config->document;
	bool has_revoke = http_config_requests(config, HTTP_REVOKE) != NULL;

	if (http_config_requests(config, HTTP_CREATE) == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "create is missing"));
	if (config->can_revoke != has_revoke)
		return (leased_err_set(err, LEASED_EINVAL,
		    has_revoke ? "can_revoke is false, and there is revoke: take one away"
			       : "revoke is missing: say how access ends, or can_revoke = false "
				 "when the backend has no way"));
	if (!config->can_revoke && !config->has_end)
		return (leased_err_set(err, LEASED_EINVAL,
		    "can_revoke is false, and create tells the backend no end: use "
		    "{{expiration}}, {{expiration_unix}} or {{ttl}} there, or nothing would ever "
		    "end such an account"));
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		for (size_t k = 0; k < 2; k++)
			if (uses(document, later[i], words[k]) &&
			    json_object_get(document, words[k]) == NULL)
				return (leased_err_set(err, LEASED_EINVAL,
				    "%s uses {{%s}}: say what it is by %s = \"{{values.x}}\", x "
				    "being one of create's values",
				    kinds[later[i]].name, words[k], words[k]));
	return (0);
}

int
http_config_new(const json_t *given, struct http_config **ret_config, struct leased_err *err)
{
	struct http_config *config = calloc(1, sizeof(*config));
	const json_t *credential;
	int r;

	if (config == NULL || (config->document = http_json_copy(given)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = check_types(given, err)) != 0 ||
	    (r = check_requests(config->document, err)) != 0 ||
	    (r = check_common(config->document, err)) != 0 ||
	    (r = check_results(config->document, err)) != 0)
		goto out;
	credential = json_object_get(given, "credential");
	config->can_revoke = !json_is_false(json_object_get(given, "can_revoke"));
	config->has_password = uses(config->document, HTTP_CREATE, "password") ||
			       http_template_uses(credential, "password");
	config->has_end = uses(config->document, HTTP_CREATE, "expiration") ||
			  uses(config->document, HTTP_CREATE, "expiration_unix") ||
			  uses(config->document, HTTP_CREATE, "ttl");
	if ((r = check_whole(config, err)) != 0)
		goto out;
	*ret_config = config;
	config = NULL;
out:
	http_config_free(config);
	return (r);
}

void
http_config_free(struct http_config *config)
{
	if (config == NULL)
		return;
	json_decref(config->document);
	free(config);
}
