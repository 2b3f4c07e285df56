/*
 * What the edge does not put up with: slow clients, too many of them, too much memory; and how it
 * stops.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge.h"
#include "support/failalloc.h"

#define GET "GET /v1/x HTTP/1.1\r\nHost: leased\r\n\r\n"
#define BODY_HEAD "POST /v1/x HTTP/1.1\r\nHost: leased\r\nContent-Length: 1000000\r\n\r\n"

/* Sends text byte by byte, one every 20 ms, until the end of the stream; how long that took. */
static long long
drip(struct edge *edge, int fd, const char *text, const char *expected_status)
{
	long long begin = edge_now_ms();
	const char *got = "";

	for (; *text != '\0' && got[0] == '\0' && edge_now_ms() - begin < 5000; text++) {
		(void)send(fd, text, 1, MSG_NOSIGNAL);
		got = edge_read(edge, fd, 1, 20);
	}
	assert_non_null(strstr(got, expected_status));
	assert_non_null(strstr(got, "{\"errors\":[\""));
	return (edge_now_ms() - begin);
}

static void
slow_header_is_cut_at_the_absolute_deadline(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->limits.header_ms = 300;
	edge_start(edge);
	fd = edge_connect(edge);
	assert_in_range(drip(edge, fd, GET GET GET, "HTTP/1.1 408 "), 250, 1500);
	assert_true(edge_read_end(edge, fd, 500));
	(void)close(fd);
	assert_int_equal(edge->handled, 0);
}

static void
slow_body_is_cut_at_the_absolute_deadline(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->limits.header_ms = 100;
	edge->limits.body_ms = 300;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, BODY_HEAD);
	assert_in_range(drip(edge, fd, GET GET GET, "HTTP/1.1 408 "), 250, 1500);
	(void)close(fd);
}

static void
silent_connection_is_closed_without_a_word(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->limits.idle_ms = 200;
	edge_start(edge);
	fd = edge_connect(edge);
	assert_string_equal(edge_read(edge, fd, 1, 100), "");
	assert_true(edge_read_end(edge, fd, 400));
	(void)close(fd);
	/* The time between requests is idle, the time of a request is not. */
	edge->hold = true;
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_run(edge, 400);
	edge_answer(edge);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	assert_true(edge_read_end(edge, fd, 400));
	(void)close(fd);
}

static void
client_that_does_not_read_is_cut_at_the_write_deadline(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->limits.write_ms = 200;
	edge->reply_len = 8 * 1024 * 1024;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_run(edge, 100);
	assert_int_equal(http_server_connection_count(edge->server), 1);
	edge_run(edge, 250);
	assert_int_equal(http_server_connection_count(edge->server), 0);
	(void)close(fd);
}

static void
longest_idle_gives_way_at_the_cap(void **state)
{
	struct edge *edge = *state;
	int first, second, third;

	edge->hold = true;
	edge->limits.connections = 2;
	edge->limits.connections_reserved = 0;
	edge_start(edge);
	first = edge_connect(edge);
	edge_send(first, GET);
	edge_until(edge, &edge->handled, 1);
	second = edge_connect(edge);
	third = edge_connect(edge);
	/* The first has a request in hand, so that the second had to go. */
	assert_true(edge_read_end(edge, second, 500));
	assert_int_equal(http_server_connection_count(edge->server), 2);
	edge_send(third, GET);
	edge_until(edge, &edge->handled, 2);
	/* Nobody is idle now. */
	(void)close(second);
	second = edge_connect(edge);
	assert_int_equal(edge_count(edge_read(edge, second, 1, 500), "HTTP/1.1 503 "), 1);
	assert_true(edge_read_end(edge, second, 500));
	edge_answer(edge);
	edge_answer(edge);
	assert_int_equal(edge_count(edge_read(edge, first, 1, 500), "200 OK"), 1);
	assert_int_equal(edge_count(edge_read(edge, third, 1, 500), "200 OK"), 1);
	(void)close(first);
	(void)close(second);
	(void)close(third);
}

static void
one_peer_cannot_take_all(void **state)
{
	struct edge *edge = *state;
	int fds[4];
	unsigned i;

	edge->limits.connections_per_peer = 2;
	edge_start(edge);
	fds[0] = edge_connect(edge);
	fds[1] = edge_connect(edge);
	fds[2] = edge_connect_tcp(edge);
	assert_int_equal(http_server_connection_count(edge->server), 3);
	fds[3] = edge_connect(edge);
	assert_true(edge_read_end(edge, fds[0], 500));
	assert_int_equal(http_server_connection_count(edge->server), 3);
	edge_send(fds[2], GET);
	assert_int_equal(edge_count(edge_read(edge, fds[2], 1, 500), "200 OK"), 1);
	for (i = 0; i < 4; i++)
		(void)close(fds[i]);
}

