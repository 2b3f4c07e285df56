/*
 * A worker in an attacker's hands: an evil plugin from its first instruction, and one that turns
 * against us after its open. It gets nothing, and the next call of the same connection is served.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sandbox.h"

static void
close_port(struct fix *fix)
{
	plugin_port_close(fix->port);
	fix->port = NULL;
	fix_run_ms(fix, 5);
}

#ifndef LEASED_SANITIZED

/* It is told that it was refused, or dies of its attempt. */
static void
gets_nothing(struct fix *fix, const char *program, const char *mode, const char *gate)
{
	fix->out.count = 0;
	fix_open_program(fix, program, mode, gate);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	if (fix->out.code == 0)
		fail_msg("%s had its way: %s %s", program, mode, gate);
	if (fix->out.code == LEASED_ECRASHED && strstr(fix->out.text, "signal 31") == NULL)
		fail_msg("%s %s: %s", program, mode, fix->out.text);
	if (fix->out.code != LEASED_ECRASHED && fix->out.code != LEASED_EREFUSED)
		fail_msg("%s %s: %d %s", program, mode, fix->out.code, fix->out.text);
	close_port(fix);
}

/* A listener of this test, beside the server that the worker was made for. */
static int
listen_on(int family, const struct sockaddr *address, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, address, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	return (fd);
}

static int
listen_on_loopback(char ret_port[16])
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = listen_on(AF_INET, (const struct sockaddr *)&address, len);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(ret_port, 16, "%u", ntohs(address.sin_port));
	return (fd);
}

/* What there is for every worker to want: a file of ours, as the store's is, and our pid. The '!'
 * keeps it from being a file that the configuration names. */
struct prey {
	char file[80], fresh[80], pid[16];
};

static void
make_prey(struct fix *fix, struct prey *prey)
{
	(void)snprintf(prey->file, sizeof(prey->file), "!%s/leased.db", fix->dir);
	(void)snprintf(prey->fresh, sizeof(prey->fresh), "!%s/fresh", fix->dir);
	(void)snprintf(prey->pid, sizeof(prey->pid), "%d", (int)getpid());
	assert_int_equal(close(open(prey->file + 1, O_CREAT | O_WRONLY, 0600)), 0);
}

static void
an_evil_program_gets_nothing(void **state)
{
	struct fix *fix = *state;
	struct prey prey;
	const struct {
		const char *mode, *gate;
		int landlock; /* the version of it that this needs */
	} rows[] = {
	    {"read", "!/etc/passwd", 1},
	    {"read", "!/etc/shadow", 1},
	    {"read", "!/proc/1/environ", 1},
	    {"read", "!/", 1},
	    {"read", "!/tmp", 1},
	    {"read", prey.file, 1},
	    {"write", prey.file, 1},
	    {"write", prey.fresh, 1},
	    {"write", "!/dev/shm/leased-evil", 1},
	    {"unlink", prey.file, 1},
	    {"truncate", prey.file, 0},
	    {"chmod", prey.file, 0},
	    {"execve", "!/bin/true", 0},
	    {"execute", "!/bin/true", 1},
	    {"execute", "!/usr/lib/postgresql/15/bin/psql", 1},
	    {"fork", "", 0},
	    {"ptrace", "", 0},
	    {"ptrace", prey.pid, 0},
	    {"memory", "", 0},
	    {"memory", prey.pid, 0},
	    {"proc", "", 1},
	    {"proc", prey.pid, 1},
	    {"kill", "", 0},
	    {"kill", prey.pid, 0},
	    {"kill", "-1", 0},
	    {"limits", "", 0},
	    {"limits", prey.pid, 0},
	    {"owner", prey.pid, 0},
	    {"regroup", "", 0},
	    {"listen", "", 0},
	    {"raw", "", 0},
	    {"much_memory", "", 0},
	};

	make_prey(fix, &prey);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sandbox_landlock() >= rows[i].landlock)
			gets_nothing(fix, "evil", rows[i].mode, rows[i].gate);
	assert_int_equal(access(prey.fresh + 1, F_OK), -1);
	assert_int_equal(unlink(prey.file + 1), 0);
}

