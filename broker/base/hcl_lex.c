/*
 * HCL, the words: bytes to tokens with their positions, strings and heredocs decoded. It builds no
 * tree and counts tokens, so that a hostile text costs a bounded amount. Called by hcl_parse.c
 * alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hcl_private.h"
#include "base/utf8.h"

static int
refuse_here(struct hcl_lexer *lexer, const char *why, struct leased_err *err)
{
	return (hcl_refuse(lexer->line, lexer->column, err, "%s", why));
}

static char
peek(const struct hcl_lexer *lexer, size_t ahead)
{
	return (ahead < lexer->len - lexer->at ? lexer->bytes[lexer->at + ahead] : '\0');
}

static void
step(struct hcl_lexer *lexer, size_t count)
{
	for (; count > 0 && lexer->at < lexer->len; count--) {
		if (lexer->bytes[lexer->at++] == '\n') {
			lexer->line++;
			lexer->column = 1;
		} else {
			lexer->column++;
		}
	}
}

static int
text_append(struct hcl_lexer *lexer, const char *bytes, size_t len, struct leased_err *err)
{
	if (lexer->text_size - lexer->text_len <= len) {
		size_t size = (lexer->text_len + len + 1) * 2;
		char *text = realloc(lexer->text, size);

		if (text == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		lexer->text = text;
		lexer->text_size = size;
	}
	memcpy(lexer->text + lexer->text_len, bytes, len);
	lexer->text_len += len;
	lexer->text[lexer->text_len] = '\0';
	return (0);
}

static bool
is_word(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '-' || c == '.');
}

/* Over a comment that ends with the line, or, block, with its own mark. */
static int
skip_comment(struct hcl_lexer *lexer, bool block, struct leased_err *err)
{
	unsigned line = lexer->line, column = lexer->column;

	step(lexer, block ? 2 : 1);
	while (lexer->at < lexer->len) {
		char c = peek(lexer, 0);

		if (c == '\0')
			return (refuse_here(lexer, "a comment holds a NUL", err));
		if (block && c == '*' && peek(lexer, 1) == '/') {
			step(lexer, 2);
			return (0);
		}
		if (!block && c == '\n')
			return (0);
		step(lexer, 1);
	}
	return (block ? hcl_refuse(line, column, err, "this comment is not closed") : 0);
}

/* Blanks and comments. */
static int
skip_blanks(struct hcl_lexer *lexer, struct leased_err *err)
{
	int r = 0;

	while (r == 0 && lexer->at < lexer->len) {
		char c = peek(lexer, 0), next = peek(lexer, 1);

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			step(lexer, 1);
		else if (c == '#' || (c == '/' && (next == '/' || next == '*')))
			r = skip_comment(lexer, c == '/' && next == '*', err);
		else
			break;
	}
	return (r);
}

/* \uXXXX or \UXXXXXXXX: digits hexadecimal digits behind the letter. */
static int
read_rune(struct hcl_lexer *lexer, unsigned digits, struct leased_err *err)
{
	uint32_t rune = 0;
	char bytes[4];
	size_t len;

	for (unsigned i = 0; i < digits; i++) {
		const char *all = "0123456789abcdef";
		char c = peek(lexer, 2 + i);
		const char *found = memchr(all, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c, 16);

		if (found == NULL)
			return (
			    refuse_here(lexer, "this escape needs more hexadecimal digits", err));
		rune = rune << 4 | (uint32_t)(found - all);
	}
	len = utf8_encode(rune, bytes);
	if (len == 0 || rune == 0)
		return (refuse_here(lexer, "this escape is no character", err));
	step(lexer, 2 + digits);
	return (text_append(lexer, bytes, len, err));
}

static int
read_escape(struct hcl_lexer *lexer, struct leased_err *err)
{
	static const char from[] = "nrt\\\"", to[] = "\n\r\t\\\"";
	char c = peek(lexer, 1);
	const char *found;

	if (c == 'u')
		return (read_rune(lexer, 4, err));
	if (c == 'U')
		return (read_rune(lexer, 8, err));
	if (c == '\0' || (found = strchr(from, c)) == NULL)
		return (refuse_here(
		    lexer, "unknown escape; known are \\n \\r \\t \\\\ \\\" \\uXXXX", err));
	step(lexer, 2);
	return (text_append(lexer, &to[found - from], 1, err));
}

static int
read_string(struct hcl_lexer *lexer, struct leased_err *err)
{
	int r = 0;

	step(lexer, 1);
	while (r == 0) {
		char c = peek(lexer, 0);

		if (lexer->at == lexer->len || c == '\n')
			return (hcl_refuse(lexer->token_line, lexer->token_column, err,
			    "this string is not closed"));
		if (c == '"')
			break;
		if (c == '$' && peek(lexer, 1) == '{')
			return (refuse_here(lexer, "interpolation with ${ is not supported", err));
		if (c == '\\') {
			r = read_escape(lexer, err);
		} else if ((unsigned char)c < 0x20 && c != '\t') {
			return (refuse_here(lexer, "a string holds a control character", err));
		} else {
			r = text_append(lexer, &c, 1, err);
			step(lexer, 1);
		}
	}
	step(lexer, 1);
	return (r);
}

/* The length of the line at at, its LF not counted. */
static size_t
line_length(const struct hcl_lexer *lexer, size_t at)
{
	const char *end = memchr(lexer->bytes + at, '\n', lexer->len - at);

	return (end != NULL ? (size_t)(end - lexer->bytes) - at : lexer->len - at);
}

