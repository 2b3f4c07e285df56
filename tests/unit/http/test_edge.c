/*
 * The edge's protocol over real sockets: keep-alive, pipelining, 100-continue, HEAD, redirects, and
 * the exact headers of replies.
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

#define GET(path) "GET " path " HTTP/1.1\r\nHost: leased\r\n\r\n"
#define POST(headers) "POST /v1/x HTTP/1.1\r\nHost: leased\r\n" headers "\r\n"

static void
connection_is_kept_for_the_next_request(void **state)
{
	struct edge *edge = *state;
	unsigned i;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	for (i = 1; i <= 3; i++) {
		edge_send(fd, GET("/v1/x"));
		assert_int_equal(
		    edge_count(edge_read(edge, fd, 1, 1000), "HTTP/1.1 200 OK\r\n"), 1);
		assert_int_equal(edge->handled, i);
	}
	assert_int_equal(http_server_connection_count(edge->server), 1);
	(void)close(fd);
	edge_run(edge, 20);
	assert_int_equal(http_server_connection_count(edge->server), 0);
}

static void
reply_has_exactly_the_headers_of_the_contract(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET("/v1/x"));
	text = edge_read(edge, fd, 1, 1000);
	assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Length: 2\r\n"));
	assert_non_null(strstr(text, "\r\nX-Path: /v1/x\r\n"));
	assert_null(strstr(text, "Connection:"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\nxx");
	(void)close(fd);
}

static void
pipelined_requests_are_answered_in_order_however_late(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	edge->hold = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET("/v1/a") GET("/v1/b") GET("/v1/c"));
	edge_run(edge, 20);
	assert_int_equal(edge->handled, 1);
	edge_answer(edge);
	edge_run(edge, 20);
	assert_int_equal(edge->handled, 2);
	edge_answer(edge);
	edge_run(edge, 20);
	edge_answer(edge);
	text = edge_read(edge, fd, 3, 1000);
	assert_true(strstr(text, "/v1/a") < strstr(text, "/v1/b"));
	assert_true(strstr(text, "/v1/b") < strstr(text, "/v1/c"));
	(void)close(fd);
}

static void
more_than_sixteen_at_once_get_sixteen_answers_and_a_close(void **state)
{
	struct edge *edge = *state;
	char text[4096] = "";
	unsigned i;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	for (i = 0; i < 50; i++)
		memcpy(text + i * strlen(GET("/v1/x")), GET("/v1/x"), sizeof(GET("/v1/x")));
	edge_send(fd, text);
	assert_int_equal(edge_count(edge_read(edge, fd, 50, 500), "200 OK"), 16);
	assert_int_equal(edge->handled, 16);
	(void)close(fd);

	/* As many at once, again and again, is fine. */
	fd = edge_connect(edge);
	text[16 * strlen(GET("/v1/x"))] = '\0';
	for (i = 0; i < 3; i++) {
		edge_send(fd, text);
		assert_int_equal(edge_count(edge_read(edge, fd, 16, 1000), "200 OK"), 16);
	}
	(void)close(fd);
}

static void
half_closed_client_gets_all_its_answers(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->hold = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET("/v1/a") GET("/v1/b"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	edge_until(edge, &edge->handled, 1);
	edge_answer(edge);
	edge_until(edge, &edge->handled, 2);
	edge_answer(edge);
	assert_int_equal(edge_count(edge_read(edge, fd, 2, 1000), "200 OK"), 2);
	assert_true(edge_read_end(edge, fd, 1000));
	(void)close(fd);
}

static void
continue_is_sent_when_the_client_waits_for_it(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, POST("Content-Length: 2\r\nExpect: 100-continue\r\n"));
	assert_string_equal(edge_read(edge, fd, 1, 1000), "HTTP/1.1 100 Continue\r\n\r\n");
	assert_int_equal(edge->handled, 0);
	edge_send(fd, "{}");
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "200 OK"), 1);
	assert_string_equal(edge->last_body, "{}");
	/* Who did not wait is not told to go on. */
	edge_send(fd, POST("Content-Length: 2\r\nExpect: 100-continue\r\n") "{}");
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "100 Continue"), 0);
	/* Who would send too much is told so, not invited. */
	edge_send(fd, POST("Content-Length: 2000000\r\nExpect: 100-continue\r\n"));
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "HTTP/1.1 413 "), 1);
	assert_true(edge_read_end(edge, fd, 1000));
	(void)close(fd);
}

