/*
 * What the daemon says of itself to anybody: health, seal, leader, init. No envelope, no token
 * (contract 2.1). The words are those that Vault's clients look for; there is one node, and it
 * serves unsealed or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "api/parse.h"
#include "api/reply.h"
#include "audit/audit.h"
#include "base/log.h"
#include "base/path.h"
#include "lease/hold.h"

#define CLUSTER_NAME "leased"

/* ?activecode=299: the status that the caller wants to see. -1: refused, and answered. */
static int
health_status(struct api_request *request, const char *parameter, int status)
{
	static const char *const known[] = {"activecode", "notreadycode", "standbycode",
	    "sealedcode", "uninitcode", "drsecondarycode", "performancestandbycode",
	    "haunhealthycode", "removedcode"};
	char value[16];
	bool bad = false;
	int wanted = status;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		char *end;
		long code;

		if (!path_query_get(request->http->query, known[i], value, sizeof(value), &bad) &&
		    !bad)
			continue;
		code = bad ? 0 : strtol(value, &end, 10);
		if (bad || *end != '\0' || code < 200 || code > 599) {
			api_reply_refuse(request, LEASED_EINVAL,
			    "bad status code in %s: a number from 200 to 599 is needed", known[i]);
			return (-1);
		}
		if (strcmp(known[i], parameter) == 0)
			wanted = (int)code;
	}
	return (wanted);
}

/* ?ready=true: the status says whether requests should be sent here, not only whether it lives. 1,
 * 0, or -1: refused, and answered. */
static int
health_asks_ready(struct api_request *request)
{
	char value[16];
	bool bad = false;
	int ready = 0;

	if (path_query_get(request->http->query, "ready", value, sizeof(value), &bad))
		ready = api_parse_bool(value);
	if (bad || ready < 0) {
		api_reply_refuse(
		    request, LEASED_EINVAL, "the query parameter ready must be true or false");
		return (-1);
	}
	return (ready);
}

/* Takes reasons. */
static int
health_put_ready(json_t *body, json_t *reasons)
{
	bool ready = json_array_size(reasons) == 0;

	return (json_object_update_new(
	    body, json_pack("{s:b, s:o}", "ready", (int)ready, "not_ready", reasons)));
}

/* Fields of our own: what keeps credentials from being made or from being ended. They change no
 * status: a client that asks for health wants to know whether to go on asking here. */
static int
health_put_work(const struct api_config *config, json_t *body)
{
	struct store_health store;
	struct lease_counts leases;

	store_health_get(config->store, &store);
	leases_counts(config->leases, &leases);
	return (json_object_update_new(
	    body, json_pack("{s:s, s:I, s:I, s:I, s:I}", "store",
		      leased_code_name(store.damaged ? LEASED_ECORRUPT : store.code), "quarantined",
		      (json_int_t)store.quarantined, "overdue", (json_int_t)leases.overdue,
		      "oldest_overdue_s", (json_int_t)(leases.oldest_overdue_ms / 1000),
		      "connections_down", (json_int_t)engines_connections_down(config->engines))));
}

/* A restored store that is held: how many leases wait for a person's word. */
static int
health_put_hold(const struct api_config *config, json_t *body)
{
	struct lease_hold hold;

	lease_hold_get(config->leases, &hold);
	if (!hold.held)
		return (0);
	return (json_object_update_new(body,
	    json_pack("{s:b, s:I}", "held", 1, "held_leases_waiting", (json_int_t)hold.waiting)));
}

static const char *
audit_word(const struct audit *audit)
{
	if (!audit_healthy(audit))
		return ("failing");
	return (audit_is_astray(audit) ? "astray" : "recording");
}

void
api_sys_health(struct api_request *request)
{
	struct api *api = request->api;
	int64_t now_s = wclock_wall_ms(api->config.clock) / 1000;
	bool audited = api->config.audit == NULL || audit_healthy(api->config.audit);
	bool healthy = !log_bug_seen() && audited;
	json_t *body, *reasons;
	int status, asks_ready;

	if ((asks_ready = health_asks_ready(request)) < 0)
		return;
	reasons = api_not_ready(api);
	if (asks_ready == 1 && json_array_size(reasons) > 0)
		status = health_status(request, "notreadycode", 503);
	else
		status = health_status(
		    request, healthy ? "activecode" : "haunhealthycode", healthy ? 200 : 474);
	if (status < 0) {
		json_decref(reasons);
		return;
	}
	body = json_pack("{s:b, s:b, s:b, s:b, s:s, s:s, s:I, s:s, s:b, s:s, s:s, s:s}",
	    "initialized", 1, "sealed", 0, "standby", 0, "performance_standby", 0,
	    "replication_performance_mode", "disabled", "replication_dr_mode", "disabled",
	    "server_time_utc", (json_int_t)now_s, "version", API_VERSION, "enterprise", 0,
	    "cluster_name", CLUSTER_NAME, "cluster_id", store_cluster_id(api->config.store),
	    "leased_version", LEASED_VERSION);
	if (health_put_ready(body, reasons) != 0 || health_put_work(&api->config, body) != 0 ||
	    health_put_hold(&api->config, body) != 0) {
		json_decref(body);
		body = NULL;
	}
	if (body != NULL && api->config.audit != NULL)
		(void)json_object_set_new(
		    body, "audit", json_string(audit_word(api->config.audit)));
	api_reply_raw(request, status, body);
}

void
api_sys_seal_status(struct api_request *request)
{
	api_reply_raw(request, 200,
	    json_pack("{s:s, s:b, s:b, s:i, s:i, s:i, s:s, s:s, s:s, s:b, s:s, s:s, s:b, s:s}",
		"type", "shamir", "initialized", 1, "sealed", 0, "t", 1, "n", 1, "progress", 0,
		"nonce", "", "version", API_VERSION, "build_date", "", "migration", 0,
		"cluster_name", CLUSTER_NAME, "cluster_id",
		store_cluster_id(request->api->config.store), "recovery_seal", 0, "storage_type",
		"sqlite"));
}

void
api_sys_leader(struct api_request *request)
{
	api_reply_raw(request, 200,
	    json_pack("{s:b, s:b, s:s, s:s}", "ha_enabled", 0, "is_self", 1, "leader_address", "",
		"leader_cluster_address", ""));
}

void
api_sys_init(struct api_request *request)
{
	if (request->operation == API_READ) {
		api_reply_raw(request, 200, json_pack("{s:b}", "initialized", 1));
		return;
	}
	/* Clients compare this text as a whole. */
	api_reply_exact(request, 400, "Vault is already initialized");
}
