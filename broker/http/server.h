/*
 * The server behind http.h: its connections, their counts, its listeners. Private to http/.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/log.h"
#include "http/connection.h"
#include "http/http.h"

/* One read takes at most this much from a connection. */
#define SERVER_READ_SIZE (16u * 1024u)
#define SERVER_GROUPS 256u

TAILQ_HEAD(connection_list, http_connection);
SLIST_HEAD(group_list, connection_group);
SLIST_HEAD(listener_list, http_listener);

/* Connections of one uid, one IPv4 address, or one IPv6 /64. */
struct connection_group {
	SLIST_ENTRY(connection_group) next;
	enum http_peer_kind kind;
	uint64_t key;
	unsigned count;
};

struct http_listener {
	unsigned tag;
	SLIST_ENTRY(http_listener) next;
	struct http_server *server;
	enum http_peer_kind kind;
	unsigned marks;
	int fd;
	char *address;        /* TCP: as it was asked for */
	struct http_tls *tls; /* owned; NULL: plain */
	char *path;           /* Unix: unlinked at the end while it is still ours */
	dev_t path_device;
	ino_t path_inode;
	struct event accepting, pause;
};

struct http_server {
	unsigned tag;
	struct event_base *loop;
	struct http_limits limits;
	struct http_budget budget;
	http_handler handler;
	void *handler_arg;
	struct connection_list all;     /* not CLOSED, or CLOSED with something still to report */
	struct connection_list waiting; /* IDLE or HEAD */
	/* Steps of TLS handshakes: those that this turn of the loop has left to others, in their
	 * order, and how many it may still make. */
	struct connection_list shaking;
	unsigned steps_left;
	struct event next_steps;
	struct group_list groups[SERVER_GROUPS];
	unsigned count; /* not CLOSED */
	struct listener_list listeners;
	pid_t refused_session; /* 0: none */
	bool (*is_worker)(void *arg, pid_t pid);
	void *is_worker_arg;
	int reserve_fd; /* given up for a moment when descriptors run out */
	struct log_limit accept_log, refuse_log, tls_log, error_log;
	char date[40]; /* the Date header, made once a second */
	int64_t date_s;
	unsigned char read_buffer[SERVER_READ_SIZE]; /* wiped after each use */

	bool is_stopping;
	bool is_done;
	void (*done)(void *arg);
	void *done_arg;
	struct event stop_timer;
};

/* server.c: called by connection.c and listener.c */

/* May one more come in from peer? Makes room by closing the longest idle one where a cap is
 * reached. NULL: no. */
struct connection_group *http_server_admit(
    struct http_server *server, const struct http_peer *peer);
/* Admitted, but it came to nothing. */
void http_server_forget(
    struct http_server *server, struct connection_group *group, const struct http_peer *peer);
void http_server_attach(struct http_server *server, struct http_connection *connection);
/* CLOSED: no longer counted. */
void http_server_release(struct http_server *server, struct http_connection *connection);
/* About to be freed. */
void http_server_detach(struct http_server *server, struct http_connection *connection);
/* Its handshake can go on: now, or in a later turn of the loop when this one has made its share. */
void http_server_shake(struct http_server *server, struct http_connection *connection);
/* It no longer waits for that. */
void http_server_unshake(struct http_server *server, struct http_connection *connection);

/* listener.c */
void http_listener_close(struct http_listener *listener);

/* peer.c */

/* Who connected fd; address is what accept() gave. LEASED_EDENIED: must not be served. */
int http_peer_get(int fd, enum http_peer_kind kind, const struct sockaddr *address,
    struct http_peer *ret_peer, struct leased_err *err) LEASED_MUST_CHECK;
void http_peer_clear(struct http_peer *peer);
uint64_t http_peer_key(const struct http_peer *peer);
/* Root or the daemon's own user, on a Unix socket. */
bool http_peer_is_reserved(const struct http_peer *peer);

#endif
