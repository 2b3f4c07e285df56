/*
 * lease list, show, renew, revoke: what becomes of leases that exist.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int
cli_option_take(int *argc, char **argv, const char *name, const char **ret_value)
{
	size_t len = strlen(name);
	int i, used;

	for (i = 1; i < *argc; i++) {
		if (strncmp(argv[i], name, len) != 0 ||
		    (argv[i][len] != '\0' && argv[i][len] != '='))
			continue;
		used = argv[i][len] == '=' ? 1 : 2;
		if (i + used > *argc)
			return (-1);
		*ret_value = used == 1 ? argv[i] + len + 1 : argv[i + 1];
		memmove(argv + i, argv + i + used, (size_t)(*argc - i - used + 1) * sizeof(*argv));
		*argc -= used;
		i--;
	}
	return (0);
}

/* ---- list ---- */

static int
list_ids(const struct cli_options *options, const char *prefix)
{
	struct cli_reply reply;
	const json_t *keys, *key;
	char *path = NULL;
	size_t i;
	int code = CLI_OK;

	if (asprintf(&path, "sys/leases/lookup/%s", prefix) < 0)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request("LIST", path, NULL, NULL, &reply);
	keys = json_object_get(json_object_get(reply.body, "data"), "keys");
	cli_reply_warn(&reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, prefix);
	else if (options->format == CLI_FORMAT_JSON)
		code = cli_show_object(options, json_object_get(reply.body, "data"));
	else
		json_array_foreach(keys, i, key)(void) printf("%s\n", json_string_value(key));
	cli_reply_clear(&reply);
	free(path);
	return (code);
}

static json_t *
rows_in_state(const json_t *leases, const char *state)
{
	json_t *rows = json_array();
	const json_t *row;
	const char *text;
	size_t i;

	json_array_foreach(leases, i, row)
	{
		text = json_string_value(json_object_get(row, "state"));
		if (state == NULL || (text != NULL && strcmp(text, state) == 0))
			(void)json_array_append(rows, (json_t *)(uintptr_t)row);
	}
	return (rows);
}

/* A mistyped state would read as "nothing is stuck". */
static bool
is_state(const char *state)
{
	static const char *const states[] = {"intent", "live", "disarming", "disarmed", "stuck"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(state, states[i]) == 0)
			return (true);
	return (false);
}

int
cli_run_list(const struct cli_options *options, int argc, char **argv)
{
	static const char *const columns[] = {"id", "state", "ttl", "account", NULL};
	static const char *const stuck_columns[] = {
	    "lease_id", "state", "overdue_s", "revoke_attempts", "account", "error", NULL};
	const char *state = NULL;
	struct cli_reply reply;
	json_t *rows;
	bool stuck;
	int code;

	if (cli_option_take(&argc, argv, "--state", &state) != 0 || argc > 2)
		return (cli_usage("list", "list takes at most one PREFIX and --state STATE"));
	if (state != NULL && strcmp(state, "gone") == 0)
		return (cli_usage("list",
		    "leases that have ended are not listed; `lease show LEASE-ID` shows one for "
		    "24 hours after its end"));
	if (state != NULL && !is_state(state))
		return (cli_usage("list", "--state is intent, live, disarming, disarmed or stuck"));
	if (argc == 2 && state != NULL)
		return (cli_usage("list",
		    "--state goes without a PREFIX: it lists your own leases, and with stuck "
		    "everybody's"));
	if (argc == 2)
		return (list_ids(options, argv[1]));
	stuck = state != NULL && strcmp(state, "stuck") == 0;
	if (stuck)
		cli_request("GET", "sys/leases", "type=irrevocable&limit=none", NULL, &reply);
	else
		cli_request("GET", "sys/leases/mine", NULL, NULL, &reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, "list");
	else {
		cli_reply_warn(&reply);
		rows = rows_in_state(json_object_get(json_object_get(reply.body, "data"), "leases"),
		    stuck ? NULL : state);
		if (json_array_size(rows) == 0 && options->format == CLI_FORMAT_TABLE &&
		    options->field == NULL) {
			(void)fprintf(stderr, "lease: no leases\n");
			code = CLI_OK;
		} else
			code = cli_show_rows(options, rows, stuck ? stuck_columns : columns);
		json_decref(rows);
	}
	cli_reply_clear(&reply);
	return (code);
}

/* ---- show, renew ---- */

/* It is shown all the same, for a day; a script learns it from the exit status. */
static bool
has_ended(const json_t *lease)
{
	const char *state = json_string_value(json_object_get(lease, "state"));

	return (state != NULL && strcmp(state, "gone") == 0);
}

