/*
 * Setting the password of a role that is there: static accounts, and the administrator's own.
 * Called through the plugin's table.
 */
#include "account.h"

#include <stdio.h>
#include <string.h>

#include "config.h"
#include "scram.h"
#include "sql.h"

/* The worker goes on as the administrator with the new password: it is its own that was changed. */
static int
take_own_password(
    struct postgresql *plugin, const char *name, const char *password, struct leased_err *err)
{
	struct leased_secret *fresh;

	if (strcmp(name, plugin->config->username) != 0)
		return (0);
	if ((fresh = leased_secret_new(password, strlen(password))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	leased_secret_free(plugin->config->password);
	plugin->config->password = fresh;
	return (0);
}

/* Names what our administrator lacks for an ALTER ROLE .. PASSWORD that was denied. */
static int
explain_denied(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	const char *admin = plugin->config->username;
	struct leased_err ignored = LEASED_ERR_INIT;
	PGresult *rows = NULL;
	bool creates;

	if (account->is_superuser)
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" is a superuser: only a superuser may set its password, and \"%s\" is "
		    "none",
		    account->name, admin));
	if (postgresql_query_text(&plugin->main, call,
		"SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolcreaterole",
		&rows, &ignored) != 0)
		return (err->code);
	creates = PQntuples(rows) > 0;
	PQclear(rows);
	if (!creates)
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" may not set the password of \"%s\": run ALTER ROLE \"%s\" CREATEROLE",
		    admin, account->name, admin));
	return (leased_err_set(err, LEASED_EDENIED,
	    "\"%s\" may not set the password of \"%s\": run GRANT \"%s\" TO \"%s\" WITH ADMIN "
	    "OPTION (a role with REPLICATION, BYPASSRLS or the like needs a superuser)",
	    admin, account->name, account->name, admin));
}

static int
alter_role(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const struct postgresql_slots *slots,
    enum postgresql_alter how, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	sql.secret = slots->password;
	postgresql_sql_add(&sql, how == POSTGRESQL_ALTER_TRY ? "BEGIN;ALTER ROLE " : "ALTER ROLE ");
	postgresql_sql_identifier(&sql, slots->name);
	postgresql_sql_add(&sql, " PASSWORD ");
	postgresql_sql_literal(&sql, slots->password);
	if (how == POSTGRESQL_ALTER_TRY)
		postgresql_sql_add(&sql, ";ROLLBACK");
	r = postgresql_query(&plugin->main, call, POSTGRESQL_CHANGES, &sql, NULL, err);
	postgresql_sql_clear(&sql);
	if (r == LEASED_EDENIED && strcmp(plugin->main.sqlstate, "42501") == 0)
		return (explain_denied(plugin, call, account, err));
	return (r);
}

int
postgresql_password_alter(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const char *password, enum postgresql_alter how,
    struct leased_err *err)
{
	char verifier[POSTGRESQL_SCRAM_SIZE] = "";
	struct postgresql_slots slots = {.name = account->name};
	const json_t *elements = postgresql_account_statements(account, "rotation_statements");
	int r;

	r = postgresql_scram_verifier(
	    plugin->main.connection, password, plugin->config->scram_iterations, verifier, err);
	if (r == 0) {
		slots.password = plugin->config->send_password ? password : verifier;
		if (elements == NULL)
			r = alter_role(plugin, call, account, &slots, how, err);
		else if (how == POSTGRESQL_ALTER_SET)
			r = postgresql_query_elements(&plugin->main, call, "rotation_statements",
			    elements, &slots, NULL, NULL, err);
	}
	leased_wipe(verifier, sizeof(verifier));
	return (r);
}

int
postgresql_set_password(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts accounts = {.count = 1};
	struct postgresql_account *account = &accounts.items[0];
	const char *password = NULL;
	char handle[16];
	int r;

	if ((r = postgresql_account_read(json_object_get(call->params, "account"), account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_account_on_server(plugin, account, err)) != 0 ||
	    (r = postgresql_accounts_find(plugin, call, &accounts, err)) != 0)
		return (r);
	postgresql_accounts_fail_renamed(&accounts);
	if (account->has_failed)
		return (leased_err_set(err, account->err.code, "%s", account->err.text));
	if (account->oid == 0)
		return (
		    leased_err_set(err, LEASED_ENOENT, "there is no role \"%s\"", account->name));
	call->sent = true;
	if ((r = postgresql_password_alter(
		 plugin, call, account, password, POSTGRESQL_ALTER_SET, err)) != 0 ||
	    (r = take_own_password(plugin, account->name, password, err)) != 0)
		return (r);
	(void)snprintf(handle, sizeof(handle), "%u", (unsigned)account->oid);
	if (json_object_set_new(call->result, "handle", json_string(handle)) != 0 ||
	    json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
