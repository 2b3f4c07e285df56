/*
 * lease ssh [USER@]HOST, add and sign: a certificate for a key of ours that only an ssh-agent ever
 * holds, or for one of the caller's own. Nothing secret is written anywhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "file.h"
#include "keypair.h"
#include "options.h"
#include "sign.h"
#include "ssh.h"

#define COMMENT "lease "

/* What is ours in the agent says so: "lease MOUNT/ROLE LEASE-ID". */
static char *
comment_make(const struct ssh_arguments *arguments, const char *role, const char *lease_id)
{
	char *comment = NULL;

	if (asprintf(&comment, COMMENT "%s/%s %s", arguments->mount, role, lease_id) < 0)
		return (NULL);
	return (comment);
}

/* Does leased know that the lease has ended? No answer is no. */
static bool
is_over(const char *lease_id)
{
	struct cli_reply reply;
	const char *state;
	json_t *body;
	bool over;

	if (lease_id[0] == '\0')
		return (false);
	body = json_pack("{s:s}", "lease_id", lease_id);
	cli_request("PUT", "sys/leases/lookup", NULL, body, &reply);
	state = json_string_value(json_object_get(json_object_get(reply.body, "data"), "state"));
	over = reply.code == CLI_EXPIRED || reply.code == CLI_NOT_FOUND ||
	       (reply.code == CLI_OK && state != NULL && strcmp(state, "live") != 0);
	cli_reply_clear(&reply);
	json_decref(body);
	return (over);
}

/* An entry of the agent's as a certificate with enough life left. */
static bool
entry_is_good(const struct agent_entry *entry)
{
	struct sshwire_certificate certificate = {0};
	char *base64 = sshwire_base64(entry->blob, entry->blob_len), *line = NULL;
	bool good = false;

	if (base64 != NULL && asprintf(&line, KEYPAIR_CERTIFICATE_TYPE " %s", base64) < 0)
		line = NULL;
	if (line != NULL && sshwire_certificate_read_line(line, &certificate, NULL) == 0)
		good = sign_has_life(&certificate, time(NULL), SSH_LEFT_PERCENT);
	sshwire_certificate_clear(&certificate);
	free(base64);
	free(line);
	return (good);
}

/* Does the agent hold one of this role that can be used again? What has ended is taken out. */
static bool
agent_has(int fd, const struct ssh_arguments *arguments, const char *role)
{
	struct agent_list list = {NULL, 0};
	char *begin = comment_make(arguments, role, "");
	bool found = false;
	size_t i;

	if (begin == NULL || agent_list(fd, &list, NULL) != 0)
		goto out;
	for (i = 0; i < list.count && !found; i++) {
		const struct agent_entry *entry = &list.entries[i];

		if (strncmp(entry->comment, begin, strlen(begin)) != 0 || !entry_is_good(entry))
			continue;
		if (!is_over(entry->comment + strlen(begin)))
			found = true;
		else
			(void)!agent_remove(fd, entry->blob, entry->blob_len, NULL);
	}
out:
	agent_list_clear(&list);
	free(begin);
	return (found);
}

