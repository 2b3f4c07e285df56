/*
 * Disarm: ends the access of accounts and destroys nothing. The lock first, so that nobody new
 * comes in; then every session is ended and seen gone. A client that is in the middle of its login
 * is listed under its account's name from before the server looks that account up, so that whoever
 * was let in before the lock is seen after it. Called through the plugin's table, and by remove.c
 * before anything is dropped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "sql.h"

#define PATIENCE_MS 1000     /* how long sessions are waited for */
#define ANSWER_MARGIN_MS 300 /* what is left of the call's deadline for the answer */

/* One look at the list of sessions. */
struct look {
	MYSQL_RES *rows; /* id, name */
	size_t count;    /* of those that belong to an account of the call */
	size_t nameless; /* of those that have not said their name yet, where that counts */
};

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* ---- no new login ---- */

static bool
needs_lock(const struct maria_account *account)
{
	size_t i;

	for (i = 0; !account->has_failed && i < account->host_count; i++)
		if (!account->hosts[i].is_locked)
			return (true);
	return (false);
}

static void
add_accounts(struct maria_sql *sql, const struct maria_account *account, bool *any)
{
	size_t i;

	for (i = 0; i < account->host_count; i++) {
		if (account->hosts[i].is_locked)
			continue;
		maria_sql_add(sql, *any ? ", " : "");
		maria_sql_account(sql, account->name, account->hosts[i].name);
		*any = true;
	}
}

static void
lock_one(struct maria *plugin, struct leased_call *call, struct maria_account *account)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	bool any = false;
	int r;

	if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS) {
		(void)leased_err_set(&account->err, LEASED_ETIMEDOUT,
		    "the call had no time left for it; it is tried again");
		account->has_failed = true;
		return;
	}
	maria_sql_add(&sql, "ALTER USER IF EXISTS ");
	add_accounts(&sql, account, &any);
	maria_sql_add(&sql, " ACCOUNT LOCK");
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, NULL, &account->err);
	maria_sql_clear(&sql);
	if (r == LEASED_EDENIED)
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "\"%s\" may not lock accounts: run GRANT CREATE USER ON *.* TO it",
		    plugin->config->username);
	account->has_failed |= r != 0;
}

/* All in one statement, since thousands may end at once; one by one when that is refused. */
static int
lock_all(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts,
    struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	bool any = false;
	size_t i;
	int r = 0;

	maria_sql_add(&sql, "ALTER USER IF EXISTS ");
	for (i = 0; i < accounts->count; i++)
		if (!accounts->items[i].has_failed)
			add_accounts(&sql, &accounts->items[i], &any);
	maria_sql_add(&sql, " ACCOUNT LOCK");
	if (any)
		r = maria_query(&plugin->main, call, MARIA_READS, &sql, NULL, err);
	maria_sql_clear(&sql);
	if (r == 0 || r == LEASED_ETIMEDOUT || plugin->main.connection == NULL)
		return (r);
	for (i = 0; i < accounts->count; i++)
		if (needs_lock(&accounts->items[i]))
			lock_one(plugin, call, &accounts->items[i]);
	return (plugin->main.connection != NULL ? 0 : r);
}

/* ---- no session ---- */

/* Sessions are known by name only. Those of an account that is gone count too, where we know that
 * the name was nobody else's. */
static bool
is_watched(const struct maria_account *account)
{
	return (!account->has_failed &&
		(account->host_count > 0 || account->handle != NULL || account->is_ours));
}

static bool
is_of(const struct maria_account *account, MYSQL_ROW row)
{
	return (is_watched(account) && strcmp(account->name, maria_text(row, 1)) == 0);
}

static void
look_clear(struct look *look)
{
	mysql_free_result(look->rows);
	memset(look, 0, sizeof(*look));
}

static int
look_now(struct maria *plugin, struct leased_call *call, const struct maria_accounts *accounts,
    struct look *look, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	MYSQL_ROW row;
	size_t i;
	int r;

	look_clear(look);
	maria_sql_add(&sql, "SELECT ID, USER FROM information_schema.PROCESSLIST WHERE ID <> "
			    "CONNECTION_ID() AND CAST(USER AS BINARY) IN (''");
	if (plugin->is_mysql)
		maria_sql_add(&sql, ",'unauthenticated user'");
	for (i = 0; i < accounts->count; i++) {
		if (!is_watched(&accounts->items[i]))
			continue;
		maria_sql_add(&sql, ",");
		maria_sql_hex(&sql, accounts->items[i].name);
	}
	maria_sql_add(&sql, ")");
	r = maria_query(&plugin->main, call, MARIA_READS, &sql, &look->rows, err);
	maria_sql_clear(&sql);
	while (r == 0 && look->rows != NULL && (row = mysql_fetch_row(look->rows)) != NULL) {
		for (i = 0; i < accounts->count && !is_of(&accounts->items[i], row); i++)
			;
		look->count += i < accounts->count;
		look->nameless += i == accounts->count;
	}
	return (r);
}

int
maria_kill(struct maria *plugin, const struct leased_call *call, unsigned long long id,
    struct leased_err *err)
{
	char text[64];
	int r;

