/*
 * Roles of auth/unix, and what leased.hcl declares of roles and policies, as the files of auth/
 * share them. Nobody else includes it.
 */
#ifndef AUTH_UNIX_ROLE_H
#define AUTH_UNIX_ROLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

struct auth;
struct http_peer;

struct auth_unix_role {
	char *name;
	bool declared; /* by leased.hcl */
	json_t *data;
	/* The same, decoded. An empty list binds nothing. */
	int64_t *uids, *gids;
	size_t uid_count, gid_count;
	bool bound_units; /* never matches here: see unix_role.c */
	json_t *policies;
	int64_t max_leases;
};

struct auth_unix_roles {
	struct auth_unix_role *items;
	size_t count;
};

struct auth_declared_policy {
	char *name, *text;
	struct auth_declared_policy *next;
};

struct auth_declared {
	struct auth_declared_policy *policies;
	struct auth_unix_roles roles;
};

/* unix_role.c */
/* All that are stored; for the start only. */
int auth_unix_roles_load(
    struct auth *auth, struct auth_unix_roles *roles, struct leased_err *err) LEASED_MUST_CHECK;
void auth_unix_roles_free(struct auth_unix_roles *roles);
/* Puts a role into memory, in place of one of its name. data is borrowed. */
int auth_unix_role_remember(struct auth_unix_roles *roles, const char *name, json_t *data,
    bool declared, struct leased_err *err) LEASED_MUST_CHECK;
/* Adds the policies of the roles that match peer to names; the smallest cap: *max_leases. */
int auth_unix_roles_apply(struct auth *auth, const struct http_peer *peer, json_t *names,
    int64_t *max_leases, struct leased_err *err) LEASED_MUST_CHECK;

/* declare.c: NULL when it is not declared. */
const struct auth_declared_policy *auth_declared_find(
    const struct auth_declared_policy *policies, const char *name);
void auth_declared_policies_free(struct auth_declared_policy *policies);

/* unix_role_body.c: body over what is there (base may be NULL); *ret_data is the caller's. */
int auth_unix_role_build(const json_t *base, const json_t *body, json_t **ret_data,
    json_t **ret_unknown, struct leased_err *err) LEASED_MUST_CHECK;

#endif
