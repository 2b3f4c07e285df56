/*
 * bans/:name of an SSH mount: an identity, a key or a key id that gets no certificate any more. A
 * ban holds in memory (ban_memory.c) from the moment it is asked for, before it is on disk, so that
 * nothing is signed between the two; what was signed before it is ended by ban_sweep.c. Bans of
 * keys and of key ids stand in the list of revoked ones besides, also for what another CA of the
 * host signed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/utf8.h"
#include "engine/document.h"
#include "engine/ssh/ban.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/words.h"

struct ban_body {
	char *identity, *public_key, *fingerprint, *key_id, *reason;
};
static const struct jdec_field ban_fields[] = {
    JDEC_FIELD(struct ban_body, identity, JDEC_STRING),
    JDEC_FIELD(struct ban_body, public_key, JDEC_STRING),
    JDEC_FIELD(struct ban_body, fingerprint, JDEC_STRING),
    JDEC_FIELD(struct ban_body, key_id, JDEC_STRING),
    JDEC_FIELD(struct ban_body, reason, JDEC_STRING),
    {"name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const ban_names[] = {
    "identity", "public_key", "fingerprint", "key_id", "reason", NULL};

struct ban_change {
	struct store_op op; /* first */
	struct engine_request_copy *request;
	struct store_doc *doc; /* to be put; without data: to be deleted */
	struct ssh_ban *ban;   /* in memory already */
	int64_t mount, wall_s;
};

static void
change_free(void *state)
{
	struct ban_change *change = state;

	store_doc_free(change->doc);
	free(change);
}

/* ---- the write ---- */

static int
change_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct ban_change *change = (struct ban_change *)op;
	struct store_doc *mount = NULL;
	int r;

	r = store_doc_get_id(store_txn_db(txn), change->mount, &mount, err);
	store_doc_free(mount);
	if (r == LEASED_ENOENT)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the mount was removed meanwhile; nothing was written"));
	if (r == 0 && change->doc->data != NULL)
		r = store_doc_put(txn, change->doc, err);
	else if (r == 0)
		r = store_doc_delete(txn, change->doc->id, change->doc->version, err);
	if (r == 0)
		r = engine_ssh_krl_bump(txn, change->mount, change->wall_s, err);
	return (r == 0 ? FAILPOINT_ERROR(engine_ssh_ban_write, err) : r);
}

static void
change_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct ban_change *change = (struct ban_change *)op;
	struct engine_request_copy *request = change->request;
	struct engines *engines = request->engines;
	struct ssh_mount *mount = engine_ssh_mount_find(engines, change->mount);
	struct ssh_ban *old;

	FAILPOINT(engine_ssh_ban_after_write);
	if (change->ban != NULL && result != 0) {
		engine_ssh_ban_drop(mount, change->ban);
	} else if (result == 0) {
		/* It is replaced, or deleted. */
		old = engine_ssh_ban_find(mount, change->doc->id);
		if (old != NULL && old != change->ban)
			engine_ssh_ban_drop(mount, old);
		if (change->ban != NULL) {
			change->ban->id = change->doc->id;
			change->ban->version = change->doc->version;
			engine_ssh_ban_sweep(mount, change->ban);
		}
	}
	if (result == LEASED_ECONFLICT || result == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "ban %s was changed by somebody else meanwhile; look again", request->name);
	} else if (result != 0)
		engine_fail_err(request, err);
	else
		engine_finish(request);
	engines_release(engines);
}

static void
change_submit(struct ban_change *change)
{
	struct engines *engines = change->request->engines;

	change->op.run = change_run;
	change->op.done = change_done;
	change->wall_s = engine_ssh_wall_s(engines);
	engines_hold(engines);
	store_submit(engines->config.store, &change->op);
}

static struct ban_change *
change_new(struct engine_request_copy *request)
{
	struct ban_change *change = calloc(1, sizeof(*change));

	if (change == NULL)
		return (NULL);
	change->request = request;
	change->mount = request->mount_id;
	request->state = change;
	request->free_state = change_free;
	return (change);
}

/* ---- what is banned ---- */

static bool
said(const char *text)
{
	return (text != NULL && text[0] != '\0');
}

static int
who_put(struct engine_request_copy *request, const char *who, json_t *data, struct leased_err *err)
{
	struct store_doc *entity = NULL;
	int r = engine_entity_find(request->engines, who, &entity, err);

	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_EINVAL,
		    "identity: nobody here is \"%s\": an entity's id or name, or its alias "
		    "(identity/entity/id lists them)",
		    UTF8_SHORT(who, 64)));
	if (r == 0 && (json_object_set_new(data, "entity", json_string(entity->name)) != 0 ||
			  json_object_set_new(data, "identity", json_string(who)) != 0))
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	store_doc_free(entity);
	return (r);
}

