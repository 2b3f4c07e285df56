/*
 * Remove: drops accounts, once their access has ended. Called through the plugin's table.
 */
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "expiry.h"
#include "sql.h"

#define ANSWER_MARGIN_MS 500 /* later accounts wait for the next call */

static bool
has_own_statements(const struct maria_account *account)
{
	return (maria_account_statements(account, "revocation_statements") != NULL);
}

static bool
needs_drop(const struct maria_account *account)
{
	return (!account->has_failed && account->host_count > 0);
}

static void
add_accounts(struct maria_sql *sql, const struct maria_account *account, bool *any)
{
	size_t i;

	for (i = 0; i < account->host_count; i++) {
		maria_sql_add(sql, *any ? ", " : "");
		maria_sql_account(sql, account->name, account->hosts[i].name);
		*any = true;
	}
}

static int
drop(struct maria *plugin, struct leased_call *call, struct maria_account *account)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	bool any = false;
	int r;

	maria_sql_add(&sql, "DROP USER IF EXISTS ");
	add_accounts(&sql, account, &any);
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, NULL, &account->err);
	maria_sql_clear(&sql);
	if (r == LEASED_EDENIED)
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "\"%s\" may not drop accounts: run GRANT CREATE USER ON *.* TO it",
		    plugin->config->username);
	return (r);
}

/* The role's revocation_statements stand for the drop. */
static int
revoke_by_statements(struct maria *plugin, struct leased_call *call, struct maria_account *account)
{
	const json_t *elements = maria_account_statements(account, "revocation_statements");
	struct maria_slots slots = {.name = account->name};
	size_t i;
	int r;

	if ((r = maria_run_statements(
		 plugin, call, "revocation_statements", elements, &slots, &account->err)) != 0 ||
	    (r = maria_session_ready(plugin, call, &account->err)) != 0)
		return (r);
	for (i = 0; i < account->host_count; i++) {
		r = maria_account_exists(
		    plugin, call, account->name, account->hosts[i].name, &account->err);
		if (r > 0)
			return (leased_err_set(&account->err, LEASED_EREFUSED,
			    "revocation_statements ran, but the account is still there: let them "
			    "end with DROP USER, or leave them out"));
		if (r < 0)
			return (r);
	}
	return (0);
}

/* What a failed mint may have made besides the account. Whether it works or not, the drop is tried.
 */
static void
roll_back_mint(struct maria *plugin, struct leased_call *call, struct maria_account *account)
{
	const json_t *elements = maria_account_statements(account, "rollback_statements");
	struct maria_slots slots = {.name = account->name};
	struct leased_err why = LEASED_ERR_INIT;

	if (account->has_failed || !account->is_failed_mint || elements == NULL ||
	    maria_session_ready(plugin, call, &why) != 0)
		return;
	if (maria_run_statements(plugin, call, "rollback_statements", elements, &slots, &why) != 0)
		leased_plugin_log("%s: %s", account->name, why.text);
}

static void
remove_one(struct maria *plugin, struct leased_call *call, struct maria_account *account)
{
	int r;

	memset(&account->err, 0, sizeof(account->err));
	if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
		r = leased_err_set(&account->err, LEASED_ETIMEDOUT,
		    "the call had no time left for it; it is tried again");
	else if ((r = maria_session_ready(plugin, call, &account->err)) == 0)
		r = has_own_statements(account) ? revoke_by_statements(plugin, call, account)
						: drop(plugin, call, account);
	if (r != 0)
		account->has_failed = true;
	else
		account->host_count = 0;
}

/* All that need nothing special in one statement; the caller goes through those that are left. */
static void
drop_together(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	struct leased_err unused = LEASED_ERR_INIT;
	struct maria_account *account;
	size_t i, count = 0;
	bool any = false;

	maria_sql_add(&sql, "DROP USER IF EXISTS ");
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (!needs_drop(account) || has_own_statements(account))
			continue;
		add_accounts(&sql, account, &any);
		count++;
	}
	if (count > 1 && maria_query(&plugin->main, call, MARIA_READS, &sql, NULL, &unused) == 0)
		for (i = 0; i < accounts->count; i++)
			if (needs_drop(&accounts->items[i]) &&
			    !has_own_statements(&accounts->items[i]))
				accounts->items[i].host_count = 0;
	maria_sql_clear(&sql);
}

/* Also of accounts that are gone. */
static void
drop_events(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts)
{
	struct maria_account *account;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed)
			continue;
		account->has_failed =
		    maria_session_ready(plugin, call, &account->err) != 0 ||
		    maria_expiry_drop(plugin, call, account->name, &account->err) != 0;
	}
}

int
maria_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts *accounts = calloc(1, sizeof(*accounts));
	size_t i;
	int r;

	if (accounts == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = maria_session_ready(plugin, call, err)) != 0 ||
	    (r = maria_accounts_read(plugin, call, accounts, err)) != 0 ||
	    (r = maria_disarm_all(plugin, call, accounts, err)) != 0)
		goto out;
	for (i = 0; i < accounts->count; i++)
		roll_back_mint(plugin, call, &accounts->items[i]);
	drop_together(plugin, call, accounts);
	for (i = 0; i < accounts->count; i++)
		if (needs_drop(&accounts->items[i]))
			remove_one(plugin, call, &accounts->items[i]);
	drop_events(plugin, call, accounts);
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
