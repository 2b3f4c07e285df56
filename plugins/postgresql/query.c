/*
 * Sending queries and reading what the server says: one wait, one place where a server's error
 * becomes a leased_code and a text for people. A statement whose end cannot be learned ends the
 * process (see on_connection_lost()). Called by every operation.
 */
#include "sql.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "scram.h"

static const struct {
	const char *sqlstate; /* a prefix */
	enum leased_code code;
	const char *hint;
} sqlstates[] = {
    {"57014", LEASED_ETIMEDOUT, "the server stopped it at the deadline"},
    {"55P03", LEASED_EREFUSED, "another session holds a lock; it is tried again"},
    {"57P", LEASED_EUNAVAIL, NULL},
    {"57", LEASED_EUNAVAIL, NULL},
    {"08", LEASED_EUNAVAIL, NULL},
    {"53", LEASED_EUNAVAIL, NULL},
    {"25006", LEASED_EUNAVAIL, "the server is read-only: is it a standby?"},
    {"28", LEASED_EDENIED, NULL},
    {"42501", LEASED_EDENIED, NULL},
};

/* The server's own words, without the query's text, which libpq's whole message would show. */
static int
server_error(struct postgresql_session *session, const PGresult *result,
    const struct postgresql_sql *sql, struct leased_err *err)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = NULL;
	enum leased_code code = LEASED_EREFUSED;
	size_t i;

	if (sqlstate == NULL || strlen(sqlstate) != 5)
		sqlstate = "XX000";
	if (message == NULL)
		message = "unknown error";
	if (sql->secret != NULL && strstr(message, sql->secret) != NULL)
		message = "an error whose text would show the password";
	memcpy(session->sqlstate, sqlstate, sizeof(session->sqlstate));
	for (i = 0; i < sizeof(sqlstates) / sizeof(sqlstates[0]); i++) {
		if (strncmp(sqlstate, sqlstates[i].sqlstate, strlen(sqlstates[i].sqlstate)) == 0) {
			code = sqlstates[i].code;
			hint = sqlstates[i].hint;
			break;
		}
	}
	return (leased_err_set(err, code, "the server says: %.300s (SQLSTATE %s)%s%s", message,
	    sqlstate, hint != NULL ? "; " : "", hint != NULL ? hint : ""));
}

/*
 * The connection broke and the server did not say that it ended the session: what was sent may
 * still be running there, and would land after the account was disarmed. Only the daemon can fence
 * that, by ending the session before it goes on, and it does so when a worker is gone (PROTOCOL.md,
 * "Sessions").
 */
static int
on_connection_lost(struct postgresql_session *session, enum postgresql_effect effect,
    bool server_ended_it, struct leased_err *err)
{
	session->sqlstate[0] = '\0';
	if (effect == POSTGRESQL_CHANGES && !server_ended_it)
		leased_outcome_unknown(
		    "the connection broke while a statement was under way; this worker exits so "
		    "that session %s is ended before anything else",
		    session->id);
	PQfinish(session->connection);
	session->connection = NULL;
	if (session->id[0] != '\0')
		leased_session_end(session->id);
	return (leased_err_set(
	    err, LEASED_EUNAVAIL, "the connection to the database broke; it is tried again"));
}

/* What came back for all statements of a query. */
struct answer {
	PGresult *rows, *command, *failure;
	bool wanted_data; /* a COPY from the client: the server calls its refusal a cancel */
};

/* A statement that wants data from us, or sends some: refused, or read and forgotten, so that the
 * rest goes its way. */
static void
pass_over_copy(PGconn *connection, ExecStatusType status)
{
	char *line = NULL;

	if (status == PGRES_COPY_OUT) {
		while (PQgetCopyData(connection, &line, 0) > 0)
			PQfreemem(line);
	} else if (PQputCopyEnd(connection, "a COPY from the client is not possible here") != 1) {
		leased_plugin_log("a COPY could not be refused");
	}
}

static void
keep(PGresult **place, PGresult *result)
{
	PQclear(*place);
	*place = result;
}

static void
read_answer(PGconn *connection, struct answer *answer)
{
	PGresult *result;

	while ((result = PQgetResult(connection)) != NULL) {
		switch (PQresultStatus(result)) {
		case PGRES_TUPLES_OK:
		case PGRES_SINGLE_TUPLE:
			keep(&answer->rows, result);
			break;
		case PGRES_COMMAND_OK:
		case PGRES_EMPTY_QUERY:
			keep(&answer->command, result);
			break;
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
		case PGRES_COPY_BOTH:
			answer->wanted_data |= PQresultStatus(result) != PGRES_COPY_OUT;
			pass_over_copy(connection, PQresultStatus(result));
			PQclear(result);
			break;
		case PGRES_BAD_RESPONSE:
		case PGRES_NONFATAL_ERROR:
		case PGRES_FATAL_ERROR:
		case PGRES_PIPELINE_SYNC:
		case PGRES_PIPELINE_ABORTED:
			if (answer->failure == NULL)
				answer->failure = result;
			else
				PQclear(result);
			break;
		}
	}
}

static void
roll_back(PGconn *connection)
{
	PGTransactionStatusType status = PQtransactionStatus(connection);

	if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
		PQclear(PQexec(connection, "ROLLBACK"));
}

