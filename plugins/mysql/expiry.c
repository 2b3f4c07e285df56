/*
 * Events that end accounts when leased is not there to do it: one an account, named as it, in the
 * schema event_schema. It stays when it has run, so that a lock of its own can be told from one
 * that somebody set by hand. Called by mint.c and remove.c; does nothing unless the configuration
 * has expiry_event.
 */
#include "expiry.h"

#include <string.h>

#include "sql.h"

static void
add_event(const struct maria *plugin, const char *name, struct maria_sql *sql)
{
	maria_sql_identifier(sql, plugin->config->event_schema);
	maria_sql_add(sql, ".");
	maria_sql_identifier(sql, name);
}

static int
explain(const struct maria *plugin, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;

	if (err->code != LEASED_EDENIED)
		return (leased_err_prefix(err, "expiry_event"));
	maria_sql_grant_schema(&sql, plugin->config->event_schema);
	(void)leased_err_set(err, LEASED_EDENIED,
	    "expiry_event: \"%s\" may not make events: run GRANT EVENT ON %s.* TO it (%.200s)",
	    plugin->config->username, maria_sql_shown(&sql), err->text);
	maria_sql_clear(&sql);
	return (err->code);
}

static int
run(struct maria *plugin, const struct leased_call *call, struct maria_sql *sql,
    struct leased_err *err)
{
	int r = maria_query(&plugin->main, call, MARIA_CHANGES, sql, NULL, err);

	maria_sql_clear(sql);
	return (r != 0 ? explain(plugin, err) : 0);
}

static void
add_accounts(const struct maria_account *account, struct maria_sql *sql)
{
	size_t i;

	for (i = 0; i < account->host_count; i++) {
		maria_sql_add(sql, i > 0 ? ", " : "");
		maria_sql_account(sql, account->name, account->hosts[i].name);
	}
}

int
maria_expiry_drop(
    struct maria *plugin, const struct leased_call *call, const char *name, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;

	if (!plugin->config->has_expiry_event)
		return (0);
	maria_sql_add(&sql, "DROP EVENT IF EXISTS ");
	add_event(plugin, name, &sql);
	return (run(plugin, call, &sql, err));
}

int
maria_expiry_set(struct maria *plugin, const struct leased_call *call,
    const struct maria_account *account, const char *when, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	if (!plugin->config->has_expiry_event)
		return (0);
	/* MySQL cannot replace one. */
	if (plugin->is_mysql && (r = maria_expiry_drop(plugin, call, account->name, err)) != 0)
		return (r);
	maria_sql_add(&sql, plugin->is_mysql ? "CREATE EVENT " : "CREATE OR REPLACE EVENT ");
	add_event(plugin, account->name, &sql);
	maria_sql_add(&sql, " ON SCHEDULE AT ");
	maria_sql_literal(&sql, when);
	maria_sql_add(&sql, " ON COMPLETION PRESERVE DO BEGIN ALTER USER IF EXISTS ");
	add_accounts(account, &sql);
	maria_sql_add(&sql, " ACCOUNT LOCK; ");
	if (!plugin->is_mysql) {
		maria_sql_add(&sql, "KILL HARD USER ");
		maria_sql_identifier(&sql, account->name);
		maria_sql_add(&sql, "; ");
	}
	maria_sql_add(&sql, "END");
	return (run(plugin, call, &sql, err));
}

/* Has the account's event run? */
static int
has_run(struct maria *plugin, const struct leased_call *call, const char *name, bool *ret_has_run,
    struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	MYSQL_RES *rows = NULL;
	int r;

	maria_sql_add(&sql, "SELECT 1 FROM information_schema.EVENTS WHERE LAST_EXECUTED IS NOT "
			    "NULL AND EVENT_SCHEMA = ");
	maria_sql_literal(&sql, plugin->config->event_schema);
	maria_sql_add(&sql, " AND CAST(EVENT_NAME AS BINARY) = ");
	maria_sql_hex(&sql, name);
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, err);
	maria_sql_clear(&sql);
	*ret_has_run = r == 0 && rows != NULL && mysql_num_rows(rows) > 0;
	mysql_free_result(rows);
	return (r != 0 ? explain(plugin, err) : 0);
}

int
maria_expiry_renew(struct maria *plugin, const struct leased_call *call,
    const struct maria_account *account, const char *when, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	bool is_over = false;
	int r;

	if (!plugin->config->has_expiry_event)
		return (0);
	if (account->hosts[0].is_locked &&
	    (r = has_run(plugin, call, account->name, &is_over, err)) != 0)
		return (r);
	/* Unlocked first: the new event knows of no earlier lock. */
	if (is_over) {
		maria_sql_add(&sql, "ALTER USER ");
		add_accounts(account, &sql);
		maria_sql_add(&sql, " ACCOUNT UNLOCK");
		if ((r = run(plugin, call, &sql, err)) != 0)
			return (r);
	}
	return (maria_expiry_set(plugin, call, account, when, err));
}
