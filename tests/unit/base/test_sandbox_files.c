/*
 * The sandbox's files, ports, signals and capabilities: what is left of them, looked at from a
 * process of its own. On a kernel that can do less, what it cannot do must be said, and the rest
 * holds; LEASED_TEST_LANDLOCK=N shows that on a newer one. Not built with sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/harden.h"
#include "base/sandbox.h"
#include "support/child.h"

static void
a_name_resolves(void)
{
	struct addrinfo *found = NULL;

	CHILD_CHECK(getaddrinfo("localhost", "5432", NULL, &found) == 0);
	freeaddrinfo(found);
}

/* ---- files ---- */

static char scratch[64];

static void
in_scratch(const char *name, char ret_path[128])
{
	(void)snprintf(ret_path, 128, "%s/%s", scratch, name);
}

static int
make_scratch(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(scratch, sizeof(scratch), "/tmp/leased-sandbox-XXXXXX");
	assert_non_null(mkdtemp(scratch));
	for (const char *const *name = (const char *const[]){"read", "write", NULL}; *name != NULL;
	     name++) {
		in_scratch(*name, path);
		assert_int_equal(mkdir(path, 0700), 0);
		(void)strlcat(path, "/file", sizeof(path));
		assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	}
	return (0);
}

static int
remove_scratch(void **state)
{
	const char *const names[] = {
	    "read/file", "write/file", "write/moved", "read", "write", NULL};
	char path[128];

	(void)state;
	for (size_t i = 0; names[i] != NULL; i++) {
		in_scratch(names[i], path);
		(void)remove(path);
	}
	return (rmdir(scratch));
}

static bool
can_open(const char *name, int flags)
{
	char path[128];
	int fd;

	in_scratch(name, path);
	if ((fd = open(path, flags, 0600)) >= 0)
		(void)close(fd);
	return (fd >= 0);
}

static void
enter_files(void *arg)
{
	struct sandbox_files files;
	struct leased_err err = LEASED_ERR_INIT;
	char path[128], moved[128];

	(void)arg;
	CHILD_CHECK(harden_process(&err) == 0);
	CHILD_CHECK(sandbox_files_init(&files, 0, &err) == 0);
	CHILD_CHECK(sandbox_files_allow_system(&files, &err) == 0);
	in_scratch("read", path);
	CHILD_CHECK(sandbox_files_allow(&files, path, SANDBOX_READ, &err) == 0);
	in_scratch("write", path);
	CHILD_CHECK(sandbox_files_allow(
			&files, path, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CHANGE, &err) == 0);
	CHILD_CHECK(sandbox_files_allow(&files, "/nonexistent", SANDBOX_READ, &err) == 0);
	CHILD_CHECK(sandbox_files_enter(&files, &err) == 0);
	CHILD_CHECK(can_open("read/file", O_RDONLY));
	if (sandbox_landlock() == 0)
		return; /* nothing is limited, and that is no error */
	CHILD_CHECK(!can_open("read/file", O_RDWR));
	CHILD_CHECK(!can_open("read/new", O_WRONLY | O_CREAT));
	CHILD_CHECK(!can_open("outside", O_WRONLY | O_CREAT));
	CHILD_CHECK(can_open("write/file", O_RDWR | O_TRUNC));
	CHILD_CHECK(can_open("write/new", O_WRONLY | O_CREAT));
	in_scratch("write/new", path);
	in_scratch("write/moved", moved);
	CHILD_CHECK(rename(path, moved) == 0 && unlink(moved) == 0);
	CHILD_CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	CHILD_CHECK(open("/etc/shadow", O_RDONLY) < 0);
	CHILD_CHECK(open("/etc/resolv.conf", O_RDONLY) >= 0 || errno == ENOENT);
	CHILD_CHECK(open("/dev/null", O_RDWR) >= 0);
	a_name_resolves();
}

static void
only_the_allowed_files_can_be_opened(void **state)
{
	char output[512];
	int status = child_run(enter_files, NULL, output, sizeof(output));

	(void)state;
	assert_string_equal(output, "");
	assert_int_equal(status, 0);
}

