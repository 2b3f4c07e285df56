/*
 * Requirements of TLS at the edge: which versions are spoken, what becomes of clients that speak
 * nothing, too slowly or plain HTTP, and what counts as delivered.
 */
#include <openssl/ssl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls_client.h"
#include "vectors.h"

#define ASK "GET /v1/sys/health HTTP/1.1\r\nHost: leased\r\n\r\n"
#define ASK_LAST "GET /v1/x HTTP/1.1\r\nHost: leased\r\nConnection: close\r\n\r\n"
#define DELIVERY_MS 1000u
#define AT_ONCE_MS 700u

static void
ask(struct edge *edge, struct tls_client *client)
{
	tls_send(edge, client, ASK, strlen(ASK));
}

/* ---- what is spoken ---- */

static void
requests_are_answered_over_tls_1_3(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	assert_string_equal(SSL_get_version(client.ssl), "TLSv1.3");
	for (unsigned i = 1; i <= 3; i++) {
		ask(edge, &client);
		assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
		assert_int_equal(edge->handled, i);
	}
	tls_close(&client);
	edge_run(edge, 20);
	assert_int_equal(http_server_connection_count(edge->server), 0);
}

static void
an_older_client_is_refused_unless_the_listener_takes_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_3);
	assert_false(tls_connect(edge, &client, TLS1_2_VERSION, NULL));
	tls_close(&client);
	assert_true(http_server_replace_tls(
	    edge->server, "127.0.0.1:0", tls_pair_load(edge, "a", HTTP_TLS_1_2)));
	assert_true(tls_connect(edge, &client, TLS1_2_VERSION, NULL));
	assert_string_equal(SSL_get_version(client.ssl), "TLSv1.2");
	ask(edge, &client);
	assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
	tls_close(&client);
	assert_false(tls_connect(edge, &client, TLS1_1_VERSION, NULL));
	tls_close(&client);
}

static void
alpn_is_http_1_1_or_an_alert(void **state)
{
	struct edge *edge = *state;
	const unsigned char *chosen = NULL;
	struct tls_client client;
	unsigned len = 0;

	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, "http/1.1"));
	SSL_get0_alpn_selected(client.ssl, &chosen, &len);
	assert_int_equal(len, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	tls_close(&client);
	assert_false(tls_connect(edge, &client, 0, "h2"));
	tls_close(&client);
}

static void
nothing_of_a_session_can_be_resumed(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	tls_start(edge, HTTP_TLS_1_2);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	(void)tls_read(edge, &client, 1, 1000);
	assert_int_equal(SSL_SESSION_is_resumable(SSL_get0_session(client.ssl)), 0);
	tls_close(&client);
	assert_true(tls_connect(edge, &client, TLS1_2_VERSION, NULL));
	assert_int_equal(SSL_SESSION_is_resumable(SSL_get0_session(client.ssl)), 0);
	tls_close(&client);
}

static void
plain_http_is_told_to_speak_tls(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	tls_start(edge, HTTP_TLS_1_3);
	fd = tls_socket(edge);
	edge_send(fd, "LIST /v1/sys/policies HTTP/1.1\r\nHost: leased\r\nX-Vault-Token: t\r\n\r\n");
	text = edge_read(edge, fd, 1, 1000);
	assert_non_null(strstr(text, "HTTP/1.1 400 "));
	assert_non_null(strstr(text, "https://"));
	assert_true(edge_read_end(edge, fd, 1000));
	assert_int_equal(edge->handled, 0);
	(void)close(fd);
}

static void
what_is_neither_is_closed_without_a_word(void **state)
{
	struct edge *edge = *state;
	char bytes[8];
	int fd;

	tls_start(edge, HTTP_TLS_1_3);
	fd = tls_socket(edge);
	edge_send(fd, "\x80\x2e\x01");
	edge_run(edge, 30);
	assert_int_not_equal(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT), 1);
	assert_int_equal(http_server_connection_count(edge->server), 0);
	(void)close(fd);
}

static void
every_vector_is_judged_as_without_tls(void **state)
{
	struct edge *edge = *state;

	tls_start(edge, HTTP_TLS_1_3);
	for (size_t i = 0; i < vector_count; i++) {
		struct tls_client client;
		unsigned handled = edge->handled;
		const char *text;
		size_t len;
		char *bytes = vector_build(&vectors[i], &len);

		assert_true(tls_connect(edge, &client, 0, NULL));
		tls_send(edge, &client, bytes, len + strlen(VECTOR_PROBE));
		text = tls_read(edge, &client, 0, 1000);
		if (vectors[i].status == 0 && strncmp(text, "HTTP/1.1 200 ", 13) != 0 &&
		    strncmp(text, "HTTP/1.1 100 ", 13) != 0)
			fail_msg("%s: %.60s", vectors[i].name, text);
		if (vectors[i].status != 0 && strtol(text + 9, NULL, 10) != vectors[i].status)
			fail_msg("%s: %.60s", vectors[i].name, text);
		if (vectors[i].status != 0)
			assert_int_equal(edge->handled, handled);
		tls_close(&client);
		free(bytes);
	}
}

