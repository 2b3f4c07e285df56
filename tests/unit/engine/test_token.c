/*
 * Opaque tokens: issue, introspection, revocation, and who is told what.
 */
#include "engine/token.h"
#include "lease/plain.h"
#include "unit/engine/fixture.h"

#define ROLE "{\"scopes\": \"read,write\", \"ttl\": 60, \"max_ttl\": 600, \"audience\": \"shop\"}"

static int
token_setup(void **state)
{
	struct answer answer = {0};
	int r = fix_setup(state);

	below = "token/";
	mount_ask(*state, "token/", "{\"type\": \"token\"}", &answer);
	settle(*state);
	assert_int_equal(answer.code, 0);
	return (r);
}

static int
token_teardown(void **state)
{
	below = "database/";
	return (fix_teardown(state));
}

static const char *
text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return (text != NULL ? text : "");
}

struct token {
	char text[OPAQUE_SIZE], lease_id[LEASE_ID_MAX];
	int64_t row;
};

static struct token
issue(struct fix *f, const char *body)
{
	struct answer *answer = must(f, ENGINE_WRITE, "creds/app", body);
	struct token token = {.row = answer->row};

	(void)snprintf(token.text, sizeof(token.text), "%s", text_at(answer->data, "token"));
	(void)snprintf(token.lease_id, sizeof(token.lease_id), "%s", answer->lease_id);
	return (token);
}

static const json_t *
introspect(struct fix *f, const char *text)
{
	char body[512];
	struct answer *answer;

	(void)snprintf(body, sizeof(body), "{\"token\": \"%s\", \"token_type_hint\": \"x\"}", text);
	answer = must(f, ENGINE_WRITE, "introspect", body);
	assert_true(answer->raw);
	return (answer->data);
}

static bool
is_active(struct fix *f, const char *text)
{
	const json_t *data = introspect(f, text);

	if (!json_is_true(json_object_get(data, "active"))) {
		assert_int_equal(json_object_size(data), 1);
		return (false);
	}
	return (true);
}

static void
revoke_token(struct fix *f, const char *text)
{
	char body[512];
	struct answer *answer;

	(void)snprintf(body, sizeof(body), "{\"token\": \"%s\"}", text);
	answer = must(f, ENGINE_WRITE, "revoke", body);
	assert_true(answer->raw);
	assert_int_equal(json_object_size(answer->data), 0);
}

static void
a_token_is_told_once_and_kept_as_an_hmac_alone(void **state)
{
	struct fix *f = *state;
	struct store_lease *row = NULL;
	struct answer *answer;
	struct opaque opaque;
	const char *token;
	char *kept;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	token = text_at(answer->data, "token");
	assert_true(opaque_parse(token, &opaque));
	assert_int_equal(opaque.row, answer->row);
	assert_memory_equal(token, "lsd_", 4);
	assert_int_equal(answer->duration_s, 60);
	assert_non_null(strstr(answer->lease_id, "token/creds/app/"));
	assert_string_equal(text_at(answer->data, "scope"), "read write");
	assert_int_equal(store_lease_get(store_db(f->store), answer->row, &row, NULL), 0);
	kept = json_dumps(row->data, 0);
	assert_null(strstr(kept, opaque.random));
	free(kept);
	store_lease_free(row);
}

static void
introspection_tells_what_a_token_is_good_for(void **state)
{
	struct fix *f = *state;
	struct token token;
	const json_t *data;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	token = issue(f, "{\"scope\": \"read\"}");
	data = introspect(f, token.text);
	assert_true(json_is_true(json_object_get(data, "active")));
	assert_string_equal(text_at(data, "scope"), "read");
	assert_string_equal(text_at(data, "client_id"), "app");
	assert_string_equal(
	    text_at(data, "sub"), caller.entity[0] != '\0' ? caller.entity : caller.display_name);
	assert_string_equal(text_at(data, "aud"), "shop");
	assert_string_equal(text_at(data, "token_type"), "Bearer");
	assert_int_equal(json_integer_value(json_object_get(data, "exp")) -
			     json_integer_value(json_object_get(data, "iat")),
	    60);
	assert_memory_equal(text_at(data, "iss"), "urn:uuid:", 9);
	assert_null(strstr(text_at(data, "jti"), token.lease_id + strlen(token.lease_id) - 16));
}

