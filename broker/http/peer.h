/*
 * Who is at the other end of a connection, as the kernel says it.
 */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum http_peer_kind { HTTP_PEER_UNIX, HTTP_PEER_TCP };

struct http_peer {
	enum http_peer_kind kind;
	/* Unix socket: SO_PEERCRED and SO_PEERGROUPS at connect time. uid 65534 was refused at the
	 * door. */
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char address[64]; /* TCP: the numeric address without port; Unix: "" */
	unsigned port;
	unsigned marks; /* of the listener that it came by: http_server_mark() */
};

#endif
