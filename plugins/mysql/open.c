/*
 * Describe, open and ping: what the plugin is, and the one connection that a worker works on.
 * Called through the plugin's table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "config.h"
#include "maria.h"

/* Of <mysql/client_plugin.h>, which includes a file that Debian's package does not have. */
struct st_mysql_client_plugin *mysql_client_find_plugin(
    MYSQL *connection, const char *name, int type);
#define AUTHENTICATION_PLUGIN 2

struct maria *
maria_from(void *ctx)
{
	struct maria *plugin = ctx;

	if (plugin == NULL || plugin->tag != MARIA_TAG)
		abort();
	return (plugin);
}

int
maria_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *fields = maria_config_fields(), *more;

	(void)ctx;
	more = json_pack("{s:i, s:s, s:b, s:s, s:b, s:[s,s,s,s,s,s,s,s], s:[s,s,s]}", "name_max",
	    MARIA_NAME_MAX, "name_alphabet", "A-Za-z0-9_.-", "native_expiry", 0, "dialect", "mysql",
	    "default_statements", 1, "role_fields", "creation_statements", "revocation_statements",
	    "rollback_statements", "renew_statements", "rotation_statements", "grant_roles",
	    "schemas", "access", "role_needs", "creation_statements", "grant_roles", "schemas");
	if (fields == NULL || more == NULL || json_object_update(call->result, more) != 0 ||
	    json_object_set(call->result, "config_fields", fields) != 0)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(fields);
	json_decref(more);
	return (err->code);
}

/* No code is loaded once the worker is confined, and none that a server asks for. */
static void
load_methods(void)
{
	static const char *const names[] = {"client_ed25519", "caching_sha2_password"};
	MYSQL *any = mysql_init(NULL);

	for (size_t i = 0; any != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		(void)mysql_client_find_plugin(any, names[i], AUTHENTICATION_PLUGIN);
	if (any != NULL)
		mysql_close(any);
}

/* The server's clock, from the offset that was measured when the session began. */
static void
format_server_time(const struct maria *plugin, char *ret_text, size_t size)
{
	struct timespec now;
	struct tm tm = {0};
	int64_t server_us;
	time_t seconds;
	size_t len;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	server_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + plugin->offset_us;
	seconds = (time_t)(server_us / 1000000);
	(void)gmtime_r(&seconds, &tm);
	len = strftime(ret_text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret_text + len, size - len, ".%03dZ", (int)(server_us % 1000000 / 1000));
}

/* Where clients connect, as the configuration has it. */
static json_t *
endpoint(const struct maria_config *config)
{
	json_t *object = json_pack("{s:s}", "scheme", "mysql");
	char port[16];
	int bad = object == NULL;

	(void)snprintf(port, sizeof(port), "%u", (unsigned)config->port);
	if (!bad && config->host != NULL)
		bad |= json_object_set_new(object, "host", json_string(config->host)) |
		       json_object_set_new(object, "port", json_string(port));
	if (!bad && config->database != NULL)
		bad |= json_object_set_new(object, "database", json_string(config->database));
	if (bad == 0)
		return (object);
	json_decref(object);
	return (NULL);
}

/* An event ends accounts without us, while the server's scheduler runs. */
static int
tell_expiry(const struct maria *plugin, json_t *result)
{
	json_t *warnings;

	if (!plugin->config->has_expiry_event)
		return (0);
	if (plugin->has_scheduler)
		return (json_object_set_new(result, "native_expiry", json_true()));
	warnings = json_pack("[s]", "expiry_event is set, but the server's event_scheduler is off, "
				    "so that accounts do not end by themselves: run SET GLOBAL "
				    "event_scheduler = ON, and put it into the server's settings");
	return (json_object_set_new(result, "warnings", warnings));
}

int
maria_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	const char *tag = leased_get_string_optional(call->params, "tag");
	const char *instance = leased_get_string_optional(call->params, "instance");
	struct maria_config *config = NULL;
	char server_time[40];
	int r;

	if ((r = maria_config_new(json_object_get(call->params, "config"), &config, err)) != 0)
		return (r);
	maria_session_close(&plugin->main); /* an open that failed may be repeated */
	plugin->server[0] = '\0';
	maria_config_free(plugin->config);
	free(plugin->store_tag);
	free(plugin->instance);
	plugin->config = config;
	plugin->store_tag = strdup(tag != NULL ? tag : "");
	plugin->instance = strdup(instance != NULL ? instance : "");
	if (plugin->store_tag == NULL || plugin->instance == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	load_methods();
	if ((r = maria_config_confine(config, err)) != 0 ||
	    (r = maria_session_ready(plugin, call, err)) != 0)
		return (r);
	format_server_time(plugin, server_time, sizeof(server_time));
	if (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0 ||
	    json_object_set_new(call->result, "server_time", json_string(server_time)) != 0 ||
	    json_object_set_new(call->result, "endpoint", endpoint(plugin->config)) != 0 ||
	    tell_expiry(plugin, call->result) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
maria_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	char incarnation[32];
	int r;

	if (plugin->config == NULL)
		return (0); /* before open: this worker lives */
	if ((r = maria_session_ready(plugin, call, err)) != 0 ||
	    (r = maria_query_text(&plugin->main, call, MARIA_READS, "DO 0", NULL, err)) != 0)
		return (r);
	/* A server that was started anew ended this session, and the next one read its start. */
	(void)snprintf(incarnation, sizeof(incarnation), "%lld", (long long)plugin->started_s);
	if (json_object_set_new(call->result, "incarnation", json_string(incarnation)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
