/*
 * Running the statements of a role: each with its slots quoted, an element as a transaction as far
 * as the server knows one (what changes accounts ends it by itself). What they set does not outlive
 * the call. Called by mint.c, password.c and remove.c.
 */
#include <string.h>

#include "account.h"
#include "sql.h"

/* An earlier statement may have set what our quoting relies on. */
static int
check_quoting(struct maria *plugin, const struct leased_call *call, struct leased_err *err)
{
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	bool good;
	int r;

	if ((r = maria_query_text(&plugin->main, call, MARIA_READS,
		 "SELECT @@session.sql_mode, @@session.character_set_client", &rows, err)) != 0)
		return (r);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	good = row != NULL && strstr(maria_text(row, 0), "NO_BACKSLASH_ESCAPES") == NULL &&
	       strstr(maria_text(row, 0), "ANSI") == NULL &&
	       strncmp(maria_text(row, 1), "utf8", 4) == 0;
	mysql_free_result(rows);
	return (good ? 0
		     : leased_err_set(err, LEASED_EREFUSED,
			   "a statement of the role has set sql_mode or the character set, by "
			   "which names and passwords are quoted: leave that out"));
}

static int
run_element(struct maria *plugin, const struct leased_call *call, const json_t *element,
    const struct maria_slots *slots, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	json_t *statement;
	size_t i;
	int r;

	if ((r = maria_query_text(
		 &plugin->main, call, MARIA_READS, "START TRANSACTION", NULL, err)) != 0)
		return (r);
	json_array_foreach(element, i, statement)
	{
		sql.secret = slots->password;
		if ((i > 0 && (r = check_quoting(plugin, call, err)) != 0) ||
		    (r = maria_sql_statement(&sql, statement, slots, err)) != 0 ||
		    (r = maria_query(&plugin->main, call, MARIA_CHANGES, &sql, NULL, err)) != 0)
			break;
		maria_sql_clear(&sql);
	}
	maria_sql_clear(&sql);
	if (r == 0)
		r = maria_query_text(&plugin->main, call, MARIA_CHANGES, "COMMIT", NULL, err);
	return (r);
}

/* Statements of a role may SET ROLE, lock, make temporary tables, leave a transaction open. */
static void
forget_session_state(struct maria *plugin, const struct leased_call *call)
{
	struct leased_err why = LEASED_ERR_INIT;

	if (plugin->main.connection == NULL)
		return;
	maria_wait_until(call, 100);
	if (mysql_reset_connection(plugin->main.connection) != 0 ||
	    maria_session_pin(plugin, call, &plugin->main, &why) != 0)
		maria_session_close(&plugin->main);
}

int
maria_run_statements(struct maria *plugin, const struct leased_call *call, const char *field,
    const json_t *elements, const struct maria_slots *slots, struct leased_err *err)
{
	unsigned failure;
	json_t *element;
	size_t i;
	int r = 0;

	json_array_foreach(elements, i, element)
	{
		if ((r = run_element(plugin, call, element, slots, err)) != 0) {
			(void)leased_err_prefix(err, "%s, element %zu", field, i + 1);
			break;
		}
	}
	failure = plugin->main.failure;
	forget_session_state(plugin, call);
	plugin->main.failure = failure;
	return (r);
}
