/*
 * lease abandon: the last word on a lease whose backend will never answer again.
 */
#include "cli.h"

int
cli_run_abandon(const struct cli_options *options, int argc, char **argv)
{
	const char *reason = NULL;
	struct cli_reply reply;
	json_t *body;
	int code;

	if (cli_option_take(&argc, argv, "--reason", &reason) != 0 || argc != 2)
		return (cli_usage("abandon", "abandon takes one LEASE-ID and --reason TEXT"));
	if (reason == NULL || reason[0] == '\0')
		return (cli_usage("abandon",
		    "--reason says why, in the audit: the account may be left behind for ever"));
	body = json_pack("{s:s, s:s}", "lease_id", argv[1], "reason", reason);
	if (body == NULL)
		return (cli_fail(CLI_USAGE, "the id or the reason is no UTF-8 text"));
	cli_request("PUT", "sys/leases/abandon", NULL, body, &reply);
	json_decref(body);
	if (reply.code == CLI_OK) {
		cli_reply_warn(&reply);
		code = cli_show_object(options, json_object_get(reply.body, "data"));
	} else
		code = cli_reply_fail(&reply, argv[1]);
	cli_reply_clear(&reply);
	return (code);
}
