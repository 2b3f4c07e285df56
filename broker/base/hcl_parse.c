/*
 * HCL, the sentences: tokens to a jansson tree, marking where each key stood; and the same marks
 * for a text that is JSON. Both recurse at most HCL_DEPTH_MAX deep. Called by hcl_parse() alone.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl_private.h"
#include "base/jdec_private.h"
#include "base/utf8.h"

struct parser {
	struct hcl_doc *doc;
	struct hcl_lexer lexer;
	unsigned depth;
};

static int parse_body(struct parser *p, json_t *object, bool braced, struct leased_err *err);
static int parse_value(struct parser *p, unsigned key_line, unsigned key_column, json_t **ret_value,
    struct leased_err *err);

static int
out_of_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
refuse_token(struct parser *p, const char *why, struct leased_err *err)
{
	return (hcl_refuse(p->lexer.token_line, p->lexer.token_column, err, "%s", why));
}

static int
deeper(struct parser *p, struct leased_err *err)
{
	if (++p->depth > HCL_DEPTH_MAX)
		return (leased_err_set(
		    err, LEASED_ETOOBIG, "the text is nested more than %d deep", HCL_DEPTH_MAX));
	return (0);
}

/* JSON's grammar for numbers: no leading zero (is 010 eight or ten?), no hexadecimal. */
static bool
is_number(const char *text)
{
	size_t digits;

	text += *text == '-' ? 1 : 0;
	digits = strspn(text, "0123456789");
	if (digits == 0 || (digits > 1 && text[0] == '0'))
		return (false);
	text += digits;
	if (*text == '.') {
		digits = strspn(++text, "0123456789");
		if (digits == 0)
			return (false);
		text += digits;
	}
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+' ? 1 : 0;
		digits = strspn(text, "0123456789");
		if (digits == 0)
			return (false);
		text += digits;
	}
	return (*text == '\0');
}

static int
parse_number(struct parser *p, json_t **ret_value, struct leased_err *err)
{
	const char *text = p->lexer.text;
	json_t *value = NULL;

	if (!is_number(text))
		return (refuse_token(
		    p, "not a number; a text must be quoted, as in \"1h\" or \"0660\"", err));
	errno = 0;
	if (strpbrk(text, ".eE") == NULL) {
		long long number = strtoll(text, NULL, 10);

		if (errno != 0)
			return (refuse_token(p, "this number is out of range", err));
		value = json_integer(number);
	} else {
		double number = strtod(text, NULL);

		if (!isfinite(number))
			return (refuse_token(p, "this number is out of range", err));
		value = json_real(number);
	}
	if (value == NULL)
		return (out_of_memory(err));
	*ret_value = value;
	return (0);
}

/* Behind the '['. */
static int
parse_list(struct parser *p, json_t *list, struct leased_err *err)
{
	int r;

	if ((r = deeper(p, err)) != 0)
		return (r);
	for (;;) {
		json_t *value = NULL;

		if ((r = hcl_lexer_next(&p->lexer, err)) != 0)
			return (r);
		if (p->lexer.kind == HCL_CLOSE_BRACKET)
			break;
		r = parse_value(p, p->lexer.token_line, p->lexer.token_column, &value, err);
		if (r != 0)
			return (r);
		if (json_array_append_new(list, value) != 0)
			return (out_of_memory(err));
		if ((r = hcl_lexer_next(&p->lexer, err)) != 0)
			return (r);
		if (p->lexer.kind == HCL_CLOSE_BRACKET)
			break;
		if (p->lexer.kind != HCL_COMMA)
			return (refuse_token(p, "a ',' or the ']' of this list is missing", err));
	}
	p->depth--;
	return (0);
}

/* The token at hand starts the value; object values are marked with the key's place. */
static int
parse_value(struct parser *p, unsigned key_line, unsigned key_column, json_t **ret_value,
    struct leased_err *err)
{
	json_t *value = NULL;
	int r = 0;

	switch (p->lexer.kind) {
	case HCL_STRING:
		value = json_stringn(p->lexer.text, p->lexer.text_len);
		break;
	case HCL_NUMBER:
		return (parse_number(p, ret_value, err));
	case HCL_IDENT:
		if (strcmp(p->lexer.text, "true") != 0 && strcmp(p->lexer.text, "false") != 0)
			return (hcl_refuse(p->lexer.token_line, p->lexer.token_column, err,
			    "a text must be quoted: \"%.64s\"", p->lexer.text));
		value = json_boolean(p->lexer.text[0] == 't');
		break;
	case HCL_OPEN_BRACKET:
		if ((value = json_array()) != NULL)
			r = parse_list(p, value, err);
		break;
	case HCL_OPEN_BRACE:
		if ((value = json_object()) != NULL &&
		    (r = hcl_mark_add(p->doc, value, NULL, key_line, key_column, err)) == 0)
			r = parse_body(p, value, true, err);
		break;
	case HCL_END:
	case HCL_CLOSE_BRACE:
	case HCL_CLOSE_BRACKET:
	case HCL_EQUALS:
	case HCL_COMMA:
		return (refuse_token(p, "a value is missing here", err));
	}
	if (r == 0 && value == NULL)
		r = out_of_memory(err);
	if (r != 0) {
		json_decref(value);
		return (r);
	}
	*ret_value = value;
	return (0);
}

