/*
 * Connections to the server: how they are opened and found dead, who answers at the other end, and
 * their registration with the daemon before anything is changed on them. Called by every operation
 * through postgresql_session_ready().
 */
#include "postgresql.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "guard.h"

#define OFFSET_VALID_US 600000000
#define OFFSET_JUMP_US 500000
#define NO_FILE "/dev/null/none" /* where a default file of the user would be looked for */

/* Per session: nothing of the database's or the role's own settings may change what our statements
 * mean. */
#define SESSION_OPTIONS                                                                            \
	"-c search_path= -c standard_conforming_strings=on -c lock_timeout=2000 -c "               \
	"statement_timeout=30000 "                                                                 \
	"-c TimeZone=UTC -c DateStyle=ISO -c default_transaction_read_only=off -c "                \
	"row_security=off "                                                                        \
	"-c default_transaction_isolation=read\\ committed"

struct parameters {
	const char *keywords[32];
	const char *values[32];
	size_t count;
};

static void
set(struct parameters *parameters, const char *keyword, const char *value)
{
	if (value == NULL || parameters->count + 1 >= 32)
		return;
	parameters->keywords[parameters->count] = keyword;
	parameters->values[parameters->count] = value;
	parameters->count++;
}

static void
fill_parameters(const struct postgresql_config *config, struct parameters *parameters)
{
	int i;

	for (i = 0; i < POSTGRESQL_KEYWORD_COUNT; i++) {
		if (i == POSTGRESQL_DBNAME || i == POSTGRESQL_CONNECT_TIMEOUT)
			continue;
		set(parameters, postgresql_keyword_name((enum postgresql_keyword)i),
		    config->keywords[i]);
	}
	if (config->keywords[POSTGRESQL_SSLROOTCERT] == NULL)
		set(parameters, "sslrootcert", NO_FILE);
	if (config->keywords[POSTGRESQL_SSLCERT] == NULL)
		set(parameters, "sslcert", NO_FILE);
	if (config->keywords[POSTGRESQL_SSLCRL] == NULL)
		set(parameters, "sslcrl", NO_FILE);
	set(parameters, "passfile", NO_FILE);
	set(parameters, "gssencmode", "disable");
	set(parameters, "client_encoding", "UTF8");
	set(parameters, "keepalives_idle", "30");
	set(parameters, "keepalives_interval", "10");
	set(parameters, "keepalives_count", "3");
	set(parameters, "tcp_user_timeout", "30000");
	set(parameters, "target_session_attrs", "primary");
}

/* Says nothing: notices may quote statements. */
static void
on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

/* libpq's text in one line. */
static int
connect_error(const struct postgresql_config *config, PGconn *connection, struct leased_err *err)
{
	static const char *const denials[] = {"authentication failed", "not permitted to log in",
	    "no pg_hba.conf entry", "pg_hba.conf rejects", "permission denied",
	    "no password supplied", "does not exist"};
	char text[320], where[256];
	enum leased_code code = LEASED_EUNAVAIL;
	const char *hint = "", *said;
	size_t i;

	said = PQerrorMessage(connection);
	if (strncmp(said, "connection to server", 20) == 0 && strstr(said, " failed: ") != NULL)
		said = strstr(said, " failed: ") + 9; /* the address is said below */
	(void)snprintf(text, sizeof(text), "%s", said);
	for (i = strlen(text); i > 0 && text[i - 1] == '\n'; i--)
		text[i - 1] = '\0';
	for (i = 0; text[i] != '\0'; i++)
		if (text[i] == '\n' || text[i] == '\t')
			text[i] = ' ';
	for (i = 0; i < sizeof(denials) / sizeof(denials[0]); i++)
		if (strstr(text, denials[i]) != NULL)
			code = LEASED_EDENIED;
	if (strstr(text, "channel binding") != NULL)
		hint =
		    " (channel_binding = prefer takes a server that cannot bind the login to TLS)";
	else if (strstr(text, "certificate") != NULL || strstr(text, "SSL") != NULL)
		hint = " (sslmode and sslrootcert, or tls_ca, say how the server is verified)";
	postgresql_config_where(config, where, sizeof(where));
	return (leased_err_set(err, code, "cannot connect to %s: %s%s", where, text, hint));
}

