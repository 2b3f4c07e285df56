/*
 * Fuzzes templates of the http plugin, and the values that fill them: input is a template, a NUL,
 * and a value. What is taken keeps the value in its place: no control character in a header, no
 * new element in a path, no new parameter in a form, no quote of a statement that it did not have.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/http/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static size_t
count(const char *text, char c)
{
	size_t found = 0;

	for (; *text != '\0'; text++)
		found += *text == c;
	return (found);
}

/* How many strings a statement has, as InfluxQL's scanner reads it. */
static size_t
count_strings(const char *text)
{
	size_t found = 0;
	char quote = '\0';

	for (; *text != '\0'; text++) {
		if (quote != '\0' && *text == '\\' && text[1] != '\0')
			text++;
		else if (*text == quote)
			quote = '\0';
		else if (quote == '\0' && (*text == '"' || *text == '\'')) {
			quote = *text;
			found++;
		}
	}
	if (quote != '\0')
		abort();
	return (found);
}

static char *
fill(const json_t *template, enum http_place place, const char *value)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *values =
	    json_pack("{s:s, s:{s:s}, s:i}", "name", value, "role", "x", value, "ttl", 7);
	char *text = NULL;

	if (values == NULL)
		return (NULL);
	if (http_template_check(template, place, ~0u, "fuzz", &err) != 0 ||
	    http_template_fill(template, place, values, "fuzz", &text, &err) != 0) {
		if (err.text[0] == '\0')
			abort();
		text = NULL;
	}
	json_decref(values);
	return (text);
}

static void
try_places(const json_t *template, const char *value)
{
	char *one, *other;

	if ((one = fill(template, HTTP_HEADER, value)) != NULL)
		for (const char *c = one; *c != '\0'; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				abort();
	free(one);
	one = fill(template, HTTP_PATH, value);
	other = fill(template, HTTP_PATH, "x");
	if (one != NULL && (strpbrk(one, "?# \r\n") != NULL ||
			       (other != NULL && count(one, '/') != count(other, '/'))))
		abort();
	free(one);
	free(other);
	one = fill(template, HTTP_FORM, value);
	if (one != NULL && strpbrk(one, "&=+# ;\r\n") != NULL)
		abort();
	free(one);
}

static void
try_statement(const char *text, const char *value)
{
	json_t *values =
	    json_pack("{s:s, s:{s:s}, s:i}", "name", value, "role", "x", value, "ttl", 7);
	json_t *plain = json_pack("{s:s, s:{s:s}, s:i}", "name", "x", "role", "x", "x", "ttl", 7);
	char *filled[2] = {NULL, NULL};
	struct leased_err err = LEASED_ERR_INIT;
	size_t size = 0;
	int r[2] = {-1, -1};
	FILE *out;

	if (http_influxql_check(text, "fuzz", &err) == 0)
		for (int i = 0; i < 2 && values != NULL; i++) {
			if ((out = open_memstream(&filled[i], &size)) == NULL)
				abort();
			r[i] = http_influxql_fill(out, text, i == 0 ? values : plain, "fuzz", &err);
			(void)fclose(out);
		}
	if (r[0] == 0 && r[1] == 0 && count_strings(filled[0]) != count_strings(filled[1]))
		abort();
	free(filled[0]);
	free(filled[1]);
	json_decref(values);
	json_decref(plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 2), *value;
	json_t *template;

	if (text == NULL)
		return (0);
	memcpy(text, bytes, len);
	text[len] = text[len + 1] = '\0';
	value = text + strlen(text) + 1;
	if (value > text + len)
		value = text + len;
	if ((template = json_string(text)) != NULL) {
		try_places(template, value);
		try_statement(text, value);
	}
	json_decref(template);
	free(text);
	return (0);
}
