/*
 * Requirements of base/hcl: the subset of contract 3.1, one shape for equal forms, positions,
 * limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "base/hcl.h"
#include "support/failalloc.h"

static void
assert_tree(const char *text, const char *json)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct hcl_doc *doc = NULL;
	json_t *want = json_loads(json, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(want);
	if (hcl_parse(text, strlen(text), &doc, &err) != 0)
		fail_msg("'%s': %s", text, err.text);
	if (!json_equal(hcl_root(doc), want))
		fail_msg("'%s' gave %s", text, json_dumps(hcl_root(doc), 0));
	json_decref(want);
	hcl_free(doc);
}

static void
the_forms_of_the_subset_give_their_trees(void **state)
{
	(void)state;
	assert_tree("", "{}");
	assert_tree(" # c\n// d\n/* e\n */\n", "{}");
	assert_tree("a = \"x\"", "{\"a\":\"x\"}");
	assert_tree("a=1 b=-2.5\nc=true d=false", "{\"a\":1,\"b\":-2.5,\"c\":true,\"d\":false}");
	assert_tree("a = [1, \"b\", [true],]", "{\"a\":[1,\"b\",[true]]}");
	assert_tree("a = []", "{\"a\":[]}");
	assert_tree("\"a b\" = 1", "{\"a b\":1}");
	assert_tree("a-b.c_d = 1", "{\"a-b.c_d\":1}");
	assert_tree("a { b = 1 }", "{\"a\":[{\"b\":1}]}");
	assert_tree("a = { b = 1, \"c\" = 2 d = 3 }", "{\"a\":{\"b\":1,\"c\":2,\"d\":3}}");
	assert_tree("p \"x\" { c = [\"r\"] }\np \"x\" {}\np y {}",
	    "{\"p\":[{\"x\":{\"c\":[\"r\"]}},{\"x\":{}},{\"y\":{}}]}");
	assert_tree("a = \"q\\\"\\\\ \\n\\t\\u00e9\\U0001F600\"",
	    "{\"a\":\"q\\\"\\\\ \\n\\t\xc3\xa9\xf0\x9f\x98\x80\"}");
	assert_tree("a = \"$ {}\"", "{\"a\":\"$ {}\"}");
	assert_tree("a = <<EOF\nx\n  y\nEOF\nb = 1", "{\"a\":\"x\\n  y\\n\",\"b\":1}");
	assert_tree("a = <<-EOF\n    x\n\n      y\n    EOF\n", "{\"a\":\"x\\n\\n  y\\n\"}");
	assert_tree("a = <<EOF\nEOF", "{\"a\":\"\"}");
	assert_tree("a = <<E\nEE\nE\n", "{\"a\":\"EE\\n\"}");
	assert_tree(
	    " {\"path\": {\"x\": {\"c\": [\"r\"]}}}\n", "{\"path\":{\"x\":{\"c\":[\"r\"]}}}");
	assert_tree("a = \"\xc3\xa9\"\r\n", "{\"a\":\"\xc3\xa9\"}");
}

static void
on_repeat(void *arg, const char *text)
{
	char *said = arg;

	(void)strlcat(said, text, 512);
	(void)strlcat(said, "|", 512);
}

static void
a_key_that_stands_twice_need_not_hide_what_follows(void **state)
{
	static const char text[] = "a = 1\na = {b = 2}\nc {}\nc = 3\na {}\nd = 4\n";
	struct hcl_doc *doc = NULL;
	struct leased_err err;
	char said[512] = "";

	(void)state;
	assert_int_equal(hcl_parse_telling(text, strlen(text), on_repeat, said, &doc, &err), 0);
	assert_string_equal(said,
	    "2:1: \"a\" is set twice; first in line 1|4:1: \"c\" is set twice; "
	    "first in line 3|5:1: \"a\" is set twice; first in line 1|");
	assert_int_equal(json_integer_value(json_object_get(hcl_root(doc), "a")), 1);
	assert_int_equal(json_integer_value(json_object_get(hcl_root(doc), "d")), 4);
	assert_int_equal(hcl_key_position(doc, hcl_root(doc), "d").line, 6);
	hcl_free(doc);
}

