/*
 * The sandbox's system calls: what each role can still do and what ends it, each tried in a process
 * of its own.
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

#include "sandboxed.h"
#include "support/child.h"

#ifndef LEASED_SANITIZED

static void
try_execve(void)
{
	char *arguments[] = {(char *)(uintptr_t) "/bin/true", NULL};

	(void)execve("/bin/true", arguments, arguments + 1);
}

static void
execute_by(int fd)
{
	char *arguments[] = {(char *)(uintptr_t) "true", NULL};

	(void)syscall(SYS_execveat, fd, "", arguments, arguments + 1, AT_EMPTY_PATH);
}

static void
try_other_fd(void)
{
	execute_by(open("/bin/true", O_RDONLY));
}

static void
try_program(void)
{
	int fd = open("/bin/true", O_RDONLY);

	CHILD_CHECK(dup2(fd, PROGRAM_FD) == PROGRAM_FD);
	execute_by(PROGRAM_FD);
	_exit(97);
}

static void
try_fork(void)
{
	if (fork() == 0)
		_exit(0);
}

static void
try_vfork(void)
{
	(void)syscall(SYS_vfork);
}

static void
try_ptrace(void)
{
	(void)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void
try_memory(void)
{
	(void)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void
try_kill(void)
{
	(void)kill(getppid(), 0);
}

/* The kernel takes the lower half of the register for a pid. */
static void
try_kill_in_disguise(void)
{
	(void)syscall(SYS_kill, 1ull << 32 | (unsigned)getppid(), 0);
}

static void
try_kill_everybody(void)
{
	(void)kill(-1, 0);
}

static void
try_listen(void)
{
	(void)listen(socket(AF_INET, SOCK_STREAM, 0), 1);
}

static void
try_mount(void)
{
	(void)mount("none", "/tmp", "tmpfs", 0, NULL);
}

static void
try_unshare(void)
{
	(void)unshare(CLONE_NEWUSER);
}

static void
try_setuid(void)
{
	(void)syscall(SYS_setuid, 0);
}

static void
try_rename(void)
{
	(void)rename("/tmp/nothing-1", "/tmp/nothing-2");
}

static void
rename_is_missing(void)
{
	CHILD_CHECK(rename("/tmp/nothing-1", "/tmp/nothing-2") != 0 && errno == ENOSYS);
}

static void
nobody_is_signaled(void)
{
	CHILD_CHECK(kill(getppid(), 0) != 0 && errno == ENOSYS);
}

static void
everybody_is_not_signaled(void)
{
	CHILD_CHECK(kill(-1, 0) != 0 && errno == ENOSYS);
}

static void
packet_sockets_are_unknown(void)
{
	CHILD_CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT);
	CHILD_CHECK(syscall(SYS_socket, 1ull << 32 | AF_PACKET, SOCK_RAW, 0) < 0);
	CHILD_CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

static void
raise_is_ones_own(void)
{
	(void)signal(SIGUSR1, SIG_IGN);
	CHILD_CHECK(raise(SIGUSR1) == 0 && kill(getpid(), SIGUSR1) == 0);
}

static char scratch[1];

static void *
on_thread(void *arg)
{
	return (arg);
}

static void
a_thread_starts(void)
{
	pthread_t thread;
	void *result;

	CHILD_CHECK(pthread_create(&thread, NULL, on_thread, scratch) == 0);
	CHILD_CHECK(pthread_join(thread, &result) == 0 && result == scratch);
}

static void
memory_cannot_be_made_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHILD_CHECK(page != MAP_FAILED);
	CHILD_CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EACCES);
	CHILD_CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED);
	CHILD_CHECK(mprotect(page, 4096, PROT_READ) == 0);
}

static void
a_name_resolves(void)
{
	struct addrinfo *found = NULL;

	CHILD_CHECK(getaddrinfo("localhost", "5432", NULL, &found) == 0);
	freeaddrinfo(found);
}

