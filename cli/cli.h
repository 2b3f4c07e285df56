/*
 * Inside `lease`: the subcommands, one request to leased, and how answers are shown. The wire is
 * the Vault HTTP API, over a Unix socket or TCP.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <leased/error.h>
#include <leased/secret.h>

/* What `lease` exits with; exec passes its child's on. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_DENIED = 3,
	CLI_NOT_FOUND = 4,
	CLI_UNREACHABLE = 5,
	CLI_NOT_READY = 6,
	CLI_BACKEND = 7,
	CLI_EXPIRED = 8,
	CLI_SOME_FAILED = 9,
	CLI_EXEC_FAILED = 125,
	CLI_EXEC_CANNOT_RUN = 126,
	CLI_EXEC_NOT_FOUND = 127,
};

enum cli_format { CLI_FORMAT_TABLE, CLI_FORMAT_JSON, CLI_FORMAT_ENV };

/* Options that every subcommand takes. */
struct cli_options {
	enum cli_format format;
	const char *field; /* -f: print this field alone */
};

struct cli_command {
	const char *name;
	int (*run)(const struct cli_options *options, int argc, char **argv);
	const char *arguments; /* "PATH [KEY=VALUE ..]" */
	const char *summary;
	const char *help; /* options and examples */
	/* Of its own, "--state", which takes a value; or several without: "--fix|--status". NULL:
	 * none. CLI_OWN_OPTIONS: it reads its arguments itself, all of them. */
	const char *option;
};
#define CLI_OWN_OPTIONS "*"
extern const struct cli_command cli_commands[]; /* ends with a NULL name */

int cli_run_get(const struct cli_options *options, int argc, char **argv);
int cli_run_exec(const struct cli_options *options, int argc, char **argv);
int cli_run_list(const struct cli_options *options, int argc, char **argv);
int cli_run_show(const struct cli_options *options, int argc, char **argv);
int cli_run_renew(const struct cli_options *options, int argc, char **argv);
int cli_run_revoke(const struct cli_options *options, int argc, char **argv);
int cli_run_status(const struct cli_options *options, int argc, char **argv);
int cli_run_whoami(const struct cli_options *options, int argc, char **argv);
int cli_run_read(const struct cli_options *options, int argc, char **argv);
int cli_run_write(const struct cli_options *options, int argc, char **argv);
int cli_run_delete(const struct cli_options *options, int argc, char **argv);
int cli_run_reconcile(const struct cli_options *options, int argc, char **argv);
int cli_run_abandon(const struct cli_options *options, int argc, char **argv);
int cli_run_restore(const struct cli_options *options, int argc, char **argv);
int cli_run_ssh(const struct cli_options *options, int argc, char **argv);
int cli_run_list_path(const struct cli_options *options, int argc, char **argv);

/* One line to stderr, "lease: ..", and returns code. */
int cli_fail(int code, const char *fmt, ...) LEASED_PRINTF(2, 3);
/* The same, with how to get help for the command; CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) LEASED_PRINTF(2, 3);

/* "--NAME VALUE" or "--NAME=VALUE" out of argv; *ret_value stays without it. -1: no value. */
int cli_option_take(int *argc, char **argv, const char *name, const char **ret_value);

/* Without what drives a terminal, as all that a server says is shown to people. */
void cli_print_safe(FILE *to, const char *text);

/* ---- client.c ---- */

struct cli_reply {
	int code;     /* enum cli_exit; CLI_OK for 2xx */
	long status;  /* of HTTP; 0: no answer came */
	json_t *body; /* NULL: none; owned */
	char request_id[48];
	char error[2048]; /* for people, when code is not CLI_OK */
};
/* path is below /v1/, unescaped; body an object or NULL, borrowed. Always fills ret_reply, which
 * the caller clears. */
void cli_request(const char *method, const char *path, const char *query, const json_t *body,
    struct cli_reply *ret_reply);
/* Asked about once a second while a request waits; true ends it. NULL: nobody is asked. */
void cli_request_give_up_when(bool (*give_up)(void));
/* How long a request may take, from now on: 90 s where nobody says. */
void cli_request_within(long timeout_s);
void cli_reply_clear(struct cli_reply *reply);
/* Prints the error of a reply and returns its exit code. */
int cli_reply_fail(const struct cli_reply *reply, const char *what);
/* Warnings of an answer, to stderr. */
void cli_reply_warn(const struct cli_reply *reply);

/* ---- output.c ---- */

/* An object as a table of keys and values, as JSON, or as shell assignments; or one field of it.
 * CLI_NOT_FOUND when it has no such field. */
int cli_show_object(const struct cli_options *options, const json_t *object);
/* Objects as a table with these columns (keys of the objects, NULL-ended), or as JSON. */
int cli_show_rows(
    const struct cli_options *options, const json_t *rows, const char *const *columns);

/* "app" means database/creds/app; anything with a slash is a path. Caller frees; NULL: no memory.
 */
char *cli_creds_path(const char *name);
/* An answer's data with lease_id, lease_duration and renewable beside it; a new reference. */
json_t *cli_credential(const json_t *body);

#endif
