/*
 * Finds the paths in a configuration, whatever its plugin: knows how connection strings and URLs
 * are written, and no keyword of any. Called by the daemon, which tells the spawner, and by the
 * SDK.
 */
#include "base/named.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/utf8.h"

static int
digit(char c)
{
	const char *digits = "0123456789abcdef", *found;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	found = c != '\0' ? strchr(digits, c) : NULL;
	return (found != NULL ? (int)(found - digits) : -1);
}

/* One byte of a value, unescaped as its spelling says. Returns how many bytes of text it was. */
static size_t
take_byte(const char *text, bool is_url, char *ret_byte)
{
	if (is_url && text[0] == '%' && digit(text[1]) >= 0 && digit(text[2]) >= 0) {
		*ret_byte = (char)(digit(text[1]) * 16 + digit(text[2]));
		return (3);
	}
	if (!is_url && text[0] == '\\' && text[1] != '\0') {
		*ret_byte = text[1];
		return (2);
	}
	*ret_byte = text[0];
	return (1);
}

/* What would be escaped in JSON would make the spawner's packet longer than it may be. */
static bool
is_plain(const char *path)
{
	for (const char *at = path; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7f)
			return (false);
	return (utf8_is_valid(path, strlen(path)));
}

static void
add(struct named_files *files, const char *path)
{
	if (path[0] != '/' || files->count == NAMED_FILES_MAX || !is_plain(path))
		return;
	for (unsigned i = 0; i < files->count; i++)
		if (strcmp(files->paths[i], path) == 0)
			return;
	(void)strlcpy(files->paths[files->count++], path, NAMED_PATH_MAX);
}

/* What stands behind a '='. */
static void
add_value(struct named_files *files, const char *text, bool is_url)
{
	const char *blanks = " \t\r\n\f\v", *ends = is_url ? "&#" : blanks;
	char path[NAMED_PATH_MAX], byte;
	size_t len = 0;

	if (!is_url)
		text += strspn(text, blanks);
	if (!is_url && text[0] == '\'') {
		text++;
		ends = "'";
	}
	while (text[0] != '\0' && strchr(ends, text[0]) == NULL) {
		text += take_byte(text, is_url, &byte);
		if (len + 1 == sizeof(path) || byte == '\0')
			return;
		path[len++] = byte;
	}
	path[len] = '\0';
	add(files, path);
}

void
named_files_find(const json_t *config, struct named_files *ret_files)
{
	struct named_files files = {0};
	const char *key, *text;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)config, key, value)
	{
		if ((text = json_string_value(value)) == NULL)
			continue;
		if (text[0] == '/' && strlen(text) < NAMED_PATH_MAX)
			add(&files, text);
		for (const char *at = strchr(text, '='); at != NULL; at = strchr(at + 1, '='))
			add_value(&files, at + 1, strstr(text, "://") != NULL);
	}
	*ret_files = files;
}
