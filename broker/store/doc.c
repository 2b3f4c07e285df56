/*
 * Documents: sealed JSON by kind and name (mounts, policies, connections, roles, entities). It
 * knows no kind. The record: format, kind, name, data.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/row.h"

#define DOC_FORMAT 1
#define DOC_FIELDS 4
#define DOC_SELECT "SELECT id, version, kind, name, sealed FROM doc "
enum doc_column { DOC_ID, DOC_VERSION, DOC_KIND, DOC_NAME, DOC_SEALED };

static const char doc_table[] = "doc";

void
store_doc_free(struct store_doc *doc)
{
	if (doc == NULL)
		return;
	free(doc->kind);
	free(doc->name);
	json_decref(doc->data);
	free(doc);
}

static int
doc_decode(
    const json_t *record, sqlite3_stmt *stmt, struct store_doc **ret_doc, struct leased_err *err)
{
	struct store_doc *doc = calloc(1, sizeof(*doc));
	const json_t *kind = json_array_get(record, 1), *name = json_array_get(record, 2);
	int64_t format;

	if (doc == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a document"));
	if (json_array_size(record) != DOC_FIELDS || !store_record_int(record, 0, &format) ||
	    format != DOC_FORMAT || !json_is_string(kind) || !json_is_string(name) ||
	    !store_record_column_is(stmt, DOC_KIND, json_string_value(kind)) ||
	    !store_record_column_is(stmt, DOC_NAME, json_string_value(name))) {
		free(doc);
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "its record is malformed or differs from its index columns"));
	}
	doc->id = sqlite3_column_int64(stmt, DOC_ID);
	doc->version = sqlite3_column_int64(stmt, DOC_VERSION);
	doc->data = json_incref(json_array_get(record, 3));
	if (!store_record_text(record, 1, &doc->kind) ||
	    !store_record_text(record, 2, &doc->name)) {
		store_doc_free(doc);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a document"));
	}
	*ret_doc = doc;
	return (0);
}

static int
doc_from_row(
    struct store_db *db, sqlite3_stmt *stmt, struct store_doc **ret_doc, struct leased_err *err)
{
	struct seal_place place = {
	    doc_table, sqlite3_column_int64(stmt, DOC_ID), sqlite3_column_int64(stmt, DOC_VERSION)};
	json_t *record = NULL;
	int r;

	if ((r = store_record_open(db->store, &place, stmt, DOC_SEALED, &record, err)) == 0)
		r = doc_decode(record, stmt, ret_doc, err);
	json_decref(record);
	if (r == LEASED_ECORRUPT) {
		store_quarantine_doc(
		    db, place.key, place.version, "it does not open or does not agree");
		leased_err_prefix(err, "%s %s does not open", store_sql_column_text(stmt, DOC_KIND),
		    store_sql_column_text(stmt, DOC_NAME));
	}
	return (r);
}

int
store_doc_get(struct store_db *db, const char *kind, const char *name, struct store_doc **ret_doc,
    struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, DOC_SELECT "WHERE kind = ?1 AND name = ?2",
	    SQL_ARGS(store_sql_text(kind), store_sql_text(name)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? doc_from_row(db, stmt, ret_doc, err)
			: leased_err_set(err, LEASED_ENOENT, "there is no %s %s", kind, name);
	store_sql_finish(stmt);
	return (r);
}

int
store_doc_get_id(
    struct store_db *db, int64_t id, struct store_doc **ret_doc, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(
	    db, DOC_SELECT "WHERE id = ?1", SQL_ARGS(store_sql_int(id)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? doc_from_row(db, stmt, ret_doc, err)
			: leased_err_set(
			      err, LEASED_ENOENT, "there is no document %lld", (long long)id);
	store_sql_finish(stmt);
	return (r);
}

static void
on_doc_free(void *item)
{
	store_doc_free(item);
}

static int doc_from_columns(sqlite3_stmt *stmt, struct store_doc **ret_doc, struct leased_err *err);

static int
list_add(struct store_db *db, sqlite3_stmt *stmt, bool damaged, struct store_list *list,
    struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r;

	if ((r = doc_from_row(db, stmt, &doc, err)) == LEASED_ECORRUPT) {
		if (!damaged)
			return (0);
		r = doc_from_columns(stmt, &doc, err);
	}
	if (r == 0 && (r = store_list_append(list, doc, err)) != 0)
		store_doc_free(doc);
	return (r);
}

static int
list_read(struct store_db *db, const char *kind, const char *prefix, const char *after,
    unsigned limit, bool damaged, struct store_doc ***ret_docs, size_t *ret_count,
    struct leased_err *err)
{
	const char *start = prefix != NULL ? prefix : "", *from = start;
	size_t len = strlen(start);
	sqlite3_stmt *stmt = NULL;
	struct store_list list = {0};
	bool row = false;
	int r;

	/* One bound: of two, SQLite begins at the first, and passes over all the pages before. The
	 * first name that no longer starts with prefix ends the walk. */
	if (after != NULL && strcmp(after, start) >= 0)
		from = after;
	r = store_sql_start(db,
	    DOC_SELECT "WHERE kind = ?1 AND name >= ?2 AND name <> ?3 ORDER BY name",
	    SQL_ARGS(store_sql_text(kind), store_sql_text(from),
		store_sql_text(after != NULL ? after : "")),
	    &stmt, err);
	while (r == 0 && list.count < limit && (r = store_sql_step(db, stmt, &row, err)) == 0 &&
	       row && strncmp(store_sql_column_text(stmt, DOC_NAME), start, len) == 0) {
		if (after != NULL && strcmp(store_sql_column_text(stmt, DOC_NAME), after) <= 0)
			r = store_sql_disorder(db, err);
		else
			r = list_add(db, stmt, damaged, &list, err);
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_list_clear(&list, on_doc_free);
		return (r);
	}
	*ret_docs = (struct store_doc **)list.items;
	*ret_count = list.count;
	return (0);
}

