/*
 * lease ssh ensure and needs-renewal: key and certificate in files, for what reads ssh's
 * configuration and has no ssh-agent. A good certificate is answered for without a request; stdout
 * stays empty, since ssh runs this whenever it reads its configuration.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ensure.h"
#include "file.h"
#include "host.h"
#include "options.h"
#include "sign.h"

#define WITHIN_S 10L /* somebody waits for his login */

char *
ensure_name(const struct ssh_arguments *arguments, const char *role)
{
	char *name = NULL, *at;

	if (strcmp(arguments->mount, "ssh") == 0)
		return (strdup(role));
	if (asprintf(&name, "%s+%s", arguments->mount, role) < 0)
		return (NULL);
	for (at = name; *at != '\0'; at++)
		if (*at == '/')
			*at = '+';
	return (name);
}

char *
ensure_directory(const struct ssh_arguments *arguments)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int r = -1;

	if (arguments->dir != NULL)
		r = asprintf(&path, "%s", arguments->dir);
	else if (state != NULL && state[0] == '/')
		r = asprintf(&path, "%s/lease/ssh", state);
	else if (home != NULL && home[0] == '/')
		r = asprintf(&path, "%s/.local/state/lease/ssh", home);
	else
		(void)cli_fail(CLI_FAILED, "HOME is not set: name a directory with --dir");
	return (r < 0 ? NULL : path);
}

/* The files of one role. */
struct place {
	char *directory, *key, *certificate, *lock;
	uint8_t public[KEYPAIR_PUBLIC_LEN];
};

static void
place_clear(struct place *place)
{
	free(place->directory);
	free(place->key);
	free(place->certificate);
	free(place->lock);
}

static int
place_find(const struct ssh_arguments *arguments, const char *role, struct place *place)
{
	char *name = ensure_name(arguments, role);
	int code = CLI_OK;

	memset(place, 0, sizeof(*place));
	if ((place->directory = ensure_directory(arguments)) == NULL)
		code = CLI_FAILED;
	else if (name == NULL || asprintf(&place->key, "%s/%s", place->directory, name) < 0 ||
		 asprintf(&place->certificate, "%s/%s-cert.pub", place->directory, name) < 0 ||
		 asprintf(&place->lock, "%s/.%s.lock", place->directory, name) < 0)
		code = cli_fail(CLI_FAILED, "out of memory");
	free(name);
	return (code);
}

static enum ensure_state
place_judge(struct place *place, unsigned left_percent)
{
	char *key_text = NULL, *certificate_text = NULL;
	size_t len = 0, unused;
	enum ensure_state state;

	(void)!file_read(place->key, &key_text, &len, NULL);
	(void)!file_read(place->certificate, &certificate_text, &unused, NULL);
	state = ensure_judge(key_text, certificate_text, time(NULL), left_percent, place->public);
	if (key_text != NULL)
		leased_wipe(key_text, len);
	free(key_text);
	free(certificate_text);
	return (state);
}

/* A key of ours beside which no certificate lies that another could be using now. */
static int
key_make(struct place *place)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct keypair keys = {.seed = NULL};
	struct leased_secret *text = NULL;
	int code = CLI_OK;

	if (keypair_generate(&keys, &err) != 0 ||
	    (text = keypair_file(&keys, "lease ssh ensure")) == NULL ||
	    file_replace(place->key, leased_secret_reveal(text), leased_secret_len(text), 0600,
		NULL, &err) != 0)
		code = cli_fail(CLI_FAILED, "%s", err.text[0] != '\0' ? err.text : "out of memory");
	memcpy(place->public, keys.public, sizeof(place->public));
	leased_secret_free(text);
	keypair_clear(&keys);
	return (code);
}

