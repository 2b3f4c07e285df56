/*
 * fsck, the rows: each one of each table is opened, by its number and not by an index. A lease
 * whose sealed content opens gets its columns from there; one that does not open goes to
 * quarantine, by the same write as in the daemon. It also says of a backup whether all of it opens.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/offline_private.h"

#define PAGE 256

/* ---- leases ---- */

static int
work_rewrite(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	return (store_lease_update(txn, arg, err));
}

/* What is sealed is the truth: the columns, and their checksum, are written from it. */
static int
columns_mend(struct store_check *check, struct store_lease *lease, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;

	(void)err;
	if (check->repair && store_check_write(check, work_rewrite, lease, &why) == 0)
		store_check_say(check, STORE_FOUND_REPAIRED,
		    "lease number %lld (account %s): its index columns differed from its sealed "
		    "content: written anew from it",
		    (long long)lease->id, lease->account);
	else
		store_check_say(check, STORE_FOUND_LEFT,
		    "lease number %lld (account %s): its index columns differ from its sealed "
		    "content%s%s",
		    (long long)lease->id, lease->account, why.text[0] != '\0' ? ": " : "",
		    why.text);
	return (0);
}

/* A row that does not open: stmt stands on it. */
static void
row_quarantine(struct store_check *check, sqlite3_stmt *stmt)
{
	struct store *store = check->store;
	long long id = (long long)sqlite3_column_int64(stmt, LEASE_ID);
	char account[96];

	(void)strlcpy(account, store_sql_column_text(stmt, LEASE_ACCOUNT), sizeof(account));
	if (!check->repair) {
		store_check_say(check, STORE_FOUND_LEFT,
		    "lease number %lld (account %s): its sealed content does not open", id,
		    account);
		return;
	}
	store_quarantine_lease(store->writer_db, stmt, NULL, "its sealed content does not open");
	store_check_say(check, STORE_FOUND_REPAIRED,
	    "lease number %lld (account %s): its sealed content does not open: moved to "
	    "quarantine, leased ends the access of its account",
	    id, account);
}

/* Takes what it found out of the statement before anything is written. */
static int
lease_check(struct store_check *check, sqlite3_stmt *stmt, struct store_list *ret_mend,
    struct leased_err *err)
{
	struct store_db *db = check->store->writer_db;
	struct store_lease *lease = NULL;
	bool agrees = false, good = false;
	int r;

	r = store_lease_open_row(db, stmt, &lease, &agrees, err);
	if (r == LEASED_ECORRUPT) {
		row_quarantine(check, stmt);
		return (0);
	}
	if (r == 0)
		r = store_record_sum_check(check->store, "lease", stmt, LEASE_SUM, &good, err);
	if (r == 0 && check->on_lease != NULL)
		r = check->on_lease(check->arg, lease, err);
	if (r == 0 && (!agrees || !good)) {
		if ((r = store_list_append(ret_mend, lease, err)) == 0)
			lease = NULL;
	}
	store_lease_free(lease);
	return (r);
}

static void
on_lease_free(void *item)
{
	store_lease_free(item);
}

static int
lease_page(struct store_check *check, int64_t *after, unsigned *ret_count, struct leased_err *err)
{
	struct store_db *db = check->store->writer_db;
	struct store_list mend = {0};
	sqlite3_stmt *stmt = NULL;
	unsigned count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db, LEASE_SELECT "NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT ?2",
	    SQL_ARGS(store_sql_int(*after), store_sql_int(PAGE)), &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		count++;
		r = store_sql_advance(db, sqlite3_column_int64(stmt, LEASE_ID), after, err);
		if (r == 0)
			r = lease_check(check, stmt, &mend, err);
	}
	store_sql_finish(stmt);
	if (check->repair)
		(void)store_pump(check->store); /* what goes to quarantine */
	for (size_t i = 0; i < mend.count && r == 0; i++)
		r = columns_mend(check, mend.items[i], err);
	store_list_clear(&mend, on_lease_free);
	check->rows += count;
	*ret_count = count;
	return (r);
}

static int
leases_check(struct store_check *check, struct leased_err *err)
{
	int64_t after = INT64_MIN;
	unsigned count = PAGE;
	int r = 0;

	while (r == 0 && count == PAGE)
		r = lease_page(check, &after, &count, err);
	if (r != LEASED_ECORRUPT)
		return (r);
	store_check_say(check, STORE_FOUND_LEFT,
	    "leases above number %lld cannot be read: %s. Restore the store from a backup, then "
	    "run reconcile",
	    (long long)after, err->text);
	return (0);
}

/* ---- the other tables: one by one, as the daemon reads them ---- */

static int
doc_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_doc *doc = NULL;
	int r = store_doc_get_id(db, id, &doc, err);

	store_doc_free(doc);
	return (r);
}

