/*
 * Accounts: reads what the daemon says of them and asks the server for them. Changes nothing.
 * Called by every operation that is about accounts.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"

int
maria_account_read(const struct maria *plugin, const json_t *object, size_t name_max,
    struct maria_account *ret_account, struct leased_err *err)
{
	struct maria_account account = {.role = json_object_get(object, "role"),
	    .server = leased_get_string_optional(object, "server"),
	    .handle = leased_get_string_optional(object, "handle"),
	    .is_failed_mint = json_is_true(json_object_get(object, "failed_mint"))};
	char prefix[32];
	size_t len;
	int r;

	if ((r = leased_get_string(object, "name", &account.name, err)) != 0)
		return (r);
	len = strlen(account.name);
	if (len == 0 || len > name_max)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name of %zu bytes: accounts here have 1 to %zu", len, name_max));
	if (!maria_sql_is_identifier(account.name))
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name that the server would not keep as it is: with a blank at its end, or "
		    "a character above U+FFFF"));
	if (account.handle != NULL && account.handle[0] == '\0')
		account.handle = NULL;
	if (account.handle != NULL && strlen(account.handle) > MARIA_HOST_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "the handle is no host"));
	(void)snprintf(prefix, sizeof(prefix), "l-%.16s-", plugin->store_tag);
	account.is_ours =
	    plugin->store_tag[0] != '\0' && strncmp(account.name, prefix, strlen(prefix)) == 0;
	*ret_account = account;
	return (0);
}

int
maria_account_on_server(
    const struct maria *plugin, const struct maria_account *account, struct leased_err *err)
{
	if (account->server == NULL || account->server[0] == '\0' ||
	    strcmp(account->server, plugin->server) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EMOVED,
	    "the server has the identity %s now; the account was made on %.80s: nothing is touched",
	    plugin->server, account->server));
}

int
maria_accounts_read(const struct maria *plugin, const struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err)
{
	const json_t *list = json_object_get(call->params, "accounts");
	struct maria_account *account;
	size_t i;

	if (json_array_size(list) == 0 || json_array_size(list) > MARIA_ACCOUNTS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "accounts: 1 to %d of them", MARIA_ACCOUNTS_MAX));
	accounts->count = json_array_size(list);
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		memset(account, 0, sizeof(*account));
		account->has_failed = maria_account_read(plugin, json_array_get(list, i),
					  MARIA_NAME_MAX, account, &account->err) != 0 ||
				      maria_account_on_server(plugin, account, &account->err) != 0;
	}
	return (0);
}

/* ---- what the server says ---- */

/* A host by which an account counts as the one that is meant: any, where nobody else has such a
 * name. */
static bool
is_meant(const struct maria *plugin, const struct maria_account *account, const char *host)
{
	if (account->is_ours)
		return (true);
	return (strcmp(account->handle != NULL ? account->handle : plugin->config->user_host,
		    host) == 0);
}

static void
take_row(const struct maria *plugin, struct maria_accounts *accounts, MYSQL_ROW row)
{
	const char *host = maria_text(row, 1);
	struct maria_account *account;
	size_t i, at;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed || strcmp(account->name, maria_text(row, 0)) != 0 ||
		    !is_meant(plugin, account, host))
			continue;
		at = account->host_count;
		if (at == MARIA_HOSTS_MAX || strlen(host) > MARIA_HOST_MAX) {
			account->has_failed = true;
			(void)leased_err_set(&account->err, LEASED_EREFUSED,
			    "more than %d accounts have its name, or one has a host of more than "
			    "%d bytes: drop them by hand",
			    MARIA_HOSTS_MAX, MARIA_HOST_MAX);
			continue;
		}
		(void)snprintf(
		    account->hosts[at].name, sizeof(account->hosts[at].name), "%s", host);
		account->hosts[at].is_locked = maria_text(row, 2)[0] == '1';
		(void)snprintf(account->hosts[at].plugin, sizeof(account->hosts[at].plugin),
		    "%.31s", maria_text(row, 3));
		account->hosts[at].has_more_ways = maria_text(row, 4)[0] == '1';
		account->host_count++;
	}
}

