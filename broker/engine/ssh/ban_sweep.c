/*
 * What a ban ends: the certificates that its mount gave out before, found by a walk of the store's
 * reader over their leases and marked to be revoked, a page at a time. A ban remembers whether that
 * was done; a start does it again where it was not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/ssh/ban.h"
#include "lease/record.h"

#define PAGE 64

struct ssh_sweep {
	struct store_read read; /* first */
	struct engine_change change;
	struct engines *engines;
	struct store_doc *doc;
	int64_t mount, ban, after;
	struct ssh_ban by; /* its texts are the sweep's own */
	int64_t hits[PAGE];
	size_t hit_count, waiting;
	bool ended, failed;
	int64_t revoked;
};

static void
sweep_free(struct ssh_sweep *sweep)
{
	struct engines *engines = sweep->engines;

	free(sweep->by.entity);
	free(sweep->by.fingerprint);
	free(sweep->by.key_id);
	store_doc_free(sweep->doc);
	free(sweep);
	engines_release(engines);
}

/* ---- reading, on the reader thread ---- */

static bool
is_hit(const struct ssh_sweep *sweep, const struct store_lease *row)
{
	const json_t *engine = lease_record_engine(row);

	return (
	    row->kind == STORE_LEASE_PLAIN && !row->revoke &&
	    engine_ssh_ban_hits(&sweep->by, json_string_value(json_object_get(engine, "entity")),
		json_string_value(json_object_get(engine, "fp")),
		json_string_value(json_object_get(engine, "key_id"))));
}

static int
sweep_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	struct ssh_sweep *sweep = (struct ssh_sweep *)read;
	struct store_lease_query query = {
	    .by = STORE_BY_PLACE, .number = sweep->mount, .text = "", .limit = PAGE};
	struct store_lease **rows = NULL;
	size_t count = 0;
	int r;

	query.after = sweep->after;
	sweep->hit_count = 0;
	if ((r = store_lease_page(db, &query, &rows, &count, err)) != 0)
		return (r);
	for (size_t i = 0; i < count; i++) {
		sweep->after = rows[i]->id;
		if (is_hit(sweep, rows[i]))
			sweep->hits[sweep->hit_count++] = rows[i]->id;
	}
	store_lease_page_free(rows, count);
	sweep->ended = count == 0;
	return (!sweep->ended && sweep->hit_count == 0 ? STORE_READ_AGAIN : 0);
}

/* ---- ending them ---- */

static void page_over(struct ssh_sweep *sweep);

static void
on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct ssh_sweep *sweep = arg;

	if (state == LEASE_REVOKE_FAILED && err->code != LEASED_ENOENT) {
		sweep->failed = true;
		log_warn("a certificate of who is banned could not be revoked yet", LOG_ERR(err));
	} else
		sweep->revoked++;
	if (--sweep->waiting == 0)
		page_over(sweep);
}

static void
on_swept(void *arg, int code, const struct leased_err *err)
{
	struct ssh_sweep *sweep = arg;
	struct ssh_mount *mount = engine_ssh_mount_find(sweep->engines, sweep->mount);
	struct ssh_ban *ban = mount != NULL ? engine_ssh_ban_find(mount, sweep->ban) : NULL;

	(void)err; /* of a ban that was changed or has gone, or the next start does it */
	if (code == 0 && ban != NULL) {
		ban->swept = true;
		ban->version = sweep->doc->version;
	}
	sweep_free(sweep);
}

/* All of them are marked: that need not be done again. */
static void
note_swept(struct ssh_sweep *sweep)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (sweep->failed ||
	    store_doc_get_id(
		store_db(sweep->engines->config.store), sweep->ban, &sweep->doc, &err) != 0 ||
	    json_object_set_new(sweep->doc->data, "swept", json_true()) != 0 ||
	    json_object_set_new(
		sweep->doc->data, "revoked", json_integer((json_int_t)sweep->revoked)) != 0) {
		sweep_free(sweep);
		return;
	}
	sweep->change.puts[0] = sweep->doc;
	sweep->change.mount = sweep->mount;
	sweep->change.done = on_swept;
	sweep->change.arg = sweep;
	engine_change_submit(sweep->engines, &sweep->change);
}

static void
page_over(struct ssh_sweep *sweep)
{
	FAILPOINT(engine_ssh_sweep_page);
	if (sweep->engines->stopping)
		sweep_free(sweep);
	else if (sweep->ended)
		note_swept(sweep);
	else
		store_submit_read(sweep->engines->config.store, &sweep->read);
}

static void
sweep_done(struct store_read *read, int result, const struct leased_err *err)
{
	struct ssh_sweep *sweep = (struct ssh_sweep *)read;
	struct lease_actor actor = {.name = "ban"};

	if (result != 0 && result != LEASED_ECANCELED)
		log_error("certificates of who is banned could not be looked for; the next start "
			  "does it",
		    LOG_ERR(err));
	if (result != 0 || sweep->engines->stopping) {
		sweep_free(sweep);
		return;
	}
	sweep->waiting = sweep->hit_count + 1;
	for (size_t i = 0; i < sweep->hit_count; i++)
		lease_revoke_by(sweep->engines->leases, sweep->hits[i], 0, "ssh ban", &actor,
		    on_revoked, sweep);
	if (--sweep->waiting == 0)
		page_over(sweep);
}

/* ---- the start ---- */

/* The key id that we give by ourselves begins with the lease's: no walk finds it. */
static void
revoke_named(struct ssh_sweep *sweep)
{
	struct lease_actor actor = {.name = "ban"};
	struct store_lease *row = NULL;
	char id[SSH_KEY_ID_MAX + 1], *slash;

	(void)strlcpy(id, sweep->by.key_id, sizeof(id));
	for (int i = 0; i < 2; i++) {
		if ((slash = strrchr(id, '/')) == NULL)
			return;
		*slash = '\0';
	}
	if (lease_find(sweep->engines->leases, id, &row, NULL) != 0)
		return;
	if (row->mount == sweep->mount) {
		sweep->waiting++;
		lease_revoke_by(
		    sweep->engines->leases, row->id, 0, "ssh ban", &actor, on_revoked, sweep);
	}
	store_lease_free(row);
}

static bool
texts_copy(struct ssh_ban *to, const struct ssh_ban *from)
{
	to->entity = from->entity != NULL ? strdup(from->entity) : NULL;
	to->fingerprint = from->fingerprint != NULL ? strdup(from->fingerprint) : NULL;
	to->key_id = from->key_id != NULL ? strdup(from->key_id) : NULL;
	return (to->entity != NULL || to->fingerprint != NULL || to->key_id != NULL);
}

void
engine_ssh_ban_sweep(struct ssh_mount *mount, const struct ssh_ban *ban)
{
	struct ssh_sweep *sweep;

	if (mount->engines->stopping)
		return; /* the next start does it */
	sweep = calloc(1, sizeof(*sweep));
	if (sweep == NULL) {
		log_warn("no memory to look for certificates of who is banned; the next start does "
			 "it");
		return;
	}
	engines_hold(mount->engines);
	sweep->engines = mount->engines;
	sweep->mount = mount->id;
	sweep->ban = ban->id;
	sweep->read.run = sweep_run;
	sweep->read.done = sweep_done;
	if (!texts_copy(&sweep->by, ban)) {
		sweep_free(sweep);
		return;
	}
	if (sweep->by.key_id != NULL)
		revoke_named(sweep);
	if (sweep->waiting == 0)
		store_submit_read(mount->engines->config.store, &sweep->read);
}
