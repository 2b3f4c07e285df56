/*
 * Proving a login, and setting a password: the daemon's preflight, and accounts whose passwords it
 * rotates. Called through the plugin's table.
 */
#include "rabbitmq.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

/* The management API lets in users with a tag; to others it says, after their password was right,
 * that they are none of its users. */
static int
log_in(struct rabbitmq *plugin, struct leased_call *call, const char *name, const char *password,
    struct leased_err *err)
{
	const struct rabbitmq_request request = {
	    .method = "GET", .username = name, .password = password};
	json_t *answer = NULL;
	const char *reason;
	long status = 0;
	int r;

	if (strchr(name, ':') != NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "a user with a colon in its name cannot log in to the management API: its "
		    "password cannot be proved"));
	if ((r = rabbitmq_send(plugin, call, &request, &status, &answer, err, "whoami", NULL)) != 0)
		return (r);
	reason = rabbitmq_reason(answer);
	if (status == 200 || (status == 401 && (strcmp(reason, "Not management user") == 0)))
		r = 0;
	else if (status == 401)
		r = leased_err_set(err, LEASED_EDENIED,
		    "the server refuses the login of \"%.100s\": %.100s", name, reason);
	else
		r = rabbitmq_refused(plugin, "log in as an account", status, answer, err);
	json_decref(answer);
	return (r);
}

static int
find(struct rabbitmq *plugin, struct leased_call *call, const char *name, json_t **ret_user,
    struct leased_err *err)
{
	int r;

	if ((r = rabbitmq_user_find(plugin, call, name, ret_user, err)) == 0 && *ret_user == NULL)
		r = leased_err_set(err, LEASED_ENOENT, "there is no user \"%.100s\"", name);
	return (r);
}

static int
check_static(
    struct rabbitmq *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	json_t *user = NULL;
	int r;

	if (strcmp(name, plugin->config->username) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "\"%.100s\" is leased's own login: its password is rotated by rotate-root",
		    name));
	if (strchr(name, ':') != NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "a password of a user with a colon in its name cannot be proved"));
	r = find(plugin, call, name, &user, err);
	json_decref(user);
	return (r);
}

/* That its connections may be looked at and closed is asked of the server; one is not made, since
 * this plugin does not speak AMQP. */
int
rabbitmq_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	const char *scope = leased_get_string_optional(call->params, "scope"), *password = NULL;
	struct rabbitmq_account account;
	json_t *closed = NULL;
	bool is_quiet;
	int r;

	if ((r = rabbitmq_account_read(json_object_get(call->params, "account"), &account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = rabbitmq_account_on_server(plugin, &account, err)) != 0 ||
	    (r = rabbitmq_same_server(plugin, call, err)) != 0)
		return (r);
	if (scope != NULL && strcmp(scope, "static") == 0)
		return (check_static(plugin, call, account.name, err));
	if ((r = log_in(plugin, call, account.name, password, err)) != 0 || scope != NULL)
		return (r);
	if ((closed = json_object()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = rabbitmq_user_close(plugin, call, account.name, closed, &is_quiet, err);
	json_decref(closed);
	return (r);
}

/* The worker goes on as the same login with the new password. */
static int
take_own_password(
    struct rabbitmq *plugin, const char *name, const char *password, struct leased_err *err)
{
	struct leased_secret *fresh;

	if (strcmp(name, plugin->config->username) != 0)
		return (0);
	if ((fresh = leased_secret_new(password, strlen(password))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	leased_secret_free(plugin->config->password);
	plugin->config->password = fresh;
	return (0);
}

/* The API takes a user as a whole: its tags are said again, as they are. */
int
rabbitmq_set_password(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	char hash[RABBITMQ_HASH_SIZE] = "", *tags = NULL;
	struct rabbitmq_account account;
	const char *password = NULL;
	json_t *user = NULL;
	int r;

	if ((r = rabbitmq_account_read(json_object_get(call->params, "account"), &account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = rabbitmq_account_on_server(plugin, &account, err)) != 0 ||
	    (r = rabbitmq_same_server(plugin, call, err)) != 0 ||
	    (r = find(plugin, call, account.name, &user, err)) != 0 ||
	    (r = rabbitmq_hash(password, hash, err)) != 0)
		goto out;
	if ((tags = rabbitmq_user_tags(user)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = rabbitmq_user_put(plugin, call, account.name, hash, tags, err)) != 0 ||
	    (r = take_own_password(plugin, account.name, password, err)) != 0)
		goto out;
	if (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	free(tags);
	json_decref(user);
	leased_wipe(hash, sizeof(hash));
	return (r);
}
