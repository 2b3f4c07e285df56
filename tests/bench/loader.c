/*
 * A load generator for HTTP over a Unix socket or TCP: N keep-alive connections, each with one
 * request under way, for so long or so many; prints one JSON object.
 *
 * One thread, epoll. wrk does not speak Unix sockets; that is why this exists. usage() lists the
 * options.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (64u * 1024u)
#define STATUS_COUNT 600

struct connection {
	int fd;
	char *request; /* what is being sent */
	size_t request_len, sent;
	char buffer[BUFFER_SIZE]; /* the reply's head and the beginning of its body */
	size_t len;
	size_t head_len;
	size_t reply_len; /* head and body; 0: the head is not whole */
	size_t taken;     /* of reply_len, also what is no longer in buffer */
	int status;
	bool close;
	int64_t begin_us;
};

struct load {
	const char *address, *path, *method, *body, *token;
	const char *bodies_file, *replies_file;
	unsigned connections;
	double seconds, warmup_seconds;
	uint64_t count;

	char **bodies; /* the lines of bodies_file, in turn */
	size_t body_count, next_body;
	FILE *replies;
	int epoll_fd;
	uint64_t begun, answered, measured, errors, refused;
	uint64_t statuses[STATUS_COUNT];
	uint32_t *latencies_us;
	size_t latency_size;
	int64_t start_us, measure_us, end_us;
	unsigned active;
};

static _Noreturn void
die(const char *what)
{
	(void)fprintf(stderr, "loader: %s: %s\n", what, strerror(errno));
	exit(1);
}

static _Noreturn void
usage(void)
{
	(void)fprintf(stderr,
	    "usage: loader [options] ADDRESS PATH\n"
	    "ADDRESS is a Unix socket's path or IP:PORT; PATH is the request's, like "
	    "/v1/sys/health\n"
	    "  -c N        connections, each with one request under way (1)\n"
	    "  -d SECONDS  how long (5), or\n"
	    "  -n COUNT    how many requests\n"
	    "  -w SECONDS  not measured at the beginning (0)\n"
	    "  -X METHOD   (GET; POST with a body)\n"
	    "  -b BODY     the body of each request\n"
	    "  -f FILE     a body a line, taken in turn\n"
	    "  -o FILE     takes the replies' bodies, one a line\n"
	    "The token for X-Vault-Token is taken from the environment variable LOADER_TOKEN.\n");
	exit(2);
}

