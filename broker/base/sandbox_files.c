/*
 * Landlock: which files, TCP ports and processes a process of ours can reach. Asks the kernel what
 * it can do and uses that much. Which paths a role needs is its caller's to say: the spawner, the
 * daemon's start, the SDK.
 *
 * The constants and the struct are those of the kernel's interface up to version 6, spelled out
 * here since Debian 12's headers know version 2.
 */
#include "base/sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULE_PATH 1
#define RULE_PORT 2
#define VERSION_FLAG 1u

#define FS_EXECUTE (1ull << 0)
#define FS_WRITE_FILE (1ull << 1)
#define FS_READ_FILE (1ull << 2)
#define FS_READ_DIR (1ull << 3)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_REG (1ull << 8)
#define FS_MAKE_SOCK (1ull << 9)
#define FS_REFER (1ull << 13)
#define FS_TRUNCATE (1ull << 14)
#define FS_ALL_1 ((1ull << 13) - 1) /* version 1 knows bits 0 to 12 */
#define FS_IOCTL_DEV (1ull << 15)

#define NET_BIND_TCP 1ull
#define NET_CONNECT_TCP 2ull
#define SCOPE_ABSTRACT_UNIX 1ull
#define SCOPE_SIGNAL 2ull

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_attr {
	uint64_t access;
	int32_t parent_fd;
} __attribute__((packed));
struct port_attr {
	uint64_t access, port;
};

bool
sandbox_is_off(void)
{
#ifdef LEASED_SANITIZED
	return (true);
#elif defined(LEASED_FAILPOINTS)
	const char *value = getenv("LEASED_TEST_SANDBOX");

	return (value != NULL && strcmp(value, "off") == 0);
#else
	return (false);
#endif
}

int
sandbox_landlock(void)
{
	long found = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
#ifdef LEASED_FAILPOINTS
	const char *most = getenv("LEASED_TEST_LANDLOCK");

	if (most != NULL && found > strtol(most, NULL, 10))
		found = strtol(most, NULL, 10);
#endif
	return (found > 0 ? (int)found : 0);
}

const char *
sandbox_lacking(void)
{
	int found;

#ifdef LEASED_SANITIZED
	return ("it was built with sanitizers, which trace their own process: neither files nor "
		"system calls are limited");
#endif
	if (sandbox_is_off())
		return ("LEASED_TEST_SANDBOX=off: neither files nor system calls are limited");
	if ((found = sandbox_landlock()) == 0)
		return (
		    "this kernel has no Landlock, or the container keeps it away (Docker before "
		    "23 does): workers can read what the user of leased can read; Linux 5.13 "
		    "or newer with lsm=landlock limits them");
	if (found < 4)
		return ("this kernel's Landlock limits files only: workers can connect to any "
			"port, which Linux 6.7 limits");
	if (found < 6)
		return ("this kernel's Landlock limits no abstract sockets: Linux 6.12 does");
	return (NULL);
}

static uint64_t
handled_files(int found)
{
	uint64_t handled = FS_ALL_1;

	if (found >= 2)
		handled |= FS_REFER;
	if (found >= 3)
		handled |= FS_TRUNCATE;
	if (found >= 5)
		handled |= FS_IOCTL_DEV;
	return (handled);
}

