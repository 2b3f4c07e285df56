/*
 * Notification of systemd: what arrives, by path and by abstract name, and what is taken out of the
 * environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A datagram socket bound to name: an '@' first means an abstract one. */
static int
listen_on(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_int_not_equal(fd, -1);
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	return (fd);
}

static void
assert_arrives(const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	char message[64] = "";
	int fd = listen_on(name);

	(void)setenv("NOTIFY_SOCKET", name, 1);
	notify_setup();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_int_equal(notify_send("READY=1\nSTATUS=serving", &err), 0);
	assert_int_equal(recv(fd, message, sizeof(message), 0), 22);
	assert_string_equal(message, "READY=1\nSTATUS=serving");
	close(fd);
	assert_int_equal(notify_send("STOPPING=1", &err), LEASED_EUNAVAIL);
	assert_int_equal(strncmp(err.text, "cannot notify systemd: ", 23), 0);
}

static void
message_arrives_by_path_and_by_abstract_name(void **state)
{
	char directory[] = "/tmp/leased-notify-XXXXXX", name[64];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(name, sizeof(name), "%s/socket", directory);
	assert_arrives(name);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(rmdir(directory), 0);
	snprintf(name, sizeof(name), "@%s", directory);
	assert_arrives(name);
}

static void
without_a_socket_every_call_is_a_success(void **state)
{
	static const char *const useless[] = {"", "/", "relative", "vsock:2:1"};
	struct leased_err err;
	size_t i;

	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	notify_setup();
	assert_int_equal(notify_send("READY=1", &err), 0);
	for (i = 0; i < sizeof(useless) / sizeof(useless[0]); i++) {
		(void)setenv("NOTIFY_SOCKET", useless[i], 1);
		notify_setup();
		assert_int_equal(notify_send("READY=1", &err), 0);
	}
}

static void
watchdog_counts_only_when_meant_for_us(void **state)
{
	char pid[32];

	(void)state;
	notify_setup();
	assert_int_equal(notify_watchdog_us(), 0);
	(void)setenv("WATCHDOG_USEC", "30000000", 1);
	notify_setup();
	assert_int_equal(notify_watchdog_us(), 30000000);
	assert_null(getenv("WATCHDOG_USEC"));

	(void)setenv("WATCHDOG_USEC", "5", 1);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	(void)setenv("WATCHDOG_PID", pid, 1);
	notify_setup();
	assert_int_equal(notify_watchdog_us(), 5);
	(void)setenv("WATCHDOG_USEC", "5", 1);
	(void)setenv("WATCHDOG_PID", "1", 1);
	notify_setup();
	assert_int_equal(notify_watchdog_us(), 0);
	(void)setenv("WATCHDOG_USEC", "5x", 1);
	notify_setup();
	assert_int_equal(notify_watchdog_us(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(message_arrives_by_path_and_by_abstract_name),
	    cmocka_unit_test(without_a_socket_every_call_is_a_success),
	    cmocka_unit_test(watchdog_counts_only_when_meant_for_us),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
