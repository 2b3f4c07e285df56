/*
 * lease ssh config: makes ssh ask `lease ssh ensure` before it logs in to hosts of a pattern. What
 * is ours stands in a file of ours, ~/.ssh/lease.conf; of the user's own file one line is touched.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "ensure.h"
#include "file.h"
#include "options.h"

#define INCLUDE "Include ~/.ssh/lease.conf\n"
#define SAFE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+:[]~-"

/* What `ssh` runs goes through the user's shell: nothing may stand there that a shell reads. */
static bool
is_safe(const char *text)
{
	return (text[0] != '\0' && text[strspn(text, SAFE)] == '\0');
}

static bool
is_pattern(const char *text)
{
	return (text[0] != '\0' && text[strspn(text, SAFE "*?!,")] == '\0');
}

/* Our own program, as ssh will find it whatever its PATH. */
static int
program_find(char *ret_path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", ret_path, size - 1);

	if (len <= 0)
		return (cli_fail(CLI_FAILED, "/proc does not say where `lease` is"));
	ret_path[len] = '\0';
	return (is_safe(ret_path)
		    ? CLI_OK
		    : cli_fail(CLI_FAILED, "\"%s\" has characters that a shell reads", ret_path));
}

/* The block of one role, without its marks. NULL: said already. */
static char *
block_make(const struct ssh_arguments *arguments, const char *role, const char *name)
{
	const char *address =
	    arguments->address != NULL ? arguments->address : getenv("LEASE_ADDR");
	char program[4096], *directory = ensure_directory(arguments), *block = NULL, *env = NULL;
	bool has_address = address != NULL && address[0] != '\0';

	if (directory == NULL || program_find(program, sizeof(program)) != CLI_OK)
		goto out;
	if (!is_safe(directory) || (has_address && !is_safe(address)) ||
	    !is_safe(arguments->mount)) {
		(void)cli_fail(CLI_FAILED,
		    "the directory, the address or the mount has characters that a shell reads: "
		    "%s, %s, %s",
		    directory, has_address ? address : "-", arguments->mount);
		goto out;
	}
	/* Programs with windows do not have what a shell's profile sets. */
	if (asprintf(&env, "%s%s%s", has_address ? "env LEASE_ADDR=" : "",
		has_address ? address : "", has_address ? " " : "") < 0)
		env = NULL;
	if (env == NULL ||
	    asprintf(&block,
		"Match host %s exec \"%s%s ssh ensure --quiet --role %s --mount %s --dir %s\"\n"
		"\tIdentityFile %s/%s\n"
		"\tCertificateFile %s/%s-cert.pub\n"
		"\tIdentitiesOnly yes\n",
		arguments->match, env, program, role, arguments->mount, directory, directory, name,
		directory, name) < 0) {
		block = NULL;
		(void)cli_fail(CLI_FAILED, "out of memory");
	}
out:
	free(directory);
	free(env);
	return (block);
}

/* A file of the user's; "" when it is not there. path: what it is really, for who keeps his files
 * elsewhere and links to them. */
static int
user_file_read(char **path, char **ret_text, mode_t *ret_mode)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *real = realpath(*path, NULL);
	struct stat status;
	size_t len;
	int r;

	if (real != NULL) {
		free(*path);
		*path = real;
	}
	*ret_mode = stat(*path, &status) == 0 ? status.st_mode & 07777 : 0600;
	r = file_read(*path, ret_text, &len, &err);
	if (r == LEASED_ENOENT && (*ret_text = strdup("")) != NULL)
		return (CLI_OK);
	return (r == 0 ? CLI_OK : cli_fail(CLI_FAILED, "%s", err.text));
}

/* Writes what has changed, and nothing else. */
static int
user_file_write(const char *path, const char *before, const char *after, mode_t mode)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (after == NULL)
		return (cli_fail(CLI_FAILED,
		    "%s was not written by `lease ssh config`: move it away, or there is no memory",
		    path));
	if (strcmp(before, after) == 0)
		return (CLI_OK);
	if (file_replace(path, after, strlen(after), mode, NULL, &err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	(void)fprintf(stderr, "lease: %s was changed\n", path);
	return (CLI_OK);
}

/* One file: reads it, puts in or takes out, writes it. block NULL: out. */
static int
file_change(const char *name, const char *key, const char *block)
{
	const char *home = getenv("HOME");
	char *path = NULL, *before = NULL, *after = NULL;
	mode_t mode = 0600;
	int code = CLI_FAILED;

	if (asprintf(&path, "%s/.ssh/%s", home, name) < 0)
		return (cli_fail(CLI_FAILED, "out of memory"));
	if ((code = user_file_read(&path, &before, &mode)) != CLI_OK)
		goto out;
	if (key != NULL)
		after = config_put_block(before, key, block);
	else if (block != NULL)
		after = config_put_include(before, INCLUDE);
	else
		after = config_drop_include(before, INCLUDE);
	code = user_file_write(path, before, after, mode);
out:
	free(path);
	free(before);
	free(after);
	return (code);
}

static int
install(const char *name, const char *block)
{
	struct leased_err err = LEASED_ERR_INIT;
	const char *home = getenv("HOME");
	char *directory = NULL;
	int code = CLI_OK;

	if (home == NULL || home[0] != '/')
		return (cli_fail(CLI_FAILED, "HOME is not set"));
	if (asprintf(&directory, "%s/.ssh", home) < 0)
		return (cli_fail(CLI_FAILED, "out of memory"));
	if (file_make_directory(directory, &err) != 0)
		code = cli_fail(CLI_FAILED, "%s", err.text);
	/* Ours first: a line that includes what is not there would be harmless, too. */
	if (code == CLI_OK)
		code = file_change("lease.conf", name, block);
	if (code == CLI_OK && block != NULL)
		code = file_change("config", NULL, block);
	free(directory);
	return (code);
}

int
cli_ssh_config(const struct ssh_arguments *arguments)
{
	char *name = NULL, *block = NULL;
	const char *role;
	int code = CLI_FAILED;

	if (arguments->count != 0)
		return (cli_usage("ssh", "config takes no argument but options"));
	if (arguments->install && arguments->uninstall)
		return (cli_usage("ssh", "--install or --uninstall, not both"));
	if (arguments->uninstall && arguments->role == NULL)
		return (file_change("config", NULL, NULL));
	if ((role = options_role(arguments, "config")) == NULL)
		return (CLI_USAGE);
	if (!arguments->uninstall && (arguments->match == NULL || !is_pattern(arguments->match)))
		return (cli_usage("ssh", "config needs the hosts that the role is for: --match "
					 "'*.prod.example.com,db?'"));
	if ((name = ensure_name(arguments, role)) == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	if (arguments->uninstall)
		code = install(name, NULL);
	else if ((block = block_make(arguments, role, name)) != NULL) {
		code = CLI_OK;
		if (arguments->install)
			code = install(name, block);
		else
			(void)fputs(block, stdout);
	}
	free(name);
	free(block);
	return (code);
}
