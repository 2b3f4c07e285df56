/*
 * leased -config FILE, and leased check: from leased.hcl to a daemon that listens where the file
 * says. What the file may say is config/'s; what a policy in it means, policy/'s; how it is judged
 * beside a daemon that serves, reading.c's. Called by main.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve.h"

#include "base/harden.h"
#include "base/log.h"
#include "policy/policy.h"

/* ---- reading it ---- */

struct policy_reader {
	struct config_problems *problems;
	bool out_of_memory;
};

static void
on_mistake(void *arg, const char *text)
{
	struct policy_reader *reader = arg;

	if (config_problem_add(reader->problems, text, NULL) != 0)
		reader->out_of_memory = true;
}

/* Policies are parsed where they stand, so that a mistake in one has its place in the file. */
int
main_serve_check_policy(
    const struct config_policy *config, struct config_problems *problems, struct leased_err *err)
{
	struct policy_reader reader = {.problems = problems};
	struct leased_err why = LEASED_ERR_INIT;
	char name[POLICY_NAME_SIZE], text[sizeof(why.text) + 32];
	int r;

	if (policy_name_normalize(config->name, name, &why) != 0) {
		(void)snprintf(
		    text, sizeof(text), "%u:%u: %s", config->line, config->column, why.text);
		on_mistake(&reader, text);
	}
	r = policy_check_at(config->text, strlen(config->text), config->line, config->column,
	    on_mistake, &reader, err);
	if (reader.out_of_memory)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (r == LEASED_ENOMEM ? r : 0);
}

/* One of leased's own would be hidden by it, or it by that one. */
int
main_serve_check_plugin(
    const struct config_plugin *plugin, struct config_problems *problems, struct leased_err *err)
{
	char text[160];

	if (!plugin_catalog_is_own(plugin->name))
		return (0);
	(void)snprintf(text, sizeof(text),
	    "%u:%u: \"%.63s\" is a plugin of leased's own: give this one another name",
	    plugin->line, plugin->column, plugin->name);
	return (config_problem_add(problems, text, err));
}

int
main_serve_load(const char *path, struct config **ret_config, struct leased_err *err)
{
	struct config_problems problems = {
	    .check_policy = main_serve_check_policy, .check_plugin = main_serve_check_plugin};
	int r = config_load(path, ret_config, &problems, err);

	main_say_problems(path, &problems, false);
	config_problems_clear(&problems);
	return (r);
}

/* One that is there must be good; the first start makes one. Root cannot judge another user's,
 * which is that user's to open. */
static int
on_check_root_key(const char *path, struct leased_err *err)
{
	struct seal_root *root = NULL;
	struct stat status;
	bool created;
	int r;

	if (stat(path, &status) == 0 && status.st_uid != 0 && geteuid() == 0)
		return (0);
	r = seal_root_open_file(path, false, &root, &created, err);
	seal_root_free(root);
	return (r == LEASED_ENOENT ? 0 : r);
}

int
main_serve_check(const struct main_options *options)
{
	struct main_reading reading = {.path = options->config};
	int status = 0;

	/* It reads keys. */
	if (harden_process(&reading.err) != 0) {
		(void)fprintf(stderr, "leased: %s\n", reading.err.text);
		return (1);
	}
	reading.problems.check_machine = true;
	reading.problems.plugin_dir = options->plugin_dir;
	reading.problems.check_root_key = on_check_root_key;
	reading.problems.check_audit = audit_check_path;
	main_reading_run(&reading);
	main_say_problems(options->config, &reading.problems, false);
	if (reading.result != 0) {
		(void)fprintf(stderr, "leased: %s: %s\n", options->config, reading.err.text);
		status = 1;
	} else {
		(void)printf("%s: no mistakes\n", options->config);
	}
	main_reading_clear(&reading);
	return (status);
}

/* ---- serving ---- */

static unsigned
unsigned_or(int64_t value, unsigned otherwise)
{
	return (value > 0 ? (unsigned)value : otherwise);
}

static unsigned
ms_or(int64_t seconds, unsigned otherwise_ms)
{
	return (seconds > 0 ? (unsigned)seconds * 1000 : otherwise_ms);
}

