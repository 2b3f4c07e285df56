/*
 * The life of auth/ and of identities, and the one way from a request to an identity: a token when
 * there is one, else the peer of the Unix socket. Does not decide what an identity may do
 * (policy/). Called by api/ and main.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"
#include "base/log.h"

/* ---- the accessors of the mounts, made once ---- */

struct setup_op {
	struct store_op op; /* first */
	struct auth *auth;
	bool finished;
	int result;
	struct leased_err err;
};

/* txn NULL: LEASED_ENOENT when it was not made yet. */
static int
setup_value(struct store_db *db, struct store_txn *txn, const char *key, const char *fresh,
    char *ret_text, size_t size, struct leased_err *err)
{
	char *text = NULL;
	int r;

	r = store_meta_get(db, key, &text, err);
	if (r == LEASED_ENOENT && txn != NULL) {
		(void)snprintf(ret_text, size, "%s", fresh);
		return (store_meta_put(txn, key, fresh, err));
	}
	if (r != 0)
		return (r);
	(void)snprintf(ret_text, size, "%s", text);
	free(text);
	return (0);
}

static int
setup_mount(struct store_db *db, struct store_txn *txn, struct id_source *ids, const char *type,
    char *ret_accessor, size_t accessor_size, char *ret_uuid, struct leased_err *err)
{
	char key[64], fresh[64], uuid[ID_UUID_SIZE];
	uint8_t random[4];
	int r;

	ids->fill(ids, random, sizeof(random));
	(void)snprintf(fresh, sizeof(fresh), "auth_%s_%02x%02x%02x%02x", type, random[0], random[1],
	    random[2], random[3]);
	(void)snprintf(key, sizeof(key), "auth_%s_accessor", type);
	if ((r = setup_value(db, txn, key, fresh, ret_accessor, accessor_size, err)) != 0)
		return (r);
	id_uuid(ids, uuid);
	(void)snprintf(key, sizeof(key), "auth_%s_uuid", type);
	return (setup_value(db, txn, key, uuid, ret_uuid, ID_UUID_SIZE, err));
}

static int
setup_mounts(struct auth *auth, struct store_db *db, struct store_txn *txn, struct leased_err *err)
{
	int r;

	r = setup_mount(db, txn, auth->config.ids, "token", auth->token_accessor,
	    sizeof(auth->token_accessor), auth->token_uuid, err);
	if (r != 0)
		return (r);
	return (setup_mount(db, txn, auth->config.ids, "unix", auth->unix_accessor,
	    sizeof(auth->unix_accessor), auth->unix_uuid, err));
}

static int
setup_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if ((r = FAILPOINT_ERROR(auth_setup, err)) != 0)
		return (r);
	return (setup_mounts(((struct setup_op *)op)->auth, store_txn_db(txn), txn, err));
}

static void
on_setup(struct store_op *op, int result, const struct leased_err *err)
{
	struct setup_op *setup = (struct setup_op *)op;

	setup->finished = true;
	setup->result = result;
	if (err != NULL)
		setup->err = *err;
}

void
auth_start_wait(struct auth *auth, struct store_op *op, const bool *wait)
{
	store_submit(auth->config.store, op);
	while (!*wait) {
		if (auth->config.loop == NULL)
			(void)store_pump(auth->config.store);
		else if (event_base_loop(auth->config.loop, EVLOOP_ONCE) != 0)
			log_fatal("the event loop ended while auth/ was starting");
	}
}

