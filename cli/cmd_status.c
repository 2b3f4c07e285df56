/*
 * lease status and whoami: is leased there, and who am I to it.
 */
#include <stdio.h>

#include "cli.h"

int
cli_run_status(const struct cli_options *options, int argc, char **argv)
{
	struct cli_reply reply;
	int code;

	(void)argv;
	if (argc != 1)
		return (cli_usage("status", "status takes no argument"));
	cli_request("GET", "sys/health", NULL, NULL, &reply);
	/* A sealed leased answers with another status and the same body. */
	if (json_is_object(reply.body) && json_object_get(reply.body, "initialized") != NULL) {
		code = cli_show_object(options, reply.body);
		if (code == CLI_OK && reply.status != 200)
			code = cli_fail(CLI_NOT_READY, "leased is %s",
			    json_is_true(json_object_get(reply.body, "sealed")) ? "sealed"
										: "not ready");
	} else
		code = cli_reply_fail(&reply, "status");
	cli_reply_clear(&reply);
	return (code);
}

int
cli_run_whoami(const struct cli_options *options, int argc, char **argv)
{
	struct cli_reply reply;
	json_t *shown;
	int code;

	(void)argv;
	if (argc != 1)
		return (cli_usage("whoami", "whoami takes no argument"));
	cli_request("GET", "auth/token/lookup-self", NULL, NULL, &reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, "whoami");
	else {
		/* The token itself is nobody's answer to "who am I". */
		shown = json_copy(json_object_get(reply.body, "data"));
		(void)json_object_del(shown, "id");
		code = cli_show_object(options, shown);
		json_decref(shown);
	}
	cli_reply_clear(&reply);
	return (code);
}
