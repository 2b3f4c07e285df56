/*
 * The options of `lease ssh`: one table for all its commands, of which each takes some. cmd.c calls
 * it once.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "options.h"
#include "ssh.h"

#define TEXT(name, member)                                                                         \
	{                                                                                          \
		name, offsetof(struct ssh_arguments, member), true                                 \
	}
#define FLAG(name, member)                                                                         \
	{                                                                                          \
		name, offsetof(struct ssh_arguments, member), false                                \
	}

static const struct option {
	const char *name;
	size_t offset;
	bool takes_value;
} options[] = {
    TEXT("mount", mount),
    TEXT("role", role),
    TEXT("ttl", ttl),
    TEXT("principals", principals),
    TEXT("out", out),
    TEXT("identity", identity),
    TEXT("key", key),
    TEXT("fingerprint", fingerprint),
    TEXT("key-id", key_id),
    TEXT("name", name),
    TEXT("reason", reason),
    TEXT("match", match),
    TEXT("known-hosts", known_hosts),
    TEXT("ca", ca),
    TEXT("krl", krl),
    TEXT("dir", dir),
    TEXT("sshd-config", sshd_config),
    TEXT("address", address),
    TEXT("left", left),
    FLAG("quiet", quiet),
    FLAG("fresh", fresh),
    FLAG("confirm", confirm),
    FLAG("host", host),
    FLAG("install", install),
    FLAG("uninstall", uninstall),
    FLAG("once", once),
    FLAG("status", status),
    FLAG("renew", renew),
};

/* Is word one of list's, which blanks part? */
static bool
list_has(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *at;

	for (at = list; (at = strstr(at, word)) != NULL; at += len)
		if ((at == list || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
			return (true);
	return (false);
}

/* The option that arg is, with or without "=..", of those that the command takes. */
static const struct option *
option_find(const struct ssh_command *command, const char *arg)
{
	size_t i, len = strcspn(arg, "=");

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, arg, len) == 0)
			return (list_has(command->takes, options[i].name) ? &options[i] : NULL);
	return (NULL);
}

static int
shown_take(const char *value, struct cli_options *shown)
{
	static const char *const names[] = {"table", "json", "env"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0) {
			shown->format = (enum cli_format)i;
			return (0);
		}
	return (-cli_usage("ssh", "--format takes table, json or env"));
}

/* An option with a value, of the command's or of all that show something. How many arguments it
 * took, 0: it is none; or the status below 0. */
static int
option_take(const struct ssh_command *command, char **argv, struct ssh_arguments *ret_arguments)
{
	bool is_field = strcmp(argv[0], "-f") == 0, is_format = false;
	const char *name = argv[0] + (strncmp(argv[0], "--", 2) == 0 ? 2 : 0), *value;
	const struct option *option = NULL;
	int used;

	if (!is_field && name == argv[0])
		return (0);
	is_field = is_field || strcmp(name, "field") == 0 || strncmp(name, "field=", 6) == 0;
	is_format = strcmp(name, "format") == 0 || strncmp(name, "format=", 7) == 0;
	if (!is_field && !is_format && (option = option_find(command, name)) == NULL)
		return (-cli_usage("ssh", "%s%sssh has no option --%.*s", command->name,
		    command->name[0] != '\0' ? " of " : "", (int)strcspn(name, "="), name));
	if (option != NULL && !option->takes_value) {
		if (strchr(name, '=') != NULL)
			return (-cli_usage("ssh", "--%s takes no value", option->name));
		*(bool *)((char *)ret_arguments + option->offset) = true;
		return (1);
	}
	value = strchr(name, '=');
	used = value != NULL ? 1 : 2;
	value = value != NULL ? value + 1 : argv[1];
	if (value == NULL || value[0] == '\0')
		return (-cli_usage("ssh", "%s takes a value", argv[0]));
	if (is_field)
		ret_arguments->shown.field = value;
	else if (is_format && (used = shown_take(value, &ret_arguments->shown)) == 0)
		used = strchr(name, '=') != NULL ? 1 : 2;
	else if (option != NULL)
		*(const char **)((char *)ret_arguments + option->offset) = value;
	return (used);
}

int
options_take(const struct ssh_command *command, bool is_login, int argc, char **argv,
    struct ssh_arguments *ret_arguments)
{
	int i, kept = 0, took;

	memset(ret_arguments, 0, sizeof(*ret_arguments));
	ret_arguments->mount = "ssh";
	ret_arguments->values = argv + 1;
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0;) {
		/* A single dash is ssh's: its own -f, too. */
		if (is_login && strncmp(argv[i], "--", 2) != 0)
			break;
		if ((took = option_take(command, argv + i, ret_arguments)) < 0)
			return (took);
		if (took == 0)
			ret_arguments->values[kept++] = argv[i++];
		i += took;
	}
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	while (i < argc)
		ret_arguments->values[kept++] = argv[i++];
	ret_arguments->values[kept] = NULL;
	ret_arguments->count = kept;
	return (0);
}

const char *
options_role(const struct ssh_arguments *arguments, const char *command)
{
	const char *role = arguments->role;

	if (role == NULL)
		role = getenv("LEASE_SSH_ROLE");
	if (role == NULL || role[0] == '\0') {
		(void)cli_usage("ssh",
		    "%s needs the role that the certificate is for: --role ROLE, or LEASE_SSH_ROLE "
		    "in the environment; `lease list-path %s/roles` lists them",
		    command, arguments->mount);
		return (NULL);
	}
	if (!path_is_name(role, strlen(role))) {
		(void)cli_usage("ssh", "\"%.60s\" is no name of a role", role);
		return (NULL);
	}
	return (role);
}

unsigned
options_left_percent(const struct ssh_arguments *arguments, unsigned otherwise)
{
	const char *wrong = NULL;
	long long percent = otherwise;

	if (arguments->left != NULL)
		percent = strtonum(arguments->left, 1, 99, &wrong);
	if (wrong == NULL)
		return ((unsigned)percent);
	(void)cli_usage("ssh", "--left takes a percentage from 1 to 99");
	return (0);
}
