/*
 * The configuration of a connection: reads the config object of `open`, checks every value, and
 * puts the safe defaults in. Opens nothing but memory files. Called by open.c.
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
#define DEFAULT_PORT 3306
#define CONNECT_TIMEOUT_MAX_S 60

static const struct {
	const char *name;
	bool is_secret;
} fields[] = {
    {"connection_url", false},
    {"host", false},
    {"port", false},
    {"socket", false},
    {"database", false},
    {"username", false},
    {"password", true},
    {"password_candidate", true},
    {"tls_mode", false},
    {"tls_ca", false},
    {"tls_crl", false},
    {"tls_certificate", false},
    {"private_key", true},
    {"tls_certificate_key", true},
    {"connect_timeout", false},
    {"user_host", false},
    {"password_authentication", false},
    {"expiry_event", false},
    {"event_schema", false},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* tls_certificate_key is Vault's: both in one. */
static const struct {
	const char *name;
	enum maria_tls_file file;
} tls_fields[] = {{"tls_ca", MARIA_TLS_CA}, {"tls_crl", MARIA_TLS_CRL},
    {"tls_certificate", MARIA_TLS_CERTIFICATE}, {"private_key", MARIA_TLS_KEY},
    {"tls_certificate_key", MARIA_TLS_CERTIFICATE}};

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

/* A field that connection_url may have given already. */
static int
take_text(const json_t *object, const char *name, char **place, struct leased_err *err)
{
	char *text = NULL;
	int r;

	if ((r = get_text(object, name, &text, err)) != 0 || text == NULL)
		return (r);
	if (*place != NULL) {
		free(text);
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s stands in connection_url too: give it once", name));
	}
	*place = text;
	return (0);
}

static int
take_secret(
    const json_t *object, const char *name, struct leased_secret **place, struct leased_err *err)
{
	const json_t *value = json_object_get(object, name);

	if (value != NULL && !json_is_null(value) && !json_is_string(value))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a text", name));
	if (json_string_length(value) == 0)
		return (0);
	*place = leased_secret_new(json_string_value(value), json_string_length(value));
	return (*place == NULL ? no_memory(err) : 0);
}

static int
take_bool(const json_t *object, const char *name, bool *place, struct leased_err *err)
{
	char *text = NULL;
	int r;

	if ((r = get_text(object, name, &text, err)) != 0)
		return (r);
	*place = text != NULL && strcmp(text, "true") == 0;
	if (text != NULL && !*place && strcmp(text, "false") != 0)
		r = leased_err_set(err, LEASED_EINVAL, "%s: must be true or false", name);
	free(text);
	return (r);
}

static int
read_login(const json_t *object, struct maria_config *config, struct leased_err *err)
{
	int r;

	if ((r = take_text(object, "username", &config->username, err)) != 0 ||
	    (r = take_secret(object, "password", &config->password, err)) != 0)
		return (r);
	if (config->username == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "username is missing"));
	if (config->password == NULL)
		return (0);
	return (take_secret(object, "password_candidate", &config->password_candidate, err));
}

