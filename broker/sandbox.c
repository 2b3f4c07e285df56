/*
 * What the daemon takes from itself: before it opens its store, every file but those that its
 * configuration names; when it serves, every system call that a server of this kind has no use for
 * (DESIGN.md, "The sandbox"). And what it keeps from its workers. Called by main.c, dev.c and
 * start.c.
 */
#include <libgen.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

#include "base/log.h"
#include "base/sandbox.h"

#define ALL (SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CHANGE)
/* A listener's port may be a low one, and its socket another group's. */
#define KEPT_CAPABILITIES (1ull << CAP_NET_BIND_SERVICE | 1ull << CAP_CHOWN)

/* Takes path apart. NULL is out of memory. */
static int
allow_parent(struct sandbox_files *files, char *path, unsigned access, struct leased_err *err)
{
	int r;

	if (path == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = sandbox_files_allow(files, dirname(path), access, err);
	free(path);
	return (r);
}

/* Beneath the directory that path stands in, and that of what it is a link to: what is replaced
 * there, or made later, is meant. */
static int
allow_beside(struct sandbox_files *files, const char *path, unsigned access, struct leased_err *err)
{
	char *target;
	int r;

	if (path == NULL)
		return (0);
	if ((r = allow_parent(files, strdup(path), access, err)) == 0 &&
	    (target = realpath(path, NULL)) != NULL)
		r = allow_parent(files, target, access, err);
	return (r);
}

/* The first start makes the root key; afterwards nobody does. */
static int
allow_root_key(struct sandbox_files *files, const char *path, struct leased_err *err)
{
	if (path == NULL)
		return (0);
	if (access(path, F_OK) == 0)
		return (sandbox_files_allow(files, path, SANDBOX_READ, err));
	return (allow_beside(files, path, ALL, err));
}

/*
 * A directory that is missing cannot be allowed by its name. So that the audit goes on by itself
 * once it is made, what is allowed is the nearest one above it; never all files, though: there
 * only another start helps.
 */
static int
allow_audit(struct sandbox_files *files, const char *path, struct leased_err *err)
{
	char above[MAIN_PATH_MAX];
	char *dir = above;

	if (path == NULL || strlcpy(above, path, sizeof(above)) >= sizeof(above))
		return (0);
	dir = dirname(above);
	if (access(dir, F_OK) == 0)
		return (allow_beside(files, path, ALL, err));
	while (access(dir, F_OK) != 0 && strcmp(dir, "/") != 0 && strcmp(dir, ".") != 0)
		dir = dirname(dir);
	if (strcmp(dir, "/") == 0 || strcmp(dir, ".") == 0)
		return (0);
	log_warn("the audit's directory is missing: until the next start leased may write where "
		 "it is to be made",
	    LOG_S("path", path), LOG_S("may_write", dir));
	return (sandbox_files_allow(files, dir, ALL, err));
}

static int
allow_listener(
    struct sandbox_files *files, const struct config_listener *listener, struct leased_err *err)
{
	int r;

	if ((r = allow_beside(files, listener->path, ALL, err)) == 0 &&
	    (r = allow_beside(files, listener->tls_cert_file, SANDBOX_READ, err)) == 0)
		r = allow_beside(files, listener->tls_key_file, SANDBOX_READ, err);
	return (r);
}

static int
allow_machine(struct sandbox_files *files, struct leased_err *err)
{
	static const char *const paths[] = {"/etc/group", "/etc/passwd", "/proc/self"};
	int r = sandbox_files_allow_system(files, err);

	for (size_t i = 0; r == 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		r = sandbox_files_allow(files, paths[i], SANDBOX_READ, err);
	return (r);
}

static int
begin(struct sandbox_files *files, const char *data_dir, struct leased_err *err)
{
	int r;

	if ((r = sandbox_drop_capabilities(KEPT_CAPABILITIES, err)) != 0 ||
	    (r = sandbox_files_init(files, 0, err)) != 0 || (r = allow_machine(files, err)) != 0)
		return (r);
	(void)mkdir(data_dir, 0700); /* the store says what is wrong with it */
	return (sandbox_files_allow(files, data_dir, ALL, err));
}

int
main_sandbox_serve(const char *path, const struct config *config, struct leased_err *err)
{
	struct sandbox_files files = SANDBOX_FILES_INIT;
	int r;

	if ((r = begin(&files, config->data_dir, err)) != 0 ||
	    (r = allow_beside(&files, path, SANDBOX_READ, err)) != 0 ||
	    (r = allow_root_key(&files, config->seal_path, err)) != 0 ||
	    (r = allow_audit(&files, config->audit_path, err)) != 0)
		goto out;
	for (size_t i = 0; r == 0 && i < config->listener_count; i++)
		r = allow_listener(&files, &config->listeners[i], err);
	if (r == 0)
		r = sandbox_files_enter(&files, err);
out:
	sandbox_files_clear(&files);
	return (r);
}

int
main_sandbox_dev(
    const char *dir, const char *shared_socket, const char *audit_path, struct leased_err *err)
{
	struct sandbox_files files = SANDBOX_FILES_INIT;
	int r;

	if ((r = begin(&files, dir, err)) == 0 &&
	    (r = allow_beside(&files, shared_socket, ALL, err)) == 0 &&
	    (r = allow_audit(&files, audit_path, err)) == 0)
		r = sandbox_files_enter(&files, err);
	sandbox_files_clear(&files);
	return (r);
}

int
main_sandbox_guard(struct plugin_host *host, const struct main_place *place, struct leased_err *err)
{
	int r;

	if ((r = plugin_host_guard(host, PLUGIN_GUARD_DATA, place->data_dir, err)) == 0)
		r = plugin_host_guard(host, PLUGIN_GUARD_ROOT_KEY, place->root_key, err);
	if (r == 0 && place->audit_path != NULL)
		r = plugin_host_guard(host, PLUGIN_GUARD_AUDIT, place->audit_path, err);
	return (r);
}

int
main_sandbox_calls(pid_t spawner, struct leased_err *err)
{
	const struct sandbox_calls calls = {.role = SANDBOX_DAEMON, .spawner = spawner};

	return (sandbox_limit_calls(&calls, err));
}
