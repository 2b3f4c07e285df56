/*
 * lease exec: a command with a credential that ends with it. The child runs in our process group,
 * without a shell; signals that are sent to us alone are passed on; the lease is renewed while the
 * child lives and revoked when it ends. The environment of the child is the one place where a
 * secret enters one, because the caller asked.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define MAPPINGS_MAX 32
#define RETRY_S 5

/* Passed on: all that would end us, and what a program may live by. SIGCHLD tells us of the child.
 */
static const int forwarded[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGXCPU, SIGXFSZ, SIGSYS, SIGSTKFLT, SIGTRAP,
    SIGWINCH};

struct mapping {
	const char *name, *field;
};

/* What a database client reads without being told; scheme: as the credential says, NULL: every one.
 */
static const struct {
	const char *scheme, *name, *field;
} defaults[] = {
    {"postgresql", "PGHOST", "host"},
    {"postgresql", "PGPORT", "port"},
    {"postgresql", "PGDATABASE", "database"},
    {"postgresql", "PGUSER", "username"},
    {"postgresql", "PGPASSWORD", "password"},
    {"mysql", "MYSQL_HOST", "host"},
    {"mysql", "MYSQL_TCP_PORT", "port"},
    {"mysql", "MYSQL_DATABASE", "database"},
    {"mysql", "MYSQL_USER", "username"},
    {"mysql", "MYSQL_PWD", "password"},
};

struct exec {
	struct mapping mappings[MAPPINGS_MAX];
	unsigned mapping_count;
	json_t *credential;
	const char *lease_id;
	json_int_t duration_s;
	bool renewable;
	sigset_t signals, old_mask;
};

static int
env_set(const char *name, const json_t *value)
{
	char number[32];

	if (json_is_string(value))
		return (setenv(name, json_string_value(value), 1));
	if (json_is_integer(value)) {
		(void)snprintf(
		    number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return (setenv(name, number, 1));
	}
	return (0);
}

/* The variables that clients of the credential's scheme read. */
static int
defaults_set(const json_t *credential, const char *scheme)
{
	const json_t *value;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		if (strcmp(defaults[i].scheme, scheme) != 0)
			continue;
		value = json_object_get(credential, defaults[i].field);
		/* Clients of MySQL take this host for "by the default socket", whatever the port.
		 */
		if (strcmp(defaults[i].name, "MYSQL_HOST") == 0 && json_is_string(value) &&
		    strcmp(json_string_value(value), "localhost") == 0)
			r = setenv(defaults[i].name, "127.0.0.1", 1);
		else
			r = env_set(defaults[i].name, value);
	}
	return (r);
}

/* In the child: our own token goes, the credential comes, and what would lead past its host. */
static int
environment_make(const struct exec *exec)
{
	const char *scheme = json_string_value(json_object_get(exec->credential, "scheme"));
	size_t i;
	int r = 0;

	(void)unsetenv("LEASE_TOKEN");
	(void)unsetenv("VAULT_TOKEN");
	if (scheme == NULL)
		scheme = "postgresql";
	if (exec->mapping_count == 0 && json_object_get(exec->credential, "host") != NULL) {
		(void)unsetenv("PGHOSTADDR");
		(void)unsetenv("PGSERVICE");
		(void)unsetenv("MYSQL_UNIX_PORT");
	}
	for (i = 0; r == 0 && i < exec->mapping_count; i++)
		r = env_set(exec->mappings[i].name,
		    json_object_get(exec->credential, exec->mappings[i].field));
	if (r == 0 && exec->mapping_count == 0)
		r = defaults_set(exec->credential, scheme);
	return (r);
}

static _Noreturn void
child_run(const struct exec *exec, char **argv, const sigset_t *old_mask)
{
	int error;

	if (environment_make(exec) != 0) {
		(void)cli_fail(CLI_EXEC_FAILED, "out of memory");
		_exit(CLI_EXEC_FAILED);
	}
	(void)sigprocmask(SIG_SETMASK, old_mask, NULL);
	(void)execvp(argv[0], argv);
	error = errno;
	(void)cli_fail(0, "%s: %s", argv[0], strerror(error));
	_exit(error == ENOENT ? CLI_EXEC_NOT_FOUND : CLI_EXEC_CANNOT_RUN);
}

