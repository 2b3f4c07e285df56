/*
 * Rows that do not open. A lease row is moved whole into the table quarantine by the writer, with
 * what is still known of its account; rows of other tables stay where they are and are counted. A
 * row is found bad on any thread: the report is an ordinary write operation. lease/ disarms the
 * accounts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/row.h"

#define REINDEX_PAUSE_MS (3600 * 1000)

struct reindex_op {
	struct store_op op; /* first */
	struct store *store;
};

struct report_op {
	struct store_op op; /* first */
	struct store *store;
	const char *table;
	int64_t key, version, connection, next_at_ms;
	char *account;
	const char *reason;
	bool moved;
};

/* false: it is reported already. */
static bool
reports_add(struct store *store, const char *table, int64_t key)
{
	struct store_reports *reports = &store->reports;
	bool found = false;

	pthread_mutex_lock(&store->mutex);
	for (unsigned i = 0; i < STORE_REPORTS && !found; i++)
		found = reports->rows[i].table != NULL &&
			strcmp(reports->rows[i].table, table) == 0 && reports->rows[i].key == key;
	if (!found)
		reports->rows[reports->next++ % STORE_REPORTS] = (struct report){table, key};
	pthread_mutex_unlock(&store->mutex);
	return (!found);
}

static void
reports_remove(struct store *store, const char *table, int64_t key)
{
	struct store_reports *reports = &store->reports;

	pthread_mutex_lock(&store->mutex);
	for (unsigned i = 0; i < STORE_REPORTS; i++) {
		if (reports->rows[i].table != NULL && strcmp(reports->rows[i].table, table) == 0 &&
		    reports->rows[i].key == key)
			reports->rows[i].table = NULL;
	}
	pthread_mutex_unlock(&store->mutex);
}

/*
 * Where the file itself is damaged, a row and its index entries may differ, and SQLite refuses to
 * delete it. The indexes are made anew then, from the rows.
 */
static int
lease_remove(struct store_db *db, const struct report_op *report, struct leased_err *err)
{
	const char *text = "DELETE FROM lease WHERE id = ?1 AND version = ?2";
	int r;

	r = store_sql_run(db, text,
	    SQL_ARGS(store_sql_int(report->key), store_sql_int(report->version)), NULL, err);
	if (r != LEASED_ECORRUPT)
		return (r);
	log_warn("the store's indexes of leases are damaged and are made anew");
	if ((r = store_sql_script(db, "REINDEX lease", err)) != 0)
		return (r);
	return (store_sql_run(db, text,
	    SQL_ARGS(store_sql_int(report->key), store_sql_int(report->version)), NULL, err));
}

static int
run_reindex(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	(void)op;
	return (store_sql_script(txn->db, "REINDEX lease", err));
}

static void
on_reindexed(struct store_op *op, int result, const struct leased_err *err)
{
	/* Should more than the indexes be damaged, the next read of it says so again. */
	if (result == 0)
		store_health_damaged(((struct reindex_op *)op)->store, false);
	else
		log_error("the store's indexes could not be made anew: restore the store from a "
			  "backup, then run reconcile",
		    LOG_ERR(err));
	free(op);
}

void
store_quarantine_reindex(struct store *store)
{
	int64_t now_ms = wclock_boot_ms(store->clock), last_ms = store->reindexed_ms;
	struct reindex_op *own;

	if ((last_ms != 0 && now_ms - last_ms < REINDEX_PAUSE_MS) ||
	    !atomic_compare_exchange_strong(
		&store->reindexed_ms, &last_ms, now_ms != 0 ? now_ms : 1) ||
	    (own = calloc(1, sizeof(*own))) == NULL)
		return;
	log_warn("the store's indexes of leases are damaged and are made anew");
	own->op = (struct store_op){.run = run_reindex, .done = on_reindexed};
	own->store = store;
	store_submit(store, &own->op);
}

static int
run_report(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct report_op *report = (struct report_op *)op;
	struct store_sql_arg args[] = {store_sql_text(report->table), store_sql_int(report->key),
	    store_sql_int(wclock_wall_ms(report->store->clock)), store_sql_text(report->reason),
	    store_sql_int(report->connection), store_sql_text(report->account),
	    store_sql_int(report->next_at_ms), store_sql_int(report->version)};
	int changes = 0, r;

	if (report->account == NULL)
		r = store_sql_run(txn->db,
		    "INSERT OR IGNORE INTO quarantine (table_name, key, at, reason, connection,"
		    " account, next_at, disarmed) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 1"
		    " WHERE ?1 <> 'doc' OR EXISTS (SELECT 1 FROM doc WHERE id = ?2 AND version = "
		    "?8)",
		    args, 8, &changes, err);
	else
		r = store_sql_run(txn->db,
		    "INSERT OR IGNORE INTO quarantine (table_name, key, at, reason, connection,"
		    " account, next_at, disarmed, version, state, kind, mount, flags, place, owner,"
		    " sum, sealed) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6 = '', version, state,"
		    " kind, mount, flags, place, owner, sum, sealed FROM lease"
		    " WHERE id = ?2 AND version = ?8",
		    args, 8, &changes, err);
	if (r != 0)
		return (r);
	report->moved = changes > 0;
	if (report->account != NULL && report->moved)
		r = lease_remove(txn->db, report, err);
	return (r);
}

