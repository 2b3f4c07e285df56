/*
 * What the files of auth/ share. Nobody else includes it.
 */
#ifndef AUTH_AUTH_PRIVATE_H
#define AUTH_AUTH_PRIVATE_H

#include "auth/auth.h"
#include "auth/token.h"
#include "auth/token_cache.h"
#include "auth/unix_role.h"

#define AUTH_TAG 0x61757468u          /* "auth" */
#define AUTH_IDENTITY_TAG 0x69646e74u /* "idnt" */

#define AUTH_ACL_SLOTS 64     /* compiled policy sets that are kept */
#define AUTH_ENTITY_SLOTS 256 /* uids whose entity is kept */
#define AUTH_ROLES_MAX 256    /* roles of auth/unix: all are looked at for every peer */
#define AUTH_DEPTH_MAX 32     /* generations of tokens: each request looks at all of them */
#define AUTH_NAME_MAX 128     /* bytes of a policy's or a role's name */
#define AUTH_POLICIES_MAX 64  /* policies of a token */
#define AUTH_RULES_MAX 500    /* rules of a policy, and of all that an identity holds */
#define AUTH_SET_RULES_MAX 2000
#define AUTH_TOKEN_DENIED "permission denied: the token is not valid, or it has ended"
#define AUTH_UID_NOBODY 65534u /* what unmapped users look like: nobody's identity */

/* A compiled set of policies, shared by the identities that hold just these. */
struct auth_acl {
	unsigned references;
	char *key; /* the names, a newline behind each */
	struct policy_acl *acl;
	struct leased_err refused; /* code not 0: why there is no acl; asked once, not each time */
};

struct auth_entity_slot {
	bool used;
	uid_t uid;
	char entity[ID_UUID_SIZE];
};

struct auth {
	unsigned tag;
	struct auth_config config;
	char token_accessor[32], unix_accessor[32];
	char token_uuid[ID_UUID_SIZE], unix_uuid[ID_UUID_SIZE];
	struct auth_acl *acls[AUTH_ACL_SLOTS];
	struct auth_entity_slot entities[AUTH_ENTITY_SLOTS];
	struct auth_unix_roles stored_roles, declared_roles; /* the latter win */
	struct auth_declared_policy *declared;
	uint64_t policy_writes; /* how often compiled policies have been forgotten */
	struct auth_cached cache[AUTH_CACHE_SETS][AUTH_CACHE_WAYS];
	uint64_t cache_clock;
};

/* acl.c: the ACL of an array of policy names; the identity's part is filled. */
int auth_acl_attach(
    struct auth *auth, struct auth_identity *identity, struct leased_err *err) LEASED_MUST_CHECK;
void auth_acl_release(struct auth_acl *acl);
void auth_acl_forget(struct auth *auth, const char *name); /* the sets that hold this policy */
void auth_acl_forget_all(struct auth *auth);
/* "root" as it is; else a name's normal form. LEASED_EINVAL for what no policy may be called. */
int auth_policy_normalize(
    const char *name, char ret_name[AUTH_NAME_MAX + 1], struct leased_err *err) LEASED_MUST_CHECK;
bool auth_names_have(const json_t *names, const char *name);

/* auth.c */
int64_t auth_left_s(int64_t ends_ms, int64_t now_ms); /* ends_ms 0: -1 */
struct auth_identity *auth_identity_new(void);

/* peer.c */
void auth_peer_authenticate(
    struct auth *auth, const struct http_peer *peer, auth_done done, void *arg);

/* token_use.c */
void auth_token_authenticate(struct auth *auth, const char *text, auth_done done, void *arg);
int auth_token_mac(struct auth *auth, const char *text, uint8_t ret_mac[SEAL_HMAC_SIZE],
    struct leased_err *err) LEASED_MUST_CHECK;
bool auth_token_alive(struct auth *auth, const struct store_lease *row);

/* token_take.c: takes one use, whatever becomes of the request. Takes identity. */
void auth_token_take_use(
    struct auth *auth, struct auth_identity *identity, auth_done done, void *arg);

/* document.c: puts (data is taken) or deletes a document by its name, whatever version it has. */
void auth_document_put(struct auth *auth, const char *kind, const char *name, json_t *data,
    auth_write_done done, void *arg);
void auth_document_delete(
    struct auth *auth, const char *kind, const char *name, auth_write_done done, void *arg);

/* Submits op and turns the loop until wait is set by its done; for start only. */
void auth_start_wait(struct auth *auth, struct store_op *op, const bool *wait);

#endif
