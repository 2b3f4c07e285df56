/*
 * The spawner's messages, each one packet (packet.h), and the parts of its process.
 *
 * daemon to spawner: {"op":"start","id":ID,"program":NAME,"starts_programs":BOOL,"files":[PATH,
 * ..], "guarded":[..]} (what it may read besides, and what it may not, as guard.h has it),
 * {"op":"kill","id":ID}.
 * spawner to daemon: {"op":"hello","pid":N} once; {"op":"started","id":ID,"pid":N} with the
 * worker's stream and its log pipe; {"op":"failed","id":ID,"text":T} (never started);
 * {"op":"exited","id":ID, "how":T} once the worker is reaped and its group is dead.
 */
#ifndef PLUGIN_SPAWNER_H
#define PLUGIN_SPAWNER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include <leased/error.h>

#define SPAWNER_ID_SIZE 32

/* What one start needs. */
struct spawner_program {
	int dir_fd;
	const char *dir; /* absolute */
	const char *name;
	pid_t spawner, daemon;
	bool starts_programs;          /* the catalog's word */
	const json_t *files, *guarded; /* borrowed; NULL: none */
};

/* Is this the owner's alone to write: owned by root or us, not writable by group or others? */
int plugin_spawner_check_owner(
    int fd, const char *what, bool directory, struct leased_err *err) LEASED_MUST_CHECK;

/* Starts the program; *ret_stream_fd and *ret_log_fd are our ends. An exec that fails is reported.
 */
int plugin_spawner_exec(const struct spawner_program *program, pid_t *ret_pid, int *ret_stream_fd,
    int *ret_log_fd, struct leased_err *err) LEASED_MUST_CHECK;

/* The spawner's process: serves the daemon's socket until it ends. */
_Noreturn void plugin_spawner_run(int socket_fd, int dir_fd, const char *dir);

#endif
