/*
 * Which accounts of ours there are. The API lists all users at once. Called through the plugin's
 * table.
 */
#include "rabbitmq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 256
#define ANSWER_MAX ((size_t)4 * 1024 * 1024) /* some 30 000 users */

static int
by_name(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;

	return (strcmp(json_string_value(json_object_get(*left, "name")),
	    json_string_value(json_object_get(*right, "name"))));
}

/* Those of ours behind after, in the order of their bytes; the caller's to free(). */
static int
pick(const json_t *users, const char *tag, const char *after, const json_t ***ret_picked,
    size_t *ret_count, struct leased_err *err)
{
	const json_t **picked = calloc(json_array_size(users) + 1, sizeof(*picked)), *user;
	char prefix[64];
	const char *name;
	size_t i, count = 0;

	if (picked == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((size_t)snprintf(prefix, sizeof(prefix), "l-%s-", tag) >= sizeof(prefix)) {
		free(picked);
		return (leased_err_set(err, LEASED_EINVAL, "a tag that is too long"));
	}
	json_array_foreach(users, i, user)
	{
		name = json_string_value(json_object_get(user, "name"));
		if (name != NULL && strncmp(name, prefix, strlen(prefix)) == 0 &&
		    (after == NULL || strcmp(name, after) > 0))
			picked[count++] = user;
	}
	if (count > 0)
		qsort(picked, count, sizeof(*picked), by_name);
	*ret_picked = picked;
	*ret_count = count;
	return (0);
}

static int
fill(json_t *result, const json_t **picked, size_t count, struct leased_err *err)
{
	json_t *accounts = json_array();
	int bad = accounts == NULL;

	for (size_t i = 0; bad == 0 && i < count && i < PAGE; i++)
		bad |= json_array_append_new(accounts,
		    json_pack("{s:O, s:b}", "name", json_object_get(picked[i], "name"), "armed",
			json_string_length(json_object_get(picked[i], "password_hash")) > 0));
	bad |= json_object_set_new(result, "accounts", accounts);
	bad |= json_object_set_new(result, "more", json_boolean(count > PAGE));
	return (bad != 0 ? leased_err_set(err, LEASED_ENOMEM, "out of memory") : 0);
}

int
rabbitmq_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const struct rabbitmq_request request = {
	    .method = "GET", .query = "columns=name,password_hash", .answer_max = ANSWER_MAX};
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	const json_t **picked = NULL;
	json_t *users = NULL;
	size_t count = 0;
	long status = 0;
	int r;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0 ||
	    (r = rabbitmq_same_server(plugin, call, err)) != 0 ||
	    (r = rabbitmq_send(plugin, call, &request, &status, &users, err, "users", NULL)) != 0)
		return (r);
	if (status != 200 || !json_is_array(users))
		r = rabbitmq_refused(plugin, "list users", status, users, err);
	else if ((r = pick(users, tag, after, &picked, &count, err)) == 0)
		r = fill(call->result, picked, count, err);
	free(picked);
	json_decref(users);
	return (r);
}
