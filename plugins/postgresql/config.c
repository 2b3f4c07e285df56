/*
 * The configuration of a connection: reads the config object of `open`, checks every value, and
 * puts the safe defaults in. Knows libpq's keywords, opens nothing. Called by open.c.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define SCRAM_ITERATIONS_MAX 1000000

struct field {
	const char *name;
	bool is_secret;
	int keyword; /* enum postgresql_keyword, or -1 */
};

static const struct field fields[] = {
    {"connection_url", false, -1}, /* shown, but for a password in it */
    {"host", false, POSTGRESQL_HOST},
    {"port", false, POSTGRESQL_PORT},
    {"dbname", false, POSTGRESQL_DBNAME},
    {"username", false, -1},
    {"password", true, -1},
    {"password_candidate", true, -1},
    {"sslmode", false, POSTGRESQL_SSLMODE},
    {"sslrootcert", false, POSTGRESQL_SSLROOTCERT},
    {"sslcert", false, POSTGRESQL_SSLCERT},
    {"sslkey", false, POSTGRESQL_SSLKEY},
    {"sslcrl", false, POSTGRESQL_SSLCRL},
    {"ssl_min_protocol_version", false, POSTGRESQL_SSL_MIN_PROTOCOL_VERSION},
    {"channel_binding", false, POSTGRESQL_CHANNEL_BINDING},
    {"connect_timeout", false, POSTGRESQL_CONNECT_TIMEOUT},
    {"tls_ca", false, -1},
    {"tls_certificate", false, -1},
    {"private_key", true, -1},
    {"password_authentication", false, -1},
    {"scram_iterations", false, -1},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static const char *const keyword_names[POSTGRESQL_KEYWORD_COUNT] = {
    [POSTGRESQL_HOST] = "host",
    [POSTGRESQL_PORT] = "port",
    [POSTGRESQL_DBNAME] = "dbname",
    [POSTGRESQL_SSLMODE] = "sslmode",
    [POSTGRESQL_SSLROOTCERT] = "sslrootcert",
    [POSTGRESQL_SSLCERT] = "sslcert",
    [POSTGRESQL_SSLKEY] = "sslkey",
    [POSTGRESQL_SSLCRL] = "sslcrl",
    [POSTGRESQL_SSL_MIN_PROTOCOL_VERSION] = "ssl_min_protocol_version",
    [POSTGRESQL_CHANNEL_BINDING] = "channel_binding",
    [POSTGRESQL_CONNECT_TIMEOUT] = "connect_timeout",
};

const char *
postgresql_keyword_name(enum postgresql_keyword keyword)
{
	return (keyword_names[keyword]);
}

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* A field as text; numbers and booleans are taken too. *ret_text is NULL when it is absent, the
 * caller's to free. */
static int
get_text(const json_t *object, const char *name, char **ret_text, struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);
	char number[32];
	const char *text = NULL;

	if (json_is_string(value)) {
		text = json_string_value(value);
	} else if (json_is_integer(value)) {
		(void)snprintf(
		    number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	} else if (json_is_boolean(value)) {
		text = json_is_true(value) ? "true" : "false";
	} else if (value != NULL && !json_is_null(value)) {
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text", name));
	}
	*ret_text = text != NULL && text[0] != '\0' ? strdup(text) : NULL;
	if (*ret_text == NULL && text != NULL && text[0] != '\0')
		return (no_memory(err));
	return (0);
}

static int
read_keywords(const json_t *object, struct postgresql_config *config, struct leased_err *err)
{
	char *text = NULL;
	size_t i;
	int r;

	for (i = 0; i < FIELD_COUNT; i++) {
		if (fields[i].keyword < 0)
			continue;
		if ((r = get_text(object, fields[i].name, &text, err)) != 0)
			return (r);
		if (text == NULL)
			continue;
		if (config->keywords[fields[i].keyword] != NULL) {
			free(text);
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s stands in connection_url too: give it once", fields[i].name));
		}
		config->keywords[fields[i].keyword] = text;
	}
	return (0);
}

static int
read_candidate(const json_t *object, struct postgresql_config *config, struct leased_err *err)
{
	const json_t *candidate = json_object_get(object, "password_candidate");

	if (json_string_length(candidate) == 0)
		return (0);
	config->password_candidate =
	    leased_secret_new(json_string_value(candidate), json_string_length(candidate));
	return (config->password_candidate == NULL ? no_memory(err) : 0);
}

static int
read_login(const json_t *object, struct postgresql_config *config, struct leased_err *err)
{
	const json_t *password = json_object_get(object, "password");
	char *username = NULL;
	int r;

	if ((r = get_text(object, "username", &username, err)) != 0)
		return (r);
	if (username != NULL && config->username != NULL) {
		free(username);
		return (leased_err_set(err, LEASED_EINVAL,
		    "username is given, and connection_url names another user: write {{username}} "
		    "there"));
	}
	if (username != NULL)
		config->username = username;
	if (config->username == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "username is missing"));
	if (password != NULL && !json_is_null(password) && !json_is_string(password))
		return (leased_err_set(err, LEASED_EINVAL, "password: must be a text"));
	if (json_string_length(password) == 0)
		return (0);
	if (config->password != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "password is given, and connection_url holds one: write {{password}} there"));
	config->password =
	    leased_secret_new(json_string_value(password), json_string_length(password));
	if (config->password == NULL)
		return (no_memory(err));
	return (read_candidate(object, config, err));
}

