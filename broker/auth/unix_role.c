/*
 * Roles of auth/unix: which peers get which policies. Between fields AND, within a list OR; roles
 * that match unite their policies, and the smallest cap holds. They are few and all in memory,
 * since each request of a peer looks at all of them; those of leased.hcl apart, in front of stored
 * ones of the same name.
 *
 * bound_units: SO_PEERPIDFD is needed to name the unit of a peer without a race, and nothing here
 * reads units yet, so that such a role never matches: it must not match more than it says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/path.h"
#include "base/utf8.h"

#define ROLE_KIND "unix_role"
#define ROLE_PAGE 64

/* ---- roles in memory ---- */

static void
role_clear(struct auth_unix_role *role)
{
	free(role->name);
	json_decref(role->data);
	free(role->uids);
	free(role->gids);
	*role = (struct auth_unix_role){0};
}

static int
role_numbers(const json_t *list, int64_t **ret_numbers, size_t *ret_count, struct leased_err *err)
{
	size_t count = json_array_size(list);
	int64_t *numbers;

	if (count == 0)
		return (0);
	if ((numbers = calloc(count, sizeof(*numbers))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < count; i++)
		numbers[i] = json_integer_value(json_array_get(list, i));
	*ret_numbers = numbers;
	*ret_count = count;
	return (0);
}

static struct auth_unix_role *
roles_find(const struct auth_unix_roles *roles, const char *name)
{
	for (size_t i = 0; i < roles->count; i++)
		if (strcmp(roles->items[i].name, name) == 0)
			return (&roles->items[i]);
	return (NULL);
}

/* The one that is in force. */
static const struct auth_unix_role *
role_find(const struct auth *auth, const char *name)
{
	const struct auth_unix_role *declared = roles_find(&auth->declared_roles, name);

	return (declared != NULL ? declared : roles_find(&auth->stored_roles, name));
}

int
auth_unix_role_remember(struct auth_unix_roles *roles, const char *name, json_t *data,
    bool declared, struct leased_err *err)
{
	struct auth_unix_role role = {.declared = declared}, *there, *items;
	int r;

	role.data = json_incref(data);
	role.policies = json_object_get(data, "policies");
	role.bound_units = json_array_size(json_object_get(data, "bound_units")) > 0;
	role.max_leases = json_integer_value(json_object_get(data, "max_leases"));
	r = role_numbers(json_object_get(data, "bound_uids"), &role.uids, &role.uid_count, err);
	if (r == 0)
		r = role_numbers(
		    json_object_get(data, "bound_gids"), &role.gids, &role.gid_count, err);
	if (r == 0 && (role.name = strdup(name)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r != 0)
		goto out;
	if ((there = roles_find(roles, name)) == NULL) {
		items = reallocarray(roles->items, roles->count + 1, sizeof(*items));
		if (items == NULL) {
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			goto out;
		}
		roles->items = items;
		there = &items[roles->count++];
		*there = (struct auth_unix_role){0};
	}
	role_clear(there);
	*there = role;
	role = (struct auth_unix_role){0}; /* ownership handed over */
out:
	role_clear(&role);
	return (r);
}

static void
role_forget(struct auth_unix_roles *roles, const char *name)
{
	struct auth_unix_role *role = roles_find(roles, name);

	if (role == NULL)
		return;
	role_clear(role);
	*role = roles->items[--roles->count];
}

int
auth_unix_roles_load(struct auth *auth, struct auth_unix_roles *roles, struct leased_err *err)
{
	struct store_doc **docs = NULL;
	char after[256] = "";
	size_t count;
	int r;

	do {
		r = store_doc_list(store_db(auth->config.store), ROLE_KIND, "",
		    after[0] != '\0' ? after : NULL, ROLE_PAGE, &docs, &count, err);
		if (r != 0)
			return (r);
		for (size_t i = 0; i < count; i++) {
			if (r == 0)
				r = auth_unix_role_remember(
				    roles, docs[i]->name, docs[i]->data, false, err);
			(void)snprintf(after, sizeof(after), "%s", docs[i]->name);
			store_doc_free(docs[i]);
		}
		free(docs);
	} while (r == 0 && count == ROLE_PAGE);
	return (r);
}

void
auth_unix_roles_free(struct auth_unix_roles *roles)
{
	for (size_t i = 0; i < roles->count; i++)
		role_clear(&roles->items[i]);
	free(roles->items);
	*roles = (struct auth_unix_roles){0};
}

/* ---- matching ---- */

static bool
numbers_have(const int64_t *numbers, size_t count, int64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return (true);
	return (false);
}

static bool
role_matches_group(const struct auth_unix_role *role, const struct http_peer *peer)
{
	if (numbers_have(role->gids, role->gid_count, (int64_t)peer->gid))
		return (true);
	for (size_t i = 0; i < peer->group_count; i++)
		if (numbers_have(role->gids, role->gid_count, (int64_t)peer->groups[i]))
			return (true);
	return (false);
}

static bool
role_matches(const struct auth_unix_role *role, const struct http_peer *peer)
{
	if (role->bound_units)
		return (false);
	if (role->uid_count == 0 && role->gid_count == 0)
		return (false);
	if (role->uid_count > 0 && !numbers_have(role->uids, role->uid_count, (int64_t)peer->uid))
		return (false);
	return (role->gid_count == 0 || role_matches_group(role, peer));
}

/* But those that others of the same name hide (NULL: none does). */
static int
roles_apply(const struct auth_unix_roles *roles, const struct auth_unix_roles *hiding,
    const struct http_peer *peer, json_t *names, int64_t *max_leases, struct leased_err *err)
{
	for (size_t i = 0; i < roles->count; i++) {
		const struct auth_unix_role *role = &roles->items[i];

		if (!role_matches(role, peer) ||
		    (hiding != NULL && roles_find(hiding, role->name) != NULL))
			continue;
		if (json_array_extend(names, role->policies) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		if (role->max_leases > 0 && (*max_leases == 0 || role->max_leases < *max_leases))
			*max_leases = role->max_leases;
	}
	return (0);
}

int
auth_unix_roles_apply(struct auth *auth, const struct http_peer *peer, json_t *names,
    int64_t *max_leases, struct leased_err *err)
{
	int r = roles_apply(&auth->declared_roles, NULL, peer, names, max_leases, err);

	if (r != 0)
		return (r);
	return (
	    roles_apply(&auth->stored_roles, &auth->declared_roles, peer, names, max_leases, err));
}

/* ---- the API's side ---- */

int
auth_unix_role_get(struct auth *auth, const char *name, json_t **ret_role, struct leased_err *err)
{
	const struct auth_unix_role *role = role_find(auth, name);

	if (role == NULL)
		return (leased_err_set(
		    err, LEASED_ENOENT, "no role %s in auth/unix", UTF8_SHORT(name, 64)));
	if ((*ret_role = json_deep_copy(role->data)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
auth_unix_role_names(struct auth *auth, json_t *names)
{
	const struct auth_unix_roles *both[] = {&auth->declared_roles, &auth->stored_roles};

	for (size_t b = 0; b < 2; b++)
		for (size_t i = 0; i < both[b]->count; i++) {
			const struct auth_unix_role *role = &both[b]->items[i];

			if (role_find(auth, role->name) == role &&
			    json_array_append_new(names, json_string(role->name)) != 0)
				return (LEASED_ENOMEM);
		}
	return (0);
}

struct role_write {
	struct auth *auth;
	char *name;
	json_t *data; /* NULL: deleted */
	auth_write_done done;
	void *arg;
};

static void
on_role_written(void *arg, int code, const struct leased_err *err)
{
	struct role_write *write = arg;
	struct auth_unix_roles *roles = &write->auth->stored_roles;
	struct leased_err own = LEASED_ERR_INIT;

	/* The file may have been read again meanwhile, and hide it now. */
	if (code == 0) {
		if (write->data == NULL)
			role_forget(roles, write->name);
		else
			code =
			    auth_unix_role_remember(roles, write->name, write->data, false, &own);
		err = &own;
	}
	write->done(write->arg, code, err);
	json_decref(write->data);
	free(write->name);
	free(write);
}

/* Takes data; NULL deletes. */
static void
role_write_start(struct auth *auth, const char *name, json_t *data, auth_write_done done, void *arg)
{
	struct role_write *write = calloc(1, sizeof(*write));
	struct leased_err err = LEASED_ERR_INIT;

	if (write == NULL || (write->name = strdup(name)) == NULL) {
		json_decref(data);
		free(write);
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, err.code, &err);
		return;
	}
	write->auth = auth;
	write->data = data;
	write->done = done;
	write->arg = arg;
	if (data == NULL)
		auth_document_delete(auth, ROLE_KIND, name, on_role_written, write);
	else
		auth_document_put(auth, ROLE_KIND, name, json_incref(data), on_role_written, write);
}

static int
role_check_writable(struct auth *auth, const char *name, struct leased_err *err)
{
	const struct auth_unix_role *role = role_find(auth, name);

	if (!path_is_name(name, strlen(name)) || strlen(name) > AUTH_NAME_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a role's name has letters, digits, '_', and '-' or '.' inside, at most %d",
		    AUTH_NAME_MAX));
	if (role != NULL && role->declared)
		return (leased_err_set(err, LEASED_EINVAL,
		    "role %s is declared in the configuration file: change it there", name));
	if (role == NULL && auth->stored_roles.count + auth->declared_roles.count >= AUTH_ROLES_MAX)
		return (leased_err_set(err, LEASED_ELIMIT,
		    "auth/unix holds at most %d roles, since each request looks at all of them",
		    AUTH_ROLES_MAX));
	return (0);
}

int
auth_unix_role_check(struct auth *auth, const char *name, const json_t *body, json_t **ret_data,
    json_t **ret_unknown, struct leased_err *err)
{
	const struct auth_unix_role *role = role_find(auth, name);
	int r;

	if ((r = role_check_writable(auth, name, err)) != 0)
		return (r);
	return (auth_unix_role_build(
	    role != NULL ? role->data : NULL, body, ret_data, ret_unknown, err));
}

void
auth_unix_role_put(
    struct auth *auth, const char *name, json_t *data, auth_write_done done, void *arg)
{
	role_write_start(auth, name, data, done, arg);
}

void
auth_unix_role_delete(struct auth *auth, const char *name, auth_write_done done, void *arg)
{
	const struct auth_unix_role *role = role_find(auth, name);
	struct leased_err err = LEASED_ERR_INIT;

	if (role != NULL && role->declared) {
		(void)leased_err_set(&err, LEASED_EINVAL,
		    "role %s is declared in the configuration file: change it there", name);
		done(arg, err.code, &err);
		return;
	}
	role_write_start(auth, name, NULL, done, arg);
}
