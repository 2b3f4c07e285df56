/*
 * All nodes of a connection. ACLs are not replicated: what is done is done on each, and one that
 * does not answer is named. Called by every operation.
 */
#include "redis.h"

#include <string.h>

/* A fair share of what is left, so that a node which hangs takes it from nobody. */
static int
share_ms(const struct redis *plugin, const struct leased_call *call)
{
	return (leased_call_remaining_ms(call) / (int)(plugin->node_count + 1));
}

static bool
is_alive(struct redis_node *node, struct leased_call *call, int timeout_ms)
{
	struct redis_command command = {0};
	struct leased_err ignored = LEASED_ERR_INIT;
	const struct redis_reply *reply = NULL;

	redis_command_begin(&command, "PING", NULL);
	if (node->wire == NULL ||
	    redis_node_call(node, call, REDIS_READS, &command, timeout_ms, &reply, &ignored) != 0)
		return (redis_command_clear(&command), false);
	if (redis_reply_is(reply, REDIS_STATUS, "PONG") || redis_reply_is_error(reply, "NOPERM"))
		return (true);
	redis_node_close(node); /* it loads, or a script holds it */
	return (false);
}

int
redis_nodes_ready(struct redis *plugin, struct leased_call *call, bool all, struct leased_err *err)
{
	int timeout_ms = share_ms(plugin, call);
	const struct redis_node *down;
	bool any = false;

	for (unsigned i = 0; i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];
		struct leased_err why = LEASED_ERR_INIT;

		if (!is_alive(node, call, timeout_ms) &&
		    redis_node_open(plugin, call, node, timeout_ms, &why) == LEASED_EMOVED)
			return (*err = why, LEASED_EMOVED);
		if (why.code == LEASED_ECANCELED) /* the daemon refused the session */
			return (*err = why, LEASED_ECANCELED);
		any |= node->wire != NULL;
	}
	if ((down = redis_nodes_down(plugin)) == NULL || (any && !all))
		return (0);
	*err = down->why;
	if (err->code == LEASED_ETIMEDOUT) /* nothing was asked of it yet */
		err->code = LEASED_EUNAVAIL;
	if (plugin->node_count > 1 && all)
		(void)leased_err_prefix(err, "an account must be the same on every node");
	return (err->code);
}

const struct redis_node *
redis_nodes_down(const struct redis *plugin)
{
	for (unsigned i = 0; i < plugin->node_count; i++)
		if (plugin->nodes[i].wire == NULL)
			return (&plugin->nodes[i]);
	return (NULL);
}

int
redis_nodes_save(struct redis *plugin, struct leased_call *call, struct leased_err *err)
{
	const struct redis_reply *reply = NULL;
	int r;

	for (unsigned i = 0; i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];
		struct redis_command command = {0};

		if (node->wire == NULL || !node->has_aclfile)
			continue;
		redis_command_begin(&command, "ACL", "SAVE", NULL);
		if ((r = redis_node_call(node, call, REDIS_CHANGES, &command,
			 leased_call_remaining_ms(call), &reply, err)) != 0)
			return (r);
		if (!redis_reply_is(reply, REDIS_STATUS, "OK")) {
			r = redis_node_refused(plugin, node, "acl|save", reply, err);
			(void)leased_err_prefix(
			    err, "it is done, and would be undone by a restart of the server");
			return (r);
		}
	}
	return (0);
}
