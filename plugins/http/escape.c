/*
 * What a value becomes where it stands. A character that could end its place, or the request, is
 * escaped where the place has a spelling for that, else refused. Called by template.c.
 */
#include "template.h"

#include <string.h>

#define UNRESERVED "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

/* RFC 3986: nothing but these stands for itself. */
static void
percent(FILE *out, const char *value)
{
	for (; *value != '\0'; value++)
		if (strchr(UNRESERVED, *value) != NULL)
			(void)fputc(*value, out);
		else
			(void)fprintf(out, "%%%02X", (unsigned)(unsigned char)*value);
}

static bool
has_control(const char *value)
{
	for (; *value != '\0'; value++)
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			return (true);
	return (false);
}

int
http_escape(FILE *out, enum http_place place, const char *value, struct leased_err *err)
{
	switch (place) {
	case HTTP_PATH:
		if (value[0] == '\0')
			return (leased_err_set(err, LEASED_EINVAL,
			    "is empty, and a part of the path would be missing"));
		percent(out, value);
		return (0);
	case HTTP_QUERY:
	case HTTP_FORM:
		percent(out, value);
		return (0);
	case HTTP_LOGIN_NAME:
		if (strchr(value, ':') != NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "holds a colon, which a user name in basic authentication cannot"));
		/* fall through */
	case HTTP_LOGIN_WORD:
	case HTTP_HEADER:
		if (has_control(value))
			return (leased_err_set(err, LEASED_EINVAL,
			    "holds a line break or another control character, which a header "
			    "cannot"));
		(void)fputs(value, out);
		return (0);
	case HTTP_JSON:  /* jansson escapes the whole string */
	case HTTP_PLAIN: /* one of the choices that the template lists */
		(void)fputs(value, out);
		return (0);
	}
	return (leased_err_set(err, LEASED_EBUG, "no such place"));
}
