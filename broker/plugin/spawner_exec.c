/*
 * Starting one worker process: checks the program, makes its descriptors and environment, executes
 * it. Part of the spawner's process; single-threaded, so that fork is safe. Keeps no list:
 * spawner.c does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/confine.h"

/* Above every number that a worker's own descriptors get. */
#define SAFE_FD 16

struct ends {
	int stream[2], log[2], status[2]; /* [0] ours, [1] the worker's */
	int program_fd, null_fd;
};
#define ENDS_INIT                                                                                  \
	{                                                                                          \
		{-1, -1}, {-1, -1}, {-1, -1}, -1, -1                                               \
	}

int
plugin_spawner_check_owner(int fd, const char *what, bool directory, struct leased_err *err)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return (leased_err_set(err, LEASED_EIO, "%s: %s", what, strerror(errno)));
	if (directory ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
		return (leased_err_set(err, LEASED_EINVAL, "%s is no %s", what,
		    directory ? "directory" : "regular file"));
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s belongs to user %u: plugins must belong to root or to the user that leased "
		    "runs as; use chown",
		    what, (unsigned)status.st_uid));
	if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s can be written by others than its owner: run chmod go-w %s", what, what));
	return (0);
}

static void
close_ends(struct ends *ends)
{
	int *fds[] = {&ends->stream[0], &ends->stream[1], &ends->log[0], &ends->log[1],
	    &ends->status[0], &ends->status[1], &ends->program_fd, &ends->null_fd};

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0) {
			close(*fds[i]);
			*fds[i] = -1;
		}
}

/* Opens by name within the directory that was checked; a link could lead out of it. */
static int
open_program(const struct spawner_program *program, int *ret_fd, struct leased_err *err)
{
	struct stat status;
	int fd, r;

	if (program->name[0] == '\0' ||
	    strspn(program->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") !=
		strlen(program->name))
		return (leased_err_set(err, LEASED_EINVAL, "this cannot be a plugin's name"));
	fd = openat(program->dir_fd, program->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return (leased_err_set(err, LEASED_ENOENT, "cannot open the plugin %s/%s: %s",
		    program->dir, program->name, strerror(errno)));
	if ((r = plugin_spawner_check_owner(fd, program->name, false, err)) == 0 &&
	    (fstat(fd, &status) != 0 || (status.st_mode & (S_ISUID | S_ISGID)) != 0))
		r = leased_err_set(err, LEASED_EINVAL, "the plugin %s must not be setuid or setgid",
		    program->name);
	if (r != 0)
		close(fd);
	else
		*ret_fd = fd;
	return (r);
}

/* All of them out of the way of 0 to 3, and gone at exec unless the child says otherwise. */
static int
open_ends(const struct spawner_program *program, struct ends *ends, struct leased_err *err)
{
	int *fds[] = {
	    &ends->stream[1], &ends->log[1], &ends->status[1], &ends->program_fd, &ends->null_fd};
	int r, moved;

	if ((r = open_program(program, &ends->program_fd, err)) != 0)
		return (r);
	ends->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (ends->null_fd < 0 || pipe2(ends->log, O_CLOEXEC) != 0 ||
	    pipe2(ends->status, O_CLOEXEC) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->stream) != 0)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "no descriptors for a worker: %s", strerror(errno)));
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if ((moved = fcntl(*fds[i], F_DUPFD_CLOEXEC, SAFE_FD)) < 0)
			return (leased_err_set(err, LEASED_EUNAVAIL,
			    "no descriptors for a worker: %s", strerror(errno)));
		close(*fds[i]);
		*fds[i] = moved;
	}
	return (0);
}

