/*
 * Building queries: text, quoted identifiers and literals, and the statements of a role as
 * PROTOCOL.md brings them. Quotes with libpq's functions only. Sends nothing. Called by every
 * operation.
 */
#include "sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MARGIN_MS 250 /* what is left for the answer when the server stops a statement */

/* Makes room for len more bytes and a NUL; the old memory is wiped. */
static bool
reserve(struct postgresql_sql *sql, size_t len)
{
	size_t size = sql->size != 0 ? sql->size : 512;
	char *text;

	if (sql->failed != 0)
		return (false);
	while (size - sql->len <= len)
		size *= 2;
	if (size == sql->size)
		return (true);
	if ((text = malloc(size)) == NULL) {
		sql->failed = LEASED_ENOMEM;
		return (false);
	}
	if (sql->text != NULL) {
		memcpy(text, sql->text, sql->len);
		leased_wipe(sql->text, sql->size);
		free(sql->text);
	}
	sql->text = text;
	sql->size = size;
	return (true);
}

void
postgresql_sql_begin(struct postgresql_sql *sql, const struct postgresql_session *session,
    const struct leased_call *call)
{
	int timeout_ms = leased_call_remaining_ms(call) - DEADLINE_MARGIN_MS;

	postgresql_sql_clear(sql);
	sql->connection = session->connection;
	postgresql_sql_format(
	    sql, "SET statement_timeout = %d;", timeout_ms > 50 ? timeout_ms : 50);
}

static void
add_bytes(struct postgresql_sql *sql, const char *text, size_t len)
{
	if (!reserve(sql, len))
		return;
	memcpy(sql->text + sql->len, text, len);
	sql->len += len;
	sql->text[sql->len] = '\0';
}

void
postgresql_sql_add(struct postgresql_sql *sql, const char *text)
{
	add_bytes(sql, text, strlen(text));
}

void
postgresql_sql_format(struct postgresql_sql *sql, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text)) {
		if (sql->failed == 0)
			sql->failed = LEASED_EBUG;
		return;
	}
	add_bytes(sql, text, (size_t)len);
}

/* Takes what PQescapeIdentifier or PQescapeLiteral gave; they refuse text that is not valid in the
 * session's encoding. */
static void
add_quoted(struct postgresql_sql *sql, char *quoted)
{
	if (quoted == NULL) {
		if (sql->failed == 0)
			sql->failed = LEASED_EINVAL;
		return;
	}
	postgresql_sql_add(sql, quoted);
	leased_wipe(quoted, strlen(quoted));
	PQfreemem(quoted);
}

void
postgresql_sql_identifier(struct postgresql_sql *sql, const char *name)
{
	if (sql->failed == 0)
		add_quoted(sql, PQescapeIdentifier(sql->connection, name, strlen(name)));
}

void
postgresql_sql_literal(struct postgresql_sql *sql, const char *text)
{
	if (sql->failed == 0)
		add_quoted(sql, PQescapeLiteral(sql->connection, text, strlen(text)));
}

void
postgresql_sql_clear(struct postgresql_sql *sql)
{
	if (sql->text != NULL)
		leased_wipe(sql->text, sql->size);
	free(sql->text);
	memset(sql, 0, sizeof(*sql));
}

static const char *
slot_value(const struct postgresql_slots *slots, const char *slot)
{
	if (strcmp(slot, "name") == 0)
		return (slots->name);
	if (strcmp(slot, "password") == 0)
		return (slots->password);
	if (strcmp(slot, "expiration") == 0)
		return (slots->expiration);
	return (NULL);
}

static int
add_part(struct postgresql_sql *sql, const json_t *part, const struct postgresql_slots *slots,
    struct leased_err *err)
{
	const char *text = json_string_value(json_object_get(part, "sql"));
	const char *identifier = json_string_value(json_object_get(part, "identifier"));
	const char *literal = json_string_value(json_object_get(part, "literal"));
	const char *slot = identifier != NULL ? identifier : literal, *value;

	if (json_object_size(part) != 1 || (text == NULL && slot == NULL))
		return (
		    leased_err_set(err, LEASED_EINVAL, "a statement has a part of unknown shape"));
	if (text != NULL) {
		postgresql_sql_add(sql, text);
		return (0);
	}
	if ((value = slot_value(slots, slot)) == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a statement uses {{%s}}, which has no value here", slot));
	if (identifier != NULL)
		postgresql_sql_identifier(sql, value);
	else
		postgresql_sql_literal(sql, value);
	return (0);
}

int
postgresql_sql_statement(struct postgresql_sql *sql, const json_t *statement,
    const struct postgresql_slots *slots, struct leased_err *err)
{
	json_t *part;
	size_t i;
	int r;

	if (!json_is_array(statement))
		return (
		    leased_err_set(err, LEASED_EINVAL, "a statement must be an array of parts"));
	json_array_foreach(statement, i, part)
	{
		if ((r = add_part(sql, part, slots, err)) != 0)
			return (r);
	}
	postgresql_sql_add(sql, "\n;"); /* a statement may end in a comment */
	return (0);
}