struct item {
	char *key, *label; /* owned; label NULL: none */
	unsigned line, column;
};

static int
set_twice(struct parser *p, const json_t *object, const struct item *item, struct leased_err *err)
{
	struct hcl_position first = {0, 0};

	/* The marks are not sorted yet; this is the only search before they are, and it ends the
	 * parse. */
	for (size_t i = 0; first.line == 0 && i < p->doc->mark_count; i++)
		if (p->doc->marks[i].object == object && p->doc->marks[i].key != NULL &&
		    strcmp(p->doc->marks[i].key, item->key) == 0)
			first = p->doc->marks[i].position;
	return (hcl_refuse(item->line, item->column, err,
	    "\"%.64s\" is set twice; first in line %u", item->key, first.line));
}

/* key = value, the token at hand being the '='. */
static int
parse_attribute(struct parser *p, json_t *object, const struct item *item, struct leased_err *err)
{
	json_t *value = NULL;
	int r;

	if (json_object_get(object, item->key) != NULL)
		return (set_twice(p, object, item, err));
	if ((r = hcl_lexer_next(&p->lexer, err)) != 0 ||
	    (r = parse_value(p, item->line, item->column, &value, err)) != 0)
		return (r);
	if (json_object_set_new(object, item->key, value) != 0)
		return (out_of_memory(err));
	return (hcl_mark_add(p->doc, object, item->key, item->line, item->column, err));
}

/* The array that collects the blocks called key. */
static int
block_array(struct parser *p, json_t *object, const struct item *item, json_t **ret_array,
    struct leased_err *err)
{
	json_t *array = json_object_get(object, item->key);

	if (array == NULL) {
		if ((array = json_array()) == NULL ||
		    json_object_set_new(object, item->key, array) != 0)
			return (out_of_memory(err));
		*ret_array = array;
		return (hcl_mark_add(p->doc, object, item->key, item->line, item->column, err));
	}
	/* key = [..] before is no block: its elements were not made here, and have no mark of their
	 * own for the key. */
	if (!json_is_array(array) || json_array_size(array) == 0 ||
	    !json_is_object(json_array_get(array, 0)))
		return (set_twice(p, object, item, err));
	*ret_array = array;
	return (0);
}

/* key {..} or key "label" {..}, the token at hand being the '{'. */
static int
parse_block(struct parser *p, json_t *object, const struct item *item, struct leased_err *err)
{
	json_t *array = NULL, *body = json_object(), *element = body;
	int r;

	if (body == NULL)
		return (out_of_memory(err));
	if (item->label != NULL) {
		if ((element = json_object()) == NULL ||
		    json_object_set_new(element, item->label, body) != 0) {
			json_decref(element);
			return (out_of_memory(err));
		}
	}
	if ((r = block_array(p, object, item, &array, err)) != 0) {
		json_decref(element);
		return (r);
	}
	if (json_array_append_new(array, element) != 0)
		return (out_of_memory(err));
	if (item->label != NULL &&
	    (r = hcl_mark_add(p->doc, element, item->label, item->line, item->column, err)) != 0)
		return (r);
	if ((r = hcl_mark_add(p->doc, body, NULL, item->line, item->column, err)) != 0)
		return (r);
	return (parse_body(p, body, true, err));
}

static int
take_text(struct parser *p, char **ret_text, struct leased_err *err)
{
	if (p->lexer.kind != HCL_IDENT && p->lexer.kind != HCL_STRING)
		return (refuse_token(p, "a name is missing here", err));
	if (p->lexer.text_len == 0)
		return (refuse_token(p, "a name must not be empty", err));
	if ((*ret_text = strdup(p->lexer.text)) == NULL)
		return (out_of_memory(err));
	return (0);
}

static int
parse_item(struct parser *p, json_t *object, struct leased_err *err)
{
	struct item item = {.line = p->lexer.token_line, .column = p->lexer.token_column};
	int r;

	if ((r = take_text(p, &item.key, err)) != 0 || (r = hcl_lexer_next(&p->lexer, err)) != 0)
		goto out;
	if (p->lexer.kind == HCL_EQUALS) {
		r = parse_attribute(p, object, &item, err);
		goto out;
	}
	if (p->lexer.kind == HCL_IDENT || p->lexer.kind == HCL_STRING) {
		if ((r = take_text(p, &item.label, err)) != 0 ||
		    (r = hcl_lexer_next(&p->lexer, err)) != 0)
			goto out;
	}
	if (p->lexer.kind != HCL_OPEN_BRACE) {
		r = hcl_refuse(p->lexer.token_line, p->lexer.token_column, err,
		    item.label != NULL ? "a '{' is missing behind the name of this block"
				       : "a '=' or a '{' is missing here");
		goto out;
	}
	r = parse_block(p, object, &item, err);
out:
	free(item.key);
	free(item.label);
	return (r);
}

