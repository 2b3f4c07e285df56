/*
 * The stand-ins of edge.h. Their names are those of http/ and engine/.
 */
#include "engine/identity.h"
#include "engine/name.h"
#include "unit/api/edge.h"

#include "engine/stats.h"

struct fake_engine fake_engine;

/* ---- the edge ---- */

const char *
http_method_name(enum http_method method)
{
	static const char *const names[] = {
	    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "LIST"};

	return (names[method]);
}

const char *
http_request_header(const struct http_request *request, const char *name)
{
	const struct answer *answer = (const struct answer *)request;

	if (strcasecmp(name, "X-Vault-Token") == 0)
		return (answer->ask->token);
	if (answer->ask->header != NULL && strcasecmp(name, answer->ask->header) == 0)
		return (answer->ask->header_value);
	return (NULL);
}

void
http_reply_header(struct http_reply *reply, const char *name, const char *value)
{
	assert_in_range(reply->header_count, 0, HTTP_REPLY_HEADERS - 1);
	reply->headers[reply->header_count].name = name;
	reply->headers[reply->header_count++].value = strdup(value);
}

void
http_reply_send(struct http_request *request, struct http_reply *reply)
{
	struct answer *answer = (struct answer *)request;

	assert_int_equal(answer->count++, 0);
	answer->status = reply->status;
	answer->type = reply->content_type;
	answer->watched = reply->on_delivery != NULL;
	if (reply->body != NULL) {
		assert_int_equal(reply->body[reply->body_len - 1], '\n');
		answer->text = strndup(reply->body, reply->body_len);
		answer->body = json_loadb(reply->body, reply->body_len, 0, NULL);
	}
	for (unsigned i = 0; i < reply->header_count; i++)
		free(reply->headers[i].value);
	free(reply->body);
	if (reply->on_delivery != NULL)
		reply->on_delivery(
		    reply->on_delivery_arg, answer->ask->lost ? HTTP_LOST : HTTP_DELIVERED);
}

/* ---- the engine ---- */

struct engine_mount {
	int unused;
};
static struct engine_mount database;

const struct engine_mount *
engines_route(struct engines *engines, const char *path, const char **ret_rest)
{
	(void)engines;
	if (strncmp(path, "database/", 9) != 0)
		return (NULL);
	*ret_rest = path + 9;
	return (&database);
}

const char *
engine_mount_path(const struct engine_mount *mount)
{
	(void)mount;
	return ("database/");
}

const char *
engine_mount_type(const struct engine_mount *mount)
{
	(void)mount;
	return ("database");
}

int64_t
engine_mount_id(const struct engine_mount *mount)
{
	(void)mount;
	return (MOUNT);
}

const char *
engines_mount_path(void *arg, int64_t mount)
{
	(void)arg;
	return (mount == MOUNT ? "database/" : NULL);
}

json_t *
engine_mount_info(const struct engine_mount *mount)
{
	(void)mount;
	return (json_pack(
	    "{s:s, s:s, s:{}}", "type", "database", "accessor", "database_12345678", "config"));
}

int64_t
engines_connection_named(struct engines *engines, const char *name)
{
	(void)engines;
	return (strcmp(name, "main") == 0 ? 1 : 0);
}

void
engines_connection_name(
    struct engines *engines, int64_t connection, char ret_name[ENGINE_CONNECTION_NAME_SIZE])
{
	(void)engines;
	(void)connection;
	(void)snprintf(ret_name, ENGINE_CONNECTION_NAME_SIZE, "database/main");
}

unsigned
engines_connections_down(struct engines *engines)
{
	(void)engines;
	return (3);
}

void
engines_metrics(struct engines *engines, struct metrics_page *page)
{
	(void)engines;
	metrics_page_family(page, METRICS_KIND_GAUGE, "leased_connection_up", "Up?");
	metrics_page_sample(page, 1, METRICS_LABELS({"connection", "main"}));
}

void
engines_restore_released(struct engines *engines)
{
	(void)engines;
}

bool
engines_are_loading(const struct engines *engines)
{
	(void)engines;
	return (fake_engine.loading);
}

json_t *
engines_mounts(struct engines *engines)
{
	(void)engines;
	return (json_pack("{s:o}", "database/", engine_mount_info(NULL)));
}

void
engines_mount_add(
    struct engines *engines, const char *path, const json_t *body, engine_done done, void *arg)
{
	(void)engines;
	(void)path;
	(void)body;
	done(arg, 0, NULL);
}

void
engines_mount_remove(struct engines *engines, const char *path, const char *cause,
    const struct lease_actor *actor, engine_done done, void *arg)
{
	(void)engines;
	(void)path;
	(void)cause;
	(void)actor;
	done(arg, 0, NULL);
}