int
store_doc_list(struct store_db *db, const char *kind, const char *prefix, const char *after,
    unsigned limit, struct store_doc ***ret_docs, size_t *ret_count, struct leased_err *err)
{
	return (list_read(db, kind, prefix, after, limit, false, ret_docs, ret_count, err));
}

int
store_doc_list_all(struct store_db *db, const char *kind, const char *prefix, const char *after,
    unsigned limit, struct store_doc ***ret_docs, size_t *ret_count, struct leased_err *err)
{
	return (list_read(db, kind, prefix, after, limit, true, ret_docs, ret_count, err));
}

/* ---- by columns alone ---- */

static int
doc_from_columns(sqlite3_stmt *stmt, struct store_doc **ret_doc, struct leased_err *err)
{
	struct store_doc *doc = calloc(1, sizeof(*doc));

	if (doc != NULL) {
		doc->id = sqlite3_column_int64(stmt, DOC_ID);
		doc->version = sqlite3_column_int64(stmt, DOC_VERSION);
		doc->kind = store_sql_column_dup(stmt, DOC_KIND);
		doc->name = store_sql_column_dup(stmt, DOC_NAME);
	}
	if (doc == NULL || doc->kind == NULL || doc->name == NULL) {
		store_doc_free(doc);
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to read a document"));
	}
	*ret_doc = doc;
	return (0);
}

