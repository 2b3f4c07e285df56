/*
 * Making an account, and renewing one. A role's own statements, or: the account, what it may do on
 * the role's schemas, and the roles that it gets. Nothing of it is one transaction; the account
 * comes first, and CREATE USER fails where there is one. Called through the plugin's table.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "expiry.h"
#include "hash.h"
#include "sql.h"

#define SCHEMAS_MAX 64
#define EXPIRATION_SIZE 32

static const char read_only[] = "SELECT, SHOW VIEW",
		  read_write[] = "SELECT, INSERT, UPDATE, DELETE, SHOW VIEW";

/* "2026-11-23T03:43:50[.fraction]Z" as the server's DATETIME, by its clock. */
static int
read_expiration(const struct maria *plugin, const char *text, char ret_text[EXPIRATION_SIZE],
    struct leased_err *err)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t when;

	if (rest != NULL && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest == NULL || strcmp(rest, "Z") != 0)
		return (leased_err_set(
		    err, LEASED_EINVAL, "expires: must be a UTC time as 2026-11-23T03:43:50Z"));
	when = timegm(&tm) + 1 + (time_t)(plugin->offset_us / 1000000);
	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(ret_text, EXPIRATION_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return (leased_err_set(err, LEASED_EINVAL, "expires: out of range"));
	return (0);
}

/* ---- what the role says ---- */

struct rights {
	const char *schemas[SCHEMAS_MAX], *roles[SCHEMAS_MAX];
	size_t schema_count, role_count;
	const char *privileges;
};

static int
read_names(const struct maria_account *account, const char *field, const char **names,
    size_t *count, struct leased_err *err)
{
	const json_t *list = json_object_get(account->role, field), *one;
	size_t i;

	if (list == NULL || json_is_null(list))
		return (0);
	if (json_is_string(list)) {
		if (json_string_length(list) > 0)
			names[(*count)++] = json_string_value(list);
		return (0);
	}
	if (!json_is_array(list) || json_array_size(list) > SCHEMAS_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a list of at most %d names",
		    field, SCHEMAS_MAX));
	json_array_foreach(list, i, one)
	{
		if (json_string_length(one) == 0)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s: must be a list of names", field));
		names[(*count)++] = json_string_value(one);
	}
	return (0);
}

/* What makes its holder the server's master, or belongs to nobody. */
static bool
is_system_schema(const char *name)
{
	static const char *const names[] = {
	    "mysql", "information_schema", "performance_schema", "sys"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return (true);
	return (false);
}

static int
check_schemas(const struct rights *rights, struct leased_err *err)
{
	for (size_t i = 0; i < rights->schema_count; i++) {
		if (is_system_schema(rights->schemas[i]))
			return (leased_err_set(err, LEASED_EINVAL,
			    "schemas: %s is the server's own; who needs it has "
			    "creation_statements",
			    rights->schemas[i]));
		if (strchr(rights->schemas[i], '\\') != NULL || strlen(rights->schemas[i]) > 192)
			return (leased_err_set(err, LEASED_EINVAL,
			    "schemas: \"%.64s\" cannot be named in a GRANT", rights->schemas[i]));
	}
	return (0);
}

static int
read_rights(const struct maria *plugin, const struct maria_account *account,
    struct rights *ret_rights, struct leased_err *err)
{
	const json_t *access = json_object_get(account->role, "access");
	const char *text = json_string_value(access);
	int r;

	memset(ret_rights, 0, sizeof(*ret_rights));
	if ((r = read_names(
		 account, "schemas", ret_rights->schemas, &ret_rights->schema_count, err)) != 0 ||
	    (r = read_names(
		 account, "grant_roles", ret_rights->roles, &ret_rights->role_count, err)) != 0 ||
	    (r = check_schemas(ret_rights, err)) != 0)
		return (r);
	/* An empty role is the barest account: what a connection is tried with. */
	if (ret_rights->schema_count == 0 && ret_rights->role_count == 0 &&
	    json_object_size(account->role) > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the role has neither creation_statements nor schemas nor grant_roles: name "
		    "the schemas that its accounts may read in schemas, with access = read-only or "
		    "read-write"));
	if (access != NULL && !json_is_null(access) && text == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "access: must be a text"));
	if (text == NULL || text[0] == '\0' || strcmp(text, "read-only") == 0)
		ret_rights->privileges = read_only;
	else if (strcmp(text, "read-write") == 0)
		ret_rights->privileges = read_write;
	else
		return (
		    leased_err_set(err, LEASED_EINVAL, "access: must be read-only or read-write"));
	if (access != NULL && text != NULL && text[0] != '\0' && ret_rights->schema_count == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "access says what accounts may do on schemas, and there are none"));
	if (!plugin->is_mysql && ret_rights->role_count > 1)
		return (leased_err_set(err, LEASED_EINVAL,
		    "grant_roles: an account of MariaDB has one default role; make a role that has "
		    "these granted, and name that"));
	return (0);
}

