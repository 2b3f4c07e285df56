/*
 * leased.hcl from file to struct: the table of the top level, defaults, checks that need more than
 * one setting, and the end of it all. Single values are value.c's, blocks blocks.c's and auth.c's.
 * Called by main at start and by `leased check`.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "config/config_private.h"

#define TEXT_MAX (1024u * 1024u)

#define TTL_S_MIN 1
#define TTL_S_MAX (INT64_C(10) * 366 * 86400)

static const struct config_setting settings[] = {
    {.name = "audit", .kind = CONFIG_BLOCK},
    {.name = "auth", .kind = CONFIG_BLOCK},
    {.name = "data_dir",
	.kind = CONFIG_PATH,
	.required = true,
	.offset = offsetof(struct config, data_dir)},
    {.name = "default_lease_ttl",
	.kind = CONFIG_DURATION,
	.offset = offsetof(struct config, default_lease_ttl_s),
	.min = TTL_S_MIN,
	.max = TTL_S_MAX},
    {.name = "limits", .kind = CONFIG_BLOCK},
    {.name = "listener", .kind = CONFIG_BLOCK, .required = true},
    {.name = "log", .kind = CONFIG_BLOCK},
    {.name = "max_lease_ttl",
	.kind = CONFIG_DURATION,
	.offset = offsetof(struct config, max_lease_ttl_s),
	.min = TTL_S_MIN,
	.max = TTL_S_MAX},
    {.name = "plugin", .kind = CONFIG_BLOCK},
    {.name = "plugin_dir", .kind = CONFIG_PATH, .offset = offsetof(struct config, plugin_dir)},
    {.name = "policy", .kind = CONFIG_BLOCK},
    {.name = "seal", .kind = CONFIG_BLOCK, .required = true},
    {.name = NULL},
};

static struct config *
new_with_defaults(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		return (NULL);
	config->default_lease_ttl_s = 3600;
	config->max_lease_ttl_s = 32 * 86400;
	config->log_level = CONFIG_LOG_INFO;
	config->log_format = CONFIG_LOG_JSON;
	if ((config->plugin_dir = strdup("/usr/libexec/leased/plugins")) == NULL) {
		free(config);
		return (NULL);
	}
	return (config);
}

/* Is path in the directory dir? Both as the file has them. */
static bool
lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return (strncmp(path, dir, len) == 0 && (path[len] == '/' || len == 1));
}

/* Was the value of key refused by itself? Then the default stands in its place. */
static bool
is_refused(const struct config_reader *reader, const json_t *root, const char *key)
{
	struct hcl_position at = hcl_key_position(reader->doc, root, key);

	for (size_t i = 0; at.line > 0 && i < reader->problems->count; i++)
		if (reader->problems->items[i].line == at.line &&
		    reader->problems->items[i].column == at.column)
			return (true);
	return (false);
}

static void
check_together(struct config_reader *reader, const json_t *root)
{
	const struct config *config = reader->config;
	const char *key = json_object_get(root, "default_lease_ttl") != NULL ? "default_lease_ttl"
									     : "max_lease_ttl";

	if (config->default_lease_ttl_s > config->max_lease_ttl_s &&
	    !is_refused(reader, root, "default_lease_ttl") &&
	    !is_refused(reader, root, "max_lease_ttl"))
		config_refuse(reader, root, key,
		    "default_lease_ttl is %llds, longer than max_lease_ttl, %llds",
		    (long long)config->default_lease_ttl_s, (long long)config->max_lease_ttl_s);
	if (config->data_dir != NULL && config->seal_path != NULL &&
	    lies_in(config->seal_path, config->data_dir))
		config_warn(reader, root, "seal",
		    "the root key lies in data_dir: whoever copies the one has the other; keep it "
		    "elsewhere");
}

static int
compare_problems(const void *a, const void *b)
{
	const struct config_problem *x = a, *y = b;

	if (x->line != y->line)
		return (x->line < y->line ? -1 : 1);
	if (x->column != y->column)
		return (x->column < y->column ? -1 : 1);
	return (strcmp(x->text, y->text));
}

/* A start fails for a mistake; for want of the device, requests do. */
static void
check_audit(struct config_reader *reader, const json_t *root)
{
	const char *path = reader->config->audit_path;
	struct leased_err why = LEASED_ERR_INIT;
	int r = reader->problems->check_audit(path, &why);

	if (r == LEASED_EUNAVAIL)
		config_warn(reader, root, "audit",
		    "%s. Until it can be written, leased starts and refuses every request",
		    why.text);
	else if (r != 0)
		config_refuse(reader, root, "audit", "%s", why.text);
}

