/*
 * Building statements: text, quoted names and values, and the statements of a role as PROTOCOL.md
 * brings them. Quotes by itself: the library's escaping follows a state of the connection that the
 * server rules. Sends nothing. Called by every operation.
 */
#include "sql.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

/* Makes room for len more bytes and a NUL; the old memory is wiped. */
static bool
reserve(struct maria_sql *sql, size_t len)
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

static void
add_bytes(struct maria_sql *sql, const char *text, size_t len)
{
	if (!reserve(sql, len))
		return;
	memcpy(sql->text + sql->len, text, len);
	sql->len += len;
	sql->text[sql->len] = '\0';
}

void
maria_sql_clear(struct maria_sql *sql)
{
	if (sql->text != NULL)
		leased_wipe(sql->text, sql->size);
	free(sql->text);
	memset(sql, 0, sizeof(*sql));
}

void
maria_sql_add(struct maria_sql *sql, const char *text)
{
	add_bytes(sql, text, strlen(text));
}

void
maria_sql_format(struct maria_sql *sql, const char *fmt, ...)
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

static void
fail_invalid(struct maria_sql *sql)
{
	if (sql->failed == 0)
		sql->failed = LEASED_EINVAL;
}

/* How many bytes the character has that begins there; 0: it is no UTF-8. */
static size_t
character_len(const unsigned char *at)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	size_t i;

	if (at[0] > 0xf4 || (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return (0);
	for (i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return (0);
	return (len);
}

static bool
is_text(const char *text, size_t longest)
{
	size_t len;

	for (; *text != '\0'; text += len)
		if ((len = character_len((const unsigned char *)text)) == 0 || len > longest)
			return (false);
	return (true);
}

bool
maria_sql_is_identifier(const char *name)
{
	size_t len = strlen(name);

	return (len > 0 && name[len - 1] != ' ' && is_text(name, 3));
}

/* Doubles quote, and backslash where escapes says so. */
static void
add_quoted(struct maria_sql *sql, const char *text, char quote, bool escapes)
{
	add_bytes(sql, &quote, 1);
	for (; *text != '\0'; text++) {
		if (*text == quote || (escapes && *text == '\\'))
			add_bytes(sql, text, 1);
		add_bytes(sql, text, 1);
	}
	add_bytes(sql, &quote, 1);
}

/* Between backticks no character is an escape, in any sql_mode. */
void
maria_sql_identifier(struct maria_sql *sql, const char *name)
{
	if (maria_sql_is_identifier(name))
		add_quoted(sql, name, '`', false);
	else
		fail_invalid(sql);
}

void
maria_sql_literal(struct maria_sql *sql, const char *text)
{
	if (is_text(text, 4))
		add_quoted(sql, text, '\'', true);
	else
		fail_invalid(sql);
}

void
maria_sql_hex(struct maria_sql *sql, const char *text)
{
	if (text[0] == '\0') {
		maria_sql_add(sql, "''");
		return;
	}
	maria_sql_add(sql, "0x");
	for (; *text != '\0'; text++)
		maria_sql_format(sql, "%02x", (unsigned char)*text);
}

void
maria_sql_account(struct maria_sql *sql, const char *name, const char *host)
{
	maria_sql_identifier(sql, name);
	maria_sql_add(sql, "@");
	maria_sql_identifier(sql, host);
}

/* A backslash of the name itself would be an escape there. */
void
maria_sql_grant_schema(struct maria_sql *sql, const char *schema)
{
	if (!maria_sql_is_identifier(schema) || strchr(schema, '\\') != NULL) {
		fail_invalid(sql);
		return;
	}
	maria_sql_add(sql, "`");
	for (; *schema != '\0'; schema++) {
		if (*schema == '`' || *schema == '_' || *schema == '%')
			maria_sql_add(sql, *schema == '`' ? "`" : "\\");
		add_bytes(sql, schema, 1);
	}
	maria_sql_add(sql, "`");
}

const char *
maria_sql_shown(const struct maria_sql *sql)
{
	return (sql->failed == 0 && sql->text != NULL ? sql->text : "it");
}

/* ---- the statements of a role ---- */

static const char *
slot_value(const struct maria_slots *slots, const char *slot)
{
	if (strcmp(slot, "name") == 0)
		return (slots->name);
	if (strcmp(slot, "password") == 0)
		return (slots->password);
	if (strcmp(slot, "expiration") == 0)
		return (slots->expiration);
	return (NULL);
}

/* Does the text so far end with words (in capitals, one blank between)? *ret_len: how long it is
 * without them. */
static bool
ends_with(const struct maria_sql *sql, const char *words, size_t *ret_len)
{
	size_t at = sql->len, want = strlen(words);

	if (sql->text == NULL || at == 0 || !isspace((unsigned char)sql->text[at - 1]))
		return (false);
	while (at > 0 && isspace((unsigned char)sql->text[at - 1]))
		at--;
	for (; want > 0; want--) {
		if (words[want - 1] == ' ') {
			if (at == 0 || !isspace((unsigned char)sql->text[at - 1]))
				return (false);
			while (at > 0 && isspace((unsigned char)sql->text[at - 1]))
				at--;
		} else if (at == 0 ||
			   toupper((unsigned char)sql->text[at - 1]) != words[want - 1]) {
			return (false);
		} else {
			at--;
		}
	}
	*ret_len = at;
	return (
	    at == 0 || !(isalnum((unsigned char)sql->text[at - 1]) || sql->text[at - 1] == '_'));
}

void
maria_sql_identified(struct maria_sql *sql, const struct maria_slots *slots)
{
	if (slots->hash == NULL) {
		maria_sql_add(sql, "IDENTIFIED BY ");
		maria_sql_literal(sql, slots->password);
	} else if (slots->is_mysql) {
		maria_sql_format(
		    sql, "IDENTIFIED WITH caching_sha2_password AS 0x%.200s", slots->hash);
	} else {
		maria_sql_add(sql, "IDENTIFIED VIA mysql_native_password USING ");
		maria_sql_literal(sql, slots->hash);
	}
}

void
maria_sql_identified_native(struct maria_sql *sql, const struct maria_slots *slots)
{
	maria_sql_add(sql, "IDENTIFIED WITH mysql_native_password ");
	maria_sql_add(sql, slots->hash != NULL ? "AS " : "BY ");
	maria_sql_literal(sql, slots->hash != NULL ? slots->hash : slots->password);
}

/*
 * The password in a string of its own. Where the server would make a hash of it at once the hash
 * stands there instead, so that no log and no list of sessions shows the password.
 */
static void
add_password(struct maria_sql *sql, const struct maria_slots *slots)
{
	size_t len = 0;

	if (slots->hash != NULL && ends_with(sql, "IDENTIFIED BY", &len)) {
		sql->len = len;
		maria_sql_identified(sql, slots);
	} else if (slots->hash != NULL && !slots->is_mysql &&
		   (ends_with(sql, "IDENTIFIED BY PASSWORD", &len) ||
		       ends_with(sql, "MYSQL_NATIVE_PASSWORD USING", &len) ||
		       ends_with(sql, "MYSQL_NATIVE_PASSWORD AS", &len))) {
		maria_sql_literal(sql, slots->hash);
	} else {
		maria_sql_literal(sql, slots->password);
	}
}

static int
add_part(struct maria_sql *sql, const json_t *part, const struct maria_slots *slots,
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
		maria_sql_add(sql, text);
		return (0);
	}
	if ((value = slot_value(slots, slot)) == NULL)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a statement uses {{%s}}, which has no value here", slot));
	if (identifier != NULL)
		maria_sql_identifier(sql, value);
	else if (strcmp(slot, "password") == 0)
		add_password(sql, slots);
	else
		maria_sql_literal(sql, value);
	return (0);
}

int
maria_sql_statement(struct maria_sql *sql, const json_t *statement, const struct maria_slots *slots,
    struct leased_err *err)
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
	return (0);
}
