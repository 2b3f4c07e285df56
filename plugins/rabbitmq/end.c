/*
 * Ending accounts. Disarm takes the password, the tags and the permissions, in this order, so that
 * who has passed the login is refused the virtual host, and closes what is open; remove deletes the
 * user. Called through the plugin's table.
 */
#include "rabbitmq.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"

#define ACCOUNTS_MAX 64
#define WAIT_MS 1000
#define PAUSE_MS 50

struct ending {
	struct rabbitmq_account account;
	struct leased_err err; /* code 0: nothing failed so far */
	json_t *closed;        /* the names of connections that were closed */
	bool is_there, is_closed;
};

static void
pause_ms(int ms)
{
	const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

	(void)nanosleep(&pause, NULL);
}

/* ---- taking permissions ---- */

/* All of a kind, in every virtual host. */
static int
delete_permissions(struct rabbitmq *plugin, struct leased_call *call, const char *kind,
    const char *name, struct leased_err *err)
{
	const struct rabbitmq_request look = {.method = "GET"};
	const struct rabbitmq_request take = {.method = "DELETE", .changes = true};
	json_t *list = NULL, *answer;
	const json_t *one;
	const char *vhost;
	long status = 0;
	size_t i;
	int r;

	if ((r = rabbitmq_send(
		 plugin, call, &look, &status, &list, err, "users", name, kind, NULL)) != 0)
		return (r);
	if (!rabbitmq_is_absent(status, list) && (status != 200 || !json_is_array(list)))
		r = rabbitmq_refused(plugin, "look at permissions", status, list, err);
	json_array_foreach(list, i, one)
	{
		vhost = json_string_value(json_object_get(one, "vhost"));
		if (r != 0 || vhost == NULL)
			continue;
		answer = NULL;
		r = rabbitmq_send(
		    plugin, call, &take, &status, &answer, err, kind, vhost, name, NULL);
		if (r == 0 && status / 100 != 2 && !rabbitmq_is_absent(status, answer))
			r = rabbitmq_refused(plugin, "take permissions", status, answer, err);
		json_decref(answer);
	}
	json_decref(list);
	return (r);
}

static int
take_all(struct rabbitmq *plugin, struct leased_call *call, struct ending *ending,
    struct leased_err *err)
{
	const char *name = ending->account.name;
	json_t *user = NULL;
	char *tags = NULL;
	bool is_armed;
	int r;

	if ((r = rabbitmq_user_find(plugin, call, name, &user, err)) != 0 || user == NULL)
		return (r);
	ending->is_there = true;
	tags = rabbitmq_user_tags(user);
	is_armed = tags == NULL || tags[0] != '\0' ||
		   json_string_length(json_object_get(user, "password_hash")) > 0;
	free(tags);
	json_decref(user);
	if (is_armed && (r = rabbitmq_user_put(plugin, call, name, "", "", err)) != 0)
		return (r);
	if ((r = delete_permissions(plugin, call, "permissions", name, err)) == 0)
		r = delete_permissions(plugin, call, "topic-permissions", name, err);
	return (r);
}

static int
delete_user(
    struct rabbitmq *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	const struct rabbitmq_request request = {.method = "DELETE", .changes = true};
	json_t *answer = NULL;
	long status = 0;
	int r;

	r = rabbitmq_send(plugin, call, &request, &status, &answer, err, "users", name, NULL);
	if (r == 0 && status / 100 != 2 && !rabbitmq_is_absent(status, answer))
		r = rabbitmq_refused(plugin, "delete a user", status, answer, err);
	json_decref(answer);
	return (r);
}

/* ---- connections ---- */

/* One look at each that is not done; how many are not, then. */
static size_t
close_once(struct rabbitmq *plugin, struct leased_call *call, struct ending *endings, size_t count,
    bool is_first)
{
	size_t left = 0;
	bool is_quiet;

	for (size_t i = 0; i < count; i++) {
		struct ending *ending = &endings[i];

		if (ending->err.code != 0 || ending->is_closed)
			continue;
		ending->err.code = rabbitmq_user_close(
		    plugin, call, ending->account.name, ending->closed, &is_quiet, &ending->err);
		ending->is_closed = ending->err.code == 0 && is_quiet && !is_first;
		left += ending->err.code == 0 && !ending->is_closed;
	}
	return (left);
}

