/*
 * Accounts by name, for who compares a backend's with the store's: which leases have them, and how
 * many row numbers were given out. No row is opened here. lease/ asks, on the reader thread.
 */
#include <stdio.h>

#include "store/row.h"

int
store_lease_high(struct store_db *db, int64_t *ret_high, struct leased_err *err)
{
	int64_t next = 0;
	int r = store_record_next_id(db, "lease", &next, err);

	if (r == 0)
		*ret_high = next - 1;
	return (r);
}

int
store_account_page(struct store_db *db, const char *after, const char *until,
    struct store_account *ret_accounts, size_t *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	struct store_account *account;
	const char *name;
	size_t count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT id, connection, state, flags, account FROM lease INDEXED BY lease_account"
	    " WHERE account > ?1 AND account <= ?2 AND account <> ''"
	    " AND length(CAST(account AS BLOB)) < ?3 ORDER BY account, id",
	    SQL_ARGS(store_sql_text(after), store_sql_text(until),
		store_sql_int(sizeof(account->account))),
	    &stmt, err);
	while (r == 0 && count < STORE_ACCOUNTS_PAGE &&
	       (r = store_sql_step(db, stmt, &row, err)) == 0 && row) {
		account = &ret_accounts[count++];
		account->id = sqlite3_column_int64(stmt, 0);
		account->connection = sqlite3_column_int64(stmt, 1);
		account->state = (enum store_lease_state)sqlite3_column_int(stmt, 2);
		account->revoke = store_lease_flags_revoke(sqlite3_column_int64(stmt, 3));
		name = store_sql_column_text(stmt, 4);
		(void)snprintf(account->account, sizeof(account->account), "%s", name);
	}
	store_sql_finish(stmt);
	if (r == 0)
		*ret_count = count;
	return (r);
}

int
store_account_find(
    struct store_db *db, const char *account, int64_t *ret_id, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	if (account[0] == '\0')
		return (LEASED_ENOENT);
	r = store_sql_start(db,
	    "SELECT id FROM lease INDEXED BY lease_account WHERE account = ?1 AND account <> ''"
	    " ORDER BY id DESC LIMIT 1",
	    SQL_ARGS(store_sql_text(account)), &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0) {
		if (row)
			*ret_id = sqlite3_column_int64(stmt, 0);
		else
			r = LEASED_ENOENT;
	}
	store_sql_finish(stmt);
	return (r);
}
