/*
 * lease ssh host-cert: certificates for the keys of this host, beside the keys as sshd wants them.
 * Reloading sshd is whoever's who runs it: the unit of systemd does.
 */
#include <glob.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file.h"
#include "host.h"
#include "options.h"
#include "sign.h"
#include "ssh.h"

/* KEY.pub -> KEY-cert.pub, for free(). */
static char *
certificate_path(const char *key_path)
{
	size_t len = strlen(key_path);
	char *path = NULL;

	if (len > 4 && strcmp(key_path + len - 4, ".pub") == 0)
		len -= 4;
	return (asprintf(&path, "%.*s-cert.pub", (int)len, key_path) < 0 ? NULL : path);
}

/* The key of a file, as a line without its comment; NULL: none that leased can certify. */
static char *
key_line(const char *path, struct leased_err *err)
{
	struct sshwire_key key = {0};
	char *text = NULL, *line = NULL;
	size_t len;

	if (file_read(path, &text, &len, err) == 0 && sshwire_key_read_line(text, &key, err) == 0 &&
	    (line = sshwire_key_line(&key)) == NULL)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	sshwire_key_clear(&key);
	free(text);
	return (line);
}

/* Has the key no certificate of its own that lives long enough? */
static bool
key_needs_one(const char *key_path, unsigned left_percent)
{
	struct sshwire_certificate certificate = {0};
	struct sshwire_key key = {0};
	char *path = certificate_path(key_path), *text = NULL, *line = key_line(key_path, NULL);
	size_t len;
	bool good;

	good = path != NULL && line != NULL && sshwire_key_read_line(line, &key, NULL) == 0 &&
	       file_read(path, &text, &len, NULL) == 0 &&
	       sshwire_certificate_read_line(text, &certificate, NULL) == 0 &&
	       certificate.is_host && sshwire_key_equal(&key, &certificate.key) &&
	       sign_has_life(&certificate, time(NULL), left_percent);
	sshwire_certificate_clear(&certificate);
	sshwire_key_clear(&key);
	free(path);
	free(text);
	free(line);
	return (!good);
}

/* The public keys of the host, or those that are named. 0, or none are there. */
static int
keys_find(const struct ssh_arguments *arguments, glob_t *ret_found)
{
	const char *directory = arguments->dir != NULL ? arguments->dir : SSH_HOST_DIR;
	char *pattern = NULL;
	int i, r = 0;

	memset(ret_found, 0, sizeof(*ret_found));
	for (i = 0; i < arguments->count && r == 0; i++)
		r = glob(arguments->values[i],
		    GLOB_NOCHECK | GLOB_NOESCAPE | (i > 0 ? GLOB_APPEND : 0), NULL, ret_found);
	if (arguments->count > 0)
		return (r);
	if (asprintf(&pattern, "%s/ssh_host_*_key.pub", directory) < 0)
		return (-1);
	r = glob(pattern, 0, NULL, ret_found);
	free(pattern);
	return (r);
}

bool
host_need_renewal(const struct ssh_arguments *arguments, unsigned left_percent)
{
	bool needs = false;
	glob_t found;
	size_t i;

	if (keys_find(arguments, &found) != 0)
		return (true);
	for (i = 0; i < found.gl_pathc; i++)
		if (key_needs_one(found.gl_pathv[i], left_percent))
			needs = true;
	globfree(&found);
	return (needs);
}

/* By what names it is known: its own, and the one with a domain. */
static char *
names_find(void)
{
	struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found = NULL;
	char name[256] = "", *names = NULL;
	int r;

	if (gethostname(name, sizeof(name) - 1) != 0)
		return (NULL);
	if (getaddrinfo(name, NULL, &hints, &found) == 0 && found->ai_canonname != NULL &&
	    strchr(found->ai_canonname, '.') != NULL && strcmp(found->ai_canonname, name) != 0)
		r = asprintf(&names, "%s,%s", found->ai_canonname, name);
	else
		r = asprintf(&names, "%s", name);
	if (found != NULL)
		freeaddrinfo(found);
	return (r < 0 ? NULL : names);
}

static int
key_certify(const struct ssh_arguments *arguments, const char *role, const char *key_path)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_signed made = {0};
	char *path = certificate_path(key_path), *line = key_line(key_path, &err);
	int code = CLI_FAILED;

	if (path == NULL || line == NULL) {
		(void)cli_fail(CLI_FAILED, "%s: %s", key_path, err.text);
		goto out;
	}
	if ((code = sign_request(arguments, role, line, true, &made)) != CLI_OK)
		goto out;
	if (file_replace(path, made.line, strlen(made.line), 0644, NULL, &err) != 0) {
		code = cli_fail(CLI_FAILED, "%s", err.text);
		sign_take_back(&made);
	} else {
		if (!arguments->quiet)
			sign_tell(path, &made);
		(void)printf("HostCertificate %s\n", path);
	}
out:
	sign_clear(&made);
	free(path);
	free(line);
	return (code);
}

int
cli_ssh_host_cert(const struct ssh_arguments *arguments)
{
	struct ssh_arguments own = *arguments;
	unsigned left_percent = options_left_percent(arguments, SSH_HOST_LEFT_PERCENT);
	size_t i, failed = 0, done = 0;
	char *names = NULL;
	const char *role;
	glob_t found;
	int code = CLI_OK, one;

	if (left_percent == 0 || (role = options_role(arguments, "host-cert")) == NULL)
		return (CLI_USAGE);
	if (keys_find(arguments, &found) != 0)
		return (cli_fail(CLI_NOT_FOUND, "there is no public key of a host in %s",
		    arguments->dir != NULL ? arguments->dir : SSH_HOST_DIR));
	if (own.principals == NULL && (own.principals = names = names_find()) == NULL)
		code = cli_fail(CLI_FAILED, "the host has no name: --principals NAME,..");
	for (i = 0; code == CLI_OK && i < found.gl_pathc; i++) {
		if (arguments->renew && !key_needs_one(found.gl_pathv[i], left_percent))
			continue;
		if ((one = key_certify(&own, role, found.gl_pathv[i])) == CLI_OK)
			done++;
		else
			failed++;
		if (one != CLI_OK && failed == 1 && done == 0 && i + 1 == found.gl_pathc)
			code = one;
	}
	if (code == CLI_OK && failed > 0)
		code = done > 0 ? CLI_SOME_FAILED : CLI_FAILED;
	if (done > 0 && !arguments->quiet)
		(void)fprintf(stderr, "lease: sshd reads certificates of hosts when it starts: "
				      "systemctl reload ssh\n");
	globfree(&found);
	free(names);
	return (code);
}
