/* A mount of type rabbitmq: Vault's paths, one connection, roles of three settings, TTLs of the
 * mount; nothing of the database engine's that its clients do not know. */
#include "unit/engine/fixture.h"

#define CONNECTION                                                                                 \
	"{\"connection_uri\":\"http://mq:15672\",\"username\":\"leased\",\"password\":\"s3cret\"}"
#define ROLE "{\"tags\":\"monitoring\",\"vhosts\":\"{\\\"/\\\": {\\\"read\\\": \\\".*\\\"}}\"}"

static const char broker[] =
    "{\"dialect\":\"none\",\"role_fields\":[\"tags\",\"vhosts\",\"vhost_topics\"],"
    "\"role_needs\":[\"tags\",\"vhosts\",\"vhost_topics\"],\"config_fields\":["
    "{\"name\":\"connection_uri\",\"secret\":false,\"required\":true},"
    "{\"name\":\"username\",\"secret\":false,\"required\":true},"
    "{\"name\":\"password\",\"secret\":true,\"required\":true}]}";

static int
rabbit_setup(void **state)
{
	struct answer answer = {0};
	struct leased_err err = LEASED_ERR_INIT;
	int r = fix_setup(state);
	struct fix *f = *state;

	if (plugin_catalog_find("rabbitmq") == NULL)
		assert_int_equal(plugin_catalog_add("rabbitmq", "rabbitmq", 2, &err), 0);
	f->describes = broker;
	below = "rabbitmq/";
	mount_ask(f, "rabbitmq/", "{\"type\": \"rabbitmq\"}", &answer);
	settle(f);
	assert_int_equal(answer.code, 0);
	return (r);
}

static int
rabbit_teardown(void **state)
{
	below = "database/";
	return (fix_teardown(state));
}

static void
configure(struct fix *f)
{
	must(f, ENGINE_WRITE, "config/connection", CONNECTION);
}

static bool
has(const json_t *object, const char *field, const char *text)
{
	json_t *expected = json_loads(text, JSON_DECODE_ANY, NULL);
	bool same = json_equal(json_object_get(object, field), expected);

	json_decref(expected);
	return (same);
}

static void
account_is_made_and_ended_by_the_paths_of_the_engine(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	struct fake_account *account;

	configure(f);
	assert_null(must(f, ENGINE_WRITE, "roles/app", ROLE)->warnings);
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_int_equal(strncmp(answer->lease_id, "rabbitmq/creds/app/", 19), 0);
	assert_int_equal(answer->duration_s, 3600);
	account = fake_port_account(
	    last_port(f), json_string_value(json_object_get(answer->data, "username")));
	assert_non_null(account);
	assert_string_equal(
	    account->password, json_string_value(json_object_get(answer->data, "password")));
	revoke(f, answer->row);
	assert_int_equal(fake_port_account_count(last_port(f)), 0);
}

static void
role_reads_as_clients_know_it(void **state)
{
	struct fix *f = *state;
	const json_t *data;

	must(f, ENGINE_WRITE, "roles/app", ROLE); /* before the connection, as clients may */
	data = must(f, ENGINE_READ, "roles/app", NULL)->data;
	assert_true(has(data, "tags", "\"monitoring\""));
	assert_true(has(data, "vhosts", "{\"/\":{\"read\":\".*\"}}"));
	assert_true(has(data, "vhost_topics", "{}"));
	assert_null(json_object_get(data, "db_name"));
	assert_null(json_object_get(data, "creation_statements"));
	data = must(f, ENGINE_LIST, "roles", NULL)->data;
	assert_true(has(data, "keys", "[\"app\"]"));
	must(f, ENGINE_DELETE, "roles/app", NULL);
	assert_null(must(f, ENGINE_READ, "roles/app", NULL)->data);
}

