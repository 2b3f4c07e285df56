/*
 * What leased.hcl declares of policies and roles: read-only over the API, and in front of what is
 * stored under the same name. Gathered aside, where it may fail, and put in the place of what was
 * declared before, all at once. Only that needs auth/, and the loop: the rest may be done anywhere.
 */
#ifndef AUTH_DECLARE_H
#define AUTH_DECLARE_H

#include "auth/auth.h"

struct auth_declared;
int auth_declared_new(
    struct auth_declared **ret_declared, struct leased_err *err) LEASED_MUST_CHECK;
int auth_declared_policy(struct auth_declared *declared, const char *name, const char *text,
    struct leased_err *err) LEASED_MUST_CHECK;
int auth_declared_unix_role(struct auth_declared *declared, const char *name, const json_t *body,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Takes it. The next request of everybody is judged by it. */
void auth_declared_apply(struct auth *auth, struct auth_declared *declared);
void auth_declared_free(struct auth_declared *declared); /* NULL is fine */

#endif
