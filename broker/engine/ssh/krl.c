/*
 * The list of revoked certificates (a KRL), as the store has it: one small document for each that
 * ended before its time, and the list's version. Both are written in the transaction in which the
 * lease goes, on the writer thread, so that the list never lacks what the store knows as ended. The
 * version grows, also over a restored backup: it is never below the clock, in microseconds, so that
 * no number of changes runs ahead of it, and one of a restored store is above all that its original
 * gave out. What expires writes nothing, and leaves the list with the next version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/ssh/krl.h"
#include "engine/ssh/mount.h"
#include "store/hold.h"

#define EXPIRED_SLACK_S 2

static json_int_t
number(const json_t *object, const char *name)
{
	return (json_integer_value(json_object_get(object, name)));
}

/* ---- on the writer thread ---- */

int
engine_ssh_krl_bump(struct store_txn *txn, int64_t mount, int64_t wall_s, struct leased_err *err)
{
	struct store_doc *doc = NULL, *put;
	char name[ENGINE_DOC_NAME_SIZE];
	int64_t version = wall_s * 1000000;
	int r;

	engine_doc_name(mount, SSH_KRL_DOC, name);
	r = store_doc_get(store_txn_db(txn), "ssh-krl", name, &doc, err);
	/* One that does not open is written over: the clock is above what stood there. */
	if (r == LEASED_ECORRUPT)
		r = store_doc_columns(store_txn_db(txn), "ssh-krl", name, &doc, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	if (doc != NULL && number(doc->data, "version") >= version)
		version = number(doc->data, "version") + 1;
	put = engine_doc_new("ssh-krl", mount, SSH_KRL_DOC,
	    json_pack("{s:I,s:I}", "version", (json_int_t)version, "date", (json_int_t)wall_s));
	if (put != NULL && doc != NULL) {
		put->id = doc->id;
		put->version = doc->version;
	}
	r = put != NULL ? store_doc_put(txn, put, err)
			: leased_err_set(err, LEASED_ENOMEM, "out of memory");
	store_doc_free(put);
	store_doc_free(doc);
	return (r == 0 ? FAILPOINT_ERROR(engine_ssh_krl_write, err) : r);
}

int
engine_ssh_ended(
    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err)
{
	const char *ca = json_string_value(json_object_get(ended->engine, "ca"));
	json_int_t exp_s = number(ended->engine, "exp");
	char name[24];
	struct store_doc *doc;
	int r;

	if (ca == NULL || exp_s <= ended->wall_ms / 1000 + EXPIRED_SLACK_S)
		return (0);
	(void)snprintf(name, sizeof(name), "%020lld", (long long)ended->row);
	doc = engine_doc_new(
	    "ssh-revoked", ended->mount, name, json_pack("{s:I,s:s}", "exp", exp_s, "ca", ca));
	if (doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	r = store_doc_put(txn, doc, err);
	store_doc_free(doc);
	if (r == LEASED_EEXIST)
		return (0);
	return (r == 0 ? engine_ssh_krl_bump(txn, ended->mount, ended->wall_ms / 1000, err) : r);
}

/* ---- of a restored store ---- */

struct krl_restored {
	struct store_op op; /* first */
	struct engines *engines;
	int64_t mount, wall_s, restored_us;
};

static int
restored_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	const struct krl_restored *restored = (const struct krl_restored *)op;
	struct store_doc *mount = NULL;
	int64_t version = 0;
	int r = store_doc_get_id(store_txn_db(txn), restored->mount, &mount, err);

	store_doc_free(mount);
	if (r == 0)
		r = engine_ssh_krl_version_in(store_txn_db(txn), restored->mount, &version, err);
	if (r == LEASED_ECORRUPT)
		r = 0;
	if (r == 0 && version < restored->restored_us)
		r = engine_ssh_krl_bump(txn, restored->mount, restored->wall_s, err);
	return (r == LEASED_ENOENT ? 0 : r);
}

static void
restored_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct krl_restored *restored = (struct krl_restored *)op;
	struct engines *engines = restored->engines;

	if (result != 0 && result != LEASED_ECANCELED)
		log_warn("a restored list of revoked certificates got no new version: hosts that "
			 "have a later one do not take it until the next is revoked",
		    LOG_I("mount", restored->mount), LOG_ERR(err));
	free(restored);
	engines_release(engines);
}

/*
 * Hosts may have lists that the original gave out behind the backup, and take no older one. Not
 * while the hold lasts: the original may live, and know of more that is revoked.
 */
void
engine_ssh_krl_restored(struct engines *engines)
{
	struct krl_restored *restored;
	struct ssh_mount *mount;
	struct store_hold hold;

	store_hold_get(engines->config.store, &hold);
	if (hold.held || hold.restored_wall_ms == 0)
		return;
	LIST_FOREACH (mount, &engines->ssh, link) {
		if (mount->ca == NULL || (restored = calloc(1, sizeof(*restored))) == NULL)
			continue;
		restored->op.run = restored_run;
		restored->op.done = restored_done;
		restored->engines = engines;
		restored->mount = mount->id;
		restored->wall_s = engine_ssh_wall_s(engines);
		restored->restored_us = hold.restored_wall_ms * 1000;
		engines_hold(engines);
		store_submit(engines->config.store, &restored->op);
	}
}

