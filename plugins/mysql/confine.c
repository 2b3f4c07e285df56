/*
 * From a connection's configuration to what its worker may reach: one port, a name to be resolved,
 * or a Unix socket. Called by open.c.
 */
#include <arpa/inet.h>
#include <string.h>

#include <leased/plugin.h>

#include "config.h"

/* "localhost" stands in a file of this machine. */
static bool
is_name(const char *host)
{
	struct in6_addr address;

	return (strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, &address) != 1 &&
		inet_pton(AF_INET6, host, &address) != 1);
}

int
maria_config_confine(const struct maria_config *config, struct leased_err *err)
{
	const char *names[2] = {config->host, NULL};
	uint16_t ports[2] = {config->socket == NULL ? config->port : 0, 0};
	struct leased_reach reach = {.ports = ports, .unix_sockets = config->socket != NULL};

	if (config->host != NULL && is_name(config->host))
		reach.names = names;
	return (leased_confine(&reach, err));
}
