/*
 * Listeners: the Unix socket's path, with a stale one replaced and a live one respected, TCP, and
 * accepting, with a back-off when descriptors run out.
 *
 * Who may come in is peer.c's and server.c's; the connection itself is connection.c's. Called by
 * main through http.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"

#define LISTENER_TAG 0x484c7374u
#define BACKLOG 1024
/* Accepted in one turn of the loop. */
#define ACCEPT_BURST 32
/* How long a listener rests when the process has no descriptor or memory left. */
#define PAUSE_MS 100

static struct http_listener *
listener_from(void *arg)
{
	struct http_listener *listener = arg;

	if (listener->tag != LISTENER_TAG)
		log_fatal("memory is damaged: an HTTP listener is none");
	return (listener);
}

/* Instead of serving it. What the client asked was not read, so that this may be lost to a reset:
 * it is a courtesy, and not worth a handshake. */
static void
turn_away(const struct http_listener *listener, int fd, const char *status, const char *why)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
	    "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nConnection: close\r\n\r\n{\"errors\":[\"%s\"]}",
	    status, strlen(why) + strlen("{\"errors\":[\"\"]}"), why);

	if (listener->tls == NULL)
		(void)send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(fd);
}

/*
 * Who has gone may have passed its connection on, as sudo and socket proxies do, and is served. A
 * worker has nobody to pass it to: it wrote its request and ended before we asked who it is.
 */
static bool
is_worker(const struct http_server *server, pid_t pid)
{
	pid_t session = getsid(pid);

	if (session >= 0)
		return (session == server->refused_session);
	return (server->is_worker != NULL && server->is_worker(server->is_worker_arg, pid));
}

/* Who it is, if he is served at all. */
static int
identify(struct http_listener *listener, int fd, const struct sockaddr *address,
    struct http_peer *ret_peer, struct leased_err *err)
{
	int r;

	if ((r = http_peer_get(fd, listener->kind, address, ret_peer, err)) != 0 ||
	    listener->kind != HTTP_PEER_UNIX || listener->server->refused_session == 0 ||
	    !is_worker(listener->server, ret_peer->pid))
		return (r);
	(void)leased_err_set(err, LEASED_EDENIED,
	    "process %d is a worker of this leased, which has no business here: is its plugin what "
	    "it should be?",
	    (int)ret_peer->pid);
	http_peer_clear(ret_peer);
	return (err->code);
}