static int
certificate_make(const struct ssh_arguments *arguments, const char *role, const struct place *place)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_signed made = {0};
	char *line = keypair_line(place->public);
	int code;

	if (line == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request_within(WITHIN_S);
	if ((code = sign_request(arguments, role, line, false, &made)) == CLI_OK &&
	    file_replace(place->certificate, made.line, strlen(made.line), 0600, NULL, &err) != 0) {
		code = cli_fail(CLI_FAILED, "%s", err.text);
		sign_take_back(&made);
	}
	if (code == CLI_OK && !arguments->quiet)
		sign_tell(place->certificate, &made);
	sign_clear(&made);
	free(line);
	return (code);
}

/* One at a time, and whoever waited looks again: the one before may have done it. */
static int
ensure_locked(const struct ssh_arguments *arguments, const char *role, struct place *place,
    unsigned left_percent)
{
	struct leased_err err = LEASED_ERR_INIT;
	enum ensure_state state;
	int fd = -1, code = CLI_OK;

	if (file_make_directory(place->directory, &err) != 0 ||
	    file_lock(place->lock, &fd, &err) != 0)
		return (cli_fail(CLI_FAILED, "%s", err.text));
	state = place_judge(place, left_percent);
	if (arguments->fresh && state == ENSURE_GOOD)
		state = ENSURE_RENEW;
	if (state == ENSURE_MAKE)
		code = key_make(place);
	if (code == CLI_OK && state != ENSURE_GOOD)
		code = certificate_make(arguments, role, place);
	if (code != CLI_OK && state == ENSURE_RENEW && !arguments->fresh)
		code = cli_fail(CLI_OK, "the certificate there is good still, and is used");
	(void)close(fd);
	return (code);
}

int
cli_ssh_ensure(const struct ssh_arguments *arguments)
{
	unsigned left_percent = options_left_percent(arguments, SSH_LEFT_PERCENT);
	struct place place;
	const char *role;
	int code;

	if (left_percent == 0)
		return (CLI_USAGE);
	if (arguments->count != 0)
		return (cli_usage("ssh", "ensure takes no argument but options"));
	if ((role = options_role(arguments, "ensure")) == NULL)
		return (CLI_USAGE);
	if ((code = place_find(arguments, role, &place)) == CLI_OK &&
	    (arguments->fresh || place_judge(&place, left_percent) != ENSURE_GOOD))
		code = ensure_locked(arguments, role, &place, left_percent);
	place_clear(&place);
	return (code);
}

/* ---- needs-renewal ---- */

/* Is the certificate of a file missing, broken, or near its end? */
static bool
needs_renewal(const char *path, unsigned left_percent)
{
	struct sshwire_certificate certificate = {0};
	char *text = NULL;
	size_t len;
	bool good;

	good = file_read(path, &text, &len, NULL) == 0 &&
	       sshwire_certificate_read_line(text, &certificate, NULL) == 0 &&
	       sign_has_life(&certificate, time(NULL), left_percent);
	sshwire_certificate_clear(&certificate);
	free(text);
	return (!good);
}

int
cli_ssh_needs_renewal(const struct ssh_arguments *arguments)
{
	unsigned left_percent = options_left_percent(
	    arguments, arguments->host ? SSH_HOST_LEFT_PERCENT : SSH_LEFT_PERCENT);
	bool needs = false;
	struct place place;
	const char *role;
	int i, code;

	if (left_percent == 0)
		return (CLI_USAGE);
	if (arguments->host)
		return (host_need_renewal(arguments, left_percent) ? 0 : 1);
	for (i = 0; i < arguments->count; i++)
		needs = needs_renewal(arguments->values[i], left_percent) || needs;
	if (arguments->count == 0) {
		if ((role = options_role(arguments, "needs-renewal")) == NULL)
			return (CLI_USAGE);
		code = place_find(arguments, role, &place);
		needs = code == CLI_OK && place_judge(&place, left_percent) != ENSURE_GOOD;
		place_clear(&place);
		if (code != CLI_OK)
			return (CLI_USAGE);
	}
	return (needs ? 0 : 1);
}