/* The library would read connection strings, lists and addresses of its own out of other names. */
static int
check_host(const struct maria_config *config, struct leased_err *err)
{
	size_t len = config->host != NULL ? strlen(config->host) : 0;

	if (config->host != NULL && config->socket != NULL)
		return (leased_err_set(err, LEASED_EINVAL, "host and socket: give one of the two"));
	if (config->socket != NULL && (config->socket[0] != '/' || strlen(config->socket) > 107))
		return (leased_err_set(
		    err, LEASED_EINVAL, "socket: must be an absolute path of at most 107 bytes"));
	if (config->socket == NULL && config->host == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "host is missing: give host, socket, or connection_url with one in it"));
	if (config->host != NULL &&
	    (len > 253 ||
		strspn(config->host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789.:_-") != len))
		return (leased_err_set(err, LEASED_EINVAL, "host: must be one name or address"));
	return (0);
}

uint16_t
maria_port_parse(const char *text)
{
	const char *reason = NULL;
	uint16_t port = (uint16_t)strtonum(text, 1, UINT16_MAX, &reason);

	return (reason == NULL ? port : 0);
}

static int
read_place(const json_t *object, struct maria_config *config, struct leased_err *err)
{
	char *port = NULL;
	int r;

	if ((r = take_text(object, "host", &config->host, err)) != 0 ||
	    (r = take_text(object, "socket", &config->socket, err)) != 0 ||
	    (r = take_text(object, "database", &config->database, err)) != 0 ||
	    (r = check_host(config, err)) != 0 || (r = get_text(object, "port", &port, err)) != 0)
		return (r);
	if (port != NULL && config->port != 0)
		r = leased_err_set(
		    err, LEASED_EINVAL, "port stands in connection_url too: give it once");
	else if (port != NULL && (config->port = maria_port_parse(port)) == 0)
		r = leased_err_set(err, LEASED_EINVAL, "port: must be a number from 1 to 65535");
	else if (config->port == 0)
		config->port = DEFAULT_PORT;
	free(port);
	return (r);
}

/* ---- TLS ---- */

/* The library wants files: a PEM text becomes a memory file that only this process can open. */
static int
make_file(const char *name, const char *pem, int *ret_fd, char **ret_path, struct leased_err *err)
{
	size_t len = strlen(pem), done = 0;
	char path[64];
	ssize_t n;

	if ((*ret_fd = memfd_create(name, MFD_CLOEXEC)) < 0 || fchmod(*ret_fd, 0600) != 0)
		return (
		    leased_err_set(err, LEASED_EUNAVAIL, "%s: cannot make a memory file", name));
	while (done < len) {
		if ((n = write(*ret_fd, pem + done, len - done)) <= 0)
			return (leased_err_set(
			    err, LEASED_EUNAVAIL, "%s: cannot fill a memory file", name));
		done += (size_t)n;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *ret_fd);
	*ret_path = strdup(path);
	return (*ret_path == NULL ? no_memory(err) : 0);
}

/* Either PEM or the absolute path of a file. */
static int
read_tls_file(const json_t *object, const char *name, enum maria_tls_file file,
    struct maria_config *config, struct leased_err *err)
{
	char *text = NULL;
	int r;

	if ((r = get_text(object, name, &text, err)) != 0 || text == NULL)
		return (r);
	if (config->tls_files[file] != NULL) {
		r = leased_err_set(err, LEASED_EINVAL, "%s: the certificate is given twice", name);
	} else if (text[0] == '/') {
		config->tls_files[file] = text;
		text = NULL;
	} else if (strncmp(text, "-----BEGIN", 10) == 0) {
		r = make_file(name, text, &config->tls_fds[file], &config->tls_files[file], err);
	} else {
		r = leased_err_set(err, LEASED_EINVAL,
		    "%s: must be a PEM text, or the absolute path of a file with one", name);
	}
	if (text != NULL)
		leased_wipe(text, strlen(text));
	free(text);
	return (r);
}

/* The loopback network never leaves this machine. */
static bool
is_local_host(const char *host)
{
	struct in_addr address;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
		return (true);
	return (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/*
 * Nothing is left to the library's defaults, which neither enforce TLS nor verify it. Without it
 * only methods are used that bring no password on the wire (session.c), and only on this machine.
 */
static int
decide_tls(struct maria_config *config, struct leased_err *err)
{
	bool is_local = config->socket != NULL || is_local_host(config->host);
	bool has_files = config->tls_files[MARIA_TLS_CA] != NULL ||
			 config->tls_files[MARIA_TLS_CERTIFICATE] != NULL;
	const char *mode = config->tls_mode;

	if (mode != NULL && strcmp(mode, "verify") != 0 && strcmp(mode, "disable") != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "tls_mode: must be verify (the server's certificate and its name) or disable"));
	config->is_tls = mode != NULL ? strcmp(mode, "verify") == 0
				      : !is_local || (has_files && config->host != NULL);
	if (config->is_tls && config->socket != NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "tls_mode: a Unix socket has no TLS; leave it out"));
	if (!config->is_tls && !is_local)
		return (leased_err_set(err, LEASED_EINVAL,
		    "tls_mode: disable is for a server on this machine only (a Unix socket or a "
		    "loopback address)"));
	if (!config->is_tls && has_files)
		return (leased_err_set(
		    err, LEASED_EINVAL, "tls_ca and tls_certificate are for tls_mode = verify"));
	if (config->is_tls && config->tls_files[MARIA_TLS_CA] == NULL &&
	    (config->tls_files[MARIA_TLS_CA] = strdup(SYSTEM_CA_FILE)) == NULL)
		return (no_memory(err));
	/* A key may stand behind its certificate, in one file. */
	if (config->tls_files[MARIA_TLS_CERTIFICATE] != NULL &&
	    config->tls_files[MARIA_TLS_KEY] == NULL &&
	    (config->tls_files[MARIA_TLS_KEY] = strdup(config->tls_files[MARIA_TLS_CERTIFICATE])) ==
		NULL)
		return (no_memory(err));
	return (0);
}

static int
read_tls(const json_t *object, struct maria_config *config, struct leased_err *err)
{
	size_t i;
	int r;

	if ((r = take_text(object, "tls_mode", &config->tls_mode, err)) != 0)
		return (r);
	for (i = 0; i < sizeof(tls_fields) / sizeof(tls_fields[0]); i++)
		if ((r = read_tls_file(
			 object, tls_fields[i].name, tls_fields[i].file, config, err)) != 0)
			return (r);
	return (decide_tls(config, err));
}

/* ---- the rest ---- */

static int
read_events(const json_t *object, struct maria_config *config, struct leased_err *err)
{
	int r;

	if ((r = take_bool(object, "expiry_event", &config->has_expiry_event, err)) != 0 ||
	    (r = take_text(object, "event_schema", &config->event_schema, err)) != 0)
		return (r);
	if (config->has_expiry_event && config->event_schema == NULL && config->database != NULL &&
	    (config->event_schema = strdup(config->database)) == NULL)
		return (no_memory(err));
	if (config->has_expiry_event && config->event_schema == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "expiry_event: an event lives in a schema, name it in event_schema"));
	return (0);
}

static int
read_options(const json_t *object, struct maria_config *config, struct leased_err *err)
{
	char *text = NULL;
	const char *reason = NULL;
	int r;

	if ((r = get_text(object, "password_authentication", &text, err)) != 0)
		return (r);
	config->send_password = text != NULL && strcmp(text, "password") == 0;
	if (text != NULL && !config->send_password && strcmp(text, "hash") != 0)
		r = leased_err_set(
		    err, LEASED_EINVAL, "password_authentication: must be hash or password");
	free(text);
	text = NULL;
	if (r != 0 || (r = get_text(object, "connect_timeout", &text, err)) != 0)
		return (r);
	config->connect_timeout_s = 5;
	if (text != NULL)
		config->connect_timeout_s =
		    (unsigned)strtonum(text, 1, CONNECT_TIMEOUT_MAX_S, &reason);
	free(text);
	if (reason != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "connect_timeout: must be a number of seconds from 1 to %d",
		    CONNECT_TIMEOUT_MAX_S));
	if ((r = take_text(object, "user_host", &config->user_host, err)) != 0)
		return (r);
	if (config->user_host == NULL && (config->user_host = strdup("%")) == NULL)
		return (no_memory(err));
	if (strlen(config->user_host) > MARIA_HOST_MAX ||
	    config->user_host[strcspn(config->user_host, " `'\"\\@")] != '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "user_host: must be a host as accounts have it (%%, 10.1.%%, db.example), at "
		    "most %d bytes",
		    MARIA_HOST_MAX));
	return (read_events(object, config, err));
}

