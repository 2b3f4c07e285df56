/* What a plugin has of its own: settings of a role, needs, statements that are texts, values for
 * the client, backends without a password; and what is not known while it cannot be asked. */
#include "unit/engine/fixture.h"

#define CONFIG                                                                                     \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"allowed_roles\":\"*"   \
	"\"}"
#define BROKER                                                                                     \
	"{\"role_fields\":[\"tags\",\"vhosts\",\"creation_statements\"],\"role_needs\":[\"tags\"," \
	"\"vhosts\"],\"dialect\":\"text\"}"
#define ROLE "{\"db_name\":\"main\",\"tags\":\"monitoring\",\"vhosts\":{\"/\":{\"read\":\".*\"}}}"

/* The connection main, of a plugin that says so. */
static struct fake_port *
configure(struct fix *f, const char *describes)
{
	f->describes = describes;
	must(f, ENGINE_WRITE, "config/main", CONFIG);
	return (last_port(f));
}

static bool
has(const json_t *object, const char *field, const char *text)
{
	json_t *expected = json_loads(text, JSON_DECODE_ANY, NULL);
	bool same = json_equal(json_object_get(object, field), expected);

	json_decref(expected);
	return (same);
}

/* What went to the plugin as the role of the account that is being minted. The mint goes on. */
static json_t *
minted_role(struct fix *f, const char *path)
{
	struct fake_port *port = last_port(f);
	struct answer answer;
	const json_t *params;
	json_t *role;

	start(f, ENGINE_READ, path, NULL, &answer);
	for (unsigned i = 0; i < 20 && fake_port_pending(port, PLUGIN_OP_MINT) == 0; i++) {
		(void)leases_tick(f->leases);
		(void)store_pump(f->store);
	}
	assert_non_null(params = fake_port_params(port, PLUGIN_OP_MINT));
	role = json_deep_copy(json_object_get(json_object_get(params, "account"), "role"));
	settle(f);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, 0);
	revoke(f, answer.row);
	answer_clear(&answer);
	return (role);
}

static void
own_settings_travel_are_shown_and_kept_over_writes(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	json_t *role;

	configure(f, BROKER);
	answer = must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_null(answer->warnings);
	must(f, ENGINE_WRITE, "roles/app", "{\"tags\":\"management\",\"vhosts\":null}");
	answer = must(f, ENGINE_READ, "roles/app", NULL);
	assert_true(has(answer->data, "tags", "\"management\""));
	assert_true(has(answer->data, "vhosts", "{\"/\":{\"read\":\".*\"}}"));
	assert_null(json_object_get(answer->data, "role_dialect"));
	role = minted_role(f, "creds/app");
	assert_int_equal(json_object_size(role), 2);
	assert_true(has(role, "tags", "\"management\""));
	assert_true(has(role, "vhosts", "{\"/\":{\"read\":\".*\"}}"));
	json_decref(role);
}

static void
same_settings_keep_the_role_version_and_others_make_one(void **state)
{
	struct fix *f = *state;

	configure(f, BROKER);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_int_equal(docs(f, "rolever"), 1);
	must(f, ENGINE_WRITE, "roles/app", "{\"tags\":\"policymaker\"}");
	assert_int_equal(docs(f, "rolever"), 2);
}

static void
unlisted_setting_is_told_with_the_nearest_and_not_stored(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	configure(f, BROKER);
	answer =
	    must(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\",\"tags\":\"a\",\"vhost\":1}");
	assert_true(warned(answer, "[vhost]; did you mean vhosts instead of vhost?"));
	answer = must(f, ENGINE_READ, "roles/app", NULL);
	assert_null(json_object_get(answer->data, "vhost"));
}

static void
without_its_connection_settings_are_stored_unchecked(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	json_t *role;

	answer = must(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"tags\":\"a\",\"grant_role\":\"b\"}");
	assert_true(warned(answer, "nobody has checked them"));
	assert_true(warned(answer, "grant_role (did you mean grant_roles?)"));
	assert_true(has(must(f, ENGINE_READ, "roles/app", NULL)->data, "grant_role", "\"b\""));
	configure(f, BROKER);
	/* What the plugin turns out not to list does not reach it. */
	role = minted_role(f, "creds/app");
	assert_int_equal(json_object_size(role), 1);
	assert_true(has(role, "tags", "\"a\""));
	json_decref(role);
	assert_true(warned(must(f, ENGINE_WRITE, "roles/app", "{}"), "[grant_role]"));
	assert_null(json_object_get(must(f, ENGINE_READ, "roles/app", NULL)->data, "grant_role"));
}

/* Right behind its configuration, or behind a start, no worker may have said anything yet. */
static void
what_the_plugin_said_at_the_configuration_holds_until_a_worker_says_more(void **state)
{
	struct fix *f = *state;
	struct plugin_port *port = fake_port_port(configure(f, BROKER));
	json_t *description = port->description;
	struct answer *answer;

	port->description = NULL;
	refused(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\",\"verify_role\":false}",
	    LEASED_EINVAL, "neither tags nor vhosts");
	answer = must(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"tags\":\"a\",\"creation_statements\":\"['\"}");
	assert_null(answer->warnings);
	must(f, ENGINE_READ, "creds/app", NULL);
	port->description = description;
}

