/*
 * Building a query: text, quoted names and values, and the statements that a role brings. Nothing
 * here is sent.
 */
#ifndef POSTGRESQL_SQL_H
#define POSTGRESQL_SQL_H

#include "postgresql.h"

/* Text that is built up; wiped when cleared, since it may hold a verifier. */
struct postgresql_sql {
	PGconn *connection; /* quotes by its encoding; NULL before begin */
	const char *secret; /* borrowed, or NULL: what no error text may show */
	char *text;
	size_t len, size;
	int failed; /* the first leased_code; later additions do nothing */
};
#define POSTGRESQL_SQL_INIT                                                                        \
	{                                                                                          \
		0                                                                                  \
	}
/* Starts anew, with a statement_timeout just under the call's deadline in front. */
void postgresql_sql_begin(struct postgresql_sql *sql, const struct postgresql_session *session,
    const struct leased_call *call);
void postgresql_sql_add(struct postgresql_sql *sql, const char *text);
void postgresql_sql_format(struct postgresql_sql *sql, const char *fmt, ...) LEASED_PRINTF(2, 3);
void postgresql_sql_identifier(struct postgresql_sql *sql, const char *name);
void postgresql_sql_literal(struct postgresql_sql *sql, const char *text);
void postgresql_sql_clear(struct postgresql_sql *sql);

/* Values of the slots; NULL: the slot has none here. */
struct postgresql_slots {
	const char *name, *password, *expiration;
};
/* Adds one statement of parts (PROTOCOL.md, "Statements"), ended by `;`. LEASED_EINVAL for a slot
 * without a value. */
int postgresql_sql_statement(struct postgresql_sql *sql, const json_t *statement,
    const struct postgresql_slots *slots, struct leased_err *err) LEASED_MUST_CHECK;

#endif
