/*
 * Disarm: ends the access of accounts and destroys nothing. NOLOGIN first, so that nobody new comes
 * in; then every session is ended and seen gone, those too that have passed the login and are not
 * listed yet. Called through the plugin's table, and by remove.c before anything is dropped.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "sql.h"

#define SESSIONS_MAX 4096
#define SUSPECTS_MAX 4096
#define SUSPECT_AFTER_MS 100 /* an idle server has listed a starting backend or worker by then */
#define UNKNOWN_AFTER_MS 400 /* the same where we cannot learn whose process it is */
#define PATIENCE_MS 1000     /* how long sessions are waited for */
#define ANSWER_MARGIN_MS 300 /* what is left of the call's deadline for the answer */

struct session {
	int pid;
	uint32_t role; /* OID */
};

/*
 * What one look shows: sessions of our accounts, and process ids that hold a lock and are not
 * listed. A backend holds the lock on its own transaction from before the login check until after
 * it is listed, so that whoever passed the check before NOLOGIN was committed is in the first look,
 * one way or the other.
 */
struct look {
	struct session sessions[SESSIONS_MAX];
	size_t session_count;
	int suspects[SUSPECTS_MAX];
	size_t suspect_count;
	bool is_cut; /* there were more: nothing can be said of anybody */
};

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* ---- no new login ---- */

static void
add_nologin(struct postgresql_sql *sql, const char *name)
{
	postgresql_sql_add(sql, "ALTER ROLE ");
	postgresql_sql_identifier(sql, name);
	postgresql_sql_add(sql, " NOLOGIN;");
}

static bool
needs_nologin(const struct postgresql_account *account)
{
	return (!account->has_failed && account->oid != 0 && account->can_login);
}

/* Somebody renamed it by hand: its access ends under the name that it has now. */
static bool
needs_nologin_renamed(const struct postgresql_account *account)
{
	return (!account->has_failed && account->renamed[0] != '\0' && account->renamed_can_login);
}

/* name is what the account's role is called. */
static void
nologin_one(struct postgresql *plugin, struct leased_call *call, struct postgresql_account *account,
    const char *name)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	const char *admin = plugin->config->username;
	int r;

	if (leased_call_remaining_ms(call) < ANSWER_MARGIN_MS) {
		(void)leased_err_set(&account->err, LEASED_ETIMEDOUT,
		    "the call had no time left for it; it is tried again");
		postgresql_account_fail(account);
		return;
	}
	postgresql_sql_begin(&sql, &plugin->main, call);
	add_nologin(&sql, name);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, NULL, &account->err);
	postgresql_sql_clear(&sql);
	if (r != 0 && strcmp(plugin->main.sqlstate, "42704") == 0) {
		/* Dropped meanwhile, or renamed once more: then the next look has it. */
		if (name == account->name)
			account->oid = 0;
		else
			postgresql_account_fail(account);
		return;
	}
	if (r == LEASED_EDENIED && account->is_superuser)
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "the account is a superuser, which \"%s\" may not change: run ALTER ROLE "
		    "\"%s\" NOSUPERUSER",
		    admin, name);
	else if (r == LEASED_EDENIED)
		(void)leased_err_set(&account->err, LEASED_EDENIED,
		    "\"%s\" may not change the role: run ALTER ROLE \"%s\" CREATEROLE, and on "
		    "PostgreSQL 16 and "
		    "later GRANT \"%s\" TO \"%s\" WITH ADMIN OPTION",
		    admin, admin, name, admin);
	if (r != 0)
		postgresql_account_fail(account);
}

/* All in one round trip, since thousands may end at once; one by one when one of them is refused.
 */
