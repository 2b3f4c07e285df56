/*
 * How answers are shown: a table for people, JSON for programs, assignments for shells, or one
 * field.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libsmartcols/libsmartcols.h>

#include "cli.h"

/* A value as one line of text: strings bare, lists with commas, the rest as JSON. Caller frees. */
static char *
value_text(const json_t *value)
{
	char *text = NULL, *json, *grown;
	const json_t *item;
	json_malloc_t alloc_fn;
	json_free_t free_fn;
	size_t i;

	if (json_is_string(value))
		return (strdup(json_string_value(value)));
	if (json_is_null(value) || value == NULL)
		return (strdup(""));
	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			json = value_text(item);
			if (asprintf(&grown, "%s%s%s", text != NULL ? text : "",
				text != NULL ? "," : "", json != NULL ? json : "") < 0)
				grown = NULL;
			free(json);
			free(text);
			text = grown;
		}
		return (text != NULL ? text : strdup(""));
	}
	if ((json = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT)) == NULL)
		return (NULL);
	text = strdup(json);
	json_get_alloc_funcs(&alloc_fn, &free_fn);
	free_fn(json);
	return (text);
}

static void
text_free(char *text)
{
	if (text != NULL)
		leased_wipe(text, strlen(text));
	free(text);
}

static int
show_json(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) != 0)
		return (cli_fail(CLI_FAILED, "the output could not be written"));
	(void)putchar('\n');
	return (CLI_OK);
}

/* The value alone; a newline behind it only for a person's terminal, so that `$(..)` and files get
 * the bytes. */
static void
print_value(const json_t *value)
{
	char *text = value_text(value);

	(void)fputs(text != NULL ? text : "", stdout);
	if (isatty(STDOUT_FILENO))
		(void)putchar('\n');
	text_free(text);
}

/* A name that a shell lives by must not be set by what a server says. */
static bool
is_shells_own(const char *key)
{
	static const char *const names[] = {"path", "home", "ifs", "env", "shell", "user", "pwd",
	    "ps1", "uid", "euid", "ppid", "term", "lang", "mail", "tmpdir", "cdpath", "bash_env",
	    "ld_preload", "ld_library_path"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(key, names[i]) == 0)
			return (true);
	return (false);
}

/* KEY='value', quoted so that a shell's eval gives the value back whatever it holds. */
static void
print_assignment(const char *key, const json_t *value)
{
	char *text = value_text(value);
	const char *c;

	if (text == NULL)
		return;
	if (is_shells_own(key))
		(void)fputs("LEASE_", stdout);
	else if (isdigit((unsigned char)key[0]) || key[0] == '\0')
		(void)putchar('_');
	for (c = key; *c != '\0'; c++)
		(void)putchar(isalnum((unsigned char)*c) ? toupper((unsigned char)*c) : '_');
	(void)fputs("='", stdout);
	for (c = text; *c != '\0'; c++)
		if (*c == '\'')
			(void)fputs("'\\''", stdout);
		else
			(void)putchar(*c);
	(void)fputs("'\n", stdout);
	text_free(text);
}

static struct libscols_table *
table_new(void)
{
	struct libscols_table *table = scols_new_table();

	/* A secret or a lease id must never be cut: people copy them. */
	if (table != NULL)
		(void)scols_table_enable_nowrap(table, 0);
	return (table);
}

static int
table_print(struct libscols_table *table)
{
	int r = scols_print_table(table);

	scols_unref_table(table);
	return (r == 0 ? CLI_OK : cli_fail(CLI_FAILED, "the output could not be written"));
}

static void
table_add(struct libscols_table *table, const char *const *cells, size_t count)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i;

	for (i = 0; line != NULL && i < count; i++)
		(void)scols_line_set_data(line, i, cells[i] != NULL ? cells[i] : "");
}

static int
show_table(const json_t *object)
{
	struct libscols_table *table = table_new();
	struct libscols_column *values;
	const char *key, *cells[2];
	json_t *value;
	char *text;

	if (table == NULL || scols_table_new_column(table, "KEY", 0, 0) == NULL ||
	    (values = scols_table_new_column(table, "VALUE", 0, SCOLS_FL_WRAP)) == NULL ||
	    /* A policy has lines: each below the other, and none of them begins a row. */
	    scols_column_set_safechars(values, "\n") != 0 ||
	    scols_column_set_wrapfunc(
		values, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) != 0)
		return (cli_fail(CLI_FAILED, "out of memory"));
	(void)scols_table_enable_noheadings(table, 1);
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		text = value_text(value);
		cells[0] = key;
		cells[1] = text;
		table_add(table, cells, 2);
		text_free(text);
	}
	return (table_print(table));
}

int
cli_show_object(const struct cli_options *options, const json_t *object)
{
	const char *key;
	json_t *value;

	if (options->field != NULL) {
		if ((value = json_object_get(object, options->field)) == NULL)
			return (cli_fail(
			    CLI_NOT_FOUND, "the answer has no field \"%s\"", options->field));
		print_value(value);
		return (CLI_OK);
	}
	switch (options->format) {
	case CLI_FORMAT_JSON:
		return (show_json(object));
	case CLI_FORMAT_ENV:
		json_object_foreach((json_t *)(uintptr_t)object, key, value)
		    print_assignment(key, value);
		return (CLI_OK);
	case CLI_FORMAT_TABLE:
		break;
	}
	return (show_table(object));
}

int
cli_show_rows(const struct cli_options *options, const json_t *rows, const char *const *columns)
{
	struct libscols_table *table;
	const char *cells[8] = {0};
	char *texts[8] = {0}, heading[32];
	const json_t *row;
	size_t i, k, count, len;

	if (options->field != NULL) {
		json_array_foreach(rows, i, row)
		{
			char *text = value_text(json_object_get(row, options->field));

			(void)printf("%s\n", text != NULL ? text : "");
			text_free(text);
		}
		return (CLI_OK);
	}
	if (options->format == CLI_FORMAT_JSON)
		return (show_json(rows));
	if ((table = table_new()) == NULL)
		return (cli_fail(CLI_FAILED, "out of memory"));
	for (count = 0; columns[count] != NULL && count < 8; count++) {
		len = strlen(columns[count]);
		for (k = 0; k <= len && k < sizeof(heading) - 1; k++)
			heading[k] = (char)toupper((unsigned char)columns[count][k]);
		heading[sizeof(heading) - 1] = '\0';
		if (scols_table_new_column(table, heading, 0, 0) == NULL)
			return (cli_fail(CLI_FAILED, "out of memory"));
	}
	json_array_foreach(rows, i, row)
	{
		for (k = 0; k < count; k++)
			cells[k] = texts[k] = value_text(json_object_get(row, columns[k]));
		table_add(table, cells, count);
		for (k = 0; k < count; k++)
			text_free(texts[k]);
	}
	return (table_print(table));
}

json_t *
cli_credential(const json_t *body)
{
	static const char *const beside[] = {"lease_id", "lease_duration", "renewable"};
	json_t *object = json_object(), *value;
	size_t i;

	(void)json_object_update(object, json_object_get(body, "data"));
	for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		if ((value = json_object_get(body, beside[i])) != NULL)
			(void)json_object_set(object, beside[i], value);
	return (object);
}