static void
settings_reach_the_plugin_as_objects(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	const json_t *role;

	configure(f);
	must(f, ENGINE_WRITE, "roles/app",
	    "{\"vhosts\":{\"/\":{\"read\":\"a\"}},\"vhost_topics\":\"{\\\"/\\\":{}}\"}");
	start(f, ENGINE_READ, "creds/app", NULL, &answer);
	for (unsigned i = 0; i < 20 && fake_port_pending(last_port(f), PLUGIN_OP_MINT) == 0; i++) {
		(void)leases_tick(f->leases);
		(void)store_pump(f->store);
	}
	role = json_object_get(
	    json_object_get(fake_port_params(last_port(f), PLUGIN_OP_MINT), "account"), "role");
	assert_true(has(role, "vhosts", "{\"/\":{\"read\":\"a\"}}"));
	assert_true(has(role, "vhost_topics", "{\"/\":{}}"));
	settle(f);
	assert_int_equal(answer.code, 0);
	answer_clear(&answer);
}

static void
what_is_no_object_is_refused(void **state)
{
	struct fix *f = *state;

	configure(f);
	refused(f, ENGINE_WRITE, "roles/app", "{\"vhosts\":\"{\\\"/\\\":\"}", LEASED_EINVAL,
	    "failed to unmarshal vhosts");
	refused(f, ENGINE_WRITE, "roles/app", "{\"vhosts\":\"[1]\"}", LEASED_EINVAL,
	    "failed to unmarshal vhosts");
	refused(f, ENGINE_WRITE, "roles/app", "{\"vhost_topics\":7}", LEASED_EINVAL,
	    "vhost_topics: a JSON object");
	refused(f, ENGINE_WRITE, "roles/app", "{}", LEASED_EINVAL,
	    "neither tags, vhosts nor vhost_topics");
	refused(f, ENGINE_WRITE, "roles/app", "{\"tags\":\"\",\"vhosts\":\"\"}", LEASED_EINVAL,
	    "neither tags, vhosts nor vhost_topics");
	assert_int_equal(docs(f, "role"), 0);
}

/* Whatever a caller writes, it is this plugin, this connection, and no statements. */
static void
settings_of_the_database_engine_are_unknown_here(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	const json_t *data;

	answer = must(f, ENGINE_WRITE, "config/connection",
	    "{\"connection_uri\":\"http://mq\",\"username\":\"a\",\"password\":\"b\","
	    "\"plugin_name\":\"postgresql-database-plugin\",\"allowed_roles\":[]}");
	assert_true(warned(answer, "plugin_name"));
	data = must(f, ENGINE_READ, "config/connection", NULL)->data;
	assert_true(has(data, "plugin_name", "\"rabbitmq\""));
	assert_null(json_object_get(json_object_get(data, "connection_details"), "password"));
	answer = must(f, ENGINE_WRITE, "roles/app",
	    "{\"tags\":\"a\",\"db_name\":\"other\",\"creation_statements\":\"DROP\","
	    "\"default_ttl\":1,\"tag\":\"x\"}");
	assert_true(warned(answer, "creation_statements"));
	assert_true(warned(answer, "did you mean tags instead of tag?"));
	assert_int_equal(must(f, ENGINE_READ, "creds/app", NULL)->duration_s, 3600);
	refused(f, ENGINE_WRITE, "config/connection",
	    "{\"connection_uri\":\"http://mq\",\"username_template\":\"x\"}", LEASED_EINVAL,
	    "rabbitmq/roles/NAME");
	assert_int_equal(
	    refused(f, ENGINE_READ, "config/main", NULL, LEASED_ENOENT, "unsupported path")->status,
	    404);
	assert_int_equal(refused(f, ENGINE_READ, "static-creds/app", NULL, LEASED_ENOENT,
			     "config/connection, config/lease, and roles")
			     ->status,
	    404);
}

