/*
 * Hardening: what a process is after it, which descriptors and variables it has left, and that
 * workers die with their parent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/harden.h"
#include "support/child.h"

static void
harden_and_look(void *arg)
{
	struct leased_err err;
	struct sigaction action;
	struct rlimit core;
	const char *token;

	(void)arg;
	(void)unsetenv("LEASED_TEST_DUMPABLE");
	(void)setenv("VAULT_TOKEN", "canary-55", 1);
	(void)setenv("LD_PRELOAD_X", "x", 1);
	(void)setenv("TZ", "UTC", 1);
	token = getenv("VAULT_TOKEN");
	CHILD_CHECK(harden_process(&err) == 0);
	CHILD_CHECK(umask(0) == 077);
	CHILD_CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHILD_CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHILD_CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
	CHILD_CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
	CHILD_CHECK(getenv("VAULT_TOKEN") == NULL && getenv("LD_PRELOAD_X") == NULL);
	CHILD_CHECK(strcmp(getenv("TZ"), "UTC") == 0);
	CHILD_CHECK(strcmp(token, "") == 0); /* wiped where it stood */
}

static void
hardened_process_has_nothing_to_leak(void **state)
{
	char output[1024];
	int status = child_run(harden_and_look, NULL, output, sizeof(output));

	(void)state;
	assert_string_equal(output, "");
	assert_int_equal(status, 0);
}

static void
close_and_look(void *arg)
{
	const int keep[] = {2, 11, 12, 15};
	struct leased_err err;
	int fd;

	(void)arg;
	for (fd = 10; fd < 20; fd++)
		CHILD_CHECK(dup2(STDERR_FILENO, fd) == fd);
	CHILD_CHECK(harden_close_from(10, keep, 4, &err) == 0);
	for (fd = 10; fd < 20; fd++)
		CHILD_CHECK((fcntl(fd, F_GETFD) != -1) == (fd == 11 || fd == 12 || fd == 15));
	CHILD_CHECK(fcntl(STDERR_FILENO, F_GETFD) != -1);
	CHILD_CHECK(harden_close_from(10, NULL, 0, &err) == 0);
	CHILD_CHECK(fcntl(11, F_GETFD) == -1 && errno == EBADF);
}

static void
only_the_kept_descriptors_stay_open(void **state)
{
	char output[1024];
	int status = child_run(close_and_look, NULL, output, sizeof(output));

	(void)state;
	assert_string_equal(output, "");
	assert_int_equal(status, 0);
}

/* Starts a worker that holds the pipe open, and dies. */
static void
be_a_dying_parent(void *arg)
{
	const int *pipe_fds = arg;
	struct leased_err err;
	pid_t self = getpid();

	if (fork() == 0) {
		if (harden_die_with_parent(self, &err) != 0)
			_exit(1);
		(void)!write(pipe_fds[1], "r", 1);
		pause();
	}
	close(pipe_fds[1]);
	(void)!read(pipe_fds[0], &err, 1);
	_exit(0);
}

static void
worker_dies_with_its_parent(void **state)
{
	int pipe_fds[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(child_run(be_a_dying_parent, pipe_fds, NULL, 0), 0);
	close(pipe_fds[1]);
	/* The end of the pipe: nobody holds it any more. Hangs until the test's timeout otherwise.
	 */
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

static void
have_another_parent(void *arg)
{
	struct leased_err err;

	(void)arg;
	_exit(harden_die_with_parent(getpid(), &err) == 0 ? 0 : 2);
}

static void
worker_whose_parent_is_gone_already_exits(void **state)
{
	(void)state;
	assert_int_equal(child_run(have_another_parent, NULL, NULL, 0), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hardened_process_has_nothing_to_leak),
	    cmocka_unit_test(only_the_kept_descriptors_stay_open),
	    cmocka_unit_test(worker_dies_with_its_parent),
	    cmocka_unit_test(worker_whose_parent_is_gone_already_exits),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
