/*
 * What a certificate is asked to say, read from the request and checked once more: what the daemon
 * missed would be signed here, and a host asks nobody else.
 */
#include <string.h>

#include "sshca.h"

bool
sshca_read_u64(const json_t *value, uint64_t *ret_value)
{
	const char *text = json_string_value(value);
	uint64_t number = 0;

	if (text == NULL || *text < '1' || *text > '9')
		return (false);
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (number > (UINT64_MAX - digit) / 10)
			return (false);
		number = number * 10 + digit;
	}
	if (*text != '\0')
		return (false);
	*ret_value = number;
	return (true);
}

/* One line, for a log's eyes. */
static bool
is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return (false);
	return (true);
}

/*
 * Without ',' that splits a list, without the patterns that ssh expands in a host's certificate
 * ('*', '?'), and without blanks around it, which nobody sees.
 */
static bool
is_principal(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	return (text != NULL && len >= 1 && len <= SSHCA_PRINCIPAL_MAX && strlen(text) == len &&
		is_plain(text) && strpbrk(text, ",*?") == NULL && text[0] != ' ' &&
		text[len - 1] != ' ');
}

static int
read_principals(const json_t *request, struct sshca_claims *claims, struct leased_err *err)
{
	const json_t *one;
	size_t i;

	claims->principals = json_object_get(request, "principals");
	if (!json_is_array(claims->principals) || json_array_size(claims->principals) == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "principals: a certificate names at least one; without any it would let its "
		    "holder in as everybody"));
	if (json_array_size(claims->principals) > SSHWIRE_PRINCIPALS_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "principals: sshd takes at most %d",
		    SSHWIRE_PRINCIPALS_MAX));
	json_array_foreach(claims->principals, i, one) if (!is_principal(one)) return (
	    leased_err_set(err, LEASED_EINVAL,
		"principals: number %zu is empty, longer than %d bytes, or holds ',', '*', '?', a "
		"control character or a blank at an end",
		i + 1, SSHCA_PRINCIPAL_MAX));
	return (0);
}

static int
read_times(const json_t *request, struct sshca_claims *claims, struct leased_err *err)
{
	const json_t *after = json_object_get(request, "valid_after");
	const json_t *before = json_object_get(request, "valid_before");

	if (!json_is_integer(after) || !json_is_integer(before) || json_integer_value(after) < 0 ||
	    json_integer_value(before) <= json_integer_value(after))
		return (leased_err_set(err, LEASED_EINVAL,
		    "valid_after and valid_before must be UNIX seconds, one before the other"));
	claims->valid_after = (uint64_t)json_integer_value(after);
	claims->valid_before = (uint64_t)json_integer_value(before);
	return (0);
}

static int
read_kind(const json_t *request, struct sshca_claims *claims, struct leased_err *err)
{
	const char *type = json_string_value(json_object_get(request, "type"));

	if (type == NULL || (strcmp(type, "user") != 0 && strcmp(type, "host") != 0))
		return (leased_err_set(err, LEASED_EINVAL, "type must be \"user\" or \"host\""));
	claims->is_host = strcmp(type, "host") == 0;
	if (!sshca_read_u64(json_object_get(request, "serial"), &claims->serial))
		return (leased_err_set(err, LEASED_EINVAL,
		    "serial must be a decimal number from 1 to 2^64 - 1, as a text"));
	claims->key_id = json_string_value(json_object_get(request, "key_id"));
	if (claims->key_id == NULL || claims->key_id[0] == '\0' ||
	    strlen(claims->key_id) > SSHCA_KEY_ID_MAX || !is_plain(claims->key_id))
		return (leased_err_set(err, LEASED_EINVAL,
		    "key_id must be a text of 1 to %d bytes without control characters",
		    SSHCA_KEY_ID_MAX));
	return (0);
}

void
sshca_claims_clear(struct sshca_claims *claims)
{
	sshwire_key_clear(&claims->key);
	*claims = (struct sshca_claims){0};
}

int
sshca_claims_read(const json_t *request, struct sshca_claims *ret_claims, struct leased_err *err)
{
	struct sshca_claims claims = {0};
	const char *line;
	int r;

	claims.critical_options = json_object_get(request, "critical_options");
	claims.extensions = json_object_get(request, "extensions");
	if ((r = leased_get_string(request, "public_key", &line, err)) != 0)
		return (r);
	if ((r = sshwire_key_read_line(line, &claims.key, err)) != 0)
		return (leased_err_prefix(err, "public_key"));
	if ((r = read_kind(request, &claims, err)) == 0 &&
	    (r = read_principals(request, &claims, err)) == 0 &&
	    (r = read_times(request, &claims, err)) == 0)
		r = sshca_options_check(&claims, err);
	if (r != 0) {
		sshca_claims_clear(&claims);
		return (r);
	}
	*ret_claims = claims;
	return (0);
}
