/*
 * The API: one dispatcher for every request (authenticate, authorize, handle, reply) and one table
 * of every endpoint. What lies below a mount is engine/'s. Speaks the wire of the Vault API; runs
 * on the loop.
 */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>

#include "auth/auth.h"
#include "base/id.h"
#include "base/wclock.h"
#include "engine/engine.h"
#include "http/request.h"
#include "lease/lease.h"
#include "store/store.h"

struct api;

struct api_config {
	struct event_base *loop; /* NULL with an inline store */
	struct store *store;
	struct leases *leases;
	struct engines *engines;
	struct auth *auth;
	struct audit *audit; /* NULL: none is wanted */
	struct wclock *clock;
	struct id_source *ids;
	int64_t default_ttl_s, max_ttl_s; /* the system's */
	unsigned revoke_wait_ms; /* how long a revoke by hand waits for the end; 0: 10 000 */
	unsigned bulk_wait_ms;   /* the same for many; 0: 60 000 */
	unsigned (*connections)(void *arg); /* of clients; NULL: unknown */
	void *connections_arg;
};

/* A mark of listeners (http_server_mark()): who comes by it may read the metrics without a token,
 * also by the path that scrapers know. */
#define API_MARK_METRICS 1u
#define API_METRICS_PATH "/metrics"

int api_new(const struct api_config *config, struct api **ret_api,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Whoever is told something from now on only answers: no handler begins. NULL is fine. */
void api_stop(struct api *api);
/* No request may be under way. NULL is fine. */
void api_free(struct api *api);

/* For http_server_new(): arg is the api. */
void api_handle(struct http_request *request, void *arg);
unsigned api_in_flight(const struct api *api);

/* Numbered as Vault numbers its versions, since clients decide by it what they may ask. */
#define API_VERSION "1.16.3"

#endif
