/*
 * The MySQL plugin, inside: what its files call of each other. Its functions begin with maria_,
 * since mysql_ is the client library's. One worker has one configured connection, used by one call
 * at a time, so that nothing here locks. PROTOCOL.md says what each operation must do.
 */
#ifndef MYSQL_MARIA_H
#define MYSQL_MARIA_H

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/plugin.h>

#include "session_id.h"

struct maria_config; /* config.h */

/* A session of the administrator. */
struct maria_session {
	MYSQL *connection;              /* NULL: none */
	char id[MARIA_SESSION_ID_SIZE]; /* as the daemon knows it, "": not yet */
	unsigned failure; /* the server's number of the last error; 0 when the connection broke */
	int limit_ms;     /* what the server's own time limit is set to, 0: unknown */
	bool was_denied;  /* a privilege was missing. What it may do is settled when it begins, so
			     that the next use of it begins anew */
};

#define MARIA_TAG 0x6d617269u
struct maria {
	unsigned tag;
	struct maria_config *config; /* NULL before open */
	char *store_tag, *instance;
	struct maria_session main;
	char server[80];         /* its identity */
	int64_t started_s;       /* when the server was started, by its own clock */
	bool is_mysql;           /* not MariaDB */
	unsigned long version;   /* 101119: 10.11.19 */
	bool has_scheduler;      /* the event scheduler runs */
	bool sees_sessions;      /* of others: without PROCESS the list of sessions is ours only */
	bool lacks_default_role; /* we may not set that of another account */
	int64_t offset_us;       /* the server's clock minus ours, when the session began */
};
/* Checks the tag of a handler's ctx. */
struct maria *maria_from(void *ctx);

struct maria_sql; /* sql.h */

/* ---- query.c: sending queries ---- */

enum maria_effect {
	MARIA_READS,  /* may still happen after we are told that it failed: that harms nobody */
	MARIA_CHANGES /* if its end stays unknown this worker exits, and the daemon ends the session
			 first */
};
/* Sends one statement and waits. ret_rows (may be NULL): the first rows, else NULL; the caller's to
 * mysql_free_result. */
int maria_query(struct maria_session *session, const struct leased_call *call,
    enum maria_effect effect, struct maria_sql *sql, MYSQL_RES **ret_rows,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The same for a fixed text. */
int maria_query_text(struct maria_session *session, const struct leased_call *call,
    enum maria_effect effect, const char *text, MYSQL_RES **ret_rows,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The server's error, or the library's, as one of ours. secret may be NULL: what no text may show.
 */
int maria_error(unsigned number, const char *text, const char *secret, struct leased_err *err);
/* Until when the client library waits for the network, in this thread: the call's deadline. */
void maria_wait_until(const struct leased_call *call, int margin_ms);
/* For MARIADB_OPT_IO_WAIT. */
int maria_on_io_wait(my_socket fd, my_bool is_read, int timeout_ms);
/* Sleeps, but not beyond the call's deadline. */
void maria_sleep_ms(const struct leased_call *call, int ms);
/* A column as text; "" where it is NULL. */
const char *maria_text(MYSQL_ROW row, unsigned column);

/* ---- session.c: connections ---- */

/* The session, opened again when it was found dead. */
int maria_session_ready(
    struct maria *plugin, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;
void maria_session_close(struct maria_session *session);
/* Settings that nothing of the server's, the account's or a role's statements may change: set, and
 * seen to be so. Also the way back after statements of a role. */
int maria_session_pin(struct maria *plugin, const struct leased_call *call,
    struct maria_session *session, struct leased_err *err) LEASED_MUST_CHECK;
/* Logs in as somebody else, outside of any registry; the caller's to mysql_close. */
int maria_session_login(struct maria *plugin, struct leased_call *call, const char *name,
    const char *password, MYSQL **ret_connection, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the handlers, a file each ---- */

int maria_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_open(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_check(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_set_password(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_inventory(void *ctx, struct leased_call *call, struct leased_err *err);
int maria_reap(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