	(void)snprintf(
	    text, sizeof(text), "KILL %sCONNECTION %llu", plugin->is_mysql ? "" : "HARD ", id);
	r = maria_query_text(&plugin->main, call, MARIA_READS, text, NULL, err);
	if (r != 0 && plugin->main.failure == 1094) {
		*err = (struct leased_err)LEASED_ERR_INIT;
		return (0); /* it is gone */
	}
	if (r != 0 && plugin->main.failure == 1095)
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" cannot end sessions of accounts: run GRANT %s ON *.* TO it",
		    plugin->config->username,
		    plugin->is_mysql ? "CONNECTION_ADMIN" : "CONNECTION ADMIN"));
	return (r);
}

/* Ends the sessions that are listed. A refusal is noted with its account and counts if the session
 * stays. */
static int
end_sessions(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts,
    const struct look *look, struct leased_err *err)
{
	MYSQL_ROW row;
	size_t i;
	int r;

	if (look->rows == NULL)
		return (0);
	mysql_data_seek(look->rows, 0);
	while ((row = mysql_fetch_row(look->rows)) != NULL) {
		for (i = 0; i < accounts->count && !is_of(&accounts->items[i], row); i++)
			;
		if (i == accounts->count)
			continue;
		r = maria_kill(plugin, call, strtoull(maria_text(row, 0), NULL, 10), err);
		if (plugin->main.connection == NULL)
			return (r);
		for (; r != 0 && i < accounts->count; i++)
			if (is_of(&accounts->items[i], row))
				accounts->items[i].err = *err;
		*err = (struct leased_err)LEASED_ERR_INIT;
	}
	return (0);
}

/* What is left after the waiting is each account's own refusal. */
static void
fail_unfinished(struct maria_accounts *accounts, const struct look *look)
{
	struct maria_account *account;
	MYSQL_ROW row;
	size_t i;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (!is_watched(account) || look->rows == NULL)
			continue;
		mysql_data_seek(look->rows, 0);
		while ((row = mysql_fetch_row(look->rows)) != NULL) {
			if (!is_of(account, row))
				continue;
			if (account->err.code == 0)
				(void)leased_err_set(&account->err, LEASED_EREFUSED,
				    "session %s did not end within %d s; it is tried again",
				    maria_text(row, 0), PATIENCE_MS / 1000);
			account->has_failed = true;
			break;
		}
	}
}

/* A list that shows no session of others would be taken for one without any. */
static void
fail_unseen(struct maria *plugin, struct maria_accounts *accounts)
{
	struct maria_account *account;

	plugin->main.was_denied = true;
	for (account = accounts->items; account < accounts->items + accounts->count; account++) {
		if (!is_watched(account))
			continue;
		account->has_failed = true;
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "\"%s\" cannot see the sessions of accounts, and so not end them: run GRANT "
		    "PROCESS ON *.* TO it (itself, not a role of it); it is tried again",
		    plugin->config->username);
	}
}

/* Looks, ends, looks again, until two looks in a row show nothing. */
static int
end_all_sessions(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts,
    struct look *look, struct leased_err *err)
{
	int64_t start_ms = now_ms();
	int clean_looks = 0, pause_ms = 1, r;

	for (;;) {
		if ((r = look_now(plugin, call, accounts, look, err)) != 0)
			return (r);
		clean_looks = look->count == 0 ? clean_looks + 1 : 0;
		if (clean_looks == 2)
			return (0);
		if ((r = end_sessions(plugin, call, accounts, look, err)) != 0)
			return (r);
		if (now_ms() - start_ms >= PATIENCE_MS ||
		    leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
			break;
		maria_sleep_ms(call, pause_ms);
		pause_ms = pause_ms < 50 ? pause_ms * 2 : 50;
	}
	fail_unfinished(accounts, look);
	return (0);
}

int
maria_disarm_all(struct maria *plugin, struct leased_call *call, struct maria_accounts *accounts,
    struct leased_err *err)
{
	struct look look = {0};
	bool any = false;
	size_t i;
	int r;

	if ((r = maria_accounts_find(plugin, call, accounts, err)) != 0 ||
	    (r = lock_all(plugin, call, accounts, err)) != 0)
		return (r);
	for (i = 0; i < accounts->count; i++)
		any |= is_watched(&accounts->items[i]);
	if (any && !plugin->sees_sessions)
		fail_unseen(plugin, accounts);
	if (!any || !plugin->sees_sessions)
		return (0);
	r = end_all_sessions(plugin, call, accounts, &look, err);
	look_clear(&look);
	if (r == LEASED_EDENIED)
		(void)leased_err_prefix(err, "the list of sessions");
	return (r);
}

int
maria_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts *accounts = calloc(1, sizeof(*accounts));
	struct maria_account *account;
	json_t *result;
	size_t i;
	int r;

	if (accounts == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = maria_session_ready(plugin, call, err)) != 0 ||
	    (r = maria_accounts_read(plugin, call, accounts, err)) != 0 ||
	    (r = maria_disarm_all(plugin, call, accounts, err)) != 0)
		goto out;
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed) {
			leased_result_failed(call, &account->err);
			continue;
		}
		result = leased_result_ok(call);
		if (account->host_count > 0 &&
		    (r = maria_account_tell(plugin, account, result, err)) != 0)
			goto out;
	}
out:
	free(accounts);
	return (r);
}
