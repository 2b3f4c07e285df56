/*
 * Tells systemd how we are (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names.
 * Called by main.
 *
 * Opens the socket for each message, which are few, so that no descriptor is there to be closed or
 * inherited by mistake.
 */
#include "base/notify.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_len; /* 0: nobody to tell */
static long long watchdog_us;

static void
take_socket(const char *path)
{
	size_t len = strlen(path);

	if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* an abstract address, whose length counts */
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void
take_watchdog(const char *period, const char *pid)
{
	if (pid != NULL && strtonum(pid, 1, INT_MAX, NULL) != getpid())
		return;
	watchdog_us = strtonum(period, 0, LLONG_MAX, NULL);
}

void
notify_setup(void)
{
	const char *value;

	memset(&address, 0, sizeof(address));
	address_len = 0;
	watchdog_us = 0;
	if ((value = getenv("NOTIFY_SOCKET")) != NULL)
		take_socket(value);
	if ((value = getenv("WATCHDOG_USEC")) != NULL)
		take_watchdog(value, getenv("WATCHDOG_PID"));
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

int
notify_send(const char *state, struct leased_err *err)
{
	size_t len = strlen(state);
	ssize_t sent;
	int fd, error;

	if (address_len == 0)
		return (0);
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot notify systemd: %s", strerror(errno)));
	sent = sendto(fd, state, len, MSG_NOSIGNAL, (const struct sockaddr *)&address, address_len);
	error = errno;
	close(fd);
	if (sent != (ssize_t)len)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot notify systemd: %s", strerror(error)));
	return (0);
}

long long
notify_watchdog_us(void)
{
	return (watchdog_us);
}
