/*
 * Runs a piece of a unit test in a process of its own: for what ends, stops or changes the whole
 * process, and for reading what it says on stderr.
 */
#ifndef SUPPORT_CHILD_H
#define SUPPORT_CHILD_H

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/*
 * Forks and calls body(arg) there, then exits with 0. Returns the exit status, or 128 + the signal
 * that ended it. ret_output (size bytes, may be NULL) gets its stderr, NUL-terminated, cut at size.
 */
int child_run(void (*body)(void *arg), void *arg, char *ret_output, size_t size);

/* For use in body: cmocka's assertions do not work there. Ends the child with status 99 and says
 * where. */
#define CHILD_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
			_exit(99);                                                                 \
		}                                                                                  \
	} while (0)

#endif
