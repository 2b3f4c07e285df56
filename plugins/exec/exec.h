/*
 * The exec plugin, inside: a backend that is a command of the operator's, one run an operation,
 * with JSON on its standard input and output. docs/how-to/exec.md is what such a command must do.
 * One worker runs one command at a time, so that nothing here locks.
 */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <leased/plugin.h>

#define EXEC_NAME_MAX 63
#define EXEC_SERVER_MAX 127
#define EXEC_OUTPUT_MAX ((size_t)64 * 1024)
#define EXEC_WORDS_MAX 32

/* ---- config.c ---- */

enum exec_op {
	EXEC_PING,
	EXEC_MINT,
	EXEC_RENEW,
	EXEC_DISARM,
	EXEC_REMOVE,
	EXEC_CHECK,
	EXEC_INVENTORY
};
#define EXEC_OP_COUNT 7
const char *exec_op_name(enum exec_op op);
/* The backend may have changed when it was cut off. */
bool exec_op_changes(enum exec_op op);

struct exec_config {
	const char *program; /* NULL: there is socket */
	const char *socket;
	char *words[EXEC_WORDS_MAX + 2]; /* program and its arguments; NULL at the end */
	json_t *document;                /* what the above is borrowed from */
	unsigned ops;                    /* 1 << enum exec_op */
};
/* LEASED_EINVAL names the setting. */
int exec_config_new(
    const json_t *given, struct exec_config **ret_config, struct leased_err *err) LEASED_MUST_CHECK;
void exec_config_free(struct exec_config *config); /* NULL is fine */
/* May this file be started by us? Nobody else may be able to change it. */
int exec_config_check_program(const char *path, struct leased_err *err) LEASED_MUST_CHECK;
/* Nobody else can write to a folder on its way (absolute), links followed; err names the one. */
int exec_trust_check(const char *path, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- output.c: what a command had to say ---- */

struct exec_output {
	char *bytes; /* NULL: nothing */
	size_t len;
	bool is_cut; /* there was more than EXEC_OUTPUT_MAX */
	int status;  /* its exit status, -1: unknown (a socket), or by a signal */
	int signal;  /* that ended it, 0: none, or ours */
};
/* clang-format off */
#define EXEC_OUTPUT_INIT {NULL, 0, false, -1, 0}
/* clang-format on */
void exec_output_clear(struct exec_output *output); /* wipes */
/* Appends; false: no memory, or cut. */
bool exec_output_add(struct exec_output *output, const char *bytes, size_t len);

/* Its result, an object; or its error, with secret texts hidden. LEASED_ECRASHED: it is not known
 * what it did. secrets: strings in an array. */
int exec_output_read(const struct exec_output *output, const json_t *secrets, json_t **ret_result,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- run.c, dial.c ---- */

/* Runs the command with input and waits until it, and all that it has started, has ended. Fails
 * only where it was not started, or did not end in time (LEASED_ETIMEDOUT: it was killed). */
int exec_run(const struct exec_config *config, const char *input, size_t len, int timeout_ms,
    struct exec_output *ret_output, bool *ret_started, struct leased_err *err) LEASED_MUST_CHECK;
/* The same by the socket of a service that runs it. */
int exec_dial(const struct exec_config *config, const char *input, size_t len, int timeout_ms,
    struct exec_output *ret_output, bool *ret_started, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- call.c ---- */

#define EXEC_TAG 0x65786563u
struct exec {
	unsigned tag;
	struct exec_config *config; /* NULL before open */
	char *store_tag;
	char server[EXEC_SERVER_MAX + 1];
	char incarnation[EXEC_SERVER_MAX + 1];
	bool has_identity; /* the command says which server it works on */
};
struct exec *exec_from(void *ctx);

/* One operation of the command. account, password, expires: NULL where the operation has none.
 * ret_result (may be NULL): the caller's to json_decref. */
int exec_call(struct exec *exec, struct leased_call *call, enum exec_op op, const json_t *account,
    json_t **ret_result, struct leased_err *err) LEASED_MUST_CHECK;
/* Asks who the backend is. LEASED_EMOVED: another than at open. */
int exec_identify(
    struct exec *exec, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the operations: open.c, account.c ---- */

int exec_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_open(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_check(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int exec_inventory(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