/* Waits for libpq's next step. guard may be NULL. */
static int
wait_step(struct postgresql_guard *guard, PGconn *connection, PostgresPollingStatusType step,
    int timeout_ms, struct leased_err *err)
{
	struct pollfd fd = {
	    .fd = PQsocket(connection), .events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT};

	if (guard != NULL)
		return (postgresql_guard_wait(guard, connection, step, timeout_ms, err));
	if (timeout_ms <= 0 || poll(&fd, 1, timeout_ms) <= 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "no answer in time"));
	return (0);
}

static const char *
parameter(const struct parameters *parameters, const char *keyword)
{
	for (size_t i = 0; i < parameters->count; i++)
		if (strcmp(parameters->keywords[i], keyword) == 0)
			return (parameters->values[i]);
	return (NULL);
}

/* libpq keeps it for a PQreset(), which nobody calls; and in what SCRAM was done with, as long as
 * there is the connection. */
static void
forget_password(PGconn *connection)
{
	char *password = PQpass(connection);

	leased_wipe(password, strlen(password));
	leased_secret_wipe_copies();
}

/* Ends well, with an error, or at the deadline: no statement was sent yet, so that giving up is
 * safe. */
static int
connect_now(const struct postgresql_config *config, const struct leased_call *call,
    const struct parameters *parameters, bool is_guarded, PGconn **ret_connection,
    struct leased_err *err)
{
	struct postgresql_guard guard = {.is_on = false};
	int budget_ms = (int)strtol(config->keywords[POSTGRESQL_CONNECT_TIMEOUT], NULL, 10) * 1000;
	int floor_ms = leased_call_remaining_ms(call) - budget_ms;
	PGconn *connection = PQconnectStartParams(parameters->keywords, parameters->values, 0);
	PostgresPollingStatusType step = PGRES_POLLING_WRITING;
	char where[256];
	int r = 0;

	if (connection == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)PQsetNoticeReceiver(connection, on_notice, NULL);
	leased_secret_watch_copies(parameter(parameters, "password"));
	floor_ms = floor_ms > 200 ? floor_ms : 200; /* what is left for the answer */
	while (r == 0 && PQstatus(connection) != CONNECTION_BAD && step != PGRES_POLLING_OK &&
	       step != PGRES_POLLING_FAILED) {
		r = wait_step(is_guarded ? &guard : NULL, connection, step,
		    leased_call_remaining_ms(call) - floor_ms, err);
		if (r == 0) {
			step = PQconnectPoll(connection);
			r = postgresql_guard_after(&guard, connection, err);
		}
		if (r != 0) {
			postgresql_config_where(config, where, sizeof(where));
			leased_err_prefix(err, "cannot connect to %s", where);
		}
	}
	postgresql_guard_clear(&guard);
	if (r == 0 && PQstatus(connection) != CONNECTION_OK)
		r = connect_error(config, connection, err);
	if (r != 0) {
		leased_secret_watch_copies(NULL);
		PQfinish(connection);
		return (r);
	}
	forget_password(connection);
	*ret_connection = connection;
	return (0);
}

/*
 * The administrator's own login. On this machine TLS is tried first, with channel binding, which
 * libpq takes for a reason to answer nothing but SCRAM; a server that has no TLS is asked again,
 * under guard.
 */
static int
connect_admin(const struct postgresql_config *config, const struct leased_call *call,
    struct parameters *parameters, PGconn **ret_connection, struct leased_err *err)
{
	size_t count = parameters->count;
	int r;

