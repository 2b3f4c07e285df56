/*
 * Reading fields, writing results, one line of log: what every handler does. Owns nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sdk.h"

int
leased_get_string(
    const json_t *object, const char *field, const char **ret_text, struct leased_err *err)
{
	const json_t *value = json_object_get(object, field);

	if (value == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "\"%s\" is missing", field));
	if (!json_is_string(value))
		return (leased_err_set(err, LEASED_EINVAL, "\"%s\" must be a string", field));
	*ret_text = json_string_value(value);
	return (0);
}

const char *
leased_get_string_optional(const json_t *object, const char *field)
{
	return (json_string_value(json_object_get(object, field)));
}

json_t *
sdk_error(const struct leased_err *err)
{
	char text[sizeof(err->text)];
	json_t *object;

	object = json_pack(
	    "{s:s,s:s}", "code", leased_code_name(err->code), "text", (const char *)err->text);
	if (object != NULL)
		return (object);
	/* A backend's message in another encoding, or one cut within a character. */
	memcpy(text, err->text, sizeof(text));
	for (char *c = text; *c != '\0'; c++)
		if ((*c & 0x80) != 0)
			*c = '?';
	return (json_pack(
	    "{s:s,s:s}", "code", leased_code_name(err->code), "text", (const char *)text));
}

/* Appends one; takes it. Out of memory ends the worker: a reply with a result too few would be
 * taken for another's. */
static json_t *
append_result(struct leased_call *call, json_t *one)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *results = json_object_get(call->result, "results");

	if (results == NULL) {
		results = json_array();
		if (json_object_set_new(call->result, "results", results) != 0)
			one = NULL;
	}
	if (one == NULL || json_array_append_new(results, one) != 0) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		sdk_exit(1, &err);
	}
	return (one);
}

json_t *
leased_result_ok(struct leased_call *call)
{
	return (append_result(call, json_pack("{s:b}", "ok", 1)));
}

void
leased_result_failed(struct leased_call *call, const struct leased_err *why)
{
	(void)append_result(call, json_pack("{s:b,s:o}", "ok", 0, "error", sdk_error(why)));
}

int
leased_each_account(
    struct leased_call *call, leased_account_handler each, void *ctx, struct leased_err *err)
{
	const json_t *accounts = json_object_get(call->params, "accounts"), *account;
	json_t *fields;
	size_t i;

	json_array_foreach(accounts, i, account)
	{
		struct leased_err why = LEASED_ERR_INIT;

		if ((fields = json_object()) == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		if (each(ctx, account, fields, &why) != 0)
			leased_result_failed(call, &why);
		else
			json_object_update(leased_result_ok(call), fields);
		json_decref(fields);
	}
	return (0);
}

/* One that is lost to lack of memory is not worth failing for. */
void
leased_open_warn(struct leased_call *call, const char *fmt, ...)
{
	struct leased_err text = LEASED_ERR_INIT;
	json_t *warnings = json_object_get(call->result, "warnings");
	va_list args;

	va_start(args, fmt);
	(void)leased_err_vset(&text, LEASED_OK, fmt, args);
	va_end(args);
	if (warnings == NULL) {
		warnings = json_array();
		if (json_object_set_new(call->result, "warnings", warnings) != 0)
			return;
	}
	(void)json_array_append_new(warnings, json_string(text.text));
}

void
leased_plugin_log(const char *fmt, ...)
{
	char line[1024];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	len = (int)strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return; /* nobody listens */
}
