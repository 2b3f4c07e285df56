/*
 * The HCL 1 subset of policies and leased.hcl (contract 3.1) to jansson, with the position of every
 * key.
 *
 * `key = value` gives {"key": value}. A block `name "label" { .. }` gives {"name": [{"label":
 * {..}}, ..]}: always an array, one element a block, in order; without a label
 * {"name": [{..}]}. A JSON document (first byte '{') is taken as well and gives the same shape; an
 * object value stands for blocks where the consumer asks with hcl_blocks(). Limits: 1 MiB, depth
 * 16, 10 000 tokens. Strings: escapes, no "${"; heredocs <<EOF and <<-EOF.
 */
#ifndef BASE_HCL_H
#define BASE_HCL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

struct hcl_doc; /* the tree, and where each key stood */

/* On LEASED_EINVAL err's text starts with "line:column: ". */
int hcl_parse(const char *text, size_t len, struct hcl_doc **ret_doc,
    struct leased_err *err) LEASED_MUST_CHECK;
void hcl_free(struct hcl_doc *doc); /* NULL is fine */

/*
 * The same, but says all that it can: a key that is set twice keeps its first value, is told to
 * on_mistake ("line:column: .."), and the reading goes on. Such a document is handed out all the
 * same.
 */
typedef void (*hcl_mistake)(void *arg, const char *text);
int hcl_parse_telling(const char *text, size_t len, hcl_mistake on_mistake, void *arg,
    struct hcl_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;

/* hcl_parse() for a text that is a part of a file: line and column (from 1) are those of its first
 * byte there. */
int hcl_parse_at(const char *text, size_t len, unsigned line, unsigned column,
    struct hcl_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;

/* The root object, borrowed from doc. */
const json_t *hcl_root(const struct hcl_doc *doc);

/* Where key (a member of object, which is in doc's tree) stood; line 0 when unknown. */
struct hcl_position {
	unsigned line, column; /* from 1; column in bytes */
};
struct hcl_position hcl_key_position(
    const struct hcl_doc *doc, const json_t *object, const char *key);

/* Where object itself began: the name of a block, the key of `key = {..}`, else its '{'. line 0
 * when unknown. */
struct hcl_position hcl_object_position(const struct hcl_doc *doc, const json_t *object);

/*
 * Where the source of object stands in the text: for HCL what is between its braces, for JSON the
 * braces too, so that hcl_parse_at() can read it again. False when object is not in doc's tree.
 */
struct hcl_source {
	size_t start, len; /* in bytes */
	struct hcl_position position;
};
bool hcl_object_source(
    const struct hcl_doc *doc, const json_t *object, struct hcl_source *ret_source);

/*
 * Calls visit for each labeled block `key "label" {body}` of object, in order, whichever of the
 * equal forms of contract 3.1 it was written in. A visit that returns non-zero stops and is
 * returned. LEASED_EINVAL when a value under key is no block.
 */
typedef int (*hcl_visit)(void *arg, const char *label, const json_t *body, struct leased_err *err);
int hcl_blocks(const struct hcl_doc *doc, const json_t *object, const char *key, hcl_visit visit,
    void *arg, struct leased_err *err) LEASED_MUST_CHECK;

#endif
