/*
 * Logging in as an account, and setting a password: the daemon's preflight, and accounts whose
 * passwords it rotates. Called through the plugin's table.
 */
#include "account.h"

#include <stdlib.h>
#include <string.h>

/* On a server without an aclfile the old password is back after a restart. */
static int
can_keep_passwords(const struct redis *plugin, struct leased_err *err)
{
	if (!plugin->is_volatile)
		return (0);
	return (leased_err_set(err, LEASED_EREFUSED,
	    "the server has no aclfile: a password that is set now is the old one again after its "
	    "next start. Set aclfile in redis.conf"));
}

static int
expect_user(struct redis *plugin, struct leased_call *call, const char *name, bool *ret_nopass,
    struct leased_err *err)
{
	bool is_found, nopass;
	int r;

	*ret_nopass = false;
	for (unsigned i = 0; i < plugin->node_count; i++) {
		if ((r = redis_user_find(
			 plugin, call, &plugin->nodes[i], name, &is_found, &nopass, err)) != 0)
			return (r);
		if (!is_found)
			return (leased_err_set(err, LEASED_ENOENT, "%.200s has no user \"%.100s\"",
			    plugin->nodes[i].address->text, name));
		*ret_nopass |= nopass;
	}
	return (0);
}

/* With any password a user that needs none is let in, too: that proves nothing. */
static int
check_login(struct redis *plugin, struct leased_call *call, const char *name, const char *password,
    struct leased_err *err)
{
	struct redis_node login = {0};
	bool nopass;
	int r;

	if ((r = expect_user(plugin, call, name, &nopass, err)) != 0)
		return (r);
	if (nopass)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "\"%.100s\" logs in with any password (nopass): run ACL SETUSER %.100s "
		    "resetpass",
		    name, name));
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++) {
		r = redis_node_login(plugin, call, &plugin->nodes[i], name, password, &login, err);
		if (r == 0)
			redis_node_close(&login);
	}
	return (r);
}

static int
check_static(
    struct redis *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	bool nopass;
	int r;

	if (strcmp(name, plugin->config->username) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "\"%.100s\" is leased's own login: its password is rotated by rotate-root",
		    name));
	if ((r = expect_user(plugin, call, name, &nopass, err)) != 0)
		return (r);
	return (can_keep_passwords(plugin, err));
}

/* Logs in, is ended by us, and is gone. */
static int
check_session(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *name, const char *password, struct leased_err *err)
{
	struct redis_node login = {0};
	unsigned count = 0;
	int r;

	if ((r = redis_node_login(plugin, call, node, name, password, &login, err)) != 0)
		return (r);
	r = redis_user_kill(plugin, call, node, name, &count, err);
	redis_node_close(&login);
	if (r == 0 && count == 0)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "%.200s: a connection of \"%.100s\" was made and is not one of its users'",
		    node->address->text, name);
	return (r);
}

int
redis_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	const char *scope = leased_get_string_optional(call->params, "scope");
	const char *password = NULL;
	struct redis_account account;
	int r;

	if ((r = redis_account_read(
		 plugin, json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, true, err)) != 0 ||
	    (r = redis_account_on_server(plugin, &account, err)) != 0)
		return (r);
	if (scope != NULL && strcmp(scope, "login") == 0)
		return (check_login(plugin, call, account.name, password, err));
	if (scope != NULL && strcmp(scope, "static") == 0)
		return (check_static(plugin, call, account.name, err));
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++)
		r = check_session(plugin, call, &plugin->nodes[i], account.name, password, err);
	return (r);
}

/* The worker goes on as the same login with the new password. */
static int
take_own_password(
    struct redis *plugin, const char *name, const char *password, struct leased_err *err)
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

int
redis_set_password(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	char word[REDIS_HASH_SIZE + 1] = "#";
	const char *password = NULL;
	struct redis_account account;
	bool nopass;
	int r;

	if ((r = redis_account_read(
		 plugin, json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, true, err)) != 0 ||
	    (r = redis_account_on_server(plugin, &account, err)) != 0 ||
	    (r = expect_user(plugin, call, account.name, &nopass, err)) != 0 ||
	    (r = can_keep_passwords(plugin, err)) != 0 ||
	    (r = redis_hash(password, word + 1, err)) != 0)
		return (r);
	call->sent = true;
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++) {
		struct redis_command command = {0};

		redis_command_begin(
		    &command, "ACL", "SETUSER", account.name, "resetpass", word, NULL);
		r = redis_user_change(plugin, call, &plugin->nodes[i], &command, err);
	}
	leased_wipe(word, sizeof(word));
	if (r != 0 || (r = redis_nodes_save(plugin, call, err)) != 0 ||
	    (r = take_own_password(plugin, account.name, password, err)) != 0)
		return (r);
	if (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
