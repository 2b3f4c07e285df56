/*
 * What depends on a role: grants that it holds, things that it owns, in every database of the
 * server. Takes back the grants that our administrator can take back, and only when the role owns
 * nothing lets the server clean up the rest (DROP OWNED). Owned things are touched only as the role
 * option owned_objects says. Called by remove.c.
 */
#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "sql.h"

#define NAMED_MAX 3 /* objects that an error names */

/* Rows of pg_shdepend that are about the role, as far as they can be seen from here. */
#define DEPENDENCIES                                                                               \
	"FROM pg_catalog.pg_shdepend s WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND " \
	"s.refobjid = %u"
#define HERE                                                                                       \
	" AND s.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = "              \
	"pg_catalog.current_database()))"
/* Owned: not by default privileges or user mappings, which hold nobody's data, and not in a
 * temporary schema. */
#define IS_OWNED                                                                                   \
	" AND s.deptype = 'o' AND s.classid NOT IN ('pg_catalog.pg_default_acl'::regclass, "       \
	"'pg_catalog.pg_user_mapping'::regclass) AND coalesce((pg_catalog.pg_identify_object("     \
	"s.classid, s.objid, 0)).schema, '') !~ '^pg_(toast_)?temp'"

enum owned_policy { OWNED_KEEP, OWNED_REASSIGN, OWNED_DROP };

struct release {
	struct postgresql *plugin;
	struct leased_call *call;
	const struct postgresql_account *account;
	enum owned_policy policy;
	const char *heir; /* OWNED_REASSIGN: the role that gets what is owned */
	long owned;       /* things found so far */
	char named[400];  /* explain: what is in the way */
	int named_count;
};

typedef int (*database_work)(
    struct release *release, struct postgresql_session *session, struct leased_err *err);

static int
read_policy(struct release *release, struct leased_err *err)
{
	const char *text = leased_get_string_optional(release->account->role, "owned_objects");

	if (text == NULL || text[0] == '\0' || strcmp(text, "keep") == 0)
		return (0);
	if (strcmp(text, "drop") == 0) {
		release->policy = OWNED_DROP;
		return (0);
	}
	if (strncmp(text, "reassign ", 9) == 0 && text[9] != '\0') {
		release->policy = OWNED_REASSIGN;
		release->heir = text + 9;
		return (0);
	}
	return (leased_err_set(
	    err, LEASED_EINVAL, "owned_objects: must be keep, drop, or reassign ROLE"));
}

/* Does the work in one database, on a session of its own unless it is ours. */
static int
in_database(struct release *release, const char *name, database_work work, struct leased_err *err)
{
	struct postgresql *plugin = release->plugin;
	struct postgresql_session session;
	int r;

	if (plugin->main.connection != NULL && strcmp(PQdb(plugin->main.connection), name) == 0)
		return (work(release, &plugin->main, err));
	r = postgresql_session_open(plugin, release->call, &session, name, err);
	if (r == LEASED_EDENIED)
		return (leased_err_set(err, LEASED_EDENIED,
		    "objects in the database \"%s\" depend on the role, and \"%s\" cannot look "
		    "there: run GRANT "
		    "CONNECT ON DATABASE \"%s\" TO \"%s\"",
		    name, plugin->config->username, name, plugin->config->username));
	if (r != 0)
		return (leased_err_prefix(err, "database \"%s\"", name));
	if ((r = work(release, &session, err)) != 0)
		r = leased_err_prefix(err, "database \"%s\"", name);
	postgresql_session_close(&session);
	return (r);
}

/* Every database that holds something of the role; ours too, for what belongs to the whole server.
 */
static int
each_database(struct release *release, database_work work, struct leased_err *err)
{
	struct postgresql_session *main = &release->plugin->main;
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	int r, row;

	postgresql_sql_begin(&sql, main, release->call);
	postgresql_sql_format(&sql,
	    "SELECT d.datname FROM pg_catalog.pg_database d WHERE d.datname = "
	    "pg_catalog.current_database() OR "
	    "d.oid IN (SELECT s.dbid " DEPENDENCIES ") ORDER BY d.datname",
	    (unsigned)release->account->oid);
	r = postgresql_query(main, release->call, POSTGRESQL_READS, &sql, &rows, err);
	for (row = 0; r == 0 && row < PQntuples(rows); row++)
		r = in_database(release, PQgetvalue(rows, row, 0), work, err);
	PQclear(rows);
	postgresql_sql_clear(&sql);
	return (r);
}

