/*
 * What hcl.c, hcl_lex.c and hcl_parse.c share: tokens, and the list of positions while it grows.
 */
#ifndef BASE_HCL_PRIVATE_H
#define BASE_HCL_PRIVATE_H

#include <stdbool.h>

#include "base/hcl.h"

#define HCL_TEXT_MAX (1024u * 1024u)
#define HCL_DEPTH_MAX 16
#define HCL_TOKENS_MAX 10000

enum hcl_kind {
	HCL_END,
	HCL_IDENT,
	HCL_STRING, /* quoted or heredoc; text is decoded */
	HCL_NUMBER,
	HCL_OPEN_BRACE,
	HCL_CLOSE_BRACE,
	HCL_OPEN_BRACKET,
	HCL_CLOSE_BRACKET,
	HCL_EQUALS,
	HCL_COMMA,
};

/* text, line_at, column_at describe the token read last; text is NUL-terminated and lives until the
 * next hcl_lexer_next(). */
struct hcl_lexer {
	const char *bytes;
	size_t len, at;
	unsigned line, column; /* of at */
	unsigned tokens;
	enum hcl_kind kind;
	unsigned token_line, token_column;
	char *text; /* owned */
	size_t text_len, text_size;
};

int hcl_lexer_next(struct hcl_lexer *lexer, struct leased_err *err) LEASED_MUST_CHECK;
void hcl_lexer_clear(struct hcl_lexer *lexer);

/* "line:column: text"; returns LEASED_EINVAL. */
int hcl_refuse(unsigned line, unsigned column, struct leased_err *err, const char *fmt, ...)
    LEASED_PRINTF(4, 5);

struct hcl_mark {
	const json_t *object;
	char *key; /* owned; NULL: the object itself */
	struct hcl_position position;
	struct hcl_source source; /* of objects */
};

struct hcl_doc {
	json_t *root;
	struct hcl_mark *marks; /* sorted by object and key once the document is parsed */
	size_t mark_count, mark_size;
	hcl_mistake on_mistake; /* NULL: a key that is set twice ends the parse */
	void *arg;
	json_t *dropped; /* array: what stood where a key was set again. Kept, since marks go by
			    address. */
};

/* Notes where key of object (or object itself: NULL) stands. Of several marks of one place the
 * first counts. */
int hcl_mark_add(struct hcl_doc *doc, const json_t *object, const char *key, unsigned line,
    unsigned column, struct leased_err *err) LEASED_MUST_CHECK;

/* line and column are those of text's first byte. */
int hcl_parse_native(struct hcl_doc *doc, const char *text, size_t len, unsigned line,
    unsigned column, struct leased_err *err) LEASED_MUST_CHECK;
int hcl_parse_json(struct hcl_doc *doc, const char *text, size_t len, unsigned line,
    unsigned column, struct leased_err *err) LEASED_MUST_CHECK;

#endif
