/*
 * Requirements of TLS clients that say nothing in it: new keys and refused renegotiations without
 * end, and hellos in crumbs, hold up nobody, and end.
 */
#include <event2/event.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls_client.h"

#define ASK "GET /v1/sys/health HTTP/1.1\r\nHost: leased\r\n\r\n"
/* A flood, more than is borne; each message takes 27 bytes. */
#define FLOOD 4000
/* Answers to as much of a flood as one turn of the loop may take, and no more. */
#define TURN_BYTES 1000
/* Less than the deadline of a handshake. */
#define PATIENCE_MS 4000

/* The loop does not run meanwhile: all lies in the server's socket. */
static void
change_keys(struct tls_client *client, unsigned count, int type)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(SSL_key_update(client->ssl, type), 1);
		assert_int_equal(SSL_do_handshake(client->ssl), 1);
	}
}

/* What the server answers in one turn of its loop, in bytes. */
static int
answered_in_one_turn(struct edge *edge, int fd)
{
	int before = 0, after = 0;

	assert_int_equal(ioctl(fd, FIONREAD, &before), 0);
	(void)event_base_loop(edge->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(ioctl(fd, FIONREAD, &after), 0);
	return (after - before);
}

static void
expect_end(struct edge *edge)
{
	long long end = edge_now_ms() + PATIENCE_MS;

	while (http_server_connection_count(edge->server) > 0 && edge_now_ms() < end)
		edge_run(edge, 5);
	assert_int_equal(http_server_connection_count(edge->server), 0);
}

static void
a_turn_of_the_loop_takes_few_new_keys(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	change_keys(&client, FLOOD, SSL_KEY_UPDATE_REQUESTED);
	assert_in_range(answered_in_one_turn(edge, client.fd), 1, TURN_BYTES);
	tls_close(&client);
}

/* All of it in one turn would be answered in that turn, by an alert. */
static void
a_renegotiation_without_end_is_neither_swallowed_nor_borne(void **state)
{
	struct edge *edge = *state;
	const size_t len = 60000;
	struct tls_client client;
	char *ticket = calloc(1, len);

	assert_non_null(ticket);
	tls_start(edge, HTTP_TLS_1_2);
	assert_true(tls_connect(edge, &client, TLS1_2_VERSION, NULL));
	assert_int_equal(SSL_set_session_ticket_ext(client.ssl, ticket, (int)len), 1);
	assert_int_equal(SSL_set_max_send_fragment(client.ssl, 512), 1);
	assert_int_equal(SSL_renegotiate(client.ssl), 1);
	(void)SSL_do_handshake(client.ssl);
	assert_int_equal(answered_in_one_turn(edge, client.fd), 0);
	assert_int_equal(http_server_connection_count(edge->server), 1);
	expect_end(edge);
	tls_close(&client);
	free(ticket);
}

static void
a_turn_of_the_loop_takes_few_crumbs_of_a_hello(void **state)
{
	static const char begin[4] = {1, 0, 4, 0}; /* a ClientHello of 1024 bytes, all zero */
	char crumbs[1028][6];
	struct edge *edge = *state;
	int fd;

	for (size_t i = 0; i < 1028; i++)
		memcpy(crumbs[i], "\x16\x03\x01\0\1", 6);
	for (size_t i = 0; i < 4; i++)
		crumbs[i][5] = begin[i];
	tls_start(edge, HTTP_TLS_1_3);
	fd = tls_socket(edge);
	assert_int_equal(send(fd, crumbs, sizeof(crumbs), 0), sizeof(crumbs));
	assert_int_equal(answered_in_one_turn(edge, fd), 0);
	assert_int_equal(http_server_connection_count(edge->server), 1);
	expect_end(edge);
	(void)close(fd);
}

#define HELLOS 40
#define STEPS_MAX 8 /* of handshakes in one turn of the loop */

/* How many of them the server has answered. */
static unsigned
answered(const struct tls_client clients[HELLOS])
{
	unsigned count = 0;
	int len;

	for (unsigned i = 0; i < HELLOS; i++) {
		assert_int_equal(ioctl(clients[i].fd, FIONREAD, &len), 0);
		count += len > 0;
	}
	return (count);
}

/* The loop does not run meanwhile. */
static void
hello_send(struct tls_client *client)
{
	assert_non_null(client->ctx = SSL_CTX_new(TLS_client_method()));
	assert_non_null(client->ssl = SSL_new(client->ctx));
	assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
	assert_int_equal(SSL_connect(client->ssl), -1);
}

static void
a_turn_of_the_loop_makes_few_steps_of_handshakes_and_all_get_theirs(void **state)
{
	struct tls_client clients[HELLOS];
	struct edge *edge = *state;
	unsigned before, after = 0, turns;
	int plain;

	tls_start(edge, HTTP_TLS_1_3);
	plain = edge_connect(edge);
	for (unsigned i = 0; i < HELLOS; i++)
		clients[i] = (struct tls_client){.fd = tls_socket(edge)};
	edge_run(edge, 50);
	assert_int_equal(http_server_connection_count(edge->server), HELLOS + 1);
	for (unsigned i = 0; i < HELLOS; i++)
		hello_send(&clients[i]);
	edge_send(plain, ASK);
	for (turns = 0; after < HELLOS && turns < 200; turns++) {
		before = after;
		(void)event_base_loop(edge->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		after = answered(clients);
		assert_in_range(after - before, 0, STEPS_MAX);
		if (after > 2 * STEPS_MAX) /* not behind all of them */
			assert_int_equal(edge->handled, 1);
		if (after == before)
			(void)usleep(1000);
	}
	assert_int_equal(after, HELLOS);
	assert_int_equal(edge->handled, 1);
	for (unsigned i = 0; i < HELLOS; i++)
		tls_close(&clients[i]);
	edge_run(edge, 100);
	assert_int_equal(http_server_connection_count(edge->server), 1);
	(void)close(plain);
}

/* As a client at its end, or at a deadline. */
static void
who_goes_while_its_step_is_put_off_is_forgotten(void **state)
{
	struct tls_client clients[HELLOS];
	struct edge *edge = *state;

	edge->limits.handshake_ms = 1000;
	tls_start(edge, HTTP_TLS_1_3);
	for (unsigned i = 0; i < HELLOS; i++)
		clients[i] = (struct tls_client){.fd = tls_socket(edge)};
	edge_run(edge, 50);
	for (unsigned i = 0; i < HELLOS; i++)
		hello_send(&clients[i]);
	(void)event_base_loop(edge->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	(void)usleep(1100 * 1000);
	edge_run(edge, 50);
	assert_int_equal(http_server_connection_count(edge->server), 0);
	for (unsigned i = 0; i < HELLOS; i++)
		tls_close(&clients[i]);
}

static void
a_client_that_only_changes_keys_is_closed(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	change_keys(&client, FLOOD, SSL_KEY_UPDATE_NOT_REQUESTED);
	expect_end(edge);
	tls_close(&client);
}

static void
new_keys_between_requests_are_welcome(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	for (unsigned i = 0; i < 20; i++) {
		change_keys(&client, FLOOD / 20,
		    i % 2 == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED);
		tls_send(edge, &client, ASK, strlen(ASK));
		assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
	}
	tls_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, edge_setup, tls_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_turn_of_the_loop_takes_few_new_keys),
	    TEST(a_renegotiation_without_end_is_neither_swallowed_nor_borne),
	    TEST(a_turn_of_the_loop_takes_few_crumbs_of_a_hello),
	    TEST(a_turn_of_the_loop_makes_few_steps_of_handshakes_and_all_get_theirs),
	    TEST(who_goes_while_its_step_is_put_off_is_forgotten),
	    TEST(a_client_that_only_changes_keys_is_closed),
	    TEST(new_keys_between_requests_are_welcome),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
