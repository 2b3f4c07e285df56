/*
 * lease ssh ca: the public keys of the CA, as sshd and known_hosts want them; and the same keys for
 * whoever checks a certificate or a signature.
 */
#include <stdlib.h>
#include <string.h>

#include "ca.h"
#include "client_raw.h"
#include "sign.h"
#include "ssh.h"

#define KEYS_MAX 64

int
ca_keys_read(const char *text, const char *what, struct sshwire_key **ret_keys, size_t *ret_count,
    struct leased_err *err)
{
	struct sshwire_key *keys = calloc(KEYS_MAX, sizeof(*keys));
	char *copy = strdup(text), *rest = copy, *line;
	size_t count = 0;
	int r = 0;

	if (keys == NULL || copy == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	while (r == 0 && (line = strsep(&rest, "\n")) != NULL) {
		line += strspn(line, " \t\r");
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (count == KEYS_MAX)
			r = leased_err_set(err, LEASED_ETOOBIG, "over %d keys", KEYS_MAX);
		else if ((r = sshwire_key_read_line(line, &keys[count], err)) == 0)
			count++;
	}
	if (r == 0 && count == 0)
		r = leased_err_set(err, LEASED_EINVAL, "there is no key in it");
	if (r != 0) {
		(void)leased_err_prefix(err, "%s", what);
		goto out;
	}
	*ret_keys = keys;
	*ret_count = count;
	keys = NULL;
out:
	free(copy);
	if (keys != NULL)
		ca_keys_clear(keys, count);
	return (r);
}

void
ca_keys_clear(struct sshwire_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sshwire_key_clear(&keys[i]);
	free(keys);
}

int
ca_keys_fetch(
    const struct ssh_arguments *arguments, struct sshwire_key **ret_keys, size_t *ret_count)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *path = sign_path(arguments, "public_key");
	struct cli_reply reply = {0};
	struct cli_raw raw = {0};
	int code;

	if (path == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request_raw(path, NULL, NULL, &raw, &reply);
	if ((code = reply.code) != CLI_OK)
		(void)cli_reply_fail(&reply, path);
	else if (ca_keys_read(raw.bytes, path, ret_keys, ret_count, &err) != 0)
		code = cli_fail(CLI_FAILED, "%s", err.text);
	cli_raw_clear(&raw);
	cli_reply_clear(&reply);
	free(path);
	return (code);
}

/* What known_hosts takes as one word of patterns. */
static bool
is_pattern(const char *text)
{
	return (text[0] != '\0' && text[0] != '#' && text[0] != '@' && text[0] != '|' &&
		text[strcspn(text, " \t\r\n")] == '\0');
}

int
cli_ssh_ca(const struct ssh_arguments *arguments)
{
	struct sshwire_key *keys;
	size_t i, count;
	char *line;
	int code;

	if (arguments->count != 0)
		return (cli_usage("ssh", "ca takes no argument but --known-hosts PATTERN"));
	if (arguments->known_hosts != NULL && !is_pattern(arguments->known_hosts))
		return (cli_usage("ssh", "--known-hosts takes host names as known_hosts has them: "
					 "*.example.com,!old.."));
	if ((code = ca_keys_fetch(arguments, &keys, &count)) != CLI_OK)
		return (code);
	for (i = 0; i < count && code == CLI_OK; i++) {
		if ((line = sshwire_key_line(&keys[i])) == NULL)
			code = cli_fail(CLI_FAILED, "out of memory");
		else if (arguments->known_hosts != NULL)
			(void)printf("@cert-authority %s %s\n", arguments->known_hosts, line);
		else
			(void)printf("%s\n", line);
		free(line);
	}
	ca_keys_clear(keys, count);
	return (code);
}
