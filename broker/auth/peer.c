/*
 * The peer of the Unix socket as an identity: its uid, gid and groups as the kernel told them at
 * connect time (DESIGN.md). Its entity is found by the alias uid:<n> of the unix mount,
 * and made at first sight in one transaction. Never looks at /proc and never at a pid.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"

#define PEER_ALIAS_MAX 80

struct peer_first_sight {
	struct store_op op; /* first */
	struct auth *auth;
	struct auth_identity *identity;
	char alias[PEER_ALIAS_MAX];
	char entity[ID_UUID_SIZE];
	auth_done done;
	void *arg;
};

/* ---- entities ---- */

static struct auth_entity_slot *
peer_slot(struct auth *auth, uid_t uid)
{
	return (&auth->entities[(uid * 2654435761u) % AUTH_ENTITY_SLOTS]);
}

static void
peer_remember(struct auth *auth, uid_t uid, const char *entity)
{
	struct auth_entity_slot *slot = peer_slot(auth, uid);

	slot->used = true;
	slot->uid = uid;
	(void)snprintf(slot->entity, sizeof(slot->entity), "%s", entity);
}

static void
peer_alias(struct auth *auth, uid_t uid, char ret_alias[PEER_ALIAS_MAX])
{
	(void)snprintf(ret_alias, PEER_ALIAS_MAX, "%s/uid:%u", auth->unix_accessor, (unsigned)uid);
}

static int
alias_entity(const struct store_doc *alias, char ret_entity[ID_UUID_SIZE], struct leased_err *err)
{
	const char *entity = json_string_value(json_object_get(alias->data, "entity"));

	if (entity == NULL || strlen(entity) != ID_UUID_SIZE - 1)
		return (
		    leased_err_set(err, LEASED_ECORRUPT, "alias %s names no entity", alias->name));
	memcpy(ret_entity, entity, ID_UUID_SIZE);
	return (0);
}

static int
put_new(
    struct store_txn *txn, const char *kind, const char *name, json_t *data, struct leased_err *err)
{
	struct store_doc doc = {.kind = (char *)(uintptr_t)kind, .name = (char *)(uintptr_t)name};
	int r;

	if (data == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	doc.data = data;
	r = store_doc_put(txn, &doc, err);
	json_decref(data);
	return (r);
}

/* Two first requests of one user may be under way together: the second finds the alias. */
static int
peer_first_sight_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct peer_first_sight *first = (struct peer_first_sight *)op;
	struct store_doc *alias = NULL;
	char name[ID_UUID_SIZE + 8];
	int r;

	if ((r = FAILPOINT_ERROR(auth_entity_create, err)) != 0)
		return (r);
	r = store_doc_get(store_txn_db(txn), "alias", first->alias, &alias, err);
	if (r == 0) {
		r = alias_entity(alias, first->entity, err);
		store_doc_free(alias);
		return (r);
	}
	if (r != LEASED_ENOENT)
		return (r);
	(void)snprintf(name, sizeof(name), "entity_%.8s", first->entity);
	r = put_new(txn, "entity", first->entity,
	    json_pack("{s:s, s:[s], s:I}", "name", name, "aliases", first->alias, "creation_s",
		(json_int_t)(wclock_wall_ms(first->auth->config.clock) / 1000)),
	    err);
	if (r != 0)
		return (r);
	return (
	    put_new(txn, "alias", first->alias, json_pack("{s:s}", "entity", first->entity), err));
}

static void
on_peer_first_sight(struct store_op *op, int result, const struct leased_err *err)
{
	struct peer_first_sight *first = (struct peer_first_sight *)op;

	if (result == 0) {
		peer_remember(first->auth, first->identity->uid, first->entity);
		memcpy(first->identity->entity, first->entity, ID_UUID_SIZE);
	}
	first->done(first->arg, result, result == 0 ? first->identity : NULL, err);
	auth_identity_release(first->identity);
	free(first);
}

/* Takes identity. */
static void
peer_first_sight_start(struct auth *auth, struct auth_identity *identity, auth_done done, void *arg)
{
	struct peer_first_sight *first = calloc(1, sizeof(*first));
	struct leased_err err = LEASED_ERR_INIT;

	if (first == NULL) {
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
		done(arg, err.code, NULL, &err);
		auth_identity_release(identity);
		return;
	}
	first->op.run = peer_first_sight_run;
	first->op.done = on_peer_first_sight;
	first->auth = auth;
	first->identity = identity;
	first->done = done;
	first->arg = arg;
	peer_alias(auth, identity->uid, first->alias);
	id_uuid(auth->config.ids, first->entity);
	store_submit(auth->config.store, &first->op);
}

/* The entity of uid, if it has one. LEASED_ENOENT: never seen. */
static int
peer_entity(struct auth *auth, uid_t uid, char ret_entity[ID_UUID_SIZE], struct leased_err *err)
{
	const struct auth_entity_slot *slot = peer_slot(auth, uid);
	struct store_doc *alias = NULL;
	char name[PEER_ALIAS_MAX];
	int r;

	if (slot->used && slot->uid == uid) {
		memcpy(ret_entity, slot->entity, ID_UUID_SIZE);
		return (0);
	}
	peer_alias(auth, uid, name);
	if ((r = store_doc_get(store_db(auth->config.store), "alias", name, &alias, err)) != 0)
		return (r);
	if ((r = alias_entity(alias, ret_entity, err)) == 0)
		peer_remember(auth, uid, ret_entity);
	store_doc_free(alias);
	return (r);
}

/* ---- the identity ---- */

static int
peer_identity(struct auth *auth, const struct http_peer *peer, struct auth_identity **ret_identity,
    struct leased_err *err)
{
	struct auth_identity *identity = auth_identity_new();
	json_t *names = json_array();
	char display_name[32];
	int r;

	(void)snprintf(display_name, sizeof(display_name), "uid-%u", (unsigned)peer->uid);
	if (identity == NULL || names == NULL ||
	    (identity->display_name = strdup(display_name)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	identity->peer = true;
	identity->uid = peer->uid;
	identity->root = auth->config.dev && (peer->uid == 0 || peer->uid == auth->config.own_uid);
	if (json_array_append_new(names, json_string(identity->root ? "root" : "default")) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if (!identity->root) {
		r = auth_unix_roles_apply(auth, peer, names, &identity->max_leases, err);
		if (r != 0)
			goto out;
	}
	if ((identity->policies = auth_names_sort(names)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = auth_acl_attach(auth, identity, err)) != 0)
		goto out;
	*ret_identity = identity;
	identity = NULL; /* ownership handed over */
out:
	json_decref(names);
	auth_identity_release(identity);
	return (r);
}

void
auth_peer_authenticate(struct auth *auth, const struct http_peer *peer, auth_done done, void *arg)
{
	struct auth_identity *identity = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (peer->uid == AUTH_UID_NOBODY || peer->uid == (uid_t)-1) {
		(void)leased_err_set(&err, LEASED_EDENIED,
		    "permission denied: uid %u stands for users that the kernel cannot name; use a "
		    "token",
		    (unsigned)peer->uid);
		done(arg, err.code, NULL, &err);
		return;
	}
	if ((r = peer_identity(auth, peer, &identity, &err)) != 0) {
		done(arg, r, NULL, &err);
		return;
	}
	r = peer_entity(auth, identity->uid, identity->entity, &err);
	if (r == LEASED_ENOENT) {
		peer_first_sight_start(auth, identity, done, arg); /* takes identity */
		return;
	}
	done(arg, r, r == 0 ? identity : NULL, &err);
	auth_identity_release(identity);
}
