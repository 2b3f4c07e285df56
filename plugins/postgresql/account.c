/*
 * Accounts: reads what the daemon says of them and asks the server for their roles. Changes
 * nothing. Called by every operation that is about accounts.
 */
#include "account.h"
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
postgresql_account_fail(struct postgresql_account *account)
{
	account->has_failed = true;
}

int
postgresql_account_read(
    const json_t *object, struct postgresql_account *ret_account, struct leased_err *err)
{
	struct postgresql_account account = {.role = json_object_get(object, "role"),
	    .server = leased_get_string_optional(object, "server"),
	    .is_failed_mint = json_is_true(json_object_get(object, "failed_mint"))};
	const char *handle = leased_get_string_optional(object, "handle"), *reason = NULL;
	size_t len;
	int r;

	if ((r = leased_get_string(object, "name", &account.name, err)) != 0)
		return (r);
	len = strlen(account.name);
	if (len == 0 || len > POSTGRESQL_NAME_MAX || strncmp(account.name, "pg_", 3) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name of %zu bytes: PostgreSQL takes 1 to %d, not beginning with pg_", len,
		    POSTGRESQL_NAME_MAX));
	if (handle != NULL && handle[0] != '\0') {
		account.handle = (uint32_t)strtonum(handle, 1, UINT32_MAX, &reason);
		if (reason != NULL)
			return (leased_err_set(err, LEASED_EINVAL, "the handle is no OID"));
	}
	*ret_account = account;
	return (0);
}

int
postgresql_account_on_server(const struct postgresql *plugin,
    const struct postgresql_account *account, struct leased_err *err)
{
	if (account->server == NULL || account->server[0] == '\0' ||
	    strcmp(account->server, plugin->server) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EMOVED,
	    "the server has the identity %s now; the account was made on %.64s: nothing is touched",
	    plugin->server, account->server));
}

int
postgresql_accounts_read(const struct postgresql *plugin, const struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err)
{
	const json_t *list = json_object_get(call->params, "accounts");
	struct postgresql_account *account;
	size_t i;

	if (json_array_size(list) == 0 || json_array_size(list) > POSTGRESQL_ACCOUNTS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "accounts: 1 to %d of them", POSTGRESQL_ACCOUNTS_MAX));
	accounts->count = json_array_size(list);
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		memset(account, 0, sizeof(*account));
		if (postgresql_account_read(json_array_get(list, i), account, &account->err) != 0 ||
		    postgresql_account_on_server(plugin, account, &account->err) != 0)
			postgresql_account_fail(account);
	}
	return (0);
}

/*
 * The role that has an account's OID has another name: it was renamed, or the OID is somebody
 * else's by now. A server that is taken back to an earlier moment forgets roles and gives their
 * OIDs out again. A name with our tag is another account of ours, unless the old name is in it; and
 * what never expires was not made by us, as far as anybody can tell. Neither is touched.
 */
static bool
is_renamed(const struct postgresql *plugin, struct postgresql_account *account, const char *name,
    bool expires)
{
	char prefix[32];

	(void)snprintf(prefix, sizeof(prefix), "l-%.16s-", plugin->store_tag);
	if (strstr(name, account->name) != NULL)
		return (true);
	if (strncmp(name, prefix, strlen(prefix)) == 0) {
		account->handle = 0;
		return (false);
	}
	if (!expires)
		(void)snprintf(account->stranger, sizeof(account->stranger), "%.63s", name);
	return (expires);
}

/* Unless the account is there under its own name: then the other one is not it. */
static void
fail_strangers(struct postgresql_accounts *accounts)
{
	struct postgresql_account *account;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->stranger[0] == '\0')
			continue;
		if (account->oid == 0) {
			(void)leased_err_set(&account->err, LEASED_EREFUSED,
			    "there is no role of its name, and its OID %u is that of \"%s\", which "
			    "has no VALID UNTIL and may be somebody else's: nothing is touched. If "
			    "it is this account under another name, rename it back, or drop it; if "
			    "not, abandon the lease",
			    (unsigned)account->handle, account->stranger);
			postgresql_account_fail(account);
		}
		account->handle = 0;
	}
}

/* One row of the search belongs to an account by its name or by its handle. */
static void
take_row(const struct postgresql *plugin, struct postgresql_accounts *accounts,
    const PGresult *rows, int row)
{
	uint32_t oid = (uint32_t)strtoul(PQgetvalue(rows, row, 0), NULL, 10);
	const char *name = PQgetvalue(rows, row, 1);
	bool expires = PQgetvalue(rows, row, 4)[0] == 't';
	struct postgresql_account *account;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed)
			continue;
		if (strcmp(account->name, name) == 0) {
			account->oid = oid;
			account->can_login = PQgetvalue(rows, row, 2)[0] == 't';
			account->is_superuser |= PQgetvalue(rows, row, 3)[0] == 't';
		} else if (account->handle == oid && is_renamed(plugin, account, name, expires)) {
			(void)snprintf(account->renamed, sizeof(account->renamed), "%.63s", name);
			account->renamed_can_login = PQgetvalue(rows, row, 2)[0] == 't';
			account->is_superuser |= PQgetvalue(rows, row, 3)[0] == 't';
		}
	}
}

void
postgresql_accounts_fail_renamed(struct postgresql_accounts *accounts)
{
	struct postgresql_account *account;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed || account->renamed[0] == '\0')
			continue;
		(void)leased_err_set(&account->err, LEASED_EREFUSED,
		    "its role (OID %u) is called \"%s\" now and is not dropped: rename it back, or "
		    "drop it by hand",
		    (unsigned)account->handle, account->renamed);
		postgresql_account_fail(account);
	}
}

int
postgresql_accounts_find(struct postgresql *plugin, const struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	size_t i;
	int r, row;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "SELECT oid, rolname, rolcanlogin, rolsuper, rolvaliduntil IS "
				 "NOT NULL FROM pg_catalog.pg_roles WHERE rolname IN (''");
	for (i = 0; i < accounts->count; i++) {
		if (accounts->items[i].has_failed)
			continue;
		postgresql_sql_add(&sql, ",");
		postgresql_sql_literal(&sql, accounts->items[i].name);
	}
	postgresql_sql_add(&sql, ") OR oid IN (0");
	for (i = 0; i < accounts->count; i++)
		if (!accounts->items[i].has_failed && accounts->items[i].handle != 0)
			postgresql_sql_format(&sql, ",%u", (unsigned)accounts->items[i].handle);
	postgresql_sql_add(&sql, ")");
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	for (row = 0; r == 0 && row < PQntuples(rows); row++)
		take_row(plugin, accounts, rows, row);
	fail_strangers(accounts);
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (r);
}

const json_t *
postgresql_account_statements(const struct postgresql_account *account, const char *field)
{
	const json_t *elements = json_object_get(account->role, field);

	return (json_array_size(elements) > 0 ? elements : NULL);
}

int
postgresql_role_exists(
    struct postgresql *plugin, struct leased_call *call, const char *name, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = ");
	postgresql_sql_literal(&sql, name);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	if (r == 0)
		r = PQntuples(rows) > 0 ? 1 : 0;
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (r);
}
