/*
 * One operation of the command: what it is told, and what becomes of its answer. Called by the
 * operations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"

struct exec *
exec_from(void *ctx)
{
	struct exec *exec = ctx;

	if (exec == NULL || exec->tag != EXEC_TAG)
		abort();
	return (exec);
}

/* All that the command may know, and nothing in its arguments or environment. */
static json_t *
request_of(
    const struct exec *exec, const struct leased_call *call, enum exec_op op, const json_t *account)
{
	static const char *const of_connection[] = {"settings", "secret"};
	static const char *const of_call[] = {"password", "expires"};
	json_t *request = json_pack(
		   "{s:i, s:s, s:s}", "version", 1, "op", exec_op_name(op), "tag", exec->store_tag),
	       *value;
	int bad = request == NULL;

	for (size_t i = 0; i < 2; i++) {
		value = json_object_get(exec->config->document, of_connection[i]);
		if (value != NULL)
			bad |= json_object_set(request, of_connection[i], value);
		value = json_object_get(call->params, of_call[i]);
		if (value != NULL && account != NULL)
			bad |= json_object_set(request, of_call[i], value);
	}
	value = json_object_get(call->params, "after");
	if (op == EXEC_INVENTORY && value != NULL)
		bad |= json_object_set(request, "after", value);
	if (account != NULL)
		bad |= json_object_set(request, "account", (json_t *)(uintptr_t)account);
	if (bad == 0)
		return (request);
	json_decref(request);
	return (NULL);
}

static json_t *
secrets_of(const struct exec *exec, const struct leased_call *call, const json_t *account)
{
	json_t *values[] = {json_object_get(exec->config->document, "secret"),
	    json_object_get(call->params, "password"), json_object_get(account, "kept")};
	json_t *secrets = json_array();
	int bad = secrets == NULL;

	for (size_t i = 0; i < 3; i++)
		if (values[i] != NULL)
			bad |= json_array_append(secrets, values[i]);
	if (bad == 0)
		return (secrets);
	json_decref(secrets);
	return (NULL);
}

/* The request as a line of text, from the ordinary heap, which is wiped when freed. */
static char *
text_of(const json_t *request, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	int r;

	if (out == NULL)
		return (NULL);
	r = json_dumpf(request, out, JSON_COMPACT);
	r |= fputc('\n', out) == EOF;
	r |= fclose(out);
	if (r == 0)
		return (text);
	free(text);
	return (NULL);
}

static int
perform(struct exec *exec, struct leased_call *call, enum exec_op op, const char *input, size_t len,
    struct exec_output *output, struct leased_err *err)
{
	int timeout_ms = leased_call_remaining_ms(call);
	bool has_started = false;
	int r;

	timeout_ms -= timeout_ms / 16; /* to say so before the daemon ends us */
	r = exec->config->program != NULL
		? exec_run(exec->config, input, len, timeout_ms, output, &has_started, err)
		: exec_dial(exec->config, input, len, timeout_ms, output, &has_started, err);
	if (has_started && exec_op_changes(op))
		call->sent = true;
	if (r != 0 && has_started && exec_op_changes(op))
		leased_outcome_unknown("%s: %s", exec_op_name(op), err->text);
	return (r);
}

int
exec_call(struct exec *exec, struct leased_call *call, enum exec_op op, const json_t *account,
    json_t **ret_result, struct leased_err *err)
{
	struct exec_output output = EXEC_OUTPUT_INIT;
	json_t *request = request_of(exec, call, op, account),
	       *secrets = secrets_of(exec, call, account), *result = NULL;
	char *input = NULL;
	size_t len = 0;
	int r;

	if (request == NULL || secrets == NULL || (input = text_of(request, &len)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = perform(exec, call, op, input, len, &output, err)) == 0)
		r = exec_output_read(&output, secrets, &result, err);
	if (r == LEASED_ECRASHED && exec_op_changes(op))
		leased_outcome_unknown("%s: %s", exec_op_name(op), err->text);
	if (r == LEASED_ECRASHED) /* it changes nothing: it may be asked again */
		r = err->code = LEASED_EREFUSED;
	if (r != 0)
		(void)leased_err_prefix(err, "%s", exec_op_name(op));
	else if (ret_result != NULL) {
		*ret_result = result;
		result = NULL;
	}
out:
	free(input);
	json_decref(result);
	json_decref(request);
	json_decref(secrets);
	exec_output_clear(&output);
	return (r);
}

/* ---- who the backend is ---- */

static int
take_text(const json_t *result, const char *field, char ret_text[EXEC_SERVER_MAX + 1],
    struct leased_err *err)
{
	const json_t *value = json_object_get(result, field);

	ret_text[0] = '\0';
	if (value == NULL)
		return (0);
	if (json_string_length(value) == 0 || json_string_length(value) > EXEC_SERVER_MAX)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "ping: %s must be a text of 1 to %d bytes", field, EXEC_SERVER_MAX));
	(void)snprintf(ret_text, EXEC_SERVER_MAX + 1, "%s", json_string_value(value));
	return (0);
}

int
exec_identify(struct exec *exec, struct leased_call *call, struct leased_err *err)
{
	const struct exec_config *config = exec->config;
	char server[EXEC_SERVER_MAX + 1] = "";
	json_t *result = NULL;
	int r;

	if ((r = exec_call(exec, call, EXEC_PING, NULL, &result, err)) != 0)
		return (r);
	if ((r = take_text(result, "server", server, err)) != 0 ||
	    (r = take_text(result, "incarnation", exec->incarnation, err)) != 0)
		goto out;
	exec->has_identity = server[0] != '\0';
	if (!exec->has_identity)
		(void)snprintf(server, sizeof(server), "exec:%s",
		    config->program != NULL ? config->program : config->socket);
	if (exec->server[0] == '\0')
		(void)snprintf(exec->server, sizeof(exec->server), "%s", server);
	if (strcmp(exec->server, server) != 0)
		r = leased_err_set(err, LEASED_EMOVED,
		    "the command works on another server (%s) than the one that this was opened on "
		    "(%s)",
		    server, exec->server);
out:
	json_decref(result);
	return (r);
}
