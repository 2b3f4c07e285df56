/*
 * The dispatcher: who needs no token, in which order it is checked, and what no answer may carry.
 */
#include "unit/api/edge.h"

/* The golden list. Whoever adds a line here has decided that anybody on the network may ask. */
static const char *const open_paths[] = {"sys/health", "sys/seal-status", "sys/leader", "sys/init",
    "sys/internal/ui/mounts", "sys/internal/ui/mounts/*",
    "identity/oidc/.well-known/openid-configuration", "identity/oidc/.well-known/keys",
    "identity/oidc/.well-known/denylist"};

static void
just_these_need_no_token(void **state)
{
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		if ((api_routes[i].flags & API_OPEN) == 0)
			continue;
		assert_true(found < sizeof(open_paths) / sizeof(open_paths[0]));
		assert_string_equal(api_routes[i].pattern, open_paths[found]);
		found++;
	}
	assert_int_equal(found, sizeof(open_paths) / sizeof(open_paths[0]));
}

/* A path that the pattern matches. */
static void
example_path(const char *pattern, char *ret_path, size_t size)
{
	size_t used = (size_t)snprintf(ret_path, size, "/v1/");

	for (const char *c = pattern; *c != '\0' && used + 2 < size; c++) {
		if (*c == ':') {
			ret_path[used++] = 'x';
			while (c[1] != '\0' && c[1] != '/')
				c++;
		} else {
			ret_path[used++] = *c == '*' ? 'x' : *c;
		}
	}
	ret_path[used] = '\0';
}

static void
every_other_endpoint_is_denied_to_nobody_and_to_the_powerless(void **state)
{
	static const enum http_method methods[] = {
	    HTTP_GET, HTTP_LIST, HTTP_POST, HTTP_PUT, HTTP_DELETE};
	struct edge *edge = *state;
	struct auth_token_params params = {.no_default_policy = true};
	struct token_answer token = make_with(edge->fix, NULL, true, &params, "nothing");
	char path[128];

	for (size_t i = 0; i < api_route_count; i++) {
		example_path(api_routes[i].pattern, path, sizeof(path));
		if ((api_routes[i].flags & API_OPEN) != 0)
			continue;
		for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
			struct ask ask = {.method = methods[m], .path = path, .tcp = true};
			struct answer answer = edge_ask(edge, &ask);

			assert_int_equal(answer.status, 403);
			answer_clear(&answer);
			ask.token = token.text;
			answer = edge_ask(edge, &ask);
			assert_int_equal(answer.status, 403);
			assert_non_null(strstr(answer.text, "permission denied"));
			answer_clear(&answer);
		}
	}
	token_answer_clear(&token);
}

static void
a_row_is_found_by_its_pattern_and_no_row_hides_another(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < api_route_count; i++) {
		assert_non_null(api_routes[i].handler);
		assert_true(api_routes[i].operations != 0);
		example_path(api_routes[i].pattern, path, sizeof(path));
		for (unsigned bit = 1; bit <= API_DELETE; bit <<= 1) {
			struct http_request http = {.method = HTTP_GET};
			struct api_request request = {.http = &http,
			    .path = path + 4,
			    .match = path + 4,
			    .operation = (enum api_operation)bit};
			struct api api = {.tag = API_TAG};
			struct leased_err err;

			if ((api_routes[i].operations & bit) == 0)
				continue;
			request.api = &api;
			assert_int_equal(api_route_find(&request, &err), 0);
			assert_ptr_equal(request.route, &api_routes[i]);
			for (int c = 0; c < API_CAPTURES; c++)
				free(request.captures[c]);
		}
	}
}

static void
a_mount_that_is_there_and_one_that_is_not_are_alike_to_the_powerless(void **state)
{
	struct edge *edge = *state;
	struct auth_token_params params = {.no_default_policy = true};
	struct token_answer token = make_with(edge->fix, NULL, true, &params, "nothing");

	assert_int_equal(
	    edge_status(edge, HTTP_GET, "/v1/database/creds/x", NULL, token.text), 403);
	assert_int_equal(edge_status(edge, HTTP_GET, "/v1/nowhere/creds/x", NULL, token.text), 403);
	assert_int_equal(fake_engine.handled, 0);
	assert_int_equal(edge_status(edge, HTTP_GET, "/v1/nowhere/creds/x", NULL, NULL), 404);
	token_answer_clear(&token);
}