/* Is a signal waiting for us, the child's end among them? A renewal that hangs must not hold it. */
static bool
signal_waits(void)
{
	sigset_t pending;
	size_t i;

	(void)sigpending(&pending);
	for (i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		if (sigismember(&pending, forwarded[i]))
			return (true);
	return (false);
}

/* A renewal; returns the seconds until the next, 0: no more (the lease cannot be renewed further).
 */
static json_int_t
lease_renew(struct exec *exec)
{
	struct cli_reply reply;
	json_t *body = json_pack("{s:s, s:i}", "lease_id", exec->lease_id, "increment", 0);
	json_int_t next = exec->duration_s / 6, granted;

	next = next < 1 ? 1 : next > RETRY_S ? RETRY_S : next;
	cli_request_give_up_when(signal_waits);
	cli_request("PUT", "sys/leases/renew", NULL, body, &reply);
	cli_request_give_up_when(NULL);
	if (reply.code == CLI_OK) {
		granted = json_integer_value(json_object_get(reply.body, "lease_duration"));
		/* What is granted no longer grows: the end stands, and asking again cannot move it.
		 */
		next = granted < exec->duration_s / 2 ? 0 : granted * 2 / 3 + (granted < 2);
		if (next == 0)
			(void)cli_fail(0,
			    "the credential has reached its maximum life and ends in %lld s",
			    (long long)granted);
	} else if (reply.code == CLI_EXPIRED || reply.code == CLI_DENIED ||
		   reply.code == CLI_NOT_FOUND) {
		(void)cli_reply_fail(&reply, "the lease was not renewed");
		next = 0;
	}
	cli_reply_clear(&reply);
	json_decref(body);
	return (next);
}

static void
lease_revoke(const struct exec *exec)
{
	struct cli_reply reply;
	json_t *body;

	if (exec->lease_id[0] == '\0')
		return; /* a static role's login, which stays */
	body = json_pack("{s:s}", "lease_id", exec->lease_id);
	cli_request("PUT", "sys/leases/revoke", NULL, body, &reply);
	if (reply.code != CLI_OK)
		(void)cli_reply_fail(&reply,
		    "the credential was not revoked yet; it ends at the latest with its lease");
	cli_reply_clear(&reply);
	json_decref(body);
}

static int64_t
now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (now.tv_sec);
}

/* Waits for the child, renewing and passing signals on; its wait status. */
static int
child_attend(struct exec *exec, pid_t child, const sigset_t *signals)
{
	int64_t next = now_s() + exec->duration_s * 2 / 3, left;
	struct timespec timeout = {0, 0};
	siginfo_t info;
	int status, sig;

	for (;;) {
		if (waitpid(child, &status, WNOHANG) == child)
			return (status);
		left = next - now_s();
		if (exec->renewable && left <= 0) {
			left = lease_renew(exec);
			exec->renewable = left > 0;
			next = now_s() + left;
		}
		timeout.tv_sec = !exec->renewable ? 3600 : left > 0 ? left : 1;
		if ((sig = sigtimedwait(signals, &info, &timeout)) < 0 || sig == SIGCHLD)
			continue;
		/* What the terminal sends, it sends to the whole group: the child has it already.
		 */
		if (info.si_code != SI_KERNEL)
			(void)kill(child, sig);
	}
}

