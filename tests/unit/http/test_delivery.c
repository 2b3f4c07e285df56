/*
 * DELIVERED or LOST: what clients of all sorts do with a reply that carries a lease. Each runs over
 * a Unix socket and over TCP, where the kernel's evidence differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge.h"

#define MINT "GET /v1/database/creds/x HTTP/1.1\r\nHost: leased\r\n\r\n"
#define DELIVERY_MS 1000u
#define AT_ONCE_MS 700u
#define BIG (8u * 1024u * 1024u)

typedef int (*connect_fn)(struct edge *edge);

static void
start(struct edge *edge)
{
	edge->watch = true;
	edge->limits.delivery_ms = DELIVERY_MS;
	edge_start(edge);
}

/* Runs until the one verdict is there; it must not take longer than ms. */
static void
expect(struct edge *edge, unsigned delivered, unsigned lost, unsigned ms)
{
	long long begin = edge_now_ms();

	while (edge->delivered + edge->lost < delivered + lost && edge_now_ms() - begin < 5000)
		edge_run(edge, 2);
	assert_int_equal(edge->delivered, delivered);
	assert_int_equal(edge->lost, lost);
	assert_in_range(edge_now_ms() - begin, 0, ms);
	/* And there is one verdict only. */
	edge_run(edge, 50);
	assert_int_equal(edge->delivered + edge->lost, delivered + lost);
}

static void
reads_and_hangs_up(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	(void)close(fd);
	expect(edge, 1, 0, AT_ONCE_MS);
}

static void
reads_and_asks_again(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	(void)edge_read(edge, fd, 1, 1000);
	edge_send(fd, MINT);
	(void)edge_read(edge, fd, 1, 1000);
	edge_run(edge, 5);
	assert_true(edge->delivered >= 1);
	(void)close(fd);
	expect(edge, 2, 0, AT_ONCE_MS);
}

static void
reads_and_stays(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	(void)edge_read(edge, fd, 1, 1000);
	expect(edge, 1, 0, DELIVERY_MS + 1500);
	(void)close(fd);
}

static void
half_closes_and_reads(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	(void)shutdown(fd, SHUT_WR);
	edge_until(edge, &edge->handled, 1);
	edge_answer(edge);
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	expect(edge, 1, 0, AT_ONCE_MS);
	(void)close(fd);
}

static void
vanishes_before_the_answer(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	(void)close(fd);
	edge_run(edge, 20);
	edge_answer(edge);
	assert_int_equal(
	    edge->delivered + edge->lost, 0); /* not before http_reply_send() is back */
	expect(edge, 0, 1, DELIVERY_MS + 1500);
}

static void
resets_before_the_answer(struct edge *edge, connect_fn connect_to)
{
	const struct linger now = {1, 0};
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(fd);
	edge_answer(edge);
	expect(edge, 0, 1, AT_ONCE_MS);
}

static void
vanishes_with_the_answer_unread(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	(void)close(fd);
	expect(edge, 0, 1, AT_ONCE_MS);
}

static void
vanishes_in_the_middle_of_a_big_answer(struct edge *edge, connect_fn connect_to)
{
	char bytes[1000];
	int fd;

	edge->reply_len = BIG;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	(void)close(fd);
	expect(edge, 0, 1, AT_ONCE_MS);
}

static void
stays_and_never_reads_a_big_answer(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->reply_len = BIG;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	expect(edge, 0, 1, DELIVERY_MS + 1500);
	assert_int_equal(http_server_connection_count(edge->server), 0);
	(void)close(fd);
}

static void
asks_for_a_close_and_reads(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, "GET /v1/x HTTP/1.1\r\nHost: leased\r\nConnection: close\r\n\r\n");
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	assert_true(edge_read_end(edge, fd, 1000));
	(void)close(fd);
	expect(edge, 1, 0, AT_ONCE_MS);
	assert_int_equal(http_server_connection_count(edge->server), 0);
}

static void
pipelines_and_reads_all(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT MINT MINT MINT MINT MINT);
	assert_int_equal(edge_count(edge_read(edge, fd, 6, 2000), "200 OK"), 6);
	(void)close(fd);
	expect(edge, 6, 0, AT_ONCE_MS);
}

static void
pipelines_and_reads_nothing(struct edge *edge, connect_fn connect_to)
{
	int fd;

	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT MINT MINT);
	edge_until(edge, &edge->handled, 3);
	(void)close(fd);
	expect(edge, 0, 3, AT_ONCE_MS);
}

/* Its reset comes behind its end, and only SO_ERROR tells: recv() says end, the queue is empty. */
static void
half_closes_and_vanishes(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	(void)shutdown(fd, SHUT_WR);
	edge_until(edge, &edge->handled, 1);
	edge_answer(edge);
	(void)close(fd);
	expect(edge, 0, 1, AT_ONCE_MS);
}

/* Its second request was sent before the first was answered: that it comes in proves nothing. */
static void
sends_ahead_and_vanishes(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	edge_send(fd, MINT);
	edge_answer(edge);
	edge_until(edge, &edge->handled, 2);
	assert_int_equal(edge->delivered, 0);
	(void)close(fd);
	edge_answer(edge);
	expect(edge, 0, 2, AT_ONCE_MS);
}

