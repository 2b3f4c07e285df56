/*
 * struct leased_err: filling it, putting a prefix before it, and the names of its codes on the
 * wire.
 *
 * Knows nothing of logging; whoever stands at the top of an operation reports the error, once. Used
 * by the daemon, by plugins through the SDK, and by the command line.
 */
#include <leased/error.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const struct {
	int code;
	const char *name;
} code_names[] = {
    {LEASED_OK, "ok"},
    {LEASED_EINVAL, "invalid"},
    {LEASED_EDENIED, "denied"},
    {LEASED_ENOENT, "not_found"},
    {LEASED_EEXIST, "exists"},
    {LEASED_ELIMIT, "limit"},
    {LEASED_ETOOBIG, "too_big"},
    {LEASED_EEXPIRED, "expired"},
    {LEASED_EUNAVAIL, "unavailable"},
    {LEASED_ETIMEDOUT, "timed_out"},
    {LEASED_EREFUSED, "refused"},
    {LEASED_EMOVED, "moved"},
    {LEASED_ECRASHED, "crashed"},
    {LEASED_EPROTO, "protocol"},
    {LEASED_ESEALED, "sealed"},
    {LEASED_ENOSPC, "no_space"},
    {LEASED_EIO, "io"},
    {LEASED_ECORRUPT, "corrupt"},
    {LEASED_ECONFLICT, "conflict"},
    {LEASED_ECANCELED, "canceled"},
    {LEASED_ENOMEM, "no_memory"},
    {LEASED_EBUG, "bug"},
};

int
leased_err_set(struct leased_err *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)leased_err_vset(err, code, fmt, args);
	va_end(args);
	return (code);
}

int
leased_err_vset(struct leased_err *err, int code, const char *fmt, va_list args)
{
	/* Not straight into err->text: the arguments may point there. */
	char text[sizeof(err->text)] = "";
	int len;

	if (err == NULL)
		return (code);
	len = vsnprintf(text, sizeof(text), fmt, args);
	utf8_mark_cut(text, sizeof(text), len);
	err->code = code;
	memcpy(err->text, text, sizeof(text));
	return (code);
}

int
leased_err_prefix(struct leased_err *err, const char *fmt, ...)
{
	char prefix[sizeof(err->text)] = "";
	char text[sizeof(err->text)] = "";
	va_list args;
	int len;

	if (err == NULL)
		return (LEASED_EBUG);
	va_start(args, fmt);
	len = vsnprintf(prefix, sizeof(prefix), fmt, args);
	va_end(args);
	utf8_mark_cut(prefix, sizeof(prefix), len);
	len = snprintf(text, sizeof(text), "%s: %s", prefix, err->text);
	utf8_mark_cut(text, sizeof(text), len);
	memcpy(err->text, text, sizeof(text));
	return (err->code);
}

const char *
leased_code_name(int code)
{
	size_t i;

	for (i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++) {
		if (code_names[i].code == code)
			return (code_names[i].name);
	}
	return ("bug");
}

int
leased_code_from_name(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++) {
		if (name != NULL && strcmp(code_names[i].name, name) == 0)
			return (code_names[i].code);
	}
	return (LEASED_EPROTO);
}