/* The pair and its certificate into the agent, for as long as the certificate lives. */
static int
hand_over(int fd, const struct ssh_arguments *arguments, const char *role,
    const struct keypair *keys, const struct ssh_signed *made)
{
	struct leased_err err = LEASED_ERR_INIT;
	uint64_t now = (uint64_t)time(NULL), until = made->certificate.valid_before;
	char *comment = comment_make(arguments, role, made->lease_id);
	int code = CLI_OK;

	if (comment == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	if (until <= now)
		code = cli_fail(CLI_FAILED, "by this machine's clock the certificate has ended "
					    "already: is the clock right?");
	else if (agent_add(fd, keys, made->certificate.blob, made->certificate.blob_len, comment,
		     until - now > UINT32_MAX ? UINT32_MAX : (uint32_t)(until - now),
		     arguments->confirm, &err) != 0)
		code = cli_fail(CLI_FAILED, "%s", err.text);
	free(comment);
	return (code);
}

/* Sees to it that the agent holds a certificate of the role. */
static int
agent_fill(const struct ssh_arguments *arguments, const char *role)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_signed made = {0};
	struct keypair keys = {.seed = NULL};
	char *line = NULL;
	int fd = -1, code = CLI_FAILED;
	bool wants_new = arguments->fresh || arguments->ttl != NULL || arguments->confirm ||
			 arguments->principals != NULL;

	/* The agent first: without one, no certificate is made in vain. */
	if (agent_open(&fd, &err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	if (!wants_new && agent_has(fd, arguments, role)) {
		code = CLI_OK;
		goto out;
	}
	if (keypair_generate(&keys, &err) != 0) {
		code = cli_fail(CLI_FAILED, "%s", err.text);
		goto out;
	}
	if ((line = keypair_line(keys.public)) == NULL) {
		code = cli_fail(CLI_FAILED, "out of memory");
		goto out;
	}
	if ((code = sign_request(arguments, role, line, false, &made)) != CLI_OK)
		goto out;
	if ((code = hand_over(fd, arguments, role, &keys, &made)) != CLI_OK)
		sign_take_back(&made);
	else if (!arguments->quiet)
		sign_tell("certificate in the ssh-agent", &made);
out:
	free(line);
	sign_clear(&made);
	keypair_clear(&keys);
	(void)close(fd);
	return (code);
}

int
cli_ssh_add(const struct ssh_arguments *arguments)
{
	const char *role;

	if (arguments->count != 0)
		return (cli_usage("ssh", "add takes no argument but options"));
	if ((role = options_role(arguments, "add")) == NULL)
		return (CLI_USAGE);
	return (agent_fill(arguments, role));
}

int
cli_ssh_login(const struct ssh_arguments *arguments)
{
	const char *role;
	char **argv;
	int error;

	if (arguments->count == 0)
		return (cli_usage("ssh", "ssh takes [USER@]HOST, or a command of its own"));
	if ((role = options_role(arguments, "a login")) == NULL)
		return (CLI_EXEC_FAILED);
	if ((argv = calloc((size_t)arguments->count + 2, sizeof(*argv))) == NULL)
		return (cli_fail(CLI_EXEC_FAILED, "out of memory"));
	if (agent_fill(arguments, role) != CLI_OK) {
		free(argv);
		return (CLI_EXEC_FAILED);
	}
	argv[0] = (char *)(uintptr_t) "ssh";
	memcpy(argv + 1, arguments->values, (size_t)arguments->count * sizeof(*argv));
	(void)fflush(NULL);
	(void)execvp(argv[0], argv);
	error = errno;
	free(argv);
	return (cli_fail(error == ENOENT ? CLI_EXEC_NOT_FOUND : CLI_EXEC_CANNOT_RUN,
	    "ssh: %s; the Debian package openssh-client has it", strerror(error)));
}

/* ---- sign ---- */

/* Where the certificate of key file path belongs: as ssh looks for it. For free(). */
static char *
certificate_path(const char *path)
{
	size_t len = strlen(path);
	char *name = NULL;

	if (len > 4 && strcmp(path + len - 4, ".pub") == 0)
		len -= 4;
	return (asprintf(&name, "%.*s-cert.pub", (int)len, path) < 0 ? NULL : name);
}

static int
write_out(const char *path, const struct ssh_signed *made)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (strcmp(path, "-") == 0) {
		(void)fputs(made->line, stdout);
		return (fflush(stdout) == 0
			    ? CLI_OK
			    : cli_fail(CLI_FAILED, "the output could not be written"));
	}
	if (file_replace(path, made->line, strlen(made->line), 0644, NULL, &err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	return (CLI_OK);
}

int
cli_ssh_sign(const struct ssh_arguments *arguments)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_signed made = {0};
	struct sshwire_key key = {0};
	char *text = NULL, *path = NULL, *line = NULL;
	const char *role;
	size_t len;
	int code = CLI_FAILED;

	if (arguments->count != 1)
		return (cli_usage("ssh", "sign takes the file of one public key"));
	if ((role = options_role(arguments, "sign")) == NULL)
		return (CLI_USAGE);
	path = arguments->out != NULL ? strdup(arguments->out)
				      : certificate_path(arguments->values[0]);
	if (file_read(arguments->values[0], &text, &len, &err) != 0 ||
	    sshwire_key_read_line(text, &key, &err) != 0) {
		code = cli_fail(CLI_FAILED, "%s: %s", arguments->values[0], err.text);
		goto out;
	}
	/* Without its comment, which is nobody's business. */
	if (path == NULL || (line = sshwire_key_line(&key)) == NULL) {
		code = cli_fail(CLI_FAILED, "out of memory");
		goto out;
	}
	if ((code = sign_request(arguments, role, line, arguments->host, &made)) != CLI_OK)
		goto out;
	if ((code = write_out(path, &made)) != CLI_OK)
		sign_take_back(&made);
	else if (!arguments->quiet)
		sign_tell(path, &made);
out:
	sign_clear(&made);
	sshwire_key_clear(&key);
	free(text);
	free(path);
	free(line);
	return (code);
}
