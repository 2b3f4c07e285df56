/*
 * Requests and answers that wait for their records: whatever memory or the device refuses, each is
 * answered once, nothing is answered as done that has no record, and what an answer carried that
 * could not be recorded has ended.
 */
#include "unit/api/edge.h"

#include "audit/audit.h"
#include "audit/verify.h"
#include "base/failpoint.h"

struct audited {
	struct edge edge;
	struct audit *audit;
	char dir[64], path[96];
	unsigned asked, made, refused;
};

static int
setup(void **state)
{
	struct audited *a = calloc(1, sizeof(*a));
	struct leased_err err = LEASED_ERR_INIT;
	struct api_config config = {.default_ttl_s = 3600, .max_ttl_s = 2764800};
	struct audit_config audit = {.path = a->path};

	memset(&fake_engine, 0, sizeof(fake_engine));
	fake_engine.exists = -1;
	a->edge.fix = fix_new();
	(void)snprintf(a->dir, sizeof(a->dir), "/tmp/leased-audited-XXXXXX");
	assert_non_null(mkdtemp(a->dir));
	(void)snprintf(a->path, sizeof(a->path), "%s/audit.log", a->dir);
	audit.store = a->edge.fix->store;
	audit.clock = &a->edge.fix->clock.clock;
	if (audit_new(&audit, &a->audit, &err) != 0)
		fail_msg("%s", err.text);
	config.audit = a->audit;
	config.store = a->edge.fix->store;
	config.leases = a->edge.fix->leases;
	config.auth = a->edge.fix->auth;
	config.clock = &a->edge.fix->clock.clock;
	config.ids = &a->edge.fix->ids.source;
	assert_int_equal(api_new(&config, &a->edge.api, &err), 0);
	*state = a;
	return (0);
}

static int
teardown(void **state)
{
	struct audited *a = *state;

	assert_int_equal(api_in_flight(a->edge.api), 0);
	api_free(a->edge.api);
	audit_stop(a->audit);
	store_pump(a->edge.fix->store);
	audit_free(a->audit);
	fix_free(a->edge.fix);
	(void)remove(a->path);
	(void)remove(a->dir);
	free(a);
	return (0);
}

static void
on_fault(void *arg, const char *name, int64_t line, const char *fault)
{
	(void)arg;
	fail_msg("%s:%lld: %s", name, (long long)line, fault);
}

/* How many lines of the file hold the text; the chain must hold. */
static unsigned
lines_with(struct audited *a, const char *text)
{
	struct audit_verifier *verifier =
	    audit_verifier_new(store_seal(a->edge.fix->store), on_fault, NULL);
	FILE *stream = fopen(a->path, "re");
	struct audit_report report;
	char *line = NULL;
	size_t size = 0;
	unsigned count = 0;

	assert_non_null(verifier);
	assert_non_null(stream);
	assert_int_equal(audit_verify(verifier, stream, "audit.log", NULL), 0);
	audit_verifier_end(verifier, &report);
	audit_verifier_free(verifier);
	rewind(stream);
	while (getline(&line, &size, stream) > 0)
		count += strstr(line, text) != NULL;
	free(line);
	(void)fclose(stream);
	return (count);
}

/* ---- memory ---- */

/* A token whose id is its own, so that it can be asked for whatever was answered. */
static int
token_without_memory(void *arg)
{
	struct audited *a = arg;
	char id[32], body[64];
	struct ask ask = {.method = HTTP_POST, .path = "/v1/auth/token/create", .body = body};
	struct answer answer;
	bool passing, good;

	(void)snprintf(id, sizeof(id), "token-number-%u", ++a->asked);
	(void)snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
	answer = edge_ask(&a->edge, &ask);
	good = answer.status == 200;
	if (!good && answer.status != 500 && answer.status != 503)
		fail_msg("status %d: %s", answer.status, answer.text);
	answer_clear(&answer);
	failalloc_pause();
	later(a->edge.fix, 3000); /* what was not written down is tried again each second */
	passing = passes(a->edge.fix, id);
	failalloc_resume();
	if (passing != good)
		fail_msg("%s: answered with %d, and the token %s", id, answer.status,
		    passing ? "is good" : "is not");
	a->made += good;
	return (good ? 0 : LEASED_ENOMEM);
}

static void
what_no_record_could_be_made_of_is_not_answered_as_done(void **state)
{
	struct audited *a = *state;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_true(failalloc_each(token_without_memory, a) > 50);
	assert_in_range(lines_with(a, "\"type\":\"response\""), a->made, a->asked);
	assert_in_range(lines_with(a, "\"type\":\"request\""), a->made, a->asked);
}

