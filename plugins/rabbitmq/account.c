/*
 * Accounts are users of the broker: what the daemon says of them, what the API says, and the
 * changes that several operations make. Called by the operations.
 */
#include "rabbitmq.h"

#include <stdlib.h>
#include <string.h>

int
rabbitmq_account_read(
    const json_t *object, struct rabbitmq_account *ret_account, struct leased_err *err)
{
	struct rabbitmq_account account = {.server = leased_get_string_optional(object, "server"),
	    .role = json_object_get(object, "role")};
	size_t len;
	int r;

	if ((r = leased_get_string(object, "name", &account.name, err)) != 0)
		return (r);
	len = strlen(account.name);
	if (len == 0 || len > RABBITMQ_NAME_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name of %zu bytes: this plugin takes 1 to %d", len, RABBITMQ_NAME_MAX));
	if (strcmp(account.name, ".") == 0 || strcmp(account.name, "..") == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the management API takes . and .. for directions"));
	*ret_account = account;
	return (0);
}

int
rabbitmq_account_on_server(
    const struct rabbitmq *plugin, const struct rabbitmq_account *account, struct leased_err *err)
{
	if (account->server == NULL || account->server[0] == '\0' ||
	    strcmp(account->server, plugin->server) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EMOVED,
	    "the cluster is %s now; the account was made on %.100s: nothing is touched",
	    plugin->server, account->server));
}

int
rabbitmq_user_find(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    json_t **ret_user, struct leased_err *err)
{
	const struct rabbitmq_request request = {.method = "GET"};
	json_t *answer = NULL;
	long status = 0;
	int r;

	*ret_user = NULL;
	if ((r = rabbitmq_send(
		 plugin, call, &request, &status, &answer, err, "users", name, NULL)) != 0)
		return (r);
	if (status == 200 && json_is_string(json_object_get(answer, "password_hash"))) {
		*ret_user = answer;
		return (0);
	}
	if (!rabbitmq_is_absent(status, answer))
		r = rabbitmq_refused(plugin, "look at users", status, answer, err);
	json_decref(answer);
	return (r);
}

int
rabbitmq_user_put(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    const char *hash, const char *tags, struct leased_err *err)
{
	json_t *body = json_pack("{s:s, s:s, s:s}", "password_hash", hash, "hashing_algorithm",
	    "rabbit_password_hashing_sha256", "tags", tags);
	const struct rabbitmq_request request = {.method = "PUT", .body = body, .changes = true};
	json_t *answer = NULL;
	long status = 0;
	int r;

	if (body == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = rabbitmq_send(plugin, call, &request, &status, &answer, err, "users", name, NULL);
	if (r == 0 && status / 100 != 2)
		r = rabbitmq_refused(plugin, "make or change a user", status, answer, err);
	json_decref(answer);
	json_decref(body);
	return (r);
}

/* A list; a text in servers before 3.9. */
char *
rabbitmq_user_tags(const json_t *user)
{
	const json_t *tags = json_object_get(user, "tags"), *tag;
	size_t size = 1, i, len;
	char *text, *to;

	if (json_is_string(tags))
		return (strdup(json_string_value(tags)));
	json_array_foreach(tags, i, tag) size += 1 + json_string_length(tag);
	if ((to = text = malloc(size)) == NULL)
		return (NULL);
	json_array_foreach(tags, i, tag)
	{
		if ((len = json_string_length(tag)) == 0)
			continue;
		if (to != text)
			*to++ = ',';
		memcpy(to, json_string_value(tag), len);
		to += len;
	}
	*to = '\0';
	return (text);
}

/* Every name of list is in closed. */
static bool
all_known(const json_t *list, const json_t *closed)
{
	const json_t *one;
	const char *name;
	size_t i;

	json_array_foreach(list, i, one)
	{
		name = json_string_value(json_object_get(one, "name"));
		if (name == NULL || json_object_get(closed, name) == NULL)
			return (false);
	}
	return (true);
}

static int
remember(const json_t *list, json_t *closed, struct leased_err *err)
{
	const json_t *one;
	const char *name;
	size_t i;

	json_array_foreach(list, i, one)
	{
		name = json_string_value(json_object_get(one, "name"));
		if (name != NULL && json_object_set_new(closed, name, json_true()) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	return (0);
}

/*
 * The list is of the server's own book of connections, not of its statistics, which lag behind. To
 * close one is done when it is answered; but the book has it for up to 30 s more, until its client
 * says goodbye, and, when the client had just left by itself, for ever. So one that was closed
 * before does not count.
 */
int
rabbitmq_user_close(struct rabbitmq *plugin, struct leased_call *call, const char *name,
    json_t *closed, bool *ret_quiet, struct leased_err *err)
{
	const struct rabbitmq_request look = {.method = "GET", .query = "columns=name"};
	const struct rabbitmq_request close = {.method = "DELETE", .changes = true};
	json_t *list = NULL, *answer = NULL;
	long status = 0;
	int r;

	if ((r = rabbitmq_send(plugin, call, &look, &status, &list, err, "connections", "username",
		 name, NULL)) != 0)
		return (r);
	if (status != 200 || !json_is_array(list)) {
		r = rabbitmq_refused(plugin, "look at connections", status, list, err);
		goto out;
	}
	if ((*ret_quiet = all_known(list, closed)) ||
	    (r = rabbitmq_send(plugin, call, &close, &status, &answer, err, "connections",
		 "username", name, NULL)) != 0)
		goto out;
	if (status / 100 != 2 && !rabbitmq_is_absent(status, answer))
		r = rabbitmq_refused(plugin, "close connections", status, answer, err);
	else
		r = remember(list, closed, err);
out:
	json_decref(answer);
	json_decref(list);
	return (r);
}