/* ---- the default creation ---- */

struct creation {
	struct maria *plugin;
	struct leased_call *call;
	struct maria_account *account;
	const struct maria_slots *slots;
	const struct rights *rights;
	const char *host;
};

/* Sends and clears. */
static int
run(const struct creation *creation, struct maria_sql *sql, struct leased_err *err)
{
	int r;

	sql->secret = creation->slots->password;
	r = maria_query(&creation->plugin->main, creation->call, MARIA_CHANGES, sql, NULL, err);
	maria_sql_clear(sql);
	return (r);
}

static int
fail_exists(const char *name, const char *host, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EEXIST, "there is an account \"%s\"@\"%s\" already", name, host));
}

/* The server says "failed", or which privilege it wants to see, and not what to do. */
static int
explain_create(const struct creation *creation, struct leased_err *err)
{
	struct maria *plugin = creation->plugin;
	struct leased_err unused = LEASED_ERR_INIT;
	unsigned failure = plugin->main.failure;

	if (failure == 1396 && maria_account_exists(plugin, creation->call, creation->account->name,
				   creation->host, &unused) > 0)
		return (fail_exists(creation->account->name, creation->host, err));
	if (failure == 1227 || failure == 1044 || failure == 1142)
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" may not make accounts: run GRANT CREATE USER ON *.* TO it",
		    plugin->config->username));
	/* A plugin that judges passwords wants to see them. */
	if (failure == 1819 || failure == 1827 || failure == 1372 ||
	    (failure == 1290 && strstr(err->text, "strict-password-validation") != NULL))
		return (leased_err_set(err, LEASED_EREFUSED,
		    "%.300s: a plugin of the server judges passwords and takes no hash; set "
		    "password_authentication = password, or strict_password_validation = OFF there",
		    err->text));
	return (err->code);
}

static int
create_user(const struct creation *creation, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	maria_sql_add(&sql, "CREATE USER ");
	maria_sql_account(&sql, creation->account->name, creation->host);
	maria_sql_add(&sql, " ");
	maria_sql_identified(&sql, creation->slots);
	if (sql.failed == 0)
		creation->call->sent = true;
	if ((r = run(creation, &sql, err)) != 0)
		return (explain_create(creation, err));
	return (0);
}

static int
grant_schema(const struct creation *creation, const char *schema, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	maria_sql_format(&sql, "GRANT %s ON ", creation->rights->privileges);
	maria_sql_grant_schema(&sql, schema);
	maria_sql_add(&sql, ".* TO ");
	maria_sql_account(&sql, creation->account->name, creation->host);
	if ((r = run(creation, &sql, err)) != LEASED_EDENIED)
		return (r);
	/* As above: who pastes it must not give more than this schema. */
	maria_sql_grant_schema(&sql, schema);
	r = leased_err_set(err, LEASED_EDENIED,
	    "\"%s\" may not grant this: run GRANT %s ON %s.* TO it WITH GRANT OPTION",
	    creation->plugin->config->username, creation->rights->privileges,
	    maria_sql_shown(&sql));
	maria_sql_clear(&sql);
	return (r);
}

