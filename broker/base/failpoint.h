/*
 * Failpoints: named places where a test makes the process die, stop, wait or fail. Built in only
 * with LEASED_FAILPOINTS (test presets); elsewhere the macro is nothing.
 *
 * Armed by LEASED_FAILPOINT, read once at start (and passed on to workers):
 * "name=action[:argument][@n][,..]" acts on the n-th pass (1 when absent), once. Actions: kill
 * (SIGKILL to itself), stop:MS (SIGSTOP to itself; a helper process continues it after MS
 * milliseconds), sleep:MS, error:CODE (FAILPOINT_ERROR only; a name of leased_code_name),
 * exit:STATUS.
 *
 * With LEASED_FAILPOINT_DIR points are also armed while processes run: the file DIR/NAME.armed
 * holds "action[:argument][@n]", and of all processes the one that makes the n-th pass from then on
 * takes the file away and acts, so that a worker that replaces a killed one lives. A pass is a line
 * more in DIR/NAME.passed, an act one in DIR/NAME.acted: the pid.
 *
 * Every point is listed by `leased --failpoints` in test builds: names stand in failpoint_names.def
 * beside this file, one FAILPOINT_NAME(module_operation_place) a line; an unlisted name does not
 * compile.
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <leased/error.h>

#ifdef LEASED_FAILPOINTS
enum failpoint_id {
#define FAILPOINT_NAME(name) FAILPOINT_##name,
#include "base/failpoint_names.def"
#undef FAILPOINT_NAME
	FAILPOINT_COUNT
};
void failpoint_setup(void);
int failpoint_hit(enum failpoint_id id, struct leased_err *err);
const char *failpoint_name(enum failpoint_id id);
/* For unit tests: the next pass of id, of FAILPOINT_ERROR, fails with code; 0: it does not. One at
 * a time, from one thread. */
void failpoint_fail_next(enum failpoint_id id, int code);
#define FAILPOINT(name) ((void)failpoint_hit(FAILPOINT_##name, NULL))
/* 0, or the armed error with err filled: `if ((r = FAILPOINT_ERROR(store_commit, err)) != 0) goto
 * out;` */
#define FAILPOINT_ERROR(name, err) failpoint_hit(FAILPOINT_##name, (err))
#else
#define failpoint_setup() ((void)0)
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_ERROR(name, err) ((void)(err), 0)
#endif

#endif