	if (!config->is_guarded)
		return (connect_now(config, call, parameters, false, ret_connection, err));
	if (config->tries_tls) {
		set(parameters, "sslmode", "require");
		set(parameters, "channel_binding", "require");
		r = connect_now(config, call, parameters, false, ret_connection, err);
		if (r == 0 || (strstr(err->text, "SSL") == NULL &&
				  strstr(err->text, "without channel binding") == NULL))
			return (r);
		*err = (struct leased_err){0};
		memset(&parameters->keywords[count], 0, 2 * sizeof(parameters->keywords[0]));
		parameters->count = count;
	}
	set(parameters, "sslmode", "disable");
	return (connect_now(config, call, parameters, true, ret_connection, err));
}

static int64_t
now_us(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* Must the offset to the server's clock be measured again: is it old, or was our clock set
 * meanwhile? */
static bool
offset_is_stale(const struct postgresql *plugin)
{
	int64_t boot_us = now_us(CLOCK_BOOTTIME);
	int64_t jump_us =
	    now_us(CLOCK_REALTIME) - boot_us - plugin->measured_wall_us + plugin->measured_boot_us;

	return (boot_us - plugin->measured_boot_us > OFFSET_VALID_US || jump_us > OFFSET_JUMP_US ||
		jump_us < -OFFSET_JUMP_US);
}

/* Reads who answers. A read of our own row harms nobody, so that it may come before the
 * registration. */
static int
identify(struct postgresql *plugin, struct leased_call *call, struct postgresql_session *session,
    struct leased_err *err)
{
	const char *conforming =
	    PQparameterStatus(session->connection, "standard_conforming_strings");
	PGresult *rows = NULL;
	int64_t before_us = now_us(CLOCK_REALTIME), after_us;
	int r;

	r = postgresql_query_text(session, call,
	    "SELECT a.pid, a.backend_start, s.system_identifier, "
	    "(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint "
	    "FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a, "
	    "pg_catalog.pg_control_system() s",
	    &rows, err);
	if (r != 0 && strcmp(session->sqlstate, "42501") == 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "cannot read the server's identity: run GRANT EXECUTE ON FUNCTION "
		    "pg_catalog.pg_control_system() TO %s",
		    plugin->config->username));
	if (r != 0)
		return (r);
	if (PQntuples(rows) != 1 ||
	    (int)strtol(PQgetvalue(rows, 0, 0), NULL, 10) != PQbackendPID(session->connection)) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "the session that answers is not the one that was opened: connect to "
		    "PostgreSQL itself, not "
		    "through a pooler");
	} else if (conforming == NULL || strcmp(conforming, "on") != 0) {
		r = leased_err_set(
		    err, LEASED_EINVAL, "the server forces standard_conforming_strings off");
	} else if (plugin->server[0] != '\0' &&
		   strcmp(plugin->server, PQgetvalue(rows, 0, 2)) != 0) {
		/* The daemon must hear of it before anything is done there: it opens us anew. */
		r = leased_err_set(err, LEASED_EMOVED,
		    "another server answers than the one that was opened (%.32s, now %.32s), and "
		    "nothing is done there: bring that one back, or, if this one has taken over, "
		    "write the configuration again with confirm_move=true",
		    plugin->server, PQgetvalue(rows, 0, 2));
	} else {
		(void)snprintf(session->id, sizeof(session->id), "%s:%s", PQgetvalue(rows, 0, 0),
		    PQgetvalue(rows, 0, 1));
		(void)snprintf(
		    plugin->server, sizeof(plugin->server), "%s", PQgetvalue(rows, 0, 2));
		after_us = now_us(CLOCK_REALTIME);
		plugin->offset_us = strtoll(PQgetvalue(rows, 0, 3), NULL, 10) -
				    (before_us + (after_us - before_us) / 2);
		plugin->measured_wall_us = after_us;
		plugin->measured_boot_us = now_us(CLOCK_BOOTTIME);
		plugin->version = PQserverVersion(session->connection);
	}
	PQclear(rows);
	return (r);
}