static int
nologin_all(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	size_t i, count = 0;
	int r = 0;

	postgresql_sql_begin(&sql, &plugin->main, call);
	for (i = 0; i < accounts->count; i++) {
		if (needs_nologin(&accounts->items[i])) {
			add_nologin(&sql, accounts->items[i].name);
			count++;
		}
		if (needs_nologin_renamed(&accounts->items[i])) {
			add_nologin(&sql, accounts->items[i].renamed);
			count++;
		}
	}
	if (count > 0)
		r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, NULL, err);
	postgresql_sql_clear(&sql);
	if (r == 0 || plugin->main.connection == NULL)
		return (r);
	for (i = 0; i < accounts->count; i++) {
		struct postgresql_account *account = &accounts->items[i];

		if (needs_nologin(account))
			nologin_one(plugin, call, account, account->name);
		if (needs_nologin_renamed(account))
			nologin_one(plugin, call, account, account->renamed);
	}
	return (plugin->main.connection != NULL ? 0 : r);
}

/* ---- no session ---- */

static bool
is_watched(const struct postgresql_account *account)
{
	return (!account->has_failed && (account->oid != 0 || account->handle != 0));
}

static bool
has_session(const struct postgresql_account *account, const struct look *look, int *ret_pid)
{
	size_t i;

	for (i = 0; i < look->session_count; i++) {
		if (look->sessions[i].role != account->oid &&
		    look->sessions[i].role != account->handle)
			continue;
		*ret_pid = look->sessions[i].pid;
		return (true);
	}
	return (false);
}

/*
 * One look. Locks are read before the list of sessions: who loses the lock in between is listed by
 * then. PostgreSQL 18 lists a backend from its start, without a role or a database: such a row is
 * as good as none.
 */
static int
look_now(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_accounts *accounts, struct look *look, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	size_t i;
	int r, row, pid;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "WITH l AS MATERIALIZED (SELECT DISTINCT pid FROM "
				 "pg_catalog.pg_lock_status() WHERE pid IS NOT NULL), "
				 "n AS MATERIALIZED (SELECT count(*) FROM l), "
				 "a AS MATERIALIZED (SELECT pid, usesysid, datid FROM n, "
				 "pg_catalog.pg_stat_get_activity(NULL)) "
				 "SELECT pid, usesysid FROM a WHERE usesysid IN (0");
	for (i = 0; i < accounts->count; i++)
		if (is_watched(&accounts->items[i]))
			postgresql_sql_format(&sql, ",%u,%u", (unsigned)accounts->items[i].oid,
			    (unsigned)accounts->items[i].handle);
	postgresql_sql_add(&sql,
	    ") UNION ALL SELECT pid, 0 FROM l WHERE NOT EXISTS (SELECT FROM a WHERE a.pid = l.pid");
	if (plugin->version >= 180000)
		postgresql_sql_add(&sql, " AND (a.usesysid IS NOT NULL OR a.datid IS NOT NULL)");
	postgresql_sql_add(&sql, ")");
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	look->session_count = look->suspect_count = 0;
	look->is_cut = false;
	for (row = 0; r == 0 && row < PQntuples(rows); row++) {
		uint32_t role = (uint32_t)strtoul(PQgetvalue(rows, row, 1), NULL, 10);

		pid = (int)strtol(PQgetvalue(rows, row, 0), NULL, 10);
		if (role != 0 && look->session_count < SESSIONS_MAX)
			look->sessions[look->session_count++] = (struct session){pid, role};
		else if (role == 0 && look->suspect_count < SUSPECTS_MAX)
			look->suspects[look->suspect_count++] = pid;
		else
			look->is_cut = true;
	}
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (r);
}

/* Keeps of suspects those that the new look shows too. */
static void
keep_suspects(struct look *first, const struct look *look)
{
	size_t i, j, kept = 0;

	for (i = 0; i < first->suspect_count; i++)
		for (j = 0; j < look->suspect_count; j++)
			if (first->suspects[i] == look->suspects[j])
				first->suspects[kept++] = first->suspects[i];
	first->suspect_count = kept;
}

static int
terminate(struct postgresql *plugin, struct leased_call *call, int pid, struct leased_err *err)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "SELECT pg_catalog.pg_terminate_backend(%d)", pid);
	return (postgresql_query_text(&plugin->main, call, text, NULL, err));
}

/* Ends the sessions that are listed. A refusal is noted with its account and counts if the session
 * stays. */