/* Only a connection would find it missing. */
static void
check_programs(struct config_reader *reader, const char *dir)
{
	const struct config *config = reader->config;
	char path[PATH_MAX], text[PATH_MAX + 128];

	for (size_t i = 0; i < config->plugin_count; i++) {
		const struct config_plugin *plugin = &config->plugins[i];

		if (plugin->name == NULL || plugin->program == NULL ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, plugin->program) >=
			sizeof(path) ||
		    access(path, X_OK) == 0)
			continue;
		(void)snprintf(text, sizeof(text),
		    "%u:%u: the program %.256s of plugin \"%s\" cannot be started: %s",
		    plugin->line, plugin->column, path, plugin->name, strerror(errno));
		if (config_problem_add(reader->problems, text, NULL) != 0)
			reader->out_of_memory = true;
	}
}

/* For leased check: a start would fail for it. */
static void
check_machine(struct config_reader *reader, const json_t *root)
{
	const struct config_problems *problems = reader->problems;
	const char *dir = problems->plugin_dir, *key = reader->config->seal_path;
	struct leased_err why = LEASED_ERR_INIT;
	bool told = dir != NULL;

	if (dir == NULL)
		dir = reader->config->plugin_dir;
	if (dir != NULL && access(dir, X_OK) != 0)
		config_refuse(reader, root, told ? NULL : "plugin_dir",
		    "the directory %.256s cannot be used: %s. %s", dir, strerror(errno),
		    told ? "-plugin-dir names it" : "Set plugin_dir to where the plugins are");
	else if (dir != NULL)
		check_programs(reader, dir);
	if (key != NULL && problems->check_root_key != NULL &&
	    problems->check_root_key(key, &why) != 0)
		config_refuse(reader, root, "seal", "%s", why.text);
	if (reader->config->audit_path != NULL && problems->check_audit != NULL)
		check_audit(reader, root);
}

static void
check_policies(struct config_reader *reader)
{
	const struct config *config = reader->config;
	struct leased_err why = LEASED_ERR_INIT;

	for (size_t i = 0; reader->problems->check_policy != NULL && i < config->policy_count; i++)
		if (reader->problems->check_policy(&config->policies[i], reader->problems, &why) !=
		    0)
			reader->out_of_memory = true;
}

static void
check_listeners(struct config_reader *reader)
{
	const struct config *config = reader->config;
	struct leased_err why = LEASED_ERR_INIT;

	for (size_t i = 0; reader->problems->check_listener != NULL && i < config->listener_count;
	     i++)
		if (config->listeners[i].tls_cert_file != NULL &&
		    config->listeners[i].tls_key_file != NULL &&
		    reader->problems->check_listener(
			&config->listeners[i], reader->problems, &why) != 0)
			reader->out_of_memory = true;
}

static void
check_plugins(struct config_reader *reader)
{
	const struct config *config = reader->config;
	struct leased_err why = LEASED_ERR_INIT;

	for (size_t i = 0; reader->problems->check_plugin != NULL && i < config->plugin_count; i++)
		if (config->plugins[i].name != NULL &&
		    reader->problems->check_plugin(&config->plugins[i], reader->problems, &why) !=
			0)
			reader->out_of_memory = true;
}

static int
finish(struct config_reader *reader, struct leased_err *err)
{
	struct config_problems *problems = reader->problems;
	size_t mistakes = 0;

	if (reader->out_of_memory)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (problems->count > 0)
		qsort(
		    problems->items, problems->count, sizeof(problems->items[0]), compare_problems);
	for (size_t i = 0; i < problems->count; i++)
		mistakes += !problems->items[i].warning;
	if (mistakes > 0)
		return (leased_err_set(err, LEASED_EINVAL, "%zu mistake%s in the configuration",
		    mistakes, mistakes == 1 ? "" : "s"));
	return (0);
}

static void
on_mistake(void *arg, const char *text)
{
	struct config_reader *reader = arg;

	if (config_problem_add(reader->problems, text, NULL) != 0)
		reader->out_of_memory = true;
}

int
config_parse(const char *text, size_t len, struct config **ret_config,
    struct config_problems *problems, struct leased_err *err)
{
	struct config_reader reader = {.text = text, .problems = problems};
	struct leased_err why = LEASED_ERR_INIT;
	struct hcl_doc *doc = NULL;
	int r;

