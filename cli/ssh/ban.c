/*
 * lease ssh ban, unban and bans: who gets no certificate any more, and whose certificates stop
 * working. What a ban does is leased's to say.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "file.h"
#include "sign.h"
#include "ssh.h"

#define NAME_KEPT 40
#define NAME_GOOD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

/* What is banned: the field of the API, and its value. */
struct banned {
	const char *field;
	char *value;
};

/* A public key's line, of the text itself or of a file. */
static char *
key_line(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	char *file = NULL, *line = NULL;
	size_t len;

	if (strchr(text, ' ') == NULL && file_read(text, &file, &len, &err) == 0)
		text = file;
	if (err.code == 0 && sshwire_key_read_line(text, &key, &err) == 0 &&
	    (line = sshwire_key_line(&key)) == NULL)
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (line == NULL)
		(void)cli_fail(CLI_USAGE, "--key takes a public key or its file: %s", err.text);
	sshwire_key_clear(&key);
	free(file);
	return (line);
}

/* The one thing that the options name. False, and said: none, or several. */
static bool
banned_of(const struct ssh_arguments *arguments, struct banned *ret_banned)
{
	const char *fields[] = {"identity", "public_key", "fingerprint", "key_id"};
	const char *values[] = {
	    arguments->identity, arguments->key, arguments->fingerprint, arguments->key_id};
	int i, named = -1, count = 0;

	for (i = 0; i < 4; i++)
		if (values[i] != NULL) {
			named = i;
			count++;
		}
	if (count != 1) {
		(void)cli_usage("ssh", "name one of --identity NAME, --key FILE, --fingerprint "
				       "SHA256:.., --key-id ID");
		return (false);
	}
	ret_banned->field = fields[named];
	ret_banned->value = named == 1 ? key_line(values[named]) : strdup(values[named]);
	return (ret_banned->value != NULL);
}

/* A name for it that says what it is, the same each time: what is no character of a name becomes
 * '-', and then a part of its SHA-256 keeps two apart. */
static char *
name_make(const struct banned *banned)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	size_t i, len = strlen(banned->value);
	char *name = NULL, kept[NAME_KEPT + 1], tail[16] = "";
	bool changed = len >= sizeof(kept) || strcmp(banned->field, "public_key") == 0;

	(void)strlcpy(kept, banned->value, sizeof(kept));
	for (i = 0; kept[i] != '\0'; i++)
		if (strchr(NAME_GOOD, kept[i]) == NULL) {
			kept[i] = '-';
			changed = true;
		}
	if (strcmp(banned->field, "public_key") == 0)
		kept[0] = '\0';
	(void)EVP_Digest(banned->value, len, digest, NULL, EVP_sha256(), NULL);
	if (changed)
		(void)snprintf(tail, sizeof(tail), "%s%02x%02x%02x%02x", kept[0] != '\0' ? "-" : "",
		    digest[0], digest[1], digest[2], digest[3]);
	return (asprintf(&name, "%s-%s%s", banned->field, kept, tail) < 0 ? NULL : name);
}

static char *
path_make(const struct ssh_arguments *arguments, const char *name)
{
	char *path = NULL;

	return (asprintf(&path, "%s/bans/%s", arguments->mount, name) < 0 ? NULL : path);
}

static int
ban_send(const struct ssh_arguments *arguments, const struct banned *banned, const char *name)
{
	char *path = path_make(arguments, name);
	struct cli_reply reply = {0};
	json_t *body = json_pack("{s:s}", banned->field, banned->value);
	int code;

	if (body != NULL && arguments->reason != NULL)
		(void)json_object_set_new(body, "reason", json_string(arguments->reason));
	if (path == NULL || body == NULL) {
		json_decref(body);
		free(path);
		return (cli_fail(CLI_FAILED, "out of memory, or an option is no UTF-8 text"));
	}
	cli_request("POST", path, NULL, body, &reply);
	if ((code = reply.code) != CLI_OK)
		(void)cli_reply_fail(&reply, path);
	else {
		cli_reply_warn(&reply);
		(void)printf("%s\n", name);
	}
	cli_reply_clear(&reply);
	json_decref(body);
	free(path);
	return (code);
}

int
cli_ssh_ban(const struct ssh_arguments *arguments)
{
	struct banned banned = {NULL, NULL};
	char *name;
	int code;

	if (arguments->count != 0 || !banned_of(arguments, &banned))
		return (arguments->count != 0 ? cli_usage("ssh", "ban takes options alone")
					      : CLI_USAGE);
	name = arguments->name != NULL ? strdup(arguments->name) : name_make(&banned);
	code = name != NULL ? ban_send(arguments, &banned, name)
			    : cli_fail(CLI_FAILED, "out of memory");
	free(name);
	free(banned.value);
	return (code);
}

int
cli_ssh_unban(const struct ssh_arguments *arguments)
{
	struct banned banned = {NULL, NULL};
	struct cli_reply reply = {0};
	char *name = NULL, *path;
	int code;

	if (arguments->count == 1)
		name = strdup(arguments->values[0]);
	else if (arguments->count == 0 && banned_of(arguments, &banned))
		name = name_make(&banned);
	free(banned.value);
	if (name == NULL)
		return (
		    cli_usage("ssh", "unban takes the name of a ban, as `lease ssh bans` has it"));
	if ((path = path_make(arguments, name)) == NULL) {
		free(name);
		return (cli_fail(CLI_FAILED, "out of memory"));
	}
	cli_request("DELETE", path, NULL, NULL, &reply);
	if ((code = reply.code) != CLI_OK)
		(void)cli_reply_fail(&reply, path);
	else
		cli_reply_warn(&reply);
	cli_reply_clear(&reply);
	free(path);
	free(name);
	return (code);
}

/* One ban as a row; what leased says of it beside its name. */
static json_t *
row_fetch(const struct ssh_arguments *arguments, const char *name)
{
	char *path = path_make(arguments, name);
	struct cli_reply reply = {0};
	json_t *row = json_pack("{s:s}", "name", name);

	if (path != NULL && row != NULL) {
		cli_request("GET", path, NULL, NULL, &reply);
		(void)json_object_update_missing(row, json_object_get(reply.body, "data"));
		cli_reply_clear(&reply);
	}
	free(path);
	return (row);
}

int
cli_ssh_bans(const struct ssh_arguments *arguments)
{
	static const char *const columns[] = {
	    "name", "identity", "fingerprint", "key_id", "reason", NULL};
	char *path = sign_path(arguments, "bans");
	struct cli_reply reply = {0};
	const json_t *key;
	json_t *rows = json_array();
	size_t i;
	int code;

	if (arguments->count != 0 || path == NULL || rows == NULL) {
		free(path);
		json_decref(rows);
		return (cli_usage("ssh", "bans takes no argument"));
	}
	cli_request("LIST", path, NULL, NULL, &reply);
	if (reply.code == CLI_OK || reply.status == 404) {
		json_array_foreach(
		    json_object_get(json_object_get(reply.body, "data"), "keys"), i, key)
		{
			if (json_is_string(key))
				(void)json_array_append_new(
				    rows, row_fetch(arguments, json_string_value(key)));
		}
		code = cli_show_rows(&arguments->shown, rows, columns);
	} else
		code = cli_reply_fail(&reply, path);
	cli_reply_clear(&reply);
	json_decref(rows);
	free(path);
	return (code);
}