static void
bodies_and_replies_of_many_records_pass_whole(void **state)
{
	struct edge *edge = *state;
	const size_t body_len = 200000;
	char *bytes = malloc(body_len + 200);
	struct tls_client client;
	const char *text;
	int len;

	assert_non_null(bytes);
	edge->reply_len = 150000;
	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	len = snprintf(bytes, 200,
	    "POST /v1/x HTTP/1.1\r\nHost: leased\r\nExpect: 100-continue\r\nContent-Length: "
	    "%zu\r\n\r\n",
	    body_len);
	tls_send(edge, &client, bytes, (size_t)len);
	assert_non_null(strstr(tls_read(edge, &client, 1, 1000), "100 Continue"));
	memset(bytes, 'b', body_len);
	tls_send(edge, &client, bytes, body_len);
	text = tls_read(edge, &client, 1, 3000);
	assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), edge->reply_len);
	assert_int_equal(strlen(edge->last_body), sizeof(edge->last_body) - 1);
	tls_close(&client);
	free(bytes);
}

static void
a_client_that_reads_slowly_gets_all_of_a_big_reply(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;
	char piece[4096];
	size_t got = 0;
	int n;

	edge->reply_len = 8u * 1024 * 1024;
	tls_start(edge, HTTP_TLS_1_3);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	edge_run(edge, 50);
	for (int i = 0; i < 20000 && got <= edge->reply_len; i++) {
		n = SSL_read(client.ssl, piece, sizeof(piece));
		if (n > 0)
			got += (size_t)n;
		else
			edge_run(edge, 1);
	}
	assert_true(got > edge->reply_len && got < edge->reply_len + 1024);
	tls_close(&client);
}

/* ---- deadlines and caps ---- */

static void
a_slow_handshake_ends_at_its_deadline_whatever_drips_in(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	struct edge *edge = *state;
	long long begin;
	int fd, i = 0;

	edge->limits.handshake_ms = 200;
	tls_start(edge, HTTP_TLS_1_3);
	fd = tls_socket(edge);
	begin = edge_now_ms();
	while (http_server_connection_count(edge->server) > 0 && edge_now_ms() - begin < 2000) {
		if (i < 10)
			(void)send(fd, &hello[i++], 1, MSG_NOSIGNAL);
		edge_run(edge, 15);
	}
	assert_in_range(edge_now_ms() - begin, 180, 1500);
	(void)close(fd);
}

static void
silent_handshakes_give_way_to_who_comes_later(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;
	int fds[4];

	edge->limits.connections = 4;
	edge->limits.connections_reserved = 0;
	tls_start(edge, HTTP_TLS_1_3);
	for (int i = 0; i < 4; i++)
		fds[i] = tls_socket(edge);
	assert_int_equal(http_server_connection_count(edge->server), 4);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
	assert_int_equal(http_server_connection_count(edge->server), 4);
	tls_close(&client);
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
}

static void
a_stop_does_not_wait_for_handshakes(void **state)
{
	struct edge *edge = *state;
	int fd;

	tls_start(edge, HTTP_TLS_1_3);
	fd = tls_socket(edge);
	edge_stop(edge, 5000);
	edge_run(edge, 50);
	assert_int_equal(edge->done, 1);
	(void)close(fd);
}

/* ---- what became of replies ---- */

static void
start_watched(struct edge *edge)
{
	edge->watch = true;
	edge->limits.delivery_ms = DELIVERY_MS;
	tls_start(edge, HTTP_TLS_1_3);
}

static void
expect(struct edge *edge, unsigned delivered, unsigned lost, unsigned ms)
{
	long long begin = edge_now_ms();

	while (edge->delivered + edge->lost < delivered + lost && edge_now_ms() - begin < 5000)
		edge_run(edge, 2);
	assert_int_equal(edge->delivered, delivered);
	assert_int_equal(edge->lost, lost);
	assert_in_range(edge_now_ms() - begin, 0, ms);
}

static void
a_client_that_read_and_hangs_up_has_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	(void)tls_read(edge, &client, 1, 1000);
	tls_goodbye(&client);
	tls_close(&client);
	expect(edge, 1, 0, AT_ONCE_MS);
}