static void
a_token_ends_with_its_revocation_its_time_and_its_lease(void **state)
{
	struct fix *f = *state;
	struct token a, b, c;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	a = issue(f, NULL);
	b = issue(f, NULL);
	c = issue(f, "{\"ttl\": \"5s\"}");
	assert_true(is_active(f, a.text));
	revoke_token(f, a.text);
	assert_false(is_active(f, a.text));
	revoke_token(f, a.text); /* RFC 7009: no error */
	revoke(f, b.row);
	assert_false(is_active(f, b.text));
	assert_true(is_active(f, c.text));
	later(f, 5);
	assert_false(is_active(f, c.text));
	assert_int_equal(rows(f), 0);
}

static void
nothing_is_told_of_what_is_no_good_token_here(void **state)
{
	struct fix *f = *state;
	char other[OPAQUE_SIZE], random[OPAQUE_RANDOM_LEN + 1], body[512];
	struct answer answer = {0};
	struct opaque opaque;
	struct token token;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	token = issue(f, NULL);
	assert_true(opaque_parse(token.text, &opaque));
	memcpy(random, opaque.random, sizeof(random));
	random[OPAQUE_RANDOM_LEN] = '\0';
	assert_int_equal(opaque_format("lsd", opaque.row + 1, random, other), 0);
	assert_false(is_active(f, other)); /* no such row */
	assert_int_equal(opaque_format("lse", opaque.row, random, other), 0);
	assert_false(is_active(f, other)); /* another prefix */
	random[3] = random[3] == 'a' ? 'b' : 'a';
	assert_int_equal(opaque_format("lsd", opaque.row, random, other), 0);
	assert_false(is_active(f, other)); /* guessed */
	revoke_token(f, other);
	assert_true(is_active(f, token.text));
	assert_false(is_active(f, ""));
	assert_false(is_active(f, "hvs.abcdefghijklmnop"));
	assert_false(is_active(f, "\\u0001\\ud83d\\ude00"));
	refused(f, ENGINE_WRITE, "introspect", "{}", LEASED_EINVAL, "no token");
	refused(f, ENGINE_WRITE, "introspect", "{\"token\": [1]}", LEASED_EINVAL, "token");
	refused(f, ENGINE_READ, "introspect", NULL, LEASED_EINVAL, "unsupported operation");
	/* A mount knows its own tokens alone. */
	mount_ask(f, "other/", "{\"type\": \"token\"}", &answer);
	settle(f);
	below = "other/";
	assert_false(is_active(f, token.text));
	(void)snprintf(body, sizeof(body), "{\"token\": \"%s\"}", token.text);
	refused(f, ENGINE_WRITE, "revoke", body, LEASED_EINVAL, "unsupported_token_type");
	below = "token/";
	assert_true(is_active(f, token.text));
	unmount_ask(f, "token/", &answer);
	later(f, 3);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, 0);
	assert_int_equal(rows(f), 0);
	assert_int_equal(docs(f, "role"), 0);
}

static void
a_role_that_was_written_anew_or_deleted_counts_for_the_next_token(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(must(f, ENGINE_READ, "creds/app", NULL)->duration_s, 60);
	must(f, ENGINE_WRITE, "roles/app", "{\"scopes\": \"read\", \"ttl\": 30}");
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_int_equal(answer->duration_s, 30);
	assert_string_equal(text_at(answer->data, "scope"), "read");
	must(f, ENGINE_DELETE, "roles/app", NULL);
	assert_int_equal(ask(f, ENGINE_READ, "creds/app", NULL)->code, LEASED_EINVAL);
}

