/*
 * One durable change of an engine's documents. What must hold for it is asked inside the
 * transaction, so that the answer is the last word. Who calls: database_*.c, mount*.c, the sweeps.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "engine/private.h"

/* A request that began before its mount went must leave nothing below it. */
static int
check_mount(const struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r;

	if (change->mount == 0)
		return (0);
	r = store_doc_get_id(store_txn_db(txn), change->mount, &doc, err);
	store_doc_free(doc);
	if (r == LEASED_ENOENT)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the mount was removed meanwhile; nothing was written"));
	return (r);
}

static int
check_leases(const struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	int r;

	if (change->without_leases == 0)
		return (0);
	r = store_lease_any(store_txn_db(txn), change->without_leases, err);
	if (r == 0)
		return (leased_err_set(err, LEASED_EEXIST,
		    "there are leases on this connection; revoke them first (lease revoke "
		    "--prefix), then delete it; those that stay are listed by "
		    "sys/leases?type=irrevocable"));
	if (r != LEASED_ENOENT)
		return (r);
	r = store_rotation_any(store_txn_db(txn), change->without_leases, err);
	if (r == 0)
		return (leased_err_set(err, LEASED_EEXIST,
		    "there are static roles on this connection, whose passwords nobody would "
		    "rotate any more; delete them first"));
	return (r == LEASED_ENOENT ? 0 : r);
}

static int
check_absent(const struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r;

	if (change->absent_kind == NULL)
		return (0);
	r = store_doc_get(store_txn_db(txn), change->absent_kind, change->puts[0]->name, &doc, err);
	store_doc_free(doc);
	if (r == 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "Role and Static Role names must be unique"));
	return (r == LEASED_ENOENT ? 0 : r);
}

static int
write_rotations(const struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < ENGINE_CHANGE_MAX && r == 0; i++)
		if (change->deletes[i].id != 0)
			r = store_rotation_delete(txn, change->deletes[i].id, err);
	if (r == 0 && change->settled != 0)
		r = store_rotation_delete(txn, change->settled, err);
	if (r != 0 || change->rotation == NULL)
		return (r);
	change->rotation->doc = change->puts[0]->id;
	if ((r = store_rotation_put(txn, change->rotation, err)) == 0)
		r = FAILPOINT_ERROR(engine_rotate_static, err);
	return (r);
}

/* Without leases no statement of a dead worker can matter any more. */
static int
forget_connection(const struct engine_change *change, struct store_txn *txn, struct leased_err *err)
{
	if (change->without_leases == 0)
		return (0);
	return (store_connection_forget(txn, change->without_leases, err));
}

static int
change_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct engine_change *change = (struct engine_change *)op;
	unsigned i;
	int r;

	if ((r = check_mount(change, txn, err)) != 0 || (r = check_leases(change, txn, err)) != 0 ||
	    (r = forget_connection(change, txn, err)) != 0 ||
	    (r = check_absent(change, txn, err)) != 0)
		return (r);
	for (i = 0; i < ENGINE_CHANGE_MAX; i++)
		if (change->puts[i] != NULL && (r = store_doc_put(txn, change->puts[i], err)) != 0)
			return (r);
	for (i = 0; i < ENGINE_CHANGE_MAX; i++)
		if (change->deletes[i].id != 0 && (r = store_doc_delete(txn, change->deletes[i].id,
						       change->deletes[i].version, err)) != 0)
			return (r);
	if ((r = write_rotations(change, txn, err)) != 0)
		return (r);
	if (change->mark != NULL)
		return (store_meta_put(txn, change->mark, "1", err));
	return (0);
}

static void
change_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct engine_change *change = (struct engine_change *)op;
	struct engines *engines = change->engines;

	change->done(change->arg, result, err); /* may free change */
	engines_release(engines);
}

void
engine_change_submit(struct engines *engines, struct engine_change *change)
{
	change->op.run = change_run;
	change->op.done = change_done;
	change->engines = engines;
	engines_hold(engines);
	store_submit(engines->config.store, &change->op);
}

/* ---- at a start ---- */

struct forget_op {
	struct store_op op; /* first */
	struct engines *engines;
};

static int
on_forget_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	(void)op;
	return (store_connections_forget_gone(txn, err));
}

static void
on_forget_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct engines *engines = ((struct forget_op *)op)->engines;

	if (result != 0)
		log_warn("what was known of connections that are gone could not be forgotten; the "
			 "next start tries again",
		    LOG_ERR(err));
	free(op);
	engines_release(engines);
}

void
engine_gone_forget(struct engines *engines)
{
	struct forget_op *forget = calloc(1, sizeof(*forget));

	if (forget == NULL)
		return; /* the next start does it */
	forget->op.run = on_forget_run;
	forget->op.done = on_forget_done;
	forget->engines = engines;
	engines_hold(engines);
	store_submit(engines->config.store, &forget->op);
}
