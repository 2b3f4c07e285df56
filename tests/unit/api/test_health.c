/*
 * sys/health: what it tells beside the words that clients look for.
 */
#include "lease/private.h"
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

static void
assert_reasons(const struct answer *answer, const char *wanted)
{
	const json_t *reasons = json_object_get(answer->body, "not_ready"), *reason;
	char text[256] = "";
	size_t i;

	assert_true(json_is_array(reasons));
	json_array_foreach(reasons, i, reason)
	{
		(void)strlcat(text, i > 0 ? " " : "", sizeof(text));
		(void)strlcat(text, json_string_value(reason), sizeof(text));
	}
	assert_string_equal(text, wanted);
	assert_int_equal(
	    json_is_true(json_object_get(answer->body, "ready")), json_array_size(reasons) == 0);
}

static void
ready(struct edge *edge, const char *query, int status, const char *reasons)
{
	struct ask ask = {
	    .method = HTTP_GET, .path = "/v1/sys/health", .query = query, .tcp = true};
	struct answer answer = edge_ask(edge, &ask);

	if (answer.status != status)
		fail_msg("%s: %d %s", query, answer.status, answer.text);
	if (reasons != NULL)
		assert_reasons(&answer, reasons);
	answer_clear(&answer);
}

static void
being_ready_is_told_apart_from_being_alive(void **state)
{
	struct edge *edge = *state;
	struct leased_err err = LEASED_ERR_INIT;

	ready(edge, "ready=true", 200, "");
	ready(edge, "ready=true&activecode=204", 204, "");
	fake_engine.loading = true;
	ready(edge, "", 200, "recovering");
	ready(edge, "ready=false", 200, "recovering");
	ready(edge, "ready=true", 503, "recovering");
	ready(edge, "ready=1&activecode=204", 503, "recovering");
	ready(edge, "ready=1&notreadycode=429", 429, "recovering");
	/* Each turn of the store looks whether it can write again. */
	(void)leased_err_set(&err, LEASED_ENOSPC, "full");
	store_health_failed(edge->fix->store, LEASED_ENOSPC, &err);
	ready(edge, "ready=true", 503, "recovering store_full");
	fake_engine.loading = false;
	store_health_failed(edge->fix->store, LEASED_ENOSPC, &err);
	ready(edge, "ready=true", 503, "store_full");
	edge->fix->store->health.damaged = true;
	ready(edge, "ready=true", 503, "store_damaged");
	edge->fix->store->health.damaged = false;
	store_health_failed(edge->fix->store, LEASED_EIO, &err);
	ready(edge, "ready=true", 503, "store_failing");
	ready(edge, "ready=true", 200, "");
}

static void
a_reboot_in_doubt_is_not_ready(void **state)
{
	struct edge *edge = *state;

	edge->fix->leases->time.waiting = true;
	ready(edge, "", 200, "clock_unconfirmed");
	edge->fix->leases->time.waiting = true;
	ready(edge, "ready=true", 503, "clock_unconfirmed");
}

static void
a_malformed_parameter_is_refused(void **state)
{
	struct edge *edge = *state;

	ready(edge, "ready=maybe", 400, NULL);
	ready(edge, "ready=", 400, NULL);
	ready(edge, "ready=true&notreadycode=99", 400, NULL);
	ready(edge, "notreadycode=x", 400, NULL);
	ready(edge, "standbyok=true&perfstandbyok=true&uninitcode=299", 200, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		health_tells_what_keeps_credentials_from_being_made_or_ended, edge_setup,
		edge_teardown),
	    cmocka_unit_test_setup_teardown(
		being_ready_is_told_apart_from_being_alive, edge_setup, edge_teardown),
	    cmocka_unit_test_setup_teardown(
		a_reboot_in_doubt_is_not_ready, edge_setup, edge_teardown),
	    cmocka_unit_test_setup_teardown(
		a_malformed_parameter_is_refused, edge_setup, edge_teardown),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("api: health", tests, NULL, NULL));
}