static void
a_token_gets_no_more_than_its_role_has(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "roles/app",
	    "{\"scopes\": [\"a\", \"b\", \"c\"], \"default_scopes\": \"b\", \"ttl\": 60, "
	    "\"max_ttl\": 60, \"max_leases\": 2, \"renewable\": false, \"prefix\": \"shop\"}");
	refused(f, ENGINE_WRITE, "creds/app", "{\"scope\": \"a d\"}", LEASED_EINVAL, "\"d\"");
	assert_string_equal(
	    text_at(must(f, ENGINE_WRITE, "creds/app", "{\"scope\": \"c a c\"}")->data, "scope"),
	    "c a");
	assert_string_equal(
	    text_at(must(f, ENGINE_WRITE, "creds/app", "{\"ttl\": 3600}")->data, "scope"), "b");
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_ELIMIT, "max_leases");
	refused(f, ENGINE_READ, "creds/none", NULL, LEASED_EINVAL, "unknown role");
}

static void
a_role_is_checked_when_it_is_written(void **state)
{
	struct fix *f = *state;

	refused(f, ENGINE_WRITE, "roles/app", "{\"prefix\": \"A_b\"}", LEASED_EINVAL, "prefix");
	refused(f, ENGINE_WRITE, "roles/app", "{\"scopes\": [\"a b\"]}", LEASED_EINVAL, "scope");
	refused(f, ENGINE_WRITE, "roles/app", "{\"scopes\": \"a\", \"default_scopes\": \"b\"}",
	    LEASED_EINVAL, "not among");
	refused(f, ENGINE_WRITE, "roles/app", "{\"ttl\": 10, \"max_ttl\": 5}", LEASED_EINVAL,
	    "max_ttl");
	refused(f, ENGINE_WRITE, "roles/app", "{\"lease_owner\": \"me\"}", LEASED_EINVAL,
	    "lease_owner");
	refused(f, ENGINE_WRITE, "roles/app", "{\"max_leases\": -1}", LEASED_EINVAL, "max_leases");
	assert_int_equal(docs(f, "role"), 0);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_true(warned(must(f, ENGINE_WRITE, "roles/app", "{\"tll\": 5}"), "did you mean ttl"));
	assert_int_equal(json_integer_value(json_object_get(
			     must(f, ENGINE_READ, "roles/app", NULL)->data, "max_ttl")),
	    600);
	must(f, ENGINE_LIST, "roles/", NULL);
	must(f, ENGINE_DELETE, "roles/app", NULL);
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EINVAL, "unknown role");
}

static void
memory_may_run_out_at_any_allocation(void **state)
{
	static const char *const steps[] = {"creds/app", "introspect", "revoke"};
	struct fix *f = *state;
	struct answer answer;
	char body[256] = "{}";
	struct token token;

	must(f, ENGINE_WRITE, "roles/app",
	    "{\"scopes\": \"read\", \"ttl\": 86400, \"audience\": \"a\"}");
	token = issue(f, NULL);
	for (size_t i = 0; i < 3; i++) {
		bool failed = true;

		if (i > 0)
			(void)snprintf(body, sizeof(body), "{\"token\": \"%s\"}", token.text);
		for (unsigned long n = 1; failed && n < 2000; n++) {
			failalloc_arm(n);
			start(f, ENGINE_WRITE, steps[i], body, &answer);
			settle(f);
			failed = failalloc_disarm();
			assert_int_equal(answer.count, 1);
			if (answer.code != 0)
				assert_true(failed);
			/* What was not told may not stay. */
			if (i == 0 && answer.code == 0)
				revoke(f, answer.row);
			answer_clear(&answer);
			later(f, 2);
			if (i < 2)
				assert_int_equal(rows(f), 1);
			if (i == 1 && !failed)
				assert_true(is_active(f, token.text));
		}
		assert_false(failed);
	}
	assert_false(is_active(f, token.text));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, token_setup, token_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_token_is_told_once_and_kept_as_an_hmac_alone),
	    TEST(introspection_tells_what_a_token_is_good_for),
	    TEST(a_role_that_was_written_anew_or_deleted_counts_for_the_next_token),
	    TEST(a_token_ends_with_its_revocation_its_time_and_its_lease),
	    TEST(nothing_is_told_of_what_is_no_good_token_here),
	    TEST(a_token_gets_no_more_than_its_role_has),
	    TEST(a_role_is_checked_when_it_is_written),
	    TEST(memory_may_run_out_at_any_allocation),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
