/*
 * lease get: one credential, shown.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

char *
cli_creds_path(const char *name)
{
	char *path = NULL;

	if (strncmp(name, "/v1/", 4) == 0)
		name += 4;
	while (name[0] == '/')
		name++;
	if (strchr(name, '/') != NULL)
		return (strdup(name));
	return (asprintf(&path, "database/creds/%s", name) < 0 ? NULL : path);
}

/* Nobody has seen the credential: it must not live out its time. */
static void
take_back(const struct cli_reply *reply)
{
	const char *id = json_string_value(json_object_get(reply->body, "lease_id"));
	struct cli_reply answer;
	json_t *body;

	if (id == NULL || id[0] == '\0')
		return;
	body = json_pack("{s:s}", "lease_id", id);
	cli_request("PUT", "sys/leases/revoke", NULL, body, &answer);
	if (answer.code != CLI_OK)
		(void)cli_reply_fail(&answer, id);
	else
		(void)cli_fail(CLI_OK, "the credential was revoked, since it could not be shown");
	cli_reply_clear(&answer);
	json_decref(body);
}

int
cli_run_get(const struct cli_options *options, int argc, char **argv)
{
	struct cli_reply reply;
	json_t *credential;
	char *path;
	int code;

	if (argc != 2 || argv[1][0] == '\0')
		return (cli_usage("get", "get takes one ROLE or PATH"));
	if ((path = cli_creds_path(argv[1])) == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request("GET", path, NULL, NULL, &reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, path);
	else {
		cli_reply_warn(&reply);
		credential = cli_credential(reply.body);
		code = cli_show_object(options, credential);
		if (code == CLI_OK && (fflush(stdout) != 0 || ferror(stdout)))
			code = cli_fail(CLI_FAILED, "it could not be written: %s", strerror(errno));
		if (code != CLI_OK)
			take_back(&reply);
		json_decref(credential);
	}
	cli_reply_clear(&reply);
	free(path);
	return (code);
}
