/*
 * One value of leased.hcl: checked and put where it belongs. A mistake comes back as a sentence;
 * where it stands is the caller's to say. Called by settings.c alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/jdec.h"
#include "config/config_private.h"

static const char *
keep_string(const char *text, char **at, bool *ret_out_of_memory)
{
	char *copy;

	if (at == NULL)
		return (NULL);
	if ((copy = strdup(text)) == NULL) {
		*ret_out_of_memory = true;
		return (NULL);
	}
	free(*at);
	*at = copy;
	return (NULL);
}

static const char *
read_path(const json_t *value, size_t len_max, char **at, bool *ret_out_of_memory)
{
	const char *text = json_string_value(value);

	if (text == NULL || text[0] != '/')
		return ("must be an absolute path");
	if (strlen(text) > len_max)
		return (len_max < 256
			    ? "is too long: the kernel takes at most 107 bytes for a socket"
			    : "is too long");
	return (keep_string(text, at, ret_out_of_memory));
}

/* The part of text before its port, without brackets; NULL when text is no HOST:PORT. */
static bool
split_address(const char *text, char *ret_host, size_t size)
{
	const char *colon = strrchr(text, ':');
	const char *end = NULL;
	size_t len;

	if (colon == NULL || colon == text)
		return (false);
	len = (size_t)(colon - text);
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len) != NULL) {
		return (false);
	}
	(void)strtonum(colon + 1, 1, 65535, &end);
	if (end != NULL || colon[1] == '+' || len >= size)
		return (false);
	memcpy(ret_host, text, len);
	ret_host[len] = '\0';
	return (true);
}

static const char *
read_address(const json_t *value, char **at, bool *ret_out_of_memory)
{
	const char *text = json_string_value(value);
	struct in6_addr six;
	struct in_addr four;
	char host[64];

	if (text == NULL || !split_address(text, host, sizeof(host)))
		return ("must be \"HOST:PORT\", such as \"127.0.0.1:8200\" or \"[::1]:8200\"");
	if (inet_pton(AF_INET, host, &four) != 1 && inet_pton(AF_INET6, host, &six) != 1)
		return ("must hold a numeric address, such as 127.0.0.1 or [::1]");
	return (keep_string(text, at, ret_out_of_memory));
}

bool
config_address_is_loopback(const char *address)
{
	struct in6_addr six;
	struct in_addr four;
	char host[64];

	if (!split_address(address, host, sizeof(host)))
		return (false);
	if (inet_pton(AF_INET, host, &four) == 1)
		return (ntohl(four.s_addr) >> 24 == 127);
	return (inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six));
}

/* As the spawner takes it: no way leads out of plugin_dir. */
static const char *
read_program(const json_t *value, char **at, bool *ret_out_of_memory)
{
	const char *text = json_string_value(value);
	size_t len = text != NULL ? strlen(text) : 0;

	if (len == 0 || len > 63 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len)
		return ("must be the name of a file in plugin_dir: at most 63 of a-z, 0-9, _ and "
			"-");
	return (keep_string(text, at, ret_out_of_memory));
}

static const char *
read_duration(const struct config_setting *setting, const json_t *value, int64_t *at)
{
	const char *text = json_string_value(value);
	int64_t seconds;

	if (json_is_number(value) ||
	    (text != NULL && text[0] != '\0' && text[strspn(text, "0123456789")] == '\0'))
		return ("needs a unit: write \"90s\", \"15m\", \"1h\" or \"32d\"");
	if (text == NULL || text[0] == '\0' || jdec_duration_s(text, &seconds, NULL) != 0)
		return ("must be a duration with its unit, such as \"90s\", \"15m\", \"1h\" or "
			"\"32d\"");
	if (seconds < setting->min)
		return ("is too short");
	if (seconds > setting->max)
		return ("is too long");
	*at = seconds;
	return (NULL);
}

static const char *
in_range(const struct config_setting *setting, int64_t number, int64_t *at)
{
	if (number < setting->min)
		return ("is too small");
	if (number > setting->max)
		return ("is too large");
	*at = number;
	return (NULL);
}