static int
explain_role(const struct creation *creation, const char *role, struct leased_err *err)
{
	unsigned failure = creation->plugin->main.failure;
	const char *admin = creation->plugin->config->username;
	struct maria_sql sql = MARIA_SQL_INIT;

	maria_sql_identifier(&sql, role);
	if (failure == 1959 || failure == 3523)
		(void)leased_err_set(err, LEASED_EREFUSED,
		    "%.200s: create that role and let \"%s\" hand it on (run GRANT %s TO it WITH "
		    "ADMIN OPTION), or change grant_roles",
		    err->text, admin, maria_sql_shown(&sql));
	else if (err->code == LEASED_EDENIED)
		(void)leased_err_set(err, LEASED_EDENIED,
		    "\"%s\" may not grant this role: run GRANT %s TO it WITH ADMIN OPTION", admin,
		    maria_sql_shown(&sql));
	maria_sql_clear(&sql);
	return (err->code);
}

/* The account's own right: who may not do it for others does it as the account. */
static int
set_default_role_as_account(
    const struct creation *creation, const char *text, struct leased_err *err)
{
	struct maria *plugin = creation->plugin;
	struct leased_err why = LEASED_ERR_INIT;
	MYSQL *connection = NULL;

	if (maria_session_login(plugin, creation->call, creation->account->name,
		creation->slots->password, &connection, &why) == 0) {
		if (mysql_query(connection, text) == 0)
			(void)leased_err_set(err, LEASED_OK, "%s", "");
		mysql_close(connection);
	}
	if (err->code == 0)
		return (0);
	(void)maria_explain_login(plugin, creation->call, creation->account->name, &why);
	return (leased_err_set(err, LEASED_EDENIED,
	    "\"%s\" may not set the default role of an account: run GRANT UPDATE ON mysql.* TO it, "
	    "or let accounts log in from here (%.300s)",
	    plugin->config->username, why.text));
}

/* A role is of no use to an account until it is its default one. */
static int
set_default_role(const struct creation *creation, struct leased_err *err)
{
	struct maria *plugin = creation->plugin;
	struct maria_sql sql = MARIA_SQL_INIT, own = MARIA_SQL_INIT;
	int r = LEASED_EDENIED;

	maria_sql_add(&sql, "SET DEFAULT ROLE ");
	if (plugin->is_mysql)
		maria_sql_add(&sql, "ALL");
	else
		maria_sql_identifier(&sql, creation->rights->roles[0]);
	maria_sql_add(&own, sql.text != NULL ? sql.text : "");
	if (plugin->is_mysql)
		maria_sql_add(&own, " TO USER()");
	maria_sql_add(&sql, plugin->is_mysql ? " TO " : " FOR ");
	maria_sql_account(&sql, creation->account->name, creation->host);
	if (sql.failed != 0 || own.failed != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if (!plugin->lacks_default_role)
		r = run(creation, &sql, err);
	if (r == LEASED_EDENIED) {
		(void)leased_err_set(err, LEASED_EDENIED, "denied");
		r = set_default_role_as_account(creation, own.text, err);
		plugin->lacks_default_role = r == 0;
		if (r == 0)
			plugin->main.was_denied = false; /* nobody is asked to grant that */
	}
	maria_sql_clear(&sql);
	maria_sql_clear(&own);
	return (r);
}

static int
grant_roles(const struct creation *creation, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	const struct rights *rights = creation->rights;
	size_t i;
	int r;

	for (i = 0; i < rights->role_count; i++) {
		maria_sql_add(&sql, "GRANT ");
		maria_sql_identifier(&sql, rights->roles[i]);
		maria_sql_add(&sql, " TO ");
		maria_sql_account(&sql, creation->account->name, creation->host);
		if ((r = run(creation, &sql, err)) != 0)
			return (explain_role(creation, rights->roles[i], err));
	}
	return (set_default_role(creation, err));
}

static int
create_by_default(const struct creation *creation, struct leased_err *err)
{
	const struct rights *rights = creation->rights;
	size_t i;
	int r;

	if ((r = create_user(creation, err)) != 0)
		return (r);
	creation->account->host_count = 1;
	(void)snprintf(creation->account->hosts[0].name, sizeof(creation->account->hosts[0].name),
	    "%s", creation->host);
	if ((r = maria_expiry_set(creation->plugin, creation->call, creation->account,
		 creation->slots->expiration, err)) != 0)
		return (r);
	for (i = 0; i < rights->schema_count; i++)
		if ((r = grant_schema(creation, rights->schemas[i], err)) != 0)
			return (r);
	return (rights->role_count > 0 ? grant_roles(creation, err) : 0);
}

/* ---- mint ---- */

/* A role's own statements could change an account that is there already: look first, and see what
 * they made. */
static int
create_by_statements(const struct creation *creation, const json_t *elements,
    struct maria_accounts *accounts, struct leased_err *err)
{
	struct maria *plugin = creation->plugin;
	struct maria_account *account = &accounts->items[0];
	int r;

	if ((r = maria_accounts_find(plugin, creation->call, accounts, err)) != 0)
		return (r);
	if (account->host_count > 0)
		return (fail_exists(account->name, account->hosts[0].name, err));
	creation->call->sent = true;
	if ((r = maria_run_statements(plugin, creation->call, "creation_statements", elements,
		 creation->slots, err)) != 0)
		return (r);
	if ((r = maria_session_ready(plugin, creation->call, err)) != 0 ||
	    (r = maria_accounts_find(plugin, creation->call, accounts, err)) != 0)
		return (r);
	if (account->host_count == 0)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "creation_statements ran, but there is no account \"%s\": they must create "
		    "{{name}}",
		    account->name));
	return (
	    maria_expiry_set(plugin, creation->call, account, creation->slots->expiration, err));
}