static void
mount_says_how_long_its_leases_live(void **state)
{
	struct fix *f = *state;
	struct lease_ttl_input input;
	struct store_lease row = {.place = (char *)(uintptr_t) "creds/app"};
	struct answer *answer;
	const json_t *data;
	const char *rest;

	configure(f);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_null(must(f, ENGINE_READ, "config/lease", NULL)->data);
	must(f, ENGINE_WRITE, "config/lease", "{\"ttl\":\"2m\",\"max_ttl\":300}");
	data = must(f, ENGINE_READ, "config/lease", NULL)->data;
	assert_true(has(data, "ttl", "120"));
	assert_true(has(data, "max_ttl", "300"));
	assert_int_equal(must(f, ENGINE_READ, "creds/app", NULL)->duration_s, 120);
	row.mount = engine_mount_id(engines_route(f->engines, "rabbitmq/x", &rest));
	assert_true(engine_renew_inputs(f->engines, &row, &input));
	assert_int_equal(input.role_ttl_s, 120);
	assert_int_equal(input.role_max_s, 300);
	/* Written anew it is what was written. */
	must(f, ENGINE_WRITE, "config/lease", "{\"ttl\":60}");
	assert_true(has(must(f, ENGINE_READ, "config/lease", NULL)->data, "max_ttl", "0"));
	assert_int_equal(must(f, ENGINE_READ, "creds/app", NULL)->duration_s, 60);
	refused(f, ENGINE_WRITE, "config/lease", "{\"ttl\":60,\"max_ttl\":30}", LEASED_EINVAL,
	    "below ttl");
	refused(f, ENGINE_WRITE, "config/lease", "{\"ttl\":-1}", LEASED_EINVAL, "");
	answer = must(f, ENGINE_WRITE, "config/lease", "{\"ttl\":60,\"maxttl\":90}");
	assert_true(warned(answer, "did you mean max_ttl instead of maxttl?"));
}

static void
nothing_here_tells_create_from_update(void **state)
{
	struct fix *f = *state;
	const struct engine_mount *mount;
	const char *rest;

	mount = engines_route(f->engines, "rabbitmq/x", &rest);
	assert_int_equal(engine_exists(f->engines, mount, "roles/none"), -1);
	assert_int_equal(engine_exists(f->engines, mount, "config/connection"), -1);
	assert_int_equal(engine_exists(f->engines, mount, "config/lease"), -1);
}

static void
credentials_before_the_connection_say_what_to_write(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EINVAL,
	    "write rabbitmq/config/connection first");
	refused(f, ENGINE_READ, "creds/none", NULL, LEASED_EINVAL, "unknown role: none");
}

static void
unmount_takes_everything_along(void **state)
{
	struct fix *f = *state;
	struct answer answer = {0};

	configure(f);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "config/lease", "{\"ttl\":60}");
	must(f, ENGINE_READ, "creds/app", NULL);
	unmount_ask(f, "rabbitmq/", &answer);
	settle(f);
	later(f, 5);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, 0);
	assert_int_equal(docs(f, "role") + docs(f, "rolever") + docs(f, "connection") +
			     docs(f, "mount-lease") + docs(f, "candidate"),
	    0);
	assert_int_equal(rows(f), 0);
}

static void
lack_of_memory_is_said_and_leaves_no_half_role(void **state)
{
	struct fix *f = *state;
	bool failed = true;
	struct answer answer, *now;

	configure(f);
	for (unsigned long n = 1; failed; n++) {
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
	failed = true;
	for (unsigned long n = 1; failed; n++) {
		failalloc_arm(n);
		start(f, ENGINE_WRITE, "config/lease", "{\"ttl\":60,\"max_ttl\":90}", &answer);
		settle(f);
		failed = failalloc_disarm();
		later(f, 2);
		assert_int_equal(answer.count, 1);
		answer_clear(&answer);
	}
	assert_true(has(must(f, ENGINE_READ, "config/lease", NULL)->data, "max_ttl", "90"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, rabbit_setup, rabbit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(account_is_made_and_ended_by_the_paths_of_the_engine),
	    TEST(role_reads_as_clients_know_it),
	    TEST(settings_reach_the_plugin_as_objects),
	    TEST(what_is_no_object_is_refused),
	    TEST(settings_of_the_database_engine_are_unknown_here),
	    TEST(mount_says_how_long_its_leases_live),
	    TEST(nothing_here_tells_create_from_update),
	    TEST(credentials_before_the_connection_say_what_to_write),
	    TEST(unmount_takes_everything_along),
	    TEST(lack_of_memory_is_said_and_leaves_no_half_role),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
