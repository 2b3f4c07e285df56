/*
 * The blocks of leased.hcl that shape the process: seal, listener, log, limits, plugin. Called by
 * config.c alone.
 */
#include <grp.h>
#include <string.h>

#include "config/config_private.h"

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL}; /* enum config_tls_version */
static const char *const log_formats[] = {"text", "json", NULL};

#define UNAUTHENTICATED_METRICS                                                                    \
	{                                                                                          \
		.name = "unauthenticated_metrics", .kind = CONFIG_BOOL,                            \
		.offset = offsetof(struct config_listener, unauthenticated_metrics)                \
	}

static const struct config_setting seal_file[] = {
    {.name = "path",
	.kind = CONFIG_PATH,
	.required = true,
	.offset = offsetof(struct config, seal_path)},
    {.name = NULL},
};

static const struct config_setting audit_file[] = {
    {.name = "path",
	.kind = CONFIG_PATH,
	.required = true,
	.offset = offsetof(struct config, audit_path)},
    {.name = NULL},
};

static const struct config_setting listener_unix[] = {
    {.name = "group", .kind = CONFIG_STRING, .offset = offsetof(struct config_listener, group)},
    {.name = "mode", .kind = CONFIG_MODE, .offset = offsetof(struct config_listener, mode)},
    {.name = "path",
	.kind = CONFIG_SOCKET,
	.required = true,
	.offset = offsetof(struct config_listener, path)},
    UNAUTHENTICATED_METRICS,
    {.name = NULL},
};

static const struct config_setting listener_tcp[] = {
    {.name = "address",
	.kind = CONFIG_ADDRESS,
	.required = true,
	.offset = offsetof(struct config_listener, address)},
    {.name = "tls_cert_file",
	.kind = CONFIG_PATH,
	.offset = offsetof(struct config_listener, tls_cert_file)},
    {.name = "tls_client_ca", .kind = CONFIG_LATER},
    {.name = "tls_client_ca_file", .kind = CONFIG_LATER},
    {.name = "tls_disable",
	.kind = CONFIG_BOOL,
	.offset = offsetof(struct config_listener, tls_disable)},
    {.name = "tls_key_file",
	.kind = CONFIG_PATH,
	.offset = offsetof(struct config_listener, tls_key_file)},
    {.name = "tls_min_version",
	.kind = CONFIG_CHOICE,
	.offset = offsetof(struct config_listener, tls_min_version),
	.choices = tls_versions},
    {.name = "tls_require_and_verify_client_cert", .kind = CONFIG_LATER},
    UNAUTHENTICATED_METRICS,
    {.name = NULL},
};

static const struct config_setting log_settings[] = {
    {.name = "format",
	.kind = CONFIG_CHOICE,
	.offset = offsetof(struct config, log_format),
	.choices = log_formats},
    {.name = "level",
	.kind = CONFIG_CHOICE,
	.offset = offsetof(struct config, log_level),
	.choices = log_levels},
    {.name = NULL},
};

#define POOL_DEFAULT 2
#define POOL_MAX 16
#define PLUGINS_MAX 64

static const struct config_setting plugin_settings[] = {
    {.name = "pool",
	.kind = CONFIG_COUNT,
	.offset = offsetof(struct config_plugin, pool),
	.min = 1,
	.max = POOL_MAX},
    {.name = "program", .kind = CONFIG_PROGRAM, .offset = offsetof(struct config_plugin, program)},
    {.name = NULL},
};

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define LIMIT(name_, kind_, member_, min_, max_)                                                   \
	{                                                                                          \
		.name = (name_), .kind = (kind_),                                                  \
		.offset = offsetof(struct config_limits, member_), .min = (min_), .max = (max_)    \
	}

static const struct config_setting limit_settings[] = {
    LIMIT("bodies", CONFIG_SIZE, bodies, MIB, 1024 * MIB),
    LIMIT("body", CONFIG_SIZE, body, KIB, 32 * MIB),
    LIMIT("body_timeout", CONFIG_DURATION, body_timeout_s, 1, 3600),
    LIMIT("connections", CONFIG_COUNT, connections, 16, 1000000),
    LIMIT("connections_per_peer", CONFIG_COUNT, connections_per_peer, 1, 1000000),
    LIMIT("connections_reserved", CONFIG_COUNT, connections_reserved, 1, 1000),
    LIMIT("delivery_timeout", CONFIG_DURATION, delivery_timeout_s, 1, 60),
    LIMIT("header_bytes", CONFIG_SIZE, header_bytes, KIB, MIB),
    LIMIT("header_count", CONFIG_COUNT, header_count, 8, 1000),
    LIMIT("header_timeout", CONFIG_DURATION, header_timeout_s, 1, 3600),
    LIMIT("idle_timeout", CONFIG_DURATION, idle_timeout_s, 1, 86400),
    LIMIT("pipelined", CONFIG_COUNT, pipelined, 1, 1000),
    LIMIT("request_line", CONFIG_SIZE, request_line, KIB, 64 * KIB),
    LIMIT("tls_handshake_timeout", CONFIG_DURATION, tls_handshake_timeout_s, 1, 60),
    LIMIT("write_timeout", CONFIG_DURATION, write_timeout_s, 1, 3600),
    {.name = NULL},
};