static void
mistakes_are_refused_where_they_stand(void **state)
{
	static const struct {
		const char *text, *position;
	} cases[] = {
	    {"a", "1:2: "},
	    {"a =", "1:4: "},
	    {"a = b", "1:5: "},
	    {"\n  a = 1\n  a = 2", "3:3: \"a\" is set twice; first in line 2"},
	    {"a = 1\na {}", "2:1: "},
	    {"a {}\na = 1", "2:1: "},
	    {"a {", "1:3: "},
	    {"}", "1:1: "},
	    {"a = [1", "1:7: "},
	    {"a = [1 2]", "1:8: "},
	    {"a = [,]", "1:6: "},
	    {"a = \"x", "1:5: "},
	    {"a = \"x\ny\"", "1:5: "},
	    {"a = \"\\q\"", "1:6: "},
	    {"a = \"\\u12\"", "1:6: "},
	    {"a = \"\\ud800\"", "1:6: "},
	    {"a = \"\\u0000\"", "1:6: "},
	    {"a = \"${x}\"", "1:6: "},
	    {"a = \"\x01\"", "1:6: "},
	    {"a = 0660", "1:5: "},
	    {"a = 0x10", "1:5: "},
	    {"a = 1h", "1:5: "},
	    {"a = 1.", "1:5: "},
	    {"a = 99999999999999999999", "1:5: "},
	    {"a = 1e999", "1:5: "},
	    {"a = <<EOF\nx", "1:5: "},
	    {"a = << EOF\nEOF", "1:7: "},
	    {"a = <<EOF x\nEOF", "1:10: "},
	    {"a = <<EOF\n${x}\nEOF", "1:5: "},
	    {"/* x", "1:1: "},
	    {"a \"b\" \"c\" {}", "1:7: "},
	    {"a \"\" {}", "1:3: "},
	    {"a : 1", "1:3: "},
	    {"a { , }", "1:5: "},
	    {"a { b = 1,, }", "1:11: "},
	    {"$", "1:1: "},
	    {"\xff", "1:1: "},
	    {"a = 1\nb = \"\xc3\xa9\xff\"", "2:8: "},
	    {"{\"a\":1,}", "1:"},
	    {"{\n\"a\":1,\"a\":2}", "2:"},
	    {"{} x", "1:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;
		struct hcl_doc *doc = NULL;

		if (hcl_parse(cases[i].text, strlen(cases[i].text), &doc, &err) != LEASED_EINVAL ||
		    strncmp(err.text, cases[i].position, strlen(cases[i].position)) != 0)
			fail_msg("'%s': %d %s", cases[i].text, err.code, err.text);
		assert_null(doc);
	}
}

static void
a_nul_is_refused_everywhere(void **state)
{
	static const char texts[][9] = {
	    "a = 1  \0", "a = \"\0\" ", "#\0\nb = 1", "/*\0 */  ", "a=<<E\0\nE", "\0       "};
	struct hcl_doc *doc;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(hcl_parse(texts[i], 8, &doc, NULL), LEASED_EINVAL);
}

static void
limits_are_told(void **state)
{
	char *text = malloc(1100000);
	struct hcl_doc *doc;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	for (int depth = 0; depth < 20; depth++)
		len += (size_t)snprintf(text + len, 1100000 - len, "a {");
	assert_int_equal(hcl_parse(text, len, &doc, NULL), LEASED_ETOOBIG);
	len = (size_t)snprintf(text, 1100000, "a = ");
	memset(text + len, '[', 100000);
	assert_int_equal(hcl_parse(text, len + 100000, &doc, NULL), LEASED_ETOOBIG);
	len = 0;
	for (int i = 0; i < 11000; i++)
		len += (size_t)snprintf(text + len, 1100000 - len, "a {}\n");
	assert_int_equal(hcl_parse(text, len, &doc, NULL), LEASED_ETOOBIG);
	memset(text, ' ', 1100000);
	assert_int_equal(hcl_parse(text, 1100000, &doc, NULL), LEASED_ETOOBIG);
	assert_int_equal(hcl_parse(text, 1048576, &doc, NULL), 0);
	hcl_free(doc);
	free(text);
}

static void
assert_position(struct hcl_position position, unsigned line, unsigned column)
{
	assert_int_equal(position.line, line);
	assert_int_equal(position.column, column);
}

static void
every_key_has_its_position(void **state)
{
	static const char text[] = "a = 1\n  p \"x\" {\n\tc = { d = 2 }\n}\np \"y\" {}\n";
	const json_t *root, *first, *second, *body;
	struct hcl_doc *doc;

	(void)state;
	assert_int_equal(hcl_parse(text, strlen(text), &doc, NULL), 0);
	root = hcl_root(doc);
	first = json_array_get(json_object_get(root, "p"), 0);
	second = json_array_get(json_object_get(root, "p"), 1);
	body = json_object_get(first, "x");
	assert_position(hcl_key_position(doc, root, "a"), 1, 1);
	assert_position(hcl_key_position(doc, root, "p"), 2, 3);
	assert_position(hcl_key_position(doc, first, "x"), 2, 3);
	assert_position(hcl_object_position(doc, body), 2, 3);
	assert_position(hcl_key_position(doc, body, "c"), 3, 2);
	assert_position(hcl_key_position(doc, json_object_get(body, "c"), "d"), 3, 8);
	assert_position(hcl_key_position(doc, second, "y"), 5, 1);
	assert_position(hcl_key_position(doc, root, "nope"), 0, 0);
	hcl_free(doc);
}

static void
json_keys_have_their_positions_too(void **state)
{
	static const char text[] = "{\n \"a\\\"\" : [ 1, \"x\\\\\", true , {\"b\":null} ],\n "
				   "\"path\": {\"s/*\": {\n  \"c\": []}}}";
	const json_t *root, *paths;
	struct hcl_doc *doc;

	(void)state;
	assert_int_equal(hcl_parse(text, strlen(text), &doc, NULL), 0);
	root = hcl_root(doc);
	paths = json_object_get(root, "path");
	assert_position(hcl_key_position(doc, root, "a\""), 2, 2);
	assert_position(
	    hcl_key_position(doc, json_array_get(json_object_get(root, "a\""), 3), "b"), 2, 30);
	assert_position(hcl_key_position(doc, root, "path"), 3, 2);
	assert_position(hcl_key_position(doc, paths, "s/*"), 3, 11);
	assert_position(hcl_object_position(doc, json_object_get(paths, "s/*")), 3, 11);
	assert_position(hcl_key_position(doc, json_object_get(paths, "s/*"), "c"), 4, 3);
	hcl_free(doc);
}

/* The source of text's object p.x, and of what is read again from there the position of its key c.
 */
static void
assert_source(const char *text, const char *want, unsigned line, unsigned column)
{
	struct hcl_source source;
	struct hcl_doc *doc, *again;
	const json_t *first;

	assert_int_equal(hcl_parse(text, strlen(text), &doc, NULL), 0);
	first = json_object_get(hcl_root(doc), "p");
	if (json_is_array(first))
		first = json_array_get(first, 0);
	assert_true(hcl_object_source(doc, json_object_get(first, "x"), &source));
	assert_int_equal(source.len, strlen(want));
	assert_memory_equal(text + source.start, want, source.len);
	assert_int_equal(hcl_parse_at(text + source.start, source.len, source.position.line,
			     source.position.column, &again, NULL),
	    0);
	assert_position(hcl_key_position(again, hcl_root(again), "c"), line, column);
	assert_true(hcl_object_source(doc, hcl_root(doc), &source));
	assert_int_equal(source.len, strlen(text));
	assert_false(hcl_object_source(again, first, &source));
	hcl_free(again);
	hcl_free(doc);
}

static void
the_source_of_an_object_can_be_read_again(void **state)
{
	(void)state;
	assert_source("a = 1\np \"x\" { c = 2 }\n", " c = 2 ", 2, 9);
	assert_source("p = { x = {\n b {}\n  c = 2 } }", "\n b {}\n  c = 2 ", 3, 3);
	assert_source("{\"p\":\n{\"x\": {\"b\":1, \"c\":{}}}}", "{\"b\":1, \"c\":{}}", 2, 15);
}

static void
mistakes_in_a_part_of_a_file_are_located_in_the_file(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct hcl_doc *doc;

	(void)state;
	assert_int_equal(hcl_parse_at(" a = b", 6, 7, 10, &doc, &err), LEASED_EINVAL);
	assert_int_equal(strncmp(err.text, "7:15: ", 6), 0);
	assert_int_equal(hcl_parse_at("{\"a\":x}", 7, 7, 10, &doc, &err), LEASED_EINVAL);
	assert_int_equal(strncmp(err.text, "7:1", 3), 0);
	assert_int_equal(hcl_parse_at("{\n\"a\":x}", 8, 7, 10, &doc, &err), LEASED_EINVAL);
	assert_int_equal(strncmp(err.text, "8:", 2), 0);
}

static int
collect(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	char *seen = arg;

	(void)err;
	(void)strlcat(seen, label, 64);
	(void)strlcat(seen, json_object_get(body, "n") != NULL ? "1 " : "0 ", 64);
	return (strcmp(label, "stop") == 0 ? LEASED_ECANCELED : 0);
}

static void
equal_forms_of_blocks_are_visited_alike(void **state)
{
	static const char *const texts[] = {
	    "path \"a\" { n = 1 }\npath \"b\" {}\n",
	    "path { \"a\" { n = 1 } \"b\" {} }",
	    "path = { \"a\" = { n = 1 } \"b\" = {} }",
	    "{\"path\": {\"a\": {\"n\": 1}, \"b\": {}}}",
	    "{\"path\": [{\"a\": {\"n\": 1}}, {\"b\": {}}]}",
	    "{\"path\": [{\"a\": [{\"n\": 1}], \"b\": [{}]}]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char seen[64] = "";
		struct hcl_doc *doc;

		assert_int_equal(hcl_parse(texts[i], strlen(texts[i]), &doc, NULL), 0);
		assert_int_equal(hcl_blocks(doc, hcl_root(doc), "path", collect, seen, NULL), 0);
		assert_string_equal(seen, "a1 b0 ");
		hcl_free(doc);
	}
}

static void
what_is_no_block_is_refused_and_a_visit_can_stop(void **state)
{
	static const char *const texts[] = {"path = 1", "path = \"x\"", "path = [1]",
	    "path { a = 1 }", "path { p \"a\" {} }", "{\"path\":{\"a\":[1]}}"};
	char seen[64] = "";
	struct hcl_doc *doc;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;

		assert_int_equal(hcl_parse(texts[i], strlen(texts[i]), &doc, NULL), 0);
		assert_int_equal(
		    hcl_blocks(doc, hcl_root(doc), "path", collect, seen, &err), LEASED_EINVAL);
		assert_int_equal(strncmp(err.text, "1:", 2), 0);
		hcl_free(doc);
	}
	assert_int_equal(hcl_parse("p stop {} p b {}", 16, &doc, NULL), 0);
	assert_int_equal(
	    hcl_blocks(doc, hcl_root(doc), "p", collect, seen, NULL), LEASED_ECANCELED);
	assert_string_equal(seen, "stop0 ");
	hcl_free(doc);
}