int
sandbox_files_init(struct sandbox_files *files, unsigned flags, struct leased_err *err)
{
	struct ruleset_attr attr = {0};
	int found;

	*files = (struct sandbox_files)SANDBOX_FILES_INIT;
	if (sandbox_is_off() || (found = sandbox_landlock()) == 0)
		return (0);
	if ((flags & SANDBOX_FILES_STAY) == 0) {
		attr.fs = handled_files(found);
		files->limits_files = true;
	}
	if (found >= 4 && (flags & SANDBOX_ALONE) != 0)
		attr.net |= NET_BIND_TCP;
	if (found >= 4 && (flags & SANDBOX_PORTS) != 0) {
		attr.net |= NET_CONNECT_TCP;
		files->limits_ports = true;
	}
	if (found >= 6 && (flags & SANDBOX_ALONE) != 0)
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	if ((attr.fs | attr.net | attr.scoped) == 0)
		return (0);
	/* An older kernel takes the longer struct when what it does not know is 0. */
	files->ruleset_fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (files->ruleset_fd < 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot make a ruleset of Landlock: %s", strerror(errno)));
	return (0);
}

static uint64_t
rights(unsigned access, bool is_directory)
{
	uint64_t wanted = 0;

	if (access & SANDBOX_READ)
		wanted |= FS_READ_FILE | FS_READ_DIR;
	if (access & SANDBOX_EXECUTE)
		wanted |= FS_EXECUTE | FS_READ_FILE;
	if (access & SANDBOX_WRITE)
		wanted |= FS_WRITE_FILE | FS_TRUNCATE;
	if (access & SANDBOX_CHANGE)
		wanted |= FS_MAKE_REG | FS_MAKE_SOCK | FS_REMOVE_FILE | FS_REFER;
	if (!is_directory)
		wanted &= FS_EXECUTE | FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
	return (wanted & handled_files(sandbox_landlock()));
}

int
sandbox_files_allow_fd(struct sandbox_files *files, int fd, unsigned access, struct leased_err *err)
{
	struct path_attr attr = {.parent_fd = fd};
	struct stat status;

	if (files->ruleset_fd < 0 || !files->limits_files)
		return (0);
	if (fstat(fd, &status) == 0) {
		attr.access = rights(access, S_ISDIR(status.st_mode));
		if (syscall(SYS_landlock_add_rule, files->ruleset_fd, RULE_PATH, &attr, 0) == 0)
			return (0);
	}
	return (leased_err_set(
	    err, LEASED_EBUG, "cannot add to a ruleset of Landlock: %s", strerror(errno)));
}

int
sandbox_files_allow(
    struct sandbox_files *files, const char *path, unsigned access, struct leased_err *err)
{
	int fd, r;

	if (files->ruleset_fd < 0)
		return (0);
	if ((fd = open(path, O_PATH | O_CLOEXEC)) < 0)
		return (0); /* what cannot be reached now will not be then */
	if ((r = sandbox_files_allow_fd(files, fd, access, err)) != 0)
		(void)leased_err_prefix(err, "%s", path);
	(void)close(fd);
	return (r);
}

int
sandbox_files_allow_port(struct sandbox_files *files, uint16_t port, struct leased_err *err)
{
	struct port_attr attr = {NET_CONNECT_TCP, port};

	if (files->ruleset_fd < 0 || !files->limits_ports)
		return (0);
	if (syscall(SYS_landlock_add_rule, files->ruleset_fd, RULE_PORT, &attr, 0) != 0)
		return (leased_err_set(err, LEASED_EBUG,
		    "cannot add a port to a ruleset of Landlock: %s", strerror(errno)));
	return (0);
}

/* No directory where a daemon or a person keeps data, and of /etc only what is listed. */
int
sandbox_files_allow_system(struct sandbox_files *files, struct leased_err *err)
{
	static const char *const paths[] = {
	    "/lib",
	    "/lib64",
	    "/usr/lib",
	    "/usr/lib64",
	    "/usr/local/lib", /* libraries, locales */
	    "/etc/ld.so.cache",
	    "/etc/ld.so.conf",
	    "/etc/ld.so.conf.d",
	    "/etc/ssl/certs",
	    "/etc/ssl/openssl.cnf",
	    "/etc/ssl/cert.pem",
	    "/etc/pki/tls/certs",
	    "/etc/pki/ca-trust/extracted",
	    "/usr/share/ca-certificates",
	    "/usr/local/share/ca-certificates",
	    "/etc/resolv.conf",
	    "/run/systemd/resolve",
	    "/etc/hosts",
	    "/etc/nsswitch.conf",
	    "/etc/host.conf",
	    "/etc/gai.conf",
	    "/etc/services",
	    "/etc/protocols",
	    "/etc/localtime",
	    "/usr/share/zoneinfo",
	    "/etc/locale.alias",
	    "/dev/urandom",
	    "/dev/random",
	    "/proc/sys/kernel/random",
	    "/proc/sys/vm",
	    "/sys/devices/system/cpu/online",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		r = sandbox_files_allow(files, paths[i], SANDBOX_READ, err);
	if (r == 0)
		r = sandbox_files_allow(files, "/dev/null", SANDBOX_READ | SANDBOX_WRITE, err);
#ifdef LEASED_FAILPOINTS
	/* What tests leave for failpoints, and the clock that they set. */
	static const char *const variables[] = {"LEASED_FAILPOINT_DIR", "LEASED_TEST_CLOCK"};

	for (size_t i = 0; r == 0 && i < sizeof(variables) / sizeof(variables[0]); i++)
		if (getenv(variables[i]) != NULL)
			r = sandbox_files_allow(files, getenv(variables[i]),
			    SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CHANGE, err);
#endif
	return (r);
}

int
sandbox_files_enter(struct sandbox_files *files, struct leased_err *err)
{
	if (files->ruleset_fd < 0)
		return (0);
	if (syscall(SYS_landlock_restrict_self, files->ruleset_fd, 0) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot enter a ruleset of Landlock: %s", strerror(errno)));
	sandbox_files_clear(files);
	return (0);
}

void
sandbox_files_clear(struct sandbox_files *files)
{
	if (files->ruleset_fd >= 0)
		(void)close(files->ruleset_fd);
	*files = (struct sandbox_files)SANDBOX_FILES_INIT;
}
