/*
 * Check: proves that an account works and that we could end it: logs in as the account, ends that
 * session with the administrator's rights, and sees it gone; for accounts whose passwords are
 * rotated, that a password logs in, or could be set. Called through the plugin's table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "password.h"
#include "sql.h"

#define ANSWER_MARGIN_MS 500
#define PATIENCE_MS 5000

static bool
is_refused_login(const struct leased_err *err)
{
	return (
	    strstr(err->text, "(error 1045)") != NULL || strstr(err->text, "(error 1698)") != NULL);
}

/*
 * An account without a name stands in front of `name`@`%` for whoever comes from its host, and the
 * server says nothing but that access is denied.
 */
int
maria_explain_login(
    struct maria *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	struct leased_err unused = LEASED_ERR_INIT;
	struct maria_sql sql = MARIA_SQL_INIT, host = MARIA_SQL_INIT;
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;

	if (!is_refused_login(err))
		return (err->code);
	maria_sql_format(&sql, "SELECT Host FROM mysql.%s WHERE User = '' AND Host <> '' LIMIT 1",
	    plugin->is_mysql ? "user" : "global_priv");
	if (maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, &unused) == 0 &&
	    rows != NULL && (row = mysql_fetch_row(rows)) != NULL) {
		maria_sql_add(&host, "''@");
		maria_sql_literal(&host, maria_text(row, 0));
		(void)leased_err_set(err, err->code,
		    "there is an account without a name, which stands in front of \"%s\" for "
		    "whoever comes from its host: run DROP USER %s (%.200s)",
		    name, maria_sql_shown(&host), err->text);
	}
	maria_sql_clear(&host);
	maria_sql_clear(&sql);
	mysql_free_result(rows);
	return (err->code);
}

static int
log_in(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    const char *password, MYSQL **ret_connection, struct leased_err *err)
{
	int r = maria_session_login(plugin, call, account->name, password, ret_connection, err);

	return (r != 0 ? maria_explain_login(plugin, call, account->name, err) : 0);
}

/* One value of a statement in the account's own session; "" when it has none. */
static void
ask_account(MYSQL *connection, const char *text, char *ret_text, size_t size)
{
	MYSQL_RES *rows;
	MYSQL_ROW row;

	ret_text[0] = '\0';
	if (mysql_query(connection, text) != 0 || (rows = mysql_store_result(connection)) == NULL)
		return;
	if ((row = mysql_fetch_row(rows)) != NULL)
		(void)snprintf(ret_text, size, "%s", maria_text(row, 0));
	mysql_free_result(rows);
}

static int
check_schema(MYSQL *connection, const char *name, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	char found[16] = "";

	maria_sql_add(&sql, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE "
			    "CAST(SCHEMA_NAME AS BINARY) = ");
	maria_sql_hex(&sql, name);
	if (sql.failed == 0)
		ask_account(connection, sql.text, found, sizeof(found));
	maria_sql_clear(&sql);
	return (strcmp(found, "0") != 0 ? 0
					: leased_err_set(err, LEASED_EREFUSED,
					      "schemas: there is no schema \"%.64s\"", name));
}

/* A GRANT on a schema that is not there is taken by the server. One text is a list of one. */
static int
check_schemas(MYSQL *connection, const struct maria_account *account, struct leased_err *err)
{
	const json_t *list = json_object_get(account->role, "schemas"), *one;
	size_t i;
	int r = 0;

	if (json_string_length(list) > 0)
		return (check_schema(connection, json_string_value(list), err));
	json_array_foreach(list, i, one)
	{
		if ((r = check_schema(connection,
			 json_string_length(one) > 0 ? json_string_value(one) : "", err)) != 0)
			break;
	}
	return (r);
}

static int
check_who(MYSQL *connection, const struct maria_account *account, struct leased_err *err)
{
	char who[MARIA_STATIC_NAME_MAX + MARIA_HOST_MAX + 2], wanted[sizeof(who)];
	size_t i;

	ask_account(connection, "SELECT CURRENT_USER()", who, sizeof(who));
	for (i = 0; i < account->host_count; i++) {
		(void)snprintf(
		    wanted, sizeof(wanted), "%s@%s", account->name, account->hosts[i].name);
		if (strcmp(who, wanted) == 0)
			return (check_schemas(connection, account, err));
	}
	return (leased_err_set(err, LEASED_EREFUSED,
	    "the login as \"%s\" became one of \"%.100s\", which stands in front of it: drop that "
	    "account, or change user_host",
	    account->name, who));
}

/* Is the session still there? 1 yes, 0 no, or a leased_code. */
static int
is_there(struct maria *plugin, struct leased_call *call, unsigned long id, struct leased_err *err)
{
	MYSQL_RES *rows = NULL;
	char text[96];
	int r;

	(void)snprintf(
	    text, sizeof(text), "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = %lu", id);
	r = maria_query_text(&plugin->main, call, MARIA_READS, text, &rows, err);
	if (r == 0)
		r = rows != NULL && mysql_num_rows(rows) > 0 ? 1 : 0;
	mysql_free_result(rows);
	return (r);
}

