/*
 * Changes of a CA: made, imported, rotated, a key retired, all of it deleted. Each is one write of
 * its one document, with the version of the list of revoked certificates beside it when it is new.
 * A key is made by a worker before; one that no document names is nobody's. Memory and workers
 * follow the disk: nothing is signed with what is not on it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "engine/document.h"
#include "engine/ssh/krl.h"

struct ca_body {
	bool generate_signing_key, activate;
	char *private_key, *public_key, *key_type;
	int64_t key_bits, not_before;
	bool has_not_before;
};
static const struct jdec_field ca_fields[] = {
    JDEC_FIELD(struct ca_body, generate_signing_key, JDEC_BOOL),
    JDEC_FIELD(struct ca_body, private_key, JDEC_STRING),
    JDEC_FIELD(struct ca_body, public_key, JDEC_STRING),
    JDEC_FIELD(struct ca_body, key_type, JDEC_STRING),
    JDEC_FIELD(struct ca_body, key_bits, JDEC_INT),
    {"issuer_name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};
static const char *const ca_names[] = {
    "generate_signing_key", "private_key", "public_key", "key_type", "key_bits", NULL};
static const struct jdec_field rotate_fields[] = {
    JDEC_FIELD(struct ca_body, key_type, JDEC_STRING),
    JDEC_FIELD(struct ca_body, key_bits, JDEC_INT),
    JDEC_FIELD(struct ca_body, private_key, JDEC_STRING),
    JDEC_FIELD(struct ca_body, activate, JDEC_BOOL),
    JDEC_FIELD_SEEN(struct ca_body, not_before, has_not_before, JDEC_DURATION_S),
    JDEC_END,
};
static const char *const rotate_names[] = {
    "key_type", "key_bits", "private_key", "activate", "not_before", NULL};

struct ca_change {
	struct store_op op; /* first */
	struct engine_request_copy *request;
	struct ca_body body;
	struct store_doc *doc; /* what is to be written */
	int64_t mount, wall_s, now_ms;
	bool rotates;
	const char *algorithm; /* a literal */
};

static void
change_free(void *state)
{
	struct ca_change *change = state;

	if (change->body.private_key != NULL)
		leased_wipe(change->body.private_key, strlen(change->body.private_key));
	jdec_clear(ca_fields, &change->body);
	store_doc_free(change->doc);
	free(change);
}

/* ---- the write ---- */

static int
change_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct ca_change *change = (struct ca_change *)op;
	struct store_doc *mount = NULL;
	int64_t version = 0;
	int r;

	r = store_doc_get_id(store_txn_db(txn), change->mount, &mount, err);
	store_doc_free(mount);
	if (r == LEASED_ENOENT)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the mount was removed meanwhile; nothing was written"));
	if (r != 0 || (r = store_doc_put(txn, change->doc, err)) != 0)
		return (r);
	if ((r = engine_ssh_krl_version_in(store_txn_db(txn), change->mount, &version, err)) == 0 &&
	    version == 0)
		r = engine_ssh_krl_bump(txn, change->mount, change->wall_s, err);
	return (r == 0 ? FAILPOINT_ERROR(engine_ssh_ca_write, err) : r);
}

static void
answer(struct ca_change *change)
{
	struct engine_request_copy *request = change->request;
	const struct ssh_mount *mount =
	    request->engines->stopping ? NULL
				       : engine_ssh_mount_find(request->engines, change->mount);
	const json_t *active = mount != NULL ? engine_ssh_ca_active(mount) : NULL;
	const json_t *keys = json_object_get(change->doc->data, "keys");
	const json_t *made = json_array_get(keys, json_array_size(keys) - 1);

	if (change->rotates && active != NULL)
		request->reply.data = json_pack("{s:O,s:O,s:O}", "public_key",
		    json_object_get(active, "line"), "kid", json_object_get(made, "kid"),
		    "new_public_key", json_object_get(made, "line"));
	else if (change->algorithm != NULL && active != NULL)
		request->reply.data =
		    json_pack("{s:O}", "public_key", json_object_get(active, "line"));
	engine_finish(request);
}

