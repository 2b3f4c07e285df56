/*
 * HCL documents that are JSON: the strict decoder makes the tree, and a second walk through the
 * same text finds where keys stand. It checks nothing itself. Called by hcl_parse_at() alone.
 */
#include <string.h>

#include "base/hcl_private.h"
#include "base/jdec_private.h"

/* A walk through a text that is known to be good JSON, beside the tree made of it, only to see
 * where keys stand. */
struct walk {
	struct hcl_doc *doc;
	const char *text, *at, *end;
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
	size_t index = walk->doc->mark_count;
	struct hcl_source *source;
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
		if ((r = hcl_mark_add(walk->doc, value, NULL, line, column, err)) != 0)
			return (r);
		source = &walk->doc->marks[index].source;
		*source = (struct hcl_source){.start = (size_t)(walk->at - walk->text),
		    .position = {.line = walk->line, .column = walk->column}};
		walk_step(walk);
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
	if (json_is_object(value)) {
		source = &walk->doc->marks[index].source;
		source->len = (size_t)(walk->at - walk->text) - source->start;
	}
	return (0);
}

int
hcl_parse_json(struct hcl_doc *doc, const char *text, size_t len, unsigned line, unsigned column,
    struct leased_err *err)
{
	struct walk walk = {.doc = doc,
	    .text = text,
	    .at = text,
	    .end = text + len,
	    .line = line,
	    .column = column};
	unsigned at_line, at_column;
	int r;

	r = jdec_parse_located(text, len, NULL, &doc->root, &at_line, &at_column, err);
	if (r == LEASED_EINVAL)
		(void)leased_err_prefix(err, "%u:%u", line + at_line - 1,
		    at_line == 1 ? column + at_column - 1 : at_column);
	if (r != 0)
		return (r);
	return (walk_value(&walk, doc->root, line, column, err));
}
