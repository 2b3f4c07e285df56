/*
 * Whose a token or a lease is: one's own, one's descendants', or one's identity's. What is nobody's
 * business looks like what does not exist. Does not load or end anything.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "auth/owner.h"

/* Is the token of that number the identity's own or a descendant of it? */
static bool
token_descends(struct auth *auth, const struct auth_identity *identity, int64_t id)
{
	struct store_token index;
	struct leased_err err;

	if (identity->token == 0)
		return (false);
	for (unsigned depth = 0; depth <= AUTH_DEPTH_MAX && id != 0; depth++) {
		if (id == identity->token)
			return (true);
		if (store_token_get_id(store_db(auth->config.store), id, &index, &err) != 0)
			return (false);
		id = index.parent;
	}
	return (false);
}

/* The kernel's word for it alone: tokens of one entity are strangers to each other. */
static bool
peer_is(const struct auth_identity *identity, const char *entity)
{
	return (identity->token == 0 && identity->entity[0] != '\0' && entity != NULL &&
		strcmp(entity, identity->entity) == 0);
}

bool
auth_token_is_kin(
    struct auth *auth, const struct auth_identity *identity, const struct auth_token *token)
{
	const char *entity = json_string_value(json_object_get(token->row->data, "entity"));

	return (peer_is(identity, entity) || token_descends(auth, identity, token->index.id));
}

bool
auth_identity_is_owner(
    struct auth *auth, const struct auth_identity *identity, const char *owner, const char *entity)
{
	char mine[sizeof("entity:") + ID_UUID_SIZE];
	long long id;

	if (peer_is(identity, entity))
		return (true);
	if (identity->entity[0] != '\0') {
		(void)snprintf(mine, sizeof(mine), "entity:%s", identity->entity);
		if (strcmp(owner, mine) == 0)
			return (true);
	}
	return (sscanf(owner, "token:%lld", &id) == 1 && token_descends(auth, identity, id));
}

bool
auth_identity_owns(
    struct auth *auth, const struct auth_identity *identity, const struct store_lease *row)
{
	return (store_lease_is_clients(row->kind) &&
		auth_identity_is_owner(auth, identity, row->owner,
		    json_string_value(json_object_get(row->data, "entity"))));
}

/* ---- a token as an identity ---- */