int
maria_password_slots(const struct maria *plugin, const char *password, char *hash,
    struct maria_slots *slots, struct leased_err *err)
{
	slots->password = password;
	slots->is_mysql = plugin->is_mysql;
	if (plugin->config->send_password)
		return (0);
	slots->hash = hash;
	return (plugin->is_mysql ? maria_hash_sha2(password, hash, err)
				 : maria_hash_native(password, hash, err));
}

int
maria_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts accounts = {.count = 1};
	struct maria_account *account = &accounts.items[0];
	char hash[MARIA_HASH_SIZE] = "", expiration[EXPIRATION_SIZE];
	const char *password = NULL, *expires = NULL;
	struct maria_slots slots = {0};
	struct rights rights = {0};
	struct creation creation = {
	    .plugin = plugin, .call = call, .account = account, .slots = &slots, .rights = &rights};
	const json_t *elements;
	int r;

	if ((r = maria_account_read(plugin, json_object_get(call->params, "account"),
		 MARIA_NAME_MAX, account, err)) != 0 ||
	    (r = leased_get_string(call->params, "expires", &expires, err)) != 0 ||
	    (r = leased_get_string(call->params, "password", &password, err)) != 0 ||
	    (r = maria_session_ready(plugin, call, err)) != 0 ||
	    (r = maria_password_slots(plugin, password, hash, &slots, err)) != 0 ||
	    (r = read_expiration(plugin, expires, expiration, err)) != 0)
		goto out;
	slots.name = account->name;
	slots.expiration = expiration;
	creation.host = plugin->config->user_host;
	elements = maria_account_statements(account, "creation_statements");
	if (elements == NULL && (r = read_rights(plugin, account, &rights, err)) != 0)
		goto out;
	r = elements != NULL ? create_by_statements(&creation, elements, &accounts, err)
			     : create_by_default(&creation, err);
	if (r == 0)
		r = maria_account_tell(plugin, account, call->result, err);
out:
	leased_wipe(hash, sizeof(hash));
	return (r);
}

int
maria_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct maria *plugin = maria_from(ctx);
	struct maria_accounts accounts = {.count = 1};
	struct maria_account *account = &accounts.items[0];
	char expiration[EXPIRATION_SIZE];
	struct maria_slots slots = {0};
	const char *expires = NULL;
	const json_t *elements;
	int r;

	if ((r = leased_get_string(call->params, "expires", &expires, err)) != 0 ||
	    (r = maria_account_get(plugin, call, MARIA_NAME_MAX, &accounts, err)) != 0 ||
	    (r = read_expiration(plugin, expires, expiration, err)) != 0)
		return (r);
	slots.name = account->name;
	slots.expiration = expiration;
	elements = maria_account_statements(account, "renew_statements");
	if (elements != NULL && ((r = maria_run_statements(plugin, call, "renew_statements",
				      elements, &slots, err)) != 0 ||
				    (r = maria_session_ready(plugin, call, err)) != 0))
		return (r);
	return (maria_expiry_renew(plugin, call, account, expiration, err));
}