static int
read_without_memory(void *arg)
{
	struct audited *a = arg;
	int status = edge_status(&a->edge, HTTP_GET, "/v1/sys/mounts", NULL, NULL);

	a->asked++;
	a->made += status == 200;
	if (status != 200 && status != 500 && status != 503)
		fail_msg("status %d", status);
	return (status == 200 ? 0 : LEASED_ENOMEM);
}

static void
a_refusal_for_lack_of_memory_leaves_the_next_request_alone(void **state)
{
	struct audited *a = *state;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	assert_true(failalloc_each(read_without_memory, a) > 20);
	assert_int_equal(edge_status(&a->edge, HTTP_GET, "/v1/sys/mounts", NULL, NULL), 200);
	assert_in_range(lines_with(a, "\"type\":\"response\""), a->made, a->asked);
	assert_true(audit_healthy(a->audit));
}

/* ---- what is not recorded ---- */

static void
state_is_told_without_a_record_and_refused_with_one(void **state)
{
	struct audited *a = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/sys/metrics", .tcp = true};
	struct answer answer;

	ask.marks = API_MARK_METRICS;
	answer = edge_ask(&a->edge, &ask);
	assert_int_equal(answer.status, 200);
	answer_clear(&answer);
	assert_int_equal(edge_status(&a->edge, HTTP_GET, "/v1/sys/metrics", NULL, NULL), 200);
	assert_int_equal(lines_with(a, "sys/metrics"), 0);
	ask.marks = 0;
	ask.token = "hvs.stolenstolenstolenstolenstolen";
	answer = edge_ask(&a->edge, &ask);
	assert_int_equal(answer.status, 403);
	answer_clear(&answer);
	assert_int_equal(lines_with(a, "\"path\":\"sys/metrics\""), 2);
	assert_int_equal(lines_with(a, "\"status\":403"), 1);
	assert_int_equal(lines_with(a, "hvs.stolen"), 0);
}

/* ---- the device ---- */

#ifdef LEASED_FAILPOINTS
/* The answer to a request for a token of that id, whose nth write to the device fails. */
static struct answer
ask_with_failing_write(struct audited *a, const char *id, unsigned nth)
{
	static const char point[] = "audit_device_before_write";
	char body[64], path[128];
	FILE *armed;
	struct ask ask = {.method = HTTP_POST, .path = "/v1/auth/token/create", .body = body};
	struct answer answer;

	(void)snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
	(void)snprintf(path, sizeof(path), "%s/%s.armed", a->dir, point);
	assert_non_null(armed = fopen(path, "we"));
	assert_true(fprintf(armed, "error:unavailable@%u", nth) > 0);
	(void)fclose(armed);
	assert_int_equal(setenv("LEASED_FAILPOINT_DIR", a->dir, 1), 0);
	failpoint_setup();
	answer = edge_ask(&a->edge, &ask);
	(void)unsetenv("LEASED_FAILPOINT_DIR");
	failpoint_setup();
	(void)snprintf(path, sizeof(path), "%s/%s.acted", a->dir, point);
	assert_int_equal(remove(path), 0);
	(void)snprintf(path, sizeof(path), "%s/%s.passed", a->dir, point);
	(void)remove(path);
	later(a->edge.fix, 2000);
	return (answer);
}

static void
a_request_whose_record_is_not_taken_does_nothing_and_says_so(void **state)
{
	struct audited *a = *state;
	struct answer answer;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	answer = ask_with_failing_write(a, "never-made", 1);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.text, "nothing was done"));
	assert_false(passes(a->edge.fix, "never-made"));
	assert_int_equal(edge_status(&a->edge, HTTP_GET, "/v1/sys/health", NULL, NULL), 474);
	answer_clear(&answer);
	assert_int_equal(edge_status(&a->edge, HTTP_GET, "/v1/sys/mounts", NULL, NULL), 200);
	assert_int_equal(edge_status(&a->edge, HTTP_GET, "/v1/sys/health", NULL, NULL), 200);
}

static void
a_token_whose_answer_is_not_recorded_is_ended_and_the_answer_says_so(void **state)
{
	struct audited *a = *state;
	struct answer answer;

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	answer = ask_with_failing_write(a, "not-recorded", 2);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.text, "What it made is being revoked"));
	assert_null(strstr(answer.text, "client_token"));
	assert_false(passes(a->edge.fix, "not-recorded"));
	answer_clear(&answer);
	(void)lines_with(a, "");
}
#endif

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(what_no_record_could_be_made_of_is_not_answered_as_done),
	    T(a_refusal_for_lack_of_memory_leaves_the_next_request_alone),
	    T(state_is_told_without_a_record_and_refused_with_one),
#ifdef LEASED_FAILPOINTS
	    T(a_request_whose_record_is_not_taken_does_nothing_and_says_so),
	    T(a_token_whose_answer_is_not_recorded_is_ended_and_the_answer_says_so),
#endif
	};
#undef T

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("api: audited", tests, NULL, NULL));
}