#define NUMBERED(n) "GET /v1/" n " HTTP/1.1\r\nHost: leased\r\n\r\n"

/* With no place left to watch another reply, what came first and what comes later stay in order. */
static void
keeps_the_order_while_replies_are_watched(void **state)
{
	static const char *const paths[] = {
	    "/v1/1", "/v1/2", "/v1/3", "/v1/4", "/v1/5", "/v1/6", "/v1/7", "/v1/8"};
	struct edge *edge = *state;
	const char *text, *at;
	size_t i;
	int fd;

	start(edge);
	fd = edge_connect_tcp(edge);
	edge_send(fd,
	    NUMBERED("1") NUMBERED("2") NUMBERED("3") NUMBERED("4") NUMBERED("5") NUMBERED("6"));
	edge_until(edge, &edge->handled, 4);
	edge_send(fd, NUMBERED("7"));
	edge_run(edge, 20);
	edge_send(fd, NUMBERED("8"));
	edge_run(edge, 20);
	assert_int_equal(edge->handled, 4);
	text = edge_read(edge, fd, 8, 5000);
	for (i = 0; i < 8; i++) {
		at = strstr(text, paths[i]);
		assert_non_null(at);
		text = at;
	}
	(void)close(fd);
	expect(edge, 8, 0, DELIVERY_MS + 1500);
}

static void
is_still_watched_when_the_server_goes(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->reply_len = BIG;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	http_server_free(edge->server);
	edge->server = NULL;
	assert_int_equal(edge->lost, 1);
	(void)close(fd);
}

static void
is_answered_after_the_server_went(struct edge *edge, connect_fn connect_to)
{
	int fd;

	edge->hold = true;
	start(edge);
	fd = connect_to(edge);
	edge_send(fd, MINT);
	edge_until(edge, &edge->handled, 1);
	http_server_free(edge->server);
	edge->server = NULL;
	assert_string_equal(edge->held[0]->path, "/v1/database/creds/x");
	edge_answer(edge);
	assert_int_equal(edge->lost, 0);
	edge_run(edge, 5);
	assert_int_equal(edge->lost, 1);
	(void)close(fd);
}

/* A client on a Unix socket that has not read is seen at once by the kernel's count. */
static void
unread_small_answer_on_a_unix_socket_is_lost_in_time(void **state)
{
	struct edge *edge = *state;
	int fd;

	start(edge);
	fd = edge_connect(edge);
	edge_send(fd, MINT);
	expect(edge, 0, 1, DELIVERY_MS + 1500);
	(void)close(fd);
}

#define BOTH(what)                                                                                 \
	static void what##_unix(void **state)                                                      \
	{                                                                                          \
		what(*state, edge_connect);                                                        \
	}                                                                                          \
	static void what##_tcp(void **state)                                                       \
	{                                                                                          \
		what(*state, edge_connect_tcp);                                                    \
	}
BOTH(reads_and_hangs_up)
BOTH(reads_and_asks_again)
BOTH(reads_and_stays)
BOTH(half_closes_and_reads)
BOTH(vanishes_before_the_answer)
BOTH(resets_before_the_answer)
BOTH(vanishes_with_the_answer_unread)
BOTH(vanishes_in_the_middle_of_a_big_answer)
BOTH(stays_and_never_reads_a_big_answer)
BOTH(asks_for_a_close_and_reads)
BOTH(pipelines_and_reads_all)
BOTH(pipelines_and_reads_nothing)
BOTH(half_closes_and_vanishes)
BOTH(sends_ahead_and_vanishes)
BOTH(is_still_watched_when_the_server_goes)
BOTH(is_answered_after_the_server_went)

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, edge_setup, edge_teardown)
#define EDGE_BOTH(test) EDGE_TEST(test##_unix), EDGE_TEST(test##_tcp)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EDGE_BOTH(reads_and_hangs_up),
	    EDGE_BOTH(reads_and_asks_again),
	    EDGE_BOTH(reads_and_stays),
	    EDGE_BOTH(half_closes_and_reads),
	    EDGE_BOTH(vanishes_before_the_answer),
	    EDGE_BOTH(resets_before_the_answer),
	    EDGE_BOTH(vanishes_with_the_answer_unread),
	    EDGE_BOTH(vanishes_in_the_middle_of_a_big_answer),
	    EDGE_BOTH(stays_and_never_reads_a_big_answer),
	    EDGE_BOTH(asks_for_a_close_and_reads),
	    EDGE_BOTH(pipelines_and_reads_all),
	    EDGE_BOTH(pipelines_and_reads_nothing),
	    EDGE_BOTH(half_closes_and_vanishes),
	    EDGE_BOTH(sends_ahead_and_vanishes),
	    EDGE_BOTH(is_still_watched_when_the_server_goes),
	    EDGE_BOTH(is_answered_after_the_server_went),
	    EDGE_TEST(keeps_the_order_while_replies_are_watched),
	    EDGE_TEST(unread_small_answer_on_a_unix_socket_is_lost_in_time),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