static int
read_options(const json_t *object, struct postgresql_config *config, struct leased_err *err)
{
	char *text = NULL;
	const char *reason = NULL;
	int r;

	if ((r = get_text(object, "password_authentication", &text, err)) != 0)
		return (r);
	if (text != NULL && strcmp(text, "password") == 0)
		config->send_password = true;
	else if (text != NULL && strcmp(text, "scram-sha-256") != 0)
		r = leased_err_set(err, LEASED_EINVAL,
		    "password_authentication: must be scram-sha-256 or password");
	free(text);
	text = NULL;
	if (r != 0 || (r = get_text(object, "scram_iterations", &text, err)) != 0)
		return (r);
	if (text != NULL) {
		config->scram_iterations = (int)strtonum(text, 1, SCRAM_ITERATIONS_MAX, &reason);
		if (reason != NULL)
			r = leased_err_set(err, LEASED_EINVAL,
			    "scram_iterations: must be a number from 1 to %d",
			    SCRAM_ITERATIONS_MAX);
	}
	free(text);
	return (r);
}

/* libpq wants files: a PEM text becomes a memory file that only this process can open. */
static int
read_pem(const json_t *object, const char *name, enum postgresql_keyword keyword,
    struct postgresql_config *config, int *ret_fd, struct leased_err *err)
{
	const json_t *pem = json_object_get(object, name);
	char path[64];
	size_t len = json_string_length(pem), done = 0;
	ssize_t n;

	if (len == 0)
		return (0);
	if (config->keywords[keyword] != NULL)
		return (leased_err_set(err, LEASED_EINVAL, "%s and %s: give one of the two", name,
		    keyword_names[keyword]));
	if ((*ret_fd = memfd_create(name, MFD_CLOEXEC)) < 0 || fchmod(*ret_fd, 0600) != 0)
		return (
		    leased_err_set(err, LEASED_EUNAVAIL, "%s: cannot make a memory file", name));
	while (done < len) {
		if ((n = write(*ret_fd, json_string_value(pem) + done, len - done)) <= 0)
			return (leased_err_set(
			    err, LEASED_EUNAVAIL, "%s: cannot fill a memory file", name));
		done += (size_t)n;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *ret_fd);
	config->keywords[keyword] = strdup(path);
	return (config->keywords[keyword] == NULL ? no_memory(err) : 0);
}

/* Sockets (an absolute path, or @ for the abstract ones) and the loopback network never leave this
 * machine. */
