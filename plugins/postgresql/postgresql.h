/*
 * The PostgreSQL plugin, inside: what its files call of each other. One worker has one configured
 * connection, used by one call at a time, so that nothing here locks. PROTOCOL.md says what each
 * operation must do.
 */
#ifndef POSTGRESQL_POSTGRESQL_H
#define POSTGRESQL_POSTGRESQL_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/plugin.h>

struct postgresql_config; /* config.c */

/* A session of the administrator with one database. */
struct postgresql_session {
	PGconn *connection; /* NULL: none */
	char id[128];       /* "pid:backend_start", as the daemon knows it */
	char sqlstate[6];   /* of the last statement that failed, "" when the connection did */
};

#define POSTGRESQL_TAG 0x70677371u
struct postgresql {
	unsigned tag;
	struct postgresql_config *config; /* NULL before open */
	char *store_tag, *instance;
	struct postgresql_session main;
	char server[24];                            /* the system identifier */
	int version;                                /* 150020 */
	int64_t offset_us;                          /* the server's clock minus ours .. */
	int64_t measured_wall_us, measured_boot_us; /* .. as it was at that time */
};
/* Checks the tag of a handler's ctx. */
struct postgresql *postgresql_from(void *ctx);

struct postgresql_sql; /* sql.h */
struct postgresql_slots;

/* ---- query.c: sending queries ---- */

enum postgresql_effect {
	POSTGRESQL_READS, /* may still happen after we are told that it failed: that harms nobody */
	POSTGRESQL_CHANGES /* if its end stays unknown this worker exits, and the daemon ends the
			      session first */
};
/*
 * Sends one or several statements and waits for all.
 * ret_result (may be NULL): the last rows, else the last command's result; the caller's to PQclear.
 * After a failure no transaction is open.
 */
int postgresql_query(struct postgresql_session *session, const struct leased_call *call,
    enum postgresql_effect effect, struct postgresql_sql *sql, PGresult **ret_result,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The same for a read of fixed text. */
int postgresql_query_text(struct postgresql_session *session, const struct leased_call *call,
    const char *text, PGresult **ret_result, struct leased_err *err) LEASED_MUST_CHECK;
/* The elements of a role's field of statements, a transaction each; last (may be NULL) goes into
 * the last one. */
int postgresql_query_elements(struct postgresql_session *session, const struct leased_call *call,
    const char *field, const json_t *elements, const struct postgresql_slots *slots,
    const char *last, PGresult **ret_result, struct leased_err *err) LEASED_MUST_CHECK;
/* Sleeps, but not beyond the call's deadline. */
void postgresql_sleep_ms(const struct leased_call *call, int ms);

/* ---- session.c: connections ---- */

/* Connects to a database (NULL: the configured one), learns who answers, and registers the session.
 */
int postgresql_session_open(struct postgresql *plugin, struct leased_call *call,
    struct postgresql_session *session, const char *database,
    struct leased_err *err) LEASED_MUST_CHECK;
void postgresql_session_close(struct postgresql_session *session);
/* The main session, opened again when it was found dead. */
int postgresql_session_ready(
    struct postgresql *plugin, struct leased_call *call, struct leased_err *err) LEASED_MUST_CHECK;
/* Logs in as somebody else, outside of any registry; the caller's to PQfinish. */
int postgresql_session_login(struct postgresql *plugin, struct leased_call *call, const char *name,
    const char *password, PGconn **ret_connection, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- the handlers, a file each ---- */

int postgresql_describe(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_open(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_ping(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_check(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_mint(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_renew(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_disarm(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_remove(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_set_password(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_inventory(void *ctx, struct leased_call *call, struct leased_err *err);
int postgresql_reap(void *ctx, struct leased_call *call, struct leased_err *err);

#endif
