/*
 * Writing a plugin in C. A plugin is a program: a table of functions and `return
 * leased_plugin_main(&table, argc, argv);`. It may block; the daemon kills it at a call's deadline.
 * PROTOCOL.md says what travels; plugins/example/ is the contract to copy. Link with the SDK
 * (plugins/sdk).
 */
#ifndef LEASED_PLUGIN_H
#define LEASED_PLUGIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

/* One call. params and result are JSON objects of the operation's shape in PROTOCOL.md. */
struct leased_call {
	const json_t *params; /* borrowed for the call; holds secrets: never log it */
	json_t *result;       /* an empty object for the handler to fill */
	bool sent; /* mint and set_password: set by the handler right before the first byte that
		      could change the backend goes there (PROTOCOL.md, "Errors") */
	struct leased_call_private *private_data;
};

/* Returns 0, or a negative leased_code with err filled; the SDK makes the reply of either. */
typedef int (*leased_handler)(void *ctx, struct leased_call *call, struct leased_err *err);

/* One account of disarm or remove. fields is its result, for handle and server. */
typedef int (*leased_account_handler)(
    void *ctx, const json_t *account, json_t *fields, struct leased_err *err);

struct leased_plugin {
	const char *name;
	/* Filled at compile time; NULL: the operation is not supported. describe is called before
	 * open; the SDK adds name, protocol and ops to its result. It checks the shape of params
	 * (account, accounts, password, expires, ..) before it calls any of these. */
	leased_handler describe, open, check, mint, renew, disarm, remove, set_password, inventory,
	    ping, reap, generate, sign, import, inspect, certify, krl, push;
	/* Shorter ways to say the same where a member above is NULL: describe's result as JSON
	 * text; disarm and remove of one account. A ping that is NULL answers by itself. */
	const char *description;
	leased_account_handler disarm_account, remove_account;
	void *ctx; /* handed to every handler */
	/* It starts programs (its catalog row says so, too): what a client of a server has no use
	 * for is not forbidden after open. */
	bool starts_programs;
};

int leased_plugin_main(const struct leased_plugin *plugin, int argc, char **argv);

/* Milliseconds left until the call's deadline, at least 0. Set it as the timeout of what you block
 * on. */
int leased_call_remaining_ms(const struct leased_call *call);

/*
 * Registers a backend session before anything is sent on it (PROTOCOL.md, "Sessions"): id names it
 * to reap() later (PostgreSQL: "pid:backend_start"). Blocks until the daemon has it on disk.
 * leased_session_end() says that it is over, as a hint; it does not wait.
 */
int leased_session_begin(
    struct leased_call *call, const char *id, struct leased_err *err) LEASED_MUST_CHECK;
void leased_session_end(const char *id);

/* Fields of an object. A missing or mistyped one is LEASED_EINVAL and names the field; the
 * _optional form gives NULL then. Borrowed. */
int leased_get_string(const json_t *object, const char *field, const char **ret_text,
    struct leased_err *err) LEASED_MUST_CHECK;
const char *leased_get_string_optional(const json_t *object, const char *field);

/* Adds one to the warnings of an open's result: what this backend, as it is configured, cannot do.
 */
void leased_open_warn(struct leased_call *call, const char *fmt, ...) LEASED_PRINTF(2, 3);

/* Per-account results of disarm, remove and reap: appends {"ok":true} to result.results and returns
 * it for more fields (borrowed), or {"ok":false,"error":{..}}. */
json_t *leased_result_ok(struct leased_call *call);
void leased_result_failed(struct leased_call *call, const struct leased_err *why);

/*
 * Calls each for every account of params.accounts, in order, and makes one result of what it
 * returns. Returns 0: one that fails does not stop the others.
 */
int leased_each_account(struct leased_call *call, leased_account_handler each, void *ctx,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Whom a worker talks to, once it knows its configuration. */
struct leased_reach {
	const char *const *names; /* hosts to be resolved, NULL at the end; NULL: none */
	const uint16_t *ports;    /* TCP; 0 at the end */
	bool unix_sockets;
};
/*
 * For an open, before it connects: from here on this process connects to these ports only (where
 * the kernel can limit that), starts nothing and makes no system call that a client of a server has
 * no use for; one that it makes all the same ends it. Cannot be undone: another open of this
 * process that wants another port ends it. Without it the SDK does that after open, for any port.
 */
int leased_confine(const struct leased_reach *reach, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * Ends the process: the connection broke, or time ran out, while a change was under way, and nobody
 * can tell whether it still happens. A reply would say that it does not (PROTOCOL.md, "Errors").
 */
_Noreturn void leased_outcome_unknown(const char *fmt, ...) LEASED_PRINTF(1, 2);

/* One line to the daemon's log, through stderr. Never a secret. */
void leased_plugin_log(const char *fmt, ...) LEASED_PRINTF(1, 2);

#endif
