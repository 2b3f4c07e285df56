/*
 * sys/metrics: who may read it and where, in which form it comes, and that requests are counted by
 * what was asked and how it was answered.
 */
#include "metrics/page.h"
#include "unit/api/edge.h"

#define PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"
#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

static struct answer
scrape(struct edge *edge, const char *query, const char *accept)
{
	struct ask ask = {.method = HTTP_GET,
	    .path = "/v1/sys/metrics",
	    .query = query,
	    .tcp = true,
	    .marks = API_MARK_METRICS,
	    .header = accept != NULL ? "Accept" : NULL,
	    .header_value = accept};

	return (edge_ask(edge, &ask));
}

static void
assert_line(struct edge *edge, const char *line)
{
	struct answer answer = scrape(edge, "format=prometheus", NULL);

	assert_int_equal(answer.status, 200);
	if (strstr(answer.text, line) == NULL)
		fail_msg("not in the text: %s\n%s", line, answer.text);
	answer_clear(&answer);
}

static void
it_needs_a_token_that_may_read_it_unless_the_listener_is_marked(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/sys/metrics", .tcp = true};
	struct answer answer = edge_ask(edge, &ask);

	assert_int_equal(answer.status, 403);
	answer_clear(&answer);
	ask.marks = API_MARK_METRICS;
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	answer_clear(&answer);
	ask.token = "hvs.nobodysnobodysnobodysnobodysnobody"; /* a stale one does no harm there */
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	answer_clear(&answer);
	ask = (struct ask){.method = HTTP_GET, .path = "/v1/sys/metrics"}; /* the peer is root */
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	answer_clear(&answer);
	ask.method = HTTP_POST;
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 405);
	answer_clear(&answer);
}

static void
the_mark_opens_nothing_else(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .tcp = true, .marks = API_MARK_METRICS};
	static const char *const paths[] = {"/v1/sys/mounts", "/v1/sys/metrics/x",
	    "/v1/sys/leases/count", "/v1/database/creds/app", "/v1/sys/audit"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct answer answer;

		ask.path = paths[i];
		answer = edge_ask(edge, &ask);
		assert_int_equal(answer.status, 403);
		answer_clear(&answer);
	}
}

static void
scrapers_find_it_where_they_look_on_a_marked_listener_alone(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/metrics", .tcp = true};
	struct answer answer = edge_ask(edge, &ask);

	assert_int_equal(answer.status, 404);
	answer_clear(&answer);
	ask.marks = API_MARK_METRICS;
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.type, PROMETHEUS);
	answer_clear(&answer);
	ask.header = "Accept";
	ask.header_value = "application/openmetrics-text";
	answer = edge_ask(edge, &ask);
	assert_string_equal(answer.type, OPENMETRICS);
	answer_clear(&answer);
	ask.path = "/metrics/x";
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 404);
	answer_clear(&answer);
}

static void
form_is_the_one_that_is_asked_for(void **state)
{
	static const struct {
		const char *query, *accept, *type, *has;
	} rows[] = {
	    {"", NULL, "application/json", "{\"Timestamp\":\""},
	    {"format=prometheus", NULL, PROMETHEUS, "# TYPE leased_requests_total counter\n"},
	    {"format=prometheus", "application/openmetrics-text", PROMETHEUS, "leased_build_info{"},
	    {"format=openmetrics", NULL, OPENMETRICS, "# TYPE leased_requests counter\n"},
	    {"", "application/openmetrics-text;q=0.6,text/plain;q=0.3", OPENMETRICS, "\n# EOF\n"},
	    {"", "text/plain", PROMETHEUS, "\nleased_connection_up{connection=\"main\"} 1\n"},
	    {"format=a-very-long-word-that-is-no-form-at-all", NULL, "application/json",
		"{\"Timestamp\":\""},
	};
	struct edge *edge = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer answer = scrape(edge, rows[i].query, rows[i].accept);

		assert_int_equal(answer.status, 200);
		assert_string_equal(answer.type, rows[i].type);
		if (strstr(answer.text, rows[i].has) == NULL)
			fail_msg("row %zu: %s", i, answer.text);
		answer_clear(&answer);
	}
}

static void
requests_are_counted_by_what_was_asked_and_answered(void **state)
{
	struct edge *edge = *state;

	assert_line(edge, "\nleased_requests_total{class=\"state\",status=\"2xx\"} 0\n");
	(void)edge_status(edge, HTTP_GET, "/v1/sys/health", NULL, NULL);
	(void)edge_status(edge, HTTP_GET, "/v1/sys/health?x", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"state\",status=\"2xx\"} 1\n");
	assert_line(edge, "\nleased_requests_total{class=\"metrics\",status=\"2xx\"} 2\n");
	(void)edge_status(edge, HTTP_GET, "/v1/database/creds/app", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"credentials\",status=\"4xx\"} 1\n");
	(void)edge_status(edge, HTTP_GET, "/v1/database/roles/app", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"mounted\",status=\"4xx\"} 1\n");
	(void)edge_status(edge, HTTP_GET, "/v1/no/such/path", NULL, NULL);
	(void)edge_status(edge, HTTP_GET, "/nothing", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"none\",status=\"4xx\"} 3\n");
	(void)edge_status(edge, HTTP_POST, "/v1/sys/leases/lookup", "{\"lease_id\":\"x\"}", NULL);
	assert_line(edge, "\nleased_requests_total{class=\"leases\",status=\"4xx\"} 1\n");
	(void)edge_status(edge, HTTP_GET, "/v1/auth/token/lookup-self", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"auth\",status=\"2xx\"} 1\n");
	(void)edge_status(edge, HTTP_GET, "/v1/sys/mounts", NULL, NULL);
	assert_line(edge, "\nleased_requests_total{class=\"system\",status=\"2xx\"} 1\n");
	assert_line(edge, "\nleased_requests_in_flight 1\n");
}

static void
what_keeps_it_from_being_ready_is_in_it(void **state)
{
	struct edge *edge = *state;

	assert_line(edge, "\nleased_ready 1\n");
	fake_engine.loading = true;
	assert_line(edge, "\nleased_ready 0\n");
	assert_line(edge, "\nleased_not_ready_reason{reason=\"recovering\"} 1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, edge_setup, edge_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(it_needs_a_token_that_may_read_it_unless_the_listener_is_marked),
	    TEST(the_mark_opens_nothing_else),
	    TEST(scrapers_find_it_where_they_look_on_a_marked_listener_alone),
	    TEST(form_is_the_one_that_is_asked_for),
	    TEST(requests_are_counted_by_what_was_asked_and_answered),
	    TEST(what_keeps_it_from_being_ready_is_in_it),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("api: metrics", tests, NULL, NULL));
}