/* ---- on the loop ---- */

int
engine_ssh_krl_version_in(
    struct store_db *db, int64_t mount, int64_t *ret_version, struct leased_err *err)
{
	char name[ENGINE_DOC_NAME_SIZE];
	struct store_doc *doc = NULL;
	int r;

	engine_doc_name(mount, SSH_KRL_DOC, name);
	r = store_doc_get(db, "ssh-krl", name, &doc, err);
	if (r == 0)
		*ret_version = number(doc->data, "version");
	store_doc_free(doc);
	if (r == LEASED_ENOENT) {
		*ret_version = 0;
		r = 0;
	}
	return (r);
}

int
engine_ssh_krl_version(struct ssh_mount *mount, int64_t *ret_version, struct leased_err *err)
{
	struct store *store = mount->engines->config.store;
	struct ssh_version *known = &mount->version;
	struct store_doc *doc = NULL;
	char name[ENGINE_DOC_NAME_SIZE];
	uint64_t changes = 1; /* odd: of a row that is not known yet nothing is kept */
	int r;

	if (known->doc != 0) {
		changes = store_row_changes(store, known->doc);
		if (changes % 2 == 0 && changes == known->changes) {
			*ret_version = known->number;
			return (0);
		}
	}
	engine_doc_name(mount->id, SSH_KRL_DOC, name);
	r = store_doc_get(store_db(store), "ssh-krl", name, &doc, err);
	if (r != 0 && r != LEASED_ENOENT)
		return (r);
	*ret_version = doc != NULL ? number(doc->data, "version") : 0;
	if (doc != NULL && doc->id != known->doc)
		changes = 1;
	*known = (struct ssh_version){doc != NULL ? doc->id : 0, *ret_version, changes};
	store_doc_free(doc);
	return (0);
}

struct krl_body {
	int64_t wait, version;
};
static const struct jdec_field krl_fields[] = {
    JDEC_FIELD(struct krl_body, wait, JDEC_DURATION_S),
    JDEC_FIELD(struct krl_body, version, JDEC_INT),
    JDEC_END,
};

/* "Prefer: wait=30" (RFC 7240), or ?wait=30. */
static int64_t
wait_of(const struct engine_request_copy *request, const struct krl_body *body)
{
	const char *at = request->prefer != NULL ? strstr(request->prefer, "wait=") : NULL;
	int64_t wait_s = body->wait;

	if (at != NULL)
		wait_s = strtol(at + 5, NULL, 10);
	if (wait_s < 0)
		wait_s = 0;
	return (wait_s > SSH_WAIT_MAX_S ? SSH_WAIT_MAX_S : wait_s);
}

void
engine_ssh_krl_etag(int64_t version, char ret_etag[SSH_ETAG_SIZE])
{
	(void)snprintf(ret_etag, SSH_ETAG_SIZE, "\"%lld\"", (long long)version);
}

static bool
has_it(const struct engine_request_copy *request, int64_t version)
{
	char etag[SSH_ETAG_SIZE];

	engine_ssh_krl_etag(version, etag);
	return (request->etag != NULL &&
		(strcmp(request->etag, "*") == 0 || strstr(request->etag, etag) != NULL));
}

static void
krl_get(struct engine_request_copy *request, bool signature)
{
	struct ssh_mount *mount = engine_ssh_mount(request);
	struct leased_err err = LEASED_ERR_INIT;
	struct krl_body body = {.version = -1};
	int64_t version = 0;
	int r;

	if (mount == NULL)
		r = leased_err_set(&err, LEASED_ENOMEM, "out of memory");
	else if (engine_ssh_ca_active(mount) == NULL)
		r = engine_ssh_ca_missing(&err);
	else if ((r = jdec_decode(request->body, krl_fields, &body, NULL, &err)) == 0)
		r = engine_ssh_krl_version(mount, &version, &err);
	if (r != 0) {
		engine_fail_err(request, &err);
	} else if (body.version >= 0 && body.version != version) {
		request->reply.status = 412;
		engine_fail(request, LEASED_ECONFLICT,
		    "the list has version %lld now: fetch it again", (long long)version);
	} else if (!has_it(request, version))
		engine_ssh_krl_tell(mount, request, signature);
	else
		engine_ssh_krl_wait(
		    mount, request, signature, version, wait_of(request, &body) * 1000);
}

void
engine_ssh_krl_read(struct engine_request_copy *request)
{
	krl_get(request, false);
}

void
engine_ssh_krl_signature(struct engine_request_copy *request)
{
	krl_get(request, true);
}
