/*
 * Building a statement: text, quoted names and values, and the statements that a role brings.
 * Nothing here is sent. The quoting holds in a session that maria_session_pin() has set up
 * (sql_mode without ANSI_QUOTES and NO_BACKSLASH_ESCAPES, utf8mb4); names in backticks and bytes in
 * hexadecimal hold in any.
 */
#ifndef MYSQL_SQL_H
#define MYSQL_SQL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

/* Text that is built up; wiped when cleared, since it may hold a hash or a password. */
struct maria_sql {
	const char *secret; /* borrowed, or NULL: what no error text may show */
	char *text;
	size_t len, size;
	int failed; /* the first leased_code; later additions do nothing */
};
#define MARIA_SQL_INIT                                                                             \
	{                                                                                          \
		0                                                                                  \
	}
void maria_sql_clear(struct maria_sql *sql);
void maria_sql_add(struct maria_sql *sql, const char *text);
void maria_sql_format(struct maria_sql *sql, const char *fmt, ...) LEASED_PRINTF(2, 3);
/* Can the server hold it as it is? UTF-8, no blank at its end, no character above U+FFFF. */
bool maria_sql_is_identifier(const char *name);
/* In backticks. */
void maria_sql_identifier(struct maria_sql *sql, const char *name);
/* In single quotes. */
void maria_sql_literal(struct maria_sql *sql, const char *text);
/* 0x..: a string of bytes, compared by bytes. */
void maria_sql_hex(struct maria_sql *sql, const char *text);
/* `name`@`host` */
void maria_sql_account(struct maria_sql *sql, const char *name, const char *host);
/* The database of a GRANT, `my\_app`: there _ and % stand for any character unless escaped. */
void maria_sql_grant_schema(struct maria_sql *sql, const char *schema);

/* A name that was built up, for a statement that somebody is told to run: quoted as ours are, since
 * who wrote the name need not be who runs it. "it" when it cannot be a name. */
const char *maria_sql_shown(const struct maria_sql *sql);

/* Values of the slots; NULL: the slot has none here. */
struct maria_slots {
	const char *name, *password, *expiration;
	const char *hash; /* of the password, as the server stores it; NULL: the password itself is
			     sent */
	bool is_mysql;    /* hash is one of caching_sha2_password, in hexadecimal */
};
/* Adds IDENTIFIED .., for a hash or a password. */
void maria_sql_identified(struct maria_sql *sql, const struct maria_slots *slots);
/* The same on MySQL for an account that goes on with mysql_native_password; hash: as that has it.
 */
void maria_sql_identified_native(struct maria_sql *sql, const struct maria_slots *slots);
/* Adds one statement of parts (PROTOCOL.md, "Statements"). LEASED_EINVAL for a slot without a
 * value. */
int maria_sql_statement(struct maria_sql *sql, const json_t *statement,
    const struct maria_slots *slots, struct leased_err *err) LEASED_MUST_CHECK;

#endif
