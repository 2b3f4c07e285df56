/*
 * What the files of the SDK share. Plugins see leased/plugin.h only.
 */
#ifndef SDK_SDK_H
#define SDK_SDK_H

#include <leased/plugin.h>

#include "base/frame.h"

/* The protocol's stream (PROTOCOL.md, "Process"). */
#define SDK_FD 3
#define SDK_VERSION 1
#define SDK_ID_MAX ((json_int_t)1 << 53)
#define SDK_ACCOUNTS_MAX 64

struct leased_call_private {
	json_int_t id;
	const char *op;
	int64_t deadline_ms; /* on the boot clock */
};

/* One operation: where its handler stands in the table, and what its params must hold. */
struct sdk_op {
	const char *name;
	leased_handler handler;
	bool before_open;      /* may be called before open */
	const char *fields[4]; /* of params; NULL ends. The type follows from the name */
};

/* main.c: ends the process. The stream cannot be trusted, or is gone. */
_Noreturn void sdk_exit(int status, const struct leased_err *why);

/* main.c: the reader of the one stream; a session's answer is read through it too. */
extern struct frame_reader sdk_reader;

/* call.c: checks that params hold what fields name, in the right types. */
int sdk_check_params(
    const json_t *params, const char *const fields[4], struct leased_err *err) LEASED_MUST_CHECK;

/* call.c: {"code":..,"text":..}, valid UTF-8 whatever the text holds. NULL: out of memory. */
json_t *sdk_error(const struct leased_err *err);

int64_t sdk_boot_ms(void);

/* confine.c: after an open that did not call leased_confine(). */
int sdk_confine_after_open(struct leased_err *err) LEASED_MUST_CHECK;
/* .. and of one that starts programs: the spawner's limits and leased_confine()'s ports are all. */
void sdk_confine_allow_programs(void);
/* .. and what may be read are the files that were there then: has one of them been replaced? */
void sdk_watch_begin(const json_t *config);
bool sdk_watch_changed(void);

#endif