static void
head_is_answered_without_a_body(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, "HEAD /v1/x HTTP/1.1\r\nHost: leased\r\n\r\n" GET("/v1/y"));
	edge_run(edge, 20);
	text = edge_read(edge, fd, 3, 100);
	assert_int_equal(edge_count(text, "\r\nContent-Length: 2\r\n"), 2);
	assert_int_equal(edge_count(text, "xx"), 1);
	(void)close(fd);
}

static void
repeated_slashes_are_redirected_to_one_spelling(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, GET("/v1//secret/a%20b%2f/c?list=true"));
	text = edge_read(edge, fd, 1, 1000);
	assert_int_equal(edge_count(text, "HTTP/1.1 301 "), 1);
	assert_non_null(strstr(text, "\r\nLocation: /v1/secret/a%20b/c?list=true\r\n"));
	edge_send(
	    fd, "POST //evil.example/v1/x HTTP/1.1\r\nHost: leased\r\nContent-Length: 2\r\n\r\n{}");
	text = edge_read(edge, fd, 1, 1000);
	assert_int_equal(edge_count(text, "HTTP/1.1 307 "), 1);
	assert_non_null(strstr(text, "\r\nLocation: /evil.example/v1/x\r\n"));
	assert_int_equal(edge->handled, 0);
	(void)close(fd);
}

static void
refusal_is_json_and_reaches_a_client_that_goes_on_sending(void **state)
{
	struct edge *edge = *state;
	static char rest[64 * 1024];
	const char *text;
	int fd;

	memset(rest, 'a', sizeof(rest) - 1);
	edge_start(edge);
	fd = edge_connect_tcp(edge);
	edge_send(fd, "GET /v1/../x HTTP/1.1\r\nHost: leased\r\n\r\n");
	edge_send(fd, rest);
	text = edge_read(edge, fd, 2, 300);
	assert_int_equal(edge_count(text, "HTTP/1.1 400 Bad Request\r\n"), 1);
	assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(text, "{\"errors\":[\""));
	assert_int_equal(edge->handled, 0);
	(void)close(fd);
}

static void
unknown_method_is_told_which_there_are(void **state)
{
	struct edge *edge = *state;
	const char *text;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, "OPTIONS /v1/x HTTP/1.1\r\nHost: leased\r\n\r\n");
	text = edge_read(edge, fd, 1, 1000);
	assert_int_equal(edge_count(text, "HTTP/1.1 405 "), 1);
	assert_non_null(strstr(text, "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, LIST\r\n"));
	(void)close(fd);
}

/* The same id in the header and behind the text. */
static void
assert_request_id(const char *text)
{
	const char *header = strstr(text, "\r\nX-Request-Id: ");
	char behind[80];

	assert_non_null(header);
	header += strlen("\r\nX-Request-Id: ");
	assert_int_equal(strcspn(header, "\r"), 36);
	(void)snprintf(behind, sizeof(behind), " (request id %.36s)\"]}\n", header);
	assert_non_null(strstr(text, behind));
}