static void
a_worker_that_turns_after_its_open_reaches_nobody_else(void **state)
{
	struct fix *fix = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct prey prey;
	char port[16];
	int tcp_fd = listen_on_loopback(port), unix_fd;
	const struct {
		const char *mode, *gate;
		int landlock; /* the version of it that this needs */
	} rows[] = {
	    {"connect", port, 4},
	    {"mptcp", port, 0},
	    {"fastopen", port, 0},
	    {"unix", prey.fresh, 0},
	    {"datagram", "", 0},
	    {"raw", "", 0},
	    {"code", "", 0},
	    {"read", "!/etc/passwd", 1},
	    {"read", prey.file, 1},
	    {"write", prey.fresh, 1},
	    {"execve", "!/bin/true", 0},
	    {"execute", "!/bin/true", 1},
	    {"fork", "", 0},
	    {"ptrace", prey.pid, 0},
	    {"memory", prey.pid, 0},
	    {"proc", prey.pid, 1},
	    {"kill", "", 0},
	    {"kill", prey.pid, 0},
	    {"limits", "", 0},
	    {"limits", prey.pid, 0},
	    {"owner", prey.pid, 0},
	    {"regroup", "", 0},
	    {"listen", "", 0},
	    {"much_memory", "", 0},
	};

	make_prey(fix, &prey);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", prey.fresh + 1);
	unix_fd = listen_on(AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sandbox_landlock() >= rows[i].landlock)
			gets_nothing(fix, "turncoat", rows[i].mode, rows[i].gate);
	assert_int_equal(unlink(prey.fresh + 1), 0);
	assert_int_equal(unlink(prey.file + 1), 0);
	close(unix_fd);
	close(tcp_fd);
}

static void
the_server_that_it_was_opened_for_is_reached(void **state)
{
	struct fix *fix = *state;

	fix_open_program(fix, "turncoat", "connect", "1"); /* refused by nobody but its server */
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
}

static int
setup_without_sandbox(void **state)
{
	int r;

	assert_int_equal(setenv("LEASED_TEST_SANDBOX", "off", 1), 0);
	r = fix_setup(state);
	assert_int_equal(unsetenv("LEASED_TEST_SANDBOX"), 0);
	return (r);
}

/* On its group alone nobody could rely: a call of the kernel that we do not know might lead out. */
static void
a_worker_that_has_left_its_group_ends_all_the_same(void **state)
{
	struct fix *fix = *state;

	fix_open_program(fix, "evil", "regroup", "");
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
	plugin_port_close(fix->port);
	fix->port = NULL;
	fix_until(fix, &fix->gone, 1);
}

/* What its configuration names is its to read, and nothing beside it. */
static void
a_file_that_the_configuration_names_can_be_read(void **state)
{
	struct fix *fix = *state;

	fix_open_program(fix, "evil", "read", "/etc/passwd");
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
	close_port(fix);
	if (sandbox_landlock() == 0)
		return; /* everything can be; sandbox_lacking() says so */
	gets_nothing(fix, "evil", "write", "/etc/passwd");
	gets_nothing(fix, "evil", "read", "/etc");
}

static void
has_its_way(struct fix *fix, const char *mode, const char *gate)
{
	fix->out.count = 0;
	fix_open_program(fix, "evil", mode, gate);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	if (fix->out.code != 0)
		fail_msg("%s %s: %s", mode, gate, fix->out.text);
	close_port(fix);
}

/* A program in the fixture's directory, that ends with 0. */
static void
make_program(const char *path, mode_t mode)
{
	char bytes[65536];
	int from_fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	int to_fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0700);
	ssize_t len;

	assert_true(from_fd >= 0 && to_fd >= 0);
	while ((len = read(from_fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to_fd, bytes, (size_t)len), len);
	assert_int_equal(fchmod(to_fd, mode), 0);
	assert_int_equal(close(to_fd) | close(from_fd), 0);
}

