/*
 * One fork a call, stderr into an anonymous file. Used by unit tests only.
 */
#include "support/child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

int
child_run(void (*body)(void *arg), void *arg, char *ret_output, size_t size)
{
	int output_fd, status;
	ssize_t len;
	pid_t pid;

	assert_int_not_equal(output_fd = memfd_create("stderr", MFD_CLOEXEC), -1);
	/* An anonymous file does not keep the writes of several threads apart without this. */
	assert_int_equal(fcntl(output_fd, F_SETFL, O_APPEND), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (ret_output != NULL && dup2(output_fd, STDERR_FILENO) == -1)
			_exit(99);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (ret_output != NULL) {
		len = pread(output_fd, ret_output, size - 1, 0);
		assert_true(len >= 0);
		ret_output[len] = '\0';
	}
	close(output_fd);
	return (WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
