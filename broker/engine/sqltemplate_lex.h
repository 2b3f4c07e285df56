/*
 * Inside of sqltemplate: the lexer's state, and what its two halves call of each other.
 * sqltemplate_lex.c knows tokens, sqltemplate_slot.c knows slots and puts the parts together.
 * Nobody outside of sqltemplate*.c includes this.
 */
#ifndef ENGINE_SQLTEMPLATE_LEX_H
#define ENGINE_SQLTEMPLATE_LEX_H

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "engine/sqltemplate.h"

struct engine_sqltemplate_lexer {
	const char *text;
	size_t len, at;
	enum engine_sqltemplate_dialect dialect;
	unsigned allowed, used;
	bool whole;               /* `;` ends nothing: the element holds END */
	bool has_end;             /* the word END was seen */
	bool has_content;         /* this statement holds more than blanks and comments */
	bool after_string;        /* only blanks and comments since a string ended .. */
	bool newline_since;       /* .. with a line end among them */
	unsigned depth;           /* of parentheses: CREATE RULE .. DO (a; b) is one statement */
	size_t outer_parenthesis; /* where the outermost open one stands */
	size_t piece;             /* where the SQL part being read starts */
	size_t part_count;
	json_t *statements;
	json_t *parts;
	struct leased_err *err;
};

/* One pass over the text, from a zeroed state; the caller frees statements and parts. */
int engine_sqltemplate_lex_text(struct engine_sqltemplate_lexer *lexer) LEASED_MUST_CHECK;

/* LEASED_EINVAL with the line and column (in characters) of at in front. */
int engine_sqltemplate_fail_at(
    struct engine_sqltemplate_lexer *lexer, size_t at, const char *fmt, ...) LEASED_PRINTF(3, 4);

/* A slot at `at` that stands where none may: the reason, or why it is not even a slot. */
int engine_sqltemplate_fail_slot_inside(
    struct engine_sqltemplate_lexer *lexer, size_t at, const char *where);

/* A slot without quotes of its own, at the lexer's place. */
int engine_sqltemplate_lex_bare_slot(struct engine_sqltemplate_lexer *lexer) LEASED_MUST_CHECK;

/* Does a slot fill the quotes that open at the lexer's place, and nothing else? *ret_close: where
 * they close. */
bool engine_sqltemplate_slot_fills_quotes(
    const struct engine_sqltemplate_lexer *lexer, char quote, size_t *ret_close);
int engine_sqltemplate_lex_quoted_slot(
    struct engine_sqltemplate_lexer *lexer, char quote, size_t close) LEASED_MUST_CHECK;

/* A word, a sign or a quoted thing: what makes a statement one, and parts two strings from each
 * other. */
void engine_sqltemplate_note_content(struct engine_sqltemplate_lexer *lexer);

/* Around a string; refused directly after another. */
int engine_sqltemplate_begin_string(struct engine_sqltemplate_lexer *lexer) LEASED_MUST_CHECK;
void engine_sqltemplate_end_string(struct engine_sqltemplate_lexer *lexer);

/* Ends the statement at the lexer's place. One without content is dropped. */
int engine_sqltemplate_finish_statement(struct engine_sqltemplate_lexer *lexer) LEASED_MUST_CHECK;

static inline bool
engine_sqltemplate_is_blank(char c)
{
	return (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v');
}

/* May c stand inside a word, so that what touches it is a part of that word? */
static inline bool
engine_sqltemplate_is_word_char(char c)
{
	return (isalnum((unsigned char)c) || c == '_' || c == '$' || ((unsigned char)c & 0x80));
}

static inline bool
engine_sqltemplate_is_quote(const struct engine_sqltemplate_lexer *lexer, char c)
{
	return (c == '\'' || c == '"' || (c == '`' && lexer->dialect == ENGINE_SQLTEMPLATE_MYSQL));
}

/* Is c the quote of a string, and not of an identifier? */
static inline bool
engine_sqltemplate_is_string_quote(const struct engine_sqltemplate_lexer *lexer, char c)
{
	return (c == '\'' || (c == '"' && lexer->dialect == ENGINE_SQLTEMPLATE_MYSQL));
}

/* The byte at an offset, or NUL behind the end: the text itself holds no NUL. */
static inline char
engine_sqltemplate_byte_at(const struct engine_sqltemplate_lexer *lexer, size_t at)
{
	return (at < lexer->len ? lexer->text[at] : '\0');
}

static inline bool
engine_sqltemplate_text_at(
    const struct engine_sqltemplate_lexer *lexer, size_t at, const char *token)
{
	size_t len = strlen(token);

	return (at <= lexer->len && lexer->len - at >= len &&
		memcmp(lexer->text + at, token, len) == 0);
}

#endif
