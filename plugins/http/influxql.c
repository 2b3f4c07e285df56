/*
 * Statements of InfluxQL: which quotes a slot stands in, and how a value is spelled there. Knows of
 * the language what its scanner knows: quotes and their backslashes. Called by template.c.
 */
#include "template.h"

#include <stdlib.h>
#include <string.h>

/* Follows one literal; *quote is what it ends in, 0 outside. What could hide a slot from us, or put
 * a second statement there, is refused: comments, regular expressions, semicolons. */
static int
follow(const char *text, size_t len, char *quote, const char *where, struct leased_err *err)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (*quote != '\0') {
			if (c == '\\' && i + 1 == len)
				return (leased_err_set(err, LEASED_EINVAL,
				    "%s: a backslash stands before a slot", where));
			if (c == '\\')
				i++;
			else if (c == *quote)
				*quote = '\0';
		} else if (c == '"' || c == '\'') {
			*quote = c;
		} else if (c == ';' || c == '/' ||
			   (c == '-' && i + 1 < len && text[i + 1] == '-')) {
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: holds ;, -- or / outside of quotes: write one statement a "
			    "request, without comments and regular expressions",
			    where));
		}
	}
	return (0);
}

int
http_influxql_check(const char *text, const char *where, struct leased_err *err)
{
	struct http_slot slot;
	const char *literal;
	char quote = '\0';
	size_t len;
	int r;

	while ((r = http_template_next(&text, &literal, &len, &slot, err)) > 0) {
		if (len > 0) {
			if ((r = follow(literal, len, &quote, where, err)) != 0)
				return (r);
		} else if (slot.type[0] != '\0') {
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: {{%s:%s}}: types are for JSON", where, slot.path, slot.type));
		} else if (quote == '\0' && slot.choices[0] == '\0') {
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: {{%s}} stands outside of quotes: put it in \"..\" as a name or in "
			    "'..' as a string, or list what it may be: {{%s|READ|WRITE}}",
			    where, slot.path, slot.path));
		}
	}
	if (r < 0)
		return (leased_err_prefix(err, "%s", where));
	if (quote != '\0')
		return (leased_err_set(err, LEASED_EINVAL, "%s: a quote is not closed", where));
	return (0);
}

/* Within quotes both kinds and the backslash take a backslash. The scanner takes no line break
 * there and makes one of a carriage return: no control character goes. */
static int
quote_value(FILE *out, const char *value, struct leased_err *err)
{
	for (; *value != '\0'; value++) {
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			return (leased_err_set(err, LEASED_EINVAL,
			    "holds a control character, which InfluxQL cannot"));
		if (strchr("\\'\"", *value) != NULL)
			(void)fputc('\\', out);
		(void)fputc(*value, out);
	}
	return (0);
}

int
http_influxql_fill(
    FILE *out, const char *text, const json_t *values, const char *where, struct leased_err *err)
{
	struct http_slot slot;
	const char *literal;
	char quote = '\0', *value;
	size_t len;
	int r;

	while ((r = http_template_next(&text, &literal, &len, &slot, err)) > 0) {
		if (len > 0) {
			if ((r = follow(literal, len, &quote, where, err)) != 0)
				return (r);
			(void)fwrite(literal, 1, len, out);
			continue;
		}
		if (quote == '\0' && slot.choices[0] == '\0')
			return (leased_err_set(err, LEASED_EBUG, "%s was not checked", where));
		if ((r = http_slot_text(&slot, values, where, &value, err)) != 0)
			return (r);
		if ((r = quote_value(out, value, err)) != 0)
			(void)leased_err_prefix(err, "%s: {{%s}}", where, slot.path);
		free(value);
		if (r != 0)
			return (r);
	}
	return (r);
}
