/*
 * Processes that hold a lock and are in no list of sessions: which of them belong to accounts that
 * are being disarmed, and their end. The server tells nobody whose such a process is, but it lets a
 * role end its own processes: so we become each account and try. Whom that ends was the account's;
 * whom it may not touch is somebody else's login, which is only slow. Called by disarm.c.
 */
#include "account.h"

#include <stdlib.h>

#include "sql.h"

/*
 * All of it is rolled back but the signals. NOINHERIT, or an account could end the logins of roles
 * that it is a member of. From PostgreSQL 16 on each membership says that itself, so that there
 * such a role's slow login may still be cut.
 */
static const char try_each[] =
    "DO $leased$ DECLARE o pg_catalog.oid; r pg_catalog.name; p int; ended text := ''; BEGIN "
    "FOREACH o IN ARRAY pg_catalog.current_setting('leased.roles')::pg_catalog.oid[] LOOP "
    "SELECT rolname INTO STRICT r FROM pg_catalog.pg_roles WHERE oid = o; "
    "EXECUTE pg_catalog.format('GRANT %I TO %I', r, session_user); "
    "EXECUTE pg_catalog.format('ALTER ROLE %I NOINHERIT', r); "
    "IF pg_catalog.pg_has_role(o, 'pg_signal_backend', 'USAGE') THEN "
    "RAISE EXCEPTION 'the account may end sessions of everybody'; END IF; "
    "EXECUTE pg_catalog.format('SET LOCAL ROLE %I', r); "
    "FOREACH p IN ARRAY pg_catalog.current_setting('leased.pids')::int[] LOOP "
    "BEGIN IF pg_catalog.pg_terminate_backend(p) THEN ended := ended || ' ' || p; END IF; "
    "EXCEPTION WHEN insufficient_privilege THEN NULL; END; "
    "END LOOP; RESET ROLE; END LOOP; "
    "PERFORM pg_catalog.set_config('leased.ended', ended, true); END $leased$;"
    "SELECT pg_catalog.current_setting('leased.ended'); ROLLBACK";

static void
add_role(struct postgresql_sql *sql, uint32_t oid, const char **separator)
{
	if (oid == 0)
		return;
	postgresql_sql_format(sql, "%s%u", *separator, (unsigned)oid);
	*separator = ",";
}

static void
add_roles(struct postgresql_sql *sql, const struct postgresql_accounts *accounts)
{
	const struct postgresql_account *account;
	const char *separator = "";
	size_t i;

	postgresql_sql_add(sql, "BEGIN; SET LOCAL leased.roles = '{");
	for (i = 0; i < accounts->count; i++) {
		account = &accounts->items[i];
		if (account->has_failed)
			continue;
		add_role(sql, account->oid, &separator);
		if (account->handle != account->oid)
			add_role(sql, account->handle, &separator);
	}
}

/* Keeps of pids those that ended, a list of numbers, names. */
static void
keep_ended(const char *ended, int *pids, size_t *count)
{
	size_t i, kept = 0;
	const char *at;
	char *end;

	for (i = 0; i < *count; i++) {
		for (at = ended; *at != '\0'; at = end)
			if (strtol(at, &end, 10) == pids[i]) {
				pids[kept++] = pids[i];
				break;
			} else if (end == at) {
				break;
			}
	}
	*count = kept;
}

int
postgresql_hidden_end(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_accounts *accounts, int *pids, size_t *count, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	size_t i;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	add_roles(&sql, accounts);
	postgresql_sql_add(&sql, "}'; SET LOCAL leased.pids = '{");
	for (i = 0; i < *count; i++)
		postgresql_sql_format(&sql, "%s%d", i > 0 ? "," : "", pids[i]);
	postgresql_sql_add(&sql, "}';");
	postgresql_sql_add(&sql, try_each);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, err);
	if (r == 0)
		keep_ended(PQgetvalue(rows, 0, 0), pids, count);
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (r);
}
