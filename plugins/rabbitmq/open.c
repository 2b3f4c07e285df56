/*
 * Describe, open and ping: what the plugin is, and the one cluster that a worker works on. Called
 * through the plugin's table.
 */
#include "rabbitmq.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

struct rabbitmq *
rabbitmq_from(void *ctx)
{
	struct rabbitmq *plugin = ctx;

	if (plugin == NULL || plugin->tag != RABBITMQ_TAG)
		abort();
	return (plugin);
}

int
rabbitmq_describe(void *ctx, struct leased_call *call, struct leased_err *err)
{
	json_t *fields = rabbitmq_config_fields(), *more;

	(void)ctx;
	more = json_pack("{s:i, s:s, s:b, s:s, s:b, s:[s,s,s], s:[s,s,s], s:o?}", "name_max",
	    RABBITMQ_NAME_MAX, "name_alphabet", "A-Za-z0-9_.-", "native_expiry", 0, "dialect",
	    "none", "default_statements", 1, "role_fields", "tags", "vhosts", "vhost_topics",
	    "role_needs", "tags", "vhosts", "vhost_topics", "config_fields", fields);
	if (fields == NULL || more == NULL || json_object_update(call->result, more) != 0)
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(more);
	return (err->code);
}

/* ---- open ---- */

static int
make_client(struct rabbitmq *plugin, struct leased_err *err)
{
	static const char theirs[] = "base_url:";
	const struct sdk_web_config config = {.base_url = plugin->config->uri,
	    .ca_cert = plugin->config->ca_cert,
	    .allow_plain_http = true};
	char text[sizeof(err->text)];
	int r;

	if ((r = sdk_web_new(&config, &plugin->web, err)) == 0)
		return (sdk_web_confine(plugin->web, err));
	memcpy(text, err->text, sizeof(text));
	if (strncmp(text, theirs, sizeof(theirs) - 1) == 0)
		(void)leased_err_set(err, r, "connection_uri:%.400s", text + sizeof(theirs) - 1);
	return (r);
}

/* One GET whose answer must be there. */
static int
get(struct rabbitmq *plugin, struct leased_call *call, const char *first, const char *second,
    long *ret_status, json_t **ret_value, struct leased_err *err)
{
	const struct rabbitmq_request request = {.method = "GET"};

	return (
	    rabbitmq_send(plugin, call, &request, ret_status, ret_value, err, first, second, NULL));
}

/* Either password may be the right one while it is being changed. */
static int
log_in(struct rabbitmq *plugin, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq_config *config = plugin->config;
	struct leased_secret *other = config->password_candidate;
	json_t *answer = NULL;
	long status = 0;
	char *tags;
	int r;

	if ((r = get(plugin, call, "whoami", NULL, &status, &answer, err)) != 0)
		return (r);
	if (status == 401 && other != NULL &&
	    strcmp(rabbitmq_reason(answer), "Login failed") == 0) {
		config->password_candidate = config->password;
		config->password = other;
		json_decref(answer);
		answer = NULL;
		if ((r = get(plugin, call, "whoami", NULL, &status, &answer, err)) != 0)
			return (r);
	}
	tags = rabbitmq_user_tags(answer);
	if (status != 200)
		r = rabbitmq_refused(plugin, "use the management API", status, answer, err);
	else if (tags == NULL || strstr(tags, "administrator") == NULL)
		r = rabbitmq_refused(plugin, "make users", 401, NULL, err);
	free(tags);
	json_decref(answer);
	return (r);
}

/* Servers before 3.8 have no id: the name, which people may change. */
static int
read_cluster_name(struct rabbitmq *plugin, struct leased_call *call,
    char ret_server[RABBITMQ_SERVER_SIZE], struct leased_err *err)
{
	json_t *overview = NULL;
	const char *name;
	long status = 0;
	int r;

	if ((r = get(plugin, call, "overview", NULL, &status, &overview, err)) != 0)
		return (r);
	name = json_string_value(json_object_get(overview, "cluster_name"));
	if (status == 200 && name != NULL && name[0] != '\0')
		(void)snprintf(ret_server, RABBITMQ_SERVER_SIZE, "cluster %.100s", name);
	else
		r = rabbitmq_refused(plugin, "learn the cluster's name", status, overview, err);
	json_decref(overview);
	return (r);
}

/* The cluster's own id, made at its first start and kept with its users. */
static int
read_identity(struct rabbitmq *plugin, struct leased_call *call,
    char ret_server[RABBITMQ_SERVER_SIZE], struct leased_err *err)
{
	json_t *answer = NULL;
	const char *id;
	long status = 0;
	int r;

	if ((r = get(plugin, call, "global-parameters", "internal_cluster_id", &status, &answer,
		 err)) != 0)
		return (r);
	id = json_string_value(json_object_get(answer, "value"));
	if (status == 200 && id != NULL && id[0] != '\0' && strlen(id) < RABBITMQ_SERVER_SIZE)
		memcpy(ret_server, id, strlen(id) + 1);
	else if (rabbitmq_is_absent(status, answer))
		r = read_cluster_name(plugin, call, ret_server, err);
	else
		r = rabbitmq_refused(plugin, "learn the cluster's id", status, answer, err);
	json_decref(answer);
	return (r);
}

