/*
 * What the files of the sandbox share.
 */
#ifndef BASE_SANDBOX_PRIVATE_H
#define BASE_SANDBOX_PRIVATE_H

#include "base/sandbox.h"

/* Built with sanitizers, or switched off by a test. */
bool sandbox_is_off(void);

/* sandbox_lists.c: names of system calls, NULL at the end. One that this machine's library does not
 * know is passed over. */
extern const char *const sandbox_never[];          /* no process of ours, whatever its role */
extern const char *const sandbox_never_worker[];   /* no worker: it serves nobody,
						   and stays in its session */
extern const char *const sandbox_refused_worker[]; /* nor these, but it may go on */
extern const char *const sandbox_starting[];       /* what starts another process */
extern const char *const sandbox_common[];         /* allowed: what any program of ours does */
extern const char *const sandbox_daemon[];         /* .. and the daemon besides */
extern const char *const sandbox_plugin[];         /* .. and a plugin besides */

#endif
