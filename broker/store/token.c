/*
 * The index rows of tokens: which lease row a token's HMAC or accessor names, its parent, and the
 * uses that are left. A checksum binds them to each other: an exchanged HMAC does not make
 * another's token one's own. What a token may do is in the lease row, and auth/'s.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/row.h"

#define TOKEN_SELECT "SELECT id, mac, accessor, parent, uses_left, sum FROM token "
enum token_column { TOKEN_ID, TOKEN_MAC, TOKEN_ACCESSOR, TOKEN_PARENT, TOKEN_USES, TOKEN_SUM };

static const char token_table[] = "token";

static void
token_columns(const struct store_token *token, struct store_sql_arg ret_columns[TOKEN_SUM])
{
	ret_columns[TOKEN_ID] = store_sql_int(token->id);
	ret_columns[TOKEN_MAC] = store_sql_blob(token->mac, sizeof(token->mac));
	ret_columns[TOKEN_ACCESSOR] = store_sql_text(token->accessor);
	ret_columns[TOKEN_PARENT] = store_sql_int(token->parent);
	ret_columns[TOKEN_USES] = store_sql_int(token->uses_left);
}

int
store_token_insert(struct store_txn *txn, const struct store_token *token, struct leased_err *err)
{
	struct store_sql_arg columns[TOKEN_SUM + 1];
	uint8_t sum[STORE_SUM_SIZE];
	int r;

	token_columns(token, columns);
	if ((r = store_record_sum(txn->db->store, token_table, columns, TOKEN_SUM, sum, err)) != 0)
		return (r);
	columns[TOKEN_SUM] = store_sql_blob(sum, sizeof(sum));
	return (store_sql_run(txn->db,
	    "INSERT INTO token (id, mac, accessor, parent, uses_left, sum)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    columns, TOKEN_SUM + 1, NULL, err));
}

static int
token_from_row(
    struct store_db *db, sqlite3_stmt *stmt, struct store_token *ret_token, struct leased_err *err)
{
	struct store_token token = {.id = sqlite3_column_int64(stmt, TOKEN_ID)};
	bool good = false;
	int r;

	if ((r = store_record_sum_check(db->store, token_table, stmt, TOKEN_SUM, &good, err)) != 0)
		return (r);
	if (!good || sqlite3_column_bytes(stmt, TOKEN_MAC) != SEAL_HMAC_SIZE ||
	    sqlite3_column_bytes(stmt, TOKEN_ACCESSOR) >= (int)sizeof(token.accessor)) {
		store_quarantine_other(db, token_table, token.id, "its checksum does not match");
		return (leased_err_set(err, LEASED_ECORRUPT,
		    "token number %lld: its checksum does not match", (long long)token.id));
	}
	memcpy(token.mac, sqlite3_column_blob(stmt, TOKEN_MAC), sizeof(token.mac));
	memcpy(token.accessor, store_sql_column_text(stmt, TOKEN_ACCESSOR),
	    (size_t)sqlite3_column_bytes(stmt, TOKEN_ACCESSOR));
	token.parent = sqlite3_column_int64(stmt, TOKEN_PARENT);
	token.uses_left = sqlite3_column_int64(stmt, TOKEN_USES);
	*ret_token = token;
	return (0);
}

static int
token_find(struct store_db *db, const char *text, struct store_sql_arg key,
    struct store_token *ret_token, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(db, text, &key, 1, &stmt, err);
	if (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0)
		r = row ? token_from_row(db, stmt, ret_token, err)
			: leased_err_set(err, LEASED_ENOENT, "there is no such token");
	store_sql_finish(stmt);
	return (r);
}

int
store_token_get(struct store_db *db, const uint8_t mac[SEAL_HMAC_SIZE],
    struct store_token *ret_token, struct leased_err *err)
{
	return (token_find(db, TOKEN_SELECT "WHERE mac = ?1", store_sql_blob(mac, SEAL_HMAC_SIZE),
	    ret_token, err));
}

int
store_token_get_id(
    struct store_db *db, int64_t id, struct store_token *ret_token, struct leased_err *err)
{
	return (token_find(db, TOKEN_SELECT "WHERE id = ?1", store_sql_int(id), ret_token, err));
}

int
store_token_get_accessor(struct store_db *db, const char *accessor, struct store_token *ret_token,
    struct leased_err *err)
{
	return (token_find(
	    db, TOKEN_SELECT "WHERE accessor = ?1", store_sql_text(accessor), ret_token, err));
}

int
store_token_children(struct store_db *db, int64_t parent, int64_t after, unsigned limit,
    int64_t *ret_ids, size_t *ret_count, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	size_t count = 0;
	bool row = false;
	int r;

	r = store_sql_start(db,
	    "SELECT id FROM token WHERE parent = ?1 AND parent > 0 AND id > ?2 ORDER BY id LIMIT "
	    "?3",
	    SQL_ARGS(store_sql_int(parent), store_sql_int(after), store_sql_int(limit)), &stmt,
	    err);
	while (r == 0 && (r = store_sql_step(db, stmt, &row, err)) == 0 && row &&
	       (r = store_sql_advance(db, sqlite3_column_int64(stmt, 0), &after, err)) == 0)
		ret_ids[count++] = after;
	store_sql_finish(stmt);
	if (r == 0)
		*ret_count = count;
	return (r);
}

int
store_token_use(struct store_txn *txn, int64_t id, int64_t *ret_left, struct leased_err *err)
{
	struct store_sql_arg columns[TOKEN_SUM];
	uint8_t sum[STORE_SUM_SIZE];
	struct store_token token;
	int changes = 0, r;

	if ((r = store_token_get_id(txn->db, id, &token, err)) != 0)
		return (r);
	if (token.uses_left < 0) {
		*ret_left = token.uses_left;
		return (0);
	}
	if (token.uses_left == 0)
		return (leased_err_set(err, LEASED_EDENIED, "the token has no use left"));
	token.uses_left--;
	token_columns(&token, columns);
	if ((r = store_record_sum(txn->db->store, token_table, columns, TOKEN_SUM, sum, err)) != 0)
		return (r);
	/* The old count stands in the condition as well: take once, whatever the driver. */
	r = store_sql_run(txn->db,
	    "UPDATE token SET uses_left = ?2, sum = ?3 WHERE id = ?1 AND uses_left = ?2 + 1",
	    SQL_ARGS(store_sql_int(id), store_sql_int(token.uses_left),
		store_sql_blob(sum, sizeof(sum))),
	    &changes, err);
	if (r == 0 && changes == 0)
		r = leased_err_set(err, LEASED_EDENIED, "the token has no use left");
	if (r == 0)
		*ret_left = token.uses_left;
	return (r);
}

int
store_token_delete(struct store_txn *txn, int64_t id, struct leased_err *err)
{
	return (store_sql_run(
	    txn->db, "DELETE FROM token WHERE id = ?1", SQL_ARGS(store_sql_int(id)), NULL, err));
}
