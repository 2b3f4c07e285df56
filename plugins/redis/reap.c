/*
 * Ending our own sessions that lost their worker: "run_id:client". A client's number is used once
 * in a server's life, and the life has its own id. Called through the plugin's table.
 */
#include "redis.h"

#include <string.h>
#include <time.h>

#define TRIES 100
#define PAUSE_MS 10

static bool
is_session(const char *text)
{
	size_t digits;

	if (strspn(text, "0123456789abcdef") != REDIS_RUN_ID_LEN || text[REDIS_RUN_ID_LEN] != ':')
		return (false);
	digits = strspn(text + REDIS_RUN_ID_LEN + 1, "0123456789");
	return (digits > 0 && digits < 20 && text[REDIS_RUN_ID_LEN + 1 + digits] == '\0');
}

/* What is ended is counted for as long as it is there. */
static int
end_session(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *client, struct leased_err *err)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	const struct redis_reply *reply = NULL;
	int r;

	for (int i = 0; i < TRIES; i++) {
		struct redis_command command = {0};

		redis_command_begin(&command, "CLIENT", "KILL", "ID", client, NULL);
		if ((r = redis_node_call(node, call, REDIS_READS, &command,
			 leased_call_remaining_ms(call), &reply, err)) != 0)
			return (r);
		if (reply->kind != REDIS_INTEGER)
			return (redis_node_refused(plugin, node, "client|kill", reply, err));
		if (reply->integer == 0)
			return (0);
		if (i > 0)
			(void)nanosleep(&pause, NULL);
	}
	return (leased_err_set(
	    err, LEASED_EREFUSED, "%.200s: session %s does not end", node->address->text, client));
}

static int
reap_one(
    struct redis *plugin, struct leased_call *call, const char *session, struct leased_err *err)
{
	const struct redis_node *down;

	if (!is_session(session))
		return (leased_err_set(err, LEASED_EINVAL, "\"%.80s\" is no session", session));
	for (unsigned i = 0; i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];

		if (node->wire != NULL && strncmp(node->run_id, session, REDIS_RUN_ID_LEN) == 0)
			return (
			    end_session(plugin, call, node, session + REDIS_RUN_ID_LEN + 1, err));
	}
	/* The life that it was in is over, unless it is that of one that does not answer. */
	if ((down = redis_nodes_down(plugin)) == NULL)
		return (0);
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "%.150s does not answer, and the session may be there: %.200s", down->address->text,
	    down->why.text));
}

int
redis_reap(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	const json_t *sessions = json_object_get(call->params, "sessions"), *session;
	size_t i;
	int r;

	if ((r = redis_nodes_ready(plugin, call, false, err)) != 0)
		return (r);
	json_array_foreach(sessions, i, session)
	{
		struct leased_err why = LEASED_ERR_INIT;

		if (reap_one(plugin, call, json_string_value(session), &why) == 0)
			(void)leased_result_ok(call);
		else
			leased_result_failed(call, &why);
	}
	return (0);
}