static void
create_or_update_is_the_engines_to_say(void **state)
{
	struct edge *edge = *state;
	struct token_answer token;

	assert_int_equal(put_policy(edge->fix, "maker",
			     "path \"database/roles/*\" { capabilities = [\"create\"] }"),
	    0);
	token = make(edge->fix, NULL, true, "maker", 60);
	fake_engine.exists = 0;
	assert_int_equal(
	    edge_status(edge, HTTP_POST, "/v1/database/roles/a", "{}", token.text), 204);
	fake_engine.exists = 1;
	assert_int_equal(
	    edge_status(edge, HTTP_POST, "/v1/database/roles/a", "{}", token.text), 403);
	fake_engine.exists = -1;
	assert_int_equal(
	    edge_status(edge, HTTP_PUT, "/v1/database/roles/a", "{}", token.text), 403);
	assert_int_equal(fake_engine.handled, 1);
	token_answer_clear(&token);
}

static void
what_a_caller_is_reaches_the_engine(void **state)
{
	struct edge *edge = *state;
	struct token_answer token = make(edge->fix, NULL, true, "root", 60);

	fake_engine.reply.data = json_pack("{s:s}", "a", "b");
	assert_int_equal(
	    edge_status(edge, HTTP_GET, "/v1/database/creds/app", NULL, token.text), 200);
	assert_string_equal(fake_engine.path, "creds/app");
	assert_int_equal(fake_engine.caller.token, token.id);
	assert_int_equal(fake_engine.caller.token_left_s, 60);
	assert_int_equal(edge_status(edge, HTTP_GET, "/v1/database/creds/app", NULL, NULL), 200);
	assert_int_equal(fake_engine.caller.token, 0);
	assert_int_equal(fake_engine.caller.token_left_s, -1);
	json_decref(fake_engine.reply.data);
	token_answer_clear(&token);
}

/* ---- err_no_secret ---- */

static void
no_error_carries_a_token_a_secret_or_data(void **state)
{
	struct edge *edge = *state;
	struct token_answer token = make(edge->fix, NULL, true, "root", 60);
	struct ask ask = {
	    .method = HTTP_GET, .path = "/v1/database/creds/app", .token = token.text};
	static const int codes[] = {LEASED_EINVAL, LEASED_EDENIED, LEASED_ENOENT, LEASED_EEXIST,
	    LEASED_ELIMIT, LEASED_ETOOBIG, LEASED_EEXPIRED, LEASED_EUNAVAIL, LEASED_ETIMEDOUT,
	    LEASED_EREFUSED, LEASED_EMOVED, LEASED_ECRASHED, LEASED_EPROTO, LEASED_ESEALED,
	    LEASED_ENOSPC, LEASED_EIO, LEASED_ECORRUPT, LEASED_ECONFLICT, LEASED_ECANCELED,
	    LEASED_ENOMEM, LEASED_EBUG};

	fake_engine.reply.data = json_pack("{s:s}", "password", "canary-7f3a");
	fake_engine.reply.lease_id = "database/creds/app/canary-lease";
	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		fake_engine.reply.code = codes[i];
		(void)leased_err_set(&fake_engine.reply.err, codes[i],
		    "the server said %s and hvs.ABCDEFGHIJKLMNOPQRSTUVWX", token.text);
		struct answer answer = edge_ask(edge, &ask);
		const char *key;
		json_t *value;

		assert_true(answer.status >= 400 && answer.status < 600);
		assert_null(strstr(answer.text, token.text));
		assert_null(strstr(answer.text, "hvs."));
		assert_null(strstr(answer.text, "canary"));
		json_object_foreach(answer.body, key, value) assert_string_equal(key, "errors");
		answer_clear(&answer);
	}
	json_decref(fake_engine.reply.data);
	token_answer_clear(&token);
}

static void
an_error_ends_with_the_request_id_and_404_of_nothing_is_bare(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/database/creds/app"};
	struct answer answer = edge_ask(edge, &ask);

	assert_int_equal(answer.status, 404);
	assert_string_equal(answer.text, "{\"errors\":[]}\n");
	answer_clear(&answer);
	fake_engine.reply.code = LEASED_EUNAVAIL;
	(void)leased_err_set(&fake_engine.reply.err, LEASED_EUNAVAIL, "it is down");
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 503);
	assert_non_null(strstr(answer.text, "it is down (request id "));
	answer_clear(&answer);
}

/* ---- leases in answers ---- */

static void
a_lost_answer_ends_its_lease_and_a_delivered_one_does_not(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_GET, .path = "/v1/database/creds/app", .lost = true};
	int64_t lost = put_lease(edge->fix, "entity:x", "x"), kept;
	struct answer answer;

	fake_engine.reply.data = json_pack("{s:s}", "username", "u");
	fake_engine.reply.lease_row = lost;
	fake_engine.reply.lease_id = "database/creds/app/1";
	answer = edge_ask(edge, &ask);
	assert_true(answer.watched);
	answer_clear(&answer);
	settle(edge->fix);
	assert_true(lease_is_marked(edge->fix, lost));
	kept = fake_engine.reply.lease_row = put_lease(edge->fix, "entity:y", "y");
	ask.lost = false;
	answer = edge_ask(edge, &ask);
	assert_string_equal(
	    json_string_value(json_object_get(answer.body, "lease_id")), "database/creds/app/1");
	answer_clear(&answer);
	settle(edge->fix);
	assert_false(lease_is_marked(edge->fix, kept));
	json_decref(fake_engine.reply.data);
}

