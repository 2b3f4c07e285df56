/*
 * Describe, open and ping: what the plugin is, and the one connection that a worker works on.
 * Called through the plugin's table.
 */
#include "postgresql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"

struct postgresql *
postgresql_from(void *ctx)
{
	struct postgresql *plugin = ctx;

	if (plugin == NULL || plugin->tag != POSTGRESQL_TAG)
		abort();
	return (plugin);
}

int
postgresql_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *fields = postgresql_config_fields(), *more;

	(void)ctx;
	more = json_pack("{s:s, s:i, s:i, s:s, s:b, s:s, s:b, s:[s,s,s,s,s,s,s], s:[s,s]}", "name",
	    "postgresql", "protocol", 1, "name_max", 63, "name_alphabet", "A-Za-z0-9_.-",
	    "native_expiry", 1, "dialect", "postgresql", "default_statements", 1, "role_fields",
	    "creation_statements", "revocation_statements", "rollback_statements",
	    "renew_statements", "rotation_statements", "grant_roles", "owned_objects", "role_needs",
	    "creation_statements", "grant_roles");
	if (fields == NULL || more == NULL || json_object_update(call->result, more) != 0 ||
	    json_object_set(call->result, "config_fields", fields) != 0)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(fields);
	json_decref(more);
	return (err->code);
}

/* The server's clock, from the offset that was measured when the session began. */
static void
format_server_time(const struct postgresql *plugin, char *ret_text, size_t size)
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

/* Where clients connect, as the configuration has it; a value that it leaves to libpq is left out.
 */
static json_t *
endpoint(const struct postgresql_config *config)
{
	static const struct {
		const char *name;
		enum postgresql_keyword keyword;
	} fields[] = {
	    {"host", POSTGRESQL_HOST}, {"port", POSTGRESQL_PORT}, {"database", POSTGRESQL_DBNAME}};
	json_t *object = json_pack("{s:s}", "scheme", "postgresql");
	size_t i;

	for (i = 0; object != NULL && i < sizeof(fields) / sizeof(fields[0]); i++)
		if (config->keywords[fields[i].keyword] != NULL &&
		    json_object_set_new(object, fields[i].name,
			json_string(config->keywords[fields[i].keyword])) != 0) {
			json_decref(object);
			return (NULL);
		}
	return (object);
}

int
postgresql_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	const char *tag = leased_get_string_optional(call->params, "tag");
	const char *instance = leased_get_string_optional(call->params, "instance");
	struct postgresql_config *config = NULL;
	char server_time[40];
	int r;

	if ((r = postgresql_config_new(json_object_get(call->params, "config"), &config, err)) != 0)
		return (r);
	postgresql_session_close(&plugin->main); /* an open that failed may be repeated */
	plugin->server[0] = '\0';
	postgresql_config_free(plugin->config);
	free(plugin->store_tag);
	free(plugin->instance);
	plugin->config = config;
	plugin->store_tag = strdup(tag != NULL ? tag : "");
	plugin->instance = strdup(instance != NULL ? instance : "");
	if (plugin->store_tag == NULL || plugin->instance == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = postgresql_config_confine(config, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0)
		return (r);
	format_server_time(plugin, server_time, sizeof(server_time));
	if (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0 ||
	    json_object_set_new(call->result, "server_time", json_string(server_time)) != 0 ||
	    json_object_set_new(call->result, "endpoint", endpoint(plugin->config)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
postgresql_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	PGresult *rows = NULL;
	int r;

	if (plugin->config == NULL)
		return (0); /* before open: this worker lives */
	if ((r = postgresql_session_ready(plugin, call, err)) != 0)
		return (r);
	/* Whoever restores the server, or starts it anew, may bring roles back: told apart by this.
	 */
	r = postgresql_query_text(&plugin->main, call,
	    "SELECT c.timeline_id::text || ' ' || pg_catalog.pg_postmaster_start_time()::text"
	    " FROM pg_catalog.pg_control_checkpoint() c",
	    &rows, err);
	if (r != 0 && strcmp(plugin->main.sqlstate, "42501") == 0) {
		/* This administrator may not know the timeline. */
		*err = (struct leased_err)LEASED_ERR_INIT;
		r = postgresql_query_text(&plugin->main, call,
		    "SELECT pg_catalog.pg_postmaster_start_time()::text", &rows, err);
	}
	if (r == 0 && PQntuples(rows) == 1 &&
	    json_object_set_new(call->result, "incarnation", json_string(PQgetvalue(rows, 0, 0))) !=
		0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	PQclear(rows);
	return (r);
}
