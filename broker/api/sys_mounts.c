/*
 * The tables of mounts (sys/mounts, sys/auth) and what a client's preflight asks of them
 * (sys/internal/ui/mounts). What a mount is, and whether one may be made, engine/ knows; sys/,
 * cubbyhole/ and identity/ are listed for clients that count on them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/reply.h"
#include "base/utf8.h"

static const char *const reserved[] = {"sys", "auth", "identity", "cubbyhole", "audit"};

static json_t *
builtin_info(const char *type, const char *description)
{
	char accessor[40];

	(void)snprintf(accessor, sizeof(accessor), "%s_00000000", type);
	return (json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:n, s:s, s:s, s:s, s:s, s:s,"
			  " s:{s:i, s:i, s:b}}",
	    "type", type, "description", description, "accessor", accessor, "local", 0, "seal_wrap",
	    0, "external_entropy_access", 0, "options", "uuid", "", "plugin_version", "",
	    "running_plugin_version", "", "running_sha256", "", "deprecation_status", "supported",
	    "config", "default_lease_ttl", 0, "max_lease_ttl", 0, "force_no_cache", 0));
}

static json_t *
all_mounts(struct api *api)
{
	json_t *mounts = engines_mounts(api->config.engines);
	int r = 0;

	if (mounts == NULL)
		return (NULL);
	r |= json_object_set_new(mounts, "sys/",
	    builtin_info("system", "control of leased itself: policies, leases, mounts"));
	r |= json_object_set_new(
	    mounts, "cubbyhole/", builtin_info("cubbyhole", "not available in this version"));
	r |= json_object_set_new(
	    mounts, "identity/", builtin_info("identity", "not available in this version"));
	if (r == 0)
		return (mounts);
	json_decref(mounts);
	return (NULL);
}

void
api_sys_mounts(struct api_request *request)
{
	api_reply_data(request, all_mounts(request->api));
}

void
api_sys_auth(struct api_request *request)
{
	api_reply_data(request, auth_mounts(request->api->config.auth));
}

/* path with one '/' at its end, as the tables key it; the caller frees. */
static char *
mount_key(const char *path)
{
	size_t len = strlen(path);
	char *key = malloc(len + 2);

	if (key == NULL)
		return (NULL);
	while (len > 0 && path[len - 1] == '/')
		len--;
	memcpy(key, path, len);
	(void)stpcpy(key + len, "/");
	return (key);
}

/* Answers with table[path/]; table is taken. */
static void
reply_entry(struct api_request *request, json_t *table, const char *what)
{
	char *key = mount_key(request->captures[0]);
	json_t *info;

	if (table == NULL || key == NULL) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
	} else if ((info = json_object_get(table, key)) == NULL) {
		api_reply_refuse(request, LEASED_EINVAL, "No %s mount at %s", what, key);
	} else {
		api_reply_data(request, json_incref(info));
	}
	free(key);
	json_decref(table);
}

void
api_sys_auth_mount(struct api_request *request)
{
	reply_entry(request, auth_mounts(request->api->config.auth), "auth engine");
}

static bool
is_reserved(const char *path)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		size_t len = strlen(reserved[i]);

		if (strncmp(path, reserved[i], len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return (true);
	}
	return (false);
}

/* A mount below another element, sys/mounts/a/b/tune: else this would mount "a/b/tune". */
static bool
ends_with_tune(const char *path)
{
	size_t len = strlen(path);

	return (len >= 5 && strncmp(path + len - 5, "/tune", 5) == 0);
}

static void
reply_no_tuning(struct api_request *request)
{
	api_reply_refuse(request, LEASED_EINVAL,
	    "tuning a mount is not available in this version: give its roles their own "
	    "default_ttl and max_ttl");
}

