/*
 * Inventory: the accounts that carry the store's tag, a page at a time, by name. Reads only. Called
 * through the plugin's table.
 */
#include <stdio.h>
#include <string.h>

#include "account.h"
#include "sql.h"

#define PAGE 256

static int
add_account(json_t *accounts, MYSQL_ROW row)
{
	return (json_array_append_new(
	    accounts, json_pack("{s:s, s:s, s:b}", "name", maria_text(row, 0), "handle",
			  maria_text(row, 1), "armed", maria_text(row, 2)[0] == '1')));
}

/* An account of several hosts is one, which can log in if one of them can. */
static void
add_query(const struct maria *plugin, struct maria_sql *sql, const char *tag, const char *after)
{
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "l-%.20s-", tag);
	maria_sql_format(sql, "SELECT User, MIN(Host), MAX(%s) FROM mysql.%s WHERE Host <> '' AND ",
	    plugin->is_mysql ? "account_locked <> 'Y'"
			     : "COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') NOT IN ('1', "
			       "'true')",
	    plugin->is_mysql ? "user" : "global_priv");
	maria_sql_format(sql, "LEFT(CAST(User AS BINARY), %zu) = ", strlen(prefix));
	maria_sql_hex(sql, prefix);
	maria_sql_add(sql, " AND CAST(User AS BINARY) > ");
	maria_sql_hex(sql, after);
	maria_sql_format(sql, " GROUP BY User ORDER BY CAST(User AS BINARY) LIMIT %d", PAGE + 1);
}

int
maria_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	struct maria_sql sql = MARIA_SQL_INIT;
	json_t *accounts = json_array();
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	int r, count = 0, bad = accounts == NULL;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0 ||
	    (r = maria_session_ready(plugin, call, err)) != 0)
		goto out;
	if (tag[0] == '\0' || strlen(tag) > 20) {
		r = leased_err_set(err, LEASED_EINVAL, "\"tag\" is empty, or too long");
		goto out;
	}
	add_query(plugin, &sql, tag, after != NULL ? after : "");
	if ((r = maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, err)) != 0) {
		if (r == LEASED_EDENIED)
			r = leased_err_set(err, LEASED_EDENIED,
			    "\"%s\" may not read which accounts there are: run GRANT SELECT ON "
			    "mysql.%s TO it",
			    plugin->config->username, plugin->is_mysql ? "user" : "global_priv");
		goto out;
	}
	while (rows != NULL && (row = mysql_fetch_row(rows)) != NULL && count++ < PAGE)
		bad |= add_account(accounts, row);
	bad |= json_object_set(call->result, "accounts", accounts);
	bad |= json_object_set_new(call->result, "more", json_boolean(count > PAGE));
	if (bad)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	mysql_free_result(rows);
	maria_sql_clear(&sql);
	json_decref(accounts);
	return (r);
}
