/*
 * Who gets in, and through which door: the Unix socket's path, stale and live ones, what the kernel
 * says about a peer.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge.h"

#define GET "GET /v1/x HTTP/1.1\r\nHost: leased\r\n\r\n"

static int
listen_again(struct edge *edge, struct http_server **ret_server, struct leased_err *err)
{
	*ret_server = http_server_new(edge->loop, &edge->limits, NULL, NULL);
	assert_non_null(*ret_server);
	return (http_server_listen_unix(*ret_server, edge->path, 0600, NULL, err));
}

static void
socket_has_the_mode_that_was_asked_for(void **state)
{
	struct edge *edge = *state;
	struct stat st;

	edge_start(edge);
	assert_int_equal(lstat(edge->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0666);
}

static void
mark_of_a_listener_is_seen_by_who_comes_by_it_alone(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge_start(edge); /* TCP is opened last */
	http_server_mark(edge->server, 5);
	fd = edge_connect_tcp(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 1);
	assert_int_equal(edge->last_marks, 5);
	(void)close(fd);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 2);
	assert_int_equal(edge->last_marks, 0);
	(void)close(fd);
}

/* A process that asks, in a session of its own, and waits. The test's own session may have
 * no number here: in a container its leader is outside. */
static pid_t
client(struct edge *edge)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pid_t pid;
	int fd;

	(void)strlcpy(address.sun_path, edge->path, sizeof(address.sun_path));
	if ((pid = fork()) != 0)
		return (pid);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (setsid() >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		edge_send(fd, GET);
	for (;;)
		(void)pause();
}

static void
client_end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A process that asks, and has gone before anybody looks who it is. */
static pid_t
client_that_has_gone(struct edge *edge)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pid_t pid;
	int fd;

	(void)strlcpy(address.sun_path, edge->path, sizeof(address.sun_path));
	if ((pid = fork()) == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			edge_send(fd, GET);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return (pid);
}

static bool
on_is_worker(void *arg, pid_t pid)
{
	return (*(pid_t *)arg == pid);
}

static void
a_worker_that_has_gone_is_not_served_and_another_process_is(void **state)
{
	struct edge *edge = *state;
	pid_t worker = 0;

	edge_start(edge);
	http_server_refuse_workers(edge->server, getpid() + 1, on_is_worker, &worker);
	worker = client_that_has_gone(edge);
	edge_run(edge, 100);
	assert_int_equal(edge->handled, 0);
	(void)client_that_has_gone(edge);
	edge_until(edge, &edge->handled, 1);
}

static void
a_session_that_is_refused_is_not_served(void **state)
{
	struct edge *edge = *state;
	pid_t pid;

	edge_start(edge);
	pid = client(edge);
	http_server_refuse_workers(edge->server, pid, NULL, NULL);
	edge_run(edge, 100);
	assert_int_equal(edge->handled, 0);
	client_end(pid);
	pid = client(edge);
	edge_until(edge, &edge->handled, 1);
	client_end(pid);
}

static void
live_socket_is_left_alone(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_server *second;
	int fd;

	edge_start(edge);
	assert_int_equal(listen_again(edge, &second, &err), LEASED_EEXIST);
	assert_non_null(strstr(err.text, edge->path));
	http_server_free(second);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	(void)close(fd);
}

static void
stale_socket_is_replaced(void **state)
{
	struct edge *edge = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int stale = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	memcpy(address.sun_path, edge->path, strlen(edge->path) + 1);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(stale);
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	(void)close(fd);
}