static size_t
indent_of(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && (line[n] == ' ' || line[n] == '\t'))
		n++;
	return (n);
}

struct heredoc {
	const char *marker;
	size_t marker_len;
	bool indented; /* <<-: the blanks that all lines share are left out, and the marker may be
			  indented */
	size_t shared_indent;
};

static bool
is_heredoc_end(const struct heredoc *here, const char *line, size_t len)
{
	size_t skip = here->indented ? indent_of(line, len) : 0;

	if (len > skip && line[len - 1] == '\r')
		len--;
	return (len - skip == here->marker_len &&
		memcmp(line + skip, here->marker, here->marker_len) == 0);
}

/* Finds the end of the heredoc whose first line starts at lexer->at, and the indentation its lines
 * share. */
static int
measure_heredoc(
    struct hcl_lexer *lexer, struct heredoc *here, size_t *ret_end, struct leased_err *err)
{
	size_t at = lexer->at, shared = SIZE_MAX;

	while (at < lexer->len) {
		const char *line = lexer->bytes + at;
		size_t len = line_length(lexer, at), indent = indent_of(line, len);

		if (is_heredoc_end(here, line, len)) {
			here->shared_indent = here->indented && shared != SIZE_MAX ? shared : 0;
			*ret_end = at;
			return (0);
		}
		if (memchr(line, '\0', len) != NULL || memmem(line, len, "${", 2) != NULL)
			return (hcl_refuse(lexer->token_line, lexer->token_column, err,
			    "this text holds a NUL or an interpolation with ${, which is not "
			    "supported"));
		if (indent < len && indent < shared)
			shared = indent;
		at += len + 1;
	}
	return (hcl_refuse(lexer->token_line, lexer->token_column, err,
	    "no line that holds only %.*s ends this text", (int)here->marker_len, here->marker));
}

static int
read_heredoc(struct hcl_lexer *lexer, struct leased_err *err)
{
	struct heredoc here = {.indented = peek(lexer, 2) == '-'};
	size_t end, line_len;
	int r;

	step(lexer, here.indented ? 3 : 2);
	here.marker = lexer->bytes + lexer->at;
	while (is_word(peek(lexer, here.marker_len)))
		here.marker_len++;
	if (here.marker_len == 0 || here.marker_len > 64)
		return (refuse_here(lexer, "a name such as EOF must follow <<", err));
	step(lexer, here.marker_len);
	if (peek(lexer, 0) == '\r')
		step(lexer, 1);
	if (peek(lexer, 0) != '\n')
		return (
		    refuse_here(lexer, "the line must end behind the name that follows <<", err));
	step(lexer, 1);
	if ((r = measure_heredoc(lexer, &here, &end, err)) != 0)
		return (r);
	while (lexer->at < end) {
		const char *line = lexer->bytes + lexer->at;
		size_t skip = indent_of(line, line_length(lexer, lexer->at));

		line_len = line_length(lexer, lexer->at) + 1;
		skip = skip < here.shared_indent ? skip : here.shared_indent;
		if ((r = text_append(lexer, line + skip, line_len - skip, err)) != 0)
			return (r);
		step(lexer, line_len);
	}
	line_len = line_length(lexer, end);
	step(lexer, line_len);
	return (0);
}

/* A name, a bool or a number: what starts with a digit or a sign is a number. */
static int
read_word(struct hcl_lexer *lexer, struct leased_err *err)
{
	const char *start = lexer->bytes + lexer->at;
	bool number = start[0] == '-' || (start[0] >= '0' && start[0] <= '9');
	size_t len = 0;

	while (is_word(peek(lexer, len)) || (number && peek(lexer, len) == '+'))
		len++;
	lexer->kind = number ? HCL_NUMBER : HCL_IDENT;
	step(lexer, len);
	return (text_append(lexer, start, len, err));
}

int
hcl_lexer_next(struct hcl_lexer *lexer, struct leased_err *err)
{
	static const char punctuation[] = "{}[]=,";
	static const enum hcl_kind kinds[] = {HCL_OPEN_BRACE, HCL_CLOSE_BRACE, HCL_OPEN_BRACKET,
	    HCL_CLOSE_BRACKET, HCL_EQUALS, HCL_COMMA};
	const char *found;
	char c;
	int r;

	if ((r = skip_blanks(lexer, err)) != 0)
		return (r);
	lexer->token_line = lexer->line;
	lexer->token_column = lexer->column;
	lexer->text_len = 0;
	if ((r = text_append(lexer, "", 0, err)) != 0)
		return (r);
	if (lexer->at == lexer->len) {
		lexer->kind = HCL_END;
		return (0);
	}
	if (++lexer->tokens > HCL_TOKENS_MAX)
		return (leased_err_set(err, LEASED_ETOOBIG,
		    "the text has more than %d words and signs", HCL_TOKENS_MAX));
	c = peek(lexer, 0);
	if (c != '\0' && (found = strchr(punctuation, c)) != NULL) {
		lexer->kind = kinds[found - punctuation];
		step(lexer, 1);
		return (0);
	}
	if (c == '"' || (c == '<' && peek(lexer, 1) == '<')) {
		lexer->kind = HCL_STRING;
		return (c == '"' ? read_string(lexer, err) : read_heredoc(lexer, err));
	}
	if (is_word(c) && c != '.')
		return (read_word(lexer, err));
	return (refuse_here(lexer, "unexpected character", err));
}

void
hcl_lexer_clear(struct hcl_lexer *lexer)
{
	free(lexer->text);
	*lexer = (struct hcl_lexer){0};
}
