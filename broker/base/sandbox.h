/*
 * What a process of ours takes from itself: files (Landlock), system calls (seccomp), capabilities.
 * Which role loses what stands in DESIGN.md, "The sandbox". All of it holds for the calling thread
 * and for what it starts, and can never be undone.
 *
 * A kernel without Landlock is no error: sandbox_lacking() says what is missing. In a build with
 * sanitizers, which trace and look into their own process, all of this does nothing. Test builds:
 * LEASED_TEST_SANDBOX=off does nothing; =log lets forbidden system calls happen and the kernel log
 * them; =strict ends a process at any call that its list of what is allowed lacks.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <leased/error.h>

/* ---- files ---- */

enum sandbox_access {
	SANDBOX_READ = 1,    /* files, and the names in directories */
	SANDBOX_EXECUTE = 2, /* programs */
	SANDBOX_WRITE = 4,   /* files that are there */
	SANDBOX_CHANGE = 8   /* make, rename and remove files and sockets */
};

/* Everything is forbidden that is not allowed before sandbox_files_enter(). */
struct sandbox_files {
	int ruleset_fd; /* -1: nothing is limited */
	bool limits_files, limits_ports;
};
#define SANDBOX_FILES_INIT                                                                         \
	{                                                                                          \
		-1, false, false                                                                   \
	}

enum sandbox_flags {
	SANDBOX_ALONE = 1,     /* no signal, and no abstract socket, to a process outside */
	SANDBOX_PORTS = 2,     /* no TCP connection but to what sandbox_files_allow_port() names */
	SANDBOX_FILES_STAY = 4 /* files are as they were: nothing of them is allowed or forbidden */
};

/* No TCP port is bound after it either with SANDBOX_ALONE. */
int sandbox_files_init(
    struct sandbox_files *files, unsigned flags, struct leased_err *err) LEASED_MUST_CHECK;
/* access: enum sandbox_access. Beneath a directory, too. A path that is not there is passed over.
 */
int sandbox_files_allow(struct sandbox_files *files, const char *path, unsigned access,
    struct leased_err *err) LEASED_MUST_CHECK;
int sandbox_files_allow_fd(
    struct sandbox_files *files, int fd, unsigned access, struct leased_err *err) LEASED_MUST_CHECK;
int sandbox_files_allow_port(
    struct sandbox_files *files, uint16_t port, struct leased_err *err) LEASED_MUST_CHECK;
/* What every program needs that resolves names, checks certificates or loads a library. */
int sandbox_files_allow_system(
    struct sandbox_files *files, struct leased_err *err) LEASED_MUST_CHECK;
/* Needs no new privileges (harden_process()). */
int sandbox_files_enter(struct sandbox_files *files, struct leased_err *err) LEASED_MUST_CHECK;
void sandbox_files_clear(struct sandbox_files *files); /* in any state */

/* The version of Landlock in this kernel: 2 in Debian 12's, 0: none. Test builds take no more than
 * LEASED_TEST_LANDLOCK. */
int sandbox_landlock(void);
/* For one line of a log: what this kernel or build cannot do. NULL: it can do all. */
const char *sandbox_lacking(void);

/* ---- system calls ---- */

enum sandbox_role {
	SANDBOX_DAEMON,  /* a list of what is allowed; for all its threads */
	SANDBOX_SPAWNER, /* what no process of ours does is forbidden; its children inherit this */
	SANDBOX_SCRIPT,  /* a worker that is a script, or starts programs: the same, and it cannot
			    serve */
	SANDBOX_PROGRAM, /* a worker that is a program: starts nothing else either */
	SANDBOX_PLUGIN   /* a plugin after its open: a list of what is allowed */
};

struct sandbox_calls {
	enum sandbox_role role;
	int program_fd; /* SANDBOX_PROGRAM: what is about to be executed, by this descriptor */
	pid_t spawner;  /* SANDBOX_DAEMON: whom it may signal besides itself; SANDBOX_SCRIPT: whom
			   it may not; 0: nobody */
	pid_t daemon;   /* SANDBOX_SCRIPT: nor this one */
	bool no_names;  /* SANDBOX_PLUGIN: it resolves no names, so that it needs TCP only .. */
	bool no_unix;   /* .. and no Unix sockets */
};

/* A system call that is forbidden ends the process with SIGSYS; one that a list of what is allowed
 * lacks fails with ENOSYS. */
int sandbox_limit_calls(
    const struct sandbox_calls *calls, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- capabilities ---- */

/* All of them but those in keep (1 << CAP_..), which are kept where we have them. Not for threads
 * that are there already. */
int sandbox_drop_capabilities(uint64_t keep, struct leased_err *err) LEASED_MUST_CHECK;

#endif
