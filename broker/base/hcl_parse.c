/*
 * HCL, the sentences: tokens to a jansson tree, marking where each key stood; and the same marks
 * for a text that is JSON. Both recurse at most HCL_DEPTH_MAX deep. Called by hcl_parse() alone.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl_private.h"
#include "base/utf8.h"

struct parser {
	struct hcl_doc *doc;
	struct hcl_lexer lexer;
	unsigned depth;
};

static int parse_object(
    struct parser *p, json_t *object, unsigned line, unsigned column, struct leased_err *err);
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
		if ((value = json_object()) != NULL)
			r = parse_object(p, value, key_line, key_column, err);
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

/* 0 when somebody wants to hear of it and go on. */
static int
set_twice(struct parser *p, const json_t *object, const struct item *item, struct leased_err *err)
{
	struct hcl_position first = {0, 0};
	struct leased_err why;

	/* The marks are not sorted yet; this is the only search before they are. */
	for (size_t i = 0; first.line == 0 && i < p->doc->mark_count; i++)
		if (p->doc->marks[i].object == object && p->doc->marks[i].key != NULL &&
		    strcmp(p->doc->marks[i].key, item->key) == 0)
			first = p->doc->marks[i].position;
	if (p->doc->on_mistake == NULL)
		return (hcl_refuse(item->line, item->column, err,
		    "\"%.64s\" is set twice; first in line %u", item->key, first.line));
	(void)hcl_refuse(item->line, item->column, &why, "\"%.64s\" is set twice; first in line %u",
	    item->key, first.line);
	p->doc->on_mistake(p->doc->arg, why.text);
	return (0);
}

/* Takes value. */
static int
drop(struct parser *p, json_t *value, struct leased_err *err)
{
	if (p->doc->dropped == NULL)
		p->doc->dropped = json_array();
	if (json_array_append_new(p->doc->dropped, value) != 0)
		return (out_of_memory(err));
	return (0);
}

/* key = value, the token at hand being the '='. */
static int
parse_attribute(struct parser *p, json_t *object, const struct item *item, struct leased_err *err)
{
	bool twice = json_object_get(object, item->key) != NULL;
	json_t *value = NULL;
	int r;

	if (twice && (r = set_twice(p, object, item, err)) != 0)
		return (r);
	if ((r = hcl_lexer_next(&p->lexer, err)) != 0 ||
	    (r = parse_value(p, item->line, item->column, &value, err)) != 0)
		return (r);
	if (twice)
		return (drop(p, value, err));
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
	int r;

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
	    !json_is_object(json_array_get(array, 0))) {
		if ((r = set_twice(p, object, item, err)) != 0)
			return (r);
		if ((array = json_array()) == NULL)
			return (out_of_memory(err));
		if ((r = drop(p, array, err)) != 0)
			return (r);
	}
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
		if ((element = json_object()) == NULL) {
			json_decref(body);
			return (out_of_memory(err));
		}
		if (json_object_set_new(element, item->label, body) != 0) {
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
	return (parse_object(p, body, item->line, item->column, err));
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

/* Behind the '{': the mark of object with its source, then what is in it. */
static int
parse_object(
    struct parser *p, json_t *object, unsigned line, unsigned column, struct leased_err *err)
{
	size_t index = p->doc->mark_count, start = p->lexer.at;
	struct hcl_source source = {
	    .start = start, .position = {.line = p->lexer.line, .column = p->lexer.column}};
	int r;

	if ((r = hcl_mark_add(p->doc, object, NULL, line, column, err)) != 0 ||
	    (r = parse_body(p, object, true, err)) != 0)
		return (r);
	source.len = p->lexer.at - 1 - start; /* the '}' has been read */
	p->doc->marks[index].source = source;
	return (0);
}

static int
check_utf8(const char *text, size_t len, unsigned line, unsigned column, struct leased_err *err)
{
	uint32_t rune;
	size_t at = 0, size;

	while (at < len && (size = utf8_decode(text + at, len - at, &rune)) > 0) {
		column = rune == '\n' ? 1 : column + (unsigned)size;
		line += rune == '\n';
		at += size;
	}
	if (at < len)
		return (hcl_refuse(line, column, err, "the text is not valid UTF-8 from here on"));
	return (0);
}

int
hcl_parse_native(struct hcl_doc *doc, const char *text, size_t len, unsigned line, unsigned column,
    struct leased_err *err)
{
	struct parser p = {
	    .doc = doc, .lexer = {.bytes = text, .len = len, .line = line, .column = column}};
	int r;

	if ((r = check_utf8(text, len, line, column, err)) != 0)
		return (r);
	if ((doc->root = json_object()) == NULL)
		return (out_of_memory(err));
	if ((r = hcl_mark_add(doc, doc->root, NULL, line, column, err)) != 0)
		return (r);
	doc->marks[0].source =
	    (struct hcl_source){.len = len, .position = {.line = line, .column = column}};
	r = parse_body(&p, doc->root, false, err);
	hcl_lexer_clear(&p.lexer);
	return (r);
}
