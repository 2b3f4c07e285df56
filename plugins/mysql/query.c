/*
 * Sending statements and reading what the server says: one wait, one place where a server's error
 * becomes a leased_code and a text for people. A statement whose end cannot be learned ends the
 * process (see on_connection_lost()). Called by every operation.
 */
#include <errmsg.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "maria.h"
#include "sql.h"

#define ANSWER_MARGIN_MS                                                                           \
	150                 /* what is left of the deadline when we stop waiting for the server    \
			     */
#define LIMIT_MARGIN_MS 250 /* .. and when the server stops a statement */
#define LIMIT_MIN_MS 50

#define IS_CLIENT_ERROR(number) ((number) >= 2000 && (number) < 3000)

static const struct {
	unsigned number;
	enum leased_code code;
	const char *hint;
} numbers[] = {{1044, LEASED_EDENIED, NULL}, /* to a database */
    {1045, LEASED_EDENIED, NULL},            /* login */
    {1142, LEASED_EDENIED, NULL},            /* a table */
    {1143, LEASED_EDENIED, NULL},            /* a column */
    {1227, LEASED_EDENIED, NULL},            /* a global privilege */
    {1370, LEASED_EDENIED, NULL},            /* a routine */
    {1410, LEASED_EDENIED, NULL},            /* no right to make an account */
    {1130, LEASED_EDENIED, NULL},            /* our host may not log in */
    {1698, LEASED_EDENIED, NULL},            /* the same as 1045, from a socket plugin */
    {1820, LEASED_EDENIED, "set its password anew"}, {1862, LEASED_EDENIED, NULL},
    {4151, LEASED_EDENIED, NULL}, {3118, LEASED_EDENIED, NULL}, /* locked */
    {1095, LEASED_EDENIED, NULL},                               /* another's session */
    {1040, LEASED_EUNAVAIL, NULL}, {1203, LEASED_EUNAVAIL, NULL}, {1226, LEASED_EUNAVAIL, NULL},
    {1129, LEASED_EUNAVAIL, NULL}, {1053, LEASED_EUNAVAIL, NULL}, {1077, LEASED_EUNAVAIL, NULL},
    {1079, LEASED_EUNAVAIL, NULL}, {1080, LEASED_EUNAVAIL, NULL}, {1927, LEASED_EUNAVAIL, NULL},
    {1290, LEASED_EUNAVAIL, "is the server a replica, or started without its grant tables?"},
    {1836, LEASED_EUNAVAIL, "the server is read-only: is it a replica?"},
    {1205, LEASED_EREFUSED, "another session holds a lock; it is tried again"},
    {1213, LEASED_EREFUSED, "another session holds a lock; it is tried again"},
    {1317, LEASED_ETIMEDOUT, "somebody stopped the statement"},
    {1969, LEASED_ETIMEDOUT, "the server stopped it at the deadline"},
    {3024, LEASED_ETIMEDOUT, "the server stopped it at the deadline"}};

/* ---- the one wait ---- */

static int64_t wait_until_ms;

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

void
maria_wait_until(const struct leased_call *call, int margin_ms)
{
	int left_ms = leased_call_remaining_ms(call) - margin_ms;

	wait_until_ms = now_ms() + (left_ms > LIMIT_MIN_MS ? left_ms : LIMIT_MIN_MS);
}

int
maria_on_io_wait(my_socket fd, my_bool is_read, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = is_read ? POLLIN : POLLOUT};
	int64_t left_ms = wait_until_ms - now_ms();

	if (left_ms <= 0)
		return (0);
	if (timeout_ms > 0 && timeout_ms < left_ms)
		left_ms = timeout_ms;
	return (poll(&poll_fd, 1, (int)left_ms));
}

void
maria_sleep_ms(const struct leased_call *call, int ms)
{
	int left_ms = leased_call_remaining_ms(call);

	(void)poll(NULL, 0, ms < left_ms ? ms : left_ms);
}

/* ---- errors ---- */

int
maria_error(unsigned number, const char *text, const char *secret, struct leased_err *err)
{
	enum leased_code code = IS_CLIENT_ERROR(number) ? LEASED_EUNAVAIL : LEASED_EREFUSED;
	const char *hint = NULL;
	size_t i;

	if (secret != NULL && strstr(text, secret) != NULL)
		text = "an error whose text would show the password";
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].number == number) {
			code = numbers[i].code;
			hint = numbers[i].hint;
		}
	return (leased_err_set(err, code, "the server says: %.300s (error %u)%s%s", text, number,
	    hint != NULL ? "; " : "", hint != NULL ? hint : ""));
}

/*
 * The connection broke, or time ran out, and the server did not say how the statement ended: it may
 * still be running there, and would land after the account was disarmed. Only the daemon can fence
 * that, by ending the session before it goes on, and it does so when a worker is gone (PROTOCOL.md,
 * "Sessions").
 */
static int
on_connection_lost(struct maria_session *session, enum maria_effect effect, struct leased_err *err)
{
	bool late = now_ms() >= wait_until_ms;

	if (effect == MARIA_CHANGES)
		leased_outcome_unknown(
		    "%s while a statement was under way; this worker exits so that session %s is "
		    "ended before anything else",
		    late ? "time ran out" : "the connection broke", session->id);
	maria_session_close(session);
	return (late ? leased_err_set(err, LEASED_ETIMEDOUT, "the database gave no answer in time")
		     : leased_err_set(err, LEASED_EUNAVAIL,
			   "the connection to the database broke; it is tried again"));
}