	if ((reader.config = new_with_defaults()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = hcl_parse_telling(text, len, on_mistake, &reader, &doc, &why)) != 0) {
		/* Behind a mistake in the grammar nothing is known for certain: it stands alone. */
		if (r == LEASED_ENOMEM || config_problem_add(problems, why.text, NULL) != 0)
			reader.out_of_memory = true;
		r = finish(&reader, err);
		goto out;
	}
	reader.doc = doc;
	config_read_settings(&reader, hcl_root(doc), settings, reader.config, "the file");
	config_read_blocks(&reader, hcl_root(doc));
	config_read_auth(&reader, hcl_root(doc));
	config_read_policies(&reader, hcl_root(doc));
	check_together(&reader, hcl_root(doc));
	check_policies(&reader);
	check_listeners(&reader);
	check_plugins(&reader);
	if (problems->check_machine)
		check_machine(&reader, hcl_root(doc));
	if ((r = finish(&reader, err)) != 0)
		goto out;
	*ret_config = reader.config;
	reader.config = NULL;
out:
	config_free(reader.config);
	hcl_free(doc);
	return (r);
}

/* The whole file, NUL-terminated. */
static int
read_file(const char *path, char **ret_text, size_t *ret_len, struct leased_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = 0;
	struct stat status;
	char *text = NULL;
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return (leased_err_set(err, errno == ENOENT ? LEASED_ENOENT : LEASED_EDENIED,
		    "cannot open %s: %s", path, strerror(errno)));
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		r = leased_err_set(err, LEASED_EINVAL, "%s is no regular file", path);
		goto out;
	}
	if ((text = malloc(TEXT_MAX + 2)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	while (len <= TEXT_MAX && (got = read(fd, text + len, TEXT_MAX + 1 - len)) != 0) {
		if (got < 0 && errno != EINTR) {
			r = leased_err_set(
			    err, LEASED_EIO, "cannot read %s: %s", path, strerror(errno));
			goto out;
		}
		len += got > 0 ? (size_t)got : 0;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	text = NULL;
out:
	free(text);
	(void)close(fd);
	return (r);
}

static int
hash(const char *text, size_t len, char ret_hash[65], struct leased_err *err)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];

	if (EVP_Digest(text, len, bytes, NULL, EVP_sha256(), NULL) != 1)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(ret_hash + 2 * i, 3, "%02x", bytes[i]);
	return (0);
}

int
config_load(const char *path, struct config **ret_config, struct config_problems *problems,
    struct leased_err *err)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;
	int r;

	FAILPOINT(config_load_read);
	if ((r = read_file(path, &text, &len, err)) != 0)
		return (r);
	if ((r = config_parse(text, len, &config, problems, err)) == 0)
		r = hash(text, len, config->sha256, err);
	free(text);
	if (r != 0) {
		config_free(config);
		return (r);
	}
	*ret_config = config;
	return (0);
}

void
config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (size_t i = 0; i < config->listener_count; i++) {
		free(config->listeners[i].path);
		free(config->listeners[i].group);
		free(config->listeners[i].address);
		free(config->listeners[i].tls_cert_file);
		free(config->listeners[i].tls_key_file);
	}
	for (size_t i = 0; i < config->role_count; i++) {
		free(config->roles[i].name);
		json_decref(config->roles[i].body);
	}
	for (size_t i = 0; i < config->policy_count; i++) {
		free(config->policies[i].name);
		free(config->policies[i].text);
	}
	for (size_t i = 0; i < config->plugin_count; i++) {
		free(config->plugins[i].name);
		free(config->plugins[i].program);
	}
	free(config->plugins);
	free(config->listeners);
	free(config->roles);
	free(config->policies);
	free(config->data_dir);
	free(config->seal_path);
	free(config->plugin_dir);
	free(config->audit_path);
	free(config);
}

void
config_problem_format(
    const struct config_problem *problem, const char *path, char *ret_text, size_t size)
{
	const char *kind = problem->warning ? "warning: " : "";
	int len;

	if (problem->line > 0)
		len = snprintf(ret_text, size, "%s:%u:%u: %s%s", path, problem->line,
		    problem->column, kind, problem->text);
	else
		len = snprintf(ret_text, size, "%s: %s%s", path, kind, problem->text);
	if (len >= 0 && (size_t)len >= size && size > 4)
		memcpy(ret_text + size - 4, "...", 4);
}
