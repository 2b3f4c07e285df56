/*
 * Making an account and moving its native expiry. The statements of a role run one transaction an
 * element; without statements the account is a LOGIN role with VALID UNTIL, a member of
 * grant_roles. Called through the plugin's table.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "scram.h"
#include "sql.h"

/* Reads "2026-11-23T03:43:50[.fraction]Z". */
static bool
parse_rfc3339(const char *text, time_t *ret_time)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	bool has_fraction;

	if (rest == NULL)
		return (false);
	has_fraction = *rest == '.';
	if (has_fraction)
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0)
		return (false);
	*ret_time = timegm(&tm) + (has_fraction ? 1 : 0); /* never early */
	return (true);
}

int
postgresql_expiration(const struct postgresql *plugin, const char *rfc3339,
    char ret_text[POSTGRESQL_EXPIRATION_SIZE], struct leased_err *err)
{
	struct tm tm = {0};
	time_t when;

	if (!parse_rfc3339(rfc3339, &when))
		return (leased_err_set(
		    err, LEASED_EINVAL, "expires: must be a UTC time as 2026-11-23T03:43:50Z"));
	when += (time_t)((plugin->offset_us + 999999) / 1000000); /* by the server's clock */
	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(ret_text, POSTGRESQL_EXPIRATION_SIZE, "%Y-%m-%d %H:%M:%S+0000", &tm) == 0)
		return (leased_err_set(err, LEASED_EINVAL, "expires: out of range"));
	return (0);
}

/* The default creation: LOGIN, VALID UNTIL, member of grant_roles. */
static int
add_default_statement(struct postgresql_sql *sql, const struct postgresql_account *account,
    const struct postgresql_slots *slots, struct leased_err *err)
{
	const json_t *groups = json_object_get(account->role, "grant_roles"), *group;
	size_t i;

	/* An empty role is the barest account: what a connection is tried with. */
	if (json_array_size(groups) == 0 && json_object_size(account->role) > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the role has neither creation_statements nor grant_roles: name the roles "
		    "whose rights its "
		    "accounts get in grant_roles"));
	postgresql_sql_add(sql, "CREATE ROLE ");
	postgresql_sql_identifier(sql, slots->name);
	postgresql_sql_add(sql, " LOGIN PASSWORD ");
	postgresql_sql_literal(sql, slots->password);
	postgresql_sql_add(sql, " VALID UNTIL ");
	postgresql_sql_literal(sql, slots->expiration);
	json_array_foreach(groups, i, group)
	{
		if (!json_is_string(group))
			return (leased_err_set(
			    err, LEASED_EINVAL, "grant_roles: must be a list of names"));
		postgresql_sql_add(sql, i == 0 ? " IN ROLE " : ", ");
		postgresql_sql_identifier(sql, json_string_value(group));
	}
	postgresql_sql_add(sql, ";");
	return (0);
}

/* The query that reads the new role's OID within the last transaction. */
static int
add_handle_query(struct postgresql_sql *sql, const char *name)
{
	char *quoted = PQescapeIdentifier(sql->connection, name, strlen(name));

	postgresql_sql_add(sql, "SELECT pg_catalog.to_regrole(");
	postgresql_sql_literal(sql, quoted != NULL ? quoted : "");
	postgresql_sql_add(sql, ")::oid;");
	PQfreemem(quoted);
	return (sql->failed);
}

static int
create_by_default(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const struct postgresql_slots *slots,
    PGresult **ret_rows, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	sql.secret = slots->password;
	postgresql_sql_add(&sql, "BEGIN;");
	if ((r = add_default_statement(&sql, account, slots, err)) != 0)
		goto out;
	(void)add_handle_query(&sql, account->name);
	postgresql_sql_add(&sql, "COMMIT");
	call->sent = true;
	r = postgresql_query(&plugin->main, call, POSTGRESQL_CHANGES, &sql, ret_rows, err);
out:
	postgresql_sql_clear(&sql);
	return (r);
}

static int
fail_exists(const char *name, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EEXIST, "there is a role \"%s\" already", name));
}

/* A role's own statements could change an account that is there already: look first. */
static int
create_by_statements(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, const struct postgresql_slots *slots,
    const json_t *elements, PGresult **ret_rows, struct leased_err *err)
{
	struct postgresql_sql last = POSTGRESQL_SQL_INIT;
	int r;

	if ((r = postgresql_role_exists(plugin, call, account->name, err)) != 0)
		return (r > 0 ? fail_exists(account->name, err) : r);
	last.connection = plugin->main.connection;
	if (add_handle_query(&last, account->name) != 0) {
		r = leased_err_set(err, LEASED_EINVAL, "a name that cannot be quoted");
		goto out;
	}
	call->sent = true;
	r = postgresql_query_elements(
	    &plugin->main, call, "creation_statements", elements, slots, last.text, ret_rows, err);
out:
	postgresql_sql_clear(&last);
	return (r);
}

/*
 * The server says "permission denied" and not which grant is missing. Finds it; err keeps the
 * server's words when everything that we know of is there.
 */
