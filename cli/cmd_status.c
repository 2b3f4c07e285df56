/*
 * lease status and whoami: is leased there, and who am I to it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

/* Health is answered at once or not at all: whoever watches is not kept waiting. */
#define WITHIN_S 5
#define WITHIN_S_MAX 90

/* What to do about each reason stands in docs/reference/metrics.md. */
static int
not_ready(const json_t *body)
{
	const json_t *reason, *reasons = json_object_get(body, "not_ready");
	char text[256] = "";
	size_t i, len = 0;

	json_array_foreach(reasons, i, reason)
	{
		if (json_is_string(reason) && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
			    i == 0 ? ": " : ", ", json_string_value(reason));
	}
	return (cli_fail(CLI_NOT_READY, "leased is %s%s",
	    json_is_true(json_object_get(body, "sealed")) ? "sealed" : "not ready", text));
}

int
cli_run_status(const struct cli_options *options, int argc, char **argv)
{
	const char *timeout = NULL, *wrong = NULL;
	struct cli_reply reply;
	long within_s = WITHIN_S;
	int code;

	if (cli_option_take(&argc, argv, "--timeout", &timeout) != 0 || argc != 1)
		return (cli_usage("status", "status takes no argument but --timeout SECONDS"));
	if (timeout != NULL)
		within_s = (long)strtonum(timeout, 1, WITHIN_S_MAX, &wrong);
	if (wrong != NULL)
		return (cli_usage(
		    "status", "--timeout takes a number of seconds from 1 to %d", WITHIN_S_MAX));
	cli_request_within(within_s);
	cli_request("GET", "sys/health", "ready=true", NULL, &reply);
	/* A sealed leased answers with another status and the same body. */
	if (json_is_object(reply.body) && json_object_get(reply.body, "initialized") != NULL) {
		code = cli_show_object(options, reply.body);
		if (code == CLI_OK && reply.status != 200)
			code = not_ready(reply.body);
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
