/*
 * The JWT issuer: named keys with their rotation, roles, tokens. A named key is one document with
 * the pair that signs (`current`), the pair that will sign next and is published already (`next`),
 * and the public parts that signed before (`old`), each until the last token of it has ended.
 * Private parts are in that document, sealed, and in the workers; never in this memory.
 */
#ifndef ENGINE_JWT_H
#define ENGINE_JWT_H

#include "base/etag.h"
#include "base/jdec.h"
#include "base/jenc.h"
#include "engine/identity.h"
#include "engine/type.h"

#define JWT_KEYS_MAX 64     /* named keys: each is published as two or more */
#define JWT_OLD_MAX 32      /* public parts that one named key still publishes */
#define JWT_MAX_AGE_S 300   /* how long relying parties may keep the list of keys */
#define JWT_TAG 0x6a777421u /* "jwt!" */
#define JWT_PLACE_MAX 300
#define JWT_JTI_LEN 34 /* "j-" and 32 random characters */

struct jwt_key {
	LIST_ENTRY(jwt_key) link;
	int64_t id, version;
	char *name;
	json_t *data;     /* the document without private parts */
	bool busy;        /* being changed */
	int64_t known_ms; /* of this run: its next pair is in every list of keys from then on */
};

/* The list of keys as it is sent. */
struct jwt_list {
	struct jenc json; /* empty: it is to be written anew */
	char etag[ETAG_SIZE];
	int64_t until_ms; /* lease time: a key leaves it then */
};

struct engine_jwt {
	unsigned tag;
	struct engines *engines;
	LIST_HEAD(, jwt_key) keys;
	struct plugin_port *port; /* of all keys; NULL: not needed yet */
	struct event *timer;
	bool stale;                      /* the workers have not been given the keys of now */
	int64_t pause_ms;                /* lease time: no rotation begins before */
	LIST_HEAD(, jwt_change) changes; /* under way */
	struct jwt_denied *denied;       /* the list as it was last read */
	struct jwt_list list;
	json_t *settings; /* identity/oidc/config as it was last read; NULL: to be read */
	int64_t kept_ms; /* lease time: lists of before the last change of it are kept until then */
};

/* ---- jwt.c: keys in memory, the port ---- */
struct engine_jwt *engine_jwt_from(void *arg);
int engine_jwt_new(struct engines *engines, struct leased_err *err) LEASED_MUST_CHECK;
void engine_jwt_start(struct engine_jwt *jwt); /* with engines_start() */
void engine_jwt_stop(struct engine_jwt *jwt);  /* NULL is fine, here and below */
void engine_jwt_free(struct engine_jwt *jwt);
int engine_identity_mount(struct engines *engines, struct leased_err *err) LEASED_MUST_CHECK;
const struct engine_mount *engine_jwt_mount(struct engines *engines); /* NULL: not there yet */
struct jwt_key *engine_jwt_key_find(struct engine_jwt *jwt, const char *name);
/* The document was written (as data, whose private parts are left out) or deleted (NULL). */
int engine_jwt_key_remember(struct engine_jwt *jwt, const struct store_doc *doc) LEASED_MUST_CHECK;
void engine_jwt_key_forget(struct engine_jwt *jwt, int64_t id);
/* Opens the port if it is not, else gives its workers the keys that sign now. */
int engine_jwt_open(struct engine_jwt *jwt, bool changed, struct leased_err *err) LEASED_MUST_CHECK;
int64_t engine_jwt_number(const struct jwt_key *key, const char *object, const char *field);
const char *engine_jwt_text(const struct jwt_key *key, const char *object, const char *field);
/* A document of the mount; LEASED_ENOENT. */
int engine_jwt_doc(struct engines *engines, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
/* Is it there, and may something be begun? Else err says why not. */
int engine_jwt_ready(const struct engine_jwt *jwt, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- jwt_config.c ---- */
/* "https://host/v1/identity/oidc", to be freed; LEASED_EINVAL while none is configured. */
int engine_jwt_issuer(
    struct engines *engines, char **ret_issuer, struct leased_err *err) LEASED_MUST_CHECK;
int64_t engine_jwt_max_age_s(struct engines *engines);
/* When a list of keys that is handed out up to now_ms has been thrown away everywhere. */
int64_t engine_jwt_known_ms(struct engines *engines, int64_t now_ms);
void engine_jwt_config_read(struct engine_request_copy *request);
void engine_jwt_config_write(struct engine_request_copy *request);

/* ---- jwt_change.c: every change of a named key ---- */
enum jwt_aim { JWT_MAKE, JWT_SET, JWT_ROTATE, JWT_DELETE };
struct jwt_order {
	enum jwt_aim aim;
	const char *name;
	/* Of MAKE and SET: the members to be written over; taken in any case. */
	json_t *settings;
	int64_t verification_ttl_s; /* ROTATE: of the pair that goes; -1: as long as it covers */
};
/* done comes exactly once, perhaps before this returns. A key has one change at a time: else
 * LEASED_EUNAVAIL. */
void engine_jwt_change(
    struct engine_jwt *jwt, const struct jwt_order *order, engine_changed done, void *arg);

/* ---- jwt_timer.c ---- */
void engine_jwt_timer_start(struct engine_jwt *jwt);
void engine_jwt_timer_wake(struct engine_jwt *jwt);
void engine_jwt_timer_stop(struct engine_jwt *jwt);
/* Begins what is due; milliseconds until it wants to be called again. */
int64_t engine_jwt_tick(struct engine_jwt *jwt);
/* When the key's next rotation can be: not before its next pair is known everywhere. */
int64_t engine_jwt_due_ms(const struct jwt_key *key);

/* ---- jwt_denied.c ---- */
void engine_jwt_denied_purge(struct engine_jwt *jwt);
void engine_jwt_denied_free(struct engine_jwt *jwt);

/* The type's lease_ended: a token that ends early goes on the list. */
int engine_jwt_ended(struct store_txn *txn, const struct lease_plain_ended *ended,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- jwt_publish.c ---- */
void engine_jwt_list_drop(struct engine_jwt *jwt); /* a key is not what it was */

#endif