static int
query_one(struct release *release, struct postgresql_session *session, struct postgresql_sql *sql,
    PGresult **ret_rows, struct leased_err *err)
{
	int r = postgresql_query(session, release->call, POSTGRESQL_READS, sql, ret_rows, err);

	postgresql_sql_clear(sql);
	return (r);
}

/* ---- grants ---- */

/* REVOKE statements for every grant that the role holds here; the server quotes the names. */
#define REVOKE_TARGETS                                                                             \
	"SELECT DISTINCT CASE s.classid "                                                          \
	"WHEN 'pg_catalog.pg_class'::regclass THEN CASE (SELECT relkind FROM pg_catalog.pg_class " \
	"WHERE oid = s.objid) WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || s.objid::regclass "   \
	"WHEN 'pg_catalog.pg_proc'::regclass THEN 'ROUTINE ' || s.objid::regprocedure "            \
	"WHEN 'pg_catalog.pg_namespace'::regclass THEN 'SCHEMA ' || s.objid::regnamespace "        \
	"WHEN 'pg_catalog.pg_type'::regclass THEN 'TYPE ' || s.objid::regtype "                    \
	"WHEN 'pg_catalog.pg_largeobject'::regclass THEN 'LARGE OBJECT ' || s.objid "              \
	"WHEN 'pg_catalog.pg_database'::regclass THEN 'DATABASE ' || (SELECT "                     \
	"pg_catalog.quote_ident(datname) FROM pg_catalog.pg_database WHERE oid = s.objid) "        \
	"WHEN 'pg_catalog.pg_tablespace'::regclass THEN 'TABLESPACE ' || (SELECT "                 \
	"pg_catalog.quote_ident(spcname) FROM pg_catalog.pg_tablespace WHERE oid = s.objid) "      \
	"WHEN 'pg_catalog.pg_language'::regclass THEN 'LANGUAGE ' || (SELECT "                     \
	"pg_catalog.quote_ident(lanname) FROM pg_catalog.pg_language WHERE oid = s.objid) "        \
	"WHEN 'pg_catalog.pg_foreign_server'::regclass THEN 'FOREIGN SERVER ' || (SELECT "         \
	"pg_catalog.quote_ident(srvname) FROM pg_catalog.pg_foreign_server WHERE oid = s.objid) "  \
	"WHEN 'pg_catalog.pg_foreign_data_wrapper'::regclass THEN 'FOREIGN DATA WRAPPER ' || ("    \
	"SELECT pg_catalog.quote_ident(fdwname) FROM pg_catalog.pg_foreign_data_wrapper WHERE "    \
	"oid = s.objid) END "

static void
add_revoke(struct release *release, struct postgresql_sql *sql, const char *target)
{
	postgresql_sql_add(sql, "REVOKE ALL PRIVILEGES ON ");
	postgresql_sql_add(sql, target);
	postgresql_sql_add(sql, " FROM ");
	postgresql_sql_identifier(sql, release->account->name);
	postgresql_sql_add(sql, ";");
}

/* Takes back what we granted, each by itself: what others granted is refused or left alone by the
 * server. */
static int
revoke_each(struct release *release, struct postgresql_session *session, const PGresult *targets,
    struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int row, r;

	for (row = 0; row < PQntuples(targets); row++) {
		postgresql_sql_begin(&sql, session, release->call);
		add_revoke(release, &sql, PQgetvalue(targets, row, 0));
		r = query_one(release, session, &sql, NULL, err);
		if (r == LEASED_EUNAVAIL || r == LEASED_ETIMEDOUT)
			return (r);
	}
	return (0);
}

static int
revoke_grants(struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	struct leased_err unused = LEASED_ERR_INIT;
	PGresult *targets = NULL;
	int r, row;

	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_add(&sql, "SELECT target FROM (" REVOKE_TARGETS);
	postgresql_sql_format(&sql,
	    DEPENDENCIES HERE " AND s.deptype = 'a') x (target) WHERE target IS NOT NULL",
	    (unsigned)release->account->oid);
	if ((r = query_one(release, session, &sql, &targets, err)) != 0)
		goto out;
	postgresql_sql_begin(&sql, session, release->call);
	for (row = 0; row < PQntuples(targets); row++)
		add_revoke(release, &sql, PQgetvalue(targets, row, 0));
	if (query_one(release, session, &sql, NULL, &unused) != 0)
		r = revoke_each(release, session, targets, err);
out:
	PQclear(targets);
	return (r);
}

