/*
 * Mounting and unmounting. An unmount ends every lease below the mount first, by a bulk job, and
 * then takes the mount's documents away; whoever calls is api/.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/defer.h"
#include "base/jdec.h"
#include "base/path.h"
#include "base/utf8.h"
#include "engine/type.h"
#include "engine/ssh/mount.h"

struct mount_body {
	char *type, *description;
	json_t *config, *options;
};
static const struct jdec_field mount_fields[] = {
    JDEC_FIELD(struct mount_body, type, JDEC_STRING),
    JDEC_FIELD(struct mount_body, description, JDEC_STRING),
    JDEC_FIELD(struct mount_body, config, JDEC_JSON),
    JDEC_FIELD(struct mount_body, options, JDEC_JSON),
    {"local", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"seal_wrap", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"external_entropy_access", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"plugin_name", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    {"plugin_version", JDEC_IGNORED, 0, JDEC_NO_PRESENT},
    JDEC_END,
};

struct mount_change {
	struct engine_change change; /* first */
	struct engines *engines;
	struct store_doc *doc;
	int64_t mount; /* being removed */
	engine_done done;
	void *arg;
};

static void
change_end(struct mount_change *change, int code, const struct leased_err *err)
{
	change->done(change->arg, code, err);
	store_doc_free(change->doc);
	free(change);
}

static int
mount_path_check(struct engines *engines, const char *path, struct leased_err *err)
{
	static const char *const protected_paths[] = {
	    "auth/", "sys/", "cubbyhole/", "identity/", "audit/"};
	struct engine_mount *mount;
	size_t i, len = strlen(path);

	if (len < 2 || len > 200 || path[len - 1] != '/')
		return (leased_err_set(
		    err, LEASED_EINVAL, "a mount path has 1 to 199 characters and ends in '/'"));
	for (i = 0; i < sizeof(protected_paths) / sizeof(protected_paths[0]); i++)
		if (path_has_prefix(path, protected_paths[i]))
			return (leased_err_set(err, LEASED_EINVAL,
			    "cannot mount under existing protected path \"%s\"",
			    protected_paths[i]));
	LIST_FOREACH (mount, &engines->mounts, link) {
		if (strcmp(mount->path, path) == 0)
			return (leased_err_set(
			    err, LEASED_EEXIST, "path is already in use at %s", path));
		if (path_has_prefix(mount->path, path) || path_has_prefix(path, mount->path))
			return (leased_err_set(err, LEASED_EEXIST,
			    "path is already in use at %s: existing mount at %s", path,
			    mount->path));
	}
	return (0);
}

static int
mount_ttls_decode(
    const json_t *config, int64_t *ret_default_s, int64_t *ret_max_s, struct leased_err *err)
{
	struct mount_ttls {
		int64_t default_lease_ttl, max_lease_ttl;
	} ttls = {0, 0};
	const struct jdec_field fields[] = {
	    JDEC_FIELD(struct mount_ttls, default_lease_ttl, JDEC_DURATION_S),
	    JDEC_FIELD(struct mount_ttls, max_lease_ttl, JDEC_DURATION_S),
	    JDEC_END,
	};
	int r;

	if (config != NULL && !json_is_object(config))
		return (leased_err_set(err, LEASED_EINVAL, "config: expected an object"));
	if ((r = jdec_decode(config, fields, &ttls, NULL, err)) != 0)
		return (r);
	if (ttls.max_lease_ttl > 0 && ttls.max_lease_ttl < ttls.default_lease_ttl)
		return (leased_err_set(err, LEASED_EINVAL,
		    "max_lease_ttl (%lld s) is below default_lease_ttl (%lld s)",
		    (long long)ttls.max_lease_ttl, (long long)ttls.default_lease_ttl));
	*ret_default_s = ttls.default_lease_ttl;
	*ret_max_s = ttls.max_lease_ttl;
	return (0);
}

static void
on_added(void *arg, int code, const struct leased_err *err)
{
	struct mount_change *change = arg;
	struct leased_err own = LEASED_ERR_INIT;
	struct engine_mount *mount;

	if (code == LEASED_EEXIST) { /* somebody else was faster */
		(void)leased_err_set(&own, code, "path is already in use at %s", change->doc->name);
		err = &own;
	}
	if (code == 0) {
		if ((mount = engine_mount_from_doc(change->doc)) == NULL) {
			code = leased_err_set(&own, LEASED_ENOMEM,
			    "out of memory; the mount is there after a restart");
			err = &own;
		} else
			LIST_INSERT_HEAD(&change->engines->mounts, mount, link);
	}
	change_end(change, code, err);
}