/* The server's own last word on a session, and on what was under way in it. */
static bool
is_last_word(unsigned number)
{
	return (
	    number == 1927 || number == 1053 || number == 1077 || number == 1079 || number == 1080);
}

static int
on_failure(struct maria_session *session, enum maria_effect effect, const struct maria_sql *sql,
    struct leased_err *err)
{
	unsigned number = mysql_errno(session->connection);

	if (number == CR_OUT_OF_MEMORY)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (number == 0 || IS_CLIENT_ERROR(number)) {
		session->failure = 0;
		return (on_connection_lost(session, effect, err));
	}
	session->failure = number;
	if (maria_error(number, mysql_error(session->connection), sql->secret, err) ==
	    LEASED_EDENIED)
		session->was_denied = true;
	if (is_last_word(number))
		maria_session_close(session);
	return (err->code);
}

/* ---- sending ---- */

/* What a statement of a role answers besides is read, so that the next one finds its own. */
static int
read_results(MYSQL *connection, MYSQL_RES **ret_rows)
{
	MYSQL_RES *rows;
	int more;

	do {
		rows = mysql_store_result(connection);
		if (rows == NULL && mysql_field_count(connection) != 0)
			return (-1);
		if (*ret_rows == NULL)
			*ret_rows = rows;
		else
			mysql_free_result(rows);
		more = mysql_next_result(connection);
	} while (more == 0);
	return (more == -1 ? 0 : -1);
}

/* The library's buffer keeps what was sent until something as long is. */
static void
overwrite_sent(MYSQL *connection, const struct maria_sql *sql)
{
	if (sql->secret != NULL && connection->net.buff != NULL)
		leased_wipe(connection->net.buff, connection->net.max_packet);
}

static int
send_now(struct maria_session *session, enum maria_effect effect, const struct maria_sql *sql,
    MYSQL_RES **ret_rows, struct leased_err *err)
{
	MYSQL_RES *rows = NULL;
	int r = 0;

	if (mysql_real_query(session->connection, sql->text, (unsigned long)sql->len) != 0 ||
	    read_results(session->connection, &rows) != 0)
		r = on_failure(session, effect, sql, err);
	if (session->connection != NULL)
		overwrite_sent(session->connection, sql);
	if (r == 0 && ret_rows != NULL) {
		*ret_rows = rows;
		rows = NULL;
	}
	mysql_free_result(rows);
	return (r);
}

/*
 * The server stops by itself what nobody waits for any more. Told anew only where what it was told
 * last no longer fits the deadline; MySQL has such a limit for SELECT only, and a limit on waiting
 * for locks is in the session's settings.
 */
static int
set_limit(struct maria_session *session, const struct leased_call *call, struct leased_err *err)
{
	int left_ms = leased_call_remaining_ms(call) - LIMIT_MARGIN_MS, limit_ms;
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	left_ms = left_ms > LIMIT_MIN_MS ? left_ms : LIMIT_MIN_MS;
	if (session->limit_ms < 0 || (session->limit_ms != 0 && session->limit_ms <= left_ms &&
					 session->limit_ms >= left_ms / 2))
		return (0);
	limit_ms = left_ms * 3 / 4;
	maria_sql_format(
	    &sql, "SET SESSION max_statement_time = %d.%03d", limit_ms / 1000, limit_ms % 1000);
	r = sql.failed != 0 ? leased_err_set(err, LEASED_ENOMEM, "out of memory")
			    : send_now(session, MARIA_READS, &sql, NULL, err);
	maria_sql_clear(&sql);
	if (r == 0)
		session->limit_ms = limit_ms;
	return (r);
}

static int
check_sql(const struct maria_sql *sql, struct leased_err *err)
{
	if (sql->failed == LEASED_EINVAL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "a name or a value is one that the server cannot hold (empty, not UTF-8, with "
		    "a blank at its end or a character above U+FFFF)"));
	if (sql->failed == LEASED_ENOMEM)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (sql->failed != 0)
		return (leased_err_set(err, LEASED_EBUG, "a statement could not be put together"));
	return (0);
}

int
maria_query(struct maria_session *session, const struct leased_call *call, enum maria_effect effect,
    struct maria_sql *sql, MYSQL_RES **ret_rows, struct leased_err *err)
{
	int r;

	if ((r = check_sql(sql, err)) != 0)
		return (r);
	session->failure = 0;
	if (session->connection == NULL)
		return (
		    leased_err_set(err, LEASED_EUNAVAIL, "the connection to the database broke"));
	maria_wait_until(call, ANSWER_MARGIN_MS);
	if ((r = set_limit(session, call, err)) != 0)
		return (r);
	return (send_now(session, effect, sql, ret_rows, err));
}

int
maria_query_text(struct maria_session *session, const struct leased_call *call,
    enum maria_effect effect, const char *text, MYSQL_RES **ret_rows, struct leased_err *err)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r;

	maria_sql_add(&sql, text);
	r = maria_query(session, call, effect, &sql, ret_rows, err);
	maria_sql_clear(&sql);
	return (r);
}

const char *
maria_text(MYSQL_ROW row, unsigned column)
{
	return (row[column] != NULL ? row[column] : "");
}
