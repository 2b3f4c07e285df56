/*
 * Connections to the server: how they are made, whom they reach, and the registry of those that can
 * change something. Nothing of the library's own files, environment or plugins is used: what a
 * server may ask for is limited to methods that are safe on the connection at hand. Called by every
 * operation.
 */
#include <errmsg.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "maria.h"
#include "sql.h"

#define NO_DIRECTORY "/dev/null/none" /* where a server's wish for another method is looked for */
#define SESSION_TIMEOUT_S 60          /* of the library, behind the deadline of a call */
#define ANSWER_MARGIN_MS 200

/* None of the first two brings a password on the wire; the third does, unless the server remembers
 * it. */
#define METHODS "mysql_native_password,client_ed25519"
#define METHODS_TLS METHODS ",caching_sha2_password"

/* ---- connecting ---- */

static int
set_option(MYSQL *connection, enum mysql_option option, const void *value)
{
	return (value != NULL ? mysql_optionsv(connection, option, value) : 0);
}

/* Takes TLS, verified by chain and name, or none. */
static int
set_tls(MYSQL *connection, const struct maria_config *config)
{
	const my_bool yes = 1;

	if (!config->is_tls)
		return (0);
	return (
	    set_option(connection, MYSQL_OPT_SSL_ENFORCE, &yes) |
	    set_option(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes) |
	    set_option(connection, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3") |
	    set_option(connection, MYSQL_OPT_SSL_CA, config->tls_files[MARIA_TLS_CA]) |
	    set_option(connection, MYSQL_OPT_SSL_CRL, config->tls_files[MARIA_TLS_CRL]) |
	    set_option(connection, MYSQL_OPT_SSL_CERT, config->tls_files[MARIA_TLS_CERTIFICATE]) |
	    set_option(connection, MYSQL_OPT_SSL_KEY, config->tls_files[MARIA_TLS_KEY]));
}

static int
set_options(MYSQL *connection, const struct maria_config *config, const char *program)
{
	const unsigned protocol =
	    config->socket != NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	const unsigned no_files = 0, connect_s = config->connect_timeout_s,
		       session_s = SESSION_TIMEOUT_S;

	return (set_option(connection, MYSQL_OPT_PROTOCOL, &protocol) |
		set_option(connection, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s) |
		set_option(connection, MYSQL_OPT_READ_TIMEOUT, &session_s) |
		set_option(connection, MYSQL_OPT_WRITE_TIMEOUT, &session_s) |
		mysql_optionsv(connection, MARIADB_OPT_IO_WAIT, maria_on_io_wait) |
		set_option(connection, MYSQL_OPT_LOCAL_INFILE, &no_files) |
		set_option(connection, MYSQL_PLUGIN_DIR, NO_DIRECTORY) |
		set_option(connection, MYSQL_DEFAULT_AUTH, "mysql_native_password") |
		set_option(connection, MARIADB_OPT_RESTRICTED_AUTH,
		    config->is_tls ? METHODS_TLS : METHODS) |
		set_option(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4") |
		mysql_optionsv(
		    connection, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", (const void *)program) |
		set_tls(connection, config));
}

/* In one line, with what to do. */
static int
connect_error(const struct maria_config *config, MYSQL *connection, struct leased_err *err)
{
	unsigned number = mysql_errno(connection);
	char where[256], text[300];
	const char *hint = "";
	int code;

	(void)snprintf(text, sizeof(text), "%s", mysql_error(connection));
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	code = maria_error(number, text, NULL, err);
	if (number == CR_PLUGIN_NOT_ALLOWED) {
		code = LEASED_EDENIED;
		hint = config->is_tls ? " (the account must log in by mysql_native_password, "
					"ed25519 or caching_sha2_password)"
				      : " (without TLS only mysql_native_password and ed25519 keep "
					"the password off the wire: anybody may listen there while "
					"the server is down. For caching_sha2_password give "
					"tls_mode = verify and tls_ca)";
	} else if (number == CR_SSL_CONNECTION_ERROR) {
		code = LEASED_EUNAVAIL;
		hint = " (tls_mode and tls_ca say how the server is verified)";
	} else if (code == LEASED_EREFUSED) {
		code = LEASED_EUNAVAIL;
	}
	maria_config_where(config, where, sizeof(where));
	return (leased_err_set(
	    err, code, "cannot connect to %s: %s (error %u)%s", where, text, number, hint));
}

/* The library keeps it for a reconnect, which it is never asked for. */
static void
forget_password(MYSQL *connection)
{
	if (connection->passwd != NULL)
		leased_wipe(connection->passwd, strlen(connection->passwd));
	leased_secret_wipe_copies();
}

static int
connect_now(const struct maria_config *config, const struct leased_call *call, const char *name,
    const char *password, const char *database, const char *program, MYSQL **ret_connection,
    struct leased_err *err)
{
	int margin_ms = leased_call_remaining_ms(call) - (int)config->connect_timeout_s * 1000;
	MYSQL *connection = mysql_init(NULL);
	int r = 0;

	if (connection == NULL || set_options(connection, config, program) != 0) {
		if (connection != NULL)
			mysql_close(connection);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	maria_wait_until(call, margin_ms > ANSWER_MARGIN_MS ? margin_ms : ANSWER_MARGIN_MS);
	if (password[0] != '\0')
		leased_secret_watch_copies(password);
	if (mysql_real_connect(connection, config->host, name, password, database, config->port,
		config->socket, 0) == NULL)
		r = connect_error(config, connection, err);
	else if (config->is_tls && mysql_get_ssl_cipher(connection) == NULL)
		r = leased_err_set(err, LEASED_EUNAVAIL, "the connection has no TLS");
	if (r != 0) {
		leased_secret_watch_copies(NULL);
		mysql_close(connection);
		return (r);
	}
	forget_password(connection);
	*ret_connection = connection;
	return (0);
}

/* ---- who answers, and how it understands us ---- */

/* Nothing may be an escape or a quote that sql.c does not take for one; a GRANT makes no account;
 * nothing waits long for a lock. */
#define MODES "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"
#define MODES_MARIADB "STRICT_ALL_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"

static int
check_pinned(const struct maria *plugin, const struct leased_call *call,
    struct maria_session *session, struct leased_err *err)
{
	const unsigned bad_flags =
	    SERVER_STATUS_NO_BACKSLASH_ESCAPES | (plugin->is_mysql ? 0 : SERVER_STATUS_ANSI_QUOTES);
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	bool good;
	int r;

	if ((r = maria_query_text(session, call, MARIA_READS,
		 "SELECT @@session.sql_mode, @@session.character_set_client, "
		 "@@session.character_set_connection, @@session.time_zone",
		 &rows, err)) != 0)
		return (r);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	good = row != NULL && strstr(maria_text(row, 0), "NO_BACKSLASH_ESCAPES") == NULL &&
	       strstr(maria_text(row, 0), "ANSI") == NULL &&
	       strstr(maria_text(row, 0), "STRICT_ALL_TABLES") != NULL &&
	       (plugin->is_mysql || strstr(maria_text(row, 0), "NO_AUTO_CREATE_USER") != NULL) &&
	       strcmp(maria_text(row, 1), "utf8mb4") == 0 &&
	       strcmp(maria_text(row, 2), "utf8mb4") == 0 &&
	       strcmp(maria_text(row, 3), "+00:00") == 0 &&
	       (session->connection->server_status & bad_flags) == 0;
	mysql_free_result(rows);
	return (good ? 0
		     : leased_err_set(err, LEASED_EINVAL,
			   "the server does not take the session's settings (sql_mode, utf8mb4, "
			   "time_zone): connect to MariaDB or MySQL itself, not through a proxy"));
}

/*
 * A session's number begins anew with each life of the server, whose start is known to the second
 * only: a lock by a name that nobody else has is what tells this session from any other. A cluster
 * has no such locks: there number and start must do.
 */
static int
take_lock(
    const struct leased_call *call, struct maria_session *session, char *id, struct leased_err *err)
{
	struct maria_session_id parts;
	char text[80];
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	bool has_lock;
	int r;

	if (!maria_session_id_parse(id, &parts) || parts.lock[0] == '\0')
		return (0);
	(void)snprintf(text, sizeof(text), "SELECT GET_LOCK('%s', 0)", parts.lock);
	r = maria_query_text(session, call, MARIA_READS, text, &rows, err);
	if (r != 0 && session->connection == NULL)
		return (r);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	has_lock = row != NULL && strcmp(maria_text(row, 0), "1") == 0;
	mysql_free_result(rows);
	*err = (struct leased_err)LEASED_ERR_INIT;
	if (!has_lock)
		*strrchr(id, ':') = '\0';
	return (0);
}

int
maria_session_pin(struct maria *plugin, const struct leased_call *call,
    struct maria_session *session, struct leased_err *err)
{
	const char *text = plugin->is_mysql
			       ? "SET SESSION sql_mode = '" MODES "', time_zone = '+00:00', "
				 "autocommit = 1, lock_wait_timeout = 2, "
				 "innodb_lock_wait_timeout = 2, wait_timeout = 28800, "
				 "max_execution_time = 30000"
			       : "SET SESSION sql_mode = '" MODES_MARIADB
				 "', time_zone = '+00:00', autocommit = 1, lock_wait_timeout = 2, "
				 "innodb_lock_wait_timeout = 2, wait_timeout = 28800";
	char id[sizeof(session->id)];
	int r;

	session->limit_ms = plugin->is_mysql ? -1 : 0;
	maria_wait_until(call, ANSWER_MARGIN_MS);
	if (mysql_set_character_set(session->connection, "utf8mb4") != 0)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "the server does not take the character set utf8mb4"));
	if ((r = maria_query_text(session, call, MARIA_READS, text, NULL, err)) != 0)
		return (r);
	if ((r = check_pinned(plugin, call, session, err)) != 0)
		return (r);
	if (session->id[0] == '\0')
		return (0);
	/* It was reset, which gave the lock back. */
	(void)snprintf(id, sizeof(id), "%s", session->id);
	if ((r = take_lock(call, session, id, err)) == 0 && strcmp(id, session->id) != 0)
		r = leased_err_set(err, LEASED_EUNAVAIL, "the session has lost its lock");
	return (r);
}

static int
read_identity(struct maria *plugin, const struct leased_call *call, struct maria_session *session,
    const char *identity, MYSQL_RES **ret_rows, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	/* UPTIME and UNIX_TIMESTAMP() follow the same start of the same statement. */
	maria_sql_format(&sql,
	    "SELECT CONNECTION_ID(), %s, UNIX_TIMESTAMP() - (SELECT VARIABLE_VALUE FROM "
	    "%s.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'), @@global.read_only, "
	    "@@global.event_scheduler = 'ON', UNIX_TIMESTAMP(NOW(6)), (SELECT COUNT(*) FROM "
	    "information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'PROCESS' AND GRANTEE = "
	    "CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - 1 - "
	    "CHAR_LENGTH(SUBSTRING_INDEX(CURRENT_USER(), '@', -1))), '''@''', "
	    "SUBSTRING_INDEX(CURRENT_USER(), '@', -1), ''''))",
	    identity, plugin->is_mysql ? "performance_schema" : "information_schema");
	if (plugin->is_mysql) {
		for (char *c = strstr(sql.text != NULL ? sql.text : "", ".GLOBAL_STATUS");
		     c != NULL && *c != ' '; c++)
			*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	}
	r = maria_query(session, call, MARIA_READS, &sql, ret_rows, err);
	maria_sql_clear(&sql);
	return (r);
}

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* The daemon must hear of another server before anything is done there: it opens us anew. */
static int
take_identity(struct maria *plugin, struct maria_session *session, MYSQL_ROW row, int64_t middle_us,
    struct leased_err *err)
{
	const char *server = maria_text(row, 1);
	unsigned char nonce[MARIA_NONCE_LEN];

	if (strtoul(maria_text(row, 0), NULL, 10) != mysql_thread_id(session->connection))
		return (leased_err_set(err, LEASED_EINVAL,
		    "the session that answers is not the one that was opened: connect to MariaDB "
		    "or MySQL itself, not through a proxy"));
	if (server[0] == '\0' || strlen(server) >= sizeof(plugin->server))
		return (leased_err_set(err, LEASED_EINVAL, "the server does not say who it is"));
	if (plugin->server[0] != '\0' && strcmp(plugin->server, server) != 0)
		return (leased_err_set(err, LEASED_EMOVED,
		    "another server answers than the one that was opened (%.40s, now %.40s), and "
		    "nothing is done there: bring that one back, or, if this one has taken over, "
		    "write the configuration again with confirm_move=true",
		    plugin->server, server));
	if (strcmp(maria_text(row, 3), "0") != 0 && strcmp(maria_text(row, 3), "OFF") != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "the server is read-only: is it a replica? Name the primary"));
	(void)snprintf(plugin->server, sizeof(plugin->server), "%s", server);
	plugin->started_s = strtoll(maria_text(row, 2), NULL, 10);
	plugin->has_scheduler = maria_text(row, 4)[0] == '1';
	plugin->sees_sessions = strcmp(maria_text(row, 6), "0") != 0;
	plugin->offset_us = (int64_t)(strtod(maria_text(row, 5), NULL) * 1e6) - middle_us;
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return (leased_err_set(err, LEASED_EBUG, "no random numbers"));
	maria_session_id_format(
	    mysql_thread_id(session->connection), plugin->started_s, nonce, session->id);
	return (0);
}

/* Reads who answers, which harms nobody, so that it may come before the registration. */
static int
identify(struct maria *plugin, const struct leased_call *call, struct maria_session *session,
    struct leased_err *err)
{
	int64_t before_us = now_us();
	MYSQL_RES *rows = NULL;
	MYSQL_ROW row;
	int r;

	plugin->is_mysql = mariadb_connection(session->connection) == 0;
	plugin->version = mysql_get_server_version(session->connection);
	session->limit_ms = -1; /* not in the middle of this */
	r = read_identity(plugin, call, session,
	    plugin->is_mysql ? "@@global.server_uuid" : "@@global.server_uid", &rows, err);
	/* Before MariaDB 10.11.9 and its like there is no server_uid. */
	if (r != 0 && session->failure == 1193) {
		*err = (struct leased_err)LEASED_ERR_INIT;
		r = read_identity(
		    plugin, call, session, "CONCAT(LEFT(@@hostname, 60), ':', @@port)", &rows, err);
	}
	if (r != 0)
		return (r);
	row = rows != NULL ? mysql_fetch_row(rows) : NULL;
	r = row != NULL
		? take_identity(plugin, session, row, before_us + (now_us() - before_us) / 2, err)
		: leased_err_set(err, LEASED_EUNAVAIL, "the server does not say who it is");
	mysql_free_result(rows);
	return (r);
}

/* ---- the administrator's session ---- */

static int
connect_once(
    struct maria *plugin, struct leased_call *call, MYSQL **ret_connection, struct leased_err *err)
{
	const struct maria_config *config = plugin->config;
	char program[64];

	(void)snprintf(
	    program, sizeof(program), "leased %.16s %.36s", plugin->store_tag, plugin->instance);
	return (connect_now(config, call, config->username,
	    config->password != NULL ? leased_secret_reveal(config->password) : "",
	    config->database, program, ret_connection, err));
}

/* A password that was being changed when somebody died is the old or the new one. */
static int
connect_as_admin(
    struct maria *plugin, struct leased_call *call, MYSQL **ret_connection, struct leased_err *err)
{
	struct maria_config *config = plugin->config;
	struct leased_err again = LEASED_ERR_INIT;
	struct leased_secret *first = config->password;
	int r;

	r = connect_once(plugin, call, ret_connection, err);
	if (r != LEASED_EDENIED || config->password_candidate == NULL)
		return (r);
	config->password = config->password_candidate;
	config->password_candidate = first;
	if (connect_once(plugin, call, ret_connection, &again) == 0) {
		(void)leased_err_set(err, LEASED_OK, "%s", "");
		return (0);
	}
	config->password_candidate = config->password;
	config->password = first;
	return (
	    again.code != LEASED_EDENIED ? leased_err_set(err, again.code, "%s", again.text) : r);
}

static int
session_open(struct maria *plugin, struct leased_call *call, struct maria_session *session,
    struct leased_err *err)
{
	char id[sizeof(session->id)];
	int r;

	memset(session, 0, sizeof(*session));
	if ((r = connect_as_admin(plugin, call, &session->connection, err)) != 0)
		return (r);
	if ((r = identify(plugin, call, session, err)) == 0) {
		/* Not known to the daemon yet: a failure must not tell it of an end. */
		memcpy(id, session->id, sizeof(id));
		session->id[0] = '\0';
		if ((r = maria_session_pin(plugin, call, session, err)) == 0 &&
		    (r = take_lock(call, session, id, err)) == 0 &&
		    (r = leased_session_begin(call, id, err)) == 0)
			memcpy(session->id, id, sizeof(id));
	} else {
		session->id[0] = '\0';
	}
	if (r != 0)
		maria_session_close(session);
	return (r);
}

void
maria_session_close(struct maria_session *session)
{
	char id[sizeof(session->id)];

	if (session->connection == NULL)
		return;
	memcpy(id, session->id, sizeof(id));
	mysql_close(session->connection);
	session->connection = NULL;
	session->limit_ms = 0;
	session->id[0] = '\0';
	if (id[0] != '\0')
		leased_session_end(id);
}

/* An idle session to which something came was ended by the server. */
static bool
is_alive(MYSQL *connection)
{
	struct pollfd fd = {.fd = mysql_get_socket(connection), .events = POLLIN};

	return (poll(&fd, 1, 0) == 0);
}

/*
 * A session in the place of one that lacked a privilege, which it may have by now. Where none can
 * be opened the old one stays: it may still do what it could. EMOVED is the end of both.
 */
static int
session_renew(struct maria *plugin, struct leased_call *call, struct leased_err *err)
{
	struct maria_session fresh;
	bool sees_sessions = plugin->sees_sessions;
	int r;

	maria_wait_until(call, leased_call_remaining_ms(call));
	r = session_open(plugin, call, &fresh, err);
	if (r != 0 && r != LEASED_EMOVED) {
		*err = (struct leased_err)LEASED_ERR_INIT;
		plugin->sees_sessions = sees_sessions;
		plugin->main.was_denied = false;
		return (0);
	}
	maria_session_close(&plugin->main);
	plugin->main = fresh;
	return (r);
}

int
maria_session_ready(struct maria *plugin, struct leased_call *call, struct leased_err *err)
{
	if (plugin->main.connection != NULL && is_alive(plugin->main.connection))
		return (plugin->main.was_denied ? session_renew(plugin, call, err) : 0);
	maria_wait_until(call, leased_call_remaining_ms(call));
	maria_session_close(&plugin->main);
	return (session_open(plugin, call, &plugin->main, err));
}

int
maria_session_login(struct maria *plugin, struct leased_call *call, const char *name,
    const char *password, MYSQL **ret_connection, struct leased_err *err)
{
	return (connect_now(
	    plugin->config, call, name, password, NULL, "leased check", ret_connection, err));
}
