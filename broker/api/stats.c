/*
 * Counts requests by what was asked and how it was answered, and says what keeps the daemon from
 * being ready. Called for every answer (reply.c), by sys/health and by sys/metrics.
 */
#include "api/stats.h"

#include <string.h>

#include "api/api_private.h"
#include "api/handlers.h"
#include "audit/audit.h"
#include "base/log.h"
#include "engine/stats.h"
#include "lease/stats.h"

static bool
starts(const char *path, const char *with)
{
	return (strncmp(path, with, strlen(with)) == 0);
}

static enum api_class
class_of(const struct api_request *request)
{
	const char *match = request->match;

	if (request->route == NULL) {
		if (request->mount == NULL || match == NULL)
			return (API_CLASS_NONE);
		return (starts(request->mount_rest, "creds/") ||
				starts(request->mount_rest, "static-creds/")
			    ? API_CLASS_CREDENTIALS
			    : API_CLASS_MOUNTED);
	}
	if ((request->route->flags & API_STATE) != 0)
		return (API_CLASS_METRICS);
	if ((request->route->flags & (API_OPEN | API_CALLER)) == API_OPEN)
		return (API_CLASS_STATE);
	if (starts(match, "auth/"))
		return (API_CLASS_AUTH);
	return (
	    starts(match, "sys/leases") || starts(match, "sys/renew") || starts(match, "sys/revoke")
		? API_CLASS_LEASES
		: API_CLASS_SYSTEM);
}

void
api_stats_count(const struct api_request *request, int status)
{
	int hundred = status / 100 - 1;

	if (hundred >= 0 && hundred < API_STATUS_CLASSES)
		request->api->stats.requests[class_of(request)][hundred]++;
}

/* ---- readiness ---- */

json_t *
api_not_ready(struct api *api)
{
	const struct api_config *config = &api->config;
	struct store_health store;
	bool audit_fails = config->audit != NULL && !audit_healthy(config->audit);
	json_t *reasons = json_array();
	int r = 0;

	store_health_get(config->store, &store);
	const struct {
		bool holds;
		const char *reason;
	} rows[] = {
	    {api->stopping, "stopping"},
	    {log_bug_seen(), "internal_error"},
	    {engines_are_loading(config->engines) || leases_are_recovering(config->leases),
		"recovering"},
	    {leases_clock_in_doubt(config->leases), "clock_unconfirmed"},
	    {store.damaged, "store_damaged"},
	    {store.code == LEASED_ENOSPC, "store_full"},
	    {store.code != 0 && store.code != LEASED_ENOSPC, "store_failing"},
	    {audit_fails, "audit_failing"},
	    {audit_fails && audit_is_shut_out(config->audit), "audit_directory_replaced"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].holds)
			r |= json_array_append_new(reasons, json_string(rows[i].reason));
	if (r == 0)
		return (reasons);
	json_decref(reasons);
	return (NULL);
}
