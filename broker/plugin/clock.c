/*
 * What time it is at a backend: read from what `open` said, for lease time's doubts about our own
 * clock (lease/anchor.c). A backend on this machine has our clock and is no witness.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "plugin/plugin.h"

/* Sockets, loopback addresses and the names that stand for them. A name of this machine that the
 * network knows is not recognized. */
static bool
is_here(const char *host, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr six;
	struct in_addr four;

	if (len == 0 || host[0] == '/' || host[0] == '@')
		return (true);
	if (len >= sizeof(text))
		return (false);
	memcpy(text, host, len);
	text[len] = '\0';
	if (strncasecmp(text, "localhost", 9) == 0)
		return (true);
	if (inet_pton(AF_INET, text, &four) == 1)
		return (ntohl(four.s_addr) >> 24 == 127 || four.s_addr == 0);
	if (inet_pton(AF_INET6, text, &six) == 1)
		return (IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
			(IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127));
	return (false);
}

/* Several hosts may stand there, with commas: who answered is not known, so one of ours is enough.
 */
static bool
may_be_here(const char *hosts)
{
	size_t len;

	if (hosts == NULL)
		return (true);
	for (;; hosts += len + 1) {
		len = strcspn(hosts, ",");
		if (is_here(hosts, len))
			return (true);
		if (hosts[len] == '\0')
			return (false);
	}
}

bool
plugin_port_wall_us(const struct plugin_port *port, int64_t boot_us, int64_t *ret_wall_us)
{
	const char *told = json_string_value(json_object_get(port->opened, "server_time"));
	const json_t *endpoint = json_object_get(port->opened, "endpoint");
	int64_t wall_us;

	if (told == NULL || may_be_here(json_string_value(json_object_get(endpoint, "host"))) ||
	    !wclock_parse_rfc3339(told, &wall_us))
		return (false);
	*ret_wall_us = wall_us + (boot_us - port->opened_boot_us);
	return (true);
}
