/*
 * Making an account on every node, and making it anew where a server that keeps no ACLs was started
 * anew. Called through the plugin's table.
 */
#include "account.h"

#include <stdio.h>
#include <string.h>

#include "rules.h"

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
	    (r = redis_kept_put(plugin, hash, NULL, call->result, err)) != 0)
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

/* Puts the account on a node that lost it with its memory, or was added after it was made. */
static int
make_again(struct redis *plugin, struct leased_call *call, struct redis_node *node,
    const struct redis_account *account, const json_t *kept, struct leased_err *err)
{
	const char *hash = redis_kept_hash(kept);
	json_t *rules = NULL;
	int r;

	if (hash == NULL || redis_kept_made_in(kept, node->run_id))
		return (fail_gone(node, account->name, err));
	if ((r = redis_rules_read(
		 json_object_get(account->role, "creation_statements"), &rules, err)) == 0)
		r = make_user(plugin, call, node, account->name, rules, hash, err);
	json_decref(rules);
	return (r);
}

/* ret_lacks: for each node. Where an aclfile keeps accounts, one that no node has was removed by
 * somebody. */
static int
look_everywhere(struct redis *plugin, struct leased_call *call, const char *name, bool *ret_lacks,
    bool *ret_is_whole, struct leased_err *err)
{
	bool is_found, nopass, is_anywhere = false;
	int r;

	*ret_is_whole = true;
	for (unsigned i = 0; i < plugin->node_count; i++) {
		r = redis_user_find(plugin, call, &plugin->nodes[i], name, &is_found, &nopass, err);
		if (r != 0)
			return (r);
		ret_lacks[i] = !is_found;
		is_anywhere |= is_found;
		*ret_is_whole &= is_found;
	}
	return (is_anywhere || plugin->is_volatile ? 0 : fail_gone(&plugin->nodes[0], name, err));
}

static int
renew_account(struct redis *plugin, struct leased_call *call, const struct redis_account *account,
    const json_t *kept, struct leased_err *err)
{
	bool lacks[REDIS_NODES_MAX], is_whole;
	int r = look_everywhere(plugin, call, account->name, lacks, &is_whole, err);

	for (unsigned i = 0; r == 0 && i < plugin->node_count; i++)
		if (lacks[i])
			r = make_again(plugin, call, &plugin->nodes[i], account, kept, err);
	if (r == 0 && !is_whole)
		r = redis_nodes_save(plugin, call, err);
	if (r == 0 && redis_kept_hash(kept) != NULL &&
	    (!is_whole || !redis_kept_has_all(plugin, kept)))
		r = redis_kept_put(plugin, redis_kept_hash(kept), kept, call->result, err);
	return (r);
}

int
redis_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	struct redis_account account;
	json_t *kept = NULL;
	int r;

	if ((r = redis_account_read(
		 plugin, json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, true, err)) != 0 ||
	    (r = redis_account_on_server(plugin, &account, err)) != 0)
		return (r);
	if (account.kept != NULL)
		kept = json_loads(account.kept, JSON_REJECT_DUPLICATES, NULL);
	r = renew_account(plugin, call, &account, kept, err);
	json_decref(kept);
	return (r);
}