static void
each_error_of_the_edge_has_a_request_id_and_says_what_to_do(void **state)
{
#define HEAD " HTTP/1.1\r\nHost: leased\r\n"
	static const struct {
		const char *request, *says;
	} rows[] = {
	    {"GET /v1/../x" HEAD "\r\n", "HTTP/1.1 400 "},
	    {"GET /v1//x" HEAD "\r\n", "follow the redirect"},
	    {"OPTIONS /v1/x" HEAD "\r\n", "use GET"},
	    {"POST /v1/x" HEAD "Expect: tea\r\n\r\n", "leave it out"},
	    {"POST /v1/x" HEAD "Content-Length: 5001\r\n\r\n", "more than 5000 bytes"},
	    {"POST /v1/x" HEAD "Transfer-Encoding: chunked\r\n\r\n2000\r\n", "'body'"},
	    {"GET /v1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" HEAD "\r\n",
		"more than 50 bytes"},
	    {"GET /v1/x" HEAD "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", "more than 3 headers"},
	};
#undef HEAD
	struct edge *edge = *state;

	edge->limits.body = 5000;
	edge->limits.request_line = 50;
	edge->limits.header_count = 3;
	edge_start(edge);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = edge_connect(edge);
		const char *text;

		edge_send(fd, rows[i].request);
		text = edge_read(edge, fd, 1, 1000);
		if (strstr(text, rows[i].says) == NULL)
			fail_msg("%s: %s", rows[i].request, text);
		assert_request_id(text);
		(void)close(fd);
	}
	assert_int_equal(edge->handled, 0);
}

static void
connection_is_closed_when_the_client_asks_or_is_old(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, "GET /v1/x HTTP/1.1\r\nHost: leased\r\nConnection: foo, Close\r\n\r\n");
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "\r\nConnection: close\r\n"), 1);
	assert_true(edge_read_end(edge, fd, 1000));
	(void)close(fd);
	fd = edge_connect(edge);
	edge_send(fd, "GET /v1/x HTTP/1.0\r\n\r\n");
	assert_int_equal(edge_count(edge_read(edge, fd, 1, 1000), "\r\nConnection: close\r\n"), 1);
	assert_true(edge_read_end(edge, fd, 1000));
	(void)close(fd);
}

static void
header_is_found_by_name_unless_it_is_ambiguous(void **state)
{
	struct edge *edge = *state;
	int fd;

	edge->hold = true;
	edge_start(edge);
	fd = edge_connect(edge);
	edge_send(fd, "GET /v1/x?a=b HTTP/1.1\r\nHost: leased\r\nx-vault-token:  s.abc \r\n"
		      "Accept: a\r\nAccept: b\r\n\r\n");
	edge_until(edge, &edge->handled, 1);
	assert_string_equal(http_request_header(edge->held[0], "X-Vault-Token"), "s.abc");
	assert_null(http_request_header(edge->held[0], "X-Vault-Toke"));
	assert_null(http_request_header(edge->held[0], "Accept"));
	assert_string_equal(edge->held[0]->query, "a=b");
	assert_int_equal(edge->held[0]->body_len, 0);
	edge_answer(edge);
	(void)close(fd);
}

#define EDGE_TEST(test) cmocka_unit_test_setup_teardown(test, edge_setup, edge_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EDGE_TEST(connection_is_kept_for_the_next_request),
	    EDGE_TEST(reply_has_exactly_the_headers_of_the_contract),
	    EDGE_TEST(pipelined_requests_are_answered_in_order_however_late),
	    EDGE_TEST(more_than_sixteen_at_once_get_sixteen_answers_and_a_close),
	    EDGE_TEST(half_closed_client_gets_all_its_answers),
	    EDGE_TEST(continue_is_sent_when_the_client_waits_for_it),
	    EDGE_TEST(head_is_answered_without_a_body),
	    EDGE_TEST(repeated_slashes_are_redirected_to_one_spelling),
	    EDGE_TEST(refusal_is_json_and_reaches_a_client_that_goes_on_sending),
	    EDGE_TEST(unknown_method_is_told_which_there_are),
	    EDGE_TEST(each_error_of_the_edge_has_a_request_id_and_says_what_to_do),
	    EDGE_TEST(connection_is_closed_when_the_client_asks_or_is_old),
	    EDGE_TEST(header_is_found_by_name_unless_it_is_ambiguous),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