/* A static list. Test builds pass on what arms failpoints and configures sanitizers. */
static char **
worker_environment(void)
{
	static char language[] = "LANG=C", path[] = "PATH=/usr/bin:/bin";
	static char *variables[32] = {language, path};
#ifdef LEASED_FAILPOINTS
	static const char *const passed[] = {"LEASED_FAILPOINT", "LEASED_TEST_",
	    "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "LSAN_OPTIONS="};
	unsigned count = 2;

	for (char **one = environ; one != NULL && *one != NULL && count < 31; one++)
		for (unsigned i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
			if (strncmp(*one, passed[i], strlen(passed[i])) == 0 && count < 31)
				variables[count++] = *one;
	variables[count] = NULL;
#endif
	return (variables);
}

/* A script's interpreter opens the script by its path: it cannot be started by descriptor. */
static bool
is_script(int fd)
{
	char start[2];

	return (pread(fd, start, 2, 0) == 2 && start[0] == '#' && start[1] == '!');
}

static int
setup_child(const struct spawner_program *program, const struct ends *ends)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	sigemptyset(&none);
	if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return (-1);
	if (getppid() != program->spawner)
		_exit(1); /* the spawner died before the kernel knew */
	if (sigaction(SIGCHLD, &plain, NULL) != 0 || sigaction(SIGPIPE, &plain, NULL) != 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return (-1);
	if (dup2(ends->null_fd, 0) < 0 || dup2(ends->log[1], 1) < 0 || dup2(ends->log[1], 2) < 0 ||
	    dup2(ends->stream[1], 3) < 0)
		return (-1);
	return (close_range(4, ~0u, CLOSE_RANGE_CLOEXEC));
}

/* Why there is no worker, as the child tells it. */
struct failure {
	int e; /* errno, or 0: the text says it */
	char text[512];
};

static _Noreturn void
run_child(const struct spawner_program *program, const struct ends *ends)
{
	char path[4096], name[64], *arguments[] = {name, NULL};
	struct failure failure = {0};
	struct leased_err err = LEASED_ERR_INIT;
	bool scripted = is_script(ends->program_fd);

	snprintf(name, sizeof(name), "%s", program->name);
	if (setup_child(program, ends) != 0) {
		failure.e = errno;
	} else if (plugin_confine_worker(program, ends->program_fd, scripted, &err) != 0) {
		snprintf(failure.text, sizeof(failure.text), "%s", err.text);
	} else {
		if (!scripted)
			fexecve(ends->program_fd, arguments, worker_environment());
		else if ((size_t)snprintf(path, sizeof(path), "%s/%s", program->dir, name) <
			 sizeof(path))
			execve(path, arguments, worker_environment());
		failure.e = errno;
	}
	if (write(ends->status[1], &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

int
plugin_spawner_exec(const struct spawner_program *program, pid_t *ret_pid, int *ret_stream_fd,
    int *ret_log_fd, struct leased_err *err)
{
	struct ends ends = ENDS_INIT;
	struct failure failure = {0};
	ssize_t len;
	pid_t pid;
	int r;

	if ((r = open_ends(program, &ends, err)) != 0)
		goto out;
	if ((pid = fork()) < 0) {
		r = leased_err_set(err, LEASED_EUNAVAIL, "cannot fork: %s", strerror(errno));
		goto out;
	}
	if (pid == 0)
		run_child(program, &ends);
	close(ends.status[1]);
	ends.status[1] = -1;
	do
		len = read(ends.status[0], &failure, sizeof(failure)); /* ends with the exec */
	while (len < 0 && errno == EINTR);
	if (len != 0) {
		(void)waitpid(pid, NULL, 0);
		if (failure.e != 0)
			r = leased_err_set(err, LEASED_EUNAVAIL,
			    "cannot execute the plugin %s/%s: %s", program->dir, program->name,
			    strerror(failure.e));
		else
			r = leased_err_set(
			    err, LEASED_EUNAVAIL, "it was not started: %s", failure.text);
		goto out;
	}
	*ret_pid = pid;
	*ret_stream_fd = ends.stream[0];
	*ret_log_fd = ends.log[0];
	ends.stream[0] = ends.log[0] = -1; /* handed over */
out:
	close_ends(&ends);
	return (r);
}
