/*
 * connection_url, as people bring it:
 * mysql://{{username}}:{{password}}@HOST:3306/DATABASE?tls=true, or Go's (and so Vault's)
 * {{username}}:{{password}}@tcp(HOST:3306)/DATABASE?tls=true. No password is taken from it: one
 * would have to be escaped, and is shown where the URL is. Called by config.c.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096

static const char user_slot[] = "{{username}}", name_slot[] = "{{name}}",
		  password_slot[] = "{{password}}";

/* Of the drivers that such texts are written for; they rule nothing here. */
static const char *const ignored[] = {"allowNativePasswords", "charset", "collation",
    "interpolateParams", "loc", "multiStatements", "parseTime", "readTimeout", "timeout",
    "writeTimeout"};

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "connection_url: out of memory"));
}

static int
unreadable(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "connection_url: cannot be read; write "
	    "mysql://{{username}}:{{password}}@HOST:3306/DATABASE, or "
	    "{{username}}:{{password}}@tcp(HOST:3306)/DATABASE"));
}

static int
hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c != '\0' ? strchr(digits, c) : NULL;
	return (at != NULL ? (int)(at - digits) : -1);
}

/* Decodes %41 in place. False: no escape, or a NUL. */
static bool
decode(char *text)
{
	char *out = text;
	int high, low;

	for (; *text != '\0'; text++, out++) {
		if (*text != '%') {
			*out = *text;
			continue;
		}
		if ((high = hex_value(text[1])) < 0 || (low = hex_value(text[2])) < 0 ||
		    high + low == 0)
			return (false);
		*out = (char)(high * 16 + low);
		text += 2;
	}
	*out = '\0';
	return (true);
}

/* *place gets text, unless it is empty. */
static int
take(const char *text, char **place, struct leased_err *err)
{
	if (text[0] == '\0')
		return (0);
	if (strstr(text, "{{") != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: {{username}} and {{password}} belong into the places of user "
		    "and password, whole"));
	return ((*place = strdup(text)) == NULL ? no_memory(err) : 0);
}

/* "user:password"; cuts the text. */
static int
take_user_info(char *info, bool is_url, struct maria_config *config, struct leased_err *err)
{
	char *password = strchr(info, ':');

	if (password != NULL)
		*password++ = '\0';
	if (password != NULL && password[0] != '\0' && strcmp(password, password_slot) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: write {{password}} in the place of the password, and give it "
		    "in the field password"));
	if (strcmp(info, user_slot) == 0 || strcmp(info, name_slot) == 0)
		return (0);
	if (is_url && !decode(info))
		return (unreadable(err));
	return (take(info, &config->username, err));
}

/* "host:port", "[::1]:3306", "host"; cuts the text. */
static int
take_address(char *address, struct maria_config *config, struct leased_err *err)
{
	char *host = address, *end, *port = NULL;

	if (host[0] == '[') {
		host++;
		if ((end = strchr(host, ']')) == NULL)
			return (unreadable(err));
		*end++ = '\0';
		if (end[0] == ':')
			port = end + 1;
		else if (end[0] != '\0')
			return (unreadable(err));
	} else if ((end = strchr(host, ':')) != NULL) {
		*end = '\0';
		port = end + 1;
	}
	if (port != NULL && port[0] != '\0' && (config->port = maria_port_parse(port)) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: the port must be a number from 1 to 65535"));
	return (take(host, &config->host, err));
}

static int
take_parameter(
    const char *name, const char *value, struct maria_config *config, struct leased_err *err)
{
	size_t i;

	if (strcmp(name, "tls") == 0 && strcmp(value, "true") == 0)
		return (take("verify", &config->tls_mode, err));
	if (strcmp(name, "tls") == 0 && strcmp(value, "false") == 0)
		return (take("disable", &config->tls_mode, err));
	if (strcmp(name, "tls") == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connection_url: tls must be true or false; a server's certificate is always "
		    "verified, name its authority in tls_ca"));
	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (strcmp(name, ignored[i]) == 0)
			return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "connection_url: the parameter %.40s is not taken here; remove it", name));
}

/* "name=value&name=value"; cuts the text. */
static int
take_parameters(char *rest, struct maria_config *config, struct leased_err *err)
{
	char *one, *value;
	int r = 0;

	while (r == 0 && (one = strsep(&rest, "&")) != NULL) {
		if (one[0] == '\0')
			continue;
		if ((value = strchr(one, '=')) == NULL)
			return (unreadable(err));
		*value++ = '\0';
		if (strcmp(one, "tls") == 0 && config->tls_mode != NULL)
			return (unreadable(err));
		r = take_parameter(one, value, config, err);
	}
	return (r);
}

/* Go's form: "protocol(address)", or nothing. */
static int
take_protocol(char *text, struct maria_config *config, struct leased_err *err)
{
	char *address = strchr(text, '(');
	size_t len;

	if (text[0] == '\0')
		return (0);
	if (address == NULL)
		return (unreadable(err));
	*address++ = '\0';
	len = strlen(address);
	if (len == 0 || address[len - 1] != ')')
		return (unreadable(err));
	address[len - 1] = '\0';
	if (strcmp(text, "unix") == 0)
		return (take(address, &config->socket, err));
	if (strcmp(text, "tcp") == 0)
		return (take_address(address, config, err));
	return (unreadable(err));
}

/* Both forms: user, an @, the server, a slash, the database, and parameters behind a `?`. */
static int
parse(char *text, bool is_url, struct maria_config *config, struct leased_err *err)
{
	char *parameters = strchr(text, '?'), *slash, *at;
	int r = 0;

	if (parameters != NULL)
		*parameters++ = '\0';
	slash = is_url ? strchr(text, '/') : strrchr(text, '/');
	if (slash == NULL && !is_url)
		return (unreadable(err));
	if (slash != NULL)
		*slash++ = '\0';
	if ((at = strrchr(text, '@')) != NULL) {
		*at++ = '\0';
		r = take_user_info(text, is_url, config, err);
	} else {
		at = text;
	}
	if (r == 0)
		r = is_url ? take_address(at, config, err) : take_protocol(at, config, err);
	if (r == 0 && slash != NULL && is_url && !decode(slash))
		r = unreadable(err);
	if (r == 0 && slash != NULL)
		r = take(slash, &config->database, err);
	if (r == 0 && parameters != NULL)
		r = take_parameters(parameters, config, err);
	return (r);
}

int
maria_url_parse(const char *url, struct maria_config *config, struct leased_err *err)
{
	bool is_url = strncmp(url, "mysql://", 8) == 0,
	     is_maria = strncmp(url, "mariadb://", 10) == 0;
	char *text;
	int r;

	if (strlen(url) > URL_MAX)
		return (unreadable(err));
	if ((text = strdup(is_maria ? url + 10 : is_url ? url + 8 : url)) == NULL)
		return (no_memory(err));
	r = parse(text, is_url || is_maria, config, err);
	free(text);
	return (r);
}