/* ---- owned things ---- */

static int
count_owned(struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	int r;

	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_format(
	    &sql, "SELECT count(*) " DEPENDENCIES HERE IS_OWNED, (unsigned)release->account->oid);
	if ((r = query_one(release, session, &sql, &rows, err)) == 0)
		release->owned += strtol(PQgetvalue(rows, 0, 0), NULL, 10);
	PQclear(rows);
	return (r);
}

static int
revoke_and_count(
    struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	int r;

	if ((r = revoke_grants(release, session, err)) != 0)
		return (r);
	return (count_owned(release, session, err));
}

/* Opens a transaction in which we are a member of the role, as REASSIGN and DROP OWNED want it. */
static int
begin_as_member(struct release *release, struct postgresql_session *session, bool *ret_granted,
    struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	PGresult *rows = NULL;
	int r;

	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_format(&sql, "BEGIN; SELECT pg_catalog.pg_has_role(%u, 'USAGE')",
	    (unsigned)release->account->oid);
	if ((r = query_one(release, session, &sql, &rows, err)) != 0)
		return (r);
	*ret_granted = PQgetvalue(rows, 0, 0)[0] != 't';
	PQclear(rows);
	if (!*ret_granted)
		return (0);
	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_add(&sql, "GRANT ");
	postgresql_sql_identifier(&sql, release->account->name);
	postgresql_sql_add(&sql, " TO CURRENT_USER");
	if ((r = query_one(release, session, &sql, NULL, err)) != 0)
		return (
		    leased_err_prefix(err, "to clean up, \"%s\" must become a member of the role",
			release->plugin->config->username));
	return (0);
}

/* Runs one statement about the role in the open transaction, gives the membership back, and
 * commits. */
static int
finish_as_member(struct release *release, struct postgresql_session *session, bool granted,
    const char *verb, const char *heir, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;

	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_add(&sql, verb);
	postgresql_sql_identifier(&sql, release->account->name);
	if (heir != NULL) {
		postgresql_sql_add(&sql, " TO ");
		postgresql_sql_identifier(&sql, heir);
	}
	postgresql_sql_add(&sql, ";");
	if (granted) {
		postgresql_sql_add(&sql, "REVOKE ");
		postgresql_sql_identifier(&sql, release->account->name);
		postgresql_sql_add(&sql, " FROM CURRENT_USER;");
	}
	postgresql_sql_add(&sql, "COMMIT");
	return (query_one(release, session, &sql, NULL, err));
}

static int
reassign_owned(struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	const char *admin = release->plugin->config->username;
	bool granted = false;
	int r;

	if ((r = begin_as_member(release, session, &granted, err)) != 0)
		return (r);
	r = finish_as_member(release, session, granted, "REASSIGN OWNED BY ", release->heir, err);
	if (r == LEASED_EDENIED)
		return (leased_err_set(err, LEASED_EDENIED,
		    "cannot give what the role owns to \"%s\": run GRANT \"%s\" TO \"%s\"",
		    release->heir, release->heir, admin));
	return (r != 0 ? leased_err_prefix(err, "owned_objects = reassign") : 0);
}

/*
 * DROP OWNED: with `keep` only after one more look, within the transaction, that nothing of the
 * role's would go. Grants of others make the server refuse it; postgresql_owned_explain() then
 * names them.
 */
static int
drop_owned(struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	bool granted = false;
	int r;

	if ((r = begin_as_member(release, session, &granted, err)) != 0)
		return (r);
	release->owned = 0;
	if (release->policy != OWNED_DROP && (r = count_owned(release, session, err)) != 0)
		return (r);
	if (release->owned > 0) {
		PQclear(PQexec(session->connection, "ROLLBACK"));
		return (leased_err_set(err, LEASED_EREFUSED, "the role owns something again"));
	}
	r = finish_as_member(release, session, granted, "DROP OWNED BY ", NULL, err);
	return (r == LEASED_EUNAVAIL || r == LEASED_ETIMEDOUT ? r : 0);
}

