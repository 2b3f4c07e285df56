/*
 * Describe, open and ping: what the plugin is, and the one connection that a worker works on.
 * Called through the plugin's table.
 */
#include "account.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis *
redis_from(void *ctx)
{
	struct redis *plugin = ctx;

	if (plugin == NULL || plugin->tag != REDIS_TAG)
		abort();
	return (plugin);
}

int
redis_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *fields = redis_config_fields(), *more;

	(void)ctx;
	more = json_pack("{s:i, s:s, s:b, s:s, s:b, s:[s], s:[s], s:o?}", "name_max",
	    REDIS_NAME_MAX, "name_alphabet", "A-Za-z0-9_.-", "native_expiry", 0, "dialect", "text",
	    "default_statements", 0, "role_fields", "creation_statements", "role_needs",
	    "creation_statements", "config_fields", fields);
	if (fields == NULL || more == NULL || json_object_update(call->result, more) != 0)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(more);
	return (err->code);
}

static void
forget(struct redis *plugin)
{
	for (unsigned i = 0; i < plugin->node_count; i++)
		redis_node_close(&plugin->nodes[i]);
	memset(plugin->nodes, 0, sizeof(plugin->nodes));
	plugin->node_count = 0;
	plugin->server[0] = plugin->marker[0] = '\0';
	redis_wire_tls_free(plugin->tls);
	plugin->tls = NULL;
	redis_config_free(plugin->config);
	plugin->config = NULL;
	free(plugin->store_tag);
	free(plugin->instance);
	plugin->store_tag = plugin->instance = NULL;
}

static int
add_warning(json_t *result, const char *text)
{
	json_t *list = json_object_get(result, "warnings");

	if (list == NULL && json_object_set_new(result, "warnings", list = json_array()) != 0)
		return (-1);
	return (json_array_append_new(list, json_string(text)));
}

static int
add_warnings(const struct redis *plugin, json_t *result)
{
	int bad = 0;

	if (plugin->is_volatile)
		bad |= add_warning(result,
		    "this Redis server has no aclfile: its users are lost when it is started anew. "
		    "leased makes those of live leases again as soon as it notices; until then "
		    "they cannot log in. Set aclfile in redis.conf to keep them");
	if (plugin->config->is_exposed)
		bad |= add_warning(result,
		    "tls is false and the server is on another machine: the password of leased's "
		    "own login, and everything else, goes over the network in the clear");
	return (bad);
}

static int
fill_result(const struct redis *plugin, json_t *result, struct leased_err *err)
{
	const struct redis_address *first = plugin->config->nodes.items;
	char port[8];
	json_t *endpoint;
	int bad = 0;

	(void)snprintf(port, sizeof(port), "%u", (unsigned)first->port);
	endpoint = json_pack("{s:s, s:s}", "scheme", plugin->config->is_tls ? "rediss" : "redis",
	    "host", first->host);
	if (first->port != 0)
		bad |= json_object_set_new(endpoint, "port", json_string(port));
	bad |= json_object_set_new(result, "endpoint", endpoint);
	bad |= json_object_set_new(result, "server", json_string(plugin->server));
	/* A node that is added has no accounts, as one that has lost them. */
	if (plugin->is_volatile || plugin->node_count > 1)
		bad |= json_object_set_new(result, "volatile", json_true());
	bad |= add_warnings(plugin, result);
	return (bad != 0 ? leased_err_set(err, LEASED_ENOMEM, "out of memory") : 0);
}

int
redis_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	const char *tag = leased_get_string_optional(call->params, "tag");
	const char *instance = leased_get_string_optional(call->params, "instance");
	struct redis_config *config = NULL;
	int r;

	if ((r = redis_config_new(json_object_get(call->params, "config"), &config, err)) != 0)
		return (r);
	forget(plugin); /* an open that failed may be repeated */
	plugin->config = config;
	plugin->node_count = config->nodes.count;
	for (unsigned i = 0; i < plugin->node_count; i++)
		plugin->nodes[i].address = &config->nodes.items[i];
	plugin->store_tag = strdup(tag != NULL ? tag : "");
	plugin->instance = strdup(instance != NULL ? instance : "");
	if (plugin->store_tag == NULL || plugin->instance == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = redis_config_confine(config, err)) != 0 ||
	    (r = redis_wire_tls_new(config, &plugin->tls, err)) != 0 ||
	    (r = redis_nodes_ready(plugin, call, false, err)) != 0 ||
	    (r = redis_nodes_identify(plugin, call, err)) != 0)
		return (r);
	return (fill_result(plugin, call->result, err));
}

/* The lives of all servers as one text: of one server its own run_id. */
static int
tell_incarnation(const struct redis *plugin, json_t *result)
{
	char all[REDIS_NODES_MAX * REDIS_RUN_ID_LEN + 1] = "", hex[65];
	unsigned char digest[32];
	unsigned len = sizeof(digest);

	if (plugin->node_count == 1)
		return (json_object_set_new(
		    result, "incarnation", json_string(plugin->nodes[0].run_id)));
	for (unsigned i = 0; i < plugin->node_count; i++)
		memcpy(all + i * REDIS_RUN_ID_LEN, plugin->nodes[i].run_id, REDIS_RUN_ID_LEN + 1);
	if (EVP_Digest(all, strlen(all), digest, &len, EVP_sha256(), NULL) != 1)
		return (-1);
	for (unsigned i = 0; i < sizeof(digest); i++)
		(void)snprintf(hex + i * 2, 3, "%02x", digest[i]);
	return (json_object_set_new(result, "incarnation", json_string(hex)));
}

/* With a node that does not answer there is work to do on the others, and nothing to be said of
 * which lives they are in. */
int
redis_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct redis *plugin = redis_from(ctx);
	int r;

	if (plugin->config == NULL)
		return (0); /* before open: this worker lives */
	if ((r = redis_nodes_ready(plugin, call, false, err)) != 0)
		return (r);
	if (redis_nodes_down(plugin) == NULL && tell_incarnation(plugin, call->result) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
