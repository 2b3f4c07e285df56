/*
 * Writes the documents of auth/ (policies, roles) by name. Last writer wins: the API has no
 * versions for them. Does not check contents. Called by acl.c and unix_role.c.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"
#include "base/failpoint.h"

struct document_op {
	struct store_op op; /* first */
	char *kind, *name;
	json_t *data; /* NULL: delete */
	auth_write_done done;
	void *arg;
};

static void
document_op_free(struct document_op *doc_op)
{
	if (doc_op == NULL)
		return;
	free(doc_op->kind);
	free(doc_op->name);
	json_decref(doc_op->data);
	free(doc_op);
}

static int
document_delete_run(struct document_op *doc_op, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r;

	r = store_doc_get(store_txn_db(txn), doc_op->kind, doc_op->name, &doc, err);
	if (r == LEASED_ENOENT)
		return (0);
	if (r == 0)
		r = store_doc_delete(txn, doc->id, doc->version, err);
	store_doc_free(doc);
	return (r);
}

static int
document_put_run(struct document_op *doc_op, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	struct store_doc fresh = {.kind = doc_op->kind, .name = doc_op->name, .data = doc_op->data};
	int r;

	r = store_doc_get(store_txn_db(txn), doc_op->kind, doc_op->name, &doc, err);
	if (r == LEASED_ENOENT)
		return (store_doc_put(txn, &fresh, err));
	if (r != 0)
		return (r);
	fresh.id = doc->id;
	fresh.version = doc->version;
	r = store_doc_put(txn, &fresh, err);
	store_doc_free(doc);
	return (r);
}

static int
document_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct document_op *doc_op = (struct document_op *)op;
	int r;

	if ((r = FAILPOINT_ERROR(auth_document_write, err)) != 0)
		return (r);
	if (doc_op->data == NULL)
		return (document_delete_run(doc_op, txn, err));
	return (document_put_run(doc_op, txn, err));
}

static void
on_document_written(struct store_op *op, int result, const struct leased_err *err)
{
	struct document_op *doc_op = (struct document_op *)op;

	doc_op->done(doc_op->arg, result, err);
	document_op_free(doc_op);
}

static void
document_submit(struct auth *auth, const char *kind, const char *name, json_t *data,
    auth_write_done done, void *arg)
{
	struct document_op *doc_op = calloc(1, sizeof(*doc_op));
	struct leased_err err = LEASED_ERR_INIT;

	if (doc_op == NULL) {
		json_decref(data);
		goto nomem;
	}
	doc_op->op.run = document_run;
	doc_op->op.done = on_document_written;
	doc_op->data = data;
	doc_op->done = done;
	doc_op->arg = arg;
	doc_op->kind = strdup(kind);
	doc_op->name = strdup(name);
	if (doc_op->kind == NULL || doc_op->name == NULL)
		goto nomem;
	store_submit(auth->config.store, &doc_op->op);
	return;
nomem:
	document_op_free(doc_op);
	done(arg, leased_err_set(&err, LEASED_ENOMEM, "out of memory: %s was not written", name),
	    &err);
}

void
auth_document_put(struct auth *auth, const char *kind, const char *name, json_t *data,
    auth_write_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (data == NULL) {
		done(arg,
		    leased_err_set(&err, LEASED_ENOMEM, "out of memory: %s was not written", name),
		    &err);
		return;
	}
	document_submit(auth, kind, name, data, done, arg);
}

void
auth_document_delete(
    struct auth *auth, const char *kind, const char *name, auth_write_done done, void *arg)
{
	document_submit(auth, kind, name, NULL, done, arg);
}
