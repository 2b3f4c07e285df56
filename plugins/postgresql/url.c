/*
 * Vault's connection_url: a URL or `keyword=value` pairs with {{username}} and {{password}} in
 * them. The slots are replaced by plain words before libpq parses the text and looked for in the
 * parsed values afterwards, so that no character of a real password ever goes through a URL. Called
 * by config.c.
 */
#include "config.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define USERNAME_WORD "leased0slot0username"
#define PASSWORD_WORD "leased0slot0password"
#define GROWTH 3 /* at most, by a word in the place of the shortest slot */
_Static_assert(sizeof(USERNAME_WORD) - 1 <= GROWTH * (sizeof("{{name}}") - 1) &&
		   sizeof(PASSWORD_WORD) - 1 <= GROWTH * (sizeof("{{name}}") - 1),
    "a word in the place of a slot has no room");

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "connection_url: out of memory"));
}

/* The URL with words in the place of slots, the caller's to wipe and free; NULL: out of memory. */
static char *
replace_slots(const char *url)
{
	static const struct {
		const char *slot, *word;
	} slots[] = {{"{{username}}", USERNAME_WORD}, {"{{name}}", USERNAME_WORD},
	    {"{{password}}", PASSWORD_WORD}};
	size_t size = strlen(url) * GROWTH + 1, len = 0, i;
	char *out = malloc(size);

	if (out == NULL)
		return (NULL);
	while (*url != '\0') {
		for (i = 0; i < 3; i++)
			if (strncmp(url, slots[i].slot, strlen(slots[i].slot)) == 0)
				break;
		if (i == 3) {
			out[len++] = *url++;
			continue;
		}
		memcpy(out + len, slots[i].word, strlen(slots[i].word));
		len += strlen(slots[i].word);
		url += strlen(slots[i].slot);
	}
	out[len] = '\0';
	return (out);
}

static int
take_user(const char *value, struct postgresql_config *config, struct leased_err *err)
{
	if (strcmp(value, USERNAME_WORD) == 0)
		return (0);
	config->username = strdup(value);
	return (config->username == NULL ? no_memory(err) : 0);
}

static int
take_password(const char *value, struct postgresql_config *config, struct leased_err *err)
{
	if (strcmp(value, PASSWORD_WORD) == 0)
		return (0);
	config->password = leased_secret_new(value, strlen(value));
	return (config->password == NULL ? no_memory(err) : 0);
}

static int
take_option(
    const PQconninfoOption *option, struct postgresql_config *config, struct leased_err *err)
{
	int i;

	if (strcmp(option->keyword, "user") == 0)
		return (take_user(option->val, config, err));
	if (strcmp(option->keyword, "password") == 0)
		return (take_password(option->val, config, err));
	if (strstr(option->val, USERNAME_WORD) != NULL ||
	    strstr(option->val, PASSWORD_WORD) != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: a slot stands in %s; {{username}} and {{password}} belong "
		    "into the "
		    "places of user and password, whole",
		    option->keyword));
	for (i = 0; i < POSTGRESQL_KEYWORD_COUNT; i++) {
		if (strcmp(option->keyword, postgresql_keyword_name((enum postgresql_keyword)i)) !=
		    0)
			continue;
		config->keywords[i] = strdup(option->val);
		return (config->keywords[i] == NULL ? no_memory(err) : 0);
	}
	return (leased_err_set(err, LEASED_EINVAL,
	    "connection_url: %s is not taken here; remove it (there are host, port, dbname, user, "
	    "password, "
	    "sslmode, sslrootcert, sslcert, sslkey, sslcrl, ssl_min_protocol_version, "
	    "channel_binding, "
	    "connect_timeout)",
	    option->keyword));
}

/* Only the whole value may be a slot: `app-{{username}}` would be a name that nobody configured. */
static int
check_whole(const struct postgresql_config *config, struct leased_err *err)
{
	const char *password =
	    config->password != NULL ? leased_secret_reveal(config->password) : "";

	if ((config->username != NULL && strstr(config->username, USERNAME_WORD) != NULL) ||
	    (config->username != NULL && strstr(config->username, PASSWORD_WORD) != NULL) ||
	    strstr(password, PASSWORD_WORD) != NULL || strstr(password, USERNAME_WORD) != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: {{username}} and {{password}} stand alone in their places"));
	return (0);
}

int
postgresql_url_parse(const char *url, struct postgresql_config *config, struct leased_err *err)
{
	PQconninfoOption *options = NULL, *option;
	char *text = NULL, *unused = NULL;
	int r = 0;

	if (strstr(url, "0slot0") != NULL || strlen(url) > 4096) {
		r = leased_err_set(
		    err, LEASED_EINVAL, "connection_url: not a text that can be read");
		goto out;
	}
	if ((text = replace_slots(url)) == NULL) {
		r = no_memory(err);
		goto out;
	}
	if (strstr(text, "{{") != NULL) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "connection_url: unknown slot; there are {{username}} and {{password}}");
		goto out;
	}
	/* libpq's own reason may quote a password that stands in the text. */
	if ((options = PQconninfoParse(text, &unused)) == NULL) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "connection_url: libpq cannot read it; write "
		    "postgresql://{{username}}:{{password}}@HOST:5432/DBNAME (special characters "
		    "belong into the password field, not into the URL)");
		goto out;
	}
	for (option = options; r == 0 && option->keyword != NULL; option++)
		if (option->val != NULL && option->val[0] != '\0')
			r = take_option(option, config, err);
	if (r == 0)
		r = check_whole(config, err);
out:
	if (text != NULL)
		leased_wipe(text, strlen(text));
	free(text);
	PQfreemem(unused);
	PQconninfoFree(options);
	return (r);
}
