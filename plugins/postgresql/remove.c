/*
 * Remove: drops the roles of accounts, once their access has ended. Never destroys what a user
 * made: a role that owns something, or holds grants of others, stays and says what is in the way
 * (owned.c). Called through the plugin's table.
 */
#include "account.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "sql.h"

#define ANSWER_MARGIN_MS                                                                           \
	500 /* what is left of the deadline for the answer: later accounts wait for the next call  \
	     */

static void
add_drop(struct postgresql_sql *sql, const struct postgresql_account *account)
{
	postgresql_sql_add(sql, "DROP ROLE IF EXISTS ");
	postgresql_sql_identifier(sql, account->name);
	postgresql_sql_add(sql, ";");
}

static bool
has_own_statements(const struct postgresql_account *account)
{
	return (postgresql_account_statements(account, "revocation_statements") != NULL);
}

static bool
needs_drop(const struct postgresql_account *account)
{
	return (!account->has_failed && account->oid != 0);
}

static int
drop(struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	add_drop(&sql, account);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, NULL, &account->err);
	postgresql_sql_clear(&sql);
	return (r);
}

/* Objects depend on it (2BP01): frees it from what may go, and tries again. */
static int
drop_with_dependencies(
    struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account)
{
	int r;

	if ((r = postgresql_owned_release(plugin, call, account, &account->err)) != 0)
		return (r);
	if ((r = drop(plugin, call, account)) != 0 && strcmp(plugin->main.sqlstate, "2BP01") == 0)
		r = postgresql_owned_explain(plugin, call, account, &account->err);
	return (r);
}

/* The role's revocation_statements stand for the drop. */
static int
revoke_by_statements(
    struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account)
{
	const json_t *elements = postgresql_account_statements(account, "revocation_statements");
	struct postgresql_slots slots = {.name = account->name};
	int r;

	r = postgresql_query_elements(&plugin->main, call, "revocation_statements", elements,
	    &slots, NULL, NULL, &account->err);
	if (r == 0 && (r = postgresql_role_exists(plugin, call, account->name, &account->err)) > 0)
		r = leased_err_set(&account->err, LEASED_EREFUSED,
		    "revocation_statements ran, but the role is still there: let them end with "
		    "DROP ROLE, or leave "
		    "them out");
	return (r);
}

/* What a failed mint may have made besides the role. Whether it works or not, the drop is tried. */
static void
roll_back_mint(
    struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account)
{
	const json_t *elements = postgresql_account_statements(account, "rollback_statements");
	struct postgresql_slots slots = {.name = account->name};
	struct leased_err why = LEASED_ERR_INIT;

	if (account->has_failed || !account->is_failed_mint || elements == NULL)
		return;
	if (postgresql_query_elements(&plugin->main, call, "rollback_statements", elements, &slots,
		NULL, NULL, &why) != 0)
		leased_plugin_log("%s: %s", account->name, why.text);
}

static void
remove_one(struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account)
{
	const char *admin = plugin->config->username;
	int r;

	memset(&account->err, 0, sizeof(account->err));
	if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
		r = leased_err_set(&account->err, LEASED_ETIMEDOUT,
		    "the call had no time left for it; it is tried again");
	else if (has_own_statements(account))
		r = revoke_by_statements(plugin, call, account);
	else if ((r = drop(plugin, call, account)) != 0 &&
		 strcmp(plugin->main.sqlstate, "2BP01") == 0)
		r = drop_with_dependencies(plugin, call, account);
	else if (r == LEASED_EDENIED)
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "\"%s\" may not drop the role: run ALTER ROLE \"%s\" CREATEROLE, and on "
		    "PostgreSQL 16 and later "
		    "GRANT \"%s\" TO \"%s\" WITH ADMIN OPTION",
		    admin, admin, account->name, admin);
	if (r != 0)
		postgresql_account_fail(account);
	else
		account->oid = 0;
}

/* All that need nothing special in one round trip; the caller goes through those that are left. */
static void
drop_together(
    struct postgresql *plugin, struct leased_call *call, struct postgresql_accounts *accounts)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	struct leased_err unused = LEASED_ERR_INIT;
	struct postgresql_account *account;
	size_t i, count = 0;

	postgresql_sql_begin(&sql, &plugin->main, call);
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (!needs_drop(account) || has_own_statements(account))
			continue;
		add_drop(&sql, account);
		count++;
	}
	if (count > 1 &&
	    postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, NULL, &unused) == 0)
		for (i = 0; i < accounts->count; i++)
			if (!has_own_statements(&accounts->items[i]))
				accounts->items[i].oid = 0;
	postgresql_sql_clear(&sql);
}

int
postgresql_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts *accounts = calloc(1, sizeof(*accounts));
	size_t i;
	int r;

	if (accounts == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_accounts_read(plugin, call, accounts, err)) != 0 ||
	    (r = postgresql_disarm_all(plugin, call, accounts, err)) != 0)
		goto out;
	postgresql_accounts_fail_renamed(accounts);
	for (i = 0; i < accounts->count; i++)
		roll_back_mint(plugin, call, &accounts->items[i]);
	drop_together(plugin, call, accounts);
	for (i = 0; i < accounts->count; i++)
		if (needs_drop(&accounts->items[i]))
			remove_one(plugin, call, &accounts->items[i]);
	for (i = 0; i < accounts->count; i++) {
		if (accounts->items[i].has_failed)
			leased_result_failed(call, &accounts->items[i].err);
		else
			(void)leased_result_ok(call);
	}
out:
	free(accounts);
	return (r);
}