int
maria_config_new(const json_t *object, struct maria_config **ret_config, struct leased_err *err)
{
	struct maria_config *config = calloc(1, sizeof(*config));
	char *url = NULL;
	int i, r;

	if (config == NULL)
		return (no_memory(err));
	config->tag = MARIA_CONFIG_TAG;
	for (i = 0; i < MARIA_TLS_COUNT; i++)
		config->tls_fds[i] = -1;
	if ((r = get_text(object, "connection_url", &url, err)) != 0)
		goto out;
	if (url != NULL && (r = maria_url_parse(url, config, err)) != 0)
		goto out;
	if ((r = read_place(object, config, err)) != 0 ||
	    (r = read_login(object, config, err)) != 0 ||
	    (r = read_tls(object, config, err)) != 0 ||
	    (r = read_options(object, config, err)) != 0)
		goto out;
	*ret_config = config;
	config = NULL;
out:
	if (url != NULL)
		leased_wipe(url, strlen(url));
	free(url);
	maria_config_free(config);
	return (r);
}

void
maria_config_free(struct maria_config *config)
{
	int i;

	if (config == NULL)
		return;
	for (i = 0; i < MARIA_TLS_COUNT; i++) {
		if (config->tls_fds[i] >= 0)
			(void)close(config->tls_fds[i]);
		free(config->tls_files[i]);
	}
	free(config->host);
	free(config->socket);
	free(config->database);
	free(config->username);
	free(config->tls_mode);
	free(config->user_host);
	free(config->event_schema);
	leased_secret_free(config->password);
	leased_secret_free(config->password_candidate);
	config->tag = 0;
	free(config);
}

void
maria_config_where(const struct maria_config *config, char *ret_text, size_t size)
{
	if (config->socket != NULL)
		(void)snprintf(ret_text, size, "%.200s", config->socket);
	else
		(void)snprintf(ret_text, size, "%.200s:%u", config->host, (unsigned)config->port);
}

json_t *
maria_config_fields(void)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; array != NULL && i < FIELD_COUNT; i++) {
		if (json_array_append_new(
			array, json_pack("{s:s, s:b, s:b}", "name", fields[i].name, "secret",
				   (int)fields[i].is_secret, "required", 0)) != 0) {
			json_decref(array);
			array = NULL;
		}
	}
	return (array);
}
