/*
 * The contract to copy: a whole plugin (PROTOCOL.md) with the operations that every backend has.
 * Its backend is the directory config.dir: an account is an empty file there, armed while it is
 * readable. Nothing of a worker outlives it here; else open would call leased_session_begin().
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leased/plugin.h>

static int dir_fd = -1;
static char server[64]; /* tells this directory from another one that takes its place */
static char path[PATH_MAX];

static int
example_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct stat status;
	const char *dir;
	int r;

	if ((r = leased_get_string(json_object_get(call->params, "config"), "dir", &dir, err)) != 0)
		return (r);
	if ((dir_fd = open(dir, O_DIRECTORY | O_CLOEXEC)) < 0 || fstat(dir_fd, &status) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "%s: %s", dir, strerror(errno)));
	snprintf(server, sizeof(server), "%ju:%ju", status.st_dev, status.st_ino);
	snprintf(path, sizeof(path), "%s", dir);
	return (json_object_set_new(call->result, "server", json_string(server)));
}

/* The account's file. A name that cannot be one is refused: never changed, never cut. */
static int
name_of(const json_t *account, const char **ret_name, struct leased_err *err)
{
	const char *name = leased_get_string_optional(account, "name");
	const char *made_on = leased_get_string_optional(account, "server");

	if (strlen(name) > 63 || name[0] == '.' || strchr(name, '/') != NULL)
		return (leased_err_set(err, LEASED_EINVAL, "this cannot be the name of a file"));
	if (made_on != NULL && strcmp(made_on, server) != 0)
		return (leased_err_set(err, LEASED_EMOVED, "made on %s, not here", made_on));
	*ret_name = name;
	return (0);
}

/* A role's setting of our own: what the holder may do. What nobody has checked yet is checked here,
 * before anything is done. */
static int
mode_of(const json_t *account, mode_t *ret_mode, struct leased_err *err)
{
	const json_t *access = json_object_get(json_object_get(account, "role"), "access");
	const char *text = access != NULL ? json_string_value(access) : "read";

	if (text == NULL || (strcmp(text, "read") != 0 && strcmp(text, "write") != 0))
		return (leased_err_set(err, LEASED_EINVAL, "access is \"read\" or \"write\""));
	*ret_mode = strcmp(text, "read") == 0 ? 0400 : 0600;
	return (0);
}

static int
example_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const json_t *account = json_object_get(call->params, "account");
	const char *name;
	mode_t mode = 0;
	int r;

	if ((r = name_of(account, &name, err)) != 0 || (r = mode_of(account, &mode, err)) != 0)
		return (r);
	call->sent = true; /* from here on there may be an account */
	if (mknodat(dir_fd, name, S_IFREG | mode, 0) != 0)
		return (leased_err_set(err, LEASED_EEXIST, "cannot make it: %s", strerror(errno)));
	if (json_object_set_new(call->result, "server", json_string(server)) != 0 ||
	    json_object_set_new(
		call->result, "values", json_pack("{s:s++}", "path", path, "/", name)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
disarm_account(void *ctx, const json_t *account, json_t *fields, struct leased_err *err)
{
	const char *name;
	int r = name_of(account, &name, err);

	/* Gone already is success, here and in remove. */
	if (r == 0 && fchmodat(dir_fd, name, 0, 0) != 0 && errno != ENOENT)
		r = leased_err_set(err, LEASED_EREFUSED, "cannot disarm: %s", strerror(errno));
	return (r);
}

static int
remove_account(void *ctx, const json_t *account, json_t *fields, struct leased_err *err)
{
	const char *name;
	int r = name_of(account, &name, err);

	if (r == 0 && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT)
		r = leased_err_set(err, LEASED_EREFUSED, "cannot remove: %s", strerror(errno));
	return (r);
}

int
main(int argc, char **argv)
{
	static const struct leased_plugin example = {.name = "example",
	    .description = "{\"name_max\":63,\"name_alphabet\":\"a-z0-9-\",\"config_fields\":"
			   "[{\"name\":\"dir\",\"secret\":false,\"required\":true}],"
			   "\"role_fields\":[\"access\"]}",
	    .open = example_open,
	    .mint = example_mint,
	    .disarm_account = disarm_account,
	    .remove_account = remove_account};

	return (leased_plugin_main(&example, argc, argv));
}
