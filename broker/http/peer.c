/*
 * Who is at the other end: what the kernel says about a Unix socket's peer, or a TCP peer's
 * address. Decides nothing but who may not come in at all.
 *
 * Reads no /proc and receives no descriptors. Called by listener.c for each accepted connection.
 */
#include "http/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"

/* Linux 6.5; older headers do not name it. */
/* What the kernel shows for a uid that has no mapping in our user namespace. */
#define OVERFLOW_ID 65534u
#define GROUPS_MAX 65536u

static int
get_groups(int fd, struct http_peer *peer, struct leased_err *err)
{
	socklen_t len = 0;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
		return (0);
	if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
		return (leased_err_set(err, LEASED_EDENIED,
		    "the groups of the peer cannot be read: %s", strerror(errno)));
	if ((groups = malloc(len)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0) {
		free(groups);
		return (leased_err_set(err, LEASED_EDENIED,
		    "the groups of the peer cannot be read: %s", strerror(errno)));
	}
	peer->groups = groups;
	peer->group_count = len / sizeof(gid_t);
	return (0);
}

static int
get_unix(int fd, struct http_peer *peer, struct leased_err *err)
{
	struct ucred credentials = {0};
	socklen_t len = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) != 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "the kernel does not say who connected: %s", strerror(errno)));
	if (credentials.uid == OVERFLOW_ID || credentials.uid == (uid_t)-1)
		return (leased_err_set(err, LEASED_EDENIED,
		    "uid %u stands for nobody in particular (another user namespace); it is "
		    "not served",
		    credentials.uid));
	peer->pid = credentials.pid;
	peer->uid = credentials.uid;
	peer->gid = credentials.gid;
	return (get_groups(fd, peer, err));
}

static void
get_tcp(const struct sockaddr *address, struct http_peer *peer)
{
	union {
		const struct sockaddr *any;
		const struct sockaddr_in *v4;
		const struct sockaddr_in6 *v6;
	} at = {.any = address};

	if (address->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &at.v4->sin_addr, peer->address, sizeof(peer->address));
		peer->port = ntohs(at.v4->sin_port);
	} else if (address->sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&at.v6->sin6_addr))
			(void)inet_ntop(AF_INET, &at.v6->sin6_addr.s6_addr[12], peer->address,
			    sizeof(peer->address));
		else
			(void)inet_ntop(
			    AF_INET6, &at.v6->sin6_addr, peer->address, sizeof(peer->address));
		peer->port = ntohs(at.v6->sin6_port);
	}
}

int
http_peer_get(int fd, enum http_peer_kind kind, const struct sockaddr *address,
    struct http_peer *ret_peer, struct leased_err *err)
{
	struct http_peer peer = {.kind = kind, .uid = (uid_t)-1, .gid = (gid_t)-1};
	int r = 0;

	if (kind == HTTP_PEER_UNIX)
		r = get_unix(fd, &peer, err);
	else
		get_tcp(address, &peer);
	if (r != 0) {
		http_peer_clear(&peer);
		return (r);
	}
	*ret_peer = peer;
	return (0);
}

void
http_peer_clear(struct http_peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->group_count = 0;
}

/* One who owns an IPv6 network has 2^64 addresses: the network counts. */
uint64_t
http_peer_key(const struct http_peer *peer)
{
	unsigned char bytes[16] = {0};
	uint64_t key = 0;
	size_t i, len = 8;

	if (peer->kind == HTTP_PEER_UNIX)
		return (peer->uid);
	if (inet_pton(AF_INET, peer->address, bytes) == 1)
		len = 4;
	else
		(void)inet_pton(AF_INET6, peer->address, bytes);
	for (i = 0; i < len; i++)
		key = key << 8 | bytes[i];
	return (key);
}

bool
http_peer_is_reserved(const struct http_peer *peer)
{
	return (peer->kind == HTTP_PEER_UNIX && (peer->uid == 0 || peer->uid == geteuid()));
}