/* Items up to the '}' (braced) or the end of the text. */
static int
parse_body(struct parser *p, json_t *object, bool braced, struct leased_err *err)
{
	unsigned line = p->lexer.token_line, column = p->lexer.token_column;
	bool comma_may_come = false;
	int r;

	if ((r = deeper(p, err)) != 0)
		return (r);
	for (;;) {
		if ((r = hcl_lexer_next(&p->lexer, err)) != 0)
			return (r);
		if (p->lexer.kind == (braced ? HCL_CLOSE_BRACE : HCL_END))
			break;
		if (p->lexer.kind == HCL_END)
			return (hcl_refuse(line, column, err, "this '{' is not closed"));
		if (p->lexer.kind == HCL_COMMA && braced && comma_may_come) {
			comma_may_come = false;
			continue;
		}
		if ((r = parse_item(p, object, err)) != 0)
			return (r);
		comma_may_come = true;
	}
	p->depth--;
	return (0);
}

int
hcl_parse_native(struct hcl_doc *doc, const char *text, size_t len, struct leased_err *err)
{
	struct parser p = {
	    .doc = doc, .lexer = {.bytes = text, .len = len, .line = 1, .column = 1}};
	int r;

	if (!utf8_is_valid(text, len))
		return (leased_err_set(err, LEASED_EINVAL, "1:1: the text is not valid UTF-8"));
	if ((doc->root = json_object()) == NULL)
		return (out_of_memory(err));
	r = hcl_mark_add(doc, doc->root, NULL, 1, 1, err);
	if (r == 0)
		r = parse_body(&p, doc->root, false, err);
	hcl_lexer_clear(&p.lexer);
	return (r);
}

/* A walk through a text that is known to be good JSON, beside the tree made of it, only to see
 * where keys stand. */
struct walk {
	struct hcl_doc *doc;
	const char *at, *end;
	unsigned line, column;
};

static void
walk_step(struct walk *walk)
{
	if (*walk->at++ == '\n') {
		walk->line++;
		walk->column = 1;
	} else {
		walk->column++;
	}
}

/* Over blanks and signs that carry no structure here. */
static void
walk_blanks(struct walk *walk)
{
	while (walk->at < walk->end && memchr(" \t\r\n,:", *walk->at, 6) != NULL)
		walk_step(walk);
}

static void
walk_string(struct walk *walk)
{
	walk_step(walk);
	while (walk->at < walk->end && *walk->at != '"') {
		if (*walk->at == '\\')
			walk_step(walk);
		if (walk->at < walk->end)
			walk_step(walk);
	}
	if (walk->at < walk->end)
		walk_step(walk);
}

static int walk_value(
    struct walk *walk, const json_t *value, unsigned line, unsigned column, struct leased_err *err);

static int
walk_object(struct walk *walk, const json_t *object, struct leased_err *err)
{
	const char *key;
	json_t *value = NULL;
	int r;

	/* Members are iterated in the order in which they came, and none came twice. */
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		unsigned line, column;

		walk_blanks(walk);
		line = walk->line;
		column = walk->column;
		if ((r = hcl_mark_add(walk->doc, object, key, line, column, err)) != 0)
			return (r);
		walk_string(walk);
		if ((r = walk_value(walk, value, line, column, err)) != 0)
			return (r);
	}
	return (0);
}

/* line and column: where the object is said to begin. */
static int
walk_value(
    struct walk *walk, const json_t *value, unsigned line, unsigned column, struct leased_err *err)
{
	int r = 0;

	walk_blanks(walk);
	if (json_is_string(value)) {
		walk_string(walk);
		return (0);
	}
	if (json_is_array(value)) {
		walk_step(walk);
		for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
			walk_blanks(walk);
			r = walk_value(
			    walk, json_array_get(value, i), walk->line, walk->column, err);
		}
	} else if (json_is_object(value)) {
		walk_step(walk);
		if ((r = hcl_mark_add(walk->doc, value, NULL, line, column, err)) == 0)
			r = walk_object(walk, value, err);
	} else {
		while (walk->at < walk->end && memchr(" \t\r\n,:]}", *walk->at, 8) == NULL)
			walk_step(walk);
		return (0);
	}
	if (r != 0)
		return (r);
	walk_blanks(walk);
	if (walk->at < walk->end)
		walk_step(walk); /* the closing bracket */
	return (0);
}

int
hcl_parse_json(struct hcl_doc *doc, const char *text, size_t len, struct leased_err *err)
{
	struct walk walk = {.doc = doc, .at = text, .end = text + len, .line = 1, .column = 1};
	unsigned line, column;
	int r;

	r = jdec_parse_located(text, len, NULL, &doc->root, &line, &column, err);
	if (r == LEASED_EINVAL)
		(void)leased_err_prefix(err, "%u:%u", line, column);
	if (r != 0)
		return (r);
	return (walk_value(&walk, doc->root, 1, 1, err));
}
