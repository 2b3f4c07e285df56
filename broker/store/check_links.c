/*
 * fsck, what refers to what: tokens and their leases, leases and their connections, what is kept of
 * connections that are gone; and the quarantine is listed. It opens no row.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/offline_private.h"

/* Rows that refer to nothing. ?-free SQL; drop NULL: nothing mends them. */
struct link {
	const char *count, *drop;
	const char *text; /* behind "N " */
	enum store_found otherwise;
};

/* A session of a connection that has leases in quarantine alone is still to be reaped. */
#define NO_CONNECTION                                                                              \
	" WHERE NOT EXISTS (SELECT 1 FROM doc WHERE doc.id = connection)"                          \
	" AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.connection = session.connection)"

static const struct link links[] = {
    {"SELECT count(*) FROM token WHERE NOT EXISTS"
     " (SELECT 1 FROM lease WHERE lease.id = token.id AND lease.kind = 3)"
     " AND NOT EXISTS (SELECT 1 FROM quarantine WHERE table_name = 'lease' AND key = token.id)",
	"DELETE FROM token WHERE NOT EXISTS"
	" (SELECT 1 FROM lease WHERE lease.id = token.id AND lease.kind = 3)"
	" AND NOT EXISTS (SELECT 1 FROM quarantine WHERE table_name = 'lease' AND key = token.id)",
	"tokens whose record is gone", STORE_FOUND_LEFT},
    {"SELECT count(*) FROM lease WHERE kind = 3 AND NOT EXISTS"
     " (SELECT 1 FROM token WHERE token.id = lease.id)",
	NULL, "tokens are not found by their secret any more; they end at their time",
	STORE_FOUND_NOTE},
    {"SELECT count(*) FROM lease WHERE connection <> 0 AND NOT EXISTS"
     " (SELECT 1 FROM doc WHERE doc.id = lease.connection)",
	NULL,
	"leases are of a connection that is not in the store: leased cannot end their accounts; "
	"end them at the backend",
	STORE_FOUND_LEFT},
    {"SELECT count(*) FROM session" NO_CONNECTION, "DELETE FROM session" NO_CONNECTION,
	"backend sessions of a connection that is gone", STORE_FOUND_LEFT},
    {"SELECT count(*) FROM counter WHERE value <= 0", "DELETE FROM counter WHERE value <= 0",
	"counters of nothing", STORE_FOUND_LEFT},
};

static int
work_drop(struct store_check *check, struct store_txn *txn, void *arg, struct leased_err *err)
{
	const struct link *link = arg;

	(void)check;
	return (store_sql_script(txn->db, link->drop, err));
}

static int
link_check(struct store_check *check, const struct link *link, struct leased_err *err)
{
	struct link copy = *link;
	struct leased_err why = LEASED_ERR_INIT;
	int64_t count = 0;
	int r;

	r = store_sql_number(check->store->writer_db, link->count, SQL_NO_ARGS, &count, err);
	if (r != 0 || count == 0)
		return (r);
	if (link->drop != NULL && check->repair &&
	    store_check_write(check, work_drop, &copy, &why) == 0)
		store_check_say(
		    check, STORE_FOUND_REPAIRED, "%lld %s: removed", (long long)count, link->text);
	else
		store_check_say(check, link->otherwise, "%lld %s", (long long)count, link->text);
	return (0);
}

/* stmt stands on a row of it. */
static void
quarantine_say(struct store_check *check, sqlite3_stmt *stmt)
{
	const char *table = store_sql_column_text(stmt, 0),
		   *reason = store_sql_column_text(stmt, 2);
	long long key = (long long)sqlite3_column_int64(stmt, 1);

	if (strcmp(table, "lease") == 0)
		store_check_say(check, STORE_FOUND_NOTE,
		    "in quarantine: lease number %lld: %s; account %s, %s", key, reason,
		    store_sql_column_text(stmt, 3),
		    sqlite3_column_int(stmt, 4) != 0 ? "without access" : "leased ends its access");
	else
		store_check_say(check, STORE_FOUND_NOTE, "counted as damaged: %s number %lld: %s",
		    strcmp(table, "doc") == 0 ? "document" : table, key, reason);
}

/* Only a person can say what became of these; that is no damage that is left. */
static int
quarantine_list(struct store_check *check, struct leased_err *err)
{
	struct store_db *db = check->store->writer_db;
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT table_name, key, reason, account, disarmed FROM quarantine"
	    " ORDER BY table_name, key",
	    SQL_NO_ARGS, &stmt, err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row)
		quarantine_say(check, stmt);
	store_sql_finish(stmt);
	return (r);
}

int
store_check_links(struct store_check *check, struct leased_err *err)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]) && r == 0; i++)
		r = link_check(check, &links[i], err);
	if (r == 0)
		r = quarantine_list(check, err);
	if (r != LEASED_ECORRUPT)
		return (r);
	store_check_say(check, STORE_FOUND_LEFT, "what refers to what: %s", err->text);
	return (0);
}