/* A connection is in the server's book a moment after it was opened: a second look must show none
 * that the first had not. */
static void
close_all(struct rabbitmq *plugin, struct leased_call *call, struct ending *endings, size_t count)
{
	size_t left = count;

	for (size_t i = 0; i < count; i++)
		if (endings[i].err.code == 0 && (endings[i].closed = json_object()) == NULL)
			(void)leased_err_set(&endings[i].err, LEASED_ENOMEM, "out of memory");
	for (int waited = 0; left > 0 && waited <= WAIT_MS; waited += PAUSE_MS) {
		if (waited > 0)
			pause_ms(PAUSE_MS);
		left = close_once(plugin, call, endings, count, waited == 0);
	}
	for (size_t i = 0; i < count; i++) {
		if (endings[i].err.code == 0 && !endings[i].is_closed)
			(void)leased_err_set(&endings[i].err, LEASED_EREFUSED,
			    "\"%.100s\" opens new connections as fast as they are closed; it is "
			    "tried again",
			    endings[i].account.name);
		json_decref(endings[i].closed);
		endings[i].closed = NULL;
	}
}

/* ---- the operations ---- */

static void
read_one(const struct rabbitmq *plugin, const json_t *object, struct ending *ending)
{
	memset(ending, 0, sizeof(*ending));
	if (rabbitmq_account_read(object, &ending->account, &ending->err) != 0)
		return;
	if (strcmp(ending->account.name, plugin->config->username) == 0)
		(void)leased_err_set(&ending->err, LEASED_EINVAL,
		    "\"%.100s\" is leased's own login: nothing is touched", ending->account.name);
	else
		ending->err.code =
		    rabbitmq_account_on_server(plugin, &ending->account, &ending->err);
}

static int
answer_all(const struct rabbitmq *plugin, struct leased_call *call, const struct ending *endings,
    size_t count, struct leased_err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (endings[i].err.code != 0)
			leased_result_failed(call, &endings[i].err);
		else if (!endings[i].is_there)
			(void)leased_result_ok(call);
		else if (json_object_set_new(
			     leased_result_ok(call), "server", json_string(plugin->server)) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	return (0);
}

/* Nothing can be said of any account when the first that is asked for finds no server. */
static int
end_all(struct rabbitmq *plugin, struct leased_call *call, bool removes, struct leased_err *err)
{
	const json_t *accounts = json_object_get(call->params, "accounts");
	size_t count = json_array_size(accounts), i;
	struct ending endings[ACCOUNTS_MAX];
	int r;

	if (count > ACCOUNTS_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "more than %d accounts", ACCOUNTS_MAX));
	if ((r = rabbitmq_same_server(plugin, call, err)) != 0)
		return (r);
	for (i = 0; i < count; i++)
		read_one(plugin, json_array_get(accounts, i), &endings[i]);
	for (i = 0; i < count; i++) {
		if (endings[i].err.code != 0)
			continue;
		endings[i].err.code = take_all(plugin, call, &endings[i], &endings[i].err);
		if (endings[i].err.code == LEASED_EUNAVAIL ||
		    endings[i].err.code == LEASED_EDENIED) {
			*err = endings[i].err;
			return (err->code);
		}
	}
	close_all(plugin, call, endings, count);
	for (i = 0; removes && i < count; i++)
		if (endings[i].err.code == 0 && endings[i].is_there)
			endings[i].err.code =
			    delete_user(plugin, call, endings[i].account.name, &endings[i].err);
	return (answer_all(plugin, call, endings, count, err));
}

int
rabbitmq_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(rabbitmq_from(ctx), call, false, err));
}

int
rabbitmq_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(rabbitmq_from(ctx), call, true, err));
}