static bool
is_local_host(const char *host, size_t len, bool *ret_is_socket)
{
	char text[64];
	struct in_addr address;

	*ret_is_socket = len > 0 && (host[0] == '/' || host[0] == '@');
	if (*ret_is_socket)
		return (true);
	if (len == 0 || len >= sizeof(text))
		return (false);
	memcpy(text, host, len);
	text[len] = '\0';
	if (strcmp(text, "localhost") == 0 || strcmp(text, "::1") == 0)
		return (true);
	return (inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/* Several hosts may stand there, with commas: the weakest counts. */
static bool
all_hosts_local(const char *hosts, bool *ret_all_sockets)
{
	bool is_socket, all = true;
	size_t len;

	*ret_all_sockets = true;
	for (;; hosts += len + 1) {
		len = strcspn(hosts, ",");
		all &= is_local_host(hosts, len, &is_socket);
		*ret_all_sockets &= is_socket;
		if (hosts[len] == '\0')
			return (all);
	}
}

static int
set_default(struct postgresql_config *config, enum postgresql_keyword keyword, const char *value,
    struct leased_err *err)
{
	if (config->keywords[keyword] == NULL &&
	    (config->keywords[keyword] = strdup(value)) == NULL)
		return (no_memory(err));
	return (0);
}

/* Nothing is left to libpq's own defaults, which take a connection without TLS, and environment and
 * files of the user. */
static int
set_defaults(struct postgresql_config *config, struct leased_err *err)
{
	static const char *const modes[] = {
	    "disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
	const char *host = config->keywords[POSTGRESQL_HOST], *mode, *reason = NULL;
	bool is_local, all_sockets, is_tls;
	size_t i;
	int r;

	if (host == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "host is missing: give host, or connection_url with a host in it"));
	is_local = all_hosts_local(host, &all_sockets);
	if ((r = set_default(
		 config, POSTGRESQL_SSLMODE, is_local ? "prefer" : "verify-full", err)) != 0)
		return (r);
	mode = config->keywords[POSTGRESQL_SSLMODE];
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]) && strcmp(mode, modes[i]) != 0; i++)
		;
	if (i == sizeof(modes) / sizeof(modes[0]))
		return (leased_err_set(err, LEASED_EINVAL,
		    "sslmode: must be disable, allow, prefer, require, verify-ca or verify-full"));
	is_tls = !all_sockets && i >= 3;
	config->is_guarded = config->password != NULL && is_local && !is_tls;
	config->tries_tls = config->is_guarded && !all_sockets && i > 0;
	if (i >= 4 && (r = set_default(config, POSTGRESQL_SSLROOTCERT, SYSTEM_CA_FILE, err)) != 0)
		return (r);
	if ((r = set_default(config, POSTGRESQL_CHANNEL_BINDING,
		 is_tls && config->password != NULL ? "require" : "prefer", err)) != 0 ||
	    (r = set_default(config, POSTGRESQL_DBNAME, "postgres", err)) != 0 ||
	    (r = set_default(config, POSTGRESQL_PORT, "5432", err)) != 0 ||
	    (r = set_default(config, POSTGRESQL_SSL_MIN_PROTOCOL_VERSION, "TLSv1.2", err)) != 0)
		return (r);
	if ((r = set_default(config, POSTGRESQL_CONNECT_TIMEOUT, "5", err)) != 0)
		return (r);
	(void)strtonum(config->keywords[POSTGRESQL_CONNECT_TIMEOUT], 1, 60, &reason);
	if (reason != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connect_timeout: must be a number of seconds from 1 to 60"));
	return (0);
}

int
postgresql_config_new(
    const json_t *object, struct postgresql_config **ret_config, struct leased_err *err)
{
	struct postgresql_config *config = calloc(1, sizeof(*config));
	char *url = NULL;
	int r;

	if (config == NULL)
		return (no_memory(err));
	config->tag = POSTGRESQL_CONFIG_TAG;
	config->scram_iterations = 4096;
	config->tls_fds[0] = config->tls_fds[1] = config->tls_fds[2] = -1;
	if ((r = get_text(object, "connection_url", &url, err)) != 0)
		goto out;
	if (url != NULL && (r = postgresql_url_parse(url, config, err)) != 0)
		goto out;
	if ((r = read_keywords(object, config, err)) != 0 ||
	    (r = read_login(object, config, err)) != 0 ||
	    (r = read_options(object, config, err)) != 0)
		goto out;
	if ((r = read_pem(object, "tls_ca", POSTGRESQL_SSLROOTCERT, config, &config->tls_fds[0],
		 err)) != 0 ||
	    (r = read_pem(object, "tls_certificate", POSTGRESQL_SSLCERT, config,
		 &config->tls_fds[1], err)) != 0 ||
	    (r = read_pem(
		 object, "private_key", POSTGRESQL_SSLKEY, config, &config->tls_fds[2], err)) != 0)
		goto out;
	if ((r = set_defaults(config, err)) != 0)
		goto out;
	*ret_config = config;
	config = NULL;
out:
	if (url != NULL)
		leased_wipe(url, strlen(url));
	free(url);
	postgresql_config_free(config);
	return (r);
}

void
postgresql_config_free(struct postgresql_config *config)
{
	int i;

	if (config == NULL)
		return;
	for (i = 0; i < POSTGRESQL_KEYWORD_COUNT; i++)
		free(config->keywords[i]);
	for (i = 0; i < 3; i++)
		if (config->tls_fds[i] >= 0)
			(void)close(config->tls_fds[i]);
	free(config->username);
	leased_secret_free(config->password);
	leased_secret_free(config->password_candidate);
	config->tag = 0;
	free(config);
}

void
postgresql_config_where(const struct postgresql_config *config, char *ret_text, size_t size)
{
	(void)snprintf(ret_text, size, "%.200s:%.32s", config->keywords[POSTGRESQL_HOST],
	    config->keywords[POSTGRESQL_PORT]);
}

json_t *
postgresql_config_fields(void)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array != NULL && i < FIELD_COUNT; i++) {
		if (json_array_append_new(
			array, json_pack("{s:s, s:b, s:b}", "name", fields[i].name, "secret",
				   fields[i].is_secret, "required", 0)) != 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return (array);
}