static void
take_connection(struct http_listener *listener, int fd, const struct sockaddr *address)
{
	struct http_server *server = listener->server;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_connection *connection;
	struct connection_group *group;
	struct http_peer peer;
	uint64_t left_out;
	int on = 1;

	if (identify(listener, fd, address, &peer, &err) != 0) {
		if (log_limited(&server->refuse_log, &left_out))
			log_warn("connection refused", LOG_ERR(&err),
			    LOG_I("others_left_out", left_out));
		turn_away(listener, fd, "403 Forbidden",
		    "leased cannot tell which user you are, so this connection is not served: the "
		    "log "
		    "of leased says more");
		return;
	}
	if (listener->kind == HTTP_PEER_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	peer.marks = listener->marks;
	if ((group = http_server_admit(server, &peer)) == NULL) {
		if (log_limited(&server->refuse_log, &left_out))
			log_warn("connection refused: too many are open and none is idle",
			    LOG_I("open", server->count), LOG_I("uid", peer.uid),
			    LOG_S("address", peer.address), LOG_I("others_left_out", left_out));
		http_peer_clear(&peer);
		turn_away(listener, fd, "503 Service Unavailable",
		    "too many connections at once; try again later");
		return;
	}
	connection = http_connection_new(server, fd, &peer, group, listener->tls);
	(void)connection; /* out of memory closed it */
}

/* Takes one connection off the queue with the descriptor kept for that, and drops it: else it would
 * wake us for ever. */
static void
drop_one(struct http_server *server, int listen_fd)
{
	int fd;

	if (server->reserve_fd >= 0)
		(void)close(server->reserve_fd);
	fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
take_accept_error(struct http_listener *listener, int error)
{
	static const struct timeval pause = {0, PAUSE_MS * 1000};
	struct http_server *server = listener->server;
	uint64_t left_out;

	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	if (log_limited(&server->accept_log, &left_out))
		log_error("cannot accept a connection; resting for 100 ms. Raise LimitNOFILE if "
			  "descriptors run out",
		    LOG_S("error", strerror(error)), LOG_I("open", server->count),
		    LOG_I("others_left_out", left_out));
	if (error == EMFILE || error == ENFILE)
		drop_one(server, listener->fd);
	(void)event_del(&listener->accepting);
	(void)event_add(&listener->pause, &pause);
}

static void
on_acceptable(evutil_socket_t listen_fd, short what, void *arg)
{
	struct http_listener *listener = listener_from(arg);
	unsigned i;

	(void)what;
	for (i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage address = {0};
		socklen_t len = sizeof(address);
		int fd = accept4(
		    listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			take_accept_error(listener, errno);
			return;
		}
		take_connection(listener, fd, (struct sockaddr *)&address);
	}
}

static void
on_pause_end(evutil_socket_t fd, short what, void *arg)
{
	struct http_listener *listener = listener_from(arg);

	(void)fd;
	(void)what;
	(void)event_add(&listener->accepting, NULL);
}

static void
listener_free(struct http_listener *listener)
{
	(void)close(listener->fd);
	http_tls_free(listener->tls);
	free(listener->path);
	free(listener->address);
	listener->tag = 0;
	free(listener);
}

/* Takes fd and tls (NULL: plain). at: its path, or its address. */
static int
listener_add(struct http_server *server, enum http_peer_kind kind, int fd, const char *at,
    struct http_tls *tls, struct leased_err *err)
{
	struct http_listener *listener;
	struct stat st;
	char **name;

	if ((listener = calloc(1, sizeof(*listener))) == NULL) {
		(void)close(fd);
		http_tls_free(tls);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	listener->tag = LISTENER_TAG;
	listener->server = server;
	listener->kind = kind;
	listener->fd = fd;
	listener->tls = tls;
	name = kind == HTTP_PEER_UNIX ? &listener->path : &listener->address;
	if ((*name = strdup(at)) == NULL) {
		listener_free(listener);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (listener->path != NULL && lstat(listener->path, &st) == 0) {
		listener->path_device = st.st_dev;
		listener->path_inode = st.st_ino;
	}
	if (event_assign(&listener->accepting, server->loop, fd, EV_READ | EV_PERSIST,
		on_acceptable, listener) != 0 ||
	    evtimer_assign(&listener->pause, server->loop, on_pause_end, listener) != 0 ||
	    event_add(&listener->accepting, NULL) != 0)
		log_fatal("the event loop takes no events");
	SLIST_INSERT_HEAD(&server->listeners, listener, next);
	return (0);
}

void
http_listener_close(struct http_listener *listener)
{
	struct stat st;

	(void)event_del(&listener->accepting);
	(void)event_del(&listener->pause);
	/* Another daemon may have put its own there. */
	if (listener->path != NULL && lstat(listener->path, &st) == 0 &&
	    st.st_dev == listener->path_device && st.st_ino == listener->path_inode)
		(void)unlink(listener->path);
	listener_free(listener);
}

void
http_server_mark(struct http_server *server, unsigned marks)
{
	struct http_listener *last = SLIST_FIRST(&server->listeners);

	if (last != NULL)
		last->marks = marks;
}

/* The path is taken. Is somebody listening there? If not, what is left of him is removed. */
static int
remove_stale(const struct sockaddr_un *address, struct leased_err *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, r;

	if (lstat(path, &st) != 0)
		return (errno == ENOENT ? 0
					: leased_err_set(err, LEASED_EIO, "cannot look at %s: %s",
					      path, strerror(errno)));
	if (!S_ISSOCK(st.st_mode))
		return (leased_err_set(err, LEASED_EEXIST,
		    "%s exists and is not a socket; move it away or choose another path", path));
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return (
		    leased_err_set(err, LEASED_EIO, "cannot make a socket: %s", strerror(errno)));
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	(void)close(fd);
	if (r == ENOENT)
		return (0);
	if (r != ECONNREFUSED)
		return (leased_err_set(err, LEASED_EEXIST,
		    "another process listens on %s; stop it or choose another path", path));
	if (unlink(path) != 0 && errno != ENOENT)
		return (leased_err_set(err, LEASED_EIO, "cannot remove the stale socket %s: %s",
		    path, strerror(errno)));
	log_info("stale socket replaced", LOG_S("path", path));
	return (0);
}

static int
set_owner(const char *path, mode_t mode, const char *group, struct leased_err *err)
{
	struct group entry, *found = NULL;
	char buffer[16384];
	int r;

	if (group != NULL) {
		r = getgrnam_r(group, &entry, buffer, sizeof(buffer), &found);
		if (found == NULL)
			return (leased_err_set(err, LEASED_EINVAL,
			    "the group %s of the socket %s does not exist%s%s", group, path,
			    r != 0 ? ": " : "", r != 0 ? strerror(r) : ""));
		if (lchown(path, (uid_t)-1, found->gr_gid) != 0)
			return (leased_err_set(err, LEASED_EDENIED,
			    "cannot give %s to the group %s: %s", path, group, strerror(errno)));
	}
	if (chmod(path, mode) != 0)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot set the mode of %s: %s", path, strerror(errno)));
	return (0);
}

/* Nobody can connect before listen(), so that owner and mode are right for the first who can. */
static int
bind_unix(int fd, const struct sockaddr_un *address, mode_t mode, const char *group,
    struct leased_err *err)
{
	const char *path = address->sun_path;
	int r;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0) {
		if (errno != EADDRINUSE)
			return (leased_err_set(err, LEASED_EIO, "cannot make the socket %s: %s",
			    path, strerror(errno)));
		if ((r = remove_stale(address, err)) != 0)
			return (r);
		if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
			return (leased_err_set(err, LEASED_EIO, "cannot make the socket %s: %s",
			    path, strerror(errno)));
	}
	if ((r = set_owner(path, mode, group, err)) == 0 && listen(fd, BACKLOG) != 0)
		r = leased_err_set(
		    err, LEASED_EIO, "cannot listen on %s: %s", path, strerror(errno));
	if (r != 0)
		(void)unlink(path);
	return (r);
}

int
http_server_listen_unix(struct http_server *server, const char *path, mode_t mode,
    const char *group, struct leased_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -1, r;

	if (strlen(path) >= sizeof(address.sun_path) || path[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL,
		    "the socket's path must have 1 to %zu bytes: %s", sizeof(address.sun_path) - 1,
		    path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return (
		    leased_err_set(err, LEASED_EIO, "cannot make a socket: %s", strerror(errno)));
	if ((r = bind_unix(fd, &address, mode, group, err)) != 0) {
		(void)close(fd);
		return (r);
	}
	return (listener_add(server, HTTP_PEER_UNIX, fd, path, NULL, err));
}

/* "127.0.0.1:8200" or "[::1]:8200"; no names, since looking them up could block. */
static int
resolve(const char *text, struct addrinfo **ret_address, struct leased_err *err)
{
	const struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	char host[64] = "";
	/* getaddrinfo() would take 99999 for a port, and none. */
	bool has_port = colon != NULL && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
			strlen(colon) > 1 && strlen(colon) <= 6 &&
			strtoul(colon + 1, NULL, 10) <= 65535;
	bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracketed) {
		text++;
		len -= 2;
	}
	if (len > 0 && len < sizeof(host))
		memcpy(host, text, len);
	if (!has_port || host[0] == '\0' || (!bracketed && strchr(host, ':') != NULL) ||
	    getaddrinfo(host, colon + 1, &hints, ret_address) != 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the address to listen on must be IP:PORT or [IPv6]:PORT: %s",
		    bracketed ? text - 1 : text));
	return (0);
}

static unsigned
port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = {0};
	socklen_t len = sizeof(at);

	if (getsockname(fd, &at.any, &len) != 0)
		return (0);
	return (ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port));
}

/* Takes tls. */
static int
listen_tcp(struct http_server *server, const char *address, struct http_tls *tls,
    unsigned *ret_port, struct leased_err *err)
{
	struct addrinfo *found = NULL;
	int fd = -1, on = 1, r;

	if ((r = resolve(address, &found, err)) != 0)
		goto out;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		r = leased_err_set(err, errno == EADDRINUSE ? LEASED_EEXIST : LEASED_EIO,
		    "cannot listen on %s: %s", address, strerror(errno));
		goto out;
	}
	if (ret_port != NULL)
		*ret_port = port_of(fd);
	r = listener_add(server, HTTP_PEER_TCP, fd, address, tls, err);
	fd = -1;
	tls = NULL;
out:
	if (found != NULL)
		freeaddrinfo(found);
	if (fd >= 0)
		(void)close(fd);
	http_tls_free(tls);
	return (r);
}

int
http_server_listen_tcp(
    struct http_server *server, const char *address, unsigned *ret_port, struct leased_err *err)
{
	return (listen_tcp(server, address, NULL, ret_port, err));
}

int
http_server_listen_tls(struct http_server *server, const char *address, struct http_tls *tls,
    unsigned *ret_port, struct leased_err *err)
{
	return (listen_tcp(server, address, tls, ret_port, err));
}

static struct http_listener *
tls_listener(const struct http_server *server, const char *address)
{
	struct http_listener *listener;

	SLIST_FOREACH (listener, &server->listeners, next)
		if (listener->tls != NULL && strcmp(listener->address, address) == 0)
			return (listener);
	return (NULL);
}

struct http_tls *
http_server_tls(const struct http_server *server, const char *address)
{
	const struct http_listener *listener = tls_listener(server, address);

	return (listener != NULL ? listener->tls : NULL);
}

bool
http_server_replace_tls(struct http_server *server, const char *address, struct http_tls *tls)
{
	struct http_listener *listener = tls_listener(server, address);

	if (listener == NULL) {
		http_tls_free(tls);
		return (false);
	}
	http_tls_free(listener->tls);
	listener->tls = tls;
	return (true);
}
