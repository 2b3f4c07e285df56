/*
 * The store of world.h.
 */
#include "unit/store/world.h"

#include <stdio.h>

#include "base/log.h"

/* ---- what there is ---- */

static int
populate(struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct world *w = arg;
	struct store_session session = {1, (char *)"w", (char *)"1:2"};
	struct store_rotation rotation = {.doc = 9, .connection = 1, .account = "app"};
	int r;

	if ((r = store_doc_put(txn, &w->doc, err)) != 0 ||
	    (r = store_lease_insert(txn, w->lease, err)) != 0)
		return (r);
	w->doc_id = w->doc.id;
	w->gone_id = w->lease->id;
	if ((r = store_lease_delete(txn, w->lease, w->tombstone, 1, 5, err)) != 0)
		return (r);
	w->lease->id = 0;
	if ((r = store_lease_insert(txn, w->lease, err)) != 0)
		return (r);
	w->token.id = w->lease_id = w->lease->id;
	if ((r = store_token_insert(txn, &w->token, err)) != 0 ||
	    (r = store_job_put(txn, &w->job, err)) != 0 ||
	    (r = store_session_put(txn, &session, err)) != 0 ||
	    (r = store_server_put(txn, 1, "server", err)) != 0 ||
	    (r = store_take(txn, "counter", 5, err)) != 0 ||
	    (r = store_rotation_put(txn, &rotation, err)) != 0 ||
	    (r = store_outbox_put(txn, "a record", err)) != 0 ||
	    (r = store_meta_put(txn, "setting", "value", err)) != 0)
		return (r);
	w->job_id = w->job.id;
	return (0);
}

/* And one lease in quarantine. */
static void
world_fill(struct world *w)
{
	struct store_lease *got = NULL;

	assert_int_equal(fix_write(&w->fix, populate, w), 0);
	w->bad_id = fix_add(&w->fix, 1, 1000, "l-bad");
	fix_sql(&w->fix, "UPDATE lease SET sealed = x'00' WHERE account = 'l-bad'");
	assert_int_equal(store_lease_get(w->fix.db, w->bad_id, &got, NULL), LEASED_ECORRUPT);
	store_pump(w->fix.store);
	assert_int_equal(fix_quarantined(&w->fix), 1);
}

int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	snprintf(w->base, sizeof(w->base), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(w->base));
	snprintf(w->dir, sizeof(w->dir), "%s/data", w->base);
	snprintf(w->copy, sizeof(w->copy), "%s/copy", w->base);
	snprintf(w->other, sizeof(w->other), "%s/other", w->base);
	wclock_fake_init(&w->fix.clock, INT64_C(1795400000000000));
	w->fix.root = seal_root_new_random();
	fix_open(&w->fix, w->dir);
	w->doc.kind = strdup("role");
	w->doc.name = strdup("app");
	w->doc.data = json_pack("{s:s, s:[s,s]}", "db", "ä\n\"", "list", "one", "two");
	w->lease = fix_lease(1, 2000, "l-one");
	w->token.uses_left = 5;
	(void)strlcpy(w->token.accessor, "accessor", sizeof(w->token.accessor));
	w->job.data = json_pack("{s:s}", "scope", "all");
	w->job.high = 7;
	w->tombstone = json_pack("{s:i}", "ended", 5);
	world_fill(w);
	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	*state = w;
	return (0);
}

int
world_teardown(void **state)
{
	struct world *w = *state;

	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	store_close(w->fix.store);
	seal_root_free(w->fix.root);
	free(w->doc.kind);
	free(w->doc.name);
	json_decref(w->doc.data);
	store_lease_free(w->lease);
	json_decref(w->job.data);
	json_decref(w->tombstone);
	fix_remove(w->base);
	free(w);
	return (0);
}

int
world_read_lease(struct world *w)
{
	struct store_lease *lease = NULL;
	int r;

	if ((r = store_lease_get(w->fix.db, w->lease_id, &lease, NULL)) != 0)
		return (r);
	assert_string_equal(lease->account, "l-one");
	store_lease_free(lease);
	if ((r = store_lease_get_account(w->fix.db, "l-one", &lease, NULL)) == 0)
		store_lease_free(lease);
	return (r);
}