static bool
is_last_word(const PGresult *failure)
{
	const char *severity =
	    failure != NULL ? PQresultErrorField(failure, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;

	return (
	    severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
}

static int
check_sql(const struct postgresql_sql *sql, struct leased_err *err)
{
	if (sql->failed == LEASED_EINVAL)
		return (leased_err_set(err, LEASED_EINVAL, "a name or a value is not valid UTF-8"));
	if (sql->failed == LEASED_ENOMEM)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (sql->failed != 0)
		return (leased_err_set(err, LEASED_EBUG, "a query could not be put together"));
	return (0);
}

/* A password in clear text would stay in libpq's buffer until something as long was sent: blanks,
 * which the server takes for no statement. */
static void
overwrite_sent(PGconn *connection, const struct postgresql_sql *sql)
{
	char *blanks;

	if (sql->secret == NULL || postgresql_is_verifier(sql->secret) ||
	    (blanks = malloc(sql->len + 1)) == NULL)
		return;
	memset(blanks, ' ', sql->len);
	blanks[sql->len] = '\0';
	PQclear(PQexec(connection, blanks));
	free(blanks);
}

int
postgresql_query(struct postgresql_session *session, const struct leased_call *call,
    enum postgresql_effect effect, struct postgresql_sql *sql, PGresult **ret_result,
    struct leased_err *err)
{
	struct answer answer = {NULL, NULL, NULL, false};
	int r;

	if (session->connection == NULL)
		return (
		    leased_err_set(err, LEASED_EUNAVAIL, "there is no connection to the database"));
	session->sqlstate[0] = '\0';
	r = check_sql(sql, err);
	if (r == 0 && leased_call_remaining_ms(call) == 0)
		r = leased_err_set(err, LEASED_ETIMEDOUT, "the call's deadline has passed");
	if (r != 0) {
		roll_back(session->connection);
		return (r);
	}
	if (PQsendQuery(session->connection, sql->text))
		read_answer(session->connection, &answer);
	if (PQstatus(session->connection) != CONNECTION_OK) {
		r = on_connection_lost(session, effect, is_last_word(answer.failure), err);
	} else if (answer.failure != NULL) {
		r = server_error(session, answer.failure, sql, err);
		if (answer.wanted_data)
			r = leased_err_set(err, LEASED_EREFUSED,
			    "a statement is a COPY from the client, which cannot work here");
		roll_back(session->connection);
	} else if (answer.rows == NULL && answer.command == NULL) {
		roll_back(session->connection);
		r = leased_err_set(err, LEASED_EUNAVAIL, "libpq did not send a query");
	} else if (ret_result != NULL) {
		*ret_result = answer.rows != NULL ? answer.rows : answer.command;
		*(answer.rows != NULL ? &answer.rows : &answer.command) = NULL;
	}
	if (session->connection != NULL)
		overwrite_sent(session->connection, sql);
	PQclear(answer.rows);
	PQclear(answer.command);
	PQclear(answer.failure);
	return (r);
}

int
postgresql_query_text(struct postgresql_session *session, const struct leased_call *call,
    const char *text, PGresult **ret_result, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	int r;

	postgresql_sql_begin(&sql, session, call);
	postgresql_sql_add(&sql, text);
	r = postgresql_query(session, call, POSTGRESQL_READS, &sql, ret_result, err);
	postgresql_sql_clear(&sql);
	return (r);
}

static int
query_element(struct postgresql_session *session, const struct leased_call *call,
    const json_t *element, const struct postgresql_slots *slots, const char *last,
    PGresult **ret_result, struct leased_err *err)
{
	struct postgresql_sql sql = POSTGRESQL_SQL_INIT;
	json_t *statement;
	size_t i;
	int r = 0;

	postgresql_sql_begin(&sql, session, call);
	sql.secret = slots->password;
	postgresql_sql_add(&sql, "BEGIN;");
	json_array_foreach(element, i, statement)
	{
		if ((r = postgresql_sql_statement(&sql, statement, slots, err)) != 0)
			goto out;
	}
	if (last != NULL)
		postgresql_sql_add(&sql, last);
	postgresql_sql_add(&sql, "COMMIT");
	r = postgresql_query(session, call, POSTGRESQL_CHANGES, &sql, ret_result, err);
out:
	postgresql_sql_clear(&sql);
	return (r);
}

static int
query_each_element(struct postgresql_session *session, const struct leased_call *call,
    const char *field, const json_t *elements, const struct postgresql_slots *slots,
    const char *last, PGresult **ret_result, struct leased_err *err)
{
	size_t count = json_array_size(elements), i;
	json_t *element;
	bool is_last;
	int r;

	json_array_foreach(elements, i, element)
	{
		is_last = i + 1 == count;
		if ((r = query_element(session, call, element, slots, is_last ? last : NULL,
			 is_last ? ret_result : NULL, err)) != 0)
			return (leased_err_prefix(err, "%s, element %zu", field, i + 1));
	}
	return (0);
}

/* Statements of a role may SET ROLE, take locks, make temporary tables: none of it outlives the
 * call. */
static void
forget_session_state(struct postgresql_session *session)
{
	PGresult *result;

	if (session->connection == NULL)
		return;
	result = PQexec(session->connection, "DISCARD ALL");
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		postgresql_session_close(session);
	PQclear(result);
}

int
postgresql_query_elements(struct postgresql_session *session, const struct leased_call *call,
    const char *field, const json_t *elements, const struct postgresql_slots *slots,
    const char *last, PGresult **ret_result, struct leased_err *err)
{
	char sqlstate[sizeof(session->sqlstate)];
	int r = query_each_element(session, call, field, elements, slots, last, ret_result, err);

	memcpy(sqlstate, session->sqlstate, sizeof(sqlstate));
	forget_session_state(session);
	memcpy(session->sqlstate, sqlstate, sizeof(sqlstate));
	return (r);
}

void
postgresql_sleep_ms(const struct leased_call *call, int ms)
{
	int left_ms = leased_call_remaining_ms(call);

	(void)poll(NULL, 0, ms < left_ms ? ms : left_ms);
}