/* The one block called name that has no label; NULL when there is none, or when it is no such block
 * (reported). */
static const json_t *
only_block(struct config_reader *reader, const json_t *root, const char *name)
{
	const json_t *value = json_object_get(root, name);
	const json_t *body = json_is_array(value) ? json_array_get(value, 0) : value;

	if (value == NULL)
		return (NULL);
	if (!json_is_object(body)) {
		config_refuse(reader, root, name, "\"%s\" is a block: write %s { .. }", name, name);
		return (NULL);
	}
	if (json_is_array(value) && json_array_size(value) > 1)
		config_refuse(reader, json_array_get(value, 1), NULL,
		    "a second block \"%s\"; there may be one", name);
	return (body);
}

static int
on_seal(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;

	(void)err;
	if (strcmp(label, "systemd") == 0 || strcmp(label, "shamir") == 0 ||
	    strcmp(label, "tpm") == 0)
		config_refuse(reader, body, NULL,
		    "seal \"%s\" is not available in this version; use seal \"file\"", label);
	else if (strcmp(label, "file") != 0)
		config_refuse(
		    reader, body, NULL, "unknown seal \"%.64s\"; use seal \"file\"", label);
	else if (reader->config->seal_path != NULL)
		config_refuse(reader, body, NULL, "a second block \"seal\"; there may be one");
	else
		config_read_settings(reader, body, seal_file, reader->config, "seal \"file\"");
	return (0);
}

static int
on_audit(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;

	(void)err;
	if (strcmp(label, "socket") == 0 || strcmp(label, "syslog") == 0)
		config_refuse(reader, body, NULL,
		    "audit \"%s\" is not available in this version; use audit \"file\"", label);
	else if (strcmp(label, "file") != 0)
		config_refuse(
		    reader, body, NULL, "unknown audit \"%.64s\"; use audit \"file\"", label);
	else if (reader->config->audit_path != NULL)
		config_refuse(reader, body, NULL, "a second block \"audit\"; there may be one");
	else
		config_read_settings(reader, body, audit_file, reader->config, "audit \"file\"");
	return (0);
}

/* A door that stands twice fails only when the daemon opens it: say it here. */
static void
check_doors(
    struct config_reader *reader, const struct config_listener *listener, const json_t *body)
{
	const struct config *config = reader->config;

	for (size_t i = 0; i + 1 < config->listener_count; i++) {
		const struct config_listener *other = &config->listeners[i];

		if ((listener->path != NULL && other->path != NULL &&
			strcmp(listener->path, other->path) == 0) ||
		    (listener->address != NULL && other->address != NULL &&
			strcmp(listener->address, other->address) == 0))
			config_refuse(reader, body, NULL,
			    "the same listener stands in line %u already", other->line);
	}
}

/* Plain HTTP is for this machine alone, and only where somebody wrote that he wants it. */
static void
check_tls(struct config_reader *reader, const struct config_listener *listener, const json_t *body)
{
	static const char *const keys[] = {"tls_cert_file", "tls_key_file", "tls_min_version"};
	bool has_cert = json_object_get(body, "tls_cert_file") != NULL;
	bool has_key = json_object_get(body, "tls_key_file") != NULL;

	if (has_cert != has_key) {
		config_refuse(reader, body, has_cert ? "tls_cert_file" : "tls_key_file",
		    "TLS needs both: \"tls_cert_file\" and \"tls_key_file\"");
	} else if (listener->tls_disable) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (json_object_get(body, keys[i]) != NULL)
				config_refuse(reader, body, keys[i],
				    "\"%s\" and \"tls_disable\" exclude each other", keys[i]);
		if (listener->address != NULL && !config_address_is_loopback(listener->address))
			config_refuse(reader, body, "address",
			    "\"address\" is no loopback address: without TLS everybody between "
			    "here and the client could read the credentials");
	} else if (!has_cert) {
		config_refuse(reader, body, NULL,
		    "listener \"tcp\" needs \"tls_cert_file\" and \"tls_key_file\" (or "
		    "\"tls_disable = true\", for plain HTTP on a loopback address)");
	}
}

