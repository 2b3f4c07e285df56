/*
 * What leased.hcl declares of policies and roles, gathered beside what is in force, so that a
 * mistake leaves that as it is. Called by main at the start and whenever the file is read again.
 */
#include "auth/declare.h"

#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"

const struct auth_declared_policy *
auth_declared_find(const struct auth_declared_policy *policies, const char *name)
{
	for (; policies != NULL; policies = policies->next)
		if (strcmp(policies->name, name) == 0)
			return (policies);
	return (NULL);
}

void
auth_declared_policies_free(struct auth_declared_policy *policies)
{
	struct auth_declared_policy *next;

	for (; policies != NULL; policies = next) {
		next = policies->next;
		free(policies->name);
		free(policies->text);
		free(policies);
	}
}

int
auth_declared_new(struct auth_declared **ret_declared, struct leased_err *err)
{
	struct auth_declared *declared = calloc(1, sizeof(*declared));

	if (declared == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	*ret_declared = declared;
	return (0);
}

int
auth_declared_policy(
    struct auth_declared *declared, const char *name, const char *text, struct leased_err *err)
{
	struct auth_declared_policy *policy;
	char normal[AUTH_NAME_MAX + 1];
	struct policy *parsed = NULL;
	int r;

	if ((r = policy_name_normalize(name, normal, err)) != 0)
		return (r);
	if (auth_declared_find(declared->policies, normal) != NULL)
		return (leased_err_set(err, LEASED_EEXIST, "policy %s is declared twice", normal));
	if ((r = policy_parse(text, strlen(text), &parsed, err)) != 0)
		return (r);
	policy_free(parsed);
	if ((policy = calloc(1, sizeof(*policy))) == NULL ||
	    (policy->name = strdup(normal)) == NULL || (policy->text = strdup(text)) == NULL) {
		auth_declared_policies_free(policy);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	policy->next = declared->policies;
	declared->policies = policy;
	return (0);
}

int
auth_declared_unix_role(
    struct auth_declared *declared, const char *name, const json_t *body, struct leased_err *err)
{
	json_t *data = NULL, *unknown = NULL;
	int r;

	r = auth_unix_role_build(NULL, body, &data, &unknown, err);
	if (r == 0 && unknown != NULL)
		r = leased_err_set(err, LEASED_EINVAL, "unknown key \"%s\"",
		    json_string_value(json_array_get(unknown, 0)));
	if (r == 0)
		r = auth_unix_role_remember(&declared->roles, name, data, true, err);
	json_decref(data);
	json_decref(unknown);
	return (r);
}

void
auth_declared_apply(struct auth *auth, struct auth_declared *declared)
{
	struct auth_declared_policy *policies = auth->declared;
	struct auth_unix_roles roles = auth->declared_roles;

	auth->declared = declared->policies;
	auth->declared_roles = declared->roles;
	declared->policies = policies;
	declared->roles = roles;
	auth_acl_forget_all(auth);
	auth_declared_free(declared);
}

void
auth_declared_free(struct auth_declared *declared)
{
	if (declared == NULL)
		return;
	auth_declared_policies_free(declared->policies);
	auth_unix_roles_free(&declared->roles);
	free(declared);
}
