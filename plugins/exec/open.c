/*
 * Describe, open and ping. Called through the plugin's table.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"

static const char *const fields[] = {"program", "arguments", "socket", "operations", "settings",
    "secret", "run_as", "native_expiry", "password", "file_1", "file_2", "file_3", "file_4"};

int
exec_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *list = json_array(), *more;
	int bad = list == NULL;

	(void)ctx;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		bad |= json_array_append_new(
		    list, json_pack("{s:s, s:b, s:b}", "name", fields[i], "secret",
			      strcmp(fields[i], "secret") == 0, "required", 0));
	more = json_pack("{s:i, s:s, s:b, s:s, s:b, s:[s]}", "name_max", EXEC_NAME_MAX,
	    "name_alphabet", "A-Za-z0-9_.-", "native_expiry", 0, "dialect", "none",
	    "default_statements", 1, "role_fields", "settings");
	bad |= more == NULL || json_object_update(call->result, more) != 0 ||
	       json_object_set(call->result, "config_fields", list) != 0;
	json_decref(more);
	json_decref(list);
	return (bad == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
exec_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	const char *tag = leased_get_string_optional(call->params, "tag");
	struct exec_config *config = NULL;
	const json_t *document;
	int bad, r;

	if ((r = exec_config_new(json_object_get(call->params, "config"), &config, err)) != 0)
		return (r);
	exec_config_free(exec->config); /* an open that failed may be repeated */
	free(exec->store_tag);
	exec->config = config;
	exec->server[0] = '\0';
	if ((exec->store_tag = strdup(tag != NULL ? tag : "")) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = exec_identify(exec, call, err)) != 0)
		return (r);
	document = config->document;
	bad = json_object_set_new(call->result, "server", json_string(exec->server));
	if (json_is_true(json_object_get(document, "native_expiry")))
		bad |= json_object_set_new(call->result, "native_expiry", json_true());
	if (json_is_false(json_object_get(document, "password")))
		bad |= json_object_set_new(call->result, "password", json_false());
	return (bad == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
exec_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	int r;

	if (exec->server[0] == '\0')
		return (0); /* before open: this worker lives */
	if ((r = exec_identify(exec, call, err)) != 0)
		return (r);
	if (exec->incarnation[0] != '\0' &&
	    json_object_set_new(call->result, "incarnation", json_string(exec->incarnation)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