static void
on_report_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct report_op *report = (struct report_op *)op;

	if (result == 0 && report->moved) {
		store_health_quarantined(report->store, 1);
		log_error("a row of the store is damaged and in quarantine",
		    LOG_S("table", report->table), LOG_I("row", report->key),
		    LOG_S("reason", report->reason), LOG_S("account", report->account));
	} else if (result == 0 && (report->account != NULL || report->version != 0)) {
		/* The lease or document was written anew meanwhile; should that be bad too, it is
		 * news. */
		reports_remove(report->store, report->table, report->key);
	} else if (result != 0) {
		/* It will be met again, and reported again. */
		reports_remove(report->store, report->table, report->key);
		log_error("a damaged row could not be put in quarantine",
		    LOG_S("table", report->table), LOG_I("row", report->key), LOG_ERR(err));
	}
	free(report->account);
	free(report);
}

static void
report_submit(struct store *store, const struct report_op *what)
{
	struct report_op *report;

	if (store->looks_only || !reports_add(store, what->table, what->key)) {
		free(what->account);
		return;
	}
	if ((report = malloc(sizeof(*report))) == NULL) {
		reports_remove(store, what->table, what->key);
		free(what->account);
		return;
	}
	*report = *what;
	report->op = (struct store_op){.run = run_report, .done = on_report_done};
	report->store = store;
	store_submit(store, &report->op);
}

void
store_quarantine_lease(
    struct store_db *db, sqlite3_stmt *stmt, const struct store_lease *opened, const char *reason)
{
	struct report_op report = {.table = "lease", .reason = reason};
	bool good = false;

	db->damaged_met++;
	report.key = sqlite3_column_int64(stmt, LEASE_ID);
	report.version = sqlite3_column_int64(stmt, LEASE_VERSION);
	report.connection = sqlite3_column_int64(stmt, LEASE_CONNECTION);
	report.next_at_ms = sqlite3_column_int64(stmt, LEASE_NEXT_AT);
	report.account = store_sql_column_dup(stmt, LEASE_ACCOUNT);
	if (opened != NULL) {
		/* What is sealed wins. */
		free(report.account);
		report.account = strdup(opened->account);
		report.connection = opened->connection;
		report.next_at_ms = opened->next_at_ms;
	} else if (store_record_sum_check(db->store, "lease", stmt, LEASE_SUM, &good, NULL) == 0 &&
		   !good) {
		/* Nothing vouches for the deadline: its access ends now. */
		report.next_at_ms = 0;
	}
	if (report.account != NULL)
		report_submit(db->store, &report);
}

void
store_quarantine_other(struct store_db *db, const char *table, int64_t key, const char *reason)
{
	struct report_op report = {.table = table, .key = key, .reason = reason};

	report_submit(db->store, &report);
}

void
store_quarantine_doc(struct store_db *db, int64_t id, int64_t version, const char *reason)
{
	struct report_op report = {.table = "doc", .key = id, .version = version, .reason = reason};

	report_submit(db->store, &report);
}

int
store_quarantine_doc_done(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db, "DELETE FROM quarantine WHERE table_name = 'doc' AND key = ?1",
	    SQL_ARGS(store_sql_int(id)), &changes, err);
	if (r != 0 || changes == 0)
		return (r);
	/* Too low by one if the transaction fails: until the next start. */
	store_health_quarantined(txn->db->store, -1);
	reports_remove(txn->db->store, "doc", id);
	return (0);
}

int
store_quarantine_or_absent(struct store_db *db, int64_t lease_id, struct leased_err *err)
{
	int64_t found;
	int r;

	r = store_sql_number(db, "SELECT 1 FROM quarantine WHERE table_name = 'lease' AND key = ?1",
	    SQL_ARGS(store_sql_int(lease_id)), &found, err);
	if (r == 0)
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "lease number %lld is damaged and in quarantine", (long long)lease_id));
	if (r == LEASED_ENOENT)
		return (leased_err_set(
		    err, LEASED_ENOENT, "there is no lease number %lld", (long long)lease_id));
	return (r);
}

int
store_quarantine_account_or_absent(struct store_db *db, const char *account, struct leased_err *err)
{
	int64_t found;
	int r;

	r = store_sql_number(db,
	    "SELECT 1 FROM quarantine WHERE table_name = 'lease' AND account = ?1 LIMIT 1",
	    SQL_ARGS(store_sql_text(account)), &found, err);
	if (r == 0)
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "the lease of account %s is damaged and in quarantine", account));
	if (r == LEASED_ENOENT)
		return (leased_err_set(err, LEASED_ENOENT, "no lease has the account %s", account));
	return (r);
}