static const char *
read_size(const struct config_setting *setting, const json_t *value, int64_t *at)
{
	static const char wrong[] =
	    "must be a number of bytes, or a text such as \"64KiB\" or \"1MiB\"";
	const char *text = json_string_value(value);
	long long number;
	char *end;
	int shift;

	if (json_is_integer(value))
		return (in_range(setting, json_integer_value(value), at));
	if (text == NULL || text[0] < '0' || text[0] > '9')
		return (wrong);
	errno = 0;
	number = strtoll(text, &end, 10);
	if (strcmp(end, "") == 0 || strcmp(end, "B") == 0)
		shift = 0;
	else if (strcmp(end, "KiB") == 0)
		shift = 10;
	else if (strcmp(end, "MiB") == 0)
		shift = 20;
	else if (strcmp(end, "GiB") == 0)
		shift = 30;
	else
		return (wrong);
	if (errno != 0 || number > INT64_MAX >> shift)
		return ("is too large");
	return (in_range(setting, (int64_t)number << shift, at));
}

/* Quoted, and octal: an unquoted 0660 is refused by the parser already. */
static const char *
read_mode(const json_t *value, int64_t *at)
{
	const char *text = json_string_value(value);
	size_t len = text != NULL ? strlen(text) : 0;

	if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0'))
		return ("must be permission bits in octal, quoted, such as \"0660\"");
	*at = strtol(text, NULL, 8);
	if ((*at & 0600) != 0600)
		return ("must let the daemon's own user read and write");
	return (NULL);
}

static const char *
read_choice(const struct config_setting *setting, const json_t *value, int64_t *at)
{
	const char *text = json_string_value(value);

	for (int64_t i = 0; text != NULL && setting->choices[i] != NULL; i++) {
		if (strcmp(text, setting->choices[i]) == 0) {
			*at = i;
			return (NULL);
		}
	}
	return ("is none of the words that may stand here");
}

/* uids or gids. (uid_t)-1 means "no change" to the kernel; 65534 is nobody, as whom the kernel
 * shows everyone that it cannot map. */
static const char *
check_ids(const json_t *value)
{
	static const char wrong[] = "must be a list of numeric ids, such as [1001]";

	if (!json_is_array(value))
		return (wrong);
	for (size_t i = 0; i < json_array_size(value); i++) {
		const json_t *id = json_array_get(value, i);

		if (!json_is_integer(id) || json_integer_value(id) < 0 ||
		    json_integer_value(id) >= UINT32_MAX)
			return (wrong);
		if (json_integer_value(id) == 65534)
			return ("must not hold 65534: that is nobody, whom several users may look "
				"like");
	}
	return (NULL);
}

static const char *
check_strings(const json_t *value)
{
	static const char wrong[] = "must be a list of strings that are not empty";

	if (!json_is_array(value))
		return (wrong);
	for (size_t i = 0; i < json_array_size(value); i++)
		if (json_string_length(json_array_get(value, i)) == 0)
			return (wrong);
	return (NULL);
}

const char *
config_read_value(
    const struct config_setting *setting, const json_t *value, void *at, bool *ret_out_of_memory)
{
	int64_t ignored, *number = at != NULL ? at : &ignored;

	switch (setting->kind) {
	case CONFIG_STRING:
		if (json_string_length(value) == 0)
			return ("must be a string that is not empty");
		return (keep_string(json_string_value(value), at, ret_out_of_memory));
	case CONFIG_PROGRAM:
		return (read_program(value, at, ret_out_of_memory));
	case CONFIG_PATH:
		return (read_path(value, 4095, at, ret_out_of_memory));
	case CONFIG_SOCKET:
		return (read_path(value, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1, at,
		    ret_out_of_memory));
	case CONFIG_ADDRESS:
		return (read_address(value, at, ret_out_of_memory));
	case CONFIG_BOOL:
		if (!json_is_boolean(value))
			return ("must be true or false, without quotes");
		if (at != NULL)
			*(bool *)at = json_is_true(value);
		return (NULL);
	case CONFIG_DURATION:
		return (read_duration(setting, value, number));
	case CONFIG_SIZE:
		return (read_size(setting, value, number));
	case CONFIG_COUNT:
		if (!json_is_integer(value))
			return ("must be a whole number");
		return (in_range(setting, json_integer_value(value), number));
	case CONFIG_MODE:
		return (read_mode(value, number));
	case CONFIG_CHOICE:
		return (read_choice(setting, value, number));
	case CONFIG_IDS:
		return (check_ids(value));
	case CONFIG_STRINGS:
		return (check_strings(value));
	case CONFIG_BLOCK:
	case CONFIG_LATER:
		break;
	}
	return ("cannot be read here");
}