/* From before there is a credential until it is gone: nothing may end us in between. */
static void
signals_block(struct exec *exec)
{
	size_t i;

	(void)sigemptyset(&exec->signals);
	for (i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		(void)sigaddset(&exec->signals, forwarded[i]);
	(void)sigprocmask(SIG_BLOCK, &exec->signals, &exec->old_mask);
}

static int
exec_run(struct exec *exec, char **argv)
{
	static const struct timespec now = {0, 0};
	int status, sig;
	pid_t child;

	/* Whoever wanted to stop us while the credential was made gets that, and it goes back. */
	if ((sig = sigtimedwait(&exec->signals, NULL, &now)) > 0 && sig != SIGCHLD) {
		lease_revoke(exec);
		return (128 + sig);
	}
	if ((child = fork()) == 0)
		child_run(exec, argv, &exec->old_mask);
	if (child < 0) {
		status = cli_fail(CLI_EXEC_FAILED, "cannot start %s: %s", argv[0], strerror(errno));
		lease_revoke(exec);
		return (status);
	}
	status = child_attend(exec, child, &exec->signals);
	lease_revoke(exec);
	return (WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* The index of the command, or -1 with a message. */
static int
arguments_take(struct exec *exec, int argc, char **argv, const char **ret_name)
{
	char *equals, *value;
	int i;

	for (i = 1; i < argc && strncmp(argv[i], "--env", 5) == 0; i++) {
		value = argv[i][5] == '=' ? argv[i] + 6 : argv[++i];
		if (value == NULL || (equals = strchr(value, '=')) == NULL || equals == value ||
		    equals[1] == '\0' || exec->mapping_count == MAPPINGS_MAX) {
			(void)cli_usage(
			    "exec", "--env takes NAME=FIELD, at most %d times", MAPPINGS_MAX);
			return (-1);
		}
		*equals = '\0';
		exec->mappings[exec->mapping_count].name = value;
		exec->mappings[exec->mapping_count++].field = equals + 1;
	}
	if (i + 2 >= argc || argv[i][0] == '\0' || strcmp(argv[i + 1], "--") != 0) {
		(void)cli_usage("exec", "exec takes ROLE or PATH, then -- and a command");
		return (-1);
	}
	*ret_name = argv[i];
	return (i + 2);
}

static int
fields_check(const struct exec *exec)
{
	unsigned i;

	for (i = 0; i < exec->mapping_count; i++)
		if (json_object_get(exec->credential, exec->mappings[i].field) == NULL)
			return (cli_fail(CLI_EXEC_FAILED, "the credential has no field \"%s\"",
			    exec->mappings[i].field));
	return (CLI_OK);
}

int
cli_run_exec(const struct cli_options *options, int argc, char **argv)
{
	struct exec exec = {.mapping_count = 0};
	struct cli_reply reply;
	const char *name = NULL;
	char *path;
	int command, code;

	(void)options;
	if ((command = arguments_take(&exec, argc, argv, &name)) < 0)
		return (CLI_EXEC_FAILED);
	if ((path = cli_creds_path(name)) == NULL)
		return (cli_fail(CLI_EXEC_FAILED, "out of memory"));
	signals_block(&exec);
	cli_request("GET", path, NULL, NULL, &reply);
	if (reply.code != CLI_OK) {
		(void)cli_reply_fail(&reply, path);
		code = CLI_EXEC_FAILED;
		goto out;
	}
	cli_reply_warn(&reply);
	exec.credential = cli_credential(reply.body);
	exec.lease_id = json_string_value(json_object_get(exec.credential, "lease_id"));
	exec.duration_s = json_integer_value(json_object_get(exec.credential, "lease_duration"));
	exec.renewable = json_is_true(json_object_get(exec.credential, "renewable"));
	if (exec.lease_id == NULL ||
	    (exec.lease_id[0] == '\0' && json_object_get(exec.credential, "password") == NULL)) {
		code = cli_fail(CLI_EXEC_FAILED, "%s gives neither a lease nor a login", path);
		goto out;
	}
	if ((code = fields_check(&exec)) != CLI_OK)
		lease_revoke(&exec);
	else
		code = exec_run(&exec, argv + command);
out:
	json_decref(exec.credential);
	cli_reply_clear(&reply);
	free(path);
	return (code);
}
