/*
 * Texts of ssh's configuration, put together and taken apart again. config.c reads and writes the
 * files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define MARK "# Written by `lease ssh config`, which changes it. Your own settings: ~/.ssh/config\n"
#define BLOCK_BEGIN "# >>> "
#define BLOCK_END "# <<<\n"

/* before without what lies in [from, to), and with what is given there. */
static char *
splice(const char *before, const char *from, const char *to, const char *put)
{
	char *after = NULL;

	if (asprintf(&after, "%.*s%s%s", (int)(from - before), before, put, to) < 0)
		return (NULL);
	return (after);
}

/* The text with its last line ended: one that was cut within a line is still one of lines. */
static char *
lines_whole(const char *text)
{
	size_t len = strlen(text);
	char *whole = NULL;

	if (asprintf(&whole, "%s%s", text, len > 0 && text[len - 1] != '\n' ? "\n" : "") < 0)
		return (NULL);
	return (whole);
}

char *
config_put_block(const char *before, const char *key, const char *block)
{
	char *lines = NULL, *begin = NULL, *whole = NULL, *after = NULL;
	const char *from, *to;

	if (before == NULL || before[0] == '\0')
		before = MARK;
	if (strncmp(before, MARK, strlen(MARK)) != 0)
		return (NULL);
	if ((lines = lines_whole(before)) == NULL)
		goto out;
	if (asprintf(&begin, "\n" BLOCK_BEGIN "%s\n", key) < 0) {
		begin = NULL;
		goto out;
	}
	if (asprintf(&whole, "%s%s%s", block != NULL ? begin : "", block != NULL ? block : "",
		block != NULL ? BLOCK_END : "") < 0) {
		whole = NULL;
		goto out;
	}
	if ((from = strstr(lines, begin)) == NULL)
		from = to = lines + strlen(lines);
	else if ((to = strstr(from, "\n" BLOCK_END)) != NULL)
		to += strlen("\n" BLOCK_END);
	else
		to = from + strlen(from);
	after = splice(lines, from, to, whole);
out:
	free(lines);
	free(begin);
	free(whole);
	return (after);
}

/* Where the line stands by itself; NULL: nowhere. */
static const char *
line_find(const char *text, const char *line)
{
	const char *at;

	for (at = text; (at = strstr(at, line)) != NULL; at++)
		if (at == text || at[-1] == '\n')
			return (at);
	return (NULL);
}

char *
config_put_include(const char *before, const char *line)
{
	if (line_find(before, line) != NULL)
		return (strdup(before));
	/* Behind a Host or Match it would hold for those hosts alone. */
	return (splice(before, before, before, line));
}

char *
config_drop_include(const char *before, const char *line)
{
	const char *at = line_find(before, line);

	return (at == NULL ? strdup(before) : splice(before, at, at + strlen(line), ""));
}