int
engine_exists(struct engines *engines, const struct engine_mount *mount, const char *path)
{
	(void)engines;
	(void)mount;
	(void)path;
	return (fake_engine.exists);
}

bool
engine_needs_sudo(const struct engine_mount *mount, const char *path)
{
	(void)mount;
	return (strncmp(path, "rotate-root/", 12) == 0);
}

bool
engine_is_open(const struct engine_mount *mount, const char *path)
{
	(void)mount;
	(void)path;
	return (false);
}

bool
engine_takes_basic(const struct engine_mount *mount, const char *path)
{
	(void)mount;
	return (strcmp(path, "introspect") == 0);
}

bool
engine_also_reads(const struct engine_mount *mount, const char *path, char *ret_path, size_t size)
{
	(void)mount;
	(void)path;
	(void)ret_path;
	(void)size;
	return (false);
}

bool
engine_renew_inputs(
    struct engines *engines, const struct store_lease *row, struct lease_ttl_input *ret_ttl)
{
	(void)engines;
	(void)row;
	(void)ret_ttl;
	return (false);
}

void
engine_handle(struct engines *engines, const struct engine_mount *mount,
    const struct engine_request *request, engine_reply_done done, void *arg)
{
	(void)engines;
	(void)mount;
	fake_engine.handled++;
	fake_engine.caller = request->caller;
	(void)snprintf(fake_engine.path, sizeof(fake_engine.path), "%s", request->path);
	done(arg, &fake_engine.reply);
}

void
engines_identity_discovery(struct engines *engines, struct identity_page *ret_page)
{
	(void)engines;
	*ret_page = (struct identity_page){.code = LEASED_EINVAL};
}

void
engines_identity_keys(struct engines *engines, struct identity_page *ret_page)
{
	(void)engines;
	*ret_page =
	    (struct identity_page){.body = json_pack("{s:[s]}", "keys", "a"), .max_age_s = 300};
}

void
engines_identity_denied(struct engines *engines, identity_page_done done, void *arg)
{
	struct identity_page page = {.body = json_pack("{s:[]}", "denied")};

	(void)engines;
	done(arg, &page);
}

int
engines_identity_introspect(struct engines *engines, const char *token, const char *client_id,
    bool *ret_active, const char **ret_why, struct leased_err *err)
{
	(void)engines;
	(void)client_id;
	(void)err;
	*ret_active = strcmp(token, "good") == 0;
	*ret_why = *ret_active ? "" : "it is not";
	return (0);
}

/* ---- asking ---- */

int
edge_setup(void **state)
{
	struct edge *edge = calloc(1, sizeof(*edge));
	struct leased_err err = LEASED_ERR_INIT;
	struct api_config config = {.default_ttl_s = 3600, .max_ttl_s = 2764800};

	memset(&fake_engine, 0, sizeof(fake_engine));
	fake_engine.exists = -1;
	edge->fix = fix_new();
	config.store = edge->fix->store;
	config.leases = edge->fix->leases;
	config.auth = edge->fix->auth;
	config.clock = &edge->fix->clock.clock;
	config.ids = &edge->fix->ids.source;
	assert_int_equal(api_new(&config, &edge->api, &err), 0);
	*state = edge;
	return (0);
}

int
edge_teardown(void **state)
{
	struct edge *edge = *state;

	assert_int_equal(api_in_flight(edge->api), 0);
	api_free(edge->api);
	fix_free(edge->fix);
	free(edge);
	return (0);
}

struct answer
edge_ask(struct edge *edge, const struct ask *ask)
{
	struct http_peer peer = {.kind = ask->tcp ? HTTP_PEER_TCP : HTTP_PEER_UNIX,
	    .uid = ask->uid,
	    .gid = 12345,
	    .marks = ask->marks};
	struct answer answer = {.ask = ask};

	answer.request.method = ask->method;
	answer.request.path = ask->path;
	answer.request.query = ask->query != NULL ? ask->query : "";
	answer.request.body = (const uint8_t *)(ask->body != NULL ? ask->body : "");
	answer.request.body_len = strlen((const char *)answer.request.body);
	answer.request.peer = &peer;
	api_handle(&answer.request, edge->api);
	for (int i = 0; i < 200 && answer.count == 0; i++) {
		settle(edge->fix);
		if (answer.count == 0)
			later(edge->fix, 500);
	}
	assert_int_equal(answer.count, 1);
	settle(edge->fix);
	return (answer);
}

void
answer_clear(struct answer *answer)
{
	json_decref(answer->body);
	free(answer->text);
	answer->body = NULL;
	answer->text = NULL;
}

int
edge_status(struct edge *edge, enum http_method method, const char *path, const char *body,
    const char *token)
{
	struct ask ask = {.method = method, .path = path, .body = body, .token = token};
	struct answer answer = edge_ask(edge, &ask);
	int status = answer.status;

	answer_clear(&answer);
	return (status);
}