static void
change_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct ca_change *change = (struct ca_change *)op;
	struct engine_request_copy *request = change->request;
	struct engines *engines = request->engines;
	struct ssh_mount *mount = engine_ssh_mount_find(engines, change->mount);
	struct leased_err own = *err;

	FAILPOINT(engine_ssh_ca_after_write);
	if (result == 0 && mount != NULL && !engines->stopping) {
		if ((result = engine_ssh_ca_remember(mount, change->doc, &own)) == 0)
			result = engine_ssh_open(mount, true, &own);
	}
	if (result == LEASED_ECONFLICT || result == LEASED_EEXIST) {
		request->reply.status = 409;
		engine_fail(request, LEASED_ECONFLICT,
		    "the keys of this CA were changed by somebody else meanwhile; look again");
	} else if (result != 0)
		engine_fail_err(request, &own);
	else
		answer(change);
	engines_release(engines);
}

static void
change_submit(struct ca_change *change)
{
	struct engines *engines = change->request->engines;

	change->op.run = change_run;
	change->op.done = change_done;
	change->wall_s = engine_ssh_wall_s(engines);
	engines_hold(engines);
	store_submit(engines->config.store, &change->op);
}

/* The document as it is, or an empty one under its name. */
static int
doc_now(struct ca_change *change, struct leased_err *err)
{
	struct engine_request_copy *request = change->request;
	struct store_doc *doc = NULL;
	json_t *data;
	int r = engine_doc_get(request->engines, "ssh-ca", request->mount_id, "ca", &doc, err);

	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	data = r == 0 ? json_deep_copy(doc->data) : json_pack("{s:[],s:[]}", "keys", "retired");
	change->doc = engine_doc_new("ssh-ca", request->mount_id, "ca", data);
	if (change->doc != NULL && r == 0) {
		change->doc->id = doc->id;
		change->doc->version = doc->version;
	}
	store_doc_free(doc);
	return (change->doc != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static json_t *
keys_of(const struct ca_change *change)
{
	return (json_object_get(change->doc->data, "keys"));
}

/* What has signed and does not any more needs no private part. */
static void
forget_private(struct ca_change *change)
{
	json_t *keys = keys_of(change), *key, *active = NULL;
	json_int_t from, best = -1;
	size_t i;

	json_array_foreach(keys, i, key)
	{
		from = json_integer_value(json_object_get(key, "from_ms"));
		if (json_object_get(key, "from_ms") != NULL && from <= change->now_ms &&
		    from >= best) {
			if (active != NULL)
				(void)json_object_del(active, "private");
			active = key;
			best = from;
		} else if (json_object_get(key, "from_ms") != NULL && from <= change->now_ms)
			(void)json_object_del(key, "private");
	}
}

/* ---- a key was made, or read ---- */

/* The reverse of what a ban refuses: its list would lock out whomever this key signs for. */
static int
not_banned(struct ca_change *change, const json_t *pair, struct leased_err *err)
{
	const char *kid =
	    json_string_value(json_object_get(json_object_get(pair, "public"), "kid"));
	struct ssh_mount *mount = engine_ssh_mount(change->request);
	char print[SSH_FINGERPRINT_SIZE];

	if (mount == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)snprintf(print, sizeof(print), "SHA256:%s", kid);
	return (engine_ssh_ban_check(mount, NULL, print, NULL, err));
}

static int
add_key(struct ca_change *change, const json_t *pair, struct leased_err *err)
{
	const json_t *part = json_object_get(pair, "public"), *key;
	json_t *made = json_pack("{s:O,s:O,s:O,s:O,s:I}", "kid", json_object_get(part, "kid"),
	    "algorithm", json_object_get(part, "algorithm"), "line", json_object_get(part, "line"),
	    "private", json_object_get(pair, "private"), "from_ms", (json_int_t)change->now_ms);
	bool waits = change->rotates && !change->body.activate;
	int64_t from_ms = change->now_ms + change->body.not_before * 1000;
	size_t i;

	json_array_foreach(keys_of(change), i, key)
	{
		if (!json_equal(json_object_get(key, "kid"), json_object_get(part, "kid")))
			continue;
		json_decref(made);
		return (leased_err_set(err, LEASED_EINVAL, "this CA has that key already"));
	}
	if (made != NULL && waits && !change->body.has_not_before)
		(void)json_object_del(made, "from_ms");
	else if (made != NULL && waits &&
		 json_object_set_new(made, "from_ms", json_integer((json_int_t)from_ms)) != 0) {
		json_decref(made);
		made = NULL;
	}
	if (json_array_append_new(keys_of(change), made) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	forget_private(change);
	return (0);
}

static void
on_pair(void *arg, const struct plugin_outcome *outcome)
{
	struct engine_request_copy *request = arg;
	struct ca_change *change = request->state;
	struct leased_err err = outcome->err;
	const char *wanted = change->body.public_key, *line;
	int r = outcome->code;

	if (r == LEASED_ETOOBIG)
		r = LEASED_EINVAL;
	else if (r != 0 && r != LEASED_EINVAL)
		r = LEASED_EUNAVAIL;
	if (r == 0 && !engine_mount_is_open(request))
		r = leased_err_set(&err, LEASED_EUNAVAIL, "leased is stopping");
	line =
	    json_string_value(json_object_get(json_object_get(outcome->result, "public"), "line"));
	if (r == 0 && wanted != NULL && wanted[0] != '\0' &&
	    strncmp(wanted, line, strlen(line)) != 0)
		r = leased_err_set(&err, LEASED_EINVAL,
		    "public_key is not that of private_key, which is: %.200s", line);
	FAILPOINT(engine_ssh_ca_before_write);
	if (r == 0 && (r = not_banned(change, outcome->result, &err)) == 0)
		r = add_key(change, outcome->result, &err);
	if (r != 0)
		engine_fail(request, r, "%s", err.text);
	else
		change_submit(change);
}

static void
ask_worker(struct ca_change *change)
{
	struct engine_request_copy *request = change->request;
	struct ssh_mount *mount = engine_ssh_mount(request);
	const char *given = change->body.private_key;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *params;

	change->algorithm = NULL;
	if (given == NULL || given[0] == '\0') {
		if (engine_ssh_algorithm(change->body.key_type, change->body.key_bits,
			&change->algorithm, &err) != 0) {
			engine_fail_err(request, &err);
			return;
		}
		params = json_pack("{s:s}", "algorithm", change->algorithm);
	} else
		params = json_pack("{s:s}", "private", given);
	if (mount == NULL)
		(void)leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	if (mount == NULL || engine_ssh_open(mount, false, &err) != 0) {
		json_decref(params);
		engine_fail_err(request, &err);
	} else if (plugin_call_start(mount->port,
		       change->algorithm != NULL ? PLUGIN_OP_GENERATE : PLUGIN_OP_IMPORT, params, 0,
		       on_pair, request) == NULL)
		engine_fail(request, LEASED_ENOMEM, "out of memory");
}

/* ---- paths ---- */

static struct ca_change *
change_new(
    struct engine_request_copy *request, const struct jdec_field *fields, const char *const *names)
{
	struct ca_change *change = calloc(1, sizeof(*change));
	struct leased_err err = LEASED_ERR_INIT;
	json_t *unknown = NULL;
	int r;

	if (change == NULL) {
		engine_fail(request, LEASED_ENOMEM, "out of memory");
		return (NULL);
	}
	request->state = change;
	request->free_state = change_free;
	change->request = request;
	change->mount = request->mount_id;
	change->body.generate_signing_key = true;
	change->now_ms = leases_now_ms(request->engines->leases);
	if ((r = jdec_decode(request->body, fields, &change->body, &unknown, &err)) == 0)
		engine_warn_unknown(request, unknown, names);
	json_decref(unknown);
	if (r == 0 && (r = leases_time_check(request->engines->leases, &err)) == 0)
		r = doc_now(change, &err);
	if (r == 0)
		return (change);
	engine_fail_err(request, &err);
	return (NULL);
}

void
engine_ssh_ca_write(struct engine_request_copy *request)
{
	struct ca_change *change =
	    request->name[0] == '\0' ? change_new(request, ca_fields, ca_names) : NULL;
	bool given;

	if (request->name[0] != '\0') {
		request->reply.status = 405;
		engine_fail(
		    request, LEASED_EINVAL, "a key is made by config/ca or config/ca/rotate");
		return;
	}
	if (change == NULL)
		return;
	given = change->body.private_key != NULL && change->body.private_key[0] != '\0';
	if (json_array_size(keys_of(change)) > 0)
		engine_fail(request, LEASED_EINVAL,
		    "keys are already configured; delete them before reconfiguring, or write "
		    "config/ca/rotate for a second one beside them");
	else if (!given && !change->body.generate_signing_key)
		engine_fail(request, LEASED_EINVAL,
		    "private_key is needed with generate_signing_key=false");
	else
		ask_worker(change);
}

/* A key that was announced signs from now on, without a new one. */
static bool
activate_next(struct ca_change *change)
{
	json_t *key, *next = NULL;
	size_t i;

	json_array_foreach(keys_of(change), i, key)
	{
		if (json_object_get(key, "from_ms") == NULL ||
		    json_integer_value(json_object_get(key, "from_ms")) > change->now_ms)
			next = key;
	}
	return (next != NULL && json_object_set_new(next, "from_ms",
				    json_integer((json_int_t)change->now_ms)) == 0);
}

static bool
has_next(const struct ca_change *change)
{
	const json_t *key, *from;
	size_t i;

	json_array_foreach(keys_of(change), i, key)
	{
		from = json_object_get(key, "from_ms");
		if (from == NULL || json_integer_value(from) > change->now_ms)
			return (true);
	}
	return (false);
}

void
engine_ssh_ca_rotate(struct engine_request_copy *request)
{
	struct ca_change *change = change_new(request, rotate_fields, rotate_names);
	struct leased_err err = LEASED_ERR_INIT;

	if (change == NULL)
		return;
	change->rotates = true;
	if (json_array_size(keys_of(change)) == 0) {
		(void)engine_ssh_ca_missing(&err);
		engine_fail_err(request, &err);
	} else if (change->body.activate && activate_next(change)) {
		forget_private(change);
		change_submit(change);
	} else if (has_next(change)) {
		engine_fail(request, LEASED_EINVAL,
		    "a next key is published already: write activate=true when every host has it, "
		    "or "
		    "delete it (config/ca/KID)");
	} else if (json_array_size(keys_of(change)) >= SSH_KEYS_MAX) {
		engine_fail(request, LEASED_EINVAL,
		    "a CA has at most %d keys: delete those whose certificates have ended",
		    SSH_KEYS_MAX);
	} else
		ask_worker(change);
}

/* ---- retiring ---- */

/* kid as it is, or as a URL has it. */
static bool
is_kid(const char *kid, const char *name)
{
	for (; *kid != '\0' && *name != '\0'; kid++, name++)
		if (*kid != *name && !(*kid == '/' && *name == '_') &&
		    !(*kid == '+' && *name == '-'))
			return (false);
	return (*kid == *name);
}

/* Its public part stays known, for the list of what it signed and was revoked. */
static int
retire(struct ca_change *change, size_t index)
{
	json_t *retired = json_object_get(change->doc->data, "retired");
	const json_t *key = json_array_get(keys_of(change), index);

	if (json_array_size(retired) >= SSH_RETIRED_MAX)
		(void)json_array_remove(retired, 0);
	if (json_array_append_new(
		retired, json_pack("{s:O,s:O}", "kid", json_object_get(key, "kid"), "line",
			     json_object_get(key, "line"))) != 0)
		return (LEASED_ENOMEM);
	return (json_array_remove(keys_of(change), index));
}

static int
retire_named(struct ca_change *change, struct leased_err *err)
{
	const struct ssh_mount *mount = engine_ssh_mount(change->request);
	const json_t *active = mount != NULL ? engine_ssh_ca_active(mount) : NULL;
	const char *kid;

	for (size_t i = 0; i < json_array_size(keys_of(change)); i++) {
		kid = json_string_value(json_object_get(json_array_get(keys_of(change), i), "kid"));
		if (!is_kid(kid, change->request->name))
			continue;
		if (active != NULL && is_kid(json_string_value(json_object_get(active, "kid")),
					  change->request->name))
			return (leased_err_set(err, LEASED_EINVAL,
			    "this key signs now: rotate first (config/ca/rotate)"));
		return (retire(change, i) == 0
			    ? 0
			    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	return (leased_err_set(err, LEASED_ENOENT, "this CA has no such key"));
}

void
engine_ssh_ca_delete(struct engine_request_copy *request)
{
	struct ca_change *change = change_new(request, ca_fields, ca_names);
	struct leased_err err = LEASED_ERR_INIT;
	int r = 0;

	if (change == NULL)
		return;
	if (request->name[0] != '\0')
		r = retire_named(change, &err);
	else if (json_array_size(keys_of(change)) == 0) {
		engine_finish(request);
		return;
	} else
		while (r == 0 && json_array_size(keys_of(change)) > 0)
			r = retire(change, 0);
	if (r == LEASED_ENOENT)
		request->reply.status = 404;
	if (r != 0)
		engine_fail(request, r, "%s", err.text[0] != '\0' ? err.text : "out of memory");
	else
		change_submit(change);
}
