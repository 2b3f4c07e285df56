/*
 * lease reconcile: the accounts of backends against the leases, and what was found.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return (text != NULL ? text : "");
}

/* What a person has to look at, a line each; what is known as ended was disarmed already. */
static void
show_findings(const json_t *one)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(json_object_get(one, "findings"), i, finding)
	{
		(void)fputs(text_of(one, "name"), stdout);
		(void)printf("  %-8s ", text_of(finding, "what"));
		cli_print_safe(stdout, text_of(finding, "account"));
		(void)puts(
		    json_is_true(json_object_get(finding, "can_log_in")) ? "  can log in" : "");
	}
	if (json_is_true(json_object_get(one, "findings_cut")))
		(void)fprintf(stderr, "lease: not all of %s are shown\n", text_of(one, "name"));
}

/* What became of those that no lease had: --fix did it, or could. */
static void
show_fixed(const json_t *one)
{
	json_int_t given = json_integer_value(json_object_get(one, "removing"));
	json_int_t left = json_integer_value(json_object_get(one, "not_removed_yet"));
	json_int_t disarmed = json_integer_value(json_object_get(one, "disarmed"));
	const char *name = text_of(one, "name");

	if (disarmed > 0)
		(void)printf(
		    "%s  disarmed %lld whose lease had ended\n", name, (long long)disarmed);
	if (given > 0)
		(void)printf(
		    "%s  removed %lld that no lease had\n", name, (long long)(given - left));
	if (given > 0 && left > 0)
		(void)fprintf(stderr,
		    "lease: %s: %lld are not removed yet; `lease list --state stuck` says why\n",
		    name, (long long)left);
	if (!json_is_true(json_object_get(one, "fix")) &&
	    json_integer_value(json_object_get(one, "unknown_count")) > 0)
		(void)fprintf(
		    stderr, "lease: `lease reconcile --fix %s` removes what is unknown\n", name);
}

/* CLI_OK, or what its failures come to. */
static int
show(const struct cli_options *options, const json_t *data)
{
	static const char *const columns[] = {"name", "state", "accounts", "unknown_count",
	    "ended_count", "missing_count", "rearmed_count", "error", NULL};
	const json_t *list = json_object_get(data, "connections"), *one;
	size_t failed = 0, i;
	int code;

	json_array_foreach(list, i, one) failed += strcmp(text_of(one, "state"), "failed") == 0;
	if (options->format != CLI_FORMAT_TABLE && options->field == NULL) {
		code = cli_show_object(options, data);
	} else {
		code = cli_show_rows(options, list, columns);
		if (options->field == NULL)
			json_array_foreach(list, i, one)
			{
				show_findings(one);
				show_fixed(one);
			}
	}
	if (code != CLI_OK || failed == 0)
		return (code);
	return (cli_fail(failed == json_array_size(list) ? CLI_BACKEND : CLI_SOME_FAILED,
	    "%zu of %zu connections could not be compared", failed, json_array_size(list)));
}

static int
ask(const struct cli_options *options, bool fix, const char *connection)
{
	json_t *body = json_pack("{s:b}", "fix", (int)fix);
	struct cli_reply reply;
	int code;

	if (body == NULL || (connection != NULL && json_object_set_new(body, "connection",
						       json_string(connection)) != 0)) {
		json_decref(body);
		return (cli_fail(CLI_USAGE, "the name of the connection is no UTF-8 text"));
	}
	cli_request("POST", "sys/leases/reconcile", NULL, body, &reply);
	json_decref(body);
	if (reply.code == CLI_OK) {
		cli_reply_warn(&reply);
		if (reply.status == 202)
			(void)fprintf(stderr,
			    "lease: it goes on; lease reconcile --status shows how far it is\n");
		code = show(options, json_object_get(reply.body, "data"));
	} else
		code = cli_reply_fail(&reply, "reconcile");
	cli_reply_clear(&reply);
	return (code);
}

static int
status(const struct cli_options *options)
{
	struct cli_reply reply;
	int code;

	cli_request("GET", "sys/leases/reconcile", NULL, NULL, &reply);
	if (reply.code == CLI_OK)
		code = show(options, json_object_get(reply.body, "data"));
	else
		code = cli_reply_fail(&reply, "reconcile --status");
	cli_reply_clear(&reply);
	return (code);
}

int
cli_run_reconcile(const struct cli_options *options, int argc, char **argv)
{
	const char *connection = NULL;
	bool fix = false, wants_status = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--fix") == 0)
			fix = true;
		else if (strcmp(argv[i], "--status") == 0)
			wants_status = true;
		else if (connection == NULL)
			connection = argv[i];
		else
			return (cli_usage("reconcile", "reconcile takes at most one CONNECTION"));
	}
	if (wants_status && (fix || connection != NULL))
		return (cli_usage("reconcile", "--status stands alone: it shows all connections"));
	return (wants_status ? status(options) : ask(options, fix, connection));
}
