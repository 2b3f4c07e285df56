/*
 * Check: proves that an account works and that we could end it: logs in as the account, ends that
 * session with the administrator's rights, and sees it gone. Called through the plugin's table, for
 * the daemon's preflight.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "sql.h"

#define ANSWER_MARGIN_MS 500
#define PATIENCE_MS 5000

/* Is the session still there? 1 yes, 0 no, or a leased_code. */
static int
is_there(struct postgresql *plugin, struct leased_call *call, int pid, struct leased_err *err)
{
	PGresult *rows = NULL;
	char text[160];
	int r;

	(void)snprintf(text, sizeof(text),
	    "SELECT 1 FROM pg_catalog.pg_stat_get_activity(NULL) WHERE pid = %d UNION ALL "
	    "SELECT 1 FROM pg_catalog.pg_lock_status() WHERE pid = %d",
	    pid, pid);
	r = postgresql_query_text(&plugin->main, call, text, &rows, err);
	if (r == 0)
		r = PQntuples(rows) > 0 ? 1 : 0;
	PQclear(rows);
	return (r);
}

static int
end_session(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, int pid, struct leased_err *err)
{
	const char *admin = plugin->config->username;
	char text[80];
	int r, waited_ms;

	(void)snprintf(text, sizeof(text), "SELECT pg_catalog.pg_terminate_backend(%d)", pid);
	r = postgresql_query_text(&plugin->main, call, text, NULL, err);
	if (r == LEASED_EDENIED && account->is_superuser)
		return (leased_err_set(err, LEASED_EDENIED,
		    "cannot end sessions of accounts: creation_statements make a superuser, and "
		    "\"%s\" is none",
		    admin));
	if (r == LEASED_EDENIED)
		return (leased_err_set(err, LEASED_EDENIED,
		    "cannot end sessions of accounts: run GRANT pg_signal_backend TO \"%s\"",
		    admin));
	for (waited_ms = 0; r == 0 && waited_ms < PATIENCE_MS; waited_ms += 10) {
		if ((r = is_there(plugin, call, pid, err)) <= 0)
			return (r);
		if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
			break;
		r = 0;
		postgresql_sleep_ms(call, 10);
	}
	return (r < 0 ? r
		      : leased_err_set(err, LEASED_EREFUSED,
			    "session %d of the account was ended and is still there", pid));
}

int
postgresql_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts accounts = {.count = 1};
	struct postgresql_account *account = &accounts.items[0];
	const char *password = leased_get_string_optional(call->params, "password");
	const char *scope = leased_get_string_optional(call->params, "scope");
	PGconn *connection = NULL;
	int r;

	if ((r = postgresql_account_read(json_object_get(call->params, "account"), account, err)) !=
		0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_account_on_server(plugin, account, err)) != 0 ||
	    (r = postgresql_accounts_find(plugin, call, &accounts, err)) != 0)
		/* That would be taken for the account's own login. */
		return (scope != NULL && r == LEASED_EDENIED ? (err->code = LEASED_EUNAVAIL) : r);
	if (account->oid == 0)
		return (
		    leased_err_set(err, LEASED_ENOENT, "there is no role \"%s\"", account->name));
	if (scope != NULL && strcmp(scope, "login") == 0)
		return (postgresql_check_login(plugin, call, account, err));
	if (scope != NULL && strcmp(scope, "static") == 0)
		return (postgresql_check_static(plugin, call, account, err));
	r = postgresql_session_login(
	    plugin, call, account->name, password != NULL ? password : "", &connection, err);
	if (r != 0)
		return (leased_err_prefix(err, "the new account cannot log in"));
	r = end_session(plugin, call, account, PQbackendPID(connection), err);
	PQfinish(connection);
	return (r);
}