static void
file_that_is_no_socket_is_left_alone(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_server *server;
	struct stat st;
	int fd = open(edge->path, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(listen_again(edge, &server, &err), LEASED_EEXIST);
	http_server_free(server);
	assert_int_equal(lstat(edge->path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
socket_of_another_is_not_unlinked_at_the_end(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_server *second;

	edge_start(edge);
	assert_int_equal(unlink(edge->path), 0);
	assert_int_equal(listen_again(edge, &second, &err), 0);
	http_server_free(edge->server);
	edge->server = NULL;
	assert_int_equal(access(edge->path, F_OK), 0);
	http_server_free(second);
	assert_int_not_equal(access(edge->path, F_OK), 0);
}

static void
bad_addresses_are_refused_with_the_reason(void **state)
{
	static const char *const addresses[] = {"", "8200", ":8200", "localhost:8200", "::1:8200",
	    "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:", "[::1]", "[127.0.0.1:1"};
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	struct http_server *server;
	char path[200];
	size_t i;

	server = http_server_new(edge->loop, &edge->limits, NULL, NULL);
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(
		    http_server_listen_tcp(server, addresses[i], NULL, &err), LEASED_EINVAL);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(http_server_listen_unix(server, path, 0600, NULL, &err), LEASED_EINVAL);
	assert_int_equal(http_server_listen_unix(server, "", 0600, NULL, &err), LEASED_EINVAL);
	assert_int_equal(http_server_listen_unix(server, edge->path, 0600, "no such group", &err),
	    LEASED_EINVAL);
	assert_non_null(strstr(err.text, "no such group"));
	assert_int_not_equal(access(edge->path, F_OK), 0);
	http_server_free(server);
}

static void
tcp_port_in_use_is_said(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;
	char address[32];

	edge_start(edge);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", edge->port);
	assert_int_equal(http_server_listen_tcp(edge->server, address, NULL, &err), LEASED_EEXIST);
	assert_non_null(strstr(err.text, address));
}

static void
kernel_says_who_the_peer_is(void **state)
{
	struct edge *edge = *state;
	const struct http_peer *peer;
	gid_t groups[1024];
	int fd, count = getgroups(1024, groups);

	edge->hold = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 1);
	peer = edge->held[0]->peer;
	assert_int_equal(peer->kind, HTTP_PEER_UNIX);
	assert_int_equal(peer->uid, getuid());
	assert_int_equal(peer->gid, getgid());
	assert_int_equal(peer->pid, getpid());
	assert_int_equal(peer->group_count, count);
	assert_memory_equal(peer->groups, groups, (size_t)count * sizeof(groups[0]));
	assert_string_equal(peer->address, "");
	edge_answer(edge);
	(void)close(fd);

	fd = edge_connect_tcp(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 2);
	peer = edge->held[0]->peer;
	assert_int_equal(peer->kind, HTTP_PEER_TCP);
	assert_string_equal(peer->address, "127.0.0.1");
	assert_int_not_equal(peer->port, 0);
	edge_answer(edge);
	(void)close(fd);
}

/* Whom the kernel is said to see at the other end when we may be nobody but ourselves. */
static struct {
	bool is_on;
	uid_t uid;
	const gid_t *groups;
	size_t group_count;
} pretended;

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	socklen_t needed = (socklen_t)(pretended.group_count * sizeof(gid_t));
	int r;

	if (pretended.is_on && level == SOL_SOCKET && name == SO_PEERGROUPS) {
		if (*len < needed) {
			*len = needed;
			errno = ERANGE;
			return (-1);
		}
		if (needed > 0)
			memcpy(value, pretended.groups, needed);
		*len = needed;
		return (0);
	}
	r = __real_getsockopt(fd, level, name, value, len);
	if (pretended.is_on && r == 0 && level == SOL_SOCKET && name == SO_PEERCRED) {
		((struct ucred *)value)->uid = pretended.uid;
		((struct ucred *)value)->gid = pretended.uid;
	}
	return (r);
}

/*
 * A child that asks as another user: a real one when we are root, else one by the kernel's word as
 * it is pretended. The child's exit status: 0 when it was served, 1 when it was turned away.
 */
static pid_t
ask_as(struct edge *edge, uid_t uid, const gid_t *groups, size_t group_count)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	bool is_root = geteuid() == 0;
	char status[12] = "";
	pid_t pid;
	int fd;

	pretended.is_on = !is_root;
	pretended.uid = uid;
	pretended.groups = groups;
	pretended.group_count = group_count;
	if ((pid = fork()) != 0)
		return (pid);
	memcpy(address.sun_path, edge->path, strlen(edge->path) + 1);
	if (is_root && (setgroups(group_count, groups) != 0 || setresgid(uid, uid, uid) != 0 ||
			   setresuid(uid, uid, uid) != 0))
		_exit(3);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit(4);
	(void)send(fd, GET, sizeof(GET) - 1, MSG_NOSIGNAL);
	(void)recv(fd, status, sizeof(status), MSG_WAITALL);
	_exit(memcmp(status, "HTTP/1.1 200", sizeof(status)) == 0 ? 0 : 1);
}

static int
exit_status(struct edge *edge, pid_t pid)
{
	long long end = edge_now_ms() + 5000;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		assert_true(edge_now_ms() < end);
		edge_run(edge, 2);
	}
	assert_true(WIFEXITED(status));
	return (WEXITSTATUS(status));
}

static void
other_users_come_in_with_their_groups_and_nobody_does_not(void **state)
{
	static const gid_t groups[] = {1234, 5678};
	struct edge *edge = *state;
	pid_t pid;

	edge->hold = true;
	edge_start(edge);
	assert_int_equal(chmod(edge->directory, 0755), 0);
	pid = ask_as(edge, 4711, groups, 2);
	edge_until(edge, &edge->handled, 1);
	assert_int_equal(edge->held[0]->peer->uid, 4711);
	assert_int_equal(edge->held[0]->peer->gid, 4711);
	assert_int_equal(edge->held[0]->peer->pid, pid);
	assert_int_equal(edge->held[0]->peer->group_count, 2);
	assert_memory_equal(edge->held[0]->peer->groups, groups, sizeof(groups));
	edge_answer(edge);
	assert_int_equal(exit_status(edge, pid), 0);

	pid = ask_as(edge, 65534, NULL, 0);
	assert_int_equal(exit_status(edge, pid), 1);
	assert_int_equal(edge->handled, 1);
	pretended.is_on = false;
}

static unsigned
open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return (count);
}

static void
descriptors_that_a_client_passes_are_dropped(void **state)
{
	struct edge *edge = *state;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)GET, sizeof(GET) - 1};
	struct msghdr message = {.msg_iov = &part,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	unsigned before;
	int fd, passed = 1;

	edge_start(edge);
	fd = edge_connect(edge);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	before = open_descriptors();
	assert_int_equal(sendmsg(fd, &message, 0), sizeof(GET) - 1);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	assert_int_equal(open_descriptors(), before);
	(void)close(fd);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, edge_setup, edge_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EDGE_TEST(socket_has_the_mode_that_was_asked_for),
	    EDGE_TEST(mark_of_a_listener_is_seen_by_who_comes_by_it_alone),
	    EDGE_TEST(a_session_that_is_refused_is_not_served),
	    EDGE_TEST(a_worker_that_has_gone_is_not_served_and_another_process_is),
	    EDGE_TEST(live_socket_is_left_alone),
	    EDGE_TEST(stale_socket_is_replaced),
	    EDGE_TEST(file_that_is_no_socket_is_left_alone),
	    EDGE_TEST(socket_of_another_is_not_unlinked_at_the_end),
	    EDGE_TEST(bad_addresses_are_refused_with_the_reason),
	    EDGE_TEST(tcp_port_in_use_is_said),
	    EDGE_TEST(kernel_says_who_the_peer_is),
	    EDGE_TEST(other_users_come_in_with_their_groups_and_nobody_does_not),
	    EDGE_TEST(descriptors_that_a_client_passes_are_dropped),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
