/*
 * Fuzzes the MySQL plugin's quoting: read back as the server reads it, with the settings that its
 * sessions have, what was quoted is the text again, and nothing stands behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "mysql/sql.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

/* One quoted thing, as the server's lexer takes it. */
static void
check(const struct maria_sql *sql, const char *text, char quote, int escapes)
{
	const char *at = sql->text;

	if (*at++ != quote)
		abort();
	for (; *text != '\0'; text++) {
		if ((*at == quote && at[1] == quote) || (escapes && *at == '\\'))
			at++;
		else if (*at == quote)
			abort();
		if (*at++ != *text)
			abort();
	}
	if (at[0] != quote || at[1] != '\0' || (size_t)(at + 1 - sql->text) != sql->len)
		abort();
}

static void
try_one(void (*add)(struct maria_sql *, const char *), const char *text, char quote, int escapes)
{
	struct maria_sql sql = MARIA_SQL_INIT;

	add(&sql, text);
	if (sql.failed == 0)
		check(&sql, text, quote, escapes);
	else if (sql.failed != LEASED_EINVAL)
		abort();
	maria_sql_clear(&sql);
}

/* The input as a password behind the input as SQL. */
static void
try_statement(const char *text)
{
	const struct maria_slots slots = {.name = "x", .password = text, .hash = "*AB"};
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_sql sql = MARIA_SQL_INIT;
	json_t *statement = json_pack(
	    "[{s:s},{s:s},{s:s}]", "sql", text, "literal", "password", "identifier", "name");

	if (statement != NULL && maria_sql_statement(&sql, statement, &slots, &err) != 0)
		abort();
	json_decref(statement);
	maria_sql_clear(&sql);
}

int
LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	char *text = malloc(len + 1);

	if (text == NULL)
		abort();
	if (len > 0)
		memcpy(text, bytes, len);
	text[len] = '\0';
	try_one(maria_sql_identifier, text, '`', 0);
	try_one(maria_sql_literal, text, '\'', 1);
	try_one(maria_sql_grant_schema, text, '`', 1);
	try_statement(text);
	free(text);
	return (0);
}
