/*
 * Making an account on every node, and making it anew where a server that keeps no ACLs was started
 * anew. Called through the plugin's table.
 */
#include "account.h"

#include <stdio.h>
#include <string.h>

#include "rules.h"

#define KEPT_MAX 4096 /* PROTOCOL.md */

/* ACL SETUSER is one step: with a rule that the server refuses, nothing of it happens. The name is
 * in use with no password in between. */
static int
make_user(struct redis *plugin, struct leased_call *call, struct redis_node *node, const char *name,
    const json_t *rules, const char *hash, struct leased_err *err)
{
	struct redis_command command = {0};
	char word[REDIS_HASH_SIZE + 1];
	const json_t *rule;
	size_t i;
	int r;

	redis_command_begin(&command, "ACL", "SETUSER", name, "reset", NULL);
	json_array_foreach(rules, i, rule) redis_command_add(&command, json_string_value(rule));
	(void)snprintf(word, sizeof(word), "#%s", hash);
	redis_command_add(&command, word);
	redis_command_add(&command, "on");
	r = redis_user_change(plugin, call, node, &command, err);
	leased_wipe(word, sizeof(word));
	return (r);
}

/* Names are ours alone and never used twice, so that nobody makes it between this look and the
 * change. */
static int
expect_none(
    struct redis *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	bool is_found, nopass;
	int r;

	for (unsigned i = 0; i < plugin->node_count; i++) {
		r = redis_user_find(plugin, call, &plugin->nodes[i], name, &is_found, &nopass, err);
		if (r != 0)
			return (r);
		if (!is_found)
			continue;
		call->sent = true; /* it may be an account of an earlier mint */
		return (leased_err_set(err, LEASED_EEXIST, "%.200s has a user \"%.100s\" already",
		    plugin->nodes[i].address->text, name));
	}
	return (0);
}

/* What makes it anew: its hash, and the lives of the servers in which it was made. A user that is
 * missing in one of those was removed by somebody. The rules are the role's, which comes along.
 * And where it was made, so that a node that is taken out of the configuration is missed. */
static int
keep(const struct redis *plugin, const char *hash, json_t *result, struct leased_err *err)
{
	json_t *runs = json_array(), *nodes = json_array(), *kept;
	char text[KEPT_MAX + 1];
	int bad = runs == NULL || nodes == NULL, r = 0;
	size_t len = 0;

	for (unsigned i = 0; i < plugin->node_count; i++)
		bad |= json_array_append_new(runs, json_string(plugin->nodes[i].run_id)) |
		       json_array_append_new(nodes, json_string(plugin->nodes[i].address->text));
	kept = json_pack("{s:s, s:o?, s:o?}", "hash", hash, "runs", runs, "nodes", nodes);
	if (kept != NULL && bad == 0)
		len = json_dumpb(kept, text, sizeof(text), JSON_COMPACT);
	if (len > KEPT_MAX)
		r = leased_err_set(err, LEASED_ELIMIT,
		    "the names of all nodes together are too long: use shorter ones");
	else if (len == 0 || bad != 0 ||
		 json_object_set_new(result, "kept", json_stringn(text, len)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(kept);
	leased_wipe(text, sizeof(text));
	return (r);
}

int
redis_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	const char *password = NULL;
	char hash[REDIS_HASH_SIZE] = "";
	struct redis_account account;
	json_t *rules = NULL;
	int r;

	if ((r = redis_account_read(
		 plugin, json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = redis_rules_read(
		 json_object_get(account.role, "creation_statements"), &rules, err)) != 0 ||
	    (r = redis_hash(password, hash, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, true, err)) != 0 ||
	    (r = redis_account_on_server(plugin, &account, err)) != 0 ||
	    (r = expect_none(plugin, call, account.name, err)) != 0 ||
	    (r = keep(plugin, hash, call->result, err)) != 0)
		goto out;
	call->sent = true;
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++)
		r = make_user(plugin, call, &plugin->nodes[i], account.name, rules, hash, err);
	if (r == 0)
		r = redis_nodes_save(plugin, call, err);
	if (r == 0 && json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	leased_wipe(hash, sizeof(hash));
	json_decref(rules);
	return (r);
}

/* ---- renew ---- */

static int
fail_gone(const struct redis_node *node, const char *name, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_ENOENT, "%.200s has no user \"%.100s\"", node->address->text, name));
}

static bool
was_made_in(const json_t *runs, const char *run_id)
{
	const json_t *run;
	size_t i;

	json_array_foreach(runs, i, run)
	{
		if (json_is_string(run) && strcmp(json_string_value(run), run_id) == 0)
			return (true);
	}
	return (false);
}

/* Puts the account back on a node that lost it with its memory. */
static int
make_again(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const struct redis_account *account, const json_t *kept, struct leased_err *err)
{
	const char *hash = json_string_value(json_object_get(kept, "hash"));
	json_t *rules = NULL;
	int r;

	if (hash == NULL || strlen(hash) != REDIS_HASH_SIZE - 1 ||
	    was_made_in(json_object_get(kept, "runs"), node->run_id))
		return (fail_gone(node, account->name, err));
	if ((r = redis_rules_read(
		 json_object_get(account->role, "creation_statements"), &rules, err)) == 0)
		r = make_user(plugin, call, node, account->name, rules, hash, err);
	json_decref(rules);
	return (r);
}

int
redis_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	struct redis_account account;
	json_t *kept = NULL;
	bool is_found, nopass, is_changed = false;
	int r;

	if ((r = redis_account_read(
		 plugin, json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, true, err)) != 0 ||
	    (r = redis_account_on_server(plugin, &account, err)) != 0)
		return (r);
	if (account.kept != NULL)
		kept = json_loads(account.kept, JSON_REJECT_DUPLICATES, NULL);
	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++) {
		struct redis_node *node = &plugin->nodes[i];

		if ((r = redis_user_find(
			 plugin, call, node, account.name, &is_found, &nopass, err)) != 0 ||
		    is_found)
			continue;
		r = make_again(plugin, call, node, &account, kept, err);
		is_changed = true;
	}
	json_decref(kept);
	if (r == 0 && is_changed)
		r = redis_nodes_save(plugin, call, err);
	return (r);
}
