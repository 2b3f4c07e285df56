/*
 * What every process of ours does to itself at its start, before it reads anything that others
 * wrote.
 *
 * Not the sandbox of a role: that is sandbox.h. Called by main, the spawner and, through the SDK,
 * by workers.
 */
#include "base/harden.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leased/secret.h>

/* What may stay: nothing that makes a library open a file, load code or find a password. */
static const char *const kept_variables[] = {
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "CREDENTIALS_DIRECTORY",
#ifdef LEASED_FAILPOINTS
    "LEASED_FAILPOINT",
    "LEASED_FAILPOINT_DIR",
    "LEASED_TEST_CLOCK",
    "LEASED_TEST_DUMPABLE",
    "LEASED_TEST_LANDLOCK",
    "LEASED_TEST_SANDBOX",
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "UBSAN_OPTIONS",
#endif
};

static bool
is_kept(const char *variable)
{
	size_t i, len;

	for (i = 0; i < sizeof(kept_variables) / sizeof(kept_variables[0]); i++) {
		len = strlen(kept_variables[i]);
		if (strncmp(variable, kept_variables[i], len) == 0 && variable[len] == '=')
			return (true);
	}
	return (false);
}

/* What goes is wiped where it stands: /proc/PID/environ shows that memory. Pointers that getenv(3)
 * gave for it are empty strings afterwards. */
static void
cut_environment(void)
{
	char **from, **to, *value;

	if (environ == NULL)
		return;
	for (from = to = environ; *from != NULL; from++) {
		if (is_kept(*from))
			*to++ = *from;
		else if ((value = strchr(*from, '=')) != NULL)
			leased_wipe(value + 1, strlen(value + 1));
	}
	*to = NULL;
}

/* A tracer, a core file or /proc/PID/mem would show every secret. Leak checkers trace, too: test
 * builds may ask to be let alone. */
static int
forbid_dumps(struct leased_err *err)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot forbid core files: %s", strerror(errno)));
#ifdef LEASED_FAILPOINTS
	if (getenv("LEASED_TEST_DUMPABLE") != NULL)
		return (0);
#endif
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot forbid dumps of memory: %s", strerror(errno)));
	return (0);
}

int
harden_process(struct leased_err *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int r;

	(void)umask(077);
	if ((r = forbid_dumps(err)) != 0)
		return (r);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot give up new privileges: %s", strerror(errno)));
	if (sigaction(SIGPIPE, &ignore, NULL) != 0)
		return (
		    leased_err_set(err, LEASED_EBUG, "cannot ignore SIGPIPE: %s", strerror(errno)));
	cut_environment();
	return (0);
}

int
harden_die_with_parent(pid_t parent, struct leased_err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return (leased_err_set(err, LEASED_EBUG,
		    "cannot tie this process to its parent: %s", strerror(errno)));
	/* It may have died before the kernel knew. */
	if (getppid() != parent)
		_exit(1);
	return (0);
}

int
harden_close_from(int lowest, const int *keep, unsigned count, struct leased_err *err)
{
	unsigned from = (unsigned)lowest, i;

	for (i = 0; i < count; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < from)
			continue;
		if ((unsigned)keep[i] > from && close_range(from, (unsigned)keep[i] - 1, 0) != 0)
			goto failed;
		from = (unsigned)keep[i] + 1;
	}
	if (close_range(from, ~0u, 0) != 0)
		goto failed;
	return (0);
failed:
	return (leased_err_set(err, LEASED_EBUG,
	    "cannot close inherited descriptors: %s; Linux 5.9 or newer is needed",
	    strerror(errno)));
}
