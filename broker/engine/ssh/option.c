/*
 * Critical options and extensions of a certificate, and the addresses of source-address, checked
 * before a host has to: one that it cannot read is a login refused without a word.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/ssh/words.h"

#define NAME_MAX_LEN 64
#define VALUE_MAX_LEN 1024

static int
refuse_address(const char *address, const char *why, struct leased_err *err)
{
	return (leased_err_set(
	    err, LEASED_EINVAL, "source-address \"%s\": %s", UTF8_SHORT(address, 64), why));
}

/* -1: no number of 1 to 3 digits. */
static int
mask_of(const char *text)
{
	int mask = 0;

	if (text[0] == '\0' || strlen(text) > 3)
		return (-1);
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return (-1);
		mask = mask * 10 + (*text - '0');
	}
	return (mask);
}

int
engine_ssh_address_check(const char *address, struct leased_err *err)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *slash = strchr(address, '/');
	size_t len = slash != NULL ? (size_t)(slash - address) : strlen(address);
	uint8_t bytes[16];
	int mask, bits;

	if (len == 0 || len >= sizeof(host))
		return (refuse_address(address, "this is no address", err));
	memcpy(host, address, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, bytes) == 1)
		bits = 32;
	else if (inet_pton(AF_INET6, host, bytes) == 1)
		bits = 128;
	else
		return (refuse_address(address, "this is no address of IPv4 or IPv6", err));
	mask = slash != NULL ? mask_of(slash + 1) : bits;
	if (mask < 0 || mask > bits)
		return (
		    refuse_address(address, "what follows the / is no length of a prefix", err));
	for (int bit = mask; bit < bits; bit++)
		if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
			return (refuse_address(
			    address, "it has bits behind its prefix, which sshd refuses", err));
	return (0);
}

int
engine_ssh_addresses_check(const char *list, struct leased_err *err)
{
	char one[64];
	size_t len;
	int r = 0;

	do {
		len = strcspn(list, ",");
		if (len >= sizeof(one))
			return (refuse_address(list, "this is no address", err));
		memcpy(one, list, len);
		one[len] = '\0';
		r = engine_ssh_address_check(one, err);
		list += len + (list[len] == ',');
	} while (r == 0 && (list[0] != '\0' || list[-1] == ','));
	return (r);
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN)
		return (false);
	for (const char *at = name; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~' || *at == ',' || *at == '"' || *at == '=')
			return (false);
	return (true);
}

int
engine_ssh_option_check(const char *name, const char *value, bool critical, struct leased_err *err)
{
	const char *what = critical ? "critical option" : "extension";

	if (!is_name(name))
		return (leased_err_set(err, LEASED_EINVAL, "\"%s\" is no name of a%s %s",
		    UTF8_SHORT(name, 64), critical ? "" : "n", what));
	if (strlen(value) > VALUE_MAX_LEN)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the value of the %s %s is longer than %d bytes", what, name, VALUE_MAX_LEN));
	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return (leased_err_set(err, LEASED_EINVAL,
			    "the value of the %s %s has a control character", what, name));
	if (!critical)
		return (0);
	if (strcmp(name, "source-address") == 0)
		return (engine_ssh_addresses_check(value, err));
	if (strcmp(name, "force-command") == 0 && value[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL, "force-command is empty"));
	if (strcmp(name, "verify-required") == 0 && value[0] != '\0')
		return (leased_err_set(
		    err, LEASED_EINVAL, "verify-required takes no value; write \"\""));
	return (0);
}
