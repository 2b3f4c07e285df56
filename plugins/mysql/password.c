/*
 * Setting the password of an account that is there: static accounts, and the administrator's own.
 * Called through the plugin's table.
 */
#include <stdio.h>
#include <string.h>

#include "account.h"
#include "hash.h"
#include "password.h"
#include "sql.h"

/* Who we are to the server: `name`@`host` as the account is stored. */
static int
is_own_account(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    bool *ret_own, struct leased_err *err)
{
	char own[MARIA_STATIC_NAME_MAX + MARIA_HOST_MAX + 2];
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	int r;

	*ret_own = false;
	if ((r = maria_query_text(
		 &plugin->main, call, MARIA_READS, "SELECT CURRENT_USER()", &rows, err)) != 0)
		return (r);
	(void)snprintf(own, sizeof(own), "%s@%s", account->name, account->hosts[0].name);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	*ret_own = row != NULL && strcmp(maria_text(row, 0), own) == 0;
	mysql_free_result(rows);
	return (0);
}

/*
 * The account that is meant. Our own administrator is known by its name only, and its host need not
 * be that of the accounts that we make.
 */
int
maria_password_account(struct maria *plugin, struct leased_call *call,
    struct maria_accounts *accounts, struct leased_err *err)
{
	struct maria_account *account = &accounts->items[0];
	char host[MARIA_HOST_MAX + 1] = "";
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	const char *at;
	int r;

	r = maria_account_get(plugin, call, MARIA_STATIC_NAME_MAX, accounts, err);
	if (r != LEASED_ENOENT || strcmp(account->name, plugin->config->username) != 0 ||
	    account->handle != NULL)
		return (r);
	if ((r = maria_query_text(
		 &plugin->main, call, MARIA_READS, "SELECT CURRENT_USER()", &rows, err)) != 0)
		return (r);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	at = row != NULL ? strrchr(maria_text(row, 0), '@') : NULL;
	if (at != NULL)
		(void)snprintf(host, sizeof(host), "%s", at + 1);
	mysql_free_result(rows);
	*err = (struct leased_err)LEASED_ERR_INIT;
	account->handle = host;
	r = maria_accounts_find(plugin, call, accounts, err);
	account->handle = NULL;
	if (r == 0 && account->host_count == 0)
		r = leased_err_set(err, LEASED_ENOENT, "there is no account \"%s\"", account->name);
	return (r);
}

/* One that this plugin can make a password for, without taking other ways in away. */
int
maria_password_check(
    const struct maria *plugin, const struct maria_account *account, struct leased_err *err)
{
	static const char *const ways[] = {
	    "", "mysql_native_password", "caching_sha2_password", "ed25519"};
	const char *way = account->hosts[0].plugin;
	size_t i;

	if (account->host_count > 1)
		return (leased_err_set(
		    err, LEASED_EREFUSED, "there are accounts of that name for several hosts"));
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(way, ways[i]) == 0)
			break;
	if (i == sizeof(ways) / sizeof(ways[0]))
		return (leased_err_set(err, LEASED_EREFUSED,
		    "\"%s\" logs in by %s, which has no password that could be set here",
		    account->name, way));
	if (account->hosts[0].has_more_ways)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "\"%s\" has several ways to log in (IDENTIFIED VIA .. OR ..): leave it one",
		    account->name));
	(void)plugin;
	return (0);
}

/* The account keeps its way to log in. ed25519 makes its own key of a password: it is sent. */
static int
add_identified(const struct maria *plugin, const struct maria_account *account,
    const struct maria_slots *slots, struct maria_sql *sql)
{
	const char *way = account->hosts[0].plugin;

	if (strcmp(way, "ed25519") == 0) {
		maria_sql_add(sql, "IDENTIFIED VIA ed25519 USING PASSWORD(");
		maria_sql_literal(sql, slots->password);
		maria_sql_add(sql, ")");
	} else if (plugin->is_mysql && strcmp(way, "caching_sha2_password") != 0) {
		maria_sql_identified_native(sql, slots);
	} else {
		maria_sql_identified(sql, slots);
	}
	return (sql->failed);
}

static int
explain_denied(
    const struct maria *plugin, const struct maria_account *account, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EDENIED,
	    "\"%s\" may not set the password of \"%s\": run GRANT CREATE USER ON *.* TO it",
	    plugin->config->username, account->name));
}

static int
alter_user(struct maria *plugin, struct leased_call *call, const struct maria_account *account,
    const struct maria_slots *slots, struct leased_err *err)
{
	struct maria_sql sql = {.secret = slots->password};
	int r;

	/* By name, ours too: MariaDB takes CURRENT_USER() there and changes nothing. */
	maria_sql_add(&sql, "ALTER USER ");
	maria_sql_account(&sql, account->name, account->hosts[0].name);
	maria_sql_add(&sql, " ");
	(void)add_identified(plugin, account, slots, &sql);
	r = maria_query(&plugin->main, call, MARIA_CHANGES, &sql, NULL, err);
	maria_sql_clear(&sql);
	return (r == LEASED_EDENIED ? explain_denied(plugin, account, err) : r);
}

/* The worker goes on as the administrator with the new password: it is its own that was changed. */
static int
take_own_password(struct maria *plugin, const char *password, struct leased_err *err)
{
	struct leased_secret *fresh = leased_secret_new(password, strlen(password));

	if (fresh == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	leased_secret_free(plugin->config->password);
	plugin->config->password = fresh;
	return (0);
}

int
maria_set_password(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts accounts = {.count = 1};
	struct maria_account *account = &accounts.items[0];
	struct maria_slots slots = {0};
	const char *password = NULL;
	char hash[MARIA_HASH_SIZE] = "";
	const json_t *elements;
	bool is_own = false, is_native;
	int r;

	if ((r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = maria_password_account(plugin, call, &accounts, err)) != 0 ||
	    (r = maria_password_check(plugin, account, err)) != 0 ||
	    (r = maria_password_slots(plugin, password, hash, &slots, err)) != 0)
		goto out;
	is_native = strcmp(account->hosts[0].plugin, "mysql_native_password") == 0;
	if (plugin->is_mysql && is_native && (r = maria_hash_native(password, hash, err)) != 0)
		goto out;
	slots.name = account->name;
	if (strcmp(account->name, plugin->config->username) == 0 &&
	    (r = is_own_account(plugin, call, account, &is_own, err)) != 0)
		goto out;
	elements = maria_account_statements(account, "rotation_statements");
	call->sent = true;
	r = elements != NULL
		? maria_run_statements(plugin, call, "rotation_statements", elements, &slots, err)
		: alter_user(plugin, call, account, &slots, err);
	if (r == 0 && is_own)
		r = take_own_password(plugin, password, err);
	if (r == 0)
		r = maria_account_tell(plugin, account, call->result, err);
out:
	leased_wipe(hash, sizeof(hash));
	return (r);
}