static int
parse_text(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct hcl_doc *doc = NULL;
	int r = hcl_parse(arg, strlen(arg), &doc, &err);

	hcl_free(doc);
	return (r);
}

static void
running_out_of_memory_is_told_at_every_place(void **state)
{
	static char native[] =
	    "a = [1, 2.5, true, \"x\"]\nb \"c\" { d = { e = <<E\nx\nE\n } }\nb \"f\" {}";
	static char json[] = "{\"a\":[1,2.5,true,\"x\"],\"b\":{\"c\":{\"d\":null}}}";

	(void)state;
	assert_int_equal(leased_secret_setup(NULL), 0); /* jansson's memory counts too */
	assert_true(failalloc_each(parse_text, native) > 20);
	assert_true(failalloc_each(parse_text, json) > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_forms_of_the_subset_give_their_trees),
	    cmocka_unit_test(mistakes_are_refused_where_they_stand),
	    cmocka_unit_test(a_key_that_stands_twice_need_not_hide_what_follows),
	    cmocka_unit_test(a_nul_is_refused_everywhere),
	    cmocka_unit_test(limits_are_told),
	    cmocka_unit_test(every_key_has_its_position),
	    cmocka_unit_test(json_keys_have_their_positions_too),
	    cmocka_unit_test(the_source_of_an_object_can_be_read_again),
	    cmocka_unit_test(mistakes_in_a_part_of_a_file_are_located_in_the_file),
	    cmocka_unit_test(equal_forms_of_blocks_are_visited_alike),
	    cmocka_unit_test(what_is_no_block_is_refused_and_a_visit_can_stop),
	    cmocka_unit_test(running_out_of_memory_is_told_at_every_place),
	};

	return (cmocka_run_group_tests_name("hcl", tests, NULL, NULL));
}
