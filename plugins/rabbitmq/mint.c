/*
 * Making an account: a user that nobody can log in as, its permissions, and last its password, so
 * that it works all at once. Called through the plugin's table.
 */
#include "rabbitmq.h"

#include <stdio.h>
#include <string.h>

#include "role.h"

/* PUT of one entry: vhost stands in its path, the rest is the body. */
static int
put_permission(struct rabbitmq *plugin, struct leased_call *call, const char *kind,
    const char *name, const json_t *entry, struct leased_err *err)
{
	const char *vhost = json_string_value(json_object_get(entry, "vhost"));
	json_t *body = json_copy((json_t *)(uintptr_t)entry), *answer = NULL;
	const struct rabbitmq_request request = {.method = "PUT", .body = body, .changes = true};
	char what[160];
	long status = 0;
	int r;

	if (body == NULL || json_object_del(body, "vhost") != 0) {
		json_decref(body);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	r = rabbitmq_send(plugin, call, &request, &status, &answer, err, kind, vhost, name, NULL);
	if (r == 0 && status / 100 != 2) {
		(void)snprintf(
		    what, sizeof(what), "give permissions in the virtual host %.100s", vhost);
		r = rabbitmq_refused(plugin, what, status, answer, err);
	}
	json_decref(answer);
	json_decref(body);
	return (r);
}

static int
put_all(struct rabbitmq *plugin, struct leased_call *call, const char *kind, const char *name,
    const json_t *entries, struct leased_err *err)
{
	const json_t *entry;
	size_t i;
	int r;

	json_array_foreach(entries, i, entry)
	{
		if ((r = put_permission(plugin, call, kind, name, entry, err)) != 0)
			return (r);
	}
	return (0);
}

/* Names are ours alone and never used twice, so that nobody makes it between this look and the
 * change. */
static int
expect_none(
    struct rabbitmq *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	json_t *user = NULL;
	int r;

	if ((r = rabbitmq_user_find(plugin, call, name, &user, err)) != 0 || user == NULL)
		return (r);
	json_decref(user);
	call->sent = true; /* it may be an account of an earlier mint */
	return (leased_err_set(err, LEASED_EEXIST, "there is a user \"%.100s\" already", name));
}

int
rabbitmq_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
	char hash[RABBITMQ_HASH_SIZE] = "";
	struct rabbitmq_account account;
	const char *password = NULL;
	int r;

	if ((r = rabbitmq_account_read(json_object_get(call->params, "account"), &account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = rabbitmq_role_read(account.role, &role, err)) != 0 ||
	    (r = rabbitmq_account_on_server(plugin, &account, err)) != 0 ||
	    (r = rabbitmq_same_server(plugin, call, err)) != 0 ||
	    (r = rabbitmq_hash(password, hash, err)) != 0 ||
	    (r = expect_none(plugin, call, account.name, err)) != 0 ||
	    (r = rabbitmq_user_put(plugin, call, account.name, "", "", err)) != 0 ||
	    (r = put_all(plugin, call, "permissions", account.name, role.permissions, err)) != 0 ||
	    (r = put_all(plugin, call, "topic-permissions", account.name, role.topics, err)) != 0 ||
	    (r = rabbitmq_user_put(plugin, call, account.name, hash, role.tags, err)) != 0)
		goto out;
	if (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	leased_wipe(hash, sizeof(hash));
	rabbitmq_role_clear(&role);
	return (r);
}

int
rabbitmq_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	struct rabbitmq_account account;
	json_t *user = NULL;
	int r;

	if ((r = rabbitmq_account_read(json_object_get(call->params, "account"), &account, err)) !=
		0 ||
	    (r = rabbitmq_account_on_server(plugin, &account, err)) != 0 ||
	    (r = rabbitmq_same_server(plugin, call, err)) != 0 ||
	    (r = rabbitmq_user_find(plugin, call, account.name, &user, err)) != 0)
		return (r);
	if (user == NULL)
		return (leased_err_set(
		    err, LEASED_ENOENT, "there is no user \"%.100s\"", account.name));
	json_decref(user);
	return (0);
}
