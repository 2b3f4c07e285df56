/*
 * Watches a login that TLS does not protect. libpq before version 16 answers whatever the server
 * asks for, and reads ahead, so that looking at the socket beside it is not enough: until the login
 * is through, libpq holds one end of a socket pair, and what the server says is handed to it
 * message by message. Knows no password. session.c calls.
 */
#include "guard.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEADER_LEN 5
#define MESSAGE_MAX 65536 /* well within what a socket pair takes */

/* AuthenticationOk, SASL, SASLContinue, SASLFinal: none of them brings a password on the wire. */
static const uint32_t harmless[] = {0, 10, 11, 12};

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int
too_late(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EUNAVAIL, "no answer in time"));
}

static int
wait_fd(int fd, short events, int64_t until_ms, struct leased_err *err)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int64_t left_ms = until_ms - now_ms();

	if (left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) <= 0)
		return (too_late(err));
	return (0);
}

static int
send_all(int fd, const uint8_t *bytes, size_t len, int64_t until_ms, struct leased_err *err)
{
	ssize_t n;
	int r;

	while (len > 0) {
		n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return (leased_err_set(
			    err, LEASED_EUNAVAIL, "the server broke the connection off"));
		} else if ((r = wait_fd(fd, POLLOUT, until_ms, err)) != 0) {
			return (r);
		}
	}
	return (0);
}

/* LEASED_ENOENT: the server has hung up. */
static int
receive_all(int fd, uint8_t *bytes, size_t len, int64_t until_ms, struct leased_err *err)
{
	ssize_t n;
	int r;

	while (len > 0) {
		n = recv(fd, bytes, len, MSG_DONTWAIT);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			return (LEASED_ENOENT);
		} else if ((r = wait_fd(fd, POLLIN, until_ms, err)) != 0) {
			return (r);
		}
	}
	return (0);
}

static uint32_t
number_at(const uint8_t *bytes)
{
	uint32_t number;

	memcpy(&number, bytes, sizeof(number));
	return (be32toh(number));
}

static int
check_authentication(
    struct postgresql_guard *guard, const uint8_t *body, size_t len, struct leased_err *err)
{
	uint32_t code = len >= 4 ? number_at(body) : UINT32_MAX;
	size_t i;

	guard->is_over = code == 0;
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (code == harmless[i])
			return (0);
	return (leased_err_set(err, LEASED_EDENIED,
	    "the server asked for the password %s, without TLS; it was not sent, since anybody may "
	    "listen on this machine's addresses: let pg_hba.conf say scram-sha-256 (and set the "
	    "password anew where it is stored as md5), or give sslmode verify-full",
	    code == 3 ? "in clear text" : "by another method than scram-sha-256"));
}

int
postgresql_guard_hand_on(struct postgresql_guard *guard, int64_t until_ms, struct leased_err *err)
{
	uint8_t header[HEADER_LEN], *message = NULL;
	size_t len;
	int r;

	if ((r = receive_all(guard->server_fd, header, sizeof(header), until_ms, err)) != 0)
		goto out;
	len = number_at(header + 1);
	if (len < 4 || len > MESSAGE_MAX)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "what answers there does not speak PostgreSQL's protocol"));
	len -= 4;
	if ((message = malloc(HEADER_LEN + len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	memcpy(message, header, HEADER_LEN);
	r = receive_all(guard->server_fd, message + HEADER_LEN, len, until_ms, err);
	if (r == 0 && header[0] == 'R')
		r = check_authentication(guard, message + HEADER_LEN, len, err);
	if (r == 0)
		r = send_all(guard->ours_fd, message, HEADER_LEN + len, until_ms, err);
out:
	free(message);
	if (r == LEASED_ENOENT) {
		(void)shutdown(guard->ours_fd, SHUT_WR);
		return (0);
	}
	return (r);
}

/* libpq has sent its startup packet, in which nothing is secret, and has read nothing yet. */
static int
step_between(struct postgresql_guard *guard, PGconn *connection, struct leased_err *err)
{
	struct stat state;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "cannot make a socket pair"));
	guard->ours_fd = fds[0];
	guard->server_fd = fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 0);
	if (guard->server_fd < 0 || fstat(fds[1], &state) != 0 ||
	    dup3(fds[1], PQsocket(connection), O_CLOEXEC) < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		if (guard->server_fd >= 0)
			(void)close(guard->server_fd);
		return (leased_err_set(err, LEASED_EUNAVAIL, "cannot watch the login"));
	}
	(void)close(fds[1]);
	guard->inode = state.st_ino;
	guard->is_on = true;
	guard->is_over = false;
	return (0);
}

void
postgresql_guard_clear(struct postgresql_guard *guard)
{
	if (!guard->is_on)
		return;
	(void)close(guard->server_fd);
	(void)close(guard->ours_fd);
	guard->is_on = false;
}

int
postgresql_guard_wait(struct postgresql_guard *guard, PGconn *connection,
    PostgresPollingStatusType step, int timeout_ms, struct leased_err *err)
{
	int64_t until_ms = now_ms() + timeout_ms;
	int r;

	if (!guard->is_on && PQstatus(connection) == CONNECTION_AWAITING_RESPONSE &&
	    (r = step_between(guard, connection, err)) != 0)
		return (r);
	if (guard->is_on && step == PGRES_POLLING_READING)
		return (postgresql_guard_hand_on(guard, until_ms, err));
	return (wait_fd(
	    PQsocket(connection), step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms, err));
}

int
postgresql_guard_after(struct postgresql_guard *guard, PGconn *connection, struct leased_err *err)
{
	uint8_t bytes[4096];
	struct stat state;
	ssize_t n;
	int r = 0;

	if (!guard->is_on)
		return (0);
	if (PQsocket(connection) < 0 || fstat(PQsocket(connection), &state) != 0 ||
	    state.st_ino != guard->inode) { /* it has given up, or goes on to another host */
		postgresql_guard_clear(guard);
		return (0);
	}
	while (r == 0 && (n = recv(guard->ours_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		r = send_all(guard->server_fd, bytes, (size_t)n, now_ms() + 1000, err);
	if (r != 0 || !guard->is_over)
		return (r);
	if (dup3(guard->server_fd, PQsocket(connection), O_CLOEXEC) < 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "cannot take up the connection"));
	postgresql_guard_clear(guard);
	return (0);
}