static void
some_places_are_kept_for_root_and_ourselves(void **state)
{
	struct edge *edge = *state;
	int fds[5];
	unsigned i;

	edge->hold = true;
	edge->limits.connections = 4;
	edge->limits.connections_reserved = 2;
	edge_start(edge);
	for (i = 0; i < 2; i++) {
		fds[i] = edge_connect_tcp(edge);
		edge_send(fds[i], GET);
		edge_until(edge, &edge->handled, i + 1);
	}
	fds[2] = edge_connect_tcp(edge);
	assert_int_equal(edge_count(edge_read(edge, fds[2], 1, 500), "HTTP/1.1 503 "), 1);
	for (i = 3; i < 5; i++) {
		fds[i] = edge_connect(edge);
		edge_send(fds[i], GET);
		edge_until(edge, &edge->handled, i);
	}
	assert_int_equal(http_server_connection_count(edge->server), 4);
	while (edge->held_count > 0)
		edge_answer(edge);
	for (i = 0; i < 5; i++)
		(void)close(fds[i]);
}

static void
unread_lease_is_not_thrown_out_at_the_cap(void **state)
{
	struct edge *edge = *state;
	int first, second;

	edge->watch = true;
	edge->limits.connections = 1;
	edge->limits.connections_reserved = 0;
	edge_start(edge);
	first = edge_connect(edge);
	edge_send(first, GET);
	edge_until(edge, &edge->handled, 1);
	second = edge_connect(edge);
	assert_int_equal(edge_count(edge_read(edge, second, 1, 500), "HTTP/1.1 503 "), 1);
	assert_int_equal(edge->lost, 0);
	assert_int_equal(edge_count(edge_read(edge, first, 1, 500), "200 OK"), 1);
	edge_until(edge, &edge->delivered, 1);
	(void)close(first);
	(void)close(second);
}

static void
bodies_of_all_together_are_bounded(void **state)
{
	struct edge *edge = *state;
	static char half[500 * 1000];
	int fds[3];
	unsigned i;

	memset(half, 'a', sizeof(half) - 1);
	edge->limits.bodies = 1200 * 1000;
	edge_start(edge);
	for (i = 0; i < 3; i++) {
		fds[i] = edge_connect(edge);
		edge_send(fds[i], BODY_HEAD);
		edge_send_all(edge, fds[i], half);
	}
	assert_int_equal(edge_count(edge_read(edge, fds[2], 1, 500), "HTTP/1.1 503 "), 1);
	/* What is small goes on. */
	(void)close(fds[2]);
	fds[2] = edge_connect(edge);
	edge_send(fds[2], "POST /v1/x HTTP/1.1\r\nHost: leased\r\nContent-Length: 2\r\n\r\n{}");
	assert_int_equal(edge_count(edge_read(edge, fds[2], 1, 500), "200 OK"), 1);
	/* And what is given back can be had again. */
	(void)close(fds[0]);
	(void)close(fds[1]);
	edge_run(edge, 20);
	edge_send(fds[2], BODY_HEAD);
	edge_send_all(edge, fds[2], half);
	assert_string_equal(edge_read(edge, fds[2], 1, 100), "");
	(void)close(fds[2]);
}

static void
stop_lets_requests_end_and_closes_the_idle(void **state)
{
	struct edge *edge = *state;
	int idle, busy;

	edge->hold = true;
	edge_start(edge);
	idle = edge_connect(edge);
	busy = edge_connect(edge);
	edge_send(busy, GET GET);
	edge_until(edge, &edge->handled, 1);
	edge_stop(edge, 5000);
	assert_int_not_equal(access(edge->path, F_OK), 0);
	assert_true(edge_read_end(edge, idle, 500));
	assert_int_equal(edge->done, 0);
	edge_answer(edge);
	assert_int_equal(edge_count(edge_read(edge, busy, 2, 200), "\r\nConnection: close\r\n"), 1);
	(void)close(busy);
	edge_until(edge, &edge->done, 1);
	assert_int_equal(edge->handled, 1);
	edge_run(edge, 50);
	assert_int_equal(edge->done, 1);
	(void)close(idle);
}

