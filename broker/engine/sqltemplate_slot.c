/*
 * Slots of SQL templates: which there are, where one may stand, and the output that is made of them
 * and of the SQL between them. Called by sqltemplate_lex.c; knows no token of SQL.
 */
#include "engine/sqltemplate_lex.h"

#include <stdarg.h>
#include <stdio.h>

#define SLOT_TEXT_MAX 64u /* bytes between {{ and }} that an error still quotes */

struct slot_name {
	const char *text;
	enum engine_sqltemplate_slot slot;
	const char *value; /* its name in the output */
};

static const struct slot_name slot_names[] = {
    {"name", ENGINE_SQLTEMPLATE_NAME, "name"},
    {"username", ENGINE_SQLTEMPLATE_NAME, "name"},
    {"password", ENGINE_SQLTEMPLATE_PASSWORD, "password"},
    {"expiration", ENGINE_SQLTEMPLATE_EXPIRATION, "expiration"},
};
#define SLOT_NAME_COUNT (sizeof(slot_names) / sizeof(slot_names[0]))

/* LEASED_EINVAL with the line and column (in characters) of at in front. */
int
engine_sqltemplate_fail_at(struct engine_sqltemplate_lexer *lexer, size_t at, const char *fmt, ...)
{
	char reason[400];
	size_t line = 1, column = 1, i;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	for (i = 0; i < at && i < lexer->len; i++) {
		if (lexer->text[i] == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)lexer->text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	return (leased_err_set(
	    lexer->err, LEASED_EINVAL, "line %zu, column %zu: %s", line, column, reason));
}

static int
add_part(struct engine_sqltemplate_lexer *lexer, const char *kind, const char *bytes, size_t len)
{
	json_t *part = NULL;

	if (++lexer->part_count > ENGINE_SQLTEMPLATE_PARTS_MAX)
		return (leased_err_set(lexer->err, LEASED_ETOOBIG,
		    "more than %u parts in one element", ENGINE_SQLTEMPLATE_PARTS_MAX));
	part = json_object();
	if (part == NULL || json_object_set_new(part, kind, json_stringn(bytes, len)) != 0 ||
	    json_array_append(lexer->parts, part) != 0) {
		json_decref(part);
		return (leased_err_set(lexer->err, LEASED_ENOMEM, "out of memory"));
	}
	json_decref(part);
	return (0);
}

/* Ends the SQL part that runs up to end; blanks at the two ends of the statement are left out. */
static int
flush_sql(struct engine_sqltemplate_lexer *lexer, size_t end, bool is_last)
{
	size_t start = lexer->piece;

	if (json_array_size(lexer->parts) == 0)
		while (start < end && engine_sqltemplate_is_blank(lexer->text[start]))
			start++;
	if (is_last)
		while (end > start && engine_sqltemplate_is_blank(lexer->text[end - 1]))
			end--;
	if (start == end)
		return (0);
	return (add_part(lexer, "sql", lexer->text + start, end - start));
}

/* Ends the statement at the lexer's place. One without content is dropped. */
int
engine_sqltemplate_finish_statement(struct engine_sqltemplate_lexer *lexer)
{
	json_t *fresh = NULL;
	int r = 0;

	if (lexer->has_content) {
		if ((r = flush_sql(lexer, lexer->at, true)) != 0)
			return (r);
		fresh = json_array();
		if (fresh == NULL || json_array_append(lexer->statements, lexer->parts) != 0) {
			json_decref(fresh);
			return (leased_err_set(lexer->err, LEASED_ENOMEM, "out of memory"));
		}
		json_decref(lexer->parts);
		lexer->parts = fresh;
	}
	lexer->has_content = false;
	lexer->after_string = false;
	return (0);
}

/* A word, a sign or a quoted thing: what makes a statement one, and parts two strings from each
 * other. */
void
engine_sqltemplate_note_content(struct engine_sqltemplate_lexer *lexer)
{
	lexer->has_content = true;
	lexer->after_string = false;
}

/*
 * Servers join two strings that only blanks part (PostgreSQL: blanks with a line end). Joined with
 * a slot's value the result is nobody's intention, and PostgreSQL goes on with the first one's
 * escapes: refused altogether.
 */
int
engine_sqltemplate_begin_string(struct engine_sqltemplate_lexer *lexer)
{
	if (lexer->after_string &&
	    (lexer->newline_since || lexer->dialect == ENGINE_SQLTEMPLATE_MYSQL))
		return (engine_sqltemplate_fail_at(lexer, lexer->at,
		    "a quoted string directly after another: the server would join the two, write "
		    "one string"));
	engine_sqltemplate_note_content(lexer);
	return (0);
}

void
engine_sqltemplate_end_string(struct engine_sqltemplate_lexer *lexer)
{
	lexer->after_string = true;
	lexer->newline_since = false;
}

static int
fail_unknown_slot(struct engine_sqltemplate_lexer *lexer, size_t at, const char *inner, size_t len)
{
	const char *known[SLOT_NAME_COUNT], *nearest;
	char name[SLOT_TEXT_MAX + 1];
	size_t i;

	while (len > 0 && engine_sqltemplate_is_blank(*inner)) {
		inner++;
		len--;
	}
	while (len > 0 && engine_sqltemplate_is_blank(inner[len - 1]))
		len--;
	memcpy(name, inner, len);
	name[len] = '\0';
	for (i = 0; i < SLOT_NAME_COUNT; i++)
		known[i] = slot_names[i].text;
	nearest = jdec_nearest(name, known, SLOT_NAME_COUNT);
	if (nearest != NULL && strcmp(nearest, name) == 0)
		return (engine_sqltemplate_fail_at(
		    lexer, at, "a slot has no blanks in it: write {{%s}}", name));
	if (nearest != NULL)
		return (engine_sqltemplate_fail_at(
		    lexer, at, "unknown slot {{%s}}, did you mean {{%s}}?", name, nearest));
	return (engine_sqltemplate_fail_at(lexer, at,
	    "unknown slot {{%s}}: there are {{name}}, {{username}}, {{password}} and "
	    "{{expiration}} (write `{ {` where no slot is meant)",
	    name));
}

/* Reads the slot whose braces open at `at`; *ret_end is the offset behind its braces. */
static int
read_slot(struct engine_sqltemplate_lexer *lexer, size_t at, const struct slot_name **ret_slot,
    size_t *ret_end)
{
	size_t start = at + 2, end = start, i;

	while (end < lexer->len && end - start <= SLOT_TEXT_MAX &&
	       !engine_sqltemplate_text_at(lexer, end, "}}") && lexer->text[end] != '\n')
		end++;
	if (!engine_sqltemplate_text_at(lexer, end, "}}") || end - start > SLOT_TEXT_MAX)
		return (engine_sqltemplate_fail_at(
		    lexer, at, "`{{` without `}}` (write `{ {` where no slot is meant)"));
	for (i = 0; i < SLOT_NAME_COUNT; i++) {
		const struct slot_name *slot = &slot_names[i];

		if (strlen(slot->text) != end - start ||
		    memcmp(lexer->text + start, slot->text, end - start) != 0)
			continue;
		if (!(lexer->allowed & slot->slot))
			return (engine_sqltemplate_fail_at(
			    lexer, at, "{{%s}} has no value in these statements", slot->text));
		*ret_slot = slot;
		*ret_end = end + 2;
		return (0);
	}
	return (fail_unknown_slot(lexer, at, lexer->text + start, end - start));
}

/* Puts the slot that covers [at, end) of the text into the output and goes on behind it. */
static int
add_slot(struct engine_sqltemplate_lexer *lexer, const struct slot_name *slot, bool is_identifier,
    size_t end)
{
	int r;

	if (!is_identifier && (r = engine_sqltemplate_begin_string(lexer)) != 0)
		return (r);
	engine_sqltemplate_note_content(lexer);
	if ((r = flush_sql(lexer, lexer->at, false)) != 0)
		return (r);
	if ((r = add_part(lexer, is_identifier ? "identifier" : "literal", slot->value,
		 strlen(slot->value))) != 0)
		return (r);
	lexer->used |= (unsigned)slot->slot;
	lexer->at = lexer->piece = end;
	if (!is_identifier)
		engine_sqltemplate_end_string(lexer);
	return (0);
}

/* A slot without quotes of its own: nothing may touch it that would make it a part of something
 * larger. */
int
engine_sqltemplate_lex_bare_slot(struct engine_sqltemplate_lexer *lexer)
{
	const struct slot_name *slot = NULL;
	size_t start = lexer->at, end = 0;
	char before = start > 0 ? lexer->text[start - 1] : '\0', after;
	int r;

	if ((r = read_slot(lexer, start, &slot, &end)) != 0)
		return (r);
	after = engine_sqltemplate_byte_at(lexer, end);
	if (before == '}' || engine_sqltemplate_text_at(lexer, end, "{{"))
		return (engine_sqltemplate_fail_at(lexer, start,
		    "{{%s}} touches another slot: put a blank or a comma between them",
		    slot->text));
	if (engine_sqltemplate_is_word_char(before) || engine_sqltemplate_is_quote(lexer, before) ||
	    before == '&' || engine_sqltemplate_is_word_char(after) ||
	    engine_sqltemplate_is_quote(lexer, after))
		return (engine_sqltemplate_fail_at(lexer, start,
		    "{{%s}} is a part of a longer word or string: a slot stands alone or fills its "
		    "quotes whole",
		    slot->text));
	return (add_slot(lexer, slot, slot->slot == ENGINE_SQLTEMPLATE_NAME, end));
}

/* Does a slot fill the quotes that open here, and nothing else? */
bool
engine_sqltemplate_slot_fills_quotes(
    const struct engine_sqltemplate_lexer *lexer, char quote, size_t *ret_close)
{
	size_t at = lexer->at + 3;

	if (!engine_sqltemplate_text_at(lexer, lexer->at + 1, "{{"))
		return (false);
	while (at < lexer->len && !engine_sqltemplate_text_at(lexer, at, "}}") &&
	       lexer->text[at] != quote)
		at++;
	if (!engine_sqltemplate_text_at(lexer, at, "}}") ||
	    engine_sqltemplate_byte_at(lexer, at + 2) != quote ||
	    engine_sqltemplate_byte_at(lexer, at + 3) == quote)
		return (false);
	*ret_close = at + 2;
	return (true);
}

int
engine_sqltemplate_lex_quoted_slot(struct engine_sqltemplate_lexer *lexer, char quote, size_t close)
{
	const struct slot_name *slot = NULL;
	size_t start = lexer->at, end = 0;
	char before = start > 0 ? lexer->text[start - 1] : '\0';
	bool is_identifier = !engine_sqltemplate_is_string_quote(lexer, quote);
	int r;

	if ((r = read_slot(lexer, start + 1, &slot, &end)) != 0)
		return (r);
	if (engine_sqltemplate_is_word_char(before) || before == '&')
		return (engine_sqltemplate_fail_at(lexer, start,
		    "the quotes around {{%s}} have a prefix: write them without it", slot->text));
	if (engine_sqltemplate_is_word_char(engine_sqltemplate_byte_at(lexer, close + 1)) ||
	    engine_sqltemplate_text_at(lexer, close + 1, "{{"))
		return (engine_sqltemplate_fail_at(
		    lexer, start, "{{%s}} runs into the word behind it", slot->text));
	if (is_identifier && slot->slot != ENGINE_SQLTEMPLATE_NAME)
		return (engine_sqltemplate_fail_at(lexer, start,
		    "{{%s}} in %s would be an identifier: put it in single quotes", slot->text,
		    quote == '"' ? "double quotes" : "backticks"));
	return (add_slot(lexer, slot, is_identifier, close + 1));
}

int
engine_sqltemplate_fail_slot_inside(
    struct engine_sqltemplate_lexer *lexer, size_t at, const char *where)
{
	const struct slot_name *slot = NULL;
	size_t end = 0;
	int r;

	if ((r = read_slot(lexer, at, &slot, &end)) != 0)
		return (r); /* not even a slot: that is the better reason */
	return (engine_sqltemplate_fail_at(lexer, at,
	    "{{%s}} is a part of %s: a slot stands alone or fills its quotes whole", slot->text,
	    where));
}
