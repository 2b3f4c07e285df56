/*
 * Tokens of SQL as the servers' own lexers cut them: words, strings, quoted identifiers, dollar
 * quotes, comments, `;`. Finds where statements end and where slots stand; understands no SQL
 * beyond that. Called by sqltemplate.c.
 */
#include "engine/sqltemplate_lex.h"

#include <strings.h>

/* A string or a quoted identifier; has_escapes: a backslash takes the next byte along. */
static int
lex_quoted(struct engine_sqltemplate_lexer *lexer, bool has_escapes)
{
	char quote = lexer->text[lexer->at];
	size_t at = lexer->at + 1, close = 0;
	int r;

	if (engine_sqltemplate_slot_fills_quotes(lexer, quote, &close))
		return (engine_sqltemplate_lex_quoted_slot(lexer, quote, close));
	if (engine_sqltemplate_is_string_quote(lexer, quote)) {
		if ((r = engine_sqltemplate_begin_string(lexer)) != 0)
			return (r);
	} else {
		engine_sqltemplate_note_content(lexer);
	}
	for (; at < lexer->len; at++) {
		if (engine_sqltemplate_text_at(lexer, at, "{{"))
			return (engine_sqltemplate_fail_slot_inside(lexer, at,
			    engine_sqltemplate_is_string_quote(lexer, quote) ? "a string"
									     : "an identifier"));
		if (has_escapes && lexer->text[at] == '\\') {
			at++;
		} else if (lexer->text[at] == quote) {
			if (engine_sqltemplate_byte_at(lexer, at + 1) != quote)
				break;
			at++;
		}
	}
	if (at >= lexer->len)
		return (engine_sqltemplate_fail_at(
		    lexer, lexer->at, "a quote (%c) that is never closed", quote));
	lexer->at = at + 1;
	if (engine_sqltemplate_is_string_quote(lexer, quote))
		engine_sqltemplate_end_string(lexer);
	return (0);
}

/* PostgreSQL: $$ .. $$ or $tag$ .. $tag$; else a parameter or a lone sign. */
static int
lex_dollar(struct engine_sqltemplate_lexer *lexer)
{
	size_t start = lexer->at, body = start + 1, tag_len, at;

	engine_sqltemplate_note_content(lexer);
	if (!isdigit((unsigned char)engine_sqltemplate_byte_at(lexer, body)))
		while (engine_sqltemplate_is_word_char(engine_sqltemplate_byte_at(lexer, body)) &&
		       lexer->text[body] != '$')
			body++;
	if (engine_sqltemplate_byte_at(lexer, body) != '$') {
		lexer->at++;
		return (0);
	}
	body++;
	tag_len = body - start;
	for (at = body; at < lexer->len; at++) {
		if (engine_sqltemplate_text_at(lexer, at, "{{"))
			return (
			    engine_sqltemplate_fail_slot_inside(lexer, at, "a dollar-quoted text"));
		if (lexer->len - at >= tag_len &&
		    memcmp(lexer->text + at, lexer->text + start, tag_len) == 0) {
			lexer->at = at + tag_len;
			return (0);
		}
	}
	return (
	    engine_sqltemplate_fail_at(lexer, start, "a dollar quote (%.*s) that is never closed",
		(int)(tag_len < 64 ? tag_len : 64), lexer->text + start));
}

static int
lex_word(struct engine_sqltemplate_lexer *lexer)
{
	size_t start = lexer->at, len;

	engine_sqltemplate_note_content(lexer);
	while (engine_sqltemplate_is_word_char(engine_sqltemplate_byte_at(lexer, lexer->at)))
		lexer->at++;
	len = lexer->at - start;
	if (len == 3 && strncasecmp(lexer->text + start, "END", 3) == 0)
		lexer->has_end = true;
	if (lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL && len == 1 &&
	    (lexer->text[start] == 'e' || lexer->text[start] == 'E') &&
	    engine_sqltemplate_byte_at(lexer, lexer->at) == '\'')
		return (lex_quoted(lexer, true));
	return (0);
}

static bool
line_comment_starts(const struct engine_sqltemplate_lexer *lexer)
{
	char third;

	if (lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL)
		return (engine_sqltemplate_text_at(lexer, lexer->at, "--"));
	third = engine_sqltemplate_byte_at(
	    lexer, lexer->at + 2); /* MySQL: `--` alone is two minus signs */
	return (engine_sqltemplate_byte_at(lexer, lexer->at) == '#' ||
		(engine_sqltemplate_text_at(lexer, lexer->at, "--") &&
		    (third == '\0' || engine_sqltemplate_is_blank(third) ||
			iscntrl((unsigned char)third))));
}

