/*
 * What tells a Redis server from another one at its address. It has nothing of the kind itself: its
 * run_id is new after each start, and its replication id is shared with its replicas and lost
 * without a dump. So it is given a name: a user without any right, in the aclfile where the
 * accounts are, which is there exactly as long as they are. Without an aclfile nothing outlives a
 * restart, and a server is its address. Called by open.
 */
#include "account.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#define MARKER_LEN (sizeof(REDIS_MARKER) - 1 + 16)
#define SECOND_LOOK_MS 200

/* All nodes that answer have an aclfile, or none has. */
static int
compare_kinds(struct redis *plugin, struct leased_err *err)
{
	const struct redis_node *with = NULL, *without = NULL;

	for (unsigned i = 0; i < plugin->node_count; i++) {
		if (plugin->nodes[i].wire == NULL)
			continue;
		if (plugin->nodes[i].has_aclfile)
			with = &plugin->nodes[i];
		else
			without = &plugin->nodes[i];
	}
	if (with != NULL && without != NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "%.150s has an aclfile and %.150s has none: an account would be lost on one "
		    "of them; give all nodes one, or none",
		    with->address->text, without->address->text));
	plugin->is_volatile = with == NULL;
	return (0);
}

/* The marker of one node, the smallest where there are several; "" where there is none. */
static int
read_marker(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    char ret_marker[MARKER_LEN + 1], struct leased_err *err)
{
	struct redis_command command = {0};
	const struct redis_reply *reply = NULL;
	int r;

	ret_marker[0] = '\0';
	redis_command_begin(&command, "ACL", "USERS", NULL);
	if ((r = redis_node_call(node, call, REDIS_READS, &command, leased_call_remaining_ms(call),
		 &reply, err)) != 0)
		return (r);
	if (reply->kind != REDIS_LIST)
		return (redis_node_refused(plugin, node, "acl|users", reply, err));
	for (size_t i = 0; i < reply->len; i++) {
		const struct redis_reply *user = &reply->items[i];

		if (user->kind != REDIS_TEXT || user->len != MARKER_LEN ||
		    memcmp(user->text, REDIS_MARKER, sizeof(REDIS_MARKER) - 1) != 0)
			continue;
		if (ret_marker[0] == '\0' || memcmp(user->text, ret_marker, MARKER_LEN) < 0) {
			memcpy(ret_marker, user->text, MARKER_LEN);
			ret_marker[MARKER_LEN] = '\0';
		}
	}
	return (0);
}

static int
write_marker(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const char *marker, struct leased_err *err)
{
	struct redis_command command = {0};

	redis_command_begin(&command, "ACL", "SETUSER", marker, "reset", NULL);
	return (redis_user_change(plugin, call, node, &command, err));
}

static int
make_marker(char ret_marker[MARKER_LEN + 1], struct leased_err *err)
{
	unsigned char bytes[8];
	size_t at = sizeof(REDIS_MARKER) - 1;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return (leased_err_set(err, LEASED_EBUG, "no random bytes"));
	memcpy(ret_marker, REDIS_MARKER, at);
	for (size_t i = 0; i < sizeof(bytes); i++, at += 2)
		(void)snprintf(ret_marker + at, 3, "%02x", bytes[i]);
	return (0);
}

/* The one that the nodes have; on those without it is missing. Two are two servers' nodes. */
static int
agree(struct redis *plugin, struct leased_call *call, bool *ret_is_missing, struct leased_err *err)
{
	char marker[MARKER_LEN + 1];
	const struct redis_node *from = NULL;
	int r;

	*ret_is_missing = false;
	plugin->marker[0] = '\0';
	for (unsigned i = 0; i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];

		if (node->wire == NULL)
			continue;
		if ((r = read_marker(plugin, call, node, marker, err)) != 0)
			return (r);
		if (marker[0] == '\0') {
			*ret_is_missing = true;
		} else if (plugin->marker[0] == '\0') {
			memcpy(plugin->marker, marker, sizeof(marker));
			from = node;
		} else if (strcmp(plugin->marker, marker) != 0) {
			return (leased_err_set(err, LEASED_EREFUSED,
			    "%.100s is %s and %.100s is %s: they were used apart; end all leases "
			    "of one of them there, and run ACL DELUSER with that name",
			    from->address->text, plugin->marker, node->address->text, marker));
		}
	}
	return (0);
}

/* Nodes that are new, or were emptied, become part of the server that the others are. */
static int
spread(struct redis *plugin, struct leased_call *call, const char *marker, struct leased_err *err)
{
	bool is_found, nopass;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];

		if (node->wire == NULL)
			continue;
		if ((r = redis_user_find(plugin, call, node, marker, &is_found, &nopass, err)) ==
			0 &&
		    !is_found)
			r = write_marker(plugin, call, node, marker, err);
	}
	return (r == 0 ? redis_nodes_save(plugin, call, err) : r);
}

/* Two workers may do this at once: each looks again, and all take the smallest. */
static int
christen(struct redis *plugin, struct leased_call *call, struct leased_err *err)
{
	const struct redis_node *down = redis_nodes_down(plugin);
	char marker[MARKER_LEN + 1];
	bool is_missing;
	int r;

	if (down != NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "no node says which server it is, and %.200s, which may know, does not answer",
		    down->address->text));
	if ((r = make_marker(marker, err)) != 0 || (r = spread(plugin, call, marker, err)) != 0)
		return (r);
	(void)usleep(SECOND_LOOK_MS * 1000);
	if ((r = agree(plugin, call, &is_missing, err)) != 0 || strcmp(plugin->marker, marker) == 0)
		return (r);
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++) {
		struct redis_command command = {0};

		redis_command_begin(&command, "ACL", "DELUSER", marker, NULL);
		r = redis_user_change(plugin, call, &plugin->nodes[i], &command, err);
	}
	return (r == 0 ? redis_nodes_save(plugin, call, err) : r);
}

int
redis_nodes_identify(struct redis *plugin, struct leased_call *call, struct leased_err *err)
{
	bool is_missing;
	int r;

	if ((r = compare_kinds(plugin, err)) != 0)
		return (r);
	if (plugin->is_volatile) {
		plugin->marker[0] = '\0';
		(void)snprintf(plugin->server, sizeof(plugin->server), "at %.120s",
		    plugin->nodes[0].address->text);
		return (0);
	}
	if ((r = agree(plugin, call, &is_missing, err)) != 0)
		return (r);
	if (plugin->marker[0] == '\0')
		r = christen(plugin, call, err);
	else if (is_missing)
		r = spread(plugin, call, plugin->marker, err);
	if (r == 0)
		(void)snprintf(plugin->server, sizeof(plugin->server), "%s", plugin->marker);
	return (r);
}
