/*
 * auth/ under test: an inline store, real leases without a back end, a fake clock. Nothing happens
 * by itself: settle() turns the wheels until they stand still, later() moves the clock.
 */
#ifndef AUTH_FIXTURE_H
#define AUTH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "auth/auth.h"
#include "auth/token.h"
#include "base/log.h"
#include "support/failalloc.h"

#define MOUNT 7 /* the number of the mount "database/" */

struct fix {
	struct wclock_fake clock;
	struct id_source_seeded ids;
	struct seal_root *root;
	struct store *store;
	struct leases *leases;
	struct auth *auth;
	struct auth_identity *root_identity;
};

/* What a token operation answered. */
struct token_answer {
	unsigned count; /* must end up as 1 */
	int code;
	struct leased_err err;
	char text[AUTH_TOKEN_MAX + 1], accessor[25];
	int64_t id, ttl_s;
	json_t *data, *warnings;
};

struct fix *fix_new(void);
void fix_free(struct fix *f);
int fix_setup(void **state);
int fix_teardown(void **state);
/* As after a restart: what was in memory only is gone. */
void fix_reopen_auth(struct fix *f);

void settle(struct fix *f);
void later(struct fix *f, int64_t ms);

void token_answer_clear(struct token_answer *answer);
/* Makes a token by creator (NULL: root); policies is one name or NULL. */
struct token_answer make(struct fix *f, const struct auth_identity *creator, bool sudo,
    const char *policy, int64_t ttl_s);
struct token_answer make_with(struct fix *f, const struct auth_identity *creator, bool sudo,
    struct auth_token_params *params, const char *policy);
struct token_answer renew(struct fix *f, int64_t id, int64_t increment_s);
void revoke(struct fix *f, int64_t id);

/* Authenticates; the identity is the caller's to release, NULL when denied. */
struct auth_identity *login(struct fix *f, const char *token, struct leased_err *ret_err);
struct auth_identity *login_peer(struct fix *f, uid_t uid, gid_t gid, gid_t group, int *ret_code);
bool passes(struct fix *f, const char *token);

/* Writes through a callback and settles; the code. */
int put_policy(struct fix *f, const char *name, const char *text);
int put_role(struct fix *f, const char *name, const char *json);
/* A lease row of that owner, LIVE, without a back end; its row number. */
int64_t put_lease(struct fix *f, const char *owner, const char *entity);
int64_t put_lease_at(struct fix *f, const char *at, const char *owner, const char *entity);
bool lease_is_marked(struct fix *f, int64_t id);

#endif
