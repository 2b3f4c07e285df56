/*
 * What the sandbox refuses with an error, so that the process goes on: calls that everybody makes,
 * with an argument that reaches somebody else; and calls that no list has.
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
#include <linux/ioprio.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "sandboxed.h"
#include "support/child.h"

static const struct sandbox_calls program = {.role = SANDBOX_PROGRAM, .program_fd = PROGRAM_FD};
static const struct sandbox_calls plugin = {.role = SANDBOX_PLUGIN};
static const struct sandbox_calls script = {.role = SANDBOX_SCRIPT};
static const struct sandbox_calls daemon_calls = {.role = SANDBOX_DAEMON};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void
fails_with(long result, int expected)
{
	int e = errno;

	if (result >= 0 || e != expected) {
		dprintf(STDERR_FILENO, "%ld, %s", result, strerror(e));
		_exit(97);
	}
}

/* ---- other processes ---- */

static void
only_ones_own_limits(void)
{
	struct rlimit limit;
	const struct rlimit none = {0, 0};

	CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	fails_with(prlimit(getppid(), RLIMIT_CORE, &none, NULL), EPERM);
	fails_with(prlimit(getppid(), RLIMIT_CORE, NULL, &limit), EPERM);
	fails_with(
	    syscall(SYS_prlimit64, 1ull << 32 | (unsigned)getppid(), RLIMIT_CORE, &none, NULL),
	    EPERM);
}

static void
only_ones_own_priority(void)
{
	const struct sched_param zero = {0};
	cpu_set_t cpus;

	CHILD_CHECK(sched_getaffinity(0, sizeof(cpus), &cpus) == 0);
	CHILD_CHECK(setpriority(PRIO_PROCESS, (id_t)getppid(), 0) != 0);
	CHILD_CHECK(setpriority(PRIO_USER, 0, 0) != 0);
	CHILD_CHECK(setpriority(PRIO_PGRP, 0, 0) != 0);
	CHILD_CHECK(sched_setaffinity(getppid(), sizeof(cpus), &cpus) != 0);
	CHILD_CHECK(sched_setscheduler(getppid(), SCHED_OTHER, &zero) != 0);
	CHILD_CHECK(sched_setparam(getppid(), &zero) != 0);
	CHILD_CHECK(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, getppid(), 0) != 0);
	CHILD_CHECK(syscall(SYS_ioprio_set, IOPRIO_WHO_USER, 0, 0) != 0);
}

/* The kernel signals a descriptor's owner, whoever that is. */
static void
no_signal_by_a_descriptor(void)
{
	struct f_owner_ex owner = {F_OWNER_PID, getppid()};
	int fds[2], parent = getppid(), unread = 0;

	CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	CHILD_CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	CHILD_CHECK(fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0);
	CHILD_CHECK(ioctl(fds[0], FIONREAD, &unread) == 0);
	fails_with(fcntl(fds[0], F_SETOWN, parent), EPERM);
	fails_with(fcntl(fds[0], F_SETOWN_EX, &owner), EPERM);
	fails_with(fcntl(fds[0], F_SETSIG, SIGTERM), EPERM);
	fails_with(ioctl(fds[0], FIOSETOWN, &parent), EPERM);
	fails_with(ioctl(fds[0], SIOCSPGRP, &parent), EPERM);
	fails_with(syscall(SYS_ioctl, fds[0], 1ull << 32 | (unsigned)FIOSETOWN, &parent), EPERM);
	fails_with(ioctl(fds[0], TIOCSTI, ""), EPERM);
}

static void
no_other_group(void)
{
	fails_with(setpgid(0, 0), EPERM);
	fails_with(setpgid(0, getpgid(getppid())), EPERM);
}

static void
nobody_reaches_another_process(void **state)
{
	const struct attempt attempts[] = {
	    {"limits", program, only_ones_own_limits, 0},
	    {"limits", plugin, only_ones_own_limits, 0},
	    {"limits", script, only_ones_own_limits, 0},
	    {"limits", daemon_calls, only_ones_own_limits, 0},
	    {"priority", program, only_ones_own_priority, 0},
	    {"priority", plugin, only_ones_own_priority, 0},
	    {"priority", script, only_ones_own_priority, 0},
	    {"priority", daemon_calls, only_ones_own_priority, 0},
	    {"signal", program, no_signal_by_a_descriptor, 0},
	    {"signal", plugin, no_signal_by_a_descriptor, 0},
	    {"signal", script, no_signal_by_a_descriptor, 0},
	    {"signal", daemon_calls, no_signal_by_a_descriptor, 0},
	    {"group", program, no_other_group, 0},
	    {"group", script, no_other_group, 0},
	};

	(void)state;
	sandboxed_run(attempts, COUNT(attempts));
}

