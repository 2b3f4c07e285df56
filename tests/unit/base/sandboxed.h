/*
 * For the tests of the sandbox's system calls: attempts, each made by a process of its own that has
 * taken a role.
 */
#ifndef UNIT_BASE_SANDBOXED_H
#define UNIT_BASE_SANDBOXED_H

#include <signal.h>
#include <stddef.h>

#include "base/sandbox.h"

#define BAD_CALL (128 + SIGSYS)
#define PROGRAM_FD 20 /* what a worker was executed by */

struct attempt {
	const char *name;
	struct sandbox_calls calls;
	void (*body)(void);
	int status; /* what it ends with: 0, or BAD_CALL */
};

/* Takes the role for ever; a plugin was a worker before. */
void sandboxed_become(const struct sandbox_calls *calls);

/* Fails the test at the first that ends otherwise. */
void sandboxed_run(const struct attempt *attempts, size_t count);

#endif