int
postgresql_owned_release(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	struct release release = {.plugin = plugin, .call = call, .account = account};
	long owned;
	int r;

	if ((r = read_policy(&release, err)) != 0 ||
	    (r = each_database(&release, revoke_and_count, err)) != 0)
		return (r);
	owned = release.owned;
	if (owned > 0 && release.policy == OWNED_KEEP)
		return (postgresql_owned_explain(plugin, call, account, err));
	if (owned > 0 && release.policy == OWNED_REASSIGN &&
	    (r = each_database(&release, reassign_owned, err)) != 0)
		return (r);
	return (each_database(&release, drop_owned, err));
}

/* ---- what is in the way ---- */

/* The objects here, owned ones first, with who granted. */
static int
name_objects(struct release *release, struct postgresql_session *session, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	unsigned oid = (unsigned)release->account->oid;
	PGresult *rows = NULL;
	size_t len;
	int r, row;

	postgresql_sql_begin(&sql, session, release->call);
	postgresql_sql_format(&sql,
	    "SELECT pg_catalog.pg_describe_object(s.classid, s.objid, s.objsubid), s.deptype, "
	    "(SELECT string_agg(DISTINCT pg_catalog.pg_get_userbyid(x.grantor)::text, ', ') FROM "
	    "pg_catalog.aclexplode(CASE s.classid "
	    "WHEN 'pg_catalog.pg_class'::regclass THEN CASE WHEN s.objsubid <> 0 THEN (SELECT "
	    "attacl FROM "
	    "pg_catalog.pg_attribute WHERE attrelid = s.objid AND attnum = s.objsubid) ELSE "
	    "(SELECT relacl FROM "
	    "pg_catalog.pg_class WHERE oid = s.objid) END ");
	postgresql_sql_format(&sql,
	    "WHEN 'pg_catalog.pg_namespace'::regclass THEN (SELECT nspacl FROM "
	    "pg_catalog.pg_namespace WHERE "
	    "oid = s.objid) WHEN 'pg_catalog.pg_database'::regclass THEN (SELECT datacl FROM "
	    "pg_catalog.pg_database WHERE oid = s.objid) WHEN 'pg_catalog.pg_proc'::regclass THEN "
	    "(SELECT proacl "
	    "FROM pg_catalog.pg_proc WHERE oid = s.objid) END) x WHERE x.grantee = %u) ",
	    oid);
	postgresql_sql_format(&sql,
	    DEPENDENCIES HERE " ORDER BY s.deptype <> 'o', s.classid, s.objid LIMIT %d", oid,
	    NAMED_MAX + 1);
	if ((r = query_one(release, session, &sql, &rows, err)) != 0)
		return (r);
	for (row = 0; row < PQntuples(rows); row++) {
		len = strlen(release->named);
		if (release->named_count == NAMED_MAX) {
			(void)snprintf(
			    release->named + len, sizeof(release->named) - len, " and more");
			release->named_count++;
		}
		if (release->named_count > NAMED_MAX)
			break;
		(void)snprintf(release->named + len, sizeof(release->named) - len,
		    "%s%s %.60s in \"%.30s\"%s%.30s", len > 0 ? ", " : "",
		    PQgetvalue(rows, row, 1)[0] == 'o' ? "it owns" : "it is granted",
		    PQgetvalue(rows, row, 0), PQdb(session->connection),
		    PQgetvalue(rows, row, 2)[0] != '\0' ? " by " : "", PQgetvalue(rows, row, 2));
		release->named_count++;
	}
	PQclear(rows);
	return (0);
}

int
postgresql_owned_explain(struct postgresql *plugin, struct leased_call *call,
    const struct postgresql_account *account, struct leased_err *err)
{
	struct release release = {.plugin = plugin, .call = call, .account = account};
	int r;

	if ((r = each_database(&release, name_objects, err)) != 0)
		return (r);
	if (release.named[0] == '\0')
		return (leased_err_set(
		    err, LEASED_EREFUSED, "something depended on the role; it is tried again"));
	return (leased_err_set(err, LEASED_EREFUSED,
	    "objects depend on the role: %.380s; drop or reassign them (role option "
	    "owned_objects), or let their "
	    "grantor REVOKE",
	    release.named));
}
