/*
 * Tokens: made, found, described, renewed, ended. A token is kept as its HMAC; its row is one of
 * lease/'s timer, and its end is lease/'s doing. Runs on the loop; callbacks may come before the
 * starting call returns.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "auth/auth.h"

#define AUTH_TOKEN_MAX 255

struct auth_token_params {
	struct leased_secret *id; /* a wished one, NULL: random */
	struct jdec_list policies;
	json_t *meta;
	bool no_parent, no_default_policy, renewable;
	bool orphan_path; /* create-orphan: no_parent without sudo */
	int64_t ttl_s, explicit_max_ttl_s, period_s, num_uses;
	char *display_name, *type;
};
struct auth_token_created {
	const struct leased_secret *token; /* borrowed */
	int64_t id, ttl_s;
	const char *accessor;
	const json_t *data;     /* what the token's row holds; borrowed */
	const json_t *warnings; /* array of texts or NULL */
};
typedef void (*auth_token_done)(
    void *arg, int code, const struct auth_token_created *created, const struct leased_err *err);
/* By creator's right (sudo: it has sudo on path). path is what lookup calls the token's path. */
void auth_token_create(struct auth *auth, const struct auth_identity *creator, bool sudo,
    const char *path, const struct auth_token_params *params, auth_token_done done, void *arg);
/* A root token of the daemon's own making, that does not end; id NULL: random. */
void auth_token_create_root(struct auth *auth, const char *id, auth_token_done done, void *arg);

/* A token as it is stored. */
struct auth_token {
	struct store_token index;
	struct store_lease *row;
	int64_t family_ends_ms; /* lease time when the first of its ancestors ends; 0: none does */
};
void auth_token_clear(struct auth_token *token);
/* LEASED_ENOENT for every token that does not authenticate, alike. */
int auth_token_find(struct auth *auth, const char *text, struct auth_token *ret_token,
    struct leased_err *err) LEASED_MUST_CHECK;
int auth_token_find_accessor(struct auth *auth, const char *accessor, struct auth_token *ret_token,
    struct leased_err *err) LEASED_MUST_CHECK;
int auth_token_find_id(struct auth *auth, int64_t id, struct auth_token *ret_token,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The identity that a token gives, without taking a use of it; the caller releases it. What token
 * holds is taken on success. */
int auth_token_identity(struct auth *auth, struct auth_token *token,
    struct auth_identity **ret_identity, struct leased_err *err) LEASED_MUST_CHECK;
/* May the identity name the token: is it its own, or an ancestor's, or the peer's that it is of? */
bool auth_token_is_kin(
    struct auth *auth, const struct auth_identity *identity, const struct auth_token *token);
/* The data of lookup (contract 2.8), without "id"; a new reference. */
json_t *auth_token_describe(struct auth *auth, const struct auth_token *token);
/* The same of a peer that has no token. */
json_t *auth_identity_describe(struct auth *auth, const struct auth_identity *identity);

/* done: code and the seconds that it has now; data as in auth_token_created. token is borrowed for
 * the call; whether it still lives is asked once more when the new end is written. */
void auth_token_renew(struct auth *auth, const struct auth_token *token, int64_t increment_s,
    auth_token_done done, void *arg);
/* Durable first: then no request passes with it. Its children and leases end; waits for that at
 * most wait_ms. */
/* actor: who asked, NULL: nobody did. */
void auth_token_revoke(struct auth *auth, int64_t id, unsigned wait_ms, const char *cause,
    const struct lease_actor *actor, lease_job_done done, void *arg);

#endif
