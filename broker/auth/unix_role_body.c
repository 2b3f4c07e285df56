/*
 * What a role of auth/unix may say: a body of the API (or a block of leased.hcl) over what is
 * stored, checked. Writes and matches nothing (unix_role.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"

#define ROLE_LIST_MAX 1024

struct role_body {
	json_t *bound_uids, *bound_gids;
	struct jdec_list bound_units, policies, token_policies;
	int64_t max_leases;
	bool has_units, has_policies, has_token_policies, has_max_leases;
};

static const struct jdec_field role_fields[] = {JDEC_FIELD(struct role_body, bound_uids, JDEC_JSON),
    JDEC_FIELD(struct role_body, bound_gids, JDEC_JSON),
    JDEC_FIELD_SEEN(struct role_body, bound_units, has_units, JDEC_COMMA_LIST),
    JDEC_FIELD_SEEN(struct role_body, policies, has_policies, JDEC_COMMA_LIST),
    JDEC_FIELD_SEEN(struct role_body, token_policies, has_token_policies, JDEC_COMMA_LIST),
    JDEC_FIELD_SEEN(struct role_body, max_leases, has_max_leases, JDEC_INT), JDEC_END};

/* ---- a body into data, checked ---- */

/* One number of a list of ids: a JSON integer or its digits. Names are not taken: looking one up
 * may block. */
static int
role_id(const json_t *value, const char *field, int64_t *ret_id, struct leased_err *err)
{
	const char *text = json_string_value(value);
	long long number = -1;
	char *end;

	if (json_is_integer(value)) {
		number = json_integer_value(value);
	} else if (text != NULL && text[0] >= '0' && text[0] <= '9') {
		number = strtoll(text, &end, 10);
		if (*end != '\0')
			number = -1;
	}
	if (number < 0 || number >= UINT32_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s must be a list of numeric ids (`id -u NAME` tells one)", field));
	if (number == AUTH_UID_NOBODY)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s cannot hold %u: it stands for users that the kernel cannot name", field,
		    AUTH_UID_NOBODY));
	*ret_id = number;
	return (0);
}

/* An array, one value, or digits between commas, as an array of integers; *ret_list is the
 * caller's. */
static int
role_ids(const json_t *value, const char *field, json_t **ret_list, struct leased_err *err)
{
	json_t *list = json_array(), *split = NULL;
	const json_t *item;
	char *copy = NULL, *rest, *part;
	int64_t id = 0;
	size_t i;
	int r = 0;

	if (list == NULL || (split = json_array()) == NULL)
		goto nomem;
	if (json_is_string(value)) {
		if ((copy = rest = strdup(json_string_value(value))) == NULL)
			goto nomem;
		while ((part = strsep(&rest, ", ")) != NULL)
			if (*part != '\0' && json_array_append_new(split, json_string(part)) != 0)
				goto nomem;
	} else if (!json_is_array(value)) {
		if (json_array_append(split, (json_t *)(uintptr_t)value) != 0)
			goto nomem;
	} else if (json_array_extend(split, (json_t *)(uintptr_t)value) != 0) {
		goto nomem;
	}
	if (json_array_size(split) > ROLE_LIST_MAX) {
		r = leased_err_set(err, LEASED_EINVAL, "%s may hold %d ids", field, ROLE_LIST_MAX);
		goto out;
	}
	json_array_foreach(split, i, item)
	{
		if ((r = role_id(item, field, &id, err)) != 0)
			goto out;
		if (json_array_append_new(list, json_integer(id)) != 0)
			goto nomem;
	}
	*ret_list = list;
	list = NULL; /* ownership handed over */
	goto out;
nomem:
	r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	json_decref(list);
	json_decref(split);
	free(copy);
	return (r);
}

static int
role_set_ids(json_t *data, const json_t *value, const char *field, struct leased_err *err)
{
	json_t *list = NULL;
	int r;

	if (value == NULL || json_is_null(value))
		return (0);
	if ((r = role_ids(value, field, &list, err)) != 0)
		return (r);
	if (json_object_set_new(data, field, list) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

static int
role_set_names(json_t *data, const struct jdec_list *names, const char *field, bool policies,
    struct leased_err *err)
{
	char name[AUTH_NAME_MAX + 1];
	json_t *list = json_array();
	int r = 0;

	if (list == NULL)
		goto nomem;
	for (size_t i = 0; i < names->count; i++) {
		(void)snprintf(name, sizeof(name), "%s", names->items[i]);
		if (strlen(names->items[i]) > AUTH_NAME_MAX)
			r = leased_err_set(err, LEASED_EINVAL, "%s holds a name over %d bytes",
			    field, AUTH_NAME_MAX);
		else if (policies)
			r = auth_policy_normalize(names->items[i], name, err);
		if (r == 0 && policies && strcmp(name, "root") == 0)
			r = leased_err_set(err, LEASED_EINVAL,
			    "%s cannot hold \"root\": no login gives the root policy", field);
		if (r != 0)
			goto out;
		if (json_array_append_new(list, json_string(name)) != 0)
			goto nomem;
	}
	if (json_object_set(data, field, list) == 0)
		goto out;
nomem:
	r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	json_decref(list);
	return (r);
}

/* A role must say whom it means: one that binds nothing would give its policies to everybody. */
static int
role_check(const json_t *data, struct leased_err *err)
{
	size_t uids = json_array_size(json_object_get(data, "bound_uids"));
	size_t gids = json_array_size(json_object_get(data, "bound_gids"));
	size_t units = json_array_size(json_object_get(data, "bound_units"));

	if (units > 0 && uids == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "bound_units needs bound_uids beside it: a unit only narrows a uid"));
	if (uids == 0 && gids == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a role needs bound_uids or bound_gids: without them it would match "
		    "everybody"));
	return (0);
}

int
auth_unix_role_build(const json_t *base, const json_t *body, json_t **ret_data,
    json_t **ret_unknown, struct leased_err *err)
{
	struct role_body fields = {0};
	json_t *data = base != NULL ? json_deep_copy(base)
				    : json_pack("{s:[], s:[], s:[], s:[], s:i}", "bound_uids",
					  "bound_gids", "bound_units", "policies", "max_leases", 0);
	int r;

	if (data == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = jdec_decode(body, role_fields, &fields, ret_unknown, err)) != 0)
		goto out;
	if ((r = role_set_ids(data, fields.bound_uids, "bound_uids", err)) != 0 ||
	    (r = role_set_ids(data, fields.bound_gids, "bound_gids", err)) != 0)
		goto out;
	if (fields.has_units &&
	    (r = role_set_names(data, &fields.bound_units, "bound_units", false, err)) != 0)
		goto out;
	if (fields.has_token_policies)
		r = role_set_names(data, &fields.token_policies, "policies", true, err);
	else if (fields.has_policies)
		r = role_set_names(data, &fields.policies, "policies", true, err);
	if (r != 0)
		goto out;
	if (fields.max_leases < 0) {
		r = leased_err_set(err, LEASED_EINVAL, "max_leases cannot be negative");
		goto out;
	}
	if (fields.has_max_leases &&
	    json_object_set_new(data, "max_leases", json_integer(fields.max_leases)) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = role_check(data, err)) != 0)
		goto out;
	*ret_data = data;
	data = NULL; /* ownership handed over */
out:
	json_decref(data);
	jdec_clear(role_fields, &fields);
	return (r);
}
