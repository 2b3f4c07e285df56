/*
 * Who asks: tokens, and peers of the Unix socket (DESIGN.md). A request becomes a struct
 * auth_identity; what the identity may do is policy/'s to say, by identity->acl. Owns tokens,
 * entities, policies as documents, roles of auth/unix.
 *
 * Everything runs on the loop. Callbacks may come before the starting call returns.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <leased/error.h>
#include <leased/secret.h>

#include "base/id.h"
#include "base/jdec.h"
#include "base/wclock.h"
#include "http/peer.h"
#include "lease/lease.h"
#include "policy/policy.h"
#include "store/store.h"

struct auth;
struct auth_token; /* token.h */
struct event_base;

struct auth_config {
	struct event_base *loop; /* NULL with an inline store */
	struct store *store;
	struct leases *leases;
	struct wclock *clock;
	struct id_source *ids;
	int64_t default_ttl_s, max_ttl_s; /* the system's */
	bool dev;                         /* peers that are root or own_uid hold the root policy */
	uid_t own_uid;
};
/* Blocks while it makes its accessors at the first start; for start only. */
int auth_new(const struct auth_config *config, struct auth **ret_auth,
    struct leased_err *err) LEASED_MUST_CHECK;
void auth_free(struct auth *auth); /* NULL is fine; identities must have been released */

struct auth_identity {
	unsigned tag, references;
	bool root;     /* holds the root policy: a flag, never found out by a name */
	bool peer;     /* by the kernel's word; false: by a token */
	bool last_use; /* this request took the token's last use: it ends behind it */
	bool limited;  /* the token has a number of uses */
	bool orphan;
	int64_t token;      /* token id, 0: a peer */
	int64_t parent;     /* token id, 0: none */
	int64_t expires_ms; /* lease time, 0: never; its token's end or an ancestor's */
	int64_t max_leases; /* 0: no cap */
	uid_t uid;          /* of a peer */
	char accessor[25];
	char entity[ID_UUID_SIZE]; /* "" for root tokens */
	char *display_name;
	json_t *policies;          /* array of names, sorted */
	struct auth_token *record; /* the token as it was read, NULL: a peer; owned */
	struct auth_acl *shared_acl;
	const struct policy_acl *acl; /* borrowed from shared_acl */
};
struct auth_identity *auth_identity_acquire(struct auth_identity *identity);
void auth_identity_release(struct auth_identity *identity); /* NULL is fine */

typedef void (*auth_done)(
    void *arg, int code, struct auth_identity *identity, const struct leased_err *err);
/*
 * token: the client's, or NULL; a token wins over the peer. LEASED_EDENIED for every wrong, ended
 * or missing one alike. done borrows identity.
 */
void auth_authenticate(
    struct auth *auth, const char *token, const struct http_peer *peer, auth_done done, void *arg);
/* Seconds that the identity's token has left, -1: it does not end. */
int64_t auth_identity_left_s(struct auth *auth, const struct auth_identity *identity);
typedef void (*auth_write_done)(void *arg, int code, const struct leased_err *err);

/* The text as it was written; LEASED_ENOENT. The caller frees it. "root" is empty. */
int auth_policy_get(
    struct auth *auth, const char *name, char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;
bool auth_policy_exists(struct auth *auth, const char *name);
void auth_policy_put(
    struct auth *auth, const char *name, const char *text, auth_write_done done, void *arg);
/* Gone or never there: 0 both. */
void auth_policy_delete(struct auth *auth, const char *name, auth_write_done done, void *arg);
/* Adds the names that no document holds (default, root, those of the configuration) to an array. */
int auth_policy_builtin_names(struct auth *auth, json_t *names) LEASED_MUST_CHECK;

/* A new reference; LEASED_ENOENT. */
int auth_unix_role_get(struct auth *auth, const char *name, json_t **ret_role,
    struct leased_err *err) LEASED_MUST_CHECK;
/* body merged over what is stored, checked; *ret_unknown as of jdec_decode(). Both are the
 * caller's. */
int auth_unix_role_check(struct auth *auth, const char *name, const json_t *body, json_t **ret_data,
    json_t **ret_unknown, struct leased_err *err) LEASED_MUST_CHECK;
/* Writes what was checked; data is taken. */
void auth_unix_role_put(
    struct auth *auth, const char *name, json_t *data, auth_write_done done, void *arg);
void auth_unix_role_delete(struct auth *auth, const char *name, auth_write_done done, void *arg);
int auth_unix_role_names(struct auth *auth, json_t *names) LEASED_MUST_CHECK;

/* Sorts an array of strings and drops repeats; a new array, NULL: out of memory. */
json_t *auth_names_sort(const json_t *names);

/* The table of sys/auth: {"token/": info, "unix/": info}; a new reference. */
json_t *auth_mounts(struct auth *auth);

#endif