int
auth_new(const struct auth_config *config, struct auth **ret_auth, struct leased_err *err)
{
	struct setup_op setup = {.op = {.run = setup_run, .done = on_setup}};
	struct auth *auth;
	int r;

	if ((auth = calloc(1, sizeof(*auth))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory while starting auth/"));
	auth->tag = AUTH_TAG;
	auth->config = *config;
	setup.auth = auth;
	/* Once made they are only read: a start on a full disk must not need to write. */
	r = setup_mounts(auth, store_db(config->store), NULL, &setup.err);
	if (r == LEASED_ENOENT) {
		auth_start_wait(auth, &setup.op, &setup.finished);
		r = setup.result;
	}
	if (r != 0) {
		if (err != NULL)
			*err = setup.err;
		goto out;
	}
	if ((r = auth_unix_roles_load(auth, &auth->stored_roles, err)) != 0)
		goto out;
	*ret_auth = auth;
	auth = NULL; /* ownership handed over */
out:
	auth_free(auth);
	return (r);
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	auth_cache_clear(auth);
	auth_acl_forget_all(auth);
	auth_unix_roles_free(&auth->stored_roles);
	auth_unix_roles_free(&auth->declared_roles);
	auth_declared_policies_free(auth->declared);
	auth->tag = 0;
	free(auth);
}

/* ---- identities ---- */

struct auth_identity *
auth_identity_new(void)
{
	struct auth_identity *identity = calloc(1, sizeof(*identity));

	if (identity == NULL)
		return (NULL);
	identity->tag = AUTH_IDENTITY_TAG;
	identity->references = 1;
	return (identity);
}

struct auth_identity *
auth_identity_acquire(struct auth_identity *identity)
{
	identity->references++;
	return (identity);
}

void
auth_identity_release(struct auth_identity *identity)
{
	if (identity == NULL || --identity->references > 0)
		return;
	auth_acl_release(identity->shared_acl);
	if (identity->record != NULL)
		auth_token_clear(identity->record);
	free(identity->record);
	json_decref(identity->policies);
	free(identity->display_name);
	identity->tag = 0;
	free(identity);
}

int64_t
auth_left_s(int64_t ends_ms, int64_t now_ms)
{
	if (ends_ms == 0)
		return (-1);
	return (ends_ms > now_ms ? (ends_ms - now_ms + 500) / 1000 : 0);
}

int64_t
auth_identity_left_s(struct auth *auth, const struct auth_identity *identity)
{
	return (auth_left_s(identity->expires_ms, leases_now_ms(auth->config.leases)));
}

json_t *
auth_identity_describe(struct auth *auth, const struct auth_identity *identity)
{
	char path[64];

	(void)auth;
	(void)snprintf(path, sizeof(path), "auth/unix/uid:%u", (unsigned)identity->uid);
	return (json_pack("{s:s, s:O, s:s, s:{s:s}, s:s, s:i, s:b, s:i, s:i, s:n, s:i, s:i, s:s,"
			  " s:s, s:b}",
	    "accessor", "", "policies", identity->policies, "path", path, "meta", "uid", path + 14,
	    "display_name", identity->display_name, "num_uses", 0, "orphan", 1, "creation_time", 0,
	    "creation_ttl", 0, "expire_time", "ttl", 0, "explicit_max_ttl", 0, "entity_id",
	    identity->entity, "type", "unix", "renewable", 0));
}

/* ---- authentication ---- */

void
auth_authenticate(
    struct auth *auth, const char *token, const struct http_peer *peer, auth_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (token != NULL && token[0] != '\0') {
		auth_token_authenticate(auth, token, done, arg);
		return;
	}
	if (peer->kind == HTTP_PEER_UNIX) {
		auth_peer_authenticate(auth, peer, done, arg);
		return;
	}
	done(arg,
	    leased_err_set(&err, LEASED_EDENIED,
		"permission denied: this path needs a token (X-Vault-Token) and none was sent"),
	    NULL, &err);
}

static json_t *
auth_mount_info(const char *type, const char *description, const char *accessor, const char *uuid)
{
	return (json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:n, s:s, s:s, s:s, s:s, s:s,"
			  " s:{s:i, s:i, s:b, s:s}}",
	    "type", type, "description", description, "accessor", accessor, "local", 0, "seal_wrap",
	    0, "external_entropy_access", 0, "options", "uuid", uuid, "plugin_version", "",
	    "running_plugin_version", "", "running_sha256", "", "deprecation_status", "supported",
	    "config", "default_lease_ttl", 0, "max_lease_ttl", 0, "force_no_cache", 0, "token_type",
	    "default-service"));
}

json_t *
auth_mounts(struct auth *auth)
{
	return (json_pack("{s:o, s:o}", "token/",
	    auth_mount_info("token", "tokens", auth->token_accessor, auth->token_uuid), "unix/",
	    auth_mount_info("unix", "users of this machine, by the kernel's word",
		auth->unix_accessor, auth->unix_uuid)));
}