int
rabbitmq_same_server(struct rabbitmq *plugin, struct leased_call *call, struct leased_err *err)
{
	char server[RABBITMQ_SERVER_SIZE];
	int r;

	if ((r = read_identity(plugin, call, server, err)) != 0 ||
	    strcmp(server, plugin->server) == 0)
		return (r);
	return (leased_err_set(err, LEASED_EMOVED,
	    "the cluster %s answers now, where %s did: nothing is touched", server,
	    plugin->server));
}

/* Where clients connect: the host is the one that we reach it by, the port that of AMQP. */
static json_t *
endpoint(const struct rabbitmq *plugin, const json_t *overview)
{
	const json_t *listeners = json_object_get(overview, "listeners"), *one;
	json_int_t plain = 0, tls = 0;
	const char *protocol;
	json_t *object;
	char port[24];
	size_t i;

	json_array_foreach(listeners, i, one)
	{
		protocol = json_string_value(json_object_get(one, "protocol"));
		if (protocol != NULL && strcmp(protocol, "amqp") == 0)
			plain = json_integer_value(json_object_get(one, "port"));
		else if (protocol != NULL && strcmp(protocol, "amqp/ssl") == 0)
			tls = json_integer_value(json_object_get(one, "port"));
	}
	object = json_pack(
	    "{s:s, s:s}", "scheme", tls != 0 ? "amqps" : "amqp", "host", sdk_web_host(plugin->web));
	(void)snprintf(port, sizeof(port), "%lld", (long long)(tls != 0 ? tls : plain));
	if (object != NULL && (tls != 0 || plain != 0) &&
	    json_object_set_new(object, "port", json_string(port)) != 0) {
		json_decref(object);
		object = NULL;
	}
	return (object);
}

static void
forget(struct rabbitmq *plugin)
{
	sdk_web_free(plugin->web);
	plugin->web = NULL;
	rabbitmq_config_free(plugin->config);
	plugin->config = NULL;
	plugin->server[0] = '\0';
}

/* The first answer is of something else: most often of the port that clients use. */
static int
name_wrong_port(int r, struct leased_err *err)
{
	char text[sizeof(err->text)];

	if (strstr(err->text, SDK_WEB_NO_HTTP) == NULL && strstr(err->text, "no JSON") == NULL)
		return (r);
	memcpy(text, err->text, sizeof(text));
	return (leased_err_set(err, r,
	    "%.300s. It is not the management API, whose port is 15672, or 15671 with TLS (AMQP "
	    "has 5672 and 5671): change connection_uri",
	    text));
}

int
rabbitmq_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	struct rabbitmq_config *config = NULL;
	json_t *overview = NULL;
	long status = 0;
	int r;

	if ((r = rabbitmq_config_new(json_object_get(call->params, "config"), &config, err)) != 0)
		return (r);
	forget(plugin); /* an open that failed may be repeated */
	plugin->config = config;
	if ((r = make_client(plugin, err)) != 0)
		return (r);
	if ((r = log_in(plugin, call, err)) != 0)
		return (name_wrong_port(r, err));
	if ((r = get(plugin, call, "overview", NULL, &status, &overview, err)) != 0)
		return (r);
	if (status != 200)
		r = rabbitmq_refused(plugin, "look at the cluster", status, overview, err);
	else
		r = read_identity(plugin, call, plugin->server, err);
	if (r == 0 &&
	    (json_object_set_new(call->result, "server", json_string(plugin->server)) != 0 ||
		json_object_set_new(call->result, "endpoint", endpoint(plugin, overview)) != 0))
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	json_decref(overview);
	return (r);
}

/* Which processes the nodes are: another one after a restart. Nodes come in the API's own order,
 * which is that of their names. */
static int
tell_incarnation(const json_t *nodes, json_t *result, struct leased_err *err)
{
	unsigned char digest[32];
	unsigned len = sizeof(digest);
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	char hex[65] = "";
	const json_t *one;
	size_t i;
	int bad = hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1;

	json_array_foreach(nodes, i, one)
	{
		const json_t *name = json_object_get(one, "name");
		const json_t *pid = json_object_get(one, "os_pid");

		if (bad != 0 || json_string_length(pid) == 0)
			continue; /* it is down */
		bad |= EVP_DigestUpdate(
			   hash, json_string_value(name), json_string_length(name) + 1) != 1;
		bad |= EVP_DigestUpdate(
			   hash, json_string_value(pid), json_string_length(pid) + 1) != 1;
	}
	bad = bad != 0 || EVP_DigestFinal_ex(hash, digest, &len) != 1;
	for (i = 0; i < sizeof(digest); i++)
		(void)snprintf(hex + i * 2, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(hash);
	if (bad != 0 || json_object_set_new(result, "incarnation", json_string(hex)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
rabbitmq_ping(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const struct rabbitmq_request request = {.method = "GET", .query = "columns=name,os_pid"};
	struct rabbitmq *plugin = rabbitmq_from(ctx);
	json_t *nodes = NULL;
	long status = 0;
	int r;

	if (plugin->config == NULL)
		return (0); /* before open: this worker lives */
	if ((r = rabbitmq_same_server(plugin, call, err)) != 0 ||
	    (r = rabbitmq_send(plugin, call, &request, &status, &nodes, err, "nodes", NULL)) != 0)
		return (r);
	if (status != 200 || !json_is_array(nodes))
		r = rabbitmq_refused(plugin, "look at the nodes", status, nodes, err);
	else
		r = tell_incarnation(nodes, call->result, err);
	json_decref(nodes);
	return (r);
}