void
api_sys_mount(struct api_request *request)
{
	struct lease_actor actor = api_request_actor(request);
	struct engines *engines = request->api->config.engines;
	const char *path = request->captures[0];
	char *key;

	if (request->operation == API_READ) {
		reply_entry(request, all_mounts(request->api), "secret engine");
		return;
	}
	if (request->operation == API_WRITE && ends_with_tune(path)) {
		reply_no_tuning(request);
		return;
	}
	if (is_reserved(path)) {
		api_reply_refuse(request, LEASED_EINVAL,
		    "cannot change the mount \"%s\": it is a part of leased itself",
		    UTF8_SHORT(path, 100));
		return;
	}
	if ((key = mount_key(path)) == NULL) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	if (request->operation == API_WRITE)
		engines_mount_add(engines, key, request->body, api_on_written, request);
	else
		engines_mount_remove(engines, key, request->id, &actor, api_on_written, request);
	free(key);
}

/* What holds in the end: the mount's own figures, else the system's. */
void
api_sys_mount_tune(struct api_request *request)
{
	const struct api_config *config = &request->api->config;
	json_t *mounts, *info, *tune;
	int64_t ttl_s, max_s;
	char *key;

	if (request->operation == API_WRITE) {
		reply_no_tuning(request);
		return;
	}
	mounts = all_mounts(request->api);
	key = mount_key(request->captures[0]);
	info = json_object_get(mounts, key != NULL ? key : "");
	if (info == NULL) {
		api_reply_refuse(
		    request, LEASED_EINVAL, "No secret engine mount at %s", key != NULL ? key : "");
	} else {
		tune = json_object_get(info, "config");
		ttl_s = json_integer_value(json_object_get(tune, "default_lease_ttl"));
		max_s = json_integer_value(json_object_get(tune, "max_lease_ttl"));
		api_reply_data(request,
		    json_pack("{s:I, s:I, s:b, s:O}", "default_lease_ttl",
			(json_int_t)(ttl_s > 0 ? ttl_s : config->default_ttl_s), "max_lease_ttl",
			(json_int_t)(max_s > 0 ? max_s : config->max_ttl_s), "force_no_cache", 0,
			"description", json_object_get(info, "description")));
	}
	free(key);
	json_decref(mounts);
}

/* ---- preflight ---- */

/* Keeps of table what the caller can do something below. prefix: of the policies' paths. */
static json_t *
visible(const struct api_request *request, const json_t *table, const char *prefix)
{
	json_t *kept = json_object();
	const char *key;
	json_t *info;
	char path[300];
	int r = table == NULL;

	if (kept == NULL || request->identity == NULL)
		return (kept);
	json_object_foreach((json_t *)(uintptr_t)table, key, info)
	{
		(void)snprintf(path, sizeof(path), "%s%s", prefix, key);
		if (policy_acl_any_below(request->identity->acl, path))
			r |= json_object_set(kept, key, info);
	}
	if (r == 0)
		return (kept);
	json_decref(kept);
	return (NULL);
}

void
api_sys_ui_mounts(struct api_request *request)
{
	json_t *mounts = all_mounts(request->api);
	json_t *auths = auth_mounts(request->api->config.auth);

	/* Nothing is shown to those who are nobody. */
	api_reply_data(request, json_pack("{s:o, s:o}", "secret", visible(request, mounts, ""),
				    "auth", visible(request, auths, "auth/")));
	json_decref(mounts);
	json_decref(auths);
}

void
api_sys_ui_mount(struct api_request *request)
{
	const struct engine_mount *mount;
	const char *path = request->captures[0], *rest;
	json_t *info;

	mount = engines_route(request->api->config.engines, path, &rest);
	if (request->identity == NULL || mount == NULL ||
	    !policy_acl_any_below(request->identity->acl, engine_mount_path(mount))) {
		api_reply_refuse(request, LEASED_EDENIED,
		    "preflight capability check returned 403, please ensure client's policies "
		    "grant access to path \"%s/\"",
		    UTF8_SHORT(path, 200));
		return;
	}
	info = engine_mount_info(mount);
	if (info != NULL &&
	    json_object_set_new(info, "path", json_string(engine_mount_path(mount))) != 0) {
		json_decref(info);
		info = NULL;
	}
	api_reply_data(request, info);
}