static int
explain_denial(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	const json_t *groups = json_object_get(account->role, "grant_roles"), *group;
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	struct leased_err unused = LEASED_ERR_INIT;
	const char *admin = plugin->config->username;
	PGresult *rows = NULL;
	size_t i;
	int row;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "SELECT '', rolcreaterole OR rolsuper FROM pg_catalog.pg_roles "
				 "WHERE rolname = current_user");
	json_array_foreach(groups, i, group)
	{
		postgresql_sql_add(&sql, " UNION ALL SELECT rolname, pg_catalog.pg_has_role(oid, "
					 "'MEMBER WITH ADMIN OPTION') FROM "
					 "pg_catalog.pg_roles WHERE rolname = ");
		postgresql_sql_literal(&sql, json_string_value(group));
	}
	if (postgresql_query(&plugin->main, call, POSTGRESQL_READS, &sql, &rows, &unused) != 0)
		goto out;
	for (row = 0; row < PQntuples(rows); row++) {
		const char *name = PQgetvalue(rows, row, 0);

		if (PQgetvalue(rows, row, 1)[0] == 't')
			continue;
		if (name[0] == '\0')
			(void)leased_err_set(err, LEASED_EDENIED,
			    "\"%s\" may not make roles: run ALTER ROLE \"%s\" CREATEROLE", admin,
			    admin);
		else
			(void)leased_err_set(err, LEASED_EDENIED,
			    "\"%s\" may not grant the role \"%s\": run GRANT \"%s\" TO \"%s\" WITH "
			    "ADMIN OPTION",
			    admin, name, name, admin);
		break;
	}
out:
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (err->code);
}

static int
explain_failure(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	struct leased_err unused = LEASED_ERR_INIT;
	const char *sqlstate = plugin->main.sqlstate;
	bool is_undefined = strcmp(sqlstate, "42704") == 0;

	if (strcmp(sqlstate, "42501") == 0)
		return (explain_denial(plugin, call, account, err));
	if ((strcmp(sqlstate, "42710") == 0 || strcmp(sqlstate, "23505") == 0) &&
	    postgresql_role_exists(plugin, call, account->name, &unused) > 0)
		return (fail_exists(account->name, err));
	if (is_undefined && postgresql_account_statements(account, "creation_statements") == NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "%.200s: create that role, or change grant_roles", err->text));
	return (err->code);
}

int
postgresql_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_account account = {0};
	struct postgresql_slots slots = {0};
	char verifier[POSTGRESQL_SCRAM_SIZE] = "", expiration[POSTGRESQL_EXPIRATION_SIZE];
	const char *password = NULL, *expires = NULL;
	const json_t *elements;
	PGresult *rows = NULL;
	int r;

	if ((r = postgresql_account_read(
		 json_object_get(call->params, "account"), &account, err)) != 0 ||
	    (r = leased_get_string(call->params, "expires", &expires, err)) != 0)
		goto out;
	if ((r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_scram_verifier(plugin->main.connection, password,
		 plugin->config->scram_iterations, verifier, err)) != 0 ||
	    (r = postgresql_expiration(plugin, expires, expiration, err)) != 0)
		goto out;
	slots.name = account.name;
	slots.password = plugin->config->send_password ? password : verifier;
	slots.expiration = expiration;
	elements = postgresql_account_statements(&account, "creation_statements");
	r = elements != NULL
		? create_by_statements(plugin, call, &account, &slots, elements, &rows, err)
		: create_by_default(plugin, call, &account, &slots, &rows, err);
	if (r != 0) {
		r = explain_failure(plugin, call, &account, err);
	} else if (PQntuples(rows) != 1 || PQgetisnull(rows, 0, 0)) {
		r = leased_err_set(err, LEASED_EREFUSED,
		    "creation_statements ran, but there is no role \"%s\": they must create "
		    "{{name}}",
		    account.name);
	} else if (json_object_set_new(
		       call->result, "handle", json_string(PQgetvalue(rows, 0, 0))) != 0 ||
		   json_object_set_new(call->result, "server", json_string(plugin->server)) != 0) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	}
out:
	PQclear(rows);
	leased_wipe(verifier, sizeof(verifier));
	return (r);
}

static int
renew_by_default(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_slots *slots, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, &plugin->main, call);
	postgresql_sql_add(&sql, "ALTER ROLE ");
	postgresql_sql_identifier(&sql, slots->name);
	postgresql_sql_add(&sql, " VALID UNTIL ");
	postgresql_sql_literal(&sql, slots->expiration);
	r = postgresql_query(&plugin->main, call, POSTGRESQL_CHANGES, &sql, NULL, err);
	postgresql_sql_clear(&sql);
	return (r);
}

int
postgresql_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct postgresql *plugin = postgresql_from(ctx);
	struct postgresql_accounts accounts = {.count = 1};
	struct postgresql_account *account = &accounts.items[0];
	char expiration[POSTGRESQL_EXPIRATION_SIZE];
	struct postgresql_slots slots = {0};
	const char *expires = NULL;
	const json_t *elements;
	int r;

	if ((r = postgresql_account_read(json_object_get(call->params, "account"), account, err)) !=
		0 ||
	    (r = leased_get_string(call->params, "expires", &expires, err)) != 0 ||
	    (r = postgresql_session_ready(plugin, call, err)) != 0 ||
	    (r = postgresql_account_on_server(plugin, account, err)) != 0 ||
	    (r = postgresql_expiration(plugin, expires, expiration, err)) != 0 ||
	    (r = postgresql_accounts_find(plugin, call, &accounts, err)) != 0)
		return (r);
	postgresql_accounts_fail_renamed(&accounts);
	if (account->has_failed) {
		*err = account->err;
		return (err->code);
	}
	if (account->oid == 0 || (account->handle != 0 && account->handle != account->oid))
		return (
		    leased_err_set(err, LEASED_ENOENT, "there is no role \"%s\"", account->name));
	slots.name = account->name;
	slots.expiration = expiration;
	elements = postgresql_account_statements(account, "renew_statements");
	if (elements == NULL)
		return (renew_by_default(plugin, call, &slots, err));
	return (postgresql_query_elements(
	    &plugin->main, call, "renew_statements", elements, &slots, NULL, NULL, err));
}
