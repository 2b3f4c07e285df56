/*
 * Engines: what a mounted path means. A mount is a document of kind "mount"; its type (type.h: a
 * row each) answers every path below it. Runs on the loop.
 *
 * api/ authenticates, authorizes and routes by longest prefix; an engine sees only the path below
 * its mount and who asks. It never sees HTTP.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

#include "engine/leases.h"
#include "engine/page.h"
#include "plugin/plugin.h"
#include "store/store.h"

struct engines;

struct engines_config {
	struct event_base *loop;
	struct store *store;
	struct plugin_host *host;
	struct wclock *clock;
	struct id_source *ids;
	int64_t default_ttl_s, max_ttl_s; /* the system's */
	int64_t connection_ceiling;       /* rows a connection may have; 0: 10 000 */
	/* As plugin_port_open(), which NULL means; for tests. */
	struct plugin_port *(*port_open)(struct plugin_host *, const struct plugin_catalog_row *,
	    json_t *config, unsigned pool, int64_t connection);
};
/* Reads the mounts (making "database/" at first start). Blocks; for start only. */
int engines_new(const struct engines_config *config, struct engines **ret_engines,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Opens the ports of the configured connections. leases is borrowed until engines_stop(). */
void engines_start(struct engines *engines, struct leases *leases);
/* Nothing is begun from here on that needs leases: before leases_free(). */
void engines_stop(struct engines *engines);
/* Closes every port; after leases_free(). What the store still has to say may come later. */
void engines_free(struct engines *engines); /* NULL is fine */

/* For leases_config: arg is the engines. */
struct plugin_port *engines_port_for(void *arg, int64_t connection);
const char *engines_mount_path(void *arg, int64_t mount);
const char *engines_server_of(void *arg, int64_t connection, const char *recorded);
void engines_restore_released(struct engines *engines); /* its hold: what it kept may be due */
/* Those that nothing is minted on now: in back-off, not open, or moved. */
unsigned engines_connections_down(struct engines *engines);

/* ---- mounts ---- */
struct engine_mount; /* borrowed; valid until the loop turns */
/* By longest prefix of path ("database/creds/app"); *ret_rest is the path below it. NULL: none. */
const struct engine_mount *engines_route(
    struct engines *engines, const char *path, const char **ret_rest);
const char *engine_mount_path(const struct engine_mount *mount); /* "database/" */
const char *engine_mount_type(const struct engine_mount *mount);
int64_t engine_mount_id(const struct engine_mount *mount);
/* The info object of contract 2.2; a new reference. */
json_t *engine_mount_info(const struct engine_mount *mount);
/* {"database/": info, ..}: a new reference. */
json_t *engines_mounts(struct engines *engines);
typedef void (*engine_done)(void *arg, int code, const struct leased_err *err);
void engines_mount_add(
    struct engines *engines, const char *path, const json_t *body, engine_done done, void *arg);
/* Revokes all leases below it, then unmounts. LEASED_EUNAVAIL while leases wait: the mount stays. 0
 * when there was none. */
void engines_mount_remove(struct engines *engines, const char *path, const char *cause,
    const struct lease_actor *actor, engine_done done, void *arg);

/* ---- requests below a mount ---- */

enum engine_operation { ENGINE_READ, ENGINE_LIST, ENGINE_WRITE, ENGINE_PATCH, ENGINE_DELETE };

/* Who asks, as far as leases care. */
struct engine_caller {
	const char *entity;          /* "" for root */
	int64_t token, token_left_s; /* token id, 0: none (a peer); -1: it does not end */
	const char *display_name;    /* "token", "root", "uid-1001" */
	int64_t max_leases;          /* of the identity, 0: no cap */
	bool has_sudo;               /* on this path */
};

struct engine_request {
	enum engine_operation operation;
	bool head;          /* HEAD: must have no effect; status 405 where it would mint */
	const char *path;   /* below the mount: "creds/app" */
	const json_t *body; /* object, or NULL */
	struct engine_caller caller;
	const char *request_id;
	const char *etag, *prefer; /* If-None-Match and Prefer as they came, or NULL */
};

struct engine_reply { /* borrowed for the callback; data and warnings may be kept */
	int code;     /* 0, or a leased_code with err */
	int status;   /* 0: by code (api/), else this HTTP status */
	struct leased_err err;
	json_t *data;         /* NULL: nothing: 404 for read and list, 204 for the others */
	json_t *warnings;     /* array of texts or NULL */
	const char *lease_id; /* NULL: none */
	bool renewable;
	int64_t lease_duration_s;
	int64_t lease_row;              /* for lease_delivery(); 0: none */
	bool raw;                       /* data is the whole answer, without an envelope */
	const struct engine_page *page; /* NULL: none; else it is the whole answer */
};
typedef void (*engine_reply_done)(void *arg, const struct engine_reply *reply);
/* May call back before it returns. request is borrowed for the call. */
void engine_handle(struct engines *engines, const struct engine_mount *mount,
    const struct engine_request *request, engine_reply_done done, void *arg);

/* The daemon is about to stop: who only waits for something to change is answered now. */
void engines_quiet(struct engines *engines);

#endif
