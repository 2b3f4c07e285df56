/*
 * lease restore: what a restored store holds, and the word that ends the hold.
 */
#include <string.h>

#include "cli.h"

static int
status(const struct cli_options *options)
{
	struct cli_reply reply;
	int code;

	cli_request("GET", "sys/restore", NULL, NULL, &reply);
	if (reply.code == CLI_OK)
		code = cli_show_object(options, json_object_get(reply.body, "data"));
	else
		code = cli_reply_fail(&reply, "restore status");
	cli_reply_clear(&reply);
	return (code);
}

static int
release(void)
{
	json_t *body = json_pack("{s:b}", "takeover", 1);
	struct cli_reply reply;
	int code = CLI_OK;

	if (body == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request("POST", "sys/restore/release", NULL, body, &reply);
	json_decref(body);
	if (reply.code == CLI_OK)
		cli_reply_warn(&reply);
	else
		code = cli_reply_fail(&reply, "restore release");
	cli_reply_clear(&reply);
	return (code);
}

int
cli_run_restore(const struct cli_options *options, int argc, char **argv)
{
	const char *word = NULL;
	bool takeover = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--takeover") == 0)
			takeover = true;
		else if (word == NULL)
			word = argv[i];
		else
			return (cli_usage("restore", "\"%s\" is an argument too many", argv[i]));
	}
	if (word != NULL && strcmp(word, "status") == 0 && !takeover)
		return (status(options));
	if (word == NULL || strcmp(word, "release") != 0)
		return (cli_usage("restore", "restore takes status, or release --takeover"));
	if (!takeover)
		return (cli_usage("restore",
		    "release needs --takeover: your word that the leased which this store was "
		    "copied from is gone for good"));
	return (release());
}
