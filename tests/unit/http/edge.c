/*
 * The edge under test and its clients. Everything runs on the test's own thread: a client never
 * blocks, it lets the loop run.
 */
#include "edge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define STEP_US 2000

long long
edge_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec * 1000LL + now.tv_nsec / 1000000);
}

int
edge_setup(void **state)
{
	struct edge *edge = calloc(1, sizeof(*edge));

	if (edge == NULL)
		return (-1);
	(void)snprintf(edge->directory, sizeof(edge->directory), "/tmp/leased-edge.XXXXXX");
	if (mkdtemp(edge->directory) == NULL)
		return (-1);
	(void)snprintf(edge->path, sizeof(edge->path), "%s/s", edge->directory);
	edge->loop = event_base_new();
	edge->limits = http_default_limits;
	edge->reply_len = 2;
	*state = edge;
	return (edge->loop == NULL ? -1 : 0);
}

int
edge_teardown(void **state)
{
	struct edge *edge = *state;

	http_server_free(edge->server);
	event_base_free(edge->loop);
	(void)unlink(edge->path);
	(void)rmdir(edge->directory);
	free(edge);
	return (0);
}

static void
on_delivery(void *arg, enum http_delivery delivery)
{
	struct edge *edge = arg;

	if (delivery == HTTP_DELIVERED)
		edge->delivered++;
	else
		edge->lost++;
}

static void
answer(struct edge *edge, struct http_request *request)
{
	struct http_reply reply = {.status = 200};

	edge->answered++;
	reply.body = malloc(edge->reply_len + 1);
	if (reply.body != NULL) {
		memset(reply.body, 'x', edge->reply_len);
		reply.body_len = edge->reply_len;
	}
	http_reply_header(&reply, "X-Path", request->path);
	if (edge->watch) {
		reply.on_delivery = on_delivery;
		reply.on_delivery_arg = edge;
	}
	http_reply_send(request, &reply);
}

void
edge_answer(struct edge *edge)
{
	struct http_request *request = edge->held[0];

	assert_true(edge->held_count > 0);
	edge->held_count--;
	memmove(edge->held, edge->held + 1, edge->held_count * sizeof(edge->held[0]));
	answer(edge, request);
}

static void
on_request(struct http_request *request, void *arg)
{
	struct edge *edge = arg;

	edge->handled++;
	edge->last_marks = request->peer->marks;
	(void)snprintf(edge->last_path, sizeof(edge->last_path), "%s", request->path);
	(void)snprintf(edge->last_body, sizeof(edge->last_body), "%s", (const char *)request->body);
	if (!edge->hold) {
		answer(edge, request);
		return;
	}
	assert_true(edge->held_count < EDGE_HELD);
	edge->held[edge->held_count++] = request;
}

void
edge_start(struct edge *edge)
{
	struct leased_err err = LEASED_ERR_INIT;

	edge->server = http_server_new(edge->loop, &edge->limits, on_request, edge);
	assert_non_null(edge->server);
	assert_int_equal(http_server_listen_unix(edge->server, edge->path, 0666, NULL, &err), 0);
	assert_int_equal(http_server_listen_tcp(edge->server, "127.0.0.1:0", &edge->port, &err), 0);
}

static void
on_done(void *arg)
{
	((struct edge *)arg)->done++;
}

void
edge_stop(struct edge *edge, unsigned timeout_ms)
{
	http_server_stop(edge->server, timeout_ms, on_done, edge);
}

void
edge_connect_fd(struct edge *edge, int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, edge->path, strlen(edge->path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	edge_run(edge, 5);
}

int
edge_connect(struct edge *edge)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	edge_connect_fd(edge, fd);
	return (fd);
}

int
edge_connect_tcp(struct edge *edge)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	address.sin_port = htons((uint16_t)edge->port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	edge_run(edge, 5);
	return (fd);
}

void
edge_send(int fd, const char *text)
{
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

void
edge_send_all(struct edge *edge, int fd, const char *text)
{
	long long end = edge_now_ms() + 2000;
	size_t len = strlen(text);
	ssize_t n;

	while (len > 0 && edge_now_ms() < end) {
		n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
		edge_run(edge, 1);
	}
}

static void
step(struct edge *edge)
{
	static const struct timeval pause = {0, STEP_US};

	(void)event_base_loopexit(edge->loop, &pause);
	(void)event_base_dispatch(edge->loop);
}

void
edge_run(struct edge *edge, unsigned ms)
{
	long long end = edge_now_ms() + ms;

	do
		step(edge);
	while (edge_now_ms() < end);
}

void
edge_until(struct edge *edge, const unsigned *counter, unsigned value)
{
	long long end = edge_now_ms() + 5000;

	while (*counter < value && edge_now_ms() < end)
		step(edge);
	assert_int_equal(*counter, value);
}

unsigned
edge_count(const char *text, const char *needle)
{
	unsigned count = 0;

	while ((text = strstr(text, needle)) != NULL) {
		text += strlen(needle);
		count++;
	}
	return (count);
}

unsigned
edge_whole_replies(const char *text)
{
	unsigned count = 0;
	const char *end, *length;

	while ((end = strstr(text, "\r\n\r\n")) != NULL) {
		unsigned long body = 0;

		length = strstr(text, "Content-Length: ");
		if (length != NULL && length < end)
			body = strtoul(length + 16, NULL, 10);
		if (strlen(end + 4) < body)
			break;
		text = end + 4 + body;
		count++;
	}
	return (count);
}

const char *
edge_read(struct edge *edge, int fd, unsigned count, unsigned ms)
{
	static char text[256 * 1024];
	long long end = edge_now_ms() + ms;
	size_t len = 0;
	ssize_t n;

	text[0] = '\0';
	while (edge_whole_replies(text) < count && edge_now_ms() < end) {
		step(edge);
		n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
	}
	return (text);
}

bool
edge_read_end(struct edge *edge, int fd, unsigned ms)
{
	char bytes[4096];
	long long end = edge_now_ms() + ms;
	ssize_t n;

	while (edge_now_ms() < end) {
		step(edge);
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0)
			return (true);
		if (n < 0 && errno != EAGAIN)
			return (false);
	}
	return (false);
}