static void
role_that_lacks_what_its_plugin_needs_is_refused(void **state)
{
	struct fix *f = *state;

	configure(f, BROKER);
	refused(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\"}", LEASED_EINVAL,
	    "neither tags nor vhosts");
	refused(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\",\"tags\":\"\",\"vhosts\":{}}",
	    LEASED_EINVAL, "neither tags nor vhosts");
	configure(f, "{\"role_fields\":[\"tags\"],\"role_needs\":[\"tags\"]}");
	refused(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\"}", LEASED_EINVAL, "no tags:");
	configure(f, "{\"role_fields\":[\"tags\"],\"role_needs\":[]}");
	must(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\"}");
}

/* Levels as PROTOCOL.md counts them: 1 is a text or number. */
static void
write_nested(struct fix *f, unsigned levels, int code)
{
	char open[16], closed[16], body[256];

	memset(open, '[', sizeof(open));
	memset(closed, ']', sizeof(closed));
	(void)snprintf(body, sizeof(body), "{\"db_name\":\"main\",\"tags\":%.*s7%.*s}",
	    (int)levels - 1, open, (int)levels - 1, closed);
	if (code == 0)
		must(f, ENGINE_WRITE, "roles/app", body);
	else
		refused(f, ENGINE_WRITE, "roles/app", body, code, "levels deep");
}

static void
own_settings_are_bounded_in_depth_and_size(void **state)
{
	struct fix *f = *state;
	char body[34000], text[32768];
	int most = 32768 - (int)strlen("{\"tags\":\"\"}");

	configure(f, BROKER);
	write_nested(f, 12, 0);
	write_nested(f, 13, LEASED_EINVAL);
	memset(text, 'x', sizeof(text));
	(void)snprintf(body, sizeof(body), "{\"db_name\":\"main\",\"tags\":\"%.*s\"}", most, text);
	must(f, ENGINE_WRITE, "roles/app", body);
	(void)snprintf(
	    body, sizeof(body), "{\"db_name\":\"main\",\"tags\":\"%.*s\"}", most + 1, text);
	refused(f, ENGINE_WRITE, "roles/app", body, LEASED_EINVAL, "larger than 32768 bytes");
}

static void
texts_travel_as_they_were_written(void **state)
{
	struct fix *f = *state;
	json_t *role;

	configure(f, BROKER);
	must(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"tags\":\"a\",\"creation_statements\":"
	    "[\"[\\\"~*\\\", '{{x}}, ; \\\"\"]}");
	role = minted_role(f, "creds/app");
	assert_true(has(role, "creation_statements", "[\"[\\\"~*\\\", '{{x}}, ; \\\"\"]"));
	json_decref(role);
}

static void
statements_are_not_sent_to_another_kind_of_backend(void **state)
{
	struct fix *f = *state;

	refused(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"creation_statements\":\"[\\\"~*'\"}", LEASED_EINVAL,
	    "cannot be asked what it takes");
	must(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"tags\":\"a\",\"creation_statements\":\"CREATE {{name}}\"}");
	configure(f, BROKER);
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EINVAL, "write the role once more");
	must(f, ENGINE_WRITE, "roles/app", "{}");
	must(f, ENGINE_READ, "creds/app", NULL);
}

static void
client_gets_what_the_mint_has_for_it(void **state)
{
	struct fix *f = *state;
	struct fake_port *port = configure(f, BROKER);
	struct answer *answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	fake_port_mints(port, "{\"values\":{\"token\":\"t0k\",\"password\":\"theirs\",\"username\":"
			      "\"x\"},\"kept\":\"k\"}");
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_true(has(answer->data, "token", "\"t0k\""));
	/* None of them takes the place of the login. */
	assert_false(has(answer->data, "password", "\"theirs\""));
	assert_int_equal(
	    strncmp(json_string_value(json_object_get(answer->data, "username")), "l-", 2), 0);
	assert_null(json_object_get(answer->data, "kept"));
	fake_port_opens(port, "{\"password\":false}");
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_true(has(answer->data, "password", "\"theirs\""));
	fake_port_mints(port, "{\"values\":{\"token\":\"t0k\"}}");
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_null(json_object_get(answer->data, "password"));
	assert_true(has(answer->data, "token", "\"t0k\""));
}

static void
backend_says_what_it_cannot_do(void **state)
{
	struct fix *f = *state;
	struct fake_port *port;
	struct answer *answer;

	f->opens = "{\"warnings\":[\"accounts cannot be %s\"],\"native_expiry\":false}";
	f->describes = BROKER;
	answer = must(f, ENGINE_WRITE, "config/main", CONFIG);
	assert_true(warned(answer, "accounts cannot be %s"));
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_true(warned(answer, "accounts cannot be %s"));
	assert_true(warned(answer, "does not expire accounts by itself"));
	port = last_port(f);
	fake_port_opens(port, "{\"warnings\":[],\"native_expiry\":true}");
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_int_equal(json_array_size(answer->warnings), 0);
	fake_port_describes(port, "{\"native_expiry\":false}");
	fake_port_opens(port, "{\"native_expiry\":true}");
	assert_int_equal(json_array_size(must(f, ENGINE_READ, "creds/app", NULL)->warnings), 0);
}