static int
mount_add_prepare(
    struct mount_change *change, const char *path, const json_t *body, struct leased_err *err)
{
	struct mount_body decoded = {0};
	int64_t default_s = 0, max_s = 0;
	char names[128];
	int r;

	if ((r = mount_path_check(change->engines, path, err)) != 0 ||
	    (r = jdec_decode(body, mount_fields, &decoded, NULL, err)) != 0 ||
	    (r = mount_ttls_decode(decoded.config, &default_s, &max_s, err)) != 0)
		goto out;
	if (engine_type_find(decoded.type) == NULL) {
		engine_type_names(names, sizeof(names));
		r = leased_err_set(err, LEASED_EINVAL,
		    "plugin not found in the catalog: %s: this version mounts types %s",
		    UTF8_SHORT(decoded.type != NULL ? decoded.type : "(no type given)", 64), names);
		goto out;
	}
	if (engine_type_find(decoded.type)->only_one) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "there is one mount of type %s, and no other can be made", decoded.type);
		goto out;
	}
	if (json_object_size(decoded.options) > 0) {
		r = leased_err_set(
		    err, LEASED_EINVAL, "options: a mount of type %s has none", decoded.type);
		goto out;
	}
	change->doc = engine_mount_doc_new(change->engines, path, decoded.type,
	    decoded.description != NULL ? decoded.description : "", default_s, max_s);
	if (change->doc == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	jdec_clear(mount_fields, &decoded);
	return (r);
}

static struct mount_change *
change_new(struct engines *engines, engine_done done, void *arg)
{
	struct mount_change *change;

	if ((change = calloc(1, sizeof(*change))) == NULL)
		return (NULL);
	change->engines = engines;
	change->done = done;
	change->arg = arg;
	change->change.arg = change;
	return (change);
}

void
engines_mount_add(
    struct engines *engines, const char *path, const json_t *body, engine_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct mount_change *change;
	int r;

	if ((change = change_new(engines, done, arg)) == NULL) {
		done(arg, leased_err_set(&err, LEASED_ENOMEM, "out of memory"), &err);
		return;
	}
	if ((r = mount_add_prepare(change, path, body, &err)) != 0) {
		change_end(change, r, &err);
		return;
	}
	change->change.puts[0] = change->doc;
	change->change.done = on_added;
	engine_change_submit(engines, &change->change);
}

/* ---- unmount: end the leases, take the documents, forget the mount ---- */

/* Leases whose records are damaged are in no list of a place, and only their connection can end
 * access to their accounts. */
static int
connection_forget(struct store_txn *txn, int64_t connection, struct leased_err *err)
{
	int r = store_lease_any(store_txn_db(txn), connection, err);

	if (r == LEASED_ENOENT)
		return (store_connection_forget(txn, connection, err));
	if (r != 0)
		return (r);
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "there are leases below this mount whose records are damaged, and only its "
	    "connections can end access to their accounts: sys/leases?type=irrevocable lists "
	    "them; when they are disarmed, drop the accounts, let the leases be forgotten by "
	    "sys/leases/revoke-force, and unmount again"));
}

static int
remove_docs(struct store_txn *txn, const char *kind, int64_t mount, struct leased_err *err)
{
	char prefix[ENGINE_DOC_NAME_SIZE];
	struct store_doc **docs = NULL;
	bool is_connection = strcmp(kind, "connection") == 0 || strcmp(kind, "candidate") == 0;
	size_t count = 0, i;
	int r;

	engine_doc_name(mount, "", prefix);
	do {
		r = store_doc_list(store_txn_db(txn), kind, prefix, NULL, 64, &docs, &count, err);
		if (r != 0)
			return (r);
		for (i = 0; i < count; i++) {
			if (r == 0 && is_connection)
				r = connection_forget(txn, docs[i]->id, err);
			if (r == 0)
				r = store_doc_delete(txn, docs[i]->id, docs[i]->version, err);
			store_doc_free(docs[i]);
		}
		free(docs);
		docs = NULL;
	} while (r == 0 && count == 64);
	return (r);
}

/* Of every type: what is there of a type that this version does not know is not left behind. */
static int
remove_all_docs(struct store_txn *txn, int64_t mount, struct leased_err *err)
{
	const struct engine_type *type;
	int r = 0;

	for (size_t i = 0; (type = engine_type_at(i)) != NULL; i++)
		for (size_t j = 0; r == 0 && type->kinds[j] != NULL; j++)
			r = remove_docs(txn, type->kinds[j], mount, err);
	return (r);
}