static void
stop_does_not_wait_longer_than_told(void **state)
{
	struct edge *edge = *state;
	long long begin;
	int fd;

	edge->hold = true;
	edge->watch = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 1);
	begin = edge_now_ms();
	edge_stop(edge, 200);
	edge_until(edge, &edge->done, 1);
	assert_in_range(edge_now_ms() - begin, 190, 2000);
	/* The handler may still answer. */
	edge_answer(edge);
	edge_until(edge, &edge->lost, 1);
	(void)close(fd);
}

static void
stop_does_not_wait_for_half_a_head(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, "GET /v1/sys");
	edge_run(edge, 50);
	edge_stop(edge, 5000);
	assert_true(edge_read_end(edge, fd, 500));
	assert_int_equal(edge->done, 1);
	(void)close(fd);
}

static void
stop_with_nobody_there_is_done_at_once(void **state)
{
	struct edge *edge = *state;
	long long begin = edge_now_ms();

	edge_start(edge);
	edge_stop(edge, 5000);
	assert_int_equal(edge->done, 0); /* never inside the call */
	edge_until(edge, &edge->done, 1);
	assert_in_range(edge_now_ms() - begin, 0, 2000);
}

static void
stop_waits_for_the_verdict_on_a_lease(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->watch = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	edge_until(edge, &edge->handled, 1);
	edge_stop(edge, 5000);
	edge_run(edge, 50);
	assert_int_equal(edge->done, 0);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 500), "200 OK"), 1);
	(void)close(fd);
	edge_until(edge, &edge->done, 1);
	assert_int_equal(edge->delivered, 1);
	assert_int_equal(edge->lost, 0);
}

static void
running_out_of_descriptors_is_survived(void **state)
{
	struct edge *edge = *state;
	struct rlimit before, few;
	int fds[8], fd;
	unsigned i;

	edge_start(edge);
	fd = edge_connect(edge);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* The clients' ends are made first; then there is no room for ours. */
	for (i = 0; i < 8; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(fds[i] >= 0);
	}
	few = before;
	few.rlim_cur = (rlim_t)fds[7] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (i = 0; i < 8; i++)
		edge_connect_fd(edge, fds[i]);
	edge_run(edge, 50);
	/* Who is in is served. */
	edge_send(fd, GET);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 500), "200 OK"), 1);
	for (i = 0; i < 8; i++)
		(void)close(fds[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	edge_run(edge, 300);
	(void)close(fd);
	fd = edge_connect(edge);
	edge_send(fd, GET);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 500), "200 OK"), 1);
	(void)close(fd);
}

/* One client's whole visit; a refusal or a closed connection is what running out of memory may do.
 */
static int
visit(void *arg)
{
	struct edge *edge = arg;
	const char *text;
	bool ok;
	int fd;

	fd = edge_connect(edge);
	edge_send(fd, "POST /v1//a HTTP/1.1\r\nHost: leased\r\nContent-Length: 2\r\n\r\n{}" GET);
	text = edge_read(edge, fd, 2, 200);
	ok = edge_count(text, "HTTP/1.1 307 ") == 1 && edge_count(text, "200 OK") == 1;
	(void)close(fd);
	edge_run(edge, 5);
	assert_int_equal(http_server_connection_count(edge->server), 0);
	return (ok ? 0 : LEASED_ENOMEM);
}

static void
running_out_of_memory_costs_one_connection(void **state)
{
	struct edge *edge = *state;

	edge_start(edge);
	assert_true(failalloc_each(visit, edge) >= 5);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, edge_setup, edge_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EDGE_TEST(slow_header_is_cut_at_the_absolute_deadline),
	    EDGE_TEST(slow_body_is_cut_at_the_absolute_deadline),
	    EDGE_TEST(silent_connection_is_closed_without_a_word),
	    EDGE_TEST(client_that_does_not_read_is_cut_at_the_write_deadline),
	    EDGE_TEST(longest_idle_gives_way_at_the_cap),
	    EDGE_TEST(one_peer_cannot_take_all),
	    EDGE_TEST(some_places_are_kept_for_root_and_ourselves),
	    EDGE_TEST(unread_lease_is_not_thrown_out_at_the_cap),
	    EDGE_TEST(bodies_of_all_together_are_bounded),
	    EDGE_TEST(stop_lets_requests_end_and_closes_the_idle),
	    EDGE_TEST(stop_does_not_wait_longer_than_told),
	    EDGE_TEST(stop_does_not_wait_for_half_a_head),
	    EDGE_TEST(stop_with_nobody_there_is_done_at_once),
	    EDGE_TEST(stop_waits_for_the_verdict_on_a_lease),
	    EDGE_TEST(running_out_of_descriptors_is_survived),
	    EDGE_TEST(running_out_of_memory_costs_one_connection),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
