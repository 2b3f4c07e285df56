/*
 * The command behind a Unix socket: a service manager runs it there for each connection, as a user
 * of its own. The same bytes as on a pipe; what it says ends with the stream. Called by call.c.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "exec.h"

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static bool
wait_for(int fd, short events, int64_t end_ms)
{
	struct pollfd one = {.fd = fd, .events = events};
	int64_t left;

	while ((left = end_ms - now_ms()) > 0)
		if (poll(&one, 1, (int)left) > 0)
			return (true);
	return (false);
}

static int
dial(const char *path, int *ret_fd, struct leased_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
		return (leased_err_set(err, LEASED_EINVAL, "socket: the path is too long"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		(void)leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot connect to %s: %s", path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return (err->code);
	}
	*ret_fd = fd;
	return (0);
}

/* A service that has ended before it read everything may have answered all the same. */
static bool
write_all(int fd, const char *input, size_t len, int64_t end_ms)
{
	ssize_t n;

	while (len > 0) {
		if (!wait_for(fd, POLLOUT, end_ms))
			return (false);
		if ((n = send(fd, input, len, MSG_NOSIGNAL)) < 0 && errno != EAGAIN &&
		    errno != EINTR)
			break;
		if (n > 0) {
			input += n;
			len -= (size_t)n;
		}
	}
	(void)shutdown(fd, SHUT_WR);
	return (true);
}

int
exec_dial(const struct exec_config *config, const char *input, size_t len, int timeout_ms,
    struct exec_output *ret_output, bool *ret_started, struct leased_err *err)
{
	int64_t end_ms = now_ms() + timeout_ms;
	bool in_time;
	char bytes[4096];
	ssize_t n = 1;
	int fd, r;

	if ((r = dial(config->socket, &fd, err)) != 0)
		return (r);
	*ret_started = true;
	in_time = write_all(fd, input, len, end_ms);
	while (in_time && n > 0 && !ret_output->is_cut) {
		if (!(in_time = wait_for(fd, POLLIN, end_ms)))
			break;
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n > 0)
			(void)exec_output_add(ret_output, bytes, (size_t)n);
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			n = 1;
	}
	leased_wipe(bytes, sizeof(bytes));
	(void)close(fd);
	if (in_time)
		return (0);
	return (leased_err_set(err, LEASED_ETIMEDOUT,
	    "the service at %s did not end its answer in %d.%d s", config->socket,
	    timeout_ms / 1000, timeout_ms % 1000 / 100));
}
