/*
 * Inventory: the accounts that carry the store's tag, a page at a time, by name. Reads only. Called
 * through the plugin's table.
 */
#include "sql.h"

#include <string.h>

#define PAGE 256

static int
add_account(json_t *accounts, const PGresult *rows, int row)
{
	return (json_array_append_new(
	    accounts, json_pack("{s:s, s:s, s:b}", "name", PQgetvalue(rows, row, 1), "handle",
			  PQgetvalue(rows, row, 0), "armed", PQgetvalue(rows, row, 2)[0] == 't')));
}

int
postgresql_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	json_t *accounts = json_array();
	PGresult *rows = NULL;
	int r, row, bad = accounts == NULL;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0)
		goto out;
	if (tag[0] == '\0') {
		r = leased_err_set(err, LEASED_EINVAL, "\"tag\" is empty");
		goto out;
	}
	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "SELECT oid, rolname, rolcanlogin FROM pg_catalog.pg_roles WHERE "
				 "pg_catalog.starts_with(rolname::text, 'l-' || ");
	postgresql_sql_literal(&sql, tag);
	postgresql_sql_add(&sql, " || '-') AND rolname > ");
	postgresql_sql_literal(&sql, after != NULL ? after : "");
	postgresql_sql_format(&sql, "::name ORDER BY rolname LIMIT %d", PAGE + 1);
	if ((r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err)) != 0)
		goto out;
	for (row = 0; row < PQntuples(rows) && row < PAGE; row++)
		bad |= add_account(accounts, rows, row);
	bad |= json_object_set(call->result, "accounts", accounts);
	bad |= json_object_set_new(call->result, "more", json_boolean(PQntuples(rows) > PAGE));
	if (bad)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	PQclear(rows);
	postgresql_sql_clear(&sql);
	json_decref(accounts);
	return (r);
}