static void
a_client_that_asks_again_has_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	for (int i = 0; i < 6; i++) {
		ask(edge, &client);
		assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
	}
	assert_true(edge->delivered >= 5);
	tls_close(&client);
	expect(edge, 6, 0, AT_ONCE_MS);
}

static void
a_client_that_stays_has_it_when_the_time_is_up(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	(void)tls_read(edge, &client, 1, 1000);
	expect(edge, 1, 0, DELIVERY_MS + 1500);
	tls_close(&client);
}

/* It says goodbye in TLS, which looks like a clean end; the reset behind it tells the truth. */
static void
a_client_that_says_goodbye_without_reading_lost_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	edge->hold = true;
	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	edge_until(edge, &edge->handled, 1);
	edge_answer(edge);
	edge_run(edge, 20); /* the reply lies in the client's socket */
	tls_goodbye(&client);
	edge_run(edge, 100);
	assert_int_equal(edge->delivered, 0);
	tls_close(&client);
	expect(edge, 0, 1, AT_ONCE_MS);
}

/* Nothing of ours may lie unread in its socket: its close would be a reset then. */
static void
a_client_that_says_goodbye_and_closes_later_has_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	(void)tls_read(edge, &client, 1, 1000);
	tls_goodbye(&client);
	edge_run(edge, 20);
	tls_close(&client);
	expect(edge, 1, 0, AT_ONCE_MS);
}

static void
a_last_reply_is_had_by_who_read_it_alone(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	for (unsigned is_read = 0; is_read <= 1; is_read++) {
		assert_true(tls_connect(edge, &client, 0, NULL));
		tls_send(edge, &client, ASK_LAST, strlen(ASK_LAST));
		edge_until(edge, &edge->answered, is_read + 1);
		if (is_read)
			(void)tls_read(edge, &client, 1, 1000);
		edge_run(edge, 20);
		tls_close(&client);
		expect(edge, is_read, 1, AT_ONCE_MS);
	}
}

static void
a_reset_loses_it(void **state)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct edge *edge = *state;
	struct tls_client client;

	edge->hold = true;
	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	edge_until(edge, &edge->handled, 1);
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	tls_close(&client);
	edge_run(edge, 20);
	edge_answer(edge);
	expect(edge, 0, 1, AT_ONCE_MS);
}

static void
a_forged_byte_loses_it(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	edge_until(edge, &edge->answered, 1);
	assert_int_equal(send(client.fd,
			     "\x17\x03\x03\0\x11"
			     "0123456789abcdefg",
			     22, 0),
	    22);
	expect(edge, 0, 1, AT_ONCE_MS);
	tls_close(&client);
}

static void
a_client_that_closes_its_half_is_answered(void **state)
{
	struct edge *edge = *state;
	struct tls_client client;

	edge->hold = true;
	start_watched(edge);
	assert_true(tls_connect(edge, &client, 0, NULL));
	ask(edge, &client);
	tls_goodbye(&client);
	(void)shutdown(client.fd, SHUT_WR);
	edge_until(edge, &edge->handled, 1);
	edge_answer(edge);
	assert_int_equal(edge_count(tls_read(edge, &client, 1, 1000), "200 OK"), 1);
	expect(edge, 1, 0, AT_ONCE_MS);
	tls_close(&client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, edge_setup, tls_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(requests_are_answered_over_tls_1_3),
	    TEST(an_older_client_is_refused_unless_the_listener_takes_it),
	    TEST(alpn_is_http_1_1_or_an_alert),
	    TEST(nothing_of_a_session_can_be_resumed),
	    TEST(plain_http_is_told_to_speak_tls),
	    TEST(what_is_neither_is_closed_without_a_word),
	    TEST(every_vector_is_judged_as_without_tls),
	    TEST(bodies_and_replies_of_many_records_pass_whole),
	    TEST(a_client_that_reads_slowly_gets_all_of_a_big_reply),
	    TEST(a_slow_handshake_ends_at_its_deadline_whatever_drips_in),
	    TEST(silent_handshakes_give_way_to_who_comes_later),
	    TEST(a_stop_does_not_wait_for_handshakes),
	    TEST(a_client_that_read_and_hangs_up_has_it),
	    TEST(a_client_that_asks_again_has_it),
	    TEST(a_client_that_stays_has_it_when_the_time_is_up),
	    TEST(a_client_that_says_goodbye_without_reading_lost_it),
	    TEST(a_client_that_says_goodbye_and_closes_later_has_it),
	    TEST(a_last_reply_is_had_by_who_read_it_alone),
	    TEST(a_reset_loses_it),
	    TEST(a_forged_byte_loses_it),
	    TEST(a_client_that_closes_its_half_is_answered),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