static struct http_limits
limits_of(const struct config_limits *config)
{
	struct http_limits limits = http_default_limits;

	limits.request_line = unsigned_or(config->request_line, limits.request_line);
	limits.header_bytes = unsigned_or(config->header_bytes, limits.header_bytes);
	limits.header_count = unsigned_or(config->header_count, limits.header_count);
	if (config->body > 0)
		limits.body = (size_t)config->body;
	if (config->bodies > 0)
		limits.bodies = (size_t)config->bodies;
	limits.header_ms = ms_or(config->header_timeout_s, limits.header_ms);
	limits.body_ms = ms_or(config->body_timeout_s, limits.body_ms);
	limits.write_ms = ms_or(config->write_timeout_s, limits.write_ms);
	limits.idle_ms = ms_or(config->idle_timeout_s, limits.idle_ms);
	limits.delivery_ms = ms_or(config->delivery_timeout_s, limits.delivery_ms);
	limits.handshake_ms = ms_or(config->tls_handshake_timeout_s, limits.handshake_ms);
	limits.connections = unsigned_or(config->connections, limits.connections);
	limits.connections_per_peer =
	    unsigned_or(config->connections_per_peer, limits.connections_per_peer);
	limits.connections_reserved =
	    unsigned_or(config->connections_reserved, limits.connections_reserved);
	limits.pipelined = unsigned_or(config->pipelined, limits.pipelined);
	return (limits);
}

/* *ret_declared is the caller's to apply. */
int
main_serve_declare(const struct config *config, struct auth_declared **ret_declared,
    unsigned *ret_line, unsigned *ret_column, struct leased_err *err)
{
	struct auth_declared *declared = NULL;
	int r;

	if ((r = auth_declared_new(&declared, err)) != 0)
		return (r);
	for (size_t i = 0; r == 0 && i < config->policy_count; i++) {
		const struct config_policy *policy = &config->policies[i];

		*ret_line = policy->line;
		*ret_column = policy->column;
		r = auth_declared_policy(declared, policy->name, policy->text, err);
		if (r != 0)
			r = leased_err_prefix(err, "policy \"%s\"", policy->name);
	}
	for (size_t i = 0; r == 0 && i < config->role_count; i++) {
		const struct config_role *role = &config->roles[i];

		*ret_line = role->line;
		*ret_column = role->column;
		r = auth_declared_unix_role(declared, role->name, role->body, err);
		if (r != 0)
			r = leased_err_prefix(err, "role \"%s\"", role->name);
	}
	if (r != 0) {
		auth_declared_free(declared);
		return (r);
	}
	*ret_declared = declared;
	return (0);
}

int
main_serve_guard(struct main_daemon *daemon, const struct config *config, struct leased_err *err)
{
	int r = plugin_host_guard(daemon->host, PLUGIN_GUARD_CONFIG, daemon->config_path, err);

	for (size_t i = 0; r == 0 && i < config->listener_count; i++)
		if (config->listeners[i].tls_key_file != NULL)
			r = plugin_host_guard(daemon->host, PLUGIN_GUARD_TLS_KEY,
			    config->listeners[i].tls_key_file, err);
	return (r);
}

int
main_serve_start(
    struct main_daemon *daemon, const char *path, struct config *config, struct leased_err *err)
{
	struct http_limits limits = limits_of(&config->limits);
	struct main_place place = {.data_dir = config->data_dir,
	    .root_key = config->seal_path,
	    .default_ttl_s = config->default_lease_ttl_s,
	    .max_ttl_s = config->max_lease_ttl_s,
	    .limits = &limits,
	    .audit_path = config->audit_path};
	struct auth_declared *declared = NULL;
	unsigned line = 0, column = 0;
	int r;

	daemon->config_path = path;
	daemon->config = config;
	for (size_t i = 0; i < config->plugin_count; i++)
		if ((r = plugin_catalog_add(config->plugins[i].name, config->plugins[i].program,
			 (unsigned)config->plugins[i].pool, err)) != 0)
			return (r);
	if ((r = main_start_broker(daemon, &place, err)) != 0 ||
	    (r = main_serve_guard(daemon, config, err)) != 0)
		return (r);
	if ((r = main_serve_declare(config, &declared, &line, &column, err)) != 0)
		return (leased_err_prefix(err, "%s:%u:%u", path, line, column));
	/* It holds from the first request on. */
	auth_declared_apply(daemon->auth, declared);
	if ((r = main_reload_start(daemon, err)) != 0 ||
	    (r = main_listen(daemon, config, err)) != 0)
		return (r);
	return (main_start_serving(daemon, err));
}
