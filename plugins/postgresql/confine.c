/*
 * From a connection's configuration to what its worker may reach: the ports, the names to be
 * resolved, and whether there is a Unix socket. libpq reads both lists by commas. Called by open.c.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <leased/plugin.h>

#include "config.h"

#define SERVERS_MAX 32

struct servers {
	char *hosts; /* cut at its commas */
	const char *names[SERVERS_MAX + 1];
	uint16_t ports[SERVERS_MAX + 1];
	size_t name_count, port_count;
	bool unix_sockets;
};

/* "localhost" stands in a file of this machine. */
static bool
is_name(const char *host)
{
	struct in6_addr address;

	return (host[0] != '\0' && host[0] != '/' && strcmp(host, "localhost") != 0 &&
		inet_pton(AF_INET, host, &address) != 1 &&
		inet_pton(AF_INET6, host, &address) != 1);
}

static int
too_many(struct leased_err *err)
{
	return (
	    leased_err_set(err, LEASED_EINVAL, "host, port: more than %d servers", SERVERS_MAX));
}

static int
read_hosts(struct servers *servers, const char *hosts, struct leased_err *err)
{
	char *rest, *host;

	if ((rest = servers->hosts = strdup(hosts)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	while ((host = strsep(&rest, ",")) != NULL) {
		if (host[0] == '@')
			return (leased_err_set(err, LEASED_EINVAL,
			    "host: a worker reaches no abstract socket (%s): name the directory of "
			    "the server's socket",
			    host));
		servers->unix_sockets |= host[0] == '/';
		if (!is_name(host))
			continue;
		if (servers->name_count == SERVERS_MAX)
			return (too_many(err));
		servers->names[servers->name_count++] = host;
	}
	return (0);
}

/* An empty one is libpq's default. */
static int
read_ports(struct servers *servers, const char *ports, struct leased_err *err)
{
	unsigned long port;
	char *end;

	for (;; ports = end + 1) {
		port = strtoul(ports, &end, 10);
		if (end == ports)
			port = 5432;
		if (port == 0 || port > UINT16_MAX || (*end != '\0' && *end != ','))
			return (leased_err_set(
			    err, LEASED_EINVAL, "port: must be a number from 1 to 65535"));
		if (servers->port_count == SERVERS_MAX)
			return (too_many(err));
		servers->ports[servers->port_count++] = (uint16_t)port;
		if (*end == '\0')
			return (0);
	}
}

int
postgresql_config_confine(const struct postgresql_config *config, struct leased_err *err)
{
	struct servers servers = {0};
	struct leased_reach reach = {.ports = servers.ports};
	int r;

	if ((r = read_hosts(&servers, config->keywords[POSTGRESQL_HOST], err)) == 0 &&
	    (r = read_ports(&servers, config->keywords[POSTGRESQL_PORT], err)) == 0) {
		reach.names = servers.name_count > 0 ? servers.names : NULL;
		reach.unix_sockets = servers.unix_sockets;
		r = leased_confine(&reach, err);
	}
	free(servers.hosts);
	return (r);
}