int
store_quarantine_load(struct store *store, struct leased_err *err)
{
	int64_t count = 0;
	int r;

	if ((r = store_sql_number(store->writer_db, "SELECT count(*) FROM quarantine", SQL_NO_ARGS,
		 &count, err)) == 0)
		store->health.quarantined = (uint64_t)count;
	return (r);
}

void
store_quarantine_list_free(struct store_quarantined *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(rows[i].account);
		free(rows[i].reason);
	}
	free(rows);
}

#define QUARANTINE_SELECT                                                                          \
	"SELECT key, connection, next_at, disarmed, account, reason FROM quarantine"               \
	" WHERE table_name = 'lease' "

static int
list_fill(struct store_db *db, const char *text, const struct store_sql_arg *args, size_t arg_count,
    unsigned limit, struct store_quarantined **ret_rows, size_t *ret_count, struct leased_err *err)
{
	struct store_quarantined *rows = calloc(limit > 0 ? limit : 1, sizeof(*rows));
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	if (rows == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "no memory to list the quarantine"));
	r = store_sql_start(db, text, args, arg_count, &stmt, err);
	while (r == 0 && count < limit && (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		rows[count] = (struct store_quarantined){.id = sqlite3_column_int64(stmt, 0),
		    .connection = sqlite3_column_int64(stmt, 1),
		    .next_at_ms = sqlite3_column_int64(stmt, 2),
		    .disarmed = sqlite3_column_int(stmt, 3) != 0,
		    .account = store_sql_column_dup(stmt, 4),
		    .reason = store_sql_column_dup(stmt, 5)};
		if (rows[count].account == NULL || rows[count].reason == NULL)
			r = leased_err_set(err, LEASED_ENOMEM, "no memory to list the quarantine");
		count++;
	}
	store_sql_finish(stmt);
	if (r != 0) {
		store_quarantine_list_free(rows, count);
		return (r);
	}
	*ret_rows = rows;
	*ret_count = count;
	return (0);
}

int
store_quarantine_list(struct store_db *db, const struct store_quarantine_query *query,
    struct store_quarantined **ret_rows, size_t *ret_count, struct leased_err *err)
{
	struct store_quarantined *rows = NULL;
	int64_t after = query->after;
	size_t count = 0;
	int r;

	r = list_fill(db,
	    QUARANTINE_SELECT "AND key > ?1 AND next_at <= ?2 AND (?3 = -1 OR connection = ?3)"
			      " AND (?4 OR NOT disarmed) ORDER BY key",
	    SQL_ARGS(store_sql_int(query->after), store_sql_int(query->until_ms),
		store_sql_int(query->connection), store_sql_int(query->with_disarmed)),
	    query->limit, &rows, &count, err);
	for (size_t i = 0; i < count && r == 0; i++)
		r = store_sql_advance(db, rows[i].id, &after, err);
	if (r != 0) {
		store_quarantine_list_free(rows, count);
		return (r);
	}
	*ret_rows = rows;
	*ret_count = count;
	return (0);
}

int
store_quarantine_due(struct store_db *db, int64_t connection, int64_t now_ms, unsigned limit,
    struct store_quarantined **ret_rows, size_t *ret_count, struct leased_err *err)
{
	return (list_fill(db,
	    QUARANTINE_SELECT "AND NOT disarmed AND connection = ?1 AND next_at <= ?2"
			      " AND key > ?3 ORDER BY next_at, key",
	    SQL_ARGS(store_sql_int(connection), store_sql_int(now_ms),
		store_sql_int(store_held_below(db->store))),
	    limit, ret_rows, ret_count, err));
}

int
store_quarantine_update(
    struct store_txn *txn, int64_t id, bool disarmed, int64_t next_at_ms, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db,
	    "UPDATE quarantine SET disarmed = ?2, next_at = ?3"
	    " WHERE table_name = 'lease' AND key = ?1",
	    SQL_ARGS(store_sql_int(id), store_sql_int(disarmed), store_sql_int(next_at_ms)),
	    &changes, err);
	if (r == 0 && changes == 0)
		r = leased_err_set(
		    err, LEASED_ENOENT, "lease number %lld is not in quarantine", (long long)id);
	return (r);
}

int
store_quarantine_delete(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	int changes = 0, r;

	r = store_sql_run(txn->db, "DELETE FROM quarantine WHERE table_name = 'lease' AND key = ?1",
	    SQL_ARGS(store_sql_int(id)), &changes, err);
	if (r == 0 && changes == 0)
		return (leased_err_set(
		    err, LEASED_ENOENT, "lease number %lld is not in quarantine", (long long)id));
	/* Too low by one if the transaction fails: until the next start. */
	if (r == 0)
		store_health_quarantined(txn->db->store, -1);
	return (r);
}
