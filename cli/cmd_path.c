/*
 * lease read, write, delete, list-path: any path of the API.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jdec.h"
#include "cli.h"

#define INPUT_MAX (1024u * 1024)

static const char *
api_path(const char *path)
{
	if (strncmp(path, "/v1/", 4) == 0)
		path += 4;
	while (path[0] == '/')
		path++;
	return (path);
}

/* Shows what an answer says: its data, or what stands at its top where there is no envelope. */
static int
show_answer(const struct cli_options *options, const struct cli_reply *reply)
{
	json_t *credential;
	int code;

	cli_reply_warn(reply);
	if (reply->body == NULL)
		return (CLI_OK);
	if (json_object_get(reply->body, "auth") != NULL &&
	    !json_is_null(json_object_get(reply->body, "auth")))
		return (cli_show_object(options, json_object_get(reply->body, "auth")));
	if (json_object_get(reply->body, "request_id") == NULL)
		return (cli_show_object(options, reply->body));
	if (!json_is_object(json_object_get(reply->body, "data")))
		return (CLI_OK);
	if (json_string_length(json_object_get(reply->body, "lease_id")) == 0)
		return (cli_show_object(options, json_object_get(reply->body, "data")));
	credential = cli_credential(reply->body);
	code = cli_show_object(options, credential);
	json_decref(credential);
	return (code);
}

static int
request_and_show(
    const struct cli_options *options, const char *method, const char *path, const json_t *body)
{
	struct cli_reply reply;
	int code;

	cli_request(method, api_path(path), NULL, body, &reply);
	code = reply.code == CLI_OK ? show_answer(options, &reply)
				    : cli_reply_fail(&reply, api_path(path));
	cli_reply_clear(&reply);
	return (code);
}

int
cli_run_read(const struct cli_options *options, int argc, char **argv)
{
	if (argc != 2)
		return (cli_usage("read", "read takes one PATH"));
	return (request_and_show(options, "GET", argv[1], NULL));
}

int
cli_run_delete(const struct cli_options *options, int argc, char **argv)
{
	if (argc != 2)
		return (cli_usage("delete", "delete takes one PATH"));
	return (request_and_show(options, "DELETE", argv[1], NULL));
}

int
cli_run_list_path(const struct cli_options *options, int argc, char **argv)
{
	struct cli_reply reply;
	const json_t *keys, *key;
	size_t i;
	int code = CLI_OK;

	if (argc != 2)
		return (cli_usage("list-path", "list-path takes one PATH"));
	cli_request("LIST", api_path(argv[1]), NULL, NULL, &reply);
	keys = json_object_get(json_object_get(reply.body, "data"), "keys");
	cli_reply_warn(&reply);
	if (reply.code != CLI_OK)
		code = cli_reply_fail(&reply, api_path(argv[1]));
	else if (options->format == CLI_FORMAT_JSON)
		code = cli_show_object(options, json_object_get(reply.body, "data"));
	else
		json_array_foreach(keys, i, key)(void) printf("%s\n", json_string_value(key));
	cli_reply_clear(&reply);
	return (code);
}

/* ---- write ---- */

/* All of a file, or of standard input for "-", as a wiped buffer; without the newline at its end
 * when trim. */
static struct leased_secret *
file_read(const char *name, bool trim)
{
	FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	struct leased_secret *text = NULL;
	char *bytes = NULL;
	size_t len = 0;

	if (file == NULL || (bytes = malloc(INPUT_MAX)) == NULL) {
		(void)cli_fail(CLI_FAILED, "%s: %s", name, strerror(errno));
		goto out;
	}
	len = fread(bytes, 1, INPUT_MAX, file);
	if (ferror(file) || len == INPUT_MAX) {
		(void)cli_fail(CLI_FAILED, "%s: %s", name,
		    len == INPUT_MAX ? "over 1 MiB" : "it could not be read");
		goto out;
	}
	if (trim && len > 0 && bytes[len - 1] == '\n')
		len--;
	if ((text = leased_secret_new(bytes, len)) == NULL)
		(void)cli_fail(CLI_FAILED, "out of memory");
out:
	if (bytes != NULL)
		leased_wipe(bytes, len);
	free(bytes);
	if (file != NULL && file != stdin)
		(void)fclose(file);
	return (text);
}