static int
remove_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct mount_change *change = (struct mount_change *)op;
	struct store_lease_query query = {
	    .by = STORE_BY_PLACE, .number = change->mount, .text = "", .limit = 1};
	struct store_lease **leases = NULL;
	size_t count = 0;
	int r;

	if ((r = store_lease_page(store_txn_db(txn), &query, &leases, &count, err)) != 0)
		return (r);
	store_lease_page_free(leases, count);
	if (count != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "leases below this mount could not be ended yet; they are tried again for "
		    "ever, "
		    "the mount stays: see lease list, and unmount again later"));
	if ((r = remove_all_docs(txn, change->mount, err)) != 0)
		return (r);
	return (store_doc_delete(txn, change->doc->id, change->doc->version, err));
}

static void
free_mount(void *arg)
{
	engine_mount_free(arg);
}

/* Each close ends calls, and what follows from them may change the list. */
static void
close_connections(struct engines *engines, int64_t mount)
{
	struct engine_connection *connection;

	do {
		LIST_FOREACH (connection, &engines->connections, link)
			if (connection->mount == mount)
				break;
		if (connection != NULL)
			engine_connection_gone(engines, connection);
	} while (connection != NULL);
}

static void
on_removed(struct store_op *op, int result, const struct leased_err *err)
{
	struct mount_change *change = (struct mount_change *)op;
	struct engine_mount *mount = engine_mount_find(change->engines, change->mount);

	if (mount != NULL && result != 0)
		mount->closing = false;
	if (mount != NULL && result == 0) {
		close_connections(change->engines, mount->id);
		engine_ssh_unmounted(change->engines, mount->id);
		LIST_REMOVE(mount, link);
		/* Requests of this turn may still hold it. */
		if (change->engines->config.loop != NULL)
			defer_free(change->engines->config.loop, free_mount, mount);
		else
			engine_mount_free(mount);
	}
	engines_release(change->engines);
	change_end(change, result, err);
}

static void
on_leases_ended(
    void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct mount_change *change = arg;
	struct engine_mount *mount = engine_mount_find(change->engines, change->mount);

	(void)status; /* what is left is seen by the transaction itself */
	if (code != 0) {
		if (mount != NULL)
			mount->closing = false;
		change_end(change, code, err);
		return;
	}
	change->change.op.run = remove_run;
	change->change.op.done = on_removed;
	engines_hold(change->engines);
	store_submit(change->engines->config.store, &change->change.op);
}

static struct store_doc *
doc_of_mount(const struct engine_mount *mount)
{
	struct store_doc *doc;

	if ((doc = calloc(1, sizeof(*doc))) == NULL)
		return (NULL);
	doc->id = mount->id;
	doc->version = mount->version;
	return (doc);
}

void
engines_mount_remove(struct engines *engines, const char *path, const char *cause,
    const struct lease_actor *actor, engine_done done, void *arg)
{
	struct lease_scope scope = {
	    .kind = LEASE_SCOPE_PLACE, .text = "", .end = LEASE_END_MOUNT, .actor = *actor};
	struct leased_err err = LEASED_ERR_INIT;
	struct engine_mount *mount;
	struct mount_change *change;

	LIST_FOREACH (mount, &engines->mounts, link)
		if (strcmp(mount->path, path) == 0)
			break;
	if (mount == NULL) {
		done(arg, 0, &err);
		return;
	}
	if (mount->type != NULL && mount->type->only_one) {
		done(arg,
		    leased_err_set(&err, LEASED_EINVAL, "cannot unmount \"%s\": it always is there",
			mount->path),
		    &err);
		return;
	}
	if (mount->closing || engines->stopping) {
		done(arg,
		    leased_err_set(&err, LEASED_EUNAVAIL, "%s",
			engines->stopping ? "leased is stopping"
					  : "this mount is being removed already"),
		    &err);
		return;
	}
	if ((change = change_new(engines, done, arg)) == NULL ||
	    (change->doc = doc_of_mount(mount)) == NULL) {
		free(change);
		done(arg, leased_err_set(&err, LEASED_ENOMEM, "out of memory"), &err);
		return;
	}
	mount->closing = true;
	change->mount = scope.mount = mount->id;
	lease_job_start(engines->leases, &scope, 60000, cause, on_leases_ended, change);
}