/* Names of any host are looked for only where that is needed: the table is kept by host. */
static void
add_hosts(const struct maria *plugin, const struct maria_accounts *accounts, struct maria_sql *sql)
{
	const struct maria_account *account;
	bool any = false;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		any |= !account->has_failed && account->is_ours &&
		       (account->handle == NULL ||
			   maria_account_statements(account, "creation_statements") != NULL);
	}
	if (any)
		return;
	maria_sql_add(sql, " AND Host IN (");
	maria_sql_literal(sql, plugin->config->user_host);
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed || account->handle == NULL)
			continue;
		maria_sql_add(sql, ",");
		maria_sql_literal(sql, account->handle);
	}
	maria_sql_add(sql, ")");
}

#define COLUMNS_MARIADB                                                                            \
	"SELECT User, Host, JSON_VALUE(Priv, '$.account_locked') IN ('1', 'true'), "               \
	"JSON_VALUE(Priv, '$.plugin'), JSON_EXTRACT(Priv, '$.auth_or') IS NOT NULL "               \
	"FROM mysql.global_priv"
#define COLUMNS_MYSQL "SELECT User, Host, account_locked = 'Y', plugin, 0 FROM mysql.user"

static int
explain_denied(const struct maria *plugin, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EDENIED,
	    "\"%s\" may not read which accounts there are: run GRANT SELECT ON mysql.%s TO it",
	    plugin->config->username, plugin->is_mysql ? "user" : "global_priv"));
}

int
maria_accounts_find(struct maria *plugin, const struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	size_t i;
	int r;

	maria_sql_add(&sql, plugin->is_mysql ? COLUMNS_MYSQL : COLUMNS_MARIADB);
	maria_sql_add(&sql, " WHERE Host <> '' AND User IN (''");
	for (i = 0; i < accounts->count; i++) {
		accounts->items[i].host_count = 0;
		if (accounts->items[i].has_failed)
			continue;
		maria_sql_add(&sql, ",");
		maria_sql_literal(&sql, accounts->items[i].name);
	}
	maria_sql_add(&sql, ")");
	add_hosts(plugin, accounts, &sql);
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, err);
	maria_sql_clear(&sql);
	if (r == LEASED_EDENIED)
		return (explain_denied(plugin, err));
	while (r == 0 && rows != NULL && (row = mysql_fetch_row(rows)) != NULL)
		take_row(plugin, accounts, row);
	mysql_free_result(rows);
	return (r);
}

int
maria_account_get(struct maria *plugin, struct leased_call *call, size_t name_max,
    struct maria_accounts *ret_one, struct leased_err *err)
{
	struct maria_account *account = &ret_one->items[0];
	int r;

	ret_one->count = 1;
	if ((r = maria_account_read(
		 plugin, json_object_get(call->params, "account"), name_max, account, err)) != 0 ||
	    (r = maria_session_ready(plugin, call, err)) != 0 ||
	    (r = maria_account_on_server(plugin, account, err)) != 0 ||
	    (r = maria_accounts_find(plugin, call, ret_one, err)) != 0)
		return (r);
	if (account->has_failed)
		return (leased_err_set(err, account->err.code, "%s", account->err.text));
	if (account->host_count == 0)
		return (leased_err_set(err, LEASED_ENOENT, "there is no account \"%s\"@\"%s\"",
		    account->name,
		    account->handle != NULL ? account->handle : plugin->config->user_host));
	return (0);
}

int
maria_account_exists(struct maria *plugin, struct leased_call *call, const char *name,
    const char *host, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	MYSQL_RES *rows = NULL;
	int r;

	maria_sql_format(&sql,
	    "SELECT 1 FROM mysql.%s WHERE Host = ", plugin->is_mysql ? "user" : "global_priv");
	maria_sql_literal(&sql, host);
	maria_sql_add(&sql, " AND User = ");
	maria_sql_literal(&sql, name);
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, &rows, err);
	maria_sql_clear(&sql);
	if (r == LEASED_EDENIED)
		return (explain_denied(plugin, err));
	if (r == 0)
		r = rows != NULL && mysql_num_rows(rows) > 0 ? 1 : 0;
	mysql_free_result(rows);
	return (r);
}

const json_t *
maria_account_statements(const struct maria_account *account, const char *field)
{
	const json_t *elements = json_object_get(account->role, field);

	return (json_array_size(elements) > 0 ? elements : NULL);
}

int
maria_account_tell(const struct maria *plugin, const struct maria_account *account, json_t *result,
    struct leased_err *err)
{
	if (json_object_set_new(result, "handle", json_string(account->hosts[0].name)) != 0 ||
	    json_object_set_new(result, "server", json_string(plugin->server)) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}