static json_t *
json_of_text(const char *text, size_t len, const char *what)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *value = NULL;

	if (jdec_parse(text, len, &jdec_default_limits, &value, &err) == LEASED_ENOMEM)
		(void)cli_fail(CLI_FAILED, "no memory to read %s", what);
	else if (value == NULL)
		(void)cli_fail(CLI_USAGE, "%s is no JSON: %s", what, err.text);
	return (value);
}

static json_t *
value_of_argument(const char *key, const char *value)
{
	static bool stdin_taken;
	struct leased_secret *text;
	json_t *string;

	if (value[0] != '@' && strcmp(value, "-") != 0) {
		if ((string = json_string(value)) == NULL)
			(void)cli_fail(CLI_USAGE, "%s: the value is not UTF-8 text", key);
		return (string);
	}
	if (value[0] == '-' && stdin_taken) {
		(void)cli_fail(CLI_USAGE, "%s: standard input is taken already", key);
		return (NULL);
	}
	stdin_taken = stdin_taken || value[0] == '-';
	if ((text = file_read(value[0] == '@' ? value + 1 : value, true)) == NULL)
		return (NULL);
	string = memchr(leased_secret_reveal(text), '\0', leased_secret_len(text)) == NULL
		     ? json_stringn(leased_secret_reveal(text), leased_secret_len(text))
		     : NULL;
	if (string == NULL)
		(void)cli_fail(CLI_USAGE, "%s: the value is not UTF-8 text without NUL", key);
	leased_secret_free(text);
	return (string);
}

/* KEY=VALUE, KEY=@FILE, KEY=-, KEY:=JSON into body. */
static int
argument_take(char *argument, json_t *body)
{
	char *equals = strchr(argument, '=');
	json_t *value, *present;
	bool as_json;

	if (equals == NULL || equals == argument)
		return (cli_usage("write", "\"%.40s\" is not KEY=VALUE", argument));
	as_json = equals[-1] == ':';
	equals[as_json ? -1 : 0] = '\0';
	value = as_json ? json_of_text(equals + 1, strlen(equals + 1), argument)
			: value_of_argument(argument, equals + 1);
	if (value == NULL)
		return (CLI_USAGE);
	if ((present = json_object_get(body, argument)) == NULL)
		return (json_object_set_new(body, argument, value) == 0 ? CLI_OK : CLI_FAILED);
	if (!json_is_array(present)) {
		present = json_pack("[O]", present);
		(void)json_object_set_new(body, argument, present);
	}
	return (json_array_append_new(present, value) == 0 ? CLI_OK : CLI_FAILED);
}

int
cli_run_write(const struct cli_options *options, int argc, char **argv)
{
	struct leased_secret *text = NULL;
	json_t *body = NULL;
	int i, code = CLI_OK;

	if (argc < 2)
		return (cli_usage("write", "write takes a PATH"));
	if (argc == 3 && (argv[2][0] == '@' || strcmp(argv[2], "-") == 0)) {
		text = file_read(argv[2][0] == '@' ? argv[2] + 1 : argv[2], false);
		if (text != NULL)
			body = json_of_text(
			    leased_secret_reveal(text), leased_secret_len(text), argv[2]);
		leased_secret_free(text);
		if (body != NULL && !json_is_object(body)) {
			json_decref(body);
			return (cli_fail(CLI_USAGE, "%s is no JSON object", argv[2]));
		}
		if (body == NULL)
			return (CLI_USAGE);
	} else {
		body = json_object();
		for (i = 2; i < argc && code == CLI_OK; i++)
			code = argument_take(argv[i], body);
	}
	if (code == CLI_OK)
		code = request_and_show(options, "POST", argv[1], body);
	json_decref(body);
	return (code);
}
