/*
 * Ending accounts: disarm switches the user off and ends its connections, remove deletes it. On
 * each node that answers; an account is done when none of them is left out. Called through the
 * plugin's table.
 */
#include "account.h"

#include <string.h>

struct ending {
	struct redis_account account;
	struct leased_err err; /* code 0: nothing failed so far */
	bool is_there;         /* on one node at least */
};

static int
switch_off(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct ending *ending, bool *ret_found, struct leased_err *err)
{
	const char *name = ending->account.name;
	struct redis_command command = {0};
	bool nopass;
	unsigned count;
	int r;

	if ((r = redis_user_find(plugin, call, node, name, ret_found, &nopass, err)) != 0)
		return (r);
	if (!*ret_found) /* ACL SETUSER would make it */
		return (0);
	ending->is_there = true;
	redis_command_begin(&command, "ACL", "SETUSER", name, "off", NULL);
	if ((r = redis_user_change(plugin, call, node, &command, err)) == 0)
		r = redis_user_kill(plugin, call, node, name, &count, err);
	return (r);
}

static int
remove_user(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct ending *ending, struct leased_err *err)
{
	struct redis_command command = {0};
	bool is_found = false;
	int r;

	if ((r = switch_off(plugin, call, node, ending, &is_found, err)) != 0 || !is_found)
		return (r);
	redis_command_begin(&command, "ACL", "DELUSER", ending->account.name, NULL);
	return (redis_user_change(plugin, call, node, &command, err));
}

static void
read_one(const struct redis *plugin, const json_t *object, struct ending *ending)
{
	memset(ending, 0, sizeof(*ending));
	if (redis_account_read(plugin, object, &ending->account, &ending->err) != 0)
		return;
	if (strcmp(ending->account.name, plugin->config->username) == 0 ||
	    strcmp(ending->account.name, "default") == 0)
		(void)leased_err_set(&ending->err, LEASED_EINVAL,
		    "\"%.100s\" is nobody's account: nothing is touched", ending->account.name);
	else
		ending->err.code = redis_account_on_server(plugin, &ending->account, &ending->err);
}

/* An account that one node still has is not ended, whatever the others say. */
static void
name_missing(const struct redis_node *down, struct ending *ending)
{
	if (down != NULL && ending->err.code == 0)
		(void)leased_err_set(&ending->err, LEASED_EREFUSED,
		    "done on the nodes that answer; %.150s does not, and may let it in: %.200s",
		    down->address->text, down->why.text);
}

/* A node that was taken out of the configuration has its accounts still, and lets them in. */
static void
name_left_out(const struct redis *plugin, struct ending *ending)
{
	const char *text = ending->account.kept, *place;
	json_t *kept = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (ending->err.code == 0 && (place = redis_kept_left_out(plugin, kept)) != NULL)
		(void)leased_err_set(&ending->err, LEASED_EREFUSED,
		    "done on the nodes of now; it was made on %.150s too, which lets it in still: "
		    "put that back into nodes until no lease is left, or, if it is gone for good, "
		    "name it in gone_nodes",
		    place);
	json_decref(kept);
}

static int
answer(struct redis *plugin, struct leased_call *call, const struct ending *ending,
    struct leased_err *err)
{
	if (ending->err.code != 0) {
		leased_result_failed(call, &ending->err);
		return (0);
	}
	if (ending->is_there &&
	    json_object_set_new(leased_result_ok(call), "server", json_string(plugin->server)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (!ending->is_there)
		(void)leased_result_ok(call);
	return (0);
}

/* A node that breaks off is one that does not answer, from then on. */
static void
end_on_node(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    struct ending *endings, size_t count, bool removes)
{
	bool is_found;

	for (size_t i = 0; node->wire != NULL && i < count; i++) {
		struct leased_err why = LEASED_ERR_INIT;
		int r;

		if (endings[i].err.code != 0)
			continue;
		r = removes ? remove_user(plugin, call, node, &endings[i], &why)
			    : switch_off(plugin, call, node, &endings[i], &is_found, &why);
		if (r != 0 && node->wire != NULL)
			endings[i].err = why;
	}
}

/* What an earlier call changed and did not live to save is saved by this one: always. */
static int
end_all(struct redis *plugin, struct leased_call *call, bool removes, struct leased_err *err)
{
	const json_t *accounts = json_object_get(call->params, "accounts");
	size_t count = json_array_size(accounts);
	struct leased_err unsaved = LEASED_ERR_INIT;
	struct ending endings[64];
	const struct redis_node *down;
	int r;

	if (count > sizeof(endings) / sizeof(endings[0]))
		return (leased_err_set(err, LEASED_EINVAL, "more than 64 accounts"));
	if ((r = redis_nodes_ready(plugin, call, false, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++)
		read_one(plugin, json_array_get(accounts, i), &endings[i]);
	for (unsigned n = 0; n < plugin->node_count; n++)
		end_on_node(plugin, call, &plugin->nodes[n], endings, count, removes);
	unsaved.code = redis_nodes_save(plugin, call, &unsaved);
	down = redis_nodes_down(plugin);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (unsaved.code != 0 && endings[i].err.code == 0)
			endings[i].err = unsaved;
		name_missing(down, &endings[i]);
		name_left_out(plugin, &endings[i]);
		r = answer(plugin, call, &endings[i], err);
	}
	return (r);
}

int
redis_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(redis_from(ctx), call, false, err));
}

int
redis_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(redis_from(ctx), call, true, err));
}
