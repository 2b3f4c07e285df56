/*
 * Inside engine/: the object behind engine.h, and a request on its way. Nobody
 * outside engine/ includes it.
 */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include <sys/queue.h>

#include "engine/change.h"
#include "engine/engine.h"
#include "engine/mount.h"
#include "engine/sweep.h"

/* One configured connection and the port to it. A candidate is a configuration that is being tried:
 * it has a document and leases (canaries) of its own, and no name in the API. */
struct engine_connection {
	LIST_ENTRY(engine_connection) link;
	int64_t id, mount;
	char *name;
	bool candidate;
	int64_t ceiling; /* of its leases; 0: the default */
	bool tried;      /* a candidate whose trial has ended: swept once it has no leases */
	bool closing;    /* a delete is under way */
	struct plugin_port *port; /* NULL: it could not be opened, and closed says why */
	struct leased_err closed;
	char server[128];   /* of the last trial, "" unknown */
	bool moved;         /* another one answers: engine_connection_stays() */
	json_t *moved_from; /* servers that it has taken over from (confirm_move), or NULL */
};

/* A document that was read lately (remember.c). */
#define ENGINE_REMEMBERED_MAX 64
struct engine_remembered {
	struct store_doc *doc; /* owned; NULL: none */
	uint64_t changes;      /* store_doc_changes() from before it was read */
};

struct engines {
	struct engines_config config;
	struct leases *leases;
	struct event *sweep, *rotations;  /* timers (connection.c, rotation_timer.c) */
	struct engine_rolevers *rolevers; /* the sweep of role versions */
	unsigned waiting, loading; /* what the store has to say yet; of it, who is to be opened */
	bool quiet;                /* about to stop: nobody is kept waiting */
	bool trial_begun, stopping, freed; /* freed: memory goes with the last of waiting */
	LIST_HEAD(, engine_mount) mounts;
	LIST_HEAD(, engine_connection) connections;
	LIST_HEAD(, engine_rotation) rotating;  /* passwords */
	int64_t rotations_pause_ms;             /* lease time: none begins before */
	LIST_HEAD(, engine_describe) describes; /* plugins that are asked what they take */
	struct engine_jwt *jwt;                 /* the issuer of JWTs (jwt.h) */
	LIST_HEAD(, ssh_mount) ssh;             /* what mounts of type ssh keep (ssh/ssh.h) */
	struct event *ssh_timer;
	struct engine_remembered remembered[ENGINE_REMEMBERED_MAX];
};

/* Around everything that is given to the store: the object outlives it. */
void engines_hold(struct engines *engines);
void engines_release(struct engines *engines);

/* ---- a request on its way ---- */
struct engine_request_copy {
	unsigned tag;
	struct engines *engines;
	const struct engine_mount *mount; /* borrowed until the handler waits: then by mount_id */
	int64_t mount_id;
	engine_reply_done done;
	void *arg;
	enum engine_operation operation;
	bool head;
	char *name;   /* what follows the verb of the path: "app" of "creds/app"; "" for none */
	json_t *body; /* an object, never NULL */
	char *request_id, *entity, *display_name;
	char *etag, *prefer; /* NULL: not said */
	int64_t token, token_left_s, max_leases;
	bool has_sudo;
	struct engine_reply reply; /* what will be said; data and warnings are owned here */
	void *state;               /* the handler's own, freed by free_state */
	void (*free_state)(void *state);
};
/* Ends the request: says reply and frees it. engine_fail: with an error. */
void engine_finish(struct engine_request_copy *request);
void engine_fail(struct engine_request_copy *request, int code, const char *fmt, ...)
    LEASED_PRINTF(3, 4);
void engine_fail_err(struct engine_request_copy *request, const struct leased_err *err);
/* Adds a warning; a warning lost to lack of memory is not worth failing for. */
void engine_warn(struct engine_request_copy *request, const char *fmt, ...) LEASED_PRINTF(2, 3);
/* The contract's warning for fields that nobody knows, each with the nearest known one. unknown:
 * json array; known: NULL-ended names. */
void engine_warn_unknown(
    struct engine_request_copy *request, const json_t *unknown, const char *const *known);
/* keys of the documents of kind below "<mount id>/", as a LIST answer. */
void engine_list_docs(struct engine_request_copy *request, const char *kind);
/* "<mount id>/<name>", the name of a document of a mount. */
#define ENGINE_DOC_NAME_SIZE 320
void engine_doc_name(int64_t mount, const char *name, char ret_name[ENGINE_DOC_NAME_SIZE]);
/* A new document, or NULL; takes data also then. */
struct store_doc *engine_doc_new(const char *kind, int64_t mount, const char *name, json_t *data);
/* An entity by its id, name or alias; LEASED_ENOENT. */
int engine_entity_find(struct engines *engines, const char *text, struct store_doc **ret_doc,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Is the mount still there, and not being removed? For after waiting, before a lease is begun. */
bool engine_mount_is_open(struct engine_request_copy *request);

/* ---- connections ---- */
struct engine_connection *engine_connection_find(struct engines *engines, int64_t id);
/* Opens (or opens anew) the port of a connection document. */
int engine_connection_open(struct engines *engines, const struct store_doc *doc,
    struct engine_connection **ret_connection, struct leased_err *err) LEASED_MUST_CHECK;
void engine_connection_close(struct engine_connection *connection);
void engine_connection_gone(struct engines *engines, struct engine_connection *connection);
/* LEASED_EMOVED, with what to do, while another server answers than the recorded one. */
int engine_connection_stays(const struct engine_connection *connection, struct leased_err *err);
int engine_connections_load(struct engines *engines, struct leased_err *err) LEASED_MUST_CHECK;
void engine_connections_free(struct engines *engines);

#endif
