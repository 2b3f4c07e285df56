/*
 * HCL documents: the tree, where each key stood, and the several ways to write blocks made one. The
 * reading itself is in hcl_lex.c, hcl_parse.c and hcl_json.c. Called by policy/ and config/.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl_private.h"
#include "base/utf8.h"

int
hcl_refuse(unsigned line, unsigned column, struct leased_err *err, const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return (leased_err_set(err, LEASED_EINVAL, "%u:%u: %s", line, column, text));
}

int
hcl_mark_add(struct hcl_doc *doc, const json_t *object, const char *key, unsigned line,
    unsigned column, struct leased_err *err)
{
	char *copy = NULL;

	if (doc->mark_count == doc->mark_size) {
		size_t size = doc->mark_size > 0 ? doc->mark_size * 2 : 64;
		struct hcl_mark *marks = reallocarray(doc->marks, size, sizeof(marks[0]));

		if (marks == NULL)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
		doc->marks = marks;
		doc->mark_size = size;
	}
	if (key != NULL && (copy = strdup(key)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	doc->marks[doc->mark_count++] = (struct hcl_mark){
	    .object = object, .key = copy, .position = {.line = line, .column = column}};
	return (0);
}

static int
compare_keys(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return ((a != NULL) - (b != NULL));
	return (strcmp(a, b));
}

static int
compare_places(const struct hcl_mark *a, const struct hcl_mark *b)
{
	if (a->object != b->object)
		return ((uintptr_t)a->object < (uintptr_t)b->object ? -1 : 1);
	return (compare_keys(a->key, b->key));
}

/* By place, then by position: the first of a repeated block stands in front. */
static int
compare_marks(const void *a, const void *b)
{
	const struct hcl_mark *x = a, *y = b;
	int r = compare_places(x, y);

	if (r != 0)
		return (r);
	if (x->position.line != y->position.line)
		return (x->position.line < y->position.line ? -1 : 1);
	return (
	    (x->position.column > y->position.column) - (x->position.column < y->position.column));
}

static bool
is_json(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0')
		at++;
	return (at < len && text[at] == '{');
}

int
hcl_parse(const char *text, size_t len, struct hcl_doc **ret_doc, struct leased_err *err)
{
	return (hcl_parse_at(text, len, 1, 1, ret_doc, err));
}

/* What hcl_parse_at() and hcl_parse_telling() share; on_mistake may be NULL. */
static int
parse(const char *text, size_t len, unsigned line, unsigned column, hcl_mistake on_mistake,
    void *arg, struct hcl_doc **ret_doc, struct leased_err *err)
{
	struct hcl_doc *doc;
	int r;

	if (len > HCL_TEXT_MAX)
		return (leased_err_set(
		    err, LEASED_ETOOBIG, "the text is longer than %u bytes", HCL_TEXT_MAX));
	if ((doc = calloc(1, sizeof(*doc))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	doc->on_mistake = on_mistake;
	doc->arg = arg;
	r = is_json(text, len) ? hcl_parse_json(doc, text, len, line, column, err)
			       : hcl_parse_native(doc, text, len, line, column, err);
	if (r != 0) {
		hcl_free(doc);
		return (r);
	}
	if (doc->mark_count > 0)
		qsort(doc->marks, doc->mark_count, sizeof(doc->marks[0]), compare_marks);
	*ret_doc = doc;
	return (0);
}

int
hcl_parse_at(const char *text, size_t len, unsigned line, unsigned column, struct hcl_doc **ret_doc,
    struct leased_err *err)
{
	return (parse(text, len, line, column, NULL, NULL, ret_doc, err));
}

int
hcl_parse_telling(const char *text, size_t len, hcl_mistake on_mistake, void *arg,
    struct hcl_doc **ret_doc, struct leased_err *err)
{
	return (parse(text, len, 1, 1, on_mistake, arg, ret_doc, err));
}

void
hcl_free(struct hcl_doc *doc)
{
	if (doc == NULL)
		return;
	for (size_t i = 0; i < doc->mark_count; i++)
		free(doc->marks[i].key);
	free(doc->marks);
	json_decref(doc->root);
	json_decref(doc->dropped);
	free(doc);
}

const json_t *
hcl_root(const struct hcl_doc *doc)
{
	return (doc->root);
}

static const struct hcl_mark *
find_mark(const struct hcl_doc *doc, const json_t *object, const char *key)
{
	struct hcl_mark wanted = {.object = object, .key = (char *)(uintptr_t)key};
	size_t low = 0, high = doc->mark_count;

	/* The first mark that is not before the wanted place. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_places(&doc->marks[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < doc->mark_count && compare_places(&doc->marks[low], &wanted) == 0)
		return (&doc->marks[low]);
	return (NULL);
}

struct hcl_position
hcl_key_position(const struct hcl_doc *doc, const json_t *object, const char *key)
{
	const struct hcl_mark *mark = find_mark(doc, object, key);

	return (mark != NULL ? mark->position : (struct hcl_position){0, 0});
}

struct hcl_position
hcl_object_position(const struct hcl_doc *doc, const json_t *object)
{
	return (hcl_key_position(doc, object, NULL));
}

bool
hcl_object_source(const struct hcl_doc *doc, const json_t *object, struct hcl_source *ret_source)
{
	const struct hcl_mark *mark = find_mark(doc, object, NULL);

	if (mark == NULL)
		return (false);
	*ret_source = mark->source;
	return (true);
}

struct block_walk {
	const struct hcl_doc *doc;
	const char *key;
	struct hcl_position position; /* of the key */
	hcl_visit visit;
	void *arg;
};

static int
no_block(const struct block_walk *walk, struct hcl_position at, struct leased_err *err)
{
	if (at.line == 0)
		at = walk->position;
	return (hcl_refuse(at.line, at.column, err,
	    "\"%.64s\" is a block: write %.64s \"name\" { .. }", walk->key, walk->key));
}

/* {"label": {body}, "label": [{body}, ..]} */
static int
visit_labels(const struct block_walk *walk, const json_t *labels, struct leased_err *err)
{
	const char *label;
	json_t *value;
	int r = 0;

	if (!json_is_object(labels) || json_object_size(labels) == 0)
		return (no_block(walk, hcl_object_position(walk->doc, labels), err));
	json_object_foreach((json_t *)(uintptr_t)labels, label, value)
	{
		size_t count = json_is_array(value) ? json_array_size(value) : 1;

		for (size_t i = 0; i < count; i++) {
			const json_t *body =
			    json_is_array(value) ? json_array_get(value, i) : value;

			/* An object without a place is the shell of a labeled block, not a body. */
			if (!json_is_object(body) || find_mark(walk->doc, body, NULL) == NULL)
				return (no_block(
				    walk, hcl_key_position(walk->doc, labels, label), err));
			if ((r = walk->visit(walk->arg, label, body, err)) != 0)
				return (r);
		}
	}
	return (r);
}

int
hcl_blocks(const struct hcl_doc *doc, const json_t *object, const char *key, hcl_visit visit,
    void *arg, struct leased_err *err)
{
	const json_t *value = json_object_get(object, key);
	struct block_walk walk = {.doc = doc,
	    .key = key,
	    .position = hcl_key_position(doc, object, key),
	    .visit = visit,
	    .arg = arg};
	int r = 0;

	if (value == NULL)
		return (0);
	if (!json_is_array(value))
		return (visit_labels(&walk, value, err));
	for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
		r = visit_labels(&walk, json_array_get(value, i), err);
	return (r);
}
