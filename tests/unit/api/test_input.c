/*
 * Query and body: parsed only for who may send them, however wrong they are.
 */
#include "unit/api/edge.h"

#define CREATE "/v1/auth/token/create"

static int
status_of(struct edge *edge, const struct ask *ask)
{
	struct answer answer = edge_ask(edge, ask);
	int status = answer.status;

	answer_clear(&answer);
	return (status);
}

static void
a_malformed_body_is_a_400_only_for_who_may_send_one(void **state)
{
	static const char *const bodies[] = {"{", "[1]", "{\"ttl\":1,\"ttl\":2}", "\xff", "1 2"};
	struct edge *edge = *state;
	struct auth_token_params params = {.no_default_policy = true};
	struct token_answer powerless = make_with(edge->fix, NULL, true, &params, "nothing");

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct ask ask = {.method = HTTP_POST, .path = CREATE, .body = bodies[i]};

		assert_int_equal(status_of(edge, &ask), 400); /* root */
		ask.token = powerless.text;
		assert_int_equal(status_of(edge, &ask), 403);
		ask.token = "hvs.wrong";
		assert_int_equal(status_of(edge, &ask), 403);
		ask.token = NULL;
		ask.tcp = true; /* nobody */
		assert_int_equal(status_of(edge, &ask), 403);
		ask.path = "/v1/nowhere/at/all";
		assert_int_equal(status_of(edge, &ask), 403);
	}
	token_answer_clear(&powerless);
}

static void
a_malformed_query_is_a_400_only_for_who_may_send_one(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/sys/mounts", .query = "a=%zz"};

	assert_int_equal(status_of(edge, &ask), 400);
	ask.tcp = true;
	assert_int_equal(status_of(edge, &ask), 403);
}

static void
a_row_and_a_method_that_are_not_there_are_told_before_the_body_is_looked_at(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_POST, .path = "/v1/nowhere/at/all", .body = "{"};

	assert_int_equal(status_of(edge, &ask), 404);
	ask.path = "/v1/sys/auth";
	assert_int_equal(status_of(edge, &ask), 405);
}

static void
a_caller_who_need_not_say_who_it_is_may_send_64_kib(void **state)
{
	struct edge *edge = *state;
	char *body = malloc(API_OPEN_BODY_MAX + 2);
	struct ask ask = {.method = HTTP_PUT, .path = "/v1/sys/init", .body = body, .tcp = true};
	int fits;

	assert_non_null(body);
	memset(body, ' ', API_OPEN_BODY_MAX + 1);
	memcpy(body, "{}", 2);
	body[API_OPEN_BODY_MAX] = '\0';
	fits = status_of(edge, &ask);
	assert_int_not_equal(fits, 413);
	body[API_OPEN_BODY_MAX] = ' ';
	body[API_OPEN_BODY_MAX + 1] = '\0';
	assert_int_equal(status_of(edge, &ask), 413);
	free(body);
}

static void
a_question_about_more_than_a_hundred_paths_is_refused(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_POST, .path = "/v1/sys/capabilities-self"};
	json_t *paths = json_array(), *body = json_pack("{s:O}", "paths", paths);
	struct answer answer;
	char path[16], *text;

	for (int i = 0; i <= 100; i++) {
		(void)snprintf(path, sizeof(path), "a/%d", i);
		(void)json_array_append_new(paths, json_string(path));
		if (i < 99)
			continue;
		ask.body = text = json_dumps(body, 0);
		answer = edge_ask(edge, &ask);
		assert_int_equal(answer.status, i == 99 ? 200 : 400);
		if (i == 100)
			assert_non_null(strstr(answer.text, "names 101 paths: 1 to 100"));
		answer_clear(&answer);
		free(text);
	}
	json_decref(paths);
	json_decref(body);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, edge_setup, edge_teardown)
	const struct CMUnitTest tests[] = {
	    T(a_malformed_body_is_a_400_only_for_who_may_send_one),
	    T(a_malformed_query_is_a_400_only_for_who_may_send_one),
	    T(a_row_and_a_method_that_are_not_there_are_told_before_the_body_is_looked_at),
	    T(a_caller_who_need_not_say_who_it_is_may_send_64_kib),
	    T(a_question_about_more_than_a_hundred_paths_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