static int64_t
now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void
read_bodies(struct load *load)
{
	FILE *file = fopen(load->bodies_file, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (file == NULL)
		die(load->bodies_file);
	while ((len = getline(&line, &size, file)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = '\0';
		load->bodies = reallocarray(load->bodies, load->body_count + 1, sizeof(char *));
		if (load->bodies == NULL || (load->bodies[load->body_count] = strdup(line)) == NULL)
			die("memory");
		load->body_count++;
	}
	free(line);
	(void)fclose(file);
	if (load->body_count == 0) {
		(void)fprintf(stderr, "loader: %s is empty\n", load->bodies_file);
		exit(1);
	}
}

static int
connect_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die(path);
	return (fd);
}

static int
connect_tcp(const char *text)
{
	const struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	const char *colon = strrchr(text, ':');
	struct addrinfo *found = NULL;
	char host[64] = "";
	int fd, on = 1;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		usage();
	memcpy(host, text, (size_t)(colon - text));
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
		usage();
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
		die(text);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	freeaddrinfo(found);
	return (fd);
}

static void
connection_open(struct load *load, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

	connection->fd = strchr(load->address, '/') != NULL ? connect_unix(load->address)
							    : connect_tcp(load->address);
	if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0 ||
	    epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
		die("epoll");
}

static void
build_request(struct load *load, struct connection *connection)
{
	const char *body = load->body;
	int len;

	if (load->body_count > 0)
		body = load->bodies[load->next_body++ % load->body_count];
	free(connection->request);
	len = asprintf(&connection->request,
	    "%s %s HTTP/1.1\r\nHost: leased\r\nX-Vault-Request: true\r\n%s%s%sContent-Length: "
	    "%zu\r\n\r\n%s",
	    load->method, load->path, load->token != NULL ? "X-Vault-Token: " : "",
	    load->token != NULL ? load->token : "", load->token != NULL ? "\r\n" : "",
	    body != NULL ? strlen(body) : 0, body != NULL ? body : "");
	if (len < 0)
		die("memory");
	connection->request_len = (size_t)len;
}

/* Requests are small: what does not fit the socket at once is waited for. */
static bool
connection_send(struct connection *connection)
{
	while (connection->sent < connection->request_len) {
		ssize_t n = send(connection->fd, connection->request + connection->sent,
		    connection->request_len - connection->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return (false);
		connection->sent += (size_t)n;
	}
	return (true);
}

static bool
is_over(const struct load *load)
{
	return (load->count > 0 ? load->begun >= load->count : now_us() >= load->end_us);
}

static void
begin(struct load *load, struct connection *connection)
{
	if (is_over(load)) {
		(void)close(connection->fd);
		connection->fd = -1;
		load->active--;
		return;
	}
	load->begun++;
	/* The same bytes again, unless the bodies change. */
	if (connection->request == NULL || load->body_count > 0)
		build_request(load, connection);
	connection->sent = connection->len = connection->reply_len = connection->taken = 0;
	connection->begin_us = now_us();
	/* A failure shows when the reply is read. */
	(void)connection_send(connection);
}

static void
reopen(struct load *load, struct connection *connection)
{
	(void)close(connection->fd);
	connection_open(load, connection);
}

static void
measure(struct load *load, int64_t begin_us)
{
	int64_t end_us = now_us();

	if (begin_us < load->measure_us)
		return;
	if (load->measured == load->latency_size) {
		load->latency_size = load->latency_size == 0 ? 65536 : load->latency_size * 2;
		load->latencies_us = reallocarray(
		    load->latencies_us, load->latency_size, sizeof(load->latencies_us[0]));
		if (load->latencies_us == NULL)
			die("memory");
	}
	load->latencies_us[load->measured++] = (uint32_t)(end_us - begin_us);
}

/* The reply's head is whole when this returns true. */
static bool
parse_head(struct load *load, struct connection *connection)
{
	char *end, *line;

	connection->buffer[connection->len] = '\0';
	if ((end = strstr(connection->buffer, "\r\n\r\n")) == NULL)
		return (false);
	connection->status =
	    connection->len > 12 ? (int)strtol(connection->buffer + 9, NULL, 10) : 0;
	connection->head_len = (size_t)(end + 4 - connection->buffer);
	connection->reply_len = connection->head_len;
	connection->close = false;
	for (line = connection->buffer; line < end; line = strstr(line, "\r\n") + 2) {
		if (strncasecmp(line, "Content-Length: ", 16) == 0 &&
		    strcmp(load->method, "HEAD") != 0)
			connection->reply_len += strtoul(line + 16, NULL, 10);
		else if (strncasecmp(line, "Connection: close", 17) == 0)
			connection->close = true;
	}
	return (true);
}

static void
finish(struct load *load, struct connection *connection)
{
	const char *body = connection->buffer + connection->head_len;

	load->answered++;
	measure(load, connection->begin_us);
	if (connection->status > 0 && connection->status < STATUS_COUNT)
		load->statuses[connection->status]++;
	if (connection->status / 100 != 2)
		load->refused++;
	else if (load->replies != NULL)
		(void)fprintf(load->replies, "%.*s\n", (int)strcspn(body, "\n"), body);
	if (connection->close)
		reopen(load, connection);
	begin(load, connection);
}

static void
on_readable(struct load *load, struct connection *connection)
{
	/* A body that does not fit is counted and thrown away. */
	size_t at = connection->len < BUFFER_SIZE - 1 ? connection->len : BUFFER_SIZE / 2;
	ssize_t n = recv(connection->fd, connection->buffer + at, BUFFER_SIZE - 1 - at, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		load->errors++;
		reopen(load, connection);
		begin(load, connection);
		return;
	}
	connection->taken += (size_t)n;
	connection->len = at + (size_t)n;
	if (connection->reply_len == 0 && !parse_head(load, connection)) {
		if (connection->len < BUFFER_SIZE - 1)
			return;
		(void)fprintf(stderr, "loader: a reply's head does not end\n");
		exit(1);
	}
	connection->buffer[connection->len] = '\0';
	if (connection->taken >= connection->reply_len)
		finish(load, connection);
}

static void
run(struct load *load)
{
	struct connection *all = calloc(load->connections, sizeof(*all));
	struct epoll_event events[256];
	unsigned i;
	int n;

	if (all == NULL)
		die("memory");
	load->start_us = now_us();
	load->measure_us = load->start_us + (int64_t)(load->warmup_seconds * 1e6);
	load->end_us = load->measure_us + (int64_t)(load->seconds * 1e6);
	load->active = load->connections;
	for (i = 0; i < load->connections; i++)
		connection_open(load, &all[i]);
	for (i = 0; i < load->connections; i++)
		begin(load, &all[i]);
	while (load->active > 0) {
		n = epoll_wait(load->epoll_fd, events, 256, 30000);
		if (n == 0) {
			(void)fprintf(stderr, "loader: no reply for 30 s\n");
			load->errors += load->active;
			break;
		}
		for (; n > 0; n--)
			on_readable(load, events[n - 1].data.ptr);
	}
	load->end_us = now_us();
	for (i = 0; i < load->connections; i++)
		free(all[i].request);
	free(all);
}

static int
by_value(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left < right ? -1 : left > right);
}

/* The smallest latency that part of all do not pass. */
static uint32_t
percentile_us(const struct load *load, double part)
{
	size_t at = (size_t)((double)load->measured * part);

	if (load->measured == 0)
		return (0);
	return (load->latencies_us[at < load->measured ? at : load->measured - 1]);
}

static void
print_result(struct load *load)
{
	double seconds = (double)(load->end_us - load->measure_us) / 1e6;
	const char *comma = "";
	unsigned i;

	qsort(load->latencies_us, load->measured, sizeof(load->latencies_us[0]), by_value);
	(void)printf("{\"count\": %llu, \"errors\": %llu, \"refused\": %llu, \"seconds\": %.3f, "
		     "\"per_second\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u, "
		     "\"connections\": %u, \"statuses\": {",
	    (unsigned long long)load->measured, (unsigned long long)load->errors,
	    (unsigned long long)load->refused, seconds,
	    seconds > 0 ? (double)load->measured / seconds : 0.0, percentile_us(load, 0.5),
	    percentile_us(load, 0.99), percentile_us(load, 1.0), load->connections);
	for (i = 0; i < STATUS_COUNT; i++) {
		if (load->statuses[i] == 0)
			continue;
		(void)printf("%s\"%u\": %llu", comma, i, (unsigned long long)load->statuses[i]);
		comma = ", ";
	}
	(void)printf("}}\n");
}

static double
number(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (*end != '\0' || end == text || value < 0)
		usage();
	return (value);
}

static void
parse_options(struct load *load, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "c:d:n:w:X:b:f:o:")) != -1) {
		if (option == 'c')
			load->connections = (unsigned)number(optarg);
		else if (option == 'd')
			load->seconds = number(optarg);
		else if (option == 'n')
			load->count = (uint64_t)number(optarg);
		else if (option == 'w')
			load->warmup_seconds = number(optarg);
		else if (option == 'X')
			load->method = optarg;
		else if (option == 'b')
			load->body = optarg;
		else if (option == 'f')
			load->bodies_file = optarg;
		else if (option == 'o')
			load->replies_file = optarg;
		else
			usage();
	}
	if (argc - optind != 2 || load->connections == 0)
		usage();
	load->address = argv[optind];
	load->path = argv[optind + 1];
	if (load->method == NULL)
		load->method = load->body != NULL || load->bodies_file != NULL ? "POST" : "GET";
}

int
main(int argc, char **argv)
{
	struct load load = {.connections = 1, .seconds = 5, .token = getenv("LOADER_TOKEN")};

	parse_options(&load, argc, argv);
	if (load.bodies_file != NULL)
		read_bodies(&load);
	if (load.replies_file != NULL && (load.replies = fopen(load.replies_file, "we")) == NULL)
		die(load.replies_file);
	if ((load.epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll");
	run(&load);
	if (load.replies != NULL && fclose(load.replies) != 0)
		die(load.replies_file);
	print_result(&load);
	while (load.body_count > 0)
		free(load.bodies[--load.body_count]);
	free(load.bodies);
	free(load.latencies_us);
	return (load.errors > 0 ? 1 : 0);
}