static int
job_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_job *job = NULL;
	int r = store_job_get(db, id, &job, err);

	store_job_free(job);
	return (r);
}

static int
tombstone_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_tombstone *tombstone = NULL;
	int r = store_tombstone_get(db, id, &tombstone, err);

	store_tombstone_free(tombstone);
	return (r);
}

static int
token_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_token token;

	return (store_token_get_id(db, id, &token, err));
}

static int
outbox_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_outbox_row *rows = NULL;
	size_t count = 0;
	int r;

	if ((r = store_outbox_page(db, id - 1, 1, &rows, &count, err)) != 0)
		return (r);

	if (count > 0 && rows[0].id == id && rows[0].text == NULL)
		r = leased_err_set(err, LEASED_ECORRUPT, "it does not open");
	store_outbox_page_free(rows, count);
	return (r);
}

static int
lease_open(struct store_db *db, int64_t id, struct leased_err *err)
{
	struct store_lease *lease = NULL;
	int r = store_lease_get(db, id, &lease, err);

	store_lease_free(lease);
	return (r);
}

struct table {
	const char *name;
	const char *select; /* numbers above ?1 */
	int (*open)(struct store_db *db, int64_t id, struct leased_err *err);
	const char *drop; /* what mends a row that does not open; NULL: nothing does */
	const char *advice;
};

static const struct table table_leases = {"lease",
    "SELECT id FROM lease NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256", lease_open, NULL, ""};

static const struct table tables[] = {
    {"document", "SELECT id FROM doc NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256", doc_open,
	NULL, "no person can write it: restore the store from a backup"},
    {"job", "SELECT id FROM job NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256", job_open,
	"DELETE FROM job WHERE id = ?1",
	"revoke again what was being revoked when the disk failed"},
    {"tombstone", "SELECT id FROM tombstone NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256",
	tombstone_open, "DELETE FROM tombstone WHERE id = ?1", "its lease had ended"},
    {"token", "SELECT id FROM token NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256", token_open,
	"DELETE FROM token WHERE id = ?1", "it was refused already"},
    {"audit record", "SELECT id FROM audit_outbox NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT 256",
	outbox_open, NULL, "leased tells the audit device that one is missing"},
};

/* What can be done about a document, by its kind; else what stands in the table above. */
static const struct doc_advice {
	const char *kind;
	bool drop;
	const char *advice;
} doc_advices[] = {
    {"alias", true,
	"its user is taken for a new one; who has sudo can end the leases that were his"},
    {"connection", false, "write it again, or restore the store from a backup"},
    {"entity", true, "nothing needs it; when its user was first seen is not known any more"},
    {"policy", false, "write it again, or restore the store from a backup"},
    {"role", false, "write it again, or restore the store from a backup"},
    {"static", false, "write it again, or restore the store from a backup"},
    {"unix_role", false, "write it again, or restore the store from a backup"},
};

static void
doc_advise(struct store_db *db, int64_t id, struct table *table)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;

	if (store_sql_start(db, "SELECT kind FROM doc WHERE id = ?1", SQL_ARGS(store_sql_int(id)),
		&stmt, NULL) != 0 ||
	    store_sql_step(db, stmt, &row, NULL) != 0 || !row) {
		store_sql_finish(stmt);
		return;
	}
	for (size_t i = 0; i < sizeof(doc_advices) / sizeof(doc_advices[0]); i++) {
		if (strcmp(doc_advices[i].kind, store_sql_column_text(stmt, 0)) != 0)
			continue;
		table->advice = doc_advices[i].advice;
		table->drop = doc_advices[i].drop ? "DELETE FROM doc WHERE id = ?1" : NULL;
	}
	store_sql_finish(stmt);
}

/* A copy may be of a version that had no such table. */
static bool
table_is_there(struct store *store, const struct table *table)
{
	int64_t found;

	return (table->open != outbox_open ||
		store_sql_number(store->writer_db,
		    "SELECT 1 FROM sqlite_schema WHERE name = 'audit_outbox'", SQL_NO_ARGS, &found,
		    NULL) == 0);
}

struct drop {
	const char *text, *table;
	int64_t id;
	bool is_job;
};

/*
 * A job that is lost may have been the end of a token, whose row then waits for it for ever: every
 * token that is being ended is due again, and gets a job once more.
 */
static int
tokens_rearm(struct store_txn *txn, struct leased_err *err)
{
	struct store_lease *row = NULL;
	int64_t id = 0, after = 0;
	int r;

	while ((r = store_sql_number(txn->db,
		    "SELECT id FROM lease WHERE kind = 3 AND flags & 1 AND id > ?1 ORDER BY id "
		    "LIMIT 1",
		    SQL_ARGS(store_sql_int(after)), &id, err)) == 0 &&
	       (r = store_sql_advance(txn->db, id, &after, err)) == 0) {
		if ((r = store_lease_get(txn->db, id, &row, err)) != 0)
			return (r);
		row->next_at_ms = 1;
		r = store_lease_update(txn, row, err);
		store_lease_free(row);
		if (r != 0)
			return (r);
	}
	return (r == LEASED_ENOENT ? 0 : r);
}

