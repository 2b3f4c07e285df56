/*
 * Fuzzes the watch over a login without TLS: whatever a server says, libpq gets the beginning of it
 * in whole messages, and none that asks for the password in a form that tells it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "postgresql/guard.h"

#define INPUT_MAX 32768 /* fits into a socket's buffer as one */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint32_t
number_at(const uint8_t *bytes)
{
	return ((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
		bytes[3]);
}

/* What came through, against what was said. */
static void
check(const uint8_t *said, size_t said_len, const uint8_t *got, size_t got_len)
{
	size_t at = 0, len;

	if (got_len > said_len || memcmp(said, got, got_len) != 0)
		abort();
	while (at < got_len) {
		if (got_len - at < 5 || (len = number_at(got + at + 1)) < 4 ||
		    got_len - at < len + 1)
			abort();
		if (got[at] == 'R' && (len < 8 || (number_at(got + at + 5) != 0 &&
						      number_at(got + at + 5) - 10u > 2)))
			abort();
		at += len + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static uint8_t got[INPUT_MAX + 1];
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_guard guard = {.is_on = true};
	int server[2], ours[2];
	size_t got_len = 0;
	ssize_t n;

	if (len > INPUT_MAX)
		return (0);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, server) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ours) != 0 ||
	    (len > 0 && write(server[0], bytes, len) != (ssize_t)len))
		abort();
	(void)close(server[0]);
	guard.server_fd = server[1];
	guard.ours_fd = ours[0];
	for (;;) { /* as libpq does: reads what there is, and asks for more */
		if (postgresql_guard_hand_on(&guard, INT64_MAX, &err) != 0)
			break;
		n = read(ours[1], got + got_len, sizeof(got) - got_len);
		if (n <= 0)
			break;
		got_len += (size_t)n;
	}
	check(bytes, len, got, got_len);
	postgresql_guard_clear(&guard);
	(void)close(ours[1]);
	return (0);
}