static int
on_listener(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;
	bool is_unix = strcmp(label, "unix") == 0;
	struct config_listener *listener;
	struct hcl_position at = hcl_object_position(reader->doc, body);

	(void)err;
	if (!is_unix && strcmp(label, "tcp") != 0) {
		config_refuse(reader, body, NULL,
		    "unknown listener \"%.64s\"; known are \"unix\" and \"tcp\"", label);
		return (0);
	}
	listener = config_append(
	    reader, &reader->config->listeners, &reader->config->listener_count, sizeof(*listener));
	if (listener == NULL)
		return (0);
	listener->kind = is_unix ? CONFIG_LISTENER_UNIX : CONFIG_LISTENER_TCP;
	listener->mode = 0660;
	listener->tls_min_version = CONFIG_TLS_1_3;
	listener->line = at.line;
	listener->column = at.column;
	config_read_settings(reader, body, is_unix ? listener_unix : listener_tcp, listener,
	    is_unix ? "listener \"unix\"" : "listener \"tcp\"");
	if (!is_unix)
		check_tls(reader, listener, body);
	check_doors(reader, listener, body);
	if (reader->problems->check_machine && listener->group != NULL &&
	    getgrnam(listener->group) == NULL)
		config_refuse(reader, body, "group",
		    "this machine has no group \"%.64s\": make it with groupadd --system %.64s, or "
		    "leave \"group\" out",
		    listener->group, listener->group);
	return (0);
}

/* Is there one of that name already? */
static const struct config_plugin *
find_plugin(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->plugin_count; i++)
		if (config->plugins[i].name != NULL && strcmp(config->plugins[i].name, name) == 0)
			return (&config->plugins[i]);
	return (NULL);
}

/* Without "program" it is named as the plugin is. */
static int
on_plugin(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;
	struct config *config = reader->config;
	struct hcl_position at = hcl_object_position(reader->doc, body);
	const struct config_plugin *other = find_plugin(config, label);
	struct config_plugin *plugin;

	(void)err;
	if (other != NULL || config->plugin_count == PLUGINS_MAX) {
		config_refuse(reader, body, NULL,
		    other != NULL ? "plugin \"%.64s\" stands in line %u already"
				  : "plugin \"%.64s\" is one too many: there may be %u",
		    label, other != NULL ? other->line : PLUGINS_MAX);
		return (0);
	}
	plugin = config_append(reader, &config->plugins, &config->plugin_count, sizeof(*plugin));
	if (plugin == NULL)
		return (0);
	plugin->pool = POOL_DEFAULT;
	plugin->line = at.line;
	plugin->column = at.column;
	if ((plugin->name = strdup(label)) == NULL ||
	    (json_object_get(body, "program") == NULL &&
		(plugin->program = strdup(label)) == NULL)) {
		reader->out_of_memory = true;
		return (0);
	}
	config_read_settings(reader, body, plugin_settings, plugin, "plugin");
	if (strlen(label) > 63 ||
	    strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(label) ||
	    label[0] == '\0')
		config_refuse(reader, body, NULL,
		    "\"%.64s\" is no name for a plugin: at most 63 of a-z, 0-9, _ and -", label);
	return (0);
}

static void
read_limits(struct config_reader *reader, const json_t *body)
{
	struct config_limits *limits = &reader->config->limits;

	config_read_settings(reader, body, limit_settings, limits, "limits");
	if (limits->body > 0 && limits->bodies > 0 && limits->body > limits->bodies)
		config_refuse(reader, body, "bodies",
		    "\"bodies\" is smaller than \"body\": no request could use its limit");
	if (limits->connections > 0 && limits->connections_reserved >= limits->connections)
		config_refuse(reader, body, "connections_reserved",
		    "\"connections_reserved\" leaves no connection to anybody else");
}

void
config_read_blocks(struct config_reader *reader, const json_t *root)
{
	const json_t *body;

	config_each_block(reader, root, "seal", on_seal);
	config_each_block(reader, root, "listener", on_listener);
	config_each_block(reader, root, "audit", on_audit);
	config_each_block(reader, root, "plugin", on_plugin);
	if ((body = only_block(reader, root, "log")) != NULL)
		config_read_settings(reader, body, log_settings, reader->config, "log");
	if ((body = only_block(reader, root, "limits")) != NULL)
		read_limits(reader, body);
}