static void
the_last_use_of_a_token_gets_no_lease(void **state)
{
	struct edge *edge = *state;
	struct auth_token_params params = {.num_uses = 1};
	struct token_answer token = make_with(edge->fix, NULL, true, &params, "root");
	struct ask ask = {
	    .method = HTTP_GET, .path = "/v1/database/creds/app", .token = token.text};
	int64_t row = put_lease(edge->fix, "entity:x", "x");
	struct answer answer;

	fake_engine.reply.data = json_pack("{s:s}", "password", "canary");
	fake_engine.reply.lease_row = row;
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 400);
	assert_non_null(strstr(answer.text, "one use left"));
	assert_null(strstr(answer.text, "canary"));
	answer_clear(&answer);
	settle(edge->fix);
	assert_true(lease_is_marked(edge->fix, row));
	assert_false(passes(edge->fix, token.text));
	json_decref(fake_engine.reply.data);
	token_answer_clear(&token);
}

static void
a_token_whose_answer_is_lost_is_ended(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_POST,
	    .path = "/v1/auth/token/create",
	    .body = "{\"id\":\"lost\",\"policies\":[\"a\"]}",
	    .lost = true};
	struct answer answer = edge_ask(edge, &ask);

	assert_int_equal(answer.status, 200);
	assert_false(passes(edge->fix, "lost"));
	answer_clear(&answer);
}

/* ---- handle_scope ---- */

static char *
error_without_id(struct edge *edge, const char *path, const char *lease_id, const char *token)
{
	struct ask ask = {.method = HTTP_PUT, .path = path, .token = token};
	char body[700], *end;
	struct answer answer;
	char *text;

	(void)snprintf(body, sizeof(body), "{\"lease_id\":\"%s\"}", lease_id);
	ask.body = body;
	answer = edge_ask(edge, &ask);
	if ((end = strstr(answer.text, "\"request_id\"")) == NULL)
		end = strstr(answer.text, "(request id");
	assert_non_null(end);
	assert_true(
	    asprintf(&text, "%d %.*s", answer.status, (int)(end - answer.text), answer.text) > 0);
	answer_clear(&answer);
	return (text);
}

static void
the_lease_of_another_is_answered_like_a_random_id(void **state)
{
	static const char *const paths[] = {"/v1/sys/leases/lookup", "/v1/sys/leases/renew",
	    "/v1/sys/leases/revoke", "/v1/sys/revoke", "/v1/sys/renew"};
	struct edge *edge = *state;
	struct token_answer token = make(edge->fix, NULL, true, "default", 60);
	int64_t foreign = put_lease(edge->fix, "token:999999", "somebody");
	struct store_lease *row = NULL;
	struct leased_err err;
	char id[LEASE_ID_MAX];

	assert_int_equal(store_lease_get(store_db(edge->fix->store), foreign, &row, &err), 0);
	assert_int_equal(lease_id_format(edge->fix->leases, row, id, sizeof(id)), 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char *theirs = error_without_id(edge, paths[i], id, token.text);
		char *random = error_without_id(
		    edge, paths[i], "database/creds/app/00000001AAAAAAAAAAAAAAAA", token.text);

		assert_string_equal(theirs, random);
		free(theirs);
		free(random);
	}
	assert_false(lease_is_marked(edge->fix, foreign));
	store_lease_free(row);
	token_answer_clear(&token);
}

/* ---- texts ---- */

/* GET of a path of that many 'a' and then those characters, as the client writes it. */
static struct answer
ask_long(struct edge *edge, const char *place, size_t before, size_t count, const char *token)
{
	static char path[4096];
	struct ask ask = {.method = HTTP_GET, .path = path, .token = token};
	size_t used;

	used = (size_t)snprintf(path, sizeof(path), "/v1/%s", place);
	memset(path + used, 'a', before);
	for (used += before; count > 0; count--, used += 2)
		memcpy(path + used, "\xc3\xa9", 2);
	path[used] = '\0';
	return (edge_ask(edge, &ask));
}

static void
no_error_is_without_a_text_wherever_it_is_cut(void **state)
{
	struct edge *edge = *state;
	struct token_answer token = make(edge->fix, NULL, true, "default", 60);
	struct answer answer;

	for (size_t before = 0; before < 600; before += 7) {
		answer = ask_long(edge, "", before, 60, NULL);
		assert_int_equal(answer.status, 404);
		assert_non_null(strstr(answer.text, "no handler for route"));
		answer_clear(&answer);
		answer = ask_long(edge, "database/creds/", before, 60, token.text);
		assert_int_equal(answer.status, 403);
		assert_non_null(strstr(answer.text, "needs capability \\\"read\\\" (request id"));
		answer_clear(&answer);
	}
	token_answer_clear(&token);
}