static int
end_sessions(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_accounts *accounts, const struct look *look, struct leased_err *err)
{
	const char *admin = plugin->config->username;
	struct postgresql_account *account;
	size_t i, j;
	int r;

	for (i = 0; i < look->session_count; i++) {
		r = terminate(plugin, call, look->sessions[i].pid, err);
		if (plugin->main.connection == NULL)
			return (r);
		for (j = 0; r != 0 && j < accounts->count; j++) {
			account = &accounts->items[j];
			if (account->has_failed || (account->oid != look->sessions[i].role &&
						       account->handle != look->sessions[i].role))
				continue;
			if (account->is_superuser)
				(void)leased_err_set(&account->err, LEASED_EDENIED,
				    "cannot end its session %d: the account is a superuser; run "
				    "ALTER ROLE \"%s\" "
				    "NOSUPERUSER",
				    look->sessions[i].pid, account->name);
			else if (r == LEASED_EDENIED)
				(void)leased_err_set(&account->err, LEASED_EDENIED,
				    "cannot end sessions of accounts: run GRANT pg_signal_backend "
				    "TO \"%s\"",
				    admin);
			else
				account->err = *err;
		}
	}
	return (0);
}

/* Not even pg_signal_backend may signal a superuser's process, or one that has no role yet. */
static bool
may_signal_all_but_superusers(struct postgresql *plugin, struct leased_call *call)
{
	struct leased_err unused = LEASED_ERR_INIT;
	PGresult *rows = NULL;
	bool may = false;

	if (postgresql_query_text(&plugin->main, call,
		"SELECT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')", &rows, &unused) == 0)
		may = PQgetvalue(rows, 0, 0)[0] == 't';
	PQclear(rows);
	return (may);
}

/*
 * Ends processes that are still not listed, whoever they are: only where it cannot be learned. One
 * that we may not signal although we have pg_signal_backend belongs to a superuser or is before the
 * login check, which NOLOGIN has closed: not our account's, and let go.
 */
static int
end_unknown(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_accounts *accounts, struct look *first, struct leased_err *err)
{
	bool has_superuser = false;
	size_t i, kept = 0;
	int r;

	for (i = 0; i < accounts->count; i++)
		has_superuser |= is_watched(&accounts->items[i]) && accounts->items[i].is_superuser;
	for (i = 0; i < first->suspect_count; i++) {
		r = terminate(plugin, call, first->suspects[i], err);
		if (plugin->main.connection == NULL)
			return (r);
		if (r == LEASED_EDENIED && !has_superuser &&
		    may_signal_all_but_superusers(plugin, call))
			continue;
		first->suspects[kept++] = first->suspects[i];
	}
	first->suspect_count = kept;
	return (0);
}

/*
 * Processes that are still not listed: those of our accounts are ended, all others let go. Measured
 * on 2 cores with a load average of 20 to 30 and 16 to 64 clients of another user that connected
 * all the time: most logins took over 100 ms from the login check to the list, and ending whoever
 * was not listed by then cut several of them a second.
 */
static int
end_suspects(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_accounts *accounts, int64_t elapsed_ms, struct look *first,
    struct leased_err *err)
{
	int r = 0;

	if (elapsed_ms < SUSPECT_AFTER_MS || first->suspect_count == 0)
		return (0);
	r = postgresql_hidden_end(
	    plugin, call, accounts, first->suspects, &first->suspect_count, err);
	if (r == 0 || plugin->main.connection == NULL || elapsed_ms < UNKNOWN_AFTER_MS)
		return (plugin->main.connection == NULL ? r : 0);
	return (end_unknown(plugin, call, accounts, first, err));
}

