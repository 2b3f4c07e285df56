/*
 * The lexer of SQL templates on any bytes. Oracle: put back together, the parts are the text; what
 * lies between two statements is only `;`, blanks and comments.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqltemplate.h"

struct text {
	const char *bytes;
	size_t len, at;
	enum engine_sqltemplate_dialect dialect;
};

static bool
starts(const struct text *text, const char *token)
{
	size_t len = strlen(token);

	return (text->len - text->at >= len && memcmp(text->bytes + text->at, token, len) == 0);
}

static void
skip_comment(struct text *text, bool nests)
{
	unsigned depth = 0;

	do {
		if (starts(text, "/*") && (depth == 0 || nests)) {
			depth++;
			text->at += 2;
		} else if (starts(text, "*/")) {
			depth--;
			text->at += 2;
		} else {
			text->at++;
		}
	} while (depth > 0 && text->at < text->len);
}

/* MySQL takes `--` for a comment only before a blank, a control character or the end. */
static bool
starts_line_comment(const struct text *text)
{
	bool is_mysql = text->dialect == ENGINE_SQLTEMPLATE_MYSQL;
	size_t third = text->at + 2;

	if (starts(text, "--"))
		return (!is_mysql || third >= text->len || text->bytes[third] == ' ' ||
			iscntrl((unsigned char)text->bytes[third]));
	return (is_mysql && starts(text, "#"));
}

/* Goes over what may lie between statements. */
static void
skip_gap(struct text *text)
{
	bool is_mysql = text->dialect == ENGINE_SQLTEMPLATE_MYSQL;

	while (text->at < text->len) {
		char c = text->bytes[text->at];

		if (strchr("; \t\n\r\f\v", c) != NULL) {
			text->at++;
		} else if (starts(text, "/*")) {
			skip_comment(text, !is_mysql);
		} else if (starts_line_comment(text)) {
			while (text->at < text->len && text->bytes[text->at] != '\n' &&
			       (is_mysql || text->bytes[text->at] != '\r'))
				text->at++;
		} else {
			return;
		}
	}
}

/* Goes over a slot in one of its spellings. */
static bool
skip_slot(struct text *text, const char *slot)
{
	static const char *const quotes[] = {"", "\"", "'", "`"};
	const char *names[2] = {slot, strcmp(slot, "name") == 0 ? "username" : slot};
	char spelled[32];
	size_t i, j;

	for (i = 0; i < 4; i++) {
		for (j = 0; j < 2; j++) {
			(void)snprintf(
			    spelled, sizeof(spelled), "%s{{%s}}%s", quotes[i], names[j], quotes[i]);
			if (starts(text, spelled)) {
				text->at += strlen(spelled);
				return (true);
			}
		}
	}
	return (false);
}

static bool
skip_part(struct text *text, json_t *part)
{
	const char *kind = json_object_iter_key(json_object_iter(part));
	const json_t *value = json_object_get(part, kind);
	size_t len = json_string_length(value);

	if (strcmp(kind, "sql") != 0)
		return (skip_slot(text, json_string_value(value)));
	if (text->len - text->at < len ||
	    memcmp(text->bytes + text->at, json_string_value(value), len) != 0)
		return (false);
	text->at += len;
	return (true);
}

/*
 * Goes over the gap before a statement and the statement. A comment may belong to either, so every
 * start is tried, from the first content backwards: only one can put the content in its place.
 */
static void
skip_statement(struct text *text, const json_t *statement)
{
	struct text probe = *text;
	size_t start, i;
	json_t *part;

	skip_gap(&probe);
	for (start = probe.at + 1; start-- > text->at;) {
		probe.at = start;
		json_array_foreach(statement, i, part)
		{
			if (!skip_part(&probe, part))
				break;
		}
		if (i == json_array_size(statement)) {
			text->at = probe.at;
			return;
		}
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct text text = {0};
	json_t *statements = NULL, *statement;
	unsigned used = 0;
	size_t i;
	int r;

	if (size == 0)
		return (0);
	text.bytes = (const char *)data + 1;
	text.len = size - 1;
	text.dialect = data[0] % 2 == 0 ? ENGINE_SQLTEMPLATE_POSTGRESQL : ENGINE_SQLTEMPLATE_MYSQL;
	r = engine_sqltemplate_element(
	    text.bytes, text.len, text.dialect, 7, &statements, &used, &err);
	if (r != 0) {
		if (statements != NULL || err.code != r || err.text[0] == '\0')
			abort();
		return (0);
	}
	json_array_foreach(statements, i, statement)
	{
		skip_statement(&text, statement);
	}
	skip_gap(&text);
	if (text.at != text.len)
		abort();
	json_decref(statements);
	return (0);
}
