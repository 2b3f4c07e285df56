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

static int
alter_role(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_slots *slots, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	sql.secret = slots->password;
	postgresql_sql_add(&sql, "ALTER ROLE ");
	postgresql_sql_identifier(&sql, slots->name);
	postgresql_sql_add(&sql, " PASSWORD ");
	postgresql_sql_literal(&sql, slots->password);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_CHANGES, &sql, NULL, err);
	postgresql_sql_clear(&sql);
	return (r);
}

int
postgresql_set_password(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts accounts = {.count = 1};
	struct postgresql_account *account = &accounts.items[0];
	char verifier[POSTGRESQL_SCRAM_SIZE] = "", handle[16];
	struct postgresql_slots slots = {0};
	const char *password = NULL;
	const json_t *elements;
	int r;

	if ((r = postgresql_account_read(json_object_get(call->params, "account"), account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_account_on_server(plugin, account, err)) != 0 ||
	    (r = postgresql_scram_verifier(plugin->main.connection, password,
		 plugin->config->scram_iterations, verifier, err)) != 0 ||
	    (r = postgresql_accounts_find(plugin, call, &accounts, err)) != 0)
		goto out;
	postgresql_accounts_fail_renamed(&accounts);
	if (account->has_failed || account->oid == 0) {
		r = account->has_failed
			? leased_err_set(err, account->err.code, "%s", account->err.text)
			: leased_err_set(
			      err, LEASED_ENOENT, "there is no role \"%s\"", account->name);
		goto out;
	}
	slots.name = account->name;
	slots.password = plugin->config->send_password ? password : verifier;
	elements = postgresql_account_statements(account, "rotation_statements");
	r = elements != NULL ? postgresql_query_elements(&plugin->main, call, "rotation_statements",
				   elements, &slots, NULL, NULL, err)
			     : alter_role(plugin, call, &slots, err);
	if (r != 0 || (r = take_own_password(plugin, account->name, password, err)) != 0)
		goto out;
	(void)snprintf(handle, sizeof(handle), "%u", (unsigned)account->oid);
	if (json_object_set_new(call->result, "handle", json_string(handle)) != 0 ||
	    json_object_set_new(call->result, "server", json_string(plugin->server)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
out:
	leased_wipe(verifier, sizeof(verifier));
	return (r);
}
