/*
 * sys/health: what it tells beside the words that clients look for.
 */
#include "store/store_private.h"
#include "unit/api/edge.h"

static int64_t
field(const struct answer *answer, const char *name)
{
	const json_t *value = json_object_get(answer->body, name);

	assert_true(json_is_integer(value));
	return (json_integer_value(value));
}

static void
health_tells_what_keeps_credentials_from_being_made_or_ended(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/sys/health", .tcp = true};
	struct leased_err err = LEASED_ERR_INIT;
	struct answer answer = edge_ask(edge, &ask);

	assert_string_equal(json_string_value(json_object_get(answer.body, "store")), "ok");
	assert_int_equal(field(&answer, "quarantined"), 0);
	assert_int_equal(field(&answer, "overdue"), 0);
	assert_int_equal(field(&answer, "oldest_overdue_s"), 0);
	assert_int_equal(field(&answer, "connections_down"), 3);
	answer_clear(&answer);

	(void)leased_err_set(&err, LEASED_ENOSPC, "full");
	store_health_failed(edge->fix->store, LEASED_ENOSPC, &err);
	store_health_quarantined(edge->fix->store, 2);
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	assert_string_equal(json_string_value(json_object_get(answer.body, "store")), "no_space");
	assert_int_equal(field(&answer, "quarantined"), 2);
	answer_clear(&answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		health_tells_what_keeps_credentials_from_being_made_or_ended, edge_setup,
		edge_teardown),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("api: health", tests, NULL, NULL));
}