/* What is left after the waiting is each account's own refusal. */
static void
fail_unfinished(struct postgresql *plugin, struct postgresql_accounts *accounts,
    const struct look *look, const struct look *first)
{
	struct postgresql_account *account;
	size_t i;
	int pid = 0;

	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (!is_watched(account))
			continue;
		if (look->is_cut || first->is_cut) {
			(void)leased_err_set(&account->err, LEASED_EREFUSED,
			    "the server has more sessions than can be followed at once; it is "
			    "tried again");
			postgresql_account_fail(account);
		} else if (has_session(account, look, &pid)) {
			if (account->err.code == 0)
				(void)leased_err_set(&account->err, LEASED_EREFUSED,
				    "session %d did not end within %d s; it is tried again", pid,
				    PATIENCE_MS / 1000);
			postgresql_account_fail(account);
		} else if (first->suspect_count > 0) {
			(void)leased_err_set(&account->err, LEASED_EREFUSED,
			    "process %d is logging in and may be this account's; it did not end "
			    "and is tried again "
			    "(GRANT pg_signal_backend TO \"%s\" lets us end it)",
			    first->suspects[0], plugin->config->username);
			postgresql_account_fail(account);
		}
	}
}

static bool
is_clean(const struct look *first, const struct look *look)
{
	return (look->session_count == 0 && first->suspect_count == 0 && !look->is_cut &&
		!first->is_cut);
}

/* Looks, ends, looks again, until two looks in a row show nothing. */
static int
end_all_sessions(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_accounts *accounts, struct look *first, struct look *look,
    struct leased_err *err)
{
	int64_t start_ms = now_ms(), elapsed_ms;
	int clean_looks = 0, pause_ms = 5, r;

	if ((r = look_now(plugin, call, accounts, first, err)) != 0)
		return (r);
	*look = *first;
	for (;;) {
		clean_looks = is_clean(first, look) ? clean_looks + 1 : 0;
		if (clean_looks == 2)
			return (0);
		if (clean_looks == 0) {
			elapsed_ms = now_ms() - start_ms;
			if ((r = end_sessions(plugin, call, accounts, look, err)) != 0)
				return (r);
			if ((r = end_suspects(plugin, call, accounts, elapsed_ms, first, err)) != 0)
				return (r);
			if (elapsed_ms >= PATIENCE_MS ||
			    leased_call_remaining_ms(call) < ANSWER_MARGIN_MS)
				break;
			postgresql_sleep_ms(call, pause_ms);
			pause_ms = pause_ms < 50 ? pause_ms * 2 : 50;
		}
		if ((r = look_now(plugin, call, accounts, look, err)) != 0)
			return (r);
		keep_suspects(first, look);
	}
	fail_unfinished(plugin, accounts, look, first);
	return (0);
}

int
postgresql_disarm_all(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_accounts *accounts, struct leased_err *err)
{
	struct look *first = NULL, *look = NULL;
	bool any = false;
	size_t i;
	int r;

	if ((r = postgresql_accounts_find(plugin, call, accounts, err)) != 0 ||
	    (r = nologin_all(plugin, call, accounts, err)) != 0)
		return (r);
	for (i = 0; i < accounts->count; i++)
		any |= is_watched(&accounts->items[i]);
	if (!any)
		return (0);
	first = calloc(1, sizeof(*first));
	look = calloc(1, sizeof(*look));
	r = first == NULL || look == NULL
		? leased_err_set(err, LEASED_ENOMEM, "out of memory")
		: end_all_sessions(plugin, call, accounts, first, look, err);
	free(first);
	free(look);
	return (r);
}

int
postgresql_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts *accounts = calloc(1, sizeof(*accounts));
	struct postgresql_account *account;
	json_t *result;
	char handle[16];
	size_t i;
	int r;

	if (accounts == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if ((r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_accounts_read(plugin, call, accounts, err)) != 0 ||
	    (r = postgresql_disarm_all(plugin, call, accounts, err)) != 0)
		goto out;
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed) {
			leased_result_failed(call, &account->err);
			continue;
		}
		result = leased_result_ok(call);
		if (account->oid == 0)
			continue;
		(void)snprintf(handle, sizeof(handle), "%u", (unsigned)account->oid);
		if (json_object_set_new(result, "handle", json_string(handle)) != 0 ||
		    json_object_set_new(result, "server", json_string(plugin->server)) != 0) {
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
			goto out;
		}
	}
out:
	free(accounts);
	return (r);
}