static void
plugin_without_check_and_renew_is_tried_and_renewed_without(void **state)
{
	struct fix *f = *state;
	struct fake_port *port;

	f->describes = "{\"ops\":[\"describe\",\"open\",\"mint\",\"disarm\",\"remove\",\"ping\"]}";
	must(f, ENGINE_WRITE, "config/main", CONFIG);
	port = last_port(f);
	must(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\",\"grant_roles\":\"a\"}");
	assert_int_equal(fake_port_counts(port).calls[PLUGIN_OP_MINT], 1);
	assert_int_equal(fake_port_counts(port).calls[PLUGIN_OP_CHECK], 0);
	assert_int_equal(fake_port_counts(port).calls[PLUGIN_OP_REMOVE], 1);
	assert_int_equal(rows(f), 0);
}

/* Whoever may say where a database is may not therefore run what he likes as leased's user. */
static void
configuration_that_starts_programs_needs_sudo(void **state)
{
	static const char body[] =
	    "{\"plugin_name\":\"exec\",\"host\":\"one\",\"allowed_roles\":\"*\"}";
	struct fix *f = *state;

	assert_int_equal(
	    refused(f, ENGINE_WRITE, "config/main", body, LEASED_EDENIED, "capability sudo")
		->status,
	    403);
	assert_int_equal(docs(f, "connection") + docs(f, "candidate"), 0);
	caller.has_sudo = true;
	must(f, ENGINE_WRITE, "config/main", body);
	caller.has_sudo = false;
	/* What is left out of a write keeps its value, and so does this. */
	refused(f, ENGINE_WRITE, "config/main", "{\"host\":\"two\"}", LEASED_EDENIED,
	    "capability sudo");
}

/* Lack of memory at any place of a write and a mint: whole or not there. */
static void
lack_of_memory_leaves_no_half_settings(void **state)
{
	struct fix *f = *state;
	bool failed = true;
	struct answer answer, *now;
	unsigned long n;

	configure(f, BROKER);
	for (n = 1; failed; n++) {
		failalloc_arm(n);
		start(f, ENGINE_WRITE, "roles/app", ROLE, &answer);
		settle(f);
		failed = failalloc_disarm();
		later(f, answer.count == 0 ? 70 : 2);
		assert_int_equal(answer.count, 1);
		now = ask(f, ENGINE_READ, "roles/app", NULL);
		if (now->data != NULL) {
			assert_true(has(now->data, "tags", "\"monitoring\""));
			assert_true(has(now->data, "vhosts", "{\"/\":{\"read\":\".*\"}}"));
		} else {
			assert_int_not_equal(answer.code, 0);
		}
		answer_clear(&answer);
	}
	assert_true(n > 10);
	fake_port_mints(last_port(f), "{\"values\":{\"token\":\"t0k\"},\"kept\":\"k\"}");
	for (n = 1, failed = true; failed; n++) {
		failalloc_arm(n);
		start(f, ENGINE_READ, "creds/app", NULL, &answer);
		settle(f);
		failed = failalloc_disarm();
		later(f, answer.count == 0 ? 70 : 2);
		assert_int_equal(answer.count, 1);
		if (answer.code == 0) {
			assert_true(has(answer.data, "token", "\"t0k\""));
			assert_non_null(json_object_get(answer.data, "password"));
			revoke(f, answer.row);
		}
		later(f, 20);
		answer_clear(&answer);
	}
	assert_true(n > 10);
	later(f, 130);
	assert_int_equal(rows(f) + fake_port_account_count(last_port(f)), 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIXTURE(own_settings_travel_are_shown_and_kept_over_writes),
	    WITH_FIXTURE(same_settings_keep_the_role_version_and_others_make_one),
	    WITH_FIXTURE(unlisted_setting_is_told_with_the_nearest_and_not_stored),
	    WITH_FIXTURE(without_its_connection_settings_are_stored_unchecked),
	    WITH_FIXTURE(what_the_plugin_said_at_the_configuration_holds_until_a_worker_says_more),
	    WITH_FIXTURE(role_that_lacks_what_its_plugin_needs_is_refused),
	    WITH_FIXTURE(own_settings_are_bounded_in_depth_and_size),
	    WITH_FIXTURE(texts_travel_as_they_were_written),
	    WITH_FIXTURE(statements_are_not_sent_to_another_kind_of_backend),
	    WITH_FIXTURE(client_gets_what_the_mint_has_for_it),
	    WITH_FIXTURE(backend_says_what_it_cannot_do),
	    WITH_FIXTURE(plugin_without_check_and_renew_is_tried_and_renewed_without),
	    WITH_FIXTURE(configuration_that_starts_programs_needs_sudo),
	    WITH_FIXTURE(lack_of_memory_leaves_no_half_settings),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