int
store_doc_columns(struct store_db *db, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, DOC_SELECT "WHERE kind = ?1 AND name = ?2",
	    SQL_ARGS(store_sql_text(kind), store_sql_text(name)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? doc_from_columns(stmt, ret_doc, err)
			: leased_err_set(err, LEASED_ENOENT, "there is no %s %s", kind, name);
	store_sql_finish(stmt);
	return (r);
}

int
store_doc_columns_list(struct store_db *db, const char *kind, const char *after, unsigned limit,
    struct store_doc ***ret_docs, size_t *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	struct store_list list = {0};
	struct store_doc *doc;
	bool row = false;
	int r;

	r = store_sql_start(db, DOC_SELECT "WHERE kind = ?1 AND name > ?2 ORDER BY name",
	    SQL_ARGS(store_sql_text(kind), store_sql_text(after != NULL ? after : "")), &stmt, err);
	while (
	    r == 0 && list.count < limit && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		if (after != NULL && strcmp(store_sql_column_text(stmt, DOC_NAME), after) <= 0)
			r = store_sql_disorder(db, err);
		else if ((r = doc_from_columns(stmt, &doc, err)) == 0 &&
			 (r = store_list_append(&list, doc, err)) != 0)
			store_doc_free(doc);
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_list_clear(&list, on_doc_free);
		return (r);
	}
	*ret_docs = (struct store_doc **)list.items;
	*ret_count = list.count;
	return (0);
}

static int
doc_seal(struct store *store, const struct store_doc *doc, const struct seal_place *place,
    uint8_t **ret_sealed, size_t *ret_len, struct leased_err *err)
{
	struct jenc record = {0};

	jenc_int(&record, DOC_FORMAT);
	jenc_text(&record, doc->kind);
	jenc_text(&record, doc->name);
	jenc_value(&record, doc->data);
	return (store_record_seal(store, place, &record, ret_sealed, ret_len, err));
}

static int
doc_insert(struct store_txn *txn, struct store_doc *doc, struct leased_err *err)
{
	struct seal_place place = {doc_table, 0, 1};
	uint8_t *sealed = NULL;
	size_t len = 0;
	int changes = 0, r;

	if ((r = store_record_next_id(txn->db, doc_table, &place.key, err)) != 0 ||
	    (r = doc_seal(txn->db->store, doc, &place, &sealed, &len, err)) != 0)
		return (r);
	r = store_sql_run(txn->db,
	    "INSERT INTO doc (id, version, kind, name, sealed) VALUES (?1, 1, ?2, ?3, ?4)"
	    " ON CONFLICT (kind, name) DO NOTHING",
	    SQL_ARGS(store_sql_int(place.key), store_sql_text(doc->kind), store_sql_text(doc->name),
		store_sql_blob(sealed, len)),
	    &changes, err);
	free(sealed);
	if (r == 0 && changes == 0)
		r = leased_err_set(
		    err, LEASED_EEXIST, "there is a %s %s already", doc->kind, doc->name);
	if (r != 0)
		return (r);
	doc->id = place.key;
	doc->version = 1;
	return (0);
}

static int
changed_meanwhile(int64_t id, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ECONFLICT,
	    "document %lld has changed or gone meanwhile: read it again", (long long)id));
}

static int
doc_put(struct store_txn *txn, struct store_doc *doc, struct leased_err *err)
{
	/* One that does not open may say any version. */
	struct seal_place place = {
	    doc_table, doc->id, doc->version < INT64_MAX ? doc->version + 1 : 1};
	uint8_t *sealed = NULL;
	size_t len = 0;
	int changes = 0, r;

	if (doc->id == 0)
		return (doc_insert(txn, doc, err));
	if ((r = doc_seal(txn->db->store, doc, &place, &sealed, &len, err)) != 0)
		return (r);
	r = store_sql_run(txn->db,
	    "UPDATE doc SET version = ?2, kind = ?3, name = ?4, sealed = ?5"
	    " WHERE id = ?1 AND version = ?6",
	    SQL_ARGS(store_sql_int(doc->id), store_sql_int(place.version),
		store_sql_text(doc->kind), store_sql_text(doc->name), store_sql_blob(sealed, len),
		store_sql_int(doc->version)),
	    &changes, err);
	free(sealed);
	if (r == 0 && changes == 0)
		r = changed_meanwhile(doc->id, err);
	if (r == 0)
		r = store_quarantine_doc_done(txn, doc->id, err);
	if (r == 0)
		doc->version = place.version;
	return (r);
}

int
store_doc_put(struct store_txn *txn, struct store_doc *doc, struct leased_err *err)
{
	int r = doc_put(txn, doc, err);

	if (r != 0)
		return (r);
	return (store_watch_tell(
	    txn, &(struct store_change){.kind = STORE_CHANGE_DOC, .doc = doc}, err));
}

int
store_doc_delete(struct store_txn *txn, int64_t id, int64_t version, struct leased_err *err)
{
	int changes = 0, r;

	if ((r = store_watch_doc_gone(txn, id, err)) != 0)
		return (r);
	r = store_sql_run(txn->db, "DELETE FROM doc WHERE id = ?1 AND version = ?2",
	    SQL_ARGS(store_sql_int(id), store_sql_int(version)), &changes, err);
	if (r == 0 && changes == 0)
		r = changed_meanwhile(id, err);
	if (r == 0)
		r = store_quarantine_doc_done(txn, id, err);
	return (r);
}
