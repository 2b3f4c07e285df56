/*
 * The configuration of a connection: which command, with which words, and what it can do. Starts
 * nothing. Called by open.c.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec.h"

static const struct {
	const char *name;
	bool changes, is_optional;
} ops[EXEC_OP_COUNT] = {
    [EXEC_PING] = {"ping", false, false},
    [EXEC_MINT] = {"mint", true, false},
    [EXEC_RENEW] = {"renew", true, true},
    [EXEC_DISARM] = {"disarm", true, false},
    [EXEC_REMOVE] = {"remove", true, false},
    [EXEC_CHECK] = {"check", false, true},
    [EXEC_INVENTORY] = {"inventory", false, true},
};

const char *
exec_op_name(enum exec_op op)
{
	return (ops[op].name);
}

bool
exec_op_changes(enum exec_op op)
{
	return (ops[op].changes);
}

int
exec_config_check_program(const char *path, struct leased_err *err)
{
	struct stat status;

	if (stat(path, &status) != 0)
		return (
		    leased_err_set(err, LEASED_EINVAL, "program: %s: %s", path, strerror(errno)));
	if (!S_ISREG(status.st_mode) || access(path, X_OK) != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "program: %s is no file that leased may execute", path));
	if ((status.st_uid != 0 && status.st_uid != geteuid()) ||
	    (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "program: %s can be changed by others than root and the user of leased: run "
		    "chown root and chmod go-w on it",
		    path));
	return (exec_trust_check(path, err));
}

/* "run_as": a name or a number. Nobody here can become another user: the spawner gives up every
 * right to it when leased starts. */
static int
check_user(const json_t *run_as, struct leased_err *err)
{
	const char *name = json_string_value(run_as), *wrong = NULL;
	struct passwd *user;
	long long uid = -1;

	if (run_as == NULL)
		return (0);
	if (json_is_integer(run_as))
		uid = json_integer_value(run_as);
	else if (name != NULL && (uid = strtonum(name, 0, UINT32_MAX, &wrong), wrong != NULL)) {
		if ((user = getpwnam(name)) == NULL)
			return (leased_err_set(
			    err, LEASED_EINVAL, "run_as: there is no user %.64s", name));
		uid = user->pw_uid;
	}
	if (uid < 0)
		return (
		    leased_err_set(err, LEASED_EINVAL, "run_as: must be a user's name or number"));
	if (uid == (long long)geteuid())
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "run_as: leased (user %u) cannot become another user: it gives up the right to when it "
	    "starts. Let the service manager run the command as that user, and name its socket: "
	    "docs/how-to/exec.md, \"As another user\"",
	    (unsigned)geteuid()));
}

static int
read_words(struct exec_config *config, struct leased_err *err)
{
	const json_t *arguments = json_object_get(config->document, "arguments"), *word;
	size_t i;

	config->words[0] = (char *)(uintptr_t)config->program;
	if (arguments != NULL &&
	    (!json_is_array(arguments) || json_array_size(arguments) > EXEC_WORDS_MAX))
		return (leased_err_set(err, LEASED_EINVAL,
		    "arguments: must be a list of at most %d texts", EXEC_WORDS_MAX));
	json_array_foreach(arguments, i, word)
	{
		if (!json_is_string(word))
			return (leased_err_set(
			    err, LEASED_EINVAL, "arguments: must be a list of texts"));
		config->words[i + 1] = (char *)(uintptr_t)json_string_value(word);
	}
	return (0);
}

static int
read_ops(struct exec_config *config, struct leased_err *err)
{
	const json_t *given = json_object_get(config->document, "operations"), *one;
	const char *name;
	size_t i, k;

	for (k = 0; k < EXEC_OP_COUNT; k++)
		config->ops |= ops[k].is_optional ? 0 : 1u << k;
	if (given == NULL)
		return (0);
	if (!json_is_array(given))
		return (leased_err_set(err, LEASED_EINVAL, "operations: must be a list"));
	json_array_foreach(given, i, one)
	{
		name = json_string_value(one);
		for (k = 0; k < EXEC_OP_COUNT && (name == NULL || strcmp(ops[k].name, name) != 0);
		     k++)
			;
		if (k == EXEC_OP_COUNT)
			return (leased_err_set(err, LEASED_EINVAL,
			    "operations: holds %s; what a command may have beside ping, mint, "
			    "disarm and remove are renew, check and inventory",
			    name != NULL ? "an unknown one" : "what is no text"));
		config->ops |= 1u << k;
	}
	return (0);
}

static int
read_place(struct exec_config *config, struct leased_err *err)
{
	const json_t *program = json_object_get(config->document, "program"),
		     *socket = json_object_get(config->document, "socket");
	const char *path;

	if ((program == NULL) == (socket == NULL))
		return (leased_err_set(err, LEASED_EINVAL,
		    "give program, the absolute path of a command, or socket, that of a service "
		    "which runs it"));
	path = json_string_value(program != NULL ? program : socket);
	if (path == NULL || path[0] != '/' || strlen(path) > EXEC_SERVER_MAX - 8)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be an absolute path of at most %d bytes",
		    program != NULL ? "program" : "socket", EXEC_SERVER_MAX - 8));
	if (program == NULL) {
		config->socket = path;
		return (json_object_get(config->document, "arguments") == NULL
			    ? 0
			    : leased_err_set(err, LEASED_EINVAL,
				  "arguments: are for program; a service has its own"));
	}
	config->program = path;
	return (exec_config_check_program(path, err));
}

static int
check_rest(const struct exec_config *config, struct leased_err *err)
{
	static const char *const truths[] = {"native_expiry", "password"};
	const json_t *settings = json_object_get(config->document, "settings"),
		     *secret = json_object_get(config->document, "secret"), *truth;

	if (settings != NULL && !json_is_object(settings))
		return (leased_err_set(err, LEASED_EINVAL, "settings: must be an object"));
	if (secret != NULL && !json_is_string(secret))
		return (leased_err_set(err, LEASED_EINVAL, "secret: must be a text"));
	for (size_t i = 0; i < 2; i++) {
		truth = json_object_get(config->document, truths[i]);
		if (truth != NULL && !json_is_boolean(truth))
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: must be true or false", truths[i]));
	}
	return (check_user(json_object_get(config->document, "run_as"), err));
}

int
exec_config_new(const json_t *given, struct exec_config **ret_config, struct leased_err *err)
{
	struct exec_config *config = calloc(1, sizeof(*config));
	int r;

	if (config == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	config->document = json_incref((json_t *)(uintptr_t)given);
	if ((r = check_rest(config, err)) != 0 || (r = read_place(config, err)) != 0 ||
	    (r = read_words(config, err)) != 0 || (r = read_ops(config, err)) != 0) {
		exec_config_free(config);
		return (r);
	}
	*ret_config = config;
	return (0);
}

void
exec_config_free(struct exec_config *config)
{
	if (config == NULL)
		return;
	json_decref(config->document);
	free(config);
}
