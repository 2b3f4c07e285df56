/*
 * Critical options and extensions of a certificate: those that OpenSSH knows have the form that it
 * wants, and what it would refuse is not signed.
 */
#include <string.h>

#include "sshca.h"

#define OPTIONS_MAX 32
#define NAME_MAX_LEN 128
#define VALUE_MAX 4096

enum form { FORM_FREE, FORM_FLAG, FORM_VALUE };

static const struct {
	const char *name;
	enum form form;
	bool is_critical;
} known[] = {
    {"force-command", FORM_VALUE, true},
    {"source-address", FORM_VALUE, true},
    {"verify-required", FORM_FLAG, true},
    {"no-touch-required", FORM_FLAG, false},
    {"permit-X11-forwarding", FORM_FLAG, false},
    {"permit-agent-forwarding", FORM_FLAG, false},
    {"permit-port-forwarding", FORM_FLAG, false},
    {"permit-pty", FORM_FLAG, false},
    {"permit-user-rc", FORM_FLAG, false},
};

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	for (const char *at = name; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~' || *at == ',' || *at == '"')
			return (false);
	return (len >= 1 && len <= NAME_MAX_LEN);
}

static bool
is_value(const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL || json_string_length(value) > VALUE_MAX ||
	    strlen(text) != json_string_length(value))
		return (false);
	return (strpbrk(text, "\r\n") == NULL);
}

/* A name is known under one of the two only: force-command as an extension would be ignored. */
static int
check_known(const char *name, const json_t *value, bool is_critical, struct leased_err *err)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (known[i].is_critical != is_critical)
			return (leased_err_set(err, LEASED_EINVAL, "%s belongs to the %s", name,
			    is_critical ? "extensions" : "critical_options"));
		if (known[i].form == FORM_FLAG && json_string_length(value) != 0)
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s has no value: give an empty text", name));
		if (known[i].form == FORM_VALUE && json_string_length(value) == 0)
			return (leased_err_set(err, LEASED_EINVAL, "%s needs a value", name));
		return (0);
	}
	if (is_critical && strchr(name, '@') == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "no sshd knows the critical option %s, so each would refuse the certificate: "
		    "force-command, source-address and verify-required are known, and one of your "
		    "own has a name with '@'",
		    name));
	return (0);
}

static int
check_all(const json_t *options, bool is_critical, struct leased_err *err)
{
	const char *what = is_critical ? "critical_options" : "extensions", *name;
	json_t *value;
	int r;

	if (options == NULL)
		return (0);
	if (!json_is_object(options) || json_object_size(options) > OPTIONS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s must be an object of at most %d texts", what, OPTIONS_MAX));
	json_object_foreach((json_t *)(uintptr_t)options, name, value)
	{
		if (!is_name(name))
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: a name has 1 to %d printable characters without blanks", what,
			    NAME_MAX_LEN));
		if (!is_value(value))
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s: the value of %s must be one line of at most %d bytes", what, name,
			    VALUE_MAX));
		if ((r = check_known(name, value, is_critical, err)) != 0)
			return (r);
	}
	return (0);
}

int
sshca_options_check(const struct sshca_claims *claims, struct leased_err *err)
{
	int r;

	if (claims->is_host && json_object_size(claims->critical_options) > 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "critical_options: no client takes a host's certificate that has one"));
	if ((r = check_all(claims->critical_options, true, err)) != 0)
		return (r);
	return (check_all(claims->extensions, false, err));
}