static void
only_tcp_is_left(void)
{
	CHILD_CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	CHILD_CHECK(socket(AF_INET, SOCK_DGRAM, 0) < 0 && errno == EAFNOSUPPORT);
	CHILD_CHECK(socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0) < 0);
	CHILD_CHECK(socket(AF_INET, SOCK_RAW, 0) < 0);
	CHILD_CHECK(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
	CHILD_CHECK(socket(AF_NETLINK, SOCK_RAW, 0) < 0);
	a_name_resolves(); /* /etc/hosts needs no socket */
}

/* The kernel takes the lower half for a family. */
static void
a_family_in_disguise_is_unknown(void)
{
	CHILD_CHECK(syscall(SYS_socket, 1ull << 32 | AF_UNIX, SOCK_STREAM, 0) < 0);
}

static const struct sandbox_calls program = {.role = SANDBOX_PROGRAM, .program_fd = PROGRAM_FD};

static void
a_worker_that_is_a_program_starts_and_reaches_nobody(void **state)
{
	struct attempt attempts[] = {
	    {"execve", program, try_execve, BAD_CALL},
	    {"execveat", program, try_other_fd, BAD_CALL},
	    {"the program itself", program, try_program, 0},
	    {"fork", program, try_fork, BAD_CALL},
	    {"vfork", program, try_vfork, BAD_CALL},
	    {"ptrace", program, try_ptrace, BAD_CALL},
	    {"process_vm_readv", program, try_memory, BAD_CALL},
	    {"kill", program, try_kill, BAD_CALL},
	    {"kill in disguise", program, try_kill_in_disguise, BAD_CALL},
	    {"kill everybody", program, try_kill_everybody, BAD_CALL},
	    {"listen", program, try_listen, BAD_CALL},
	    {"mount", program, try_mount, BAD_CALL},
	    {"unshare", program, try_unshare, BAD_CALL},
	    {"setuid", program, try_setuid, BAD_CALL},
	    {"sockets", program, packet_sockets_are_unknown, 0},
	    {"raise", program, raise_is_ones_own, 0},
	    {"thread", program, a_thread_starts, 0},
	};

	(void)state;
	sandboxed_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void
a_worker_that_is_a_script_may_start_programs_and_no_more(void **state)
{
	struct sandbox_calls script = {.role = SANDBOX_SCRIPT, .spawner = getpid()};
	struct attempt attempts[] = {
	    {"execve", script, try_execve, 0},
	    {"fork", script, try_fork, 0},
	    {"ptrace", script, try_ptrace, BAD_CALL},
	    {"process_vm_readv", script, try_memory, BAD_CALL},
	    {"kill", script, try_kill, BAD_CALL},
	    {"kill in disguise", script, try_kill_in_disguise, BAD_CALL},
	    {"listen", script, try_listen, BAD_CALL},
	    {"mount", script, try_mount, BAD_CALL},
	    {"setuid", script, try_setuid, BAD_CALL},
	    {"sockets", script, packet_sockets_are_unknown, 0},
	};

	(void)state;
	sandboxed_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void
a_plugin_after_its_open_does_what_a_client_does(void **state)
{
	const struct sandbox_calls plugin = {.role = SANDBOX_PLUGIN};
	const struct sandbox_calls tcp = {
	    .role = SANDBOX_PLUGIN, .no_names = true, .no_unix = true};
	struct attempt attempts[] = {
	    {"execve", plugin, try_execve, BAD_CALL},
	    {"fork", plugin, try_fork, BAD_CALL},
	    {"ptrace", plugin, try_ptrace, BAD_CALL},
	    {"kill", plugin, try_kill, BAD_CALL},
	    {"rename", plugin, rename_is_missing, 0},
	    {"listen", plugin, try_listen, BAD_CALL},
	    {"raise", plugin, raise_is_ones_own, 0},
	    {"executable memory", plugin, memory_cannot_be_made_executable, 0},
	    {"a name", plugin, a_name_resolves, 0},
	    {"TCP only", tcp, only_tcp_is_left, 0},
	    {"a Unix socket in disguise", tcp, a_family_in_disguise_is_unknown, 0},
	};

	(void)state;
	sandboxed_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void
the_daemon_starts_threads_and_no_process(void **state)
{
	const struct sandbox_calls daemon = {.role = SANDBOX_DAEMON, .spawner = getpid()};
	const struct sandbox_calls alone = {.role = SANDBOX_DAEMON};
	struct attempt attempts[] = {
	    {"execve", daemon, try_execve, BAD_CALL},
	    {"fork", daemon, try_fork, BAD_CALL},
	    {"ptrace", daemon, try_ptrace, BAD_CALL},
	    {"its spawner", daemon, try_kill, 0},
	    {"another", alone, nobody_is_signaled, 0},
	    {"everybody", daemon, everybody_is_not_signaled, 0},
	    {"mount", daemon, try_mount, BAD_CALL},
	    {"sockets", daemon, try_rename, 0},
	    {"raise", daemon, raise_is_ones_own, 0},
	    {"thread", daemon, a_thread_starts, 0},
	    {"executable memory", daemon, memory_cannot_be_made_executable, 0},
	};

	(void)state;
	sandboxed_run(attempts, sizeof(attempts) / sizeof(attempts[0]));
}

static void *
on_late_thread(void *arg)
{
	struct pollfd go = {.fd = *(int *)arg, .events = POLLIN};

	(void)poll(&go, 1, 10000);
	(void)mount("none", "/tmp", "tmpfs", 0, NULL);
	return (NULL);
}

static void
limit_with_a_thread(void *arg)
{
	const struct sandbox_calls daemon = {.role = SANDBOX_DAEMON};
	pthread_t thread;
	int fds[2];

	(void)arg;
	CHILD_CHECK(pipe(fds) == 0);
	CHILD_CHECK(pthread_create(&thread, NULL, on_late_thread, &fds[0]) == 0);
	sandboxed_become(&daemon);
	CHILD_CHECK(write(fds[1], "g", 1) == 1);
	(void)pthread_join(thread, NULL);
}

static void
threads_that_are_there_already_are_limited_too(void **state)
{
	char output[512];

	(void)state;
	assert_int_equal(child_run(limit_with_a_thread, NULL, output, sizeof(output)), BAD_CALL);
}

static void
log_instead_of_kill(void *arg)
{
	const struct sandbox_calls daemon = {.role = SANDBOX_DAEMON};

	(void)arg;
	(void)setenv("LEASED_TEST_SANDBOX", "log", 1);
	sandboxed_become(&daemon);
	CHILD_CHECK(kill(getppid(), 0) == 0);
}

static void
switch_off(void *arg)
{
	const struct sandbox_calls daemon = {.role = SANDBOX_DAEMON};

	(void)arg;
	(void)setenv("LEASED_TEST_SANDBOX", "off", 1);
	CHILD_CHECK(strstr(sandbox_lacking(), "LEASED_TEST_SANDBOX=off") != NULL);
	sandboxed_become(&daemon);
	CHILD_CHECK(kill(getppid(), 0) == 0);
}

static void
a_test_build_can_log_or_do_without(void **state)
{
	(void)state;
	assert_int_equal(child_run(log_instead_of_kill, NULL, NULL, 0), 0);
	assert_int_equal(child_run(switch_off, NULL, NULL, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_worker_that_is_a_program_starts_and_reaches_nobody),
	    cmocka_unit_test(a_worker_that_is_a_script_may_start_programs_and_no_more),
	    cmocka_unit_test(a_plugin_after_its_open_does_what_a_client_does),
	    cmocka_unit_test(the_daemon_starts_threads_and_no_process),
	    cmocka_unit_test(threads_that_are_there_already_are_limited_too),
	    cmocka_unit_test(a_test_build_can_log_or_do_without),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}

#else

static void
a_sanitized_build_says_that_it_has_no_sandbox(void **state)
{
	(void)state;
	assert_non_null(strstr(sandbox_lacking(), "sanitizers"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sanitized_build_says_that_it_has_no_sandbox),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}

#endif