static void
a_plugin_whose_row_says_so_starts_programs_and_gets_nothing_else(void **state)
{
	struct fix *fix = *state;
	struct prey prey;
	const struct {
		const char *mode, *gate;
		int landlock;
	} rows[] = {
	    {"run", prey.fresh, 1}, /* not named */
	    {"read", "!/etc/shadow", 1},
	    {"read", prey.file, 1},
	    {"write", prey.file, 1},
	    {"chmod", prey.file, 0},
	    {"truncate", prey.file, 0},
	    {"ptrace", prey.pid, 0},
	    {"memory", prey.pid, 0},
	    {"kill", prey.pid, 0},
	    {"limits", prey.pid, 0},
	    {"regroup", "", 0},
	    {"listen", "", 0},
	    {"raw", "", 0},
	};

	make_prey(fix, &prey);
	make_program(prey.fresh + 1, 0755);
	fix->starts_programs = true;
	has_its_way(fix, "run", "!/bin/true");
	has_its_way(fix, "run", prey.fresh + 1); /* named */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sandbox_landlock() >= rows[i].landlock)
			gets_nothing(fix, "evil", rows[i].mode, rows[i].gate);
	/* What others can change is not executed, though it is named. */
	assert_int_equal(chmod(prey.fresh + 1, 0757), 0);
	if (sandbox_landlock() >= 1)
		gets_nothing(fix, "evil", "run", prey.fresh + 1);
	assert_int_equal(chmod(prey.fresh + 1, 0755), 0);
	fix->starts_programs = false;
	gets_nothing(fix, "evil", "run", "!/bin/true");
	gets_nothing(fix, "evil", "run", prey.fresh + 1);
	assert_int_equal(unlink(prey.fresh + 1) | unlink(prey.file + 1), 0);
}

#endif

#define PID_MAX (1 << 22) /* the kernel's */

/* Its pid stands for it a while longer: what it sent to our socket is looked at after its end. */
static void
a_worker_is_known_by_its_pid_for_a_minute_after_its_end(void **state)
{
	struct fix *fix = *state;
	pid_t pid = 0;

	fix_open_program(fix, "evil", "good", "");
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	for (pid_t i = 0; pid == 0 && i < PID_MAX; i++)
		if (plugin_host_has_had(fix->host, (fix->spawner + i) % PID_MAX + 1))
			pid = (fix->spawner + i) % PID_MAX + 1;
	assert_int_not_equal(pid, 0);
	assert_int_equal(getsid(pid), fix->spawner);
	close_port(fix);
	fix_until(fix, &fix->gone, 1);
	assert_int_equal(getsid(pid), -1);
	assert_true(plugin_host_has_had(fix->host, pid));
	assert_false(plugin_host_has_had(fix->host, fix->spawner));
	assert_false(plugin_host_has_had(fix->host, getpid()));
	assert_false(plugin_host_has_had(fix->host, 0));
	fix->lag_us -= 61000000;
	assert_false(plugin_host_has_had(fix->host, pid));
}

/* ---- what it says ---- */

static unsigned
count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return (count);
}

static long
max_rss_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return (usage.ru_maxrss);
}

static void
it_costs_the_daemon_one_call_and_no_more(void **state)
{
	static const char *const modes[] = {"huge", "junk", "fds", "gigabyte", "drip", NULL};
	struct fix *fix = *state;
	unsigned fds = count_open_fds();
	long rss = max_rss_kib();

	for (size_t i = 0; modes[i] != NULL; i++) {
		fix->out.count = 0;
		fix_open_program(fix, "evil", modes[i], "");
		fix_mint(fix, 1000, &fix->out);
		fix_until(fix, &fix->out.count, 1);
		assert_int_not_equal(fix->out.code, 0);
		close_port(fix);
		assert_in_range(count_open_fds(), 1, fds + 8);
	}
	assert_in_range(max_rss_kib() - rss, 0, 32 * 1024);
	fix->out.count = 0;
	fix_open_program(fix, "evil", "good", "");
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, 0);
}

#define WITH_FIX(test) cmocka_unit_test_setup_teardown(test, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef LEASED_SANITIZED
	    WITH_FIX(an_evil_program_gets_nothing),
	    WITH_FIX(a_plugin_whose_row_says_so_starts_programs_and_gets_nothing_else),
	    WITH_FIX(a_worker_that_turns_after_its_open_reaches_nobody_else),
	    WITH_FIX(a_file_that_the_configuration_names_can_be_read),
	    WITH_FIX(the_server_that_it_was_opened_for_is_reached),
	    cmocka_unit_test_setup_teardown(a_worker_that_has_left_its_group_ends_all_the_same,
		setup_without_sandbox, fix_teardown),
#endif
	    WITH_FIX(a_worker_is_known_by_its_pid_for_a_minute_after_its_end),
	    WITH_FIX(it_costs_the_daemon_one_call_and_no_more),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