static int
lex_line_comment(struct engine_sqltemplate_lexer *lexer)
{
	bool ends_at_return = lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL;
	char c;

	for (; lexer->at < lexer->len; lexer->at++) {
		c = lexer->text[lexer->at];
		if (c == '\n' || (c == '\r' && ends_at_return))
			break;
		if (engine_sqltemplate_text_at(lexer, lexer->at, "{{"))
			return (engine_sqltemplate_fail_slot_inside(lexer, lexer->at, "a comment"));
	}
	return (0);
}

/* Block comments nest in PostgreSQL and not in MySQL. */
static int
lex_block_comment(struct engine_sqltemplate_lexer *lexer)
{
	size_t start = lexer->at;
	unsigned depth = 0;

	if (lexer->dialect == ENGINE_SQLTEMPLATE_MYSQL &&
	    (engine_sqltemplate_text_at(lexer, start, "/*!") ||
		engine_sqltemplate_text_at(lexer, start, "/*M!")))
		return (engine_sqltemplate_fail_at(lexer, start,
		    "a comment that the server executes (/*! .. */): write the statement itself"));
	while (lexer->at < lexer->len) {
		if (engine_sqltemplate_text_at(lexer, lexer->at, "/*") &&
		    (depth == 0 || lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL)) {
			depth++;
			lexer->at += 2;
		} else if (engine_sqltemplate_text_at(lexer, lexer->at, "*/")) {
			lexer->at += 2;
			if (--depth == 0)
				return (0);
		} else if (engine_sqltemplate_text_at(lexer, lexer->at, "{{")) {
			return (engine_sqltemplate_fail_slot_inside(lexer, lexer->at, "a comment"));
		} else {
			lexer->newline_since |= lexer->text[lexer->at] == '\n';
			lexer->at++;
		}
	}
	return (engine_sqltemplate_fail_at(lexer, start, "a comment (/*) that is never closed"));
}

/* A sign that starts nothing; `;` outside parentheses ends the statement. */
static int
lex_sign(struct engine_sqltemplate_lexer *lexer)
{
	char c = lexer->text[lexer->at];
	int r;

	if (c == ';' && lexer->depth == 0 && !lexer->whole) {
		r = engine_sqltemplate_finish_statement(lexer);
		lexer->at++;
		lexer->piece = lexer->at;
		return (r);
	}
	if (c == '(' && lexer->depth++ == 0)
		lexer->outer_parenthesis = lexer->at;
	if (c == ')' && lexer->depth-- == 0)
		return (engine_sqltemplate_fail_at(lexer, lexer->at, "a `)` without its `(`"));
	if (c != ';')
		engine_sqltemplate_note_content(lexer);
	else
		lexer->after_string = false;
	lexer->at++;
	return (0);
}

static int
lex_next(struct engine_sqltemplate_lexer *lexer)
{
	char c = lexer->text[lexer->at];

	if (engine_sqltemplate_is_blank(c)) {
		lexer->newline_since |= c == '\n' || c == '\r';
		lexer->at++;
		return (0);
	}
	if (engine_sqltemplate_text_at(lexer, lexer->at, "{{"))
		return (engine_sqltemplate_lex_bare_slot(lexer));
	if (line_comment_starts(lexer))
		return (lex_line_comment(lexer));
	if (engine_sqltemplate_text_at(lexer, lexer->at, "/*"))
		return (lex_block_comment(lexer));
	if (engine_sqltemplate_is_quote(lexer, c))
		return (lex_quoted(lexer, lexer->dialect == ENGINE_SQLTEMPLATE_MYSQL && c != '`'));
	if (c == '$' && lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL)
		return (lex_dollar(lexer));
	if (engine_sqltemplate_is_word_char(c) &&
	    !(isdigit((unsigned char)c) && lexer->dialect == ENGINE_SQLTEMPLATE_POSTGRESQL))
		return (lex_word(lexer));
	return (lex_sign(lexer));
}

/* One pass over the text; the caller frees lexer->statements and parts. */
int
engine_sqltemplate_lex_text(struct engine_sqltemplate_lexer *lexer)
{
	int r;

	lexer->statements = json_array();
	lexer->parts = json_array();
	if (lexer->statements == NULL || lexer->parts == NULL)
		return (leased_err_set(lexer->err, LEASED_ENOMEM, "out of memory"));
	while (lexer->at < lexer->len)
		if ((r = lex_next(lexer)) != 0)
			return (r);
	if (lexer->depth > 0)
		return (engine_sqltemplate_fail_at(
		    lexer, lexer->outer_parenthesis, "a `(` that is never closed"));
	return (engine_sqltemplate_finish_statement(lexer));
}
