/*
 * Runs the command: no shell, closed descriptors, a fixed environment, its input on a pipe, its
 * output bounded, its lines to the log; and ends it, with whatever it has started, when time is up.
 * Knows nothing of what it says. Called by call.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exec.h"

struct running {
	pid_t pid;
	int in_fd, out_fd, pid_fd;
	int64_t end_ms;
};

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

/* ---- the child ---- */

static _Noreturn void
become(const struct exec_config *config, int in_fd, int out_fd, pid_t parent)
{
	static char *environment[] = {(char *)"LANG=C.UTF-8",
	    (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"HOME=/nonexistent", NULL};
	const struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	(void)sigemptyset(&none);
	for (int number = 1; number < 32; number++)
		(void)sigaction(number, &plain, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent ||
	    sigprocmask(SIG_SETMASK, &none, NULL) != 0 || dup2(in_fd, 0) < 0 ||
	    dup2(out_fd, 1) < 0 || close_range(3, ~0u, 0) != 0 || chdir("/") != 0)
		_exit(126);
	(void)umask(077);
	(void)execve(config->program, config->words, environment);
	(void)dprintf(2, "cannot execute %s: %s\n", config->program, strerror(errno));
	_exit(127);
}

/* Pipes that cannot be those of 0 to 2, and are gone at the next exec. */
static int
start(const struct exec_config *config, struct running *running, struct leased_err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, r = 0;
	pid_t self = getpid();

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
	    fcntl(in[1], F_SETFL, O_NONBLOCK) != 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) != 0 ||
	    (running->pid = fork()) < 0) {
		r = leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot start the command: %s", strerror(errno));
		running->pid = 0;
	} else if (running->pid == 0) {
		become(config, in[0], out[1], self);
	} else {
		running->in_fd = in[1];
		running->out_fd = out[0];
		in[1] = out[0] = -1;
		running->pid_fd = (int)syscall(SYS_pidfd_open, running->pid, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		close_fd(&in[i]);
		close_fd(&out[i]);
	}
	return (r);
}

/* ---- its end ---- */

/* One of our children, as the kernel lists them; 0: there is none. */
static pid_t
next_child(void)
{
	char path[64], text[32] = "";
	ssize_t len;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return (0);
	len = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	return (len > 0 ? (pid_t)strtol(text, NULL, 10) : 0);
}

/* What it left behind has become our child (PR_SET_CHILD_SUBREAPER), and is ended one by one, until
 * nobody is left. */
static void
end_rest(void)
{
	pid_t pid;

	for (unsigned tries = 0; tries < 1000; tries++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if ((pid = next_child()) <= 0)
			return;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
}

static void
finish(struct running *running, bool is_over, struct exec_output *output)
{
	int status = 0;

	if (running->pid > 0) {
		if (!is_over)
			(void)kill(running->pid, SIGKILL);
		while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR)
			;
		if (is_over && WIFEXITED(status))
			output->status = WEXITSTATUS(status);
		else if (is_over && WIFSIGNALED(status))
			output->signal = WTERMSIG(status);
		end_rest();
	}
	close_fd(&running->in_fd);
	close_fd(&running->out_fd);
	close_fd(&running->pid_fd);
}

/* ---- in between ---- */

/* Returns false when nothing more goes in: all is written, or nobody reads. */
static bool
feed(int fd, const char **input, size_t *len)
{
	ssize_t n = write(fd, *input, *len);

	if (n < 0)
		return (errno == EAGAIN || errno == EINTR);
	*input += n;
	*len -= (size_t)n;
	return (*len > 0);
}

/* Returns false at the end, or when it is too much. */
static bool
drain(int fd, struct exec_output *output)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		if (!exec_output_add(output, bytes, (size_t)n))
			break;
	leased_wipe(bytes, sizeof(bytes));
	return (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until it has ended, wrote too much, or time is up. Returns whether it has ended by itself. */
static bool
attend(struct running *running, const char *input, size_t len, struct exec_output *output)
{
	for (;;) {
		struct pollfd polls[3] = {{.fd = running->pid_fd, .events = POLLIN},
		    {.fd = running->out_fd, .events = POLLIN},
		    {.fd = running->in_fd, .events = POLLOUT}};
		int64_t left = running->end_ms - now_ms();

		if (left <= 0 || (poll(polls, 3, (int)left) < 0 && errno != EINTR))
			return (false);
		if (polls[2].revents != 0 && !feed(running->in_fd, &input, &len))
			close_fd(&running->in_fd);
		if (polls[1].revents != 0 && !drain(running->out_fd, output))
			close_fd(&running->out_fd);
		if (output->is_cut)
			return (false);
		if (polls[0].revents != 0) {
			/* What it wrote before it ended is in the pipe. */
			if (running->out_fd >= 0)
				(void)drain(running->out_fd, output);
			return (!output->is_cut);
		}
	}
}

int
exec_run(const struct exec_config *config, const char *input, size_t len, int timeout_ms,
    struct exec_output *ret_output, bool *ret_started, struct leased_err *err)
{
	struct running running = {0, -1, -1, -1, now_ms() + timeout_ms};
	bool is_over;
	int r;

	if ((r = exec_config_check_program(config->program, err)) != 0)
		return (r);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if ((r = start(config, &running, err)) != 0)
		return (r);
	*ret_started = true;
	if (running.pid_fd < 0) {
		finish(&running, false, ret_output);
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot watch the command: %s", strerror(errno)));
	}
	is_over = attend(&running, input, len, ret_output);
	finish(&running, is_over, ret_output);
	if (is_over || ret_output->is_cut)
		return (0);
	return (leased_err_set(err, LEASED_ETIMEDOUT,
	    "the command did not end in %d.%d s, and was killed", timeout_ms / 1000,
	    timeout_ms % 1000 / 100));
}
