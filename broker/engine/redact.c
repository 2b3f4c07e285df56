/*
 * Connection URLs without their passwords, for database/config reads. What it cannot read for sure
 * it hides: a host too many is better than a password. Called by database_config.c and
 * database_trial.c; knows no plugin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/database.h"

static const char hidden[] = "*****";

/* A slot is no secret: {{password}}, quoted or not. */
static bool
is_slot(const char *text, size_t len)
{
	if (len >= 2 && text[0] == '\'' && text[len - 1] == '\'') {
		text++;
		len -= 2;
	}
	return (len == 0 ||
		(len > 4 && strncmp(text, "{{", 2) == 0 && strncmp(text + len - 2, "}}", 2) == 0 &&
		    memchr(text + 2, '{', len - 4) == NULL));
}

/* The password of scheme://user:password@.. or of user:password@tcp(..)/ : *ret_len 0 when there is
 * none. A '/' or '?' that somebody left unescaped in it is taken for a part of it. */
static const char *
userinfo_password(const char *url, size_t *ret_len)
{
	size_t scheme =
	    strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
	const char *start = strncmp(url + scheme, "://", 3) == 0 ? url + scheme + 3 : url;
	const char *at, *colon;

	*ret_len = 0;
	if ((at = strrchr(start, '@')) == NULL)
		return (start);
	if ((colon = memchr(start, ':', (size_t)(at - start))) == NULL ||
	    (start == url && memchr(start, '=', (size_t)(colon - start)) != NULL))
		return (start); /* keyword=value pairs */
	*ret_len = (size_t)(at - colon - 1);
	return (colon + 1);
}

/* The bytes of a value that stands at text: quoted with backslashes, or up to a blank or '&'. */
static size_t
value_len(const char *text)
{
	size_t len;

	const char *end = text[0] == '\'' ? "'" : " \t\r\n&";

	for (len = text[0] == '\''; text[len] != '\0' && strchr(end, text[len]) == NULL; len++)
		if (text[len] == '\\' && text[len + 1] != '\0')
			len++;
	return (text[0] == '\'' && text[len] == '\'' ? len + 1 : len);
}

/* Is the word that ends before equals a name for a secret? One with an escape in it may be any. */
static bool
key_is_secret(const char *url, const char *equals)
{
	const char *end = equals, *start;

	while (end > url && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (start = end; start > url && strchr(" \t\r\n&?", start[-1]) == NULL;)
		start--;
	if (memchr(start, '%', (size_t)(end - start)) != NULL)
		return (true);
	return (end - start >= 8 && strncasecmp(end - 8, "password", 8) == 0);
}

char *
engine_redact_url(const char *url, bool *ret_found)
{
	const char *from, *password, *equals;
	char *text = NULL;
	size_t len = 0, size = 0, blanks;
	FILE *to = open_memstream(&text, &size);

	*ret_found = false;
	if (to == NULL)
		return (NULL);
	password = userinfo_password(url, &len);
	from = url;
	if (len > 0) {
		(void)fwrite(url, 1, (size_t)(password - url), to);
		if (is_slot(password, len))
			(void)fwrite(password, 1, len, to);
		else {
			(void)fputs(hidden, to);
			*ret_found = true;
		}
		from = password + len;
	}
	while ((equals = strchr(from, '=')) != NULL) {
		blanks = strspn(equals + 1, " \t");
		len = value_len(equals + 1 + blanks);
		(void)fwrite(from, 1, (size_t)(equals - from) + 1 + blanks, to);
		from = equals + 1 + blanks;
		if (!key_is_secret(url, equals))
			continue; /* its value may be quoted and hold further ones: look there too
				   */
		if (is_slot(from, len))
			(void)fwrite(from, 1, len, to);
		else {
			(void)fputs(hidden, to);
			*ret_found = true;
		}
		from += len;
	}
	(void)fputs(from, to);
	if (fclose(to) != 0) {
		free(text);
		return (NULL);
	}
	return (text);
}