static void
signal_a_thread(void)
{
	(void)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void
signal_the_group(void)
{
	(void)kill(-getpgid(getppid()), 0);
}

static void
signal_everybody(void)
{
	(void)kill(-1, 0);
}

static void
no_namespace_and_no_thread_of_anybody(void)
{
	fails_with(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
	fails_with(syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0), EPERM);
	fails_with(syscall(SYS_clone3, NULL, 0), ENOSYS);
	fails_with(syscall(SYS_tkill, getppid(), 0), EPERM);
}

static void
a_script_signals_neither_spawner_nor_daemon_by_any_call(void **state)
{
	const struct sandbox_calls of_us = {.role = SANDBOX_SCRIPT, .daemon = getpid()};
	const struct attempt attempts[] = {
	    {"tgkill", of_us, signal_a_thread, BAD_CALL},
	    {"group", of_us, signal_the_group, BAD_CALL},
	    {"everybody", of_us, signal_everybody, BAD_CALL},
	    {"namespaces", of_us, no_namespace_and_no_thread_of_anybody, 0},
	};

	(void)state;
	/* In a container our group may be one from outside, which has no number here. */
	assert_true(getpgid(0) == getpid() || setpgid(0, 0) == 0);
	sandboxed_run(attempts, COUNT(attempts));
}

/* ---- ports ---- */

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void
no_way_round_the_ports(void)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct iovec piece = {(void *)(uintptr_t) "x", 1};
	struct mmsghdr message = {.msg_hdr = {.msg_name = &address,
				      .msg_namelen = sizeof(address),
				      .msg_iov = &piece,
				      .msg_iovlen = 1}};
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);

	CHILD_CHECK(fd >= 0);
	fails_with(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), EPROTONOSUPPORT);
	fails_with(socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP), EPROTONOSUPPORT);
	fails_with(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), EPROTONOSUPPORT);
	fails_with(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EPROTONOSUPPORT);
	fails_with(
	    syscall(SYS_socket, AF_INET, SOCK_STREAM, 1ull << 32 | IPPROTO_TCP), EPROTONOSUPPORT);
	fails_with(
	    sendto(fd, "x", 1, MSG_FASTOPEN, (const struct sockaddr *)&address, sizeof(address)),
	    EOPNOTSUPP);
	fails_with(sendmsg(fd, &message.msg_hdr, MSG_FASTOPEN), EOPNOTSUPP);
	fails_with(sendmmsg(fd, &message, 1, MSG_FASTOPEN), EOPNOTSUPP);
}

static void
a_worker_speaks_tcp_and_connects_where_it_may(void **state)
{
	const struct attempt attempts[] = {
	    {"program", program, no_way_round_the_ports, 0},
	    {"plugin", plugin, no_way_round_the_ports, 0},
	    {"script", script, no_way_round_the_ports, 0},
	};

	(void)state;
	sandboxed_run(attempts, COUNT(attempts));
}

/* ---- files, without opening them ---- */

static char scratch[64];

static void
no_file_is_changed_by_its_name(void)
{
	const struct timeval times[2] = {{0, 0}, {0, 0}};

	fails_with(chmod(scratch, 0644), EPERM);
	fails_with(chown(scratch, getuid(), getgid()), EPERM);
	fails_with(lchown(scratch, getuid(), getgid()), EPERM);
	fails_with(truncate(scratch, 0), EPERM);
	fails_with(utimes(scratch, times), EPERM);
	fails_with(syscall(SYS_setxattr, scratch, "user.x", "x", 1, 0), EPERM);
	/* Newer than some lists of names; the numbers are the same everywhere. */
	CHILD_CHECK(syscall(452 /* fchmodat2 */, AT_FDCWD, scratch, 0644, 0) != 0);
	fails_with(syscall(463 /* setxattrat */, AT_FDCWD, scratch, 0, "user.x", NULL, 0), ENOSYS);
	fails_with(syscall(469 /* file_setattr */, AT_FDCWD, scratch, NULL, 0, 0), ENOSYS);
}

static void
a_worker_changes_no_file_that_it_cannot_open(void **state)
{
	const struct attempt attempts[] = {
	    {"program", program, no_file_is_changed_by_its_name, 0},
	    {"script", script, no_file_is_changed_by_its_name, 0},
	};
	struct stat status;
	int fd;

	(void)state;
	(void)snprintf(scratch, sizeof(scratch), "/tmp/leased-refused-XXXXXX");
	assert_int_not_equal(fd = mkstemp(scratch), -1);
	assert_int_equal(write(fd, "store", 5), 5);
	assert_int_equal(close(fd), 0);
	sandboxed_run(attempts, COUNT(attempts));
	assert_int_equal(stat(scratch, &status), 0);
	assert_int_equal(status.st_size, 5);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(unlink(scratch), 0);
}

/* ---- what a list of what is allowed lacks ---- */

/* As the C library asks for a call that is newer than we are, or that it did not make before. */
static void
ask_for_what_no_list_has(void)
{
	struct timespec interval;

	fails_with(syscall(451 /* cachestat */, 0, NULL, NULL, 0), ENOSYS);
	fails_with(syscall(511, 0, 0, 0), ENOSYS);
	fails_with(sched_rr_get_interval(0, &interval), ENOSYS);
}

static void
a_call_that_no_list_has_fails_and_nobody_ends(void **state)
{
	const struct attempt attempts[] = {
	    {"daemon", daemon_calls, ask_for_what_no_list_has, 0},
	    {"plugin", plugin, ask_for_what_no_list_has, 0},
	};

	(void)state;
	sandboxed_run(attempts, COUNT(attempts));
}

static void
be_strict(void *arg)
{
	struct timespec interval;

	(void)setenv("LEASED_TEST_SANDBOX", "strict", 1);
	sandboxed_become(arg);
	(void)sched_rr_get_interval(0, &interval);
}

static void
a_test_build_can_be_strict(void **state)
{
	(void)state;
	assert_int_equal(child_run(be_strict, (void *)(uintptr_t)&daemon_calls, NULL, 0), BAD_CALL);
	assert_int_equal(child_run(be_strict, (void *)(uintptr_t)&plugin, NULL, 0), BAD_CALL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_reaches_another_process),
	    cmocka_unit_test(a_script_signals_neither_spawner_nor_daemon_by_any_call),
	    cmocka_unit_test(a_worker_speaks_tcp_and_connects_where_it_may),
	    cmocka_unit_test(a_worker_changes_no_file_that_it_cannot_open),
	    cmocka_unit_test(a_call_that_no_list_has_fails_and_nobody_ends),
	    cmocka_unit_test(a_test_build_can_be_strict),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