int
cli_run_show(const struct cli_options *options, int argc, char **argv)
{
	struct cli_reply reply;
	const json_t *data;
	json_t *body;
	int code;

	if (argc != 2)
		return (cli_usage("show", "show takes one LEASE-ID"));
	body = json_pack("{s:s}", "lease_id", argv[1]);
	cli_request("PUT", "sys/leases/lookup", NULL, body, &reply);
	data = json_object_get(reply.body, "data");
	code =
	    reply.code == CLI_OK ? cli_show_object(options, data) : cli_reply_fail(&reply, argv[1]);
	if (code == CLI_OK && has_ended(data))
		code = CLI_EXPIRED;
	cli_reply_clear(&reply);
	json_decref(body);
	return (code);
}

int
cli_run_renew(const struct cli_options *options, int argc, char **argv)
{
	const char *increment = NULL;
	struct cli_reply reply;
	json_t *body, *credential;
	int code;

	if (cli_option_take(&argc, argv, "--increment", &increment) != 0 || argc != 2)
		return (cli_usage("renew", "renew takes one LEASE-ID"));
	body = json_pack(
	    "{s:s, s:s}", "lease_id", argv[1], "increment", increment != NULL ? increment : "0");
	cli_request("PUT", "sys/leases/renew", NULL, body, &reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, argv[1]);
	else {
		cli_reply_warn(&reply);
		credential = cli_credential(reply.body);
		code = cli_show_object(options, credential);
		json_decref(credential);
	}
	cli_reply_clear(&reply);
	json_decref(body);
	return (code);
}

/* ---- revoke ---- */

/* The API says 204 of an id that it does not know, as clients expect; whoever mistyped one must not
 * take that for an end. What ended within a day is known still. */
static int
revoked_check(const char *id)
{
	struct cli_reply reply;
	json_t *body = json_pack("{s:s}", "lease_id", id);
	int code = CLI_OK;

	cli_request("PUT", "sys/leases/lookup", NULL, body, &reply);
	if (reply.status == 400)
		code = cli_fail(CLI_NOT_FOUND,
		    "%s: nothing was revoked: no lease has this id, or it ended more than 24 hours "
		    "ago (`lease list` shows what there is)",
		    id);
	cli_reply_clear(&reply);
	json_decref(body);
	return (code);
}

static int
revoke_one(const char *id)
{
	struct cli_reply reply;
	json_t *body = json_pack("{s:s, s:b}", "lease_id", id, "sync", 1);
	int code;

	cli_request("PUT", "sys/leases/revoke", NULL, body, &reply);
	code = reply.code == CLI_OK ? CLI_OK : cli_reply_fail(&reply, id);
	if (code == CLI_OK)
		cli_reply_warn(&reply);
	if (code == CLI_OK && reply.status == 204)
		code = revoked_check(id);
	else if (code == CLI_OK &&
		 json_is_false(json_object_get(json_object_get(reply.body, "data"), "revoked")))
		code = CLI_NOT_FOUND;
	cli_reply_clear(&reply);
	json_decref(body);
	return (code);
}

static int
revoke_prefix(const char *prefix)
{
	struct cli_reply reply;
	json_t *body = json_pack("{s:b}", "sync", 1);
	size_t len = strlen(prefix);
	char *path = NULL;
	int code;

	while (len > 1 && prefix[len - 1] == '/') /* as lists show what is below */
		len--;
	if (body == NULL || asprintf(&path, "sys/leases/revoke-prefix/%.*s", (int)len, prefix) < 0)
		return (cli_fail(CLI_FAILED, "out of memory"));
	cli_request("PUT", path, NULL, body, &reply);
	code = reply.code == CLI_OK ? CLI_OK : cli_reply_fail(&reply, prefix);
	if (code == CLI_OK) {
		cli_reply_warn(&reply);
		if (reply.status == 202)
			(void)fprintf(stderr,
			    "lease: recorded; leased goes on ending these leases by itself\n");
	}
	cli_reply_clear(&reply);
	json_decref(body);
	free(path);
	return (code);
}

int
cli_run_revoke(const struct cli_options *options, int argc, char **argv)
{
	const char *prefix = NULL;
	int i, code = CLI_OK, first_failure = CLI_OK, failed = 0;
	bool alike = true;

	(void)options; /* there is nothing to show */
	if (cli_option_take(&argc, argv, "--prefix", &prefix) != 0 ||
	    (prefix == NULL) == (argc < 2))
		return (cli_usage("revoke", "revoke takes LEASE-IDs, or --prefix PREFIX"));
	if (prefix != NULL)
		return (revoke_prefix(prefix));
	for (i = 1; i < argc; i++) {
		if ((code = revoke_one(argv[i])) == CLI_OK)
			continue;
		failed++;
		if (first_failure == CLI_OK)
			first_failure = code;
		alike = alike && code == first_failure;
		if (code == CLI_UNREACHABLE)
			break;
	}
	if (code == CLI_UNREACHABLE) /* the others were not asked for */
		return (failed == i ? CLI_UNREACHABLE : CLI_SOME_FAILED);
	return (failed > 0 && (failed < argc - 1 || !alike) ? CLI_SOME_FAILED : first_failure);
}