static int
fingerprint_put(const struct ban_body *body, json_t *data, struct leased_err *err)
{
	struct ssh_key key = {.line = NULL};
	const char *print = body->fingerprint;
	int r;

	if (said(body->public_key)) {
		if ((r = engine_ssh_key_read(body->public_key, &key, err)) != 0)
			return (r);
		print = key.fingerprint;
	} else if (strncmp(print, "SHA256:", 7) != 0 || strlen(print) != 50 ||
		   strspn(print + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789+/") != 43)
		return (leased_err_set(err, LEASED_EINVAL,
		    "fingerprint: as ssh-keygen -l prints it: SHA256: and 43 characters"));
	r = json_object_set_new(data, "fingerprint", json_string(print));
	free(key.line);
	return (r == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* A list with a CA's own key refuses whatever that CA signed: everybody is locked out. */
static int
not_of_ca(const struct ssh_mount *mount, const json_t *data, struct leased_err *err)
{
	const char *print = json_string_value(json_object_get(data, "fingerprint")), *kid;
	const json_t *key;
	size_t i;

	json_array_foreach(json_object_get(mount->ca, "keys"), i, key)
	{
		kid = json_string_value(json_object_get(key, "kid"));
		if (print != NULL && kid != NULL && strcmp(print + strlen("SHA256:"), kid) == 0)
			return (leased_err_set(err, LEASED_EINVAL,
			    "this is the CA's own key: banned, it would lock everybody out. Is it "
			    "lost "
			    "to somebody, rotate it (config/ca/rotate) and delete it"));
	}
	return (0);
}

static int
key_id_put(const char *key_id, json_t *data, struct leased_err *err)
{
	if (strlen(key_id) > SSH_KEY_ID_MAX)
		return (
		    leased_err_set(err, LEASED_EINVAL, "key_id: at most %d bytes", SSH_KEY_ID_MAX));
	return (json_object_set_new(data, "key_id", json_string(key_id)) == 0
		    ? 0
		    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
ban_data(struct engine_request_copy *request, const struct ban_body *body, json_t *data,
    struct leased_err *err)
{
	int by = said(body->identity) + (said(body->public_key) || said(body->fingerprint)) +
		 said(body->key_id);

	if (by != 1)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a ban is of one: identity, public_key (or fingerprint), or key_id"));
	if (json_object_set_new(data, "reason",
		json_string(body->reason != NULL ? UTF8_SHORT(body->reason, 240) : "")) != 0 ||
	    json_object_set_new(
		data, "made_s", json_integer((json_int_t)engine_ssh_wall_s(request->engines))) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (said(body->identity))
		return (who_put(request, body->identity, data, err));
	if (said(body->key_id))
		return (key_id_put(body->key_id, data, err));
	return (fingerprint_put(body, data, err));
}

static int
ban_prepare(struct engine_request_copy *request, struct ssh_mount *mount, struct ban_change *change,
    struct leased_err *err)
{
	struct ban_body body = {0};
	struct store_doc *current = NULL;
	json_t *unknown = NULL, *data = json_object();
	bool damaged = false;
	int r = data != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory");

	if (r == 0 && (r = jdec_decode(request->body, ban_fields, &body, &unknown, err)) == 0)
		engine_warn_unknown(request, unknown, ban_names);
	json_decref(unknown);
	if (r == 0 && (r = ban_data(request, &body, data, err)) == 0 &&
	    (r = not_of_ca(mount, data, err)) == 0)
		r = engine_doc_get_any(request->engines, "ssh-ban", request->mount_id,
		    request->name, &current, &damaged, err);
	jdec_clear(ban_fields, &body);
	if (r == 0 && current == NULL && mount->ban_count >= SSH_BANS_MAX)
		r = leased_err_set(err, LEASED_EINVAL,
		    "there are %d bans: delete some that are over", SSH_BANS_MAX);
	change->doc = engine_doc_new("ssh-ban", request->mount_id, request->name, data);
	if (r == 0 && change->doc == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0 && current != NULL) {
		change->doc->id = current->id;
		change->doc->version = current->version;
	}
	store_doc_free(current);
	return (r);
}

/* ---- paths ---- */

void
engine_ssh_ban_write(struct engine_request_copy *request)
{
	struct ssh_mount *mount = engine_ssh_mount(request);
	struct ban_change *change = change_new(request);
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	if (mount == NULL || change == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	/* Behind the reading: it would come to stand there twice. */
	if ((r = engine_ssh_bans_need(mount, &err)) == 0 &&
	    (r = ban_prepare(request, mount, change, &err)) == 0 &&
	    (change->ban = engine_ssh_ban_add(mount, change->doc)) == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (r != 0) {
		engine_fail_err(request, &err);
		return;
	}
	change->ban->id = 0; /* of the one that it replaces, which holds until then */
	change_submit(change);
}

void
engine_ssh_ban_read(struct engine_request_copy *request)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int r = engine_doc_get(
	    request->engines, "ssh-ban", request->mount_id, request->name, &doc, &err);

	if (r == 0)
		request->reply.data = json_incref(doc->data);
	store_doc_free(doc);
	if (r != 0 && r != LEASED_ENOENT)
		engine_fail_err(request, &err);
	else
		engine_finish(request);
}

void
engine_ssh_ban_delete(struct engine_request_copy *request)
{
	struct ban_change *change = change_new(request);
	struct leased_err err = LEASED_ERR_INIT;
	bool damaged = false;
	int r;

	if (change == NULL || engine_ssh_mount(request) == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return;
	}
	r = engine_doc_get_any(request->engines, "ssh-ban", request->mount_id, request->name,
	    &change->doc, &damaged, &err);
	if (r != 0)
		engine_fail_err(request, &err);
	else if (change->doc == NULL)
		engine_finish(request);
	else {
		json_decref(change->doc->data);
		change->doc->data = NULL;
		change_submit(change);
	}
}
