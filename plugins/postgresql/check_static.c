/*
 * Accounts whose passwords are rotated: does a password log in, and may this account's password be
 * ours to set? Ends no session and changes nothing. Called by postgresql_check().
 */
#include "account.h"

#include <stdio.h>
#include <string.h>

#include "config.h"
#include "sql.h"

/* Where the server lets people in without one, a login proves nothing of the password. */
static int
no_proof(const struct postgresql_account *account, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EREFUSED,
	    "the server does not ask \"%s\" for a password when it comes from here, so that nobody "
	    "could tell whether a new one is good: let pg_hba.conf ask for scram-sha-256",
	    account->name));
}

int
postgresql_check_login(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	const char *password = leased_get_string_optional(call->params, "password");
	PGconn *connection = NULL;
	bool asked;
	int r;

	r = postgresql_session_login(
	    plugin, call, account->name, password != NULL ? password : "", &connection, err);
	if (r != 0)
		return (leased_err_prefix(err, "\"%s\" cannot log in", account->name));
	asked = PQconnectionUsedPassword(connection) != 0;
	PQfinish(connection);
	return (asked ? 0 : no_proof(account, err));
}

/* A role that nobody can log in as would be rotated for nothing, and its login prove nothing. */
static int
check_may_log_in(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	const char *why = NULL;
	int r;

	if (!account->can_login)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "\"%s\" may not log in: run ALTER ROLE \"%s\" LOGIN", account->name,
		    account->name));
	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql,
	    "SELECT rolvaliduntil IS NOT NULL AND rolvaliduntil <= pg_catalog.now(), rolconnlimit "
	    "= 0 FROM pg_catalog.pg_roles WHERE rolname = ");
	postgresql_sql_literal(&sql, account->name);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	postgresql_sql_clear(&sql);
	if (r == 0 && PQntuples(rows) == 1) {
		if (PQgetvalue(rows, 0, 0)[0] == 't')
			why = "its VALID UNTIL has passed";
		else if (PQgetvalue(rows, 0, 1)[0] == 't')
			why = "its CONNECTION LIMIT is 0";
	}
	PQclear(rows);
	if (why != NULL)
		return (leased_err_set(
		    err, LEASED_EREFUSED, "\"%s\" cannot log in: %s", account->name, why));
	return (r);
}

/* With a password that is wrong: pg_hba.conf is met before the old one is taken away. */
static int
check_is_asked(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const char *wrong, struct leased_err *err)
{
	PGconn *connection = NULL;
	int r;

	r = postgresql_session_login(plugin, call, account->name, wrong, &connection, err);
	if (r == 0) {
		PQfinish(connection);
		return (no_proof(account, err));
	}
	if (r != LEASED_EDENIED || strstr(err->text, "password authentication failed") == NULL)
		return (leased_err_prefix(err, "\"%s\" cannot log in from here", account->name));
	(void)leased_err_set(err, LEASED_OK, "%s", "");
	return (0);
}

int
postgresql_check_static(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	const char *random = leased_get_string_optional(call->params, "password");
	int r;

	if (random == NULL || random[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL, "a random password is needed"));
	if (strcmp(account->name, plugin->config->username) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "\"%s\" is the login of this connection itself: its password is rotated by "
		    "rotate-root",
		    account->name));
	if ((r = check_may_log_in(plugin, call, account, err)) != 0 ||
	    (r = postgresql_password_alter(
		 plugin, call, account, random, POSTGRESQL_ALTER_TRY, err)) != 0)
		return (r);
	return (check_is_asked(plugin, call, account, random, err));
}
