/*
 * Attempts of a worker in an attacker's hands, each a function of a path, a pid or a port. What is
 * had is never used. Called by evil_plugin.c and turncoat_plugin.c.
 */
#include "support/evil_attempts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t
pid_of(const char *argument)
{
	return (argument[0] != '\0' ? (pid_t)strtol(argument, NULL, 10) : getppid());
}

static int
try_read(const char *path)
{
	return (open(path, O_RDONLY) >= 0);
}

static int
try_write(const char *path)
{
	return (open(path, O_WRONLY | O_CREAT, 0600) >= 0);
}

static int
try_unlink(const char *path)
{
	return (unlink(path) == 0);
}

static int
try_truncate(const char *path)
{
	return (truncate(path, 0) == 0);
}

static int
try_chmod(const char *path)
{
	return (chmod(path, 0666) == 0);
}

static int
try_execve(const char *path)
{
	char *arguments[] = {(char *)(uintptr_t)path, NULL};

	(void)execve(path, arguments, arguments + 1);
	return (0);
}

/* By descriptor, as the plugin itself was executed, with every number that it may have had. */
static int
try_execute(const char *path)
{
	char *arguments[] = {(char *)(uintptr_t)path, NULL};
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return (0);
	for (int number = 16; number < 32; number++)
		if (dup2(fd, number) == number)
			(void)syscall(
			    SYS_execveat, number, "", arguments, arguments + 1, AT_EMPTY_PATH);
	return (0);
}

static int
try_fork(const char *argument)
{
	pid_t pid = fork();

	(void)argument;
	if (pid == 0)
		_exit(0);
	return (pid > 0);
}

/* As a plugin that may start programs does; it must end well. */
static int
try_run(const char *path)
{
	char *arguments[] = {(char *)(uintptr_t)path, NULL};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execve(path, arguments, arguments + 1);
		_exit(1);
	}
	return (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static int
try_ptrace(const char *argument)
{
	return (ptrace(PTRACE_ATTACH, pid_of(argument), NULL, NULL) == 0);
}

static int
try_memory(const char *argument)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)0x400000, 1};

	return (process_vm_readv(pid_of(argument), &here, 1, &there, 1, 0) > 0);
}

static int
try_proc(const char *argument)
{
	static const char *const names[] = {"mem", "environ", "maps", "fd", "cmdline"};
	char path[64];
	int had = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid_of(argument), names[i]);
		had |= open(path, O_RDONLY) >= 0;
	}
	return (had);
}

static int
try_kill(const char *argument)
{
	return (kill(pid_of(argument), SIGCONT) == 0);
}

/* No processor time, no files: the other process would end, or serve nobody. */
static int
try_limits(const char *argument)
{
	struct rlimit limit;

	return (prlimit(pid_of(argument), RLIMIT_CORE, NULL, &limit) == 0 &&
		prlimit(pid_of(argument), RLIMIT_CORE, &limit, NULL) == 0);
}

/* The kernel signals a descriptor's owner. */
static int
try_owner(const char *argument)
{
	int fds[2];

	return (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 &&
		(fcntl(fds[0], F_SETSIG, SIGCONT) == 0 ||
		    fcntl(fds[0], F_SETOWN, (int)pid_of(argument)) == 0));
}

/* Out of its own group, by which it is ended. */
static int
try_regroup(const char *argument)
{
	(void)argument;
	return (setpgid(0, getppid()) == 0);
}

static int
try_listen(const char *argument)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)argument;
	return (bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0 && listen(fd, 1) == 0);
}

static int
try_connect(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtol(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
		errno == ECONNREFUSED);
}

/* The same servers by another protocol, where the kernel has it. */
static int
try_mptcp(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtol(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);

	return (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
}

/* A connection that is made by sending. */
static int
try_fastopen(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtol(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return (sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (const struct sockaddr *)&address,
		    sizeof(address)) == 1);
}

static int
try_datagram(const char *argument)
{
	(void)argument;
	return (socket(AF_INET, SOCK_DGRAM, 0) >= 0);
}

static int
try_raw(const char *argument)
{
	(void)argument;
	return (socket(AF_INET, SOCK_RAW, IPPROTO_TCP) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0);
}

static int
try_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
}

static int
try_code(const char *argument)
{
	(void)argument;
	return (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0) != MAP_FAILED);
}

static int
try_much_memory(const char *argument)
{
	void *all = malloc((size_t)1 << 30);
	int had = all != NULL;

	(void)argument;
	free(all);
	return (had);
}

static const struct {
	const char *name;
	int (*body)(const char *argument);
} attempts[] = {
    {"read", try_read},
    {"write", try_write},
    {"unlink", try_unlink},
    {"truncate", try_truncate},
    {"chmod", try_chmod},
    {"execve", try_execve},
    {"execute", try_execute},
    {"fork", try_fork},
    {"run", try_run},
    {"ptrace", try_ptrace},
    {"memory", try_memory},
    {"proc", try_proc},
    {"kill", try_kill},
    {"limits", try_limits},
    {"owner", try_owner},
    {"regroup", try_regroup},
    {"listen", try_listen},
    {"connect", try_connect},
    {"mptcp", try_mptcp},
    {"fastopen", try_fastopen},
    {"datagram", try_datagram},
    {"raw", try_raw},
    {"unix", try_unix},
    {"code", try_code},
    {"much_memory", try_much_memory},
};

int
evil_attempt(const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (strcmp(attempts[i].name, name) == 0)
			return (attempts[i].body(argument + (argument[0] == '!')));
	return (-1);
}