static int
end_session(
    struct maria *plugin, struct leased_call *call, unsigned long id, struct leased_err *err)
{
	int r, waited_ms;

	if ((r = is_there(plugin, call, id, err)) < 0)
		return (r);
	if (r == 0) {
		plugin->main.was_denied = true;
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" cannot see the sessions of accounts, and so not end them: run GRANT "
		    "PROCESS ON *.* TO it",
		    plugin->config->username));
	}
	r = maria_kill(plugin, call, id, err);
	for (waited_ms = 0; r == 0 && waited_ms < PATIENCE_MS; waited_ms += 10) {
		if ((r = is_there(plugin, call, id, err)) <= 0)
			return (r);
		if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
			break;
		r = 0;
		maria_sleep_ms(call, 10);
	}
	return (r < 0 ? r
		      : leased_err_set(err, LEASED_EREFUSED,
			    "session %lu of the account was ended and is still there", id));
}

/* Where the server lets people in without it, a login proves nothing of the password. */
static int
no_proof(const struct maria_account *account, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EREFUSED,
	    "the server lets \"%s\" in with a wrong password, so that nobody could tell whether a "
	    "new one is good",
	    account->name));
}

/* 0: a wrong password is refused as such. */
static int
check_is_asked(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    const char *wrong, struct leased_err *err)
{
	MYSQL *connection = NULL;
	int r = log_in(plugin, call, account, wrong, &connection, err);

	if (r == 0) {
		mysql_close(connection);
		return (no_proof(account, err));
	}
	if (r != LEASED_EDENIED || !is_refused_login(err) ||
	    strncmp(err->text, "there is an account", 19) == 0)
		return (leased_err_prefix(err, "\"%s\" cannot log in from here", account->name));
	*err = (struct leased_err)LEASED_ERR_INIT;
	return (0);
}

static int
check_login(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    const char *password, struct leased_err *err)
{
	MYSQL *connection = NULL;
	int r;

	if ((r = log_in(plugin, call, account, password, &connection, err)) != 0)
		return (leased_err_prefix(err, "\"%s\" cannot log in", account->name));
	r = check_who(connection, account, err);
	mysql_close(connection);
	return (r != 0 ? r : check_is_asked(plugin, call, account, "a-wrong-password", err));
}

static int
fail_locked(const struct maria_account *account, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	maria_sql_account(&sql, account->name, account->hosts[0].name);
	r = leased_err_set(err, LEASED_EREFUSED,
	    "\"%s\" may not log in: run ALTER USER %s ACCOUNT UNLOCK", account->name,
	    maria_sql_shown(&sql));
	maria_sql_clear(&sql);
	return (r);
}

static int
check_static(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    const char *random, struct leased_err *err)
{
	int r;

	if (random[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL, "a random password is needed"));
	if (strcmp(account->name, plugin->config->username) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "\"%s\" is the login of this connection itself: its password is rotated by "
		    "rotate-root",
		    account->name));
	if (account->hosts[0].is_locked)
		return (fail_locked(account, err));
	if ((r = maria_password_check(plugin, account, err)) != 0)
		return (r);
	return (check_is_asked(plugin, call, account, random, err));
}

/* An account that a role's own statements made for clients elsewhere. */
static int
explain_host(const struct maria_account *account, struct leased_err *err)
{
	if (err->code == LEASED_EDENIED && strcmp(account->hosts[0].name, "%") != 0)
		return (leased_err_set(err, err->code,
		    "the new account is for clients from %.60s only, and cannot log in from where "
		    "leased runs: let creation_statements name a host that takes leased in, or "
		    "write the role with verify_role=false (%.200s)",
		    account->hosts[0].name, err->text));
	return (leased_err_prefix(err, "the new account cannot log in"));
}

int
maria_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts accounts = {.count = 1};
	struct maria_account *account = &accounts.items[0];
	const char *password = leased_get_string_optional(call->params, "password");
	const char *scope = leased_get_string_optional(call->params, "scope");
	MYSQL *connection = NULL;
	int r;

	if ((r = maria_password_account(plugin, call, &accounts, err)) != 0)
		/* That would be taken for the account's own login. */
		return (scope != NULL && r == LEASED_EDENIED ? (err->code = LEASED_EUNAVAIL) : r);
	if (password == NULL)
		password = "";
	if (scope != NULL && strcmp(scope, "login") == 0)
		return (check_login(plugin, call, account, password, err));
	if (scope != NULL && strcmp(scope, "static") == 0)
		return (check_static(plugin, call, account, password, err));
	if ((r = log_in(plugin, call, account, password, &connection, err)) != 0)
		return (explain_host(account, err));
	if ((r = check_who(connection, account, err)) == 0)
		r = end_session(plugin, call, mysql_thread_id(connection), err);
	mysql_close(connection);
	return (r);
}