static void
unknown_parameters_are_all_named_or_counted(void **state)
{
	struct edge *edge = *state;
	struct ask ask = {.method = HTTP_POST, .path = "/v1/auth/token/create"};
	char body[8192], name[16];
	struct answer answer;
	size_t used = 0;

	for (int i = 0; i < 40; i++)
		used += (size_t)snprintf(
		    body + used, sizeof(body) - used, "%s\"unknown%d\":1", i ? "," : "{", i);
	(void)snprintf(body + used, sizeof(body) - used, "}");
	ask.body = body;
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "unknown%d", i);
		assert_non_null(strstr(answer.text, name));
	}
	answer_clear(&answer);
	used = 0;
	for (int i = 0; i < 200; i++)
		used += (size_t)snprintf(body + used, sizeof(body) - used,
		    "%s\"\xc3\xa9 a rather long name %d\":1", i ? "," : "{", i);
	(void)snprintf(body + used, sizeof(body) - used, "}");
	answer = edge_ask(edge, &ask);
	assert_int_equal(answer.status, 200);
	assert_non_null(strstr(answer.text, " more]"));
	answer_clear(&answer);
}

static void
a_bad_field_is_said_to_be_one_once(void **state)
{
	static const struct ask asks[] = {
	    {.method = HTTP_POST, .path = "/v1/auth/token/create", .body = "{\"ttl\":\"soon\"}"},
	    {.method = HTTP_POST,
		.path = "/v1/auth/unix/role/a",
		.body = "{\"max_leases\":\"many\"}"}};

	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		struct answer answer = edge_ask(*state, &asks[i]);
		const char *first = strstr(answer.text, "Field validation failed: ");

		assert_int_equal(answer.status, 400);
		assert_non_null(first);
		assert_null(strstr(first + 1, "Field validation failed"));
		answer_clear(&answer);
	}
}

/* ---- memory ---- */

struct attempt {
	struct edge *edge;
	struct ask ask;
	int good;
};

static int
ask_without_memory(void *arg)
{
	struct attempt *attempt = arg;
	struct answer answer = edge_ask(attempt->edge, &attempt->ask);
	int status = answer.status;

	answer_clear(&answer);
	if (status == attempt->good)
		return (0);
	if (status != 500 && status != 503)
		fail_msg("%s: status %d", attempt->ask.path, status);
	return (LEASED_ENOMEM);
}

static void
running_out_of_memory_answers_500_and_never_half(void **state)
{
	static const struct ask asks[] = {
	    {.method = HTTP_GET, .path = "/v1/sys/mounts"},
	    {.method = HTTP_GET, .path = "/v1/sys/health"},
	    {.method = HTTP_LIST, .path = "/v1/sys/policies/acl"},
	    {.method = HTTP_GET, .path = "/v1/auth/token/lookup-self"},
	    {.method = HTTP_POST,
		.path = "/v1/sys/capabilities-self",
		.body = "{\"paths\":[\"a\"]}"},
	    {.method = HTTP_GET, .path = "/v1/sys/leases/mine"},
	    {.method = HTTP_POST, .path = "/v1/auth/token/create", .body = "{\"ttl\":\"1h\"}"},
	};
	struct attempt attempt = {.edge = *state, .good = 200};

	log_setup(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		attempt.ask = asks[i];
		assert_true(failalloc_each(ask_without_memory, &attempt) > 3);
	}
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, edge_setup, edge_teardown)
	const struct CMUnitTest tests[] = {
	    T(just_these_need_no_token),
	    T(every_other_endpoint_is_denied_to_nobody_and_to_the_powerless),
	    T(a_row_is_found_by_its_pattern_and_no_row_hides_another),
	    T(a_mount_that_is_there_and_one_that_is_not_are_alike_to_the_powerless),
	    T(create_or_update_is_the_engines_to_say),
	    T(what_a_caller_is_reaches_the_engine),
	    T(no_error_carries_a_token_a_secret_or_data),
	    T(an_error_ends_with_the_request_id_and_404_of_nothing_is_bare),
	    T(a_lost_answer_ends_its_lease_and_a_delivered_one_does_not),
	    T(the_last_use_of_a_token_gets_no_lease),
	    T(a_token_whose_answer_is_lost_is_ended),
	    T(no_error_is_without_a_text_wherever_it_is_cut),
	    T(unknown_parameters_are_all_named_or_counted),
	    T(a_bad_field_is_said_to_be_one_once),
	    T(the_lease_of_another_is_answered_like_a_random_id),
	    T(running_out_of_memory_answers_500_and_never_half),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