static int
work_drop(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	struct drop *drop = arg;

	int r;

	(void)check;
	r = store_sql_run(txn->db, drop->text, SQL_ARGS(store_sql_int(drop->id)), NULL, err);
	if (r == 0)
		r = store_sql_run(txn->db,
		    "DELETE FROM quarantine WHERE table_name = ?1 AND key = ?2",
		    SQL_ARGS(store_sql_text(drop->table), store_sql_int(drop->id)), NULL, err);
	return (r == 0 && drop->is_job ? tokens_rearm(txn, err) : r);
}

static void
bad_row(struct store_check *check, const struct table *of, int64_t id, const char *why)
{
	struct table table = *of;
	struct drop drop = {
	    NULL, of->open == doc_open ? "doc" : of->name, id, of->open == job_open};
	struct leased_err failed = LEASED_ERR_INIT;
	const char *advice;

	if (of->open == doc_open)
		doc_advise(check->store->writer_db, id, &table);
	drop.text = table.drop;
	if (check->repair && table.drop != NULL &&
	    store_check_write(check, work_drop, &drop, &failed) == 0) {
		store_check_say(check, STORE_FOUND_REPAIRED, "%s number %lld: %s: removed; %s",
		    table.name, (long long)id, why, table.advice);
		return;
	}
	advice = table.drop != NULL && !check->repair ? "--repair removes it" : table.advice;
	store_check_say(check, STORE_FOUND_LEFT, "%s number %lld: %s%s%s", table.name,
	    (long long)id, why, advice[0] != '\0' ? ": " : "", advice);
}

/* Up to PAGE numbers above *after, into ret_ids. */
static int
ids_page(struct store_db *db, const struct table *table, int64_t after, int64_t ret_ids[PAGE],
    unsigned *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	unsigned count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db, table->select, SQL_ARGS(store_sql_int(after)), &stmt, err);
	while (r == 0 && count < PAGE && (r = store_sql_step(db, stmt, &row, err)) == 0 && row &&
	       (r = store_sql_advance(db, sqlite3_column_int64(stmt, 0), &after, err)) == 0)
		ret_ids[count++] = after;
	store_sql_finish(stmt);
	*ret_count = count;
	return (r);
}

/* check NULL: the first that does not open ends it. */
static int
table_walk(struct store *store, const struct table *table, struct store_check *check,
    uint64_t *rows, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	int64_t ids[PAGE], after = INT64_MIN;
	unsigned count;
	int r;

	if (!table_is_there(store, table))
		return (0);
	do {
		if ((r = ids_page(db, table, after, ids, &count, err)) != 0)
			return (r);
		for (unsigned i = 0; i < count; i++) {
			after = ids[i];
			(*rows)++;
			if ((r = table->open(db, ids[i], err)) == 0)
				continue;
			if (r != LEASED_ECORRUPT || check == NULL)
				return (r);
			bad_row(check, table, ids[i], err->text);
		}
	} while (count == PAGE);
	return (0);
}

static int
work_forget(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	(void)check;
	(void)arg;
	return (
	    store_sql_script(txn->db, "DELETE FROM quarantine WHERE table_name <> 'lease'", err));
}

int
store_check_rows(struct store_check *check, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	int r;

	if ((r = leases_check(check, err)) != 0)
		return (r);
	/* What was written again or removed since is no longer counted; the walk counts the rest.
	 */
	if (check->repair && store_check_write(check, work_forget, NULL, &why) != 0)
		store_check_say(
		    check, STORE_FOUND_LEFT, "the quarantine cannot be tidied: %s", why.text);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		r = table_walk(check->store, &tables[i], check, &check->rows, err);
		if (r == LEASED_ECORRUPT)
			store_check_say(check, STORE_FOUND_LEFT,
			    "the table of %ss cannot be read: %s", tables[i].name, err->text);
		else if (r != 0)
			return (r);
	}
	if (check->repair)
		(void)store_pump(check->store); /* what is counted as damaged */
	return (0);
}

int
store_check_opens(struct store *store, uint64_t *ret_rows, struct leased_err *err)
{
	uint64_t rows = 0;
	int r;

	r = table_walk(store, &table_leases, NULL, &rows, err);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && r == 0; i++)
		r = table_walk(store, &tables[i], NULL, &rows, err);
	if (r == 0)
		*ret_rows = rows;
	return (r);
}

int
store_check_each_opens(struct store_check *check, struct leased_err *err)
{
	int r;

	r = table_walk(check->store, &table_leases, check, &check->rows, err);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && r == 0; i++)
		r = table_walk(check->store, &tables[i], check, &check->rows, err);
	return (r);
}