/* ---- whom it reaches ---- */

static int
listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*ret_port = ntohs(address.sin_port);
	return (fd);
}

static int
connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;

	r = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
	(void)close(fd);
	return (r);
}

struct reach {
	uint16_t allowed, other;
	struct sockaddr_un abstract;
};

static void
enter_alone(void *arg)
{
	const struct reach *reach = arg;
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sandbox_files files;
	struct leased_err err = LEASED_ERR_INIT;
	int fd;

	CHILD_CHECK(harden_process(&err) == 0);
	CHILD_CHECK(sandbox_files_init(&files, SANDBOX_ALONE | SANDBOX_PORTS, &err) == 0);
	CHILD_CHECK(sandbox_files_allow_port(&files, reach->allowed, &err) == 0);
	CHILD_CHECK(sandbox_files_enter(&files, &err) == 0);
	CHILD_CHECK(connect_to(reach->allowed) == 0);
	CHILD_CHECK(connect_to(reach->other) == (sandbox_landlock() >= 4 ? EACCES : 0));
	CHILD_CHECK((kill(getppid(), 0) != 0) == (sandbox_landlock() >= 6));
	CHILD_CHECK(raise(0) == 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	CHILD_CHECK(
	    (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0) == (sandbox_landlock() >= 4));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHILD_CHECK((connect(fd, (const struct sockaddr *)&reach->abstract,
			 sizeof(reach->abstract)) != 0) == (sandbox_landlock() >= 6));
}

static void
who_is_alone_reaches_its_port_and_nobody_else(void **state)
{
	struct reach reach = {.abstract = {.sun_family = AF_UNIX}};
	int allowed_fd = listen_on_loopback(&reach.allowed);
	int other_fd = listen_on_loopback(&reach.other);
	int abstract_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char output[512];
	int status;

	(void)state;
	(void)snprintf(&reach.abstract.sun_path[1], sizeof(reach.abstract.sun_path) - 1,
	    "leased-sandbox-%d", (int)getpid());
	assert_int_equal(
	    bind(abstract_fd, (const struct sockaddr *)&reach.abstract, sizeof(reach.abstract)), 0);
	assert_int_equal(listen(abstract_fd, 4), 0);
	status = child_run(enter_alone, &reach, output, sizeof(output));
	assert_string_equal(output, "");
	assert_int_equal(status, 0);
	close(abstract_fd);
	close(other_fd);
	close(allowed_fd);
}

/* ---- capabilities ---- */

static uint64_t
effective(void)
{
	char line[128];
	uint64_t found = ~0ull;
	FILE *file = fopen("/proc/self/status", "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "CapEff:", 7) == 0)
			found = strtoull(line + 7, NULL, 16);
	if (file != NULL)
		(void)fclose(file);
	return (found);
}

static void
drop_all(void *arg)
{
	const uint64_t net_bind = 1ull << 10;
	uint64_t before = effective();
	struct leased_err err;

	(void)arg;
	CHILD_CHECK(sandbox_drop_capabilities(net_bind, &err) == 0);
	CHILD_CHECK(effective() == (before & net_bind));
	CHILD_CHECK(sandbox_drop_capabilities(0, &err) == 0);
	CHILD_CHECK(effective() == 0);
	CHILD_CHECK(geteuid() != 0 || prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 0);
}

static void
capabilities_are_given_up(void **state)
{
	char output[512];
	int status = child_run(drop_all, NULL, output, sizeof(output));

	(void)state;
	assert_string_equal(output, "");
	assert_int_equal(status, 0);
}

static void
what_the_kernel_cannot_do_is_said(void **state)
{
	(void)state;
	assert_int_equal(sandbox_lacking() == NULL, sandbox_landlock() >= 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_the_kernel_cannot_do_is_said),
	    cmocka_unit_test_setup_teardown(
		only_the_allowed_files_can_be_opened, make_scratch, remove_scratch),
	    cmocka_unit_test(who_is_alone_reaches_its_port_and_nobody_else),
	    cmocka_unit_test(capabilities_are_given_up),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