static int
connect_once(struct postgresql *plugin, struct leased_call *call, const char *database,
    PGconn **ret_connection, struct leased_err *err)
{
	const struct postgresql_config *config = plugin->config;
	struct parameters parameters = {.count = 0};
	char application_name[64];

	(void)snprintf(application_name, sizeof(application_name), "leased %.16s %.36s",
	    plugin->store_tag, plugin->instance);
	fill_parameters(config, &parameters);
	set(&parameters, "dbname",
	    database != NULL ? database : config->keywords[POSTGRESQL_DBNAME]);
	set(&parameters, "user", config->username);
	if (config->password != NULL)
		set(&parameters, "password", leased_secret_reveal(config->password));
	set(&parameters, "application_name", application_name);
	set(&parameters, "options", SESSION_OPTIONS);
	return (connect_admin(config, call, &parameters, ret_connection, err));
}

/* A password that was being changed when somebody died is the old or the new one. */
static int
connect_as_admin(struct postgresql *plugin, struct leased_call *call, const char *database,
    PGconn **ret_connection, struct leased_err *err)
{
	struct postgresql_config *config = plugin->config;
	struct leased_err again = LEASED_ERR_INIT;
	struct leased_secret *first = config->password;
	int r;

	r = connect_once(plugin, call, database, ret_connection, err);
	if (r != LEASED_EDENIED || config->password_candidate == NULL)
		return (r);
	config->password = config->password_candidate;
	config->password_candidate = first;
	if (connect_once(plugin, call, database, ret_connection, &again) == 0) {
		(void)leased_err_set(err, LEASED_OK, "%s", "");
		return (0);
	}
	config->password_candidate = config->password;
	config->password = first;
	return (
	    again.code != LEASED_EDENIED ? leased_err_set(err, again.code, "%s", again.text) : r);
}

int
postgresql_session_open(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_session *session, const char *database, struct leased_err *err)
{
	int r;

	memset(session, 0, sizeof(*session));
	if ((r = connect_as_admin(plugin, call, database, &session->connection, err)) != 0)
		return (r);
	if ((r = identify(plugin, call, session, err)) != 0 ||
	    (r = leased_session_begin(call, session->id, err)) != 0) {
		PQfinish(session->connection);
		memset(session, 0, sizeof(*session));
	}
	return (r);
}

void
postgresql_session_close(struct postgresql_session *session)
{
	if (session->connection == NULL)
		return;
	PQfinish(session->connection);
	leased_session_end(session->id);
	memset(session, 0, sizeof(*session));
}

/* An idle session to which something came was ended by the server, or has a notice to say. */
static bool
is_alive(PGconn *connection)
{
	struct pollfd fd = {.fd = PQsocket(connection), .events = POLLIN};
	int i;

	for (i = 0; i < 8 && PQstatus(connection) == CONNECTION_OK; i++) {
		if (poll(&fd, 1, 0) <= 0)
			return (true);
		if (!PQconsumeInput(connection))
			return (false);
		(void)PQisBusy(connection);
	}
	return (PQstatus(connection) == CONNECTION_OK);
}

int
postgresql_session_ready(
    struct postgresql *plugin, struct leased_call *call, struct leased_err *err)
{
	int r;

	if (plugin->main.connection != NULL && is_alive(plugin->main.connection)) {
		if (!offset_is_stale(plugin))
			return (0);
		r = identify(plugin, call, &plugin->main, err);
		if (r == 0 || plugin->main.connection != NULL)
			return (r);
	}
	postgresql_session_close(&plugin->main);
	return (postgresql_session_open(plugin, call, &plugin->main, NULL, err));
}

int
postgresql_session_login(struct postgresql *plugin, struct leased_call *call, const char *name,
    const char *password, PGconn **ret_connection, struct leased_err *err)
{
	struct parameters parameters = {.count = 0};

	fill_parameters(plugin->config, &parameters);
	set(&parameters, "dbname", plugin->config->keywords[POSTGRESQL_DBNAME]);
	set(&parameters, "user", name);
	set(&parameters, "password", password);
	set(&parameters, "application_name", "leased check");
	return (connect_now(plugin->config, call, &parameters, false, ret_connection, err));
}
