/*
 * Which accounts of ours there are, from ACL LIST of every node. Called through the plugin's table.
 */
#include "redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"

#define PAGE 256

struct accounts {
	struct redis_listed *items;
	size_t count, size;
};

static int
add_user(struct accounts *accounts, const struct redis_listed *user, struct leased_err *err)
{
	struct redis_listed *grown;
	size_t size;

	if (accounts->count == accounts->size) {
		size = accounts->size * 2 + 64;
		grown = reallocarray(accounts->items, size, sizeof(grown[0]));
		if (grown == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		accounts->items = grown;
		accounts->size = size;
	}
	accounts->items[accounts->count++] = *user;
	return (0);
}

static int
list_node(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct accounts *accounts, struct leased_err *err)
{
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	struct redis_command command = {0};
	const struct redis_reply *reply = NULL;
	struct redis_listed user;
	char prefix[64];
	int r;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0)
		return (r);
	if ((size_t)snprintf(prefix, sizeof(prefix), "l-%s-", tag) >= sizeof(prefix))
		return (leased_err_set(err, LEASED_EINVAL, "a tag that is too long"));
	redis_command_begin(&command, "ACL", "LIST", NULL);
	if ((r = redis_node_call(node, call, REDIS_READS, &command, leased_call_remaining_ms(call),
		 &reply, err)) != 0)
		return (r);
	if (reply->kind != REDIS_LIST)
		return (redis_node_refused(plugin, node, "acl|list", reply, err));
	for (size_t i = 0; r == 0 && i < reply->len; i++)
		if (reply->items[i].kind == REDIS_TEXT &&
		    redis_listed_read(reply->items[i].text, reply->items[i].len, &user) &&
		    strncmp(user.name, prefix, strlen(prefix)) == 0 &&
		    (after == NULL || strcmp(user.name, after) > 0))
			r = add_user(accounts, &user, err);
	return (r);
}

static int
by_name(const void *a, const void *b)
{
	return (
	    strcmp(((const struct redis_listed *)a)->name, ((const struct redis_listed *)b)->name));
}

/* One that can log in on some node is armed. One that is not on all of them is partial: the daemon
 * renews it if its lease lives, which makes it where it is missing. */
static int
fill_page(const struct redis *plugin, const struct accounts *accounts, json_t *result)
{
	json_t *page = json_array();
	size_t i, next;
	int bad = page == NULL;

	for (i = 0; bad == 0 && i < accounts->count && json_array_size(page) < PAGE; i = next) {
		bool is_armed = false;

		for (next = i; next < accounts->count &&
			       by_name(&accounts->items[i], &accounts->items[next]) == 0;
		     next++)
			is_armed |= accounts->items[next].is_armed;
		bad |= json_array_append_new(
		    page, json_pack("{s:s, s:b, s:b}", "name", accounts->items[i].name, "armed",
			      is_armed, "partial", next - i < plugin->node_count));
	}
	bad |= json_object_set_new(result, "accounts", page);
	bad |= json_object_set_new(
	    result, "more", json_boolean(i < accounts->count && json_array_size(page) > 0));
	return (bad);
}

int
redis_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	struct accounts accounts = {0};
	int r;

	if ((r = redis_nodes_ready(plugin, call, true, err)) != 0)
		return (r);
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++)
		r = list_node(plugin, call, &plugin->nodes[i], &accounts, err);
	if (r == 0 && accounts.count > 0)
		qsort(accounts.items, accounts.count, sizeof(accounts.items[0]), by_name);
	if (r == 0 && fill_page(plugin, &accounts, call->result) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	free(accounts.items);
	return (r);
}
