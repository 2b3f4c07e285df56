/*
 * A line as ssh-keygen writes it into a .pub file. No options before the type: who signs a key has
 * no use for them.
 */
#include <stdlib.h>
#include <string.h>

#include "sshwire/line.h"

static const char blanks[] = " \t";

/* From here on: a comment that cannot become a second line, and at most one end of line. */
static bool
is_rest(const char *at)
{
	for (; *at != '\0' && *at != '\n' && *at != '\r'; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
			return (false);
	if (*at == '\r')
		at++;
	if (*at == '\n')
		at++;
	return (*at == '\0');
}

/* Does the blob begin with the type that the line named? */
static bool
is_of_type(const uint8_t *blob, size_t blob_len, const char *type, size_t type_len)
{
	struct sshwire_reader reader = sshwire_reader_of(blob, blob_len);
	size_t len;
	const uint8_t *name = sshwire_get_string(&reader, &len);

	return (!reader.failed && len == type_len && memcmp(name, type, len) == 0);
}

int
sshwire_line_read(const char *line, const char **ret_type, size_t *ret_type_len, uint8_t **ret_blob,
    size_t *ret_blob_len, struct leased_err *err)
{
	size_t type_len = strcspn(line, " \t\r\n"), base64_len;
	const char *base64 = line + type_len + strspn(line + type_len, blanks);
	uint8_t *blob = NULL;
	size_t blob_len;
	int r;

	base64_len = strcspn(base64, " \t\r\n");
	if (strnlen(line, SSHWIRE_LINE_MAX + 1) > SSHWIRE_LINE_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "it is longer than %d bytes: send one line of a .pub file", SSHWIRE_LINE_MAX));
	if (strncmp(line, "-----BEGIN", 10) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this begins like a private key or a PEM file: send the line of the .pub file, "
		    "which begins with its type (ssh-ed25519 ..)"));
	if (type_len == 0 || base64_len == 0 || !is_rest(base64 + base64_len))
		return (leased_err_set(err, LEASED_EINVAL,
		    "it must be one line of a .pub file: a type, base64, and a comment if any"));
	if ((r = sshwire_base64_decode(base64, base64_len, &blob, &blob_len, err)) != 0)
		return (r);
	if (!is_of_type(blob, blob_len, line, type_len)) {
		free(blob);
		return (leased_err_set(err, LEASED_EINVAL,
		    "the base64 is not what the line's first word says: copy the whole line of "
		    "the .pub file"));
	}
	*ret_type = line;
	*ret_type_len = type_len;
	*ret_blob = blob;
	*ret_blob_len = blob_len;
	return (0);
}
