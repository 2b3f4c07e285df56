/* database/config: a write is tried before it holds, leaves nothing when it is refused or cut off,
 * and is told apart from what others write meanwhile. */
#include "unit/engine/fixture.h"

#define GOOD                                                                                       \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"username\":\"admin\"," \
	"\"password\":\"geheim\",\"allowed_roles\":\"*\"}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":60}"

static void
a_write_is_tried_by_a_canary_and_leaves_no_trace_of_it(void **state)
{
	struct fix *f = *state;
	struct fake_port_counts counts;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	/* The one that only describes its plugin, the candidate's and the one that holds. */
	assert_int_equal(f->port_count, 3);
	counts = fake_port_counts(f->ports[0]);
	assert_int_equal(counts.calls[PLUGIN_OP_DESCRIBE], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_MINT], 0);
	counts = fake_port_counts(f->ports[1]);
	assert_int_equal(counts.calls[PLUGIN_OP_MINT], 1);
	assert_int_equal(counts.calls[PLUGIN_OP_CHECK], 1);
	assert_int_equal(fake_port_account_count(f->ports[1]), 0);
	assert_int_equal(docs(f, "connection"), 1);
	assert_int_equal(docs(f, "candidate"), 0);
	assert_int_equal(docs(f, "rolever"), 0);
	assert_int_equal(rows(f), 0);
}

static void
a_read_shows_no_secret(void **state)
{
	struct fix *f = *state;
	const json_t *details;
	struct answer *answer;
	char *text;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	answer = must(f, ENGINE_READ, "config/main", NULL);
	details = json_object_get(answer->data, "connection_details");
	assert_string_equal(json_string_value(json_object_get(details, "username")), "admin");
	assert_null(json_object_get(details, "password"));
	text = json_dumps(answer->data, 0);
	assert_null(strstr(text, "geheim"));
	free(text);
}

static void
a_refused_trial_says_the_reason_and_changes_nothing(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	answer = refused(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"refuse\"}", LEASED_EREFUSED,
	    "GRANT CREATEROLE");
	assert_int_equal(answer->status, 400);
	assert_non_null(strstr(answer->err.text, "error verifying connection: "));
	later(f, 120);
	assert_int_equal(docs(f, "connection") + docs(f, "candidate") + docs(f, "rolever"), 0);
	assert_null(ask(f, ENGINE_READ, "config/main", NULL)->data);
	assert_int_equal(rows(f), 0);
}

static void
an_unreachable_backend_is_the_callers_mistake_too(void **state)
{
	struct fix *f = *state;

	assert_int_equal(refused(f, ENGINE_WRITE, "config/main",
			     "{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"down\"}",
			     LEASED_EUNAVAIL, "error verifying connection: ")
			     ->status,
	    400);
	must(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"down\","
	    "\"verify_connection\":false}");
	assert_int_equal(docs(f, "connection"), 1);
}

static void
unknown_fields_are_dropped_and_named_with_the_nearest(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	answer = must(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"usrname\":\"x\"}");
	assert_true(warned(answer, "[usrname]; did you mean username instead of usrname?"));
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_null(
	    json_object_get(json_object_get(answer->data, "connection_details"), "usrname"));
	assert_null(json_object_get(f->configs[1], "usrname")); /* nor was it sent */
	assert_non_null(json_object_get(f->configs[1], "host"));
}

static void
an_unverified_write_drops_and_names_them_as_well(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	answer = must(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"down\",\"usrname\":\"x\","
	    "\"allowed_role\":\"*\",\"verify_connection\":false}");
	assert_true(warned(answer, "[usrname allowed_role]"));
	assert_true(warned(answer, "did you mean username instead of usrname?"));
	assert_true(warned(answer, "did you mean allowed_roles instead of allowed_role?"));
	assert_int_equal(f->port_count, 2);
	assert_null(json_object_get(f->configs[1], "usrname"));
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_int_equal(json_object_size(json_object_get(answer->data, "connection_details")), 1);
}

static void
a_plugin_that_does_not_start_is_refused_without_a_trace(void **state)
{
	struct fix *f = *state;
	struct answer answer;

	start(f, ENGINE_WRITE, "config/main", GOOD, &answer);
	fake_port_fault(f->ports[0], PLUGIN_OP_DESCRIBE, FAKE_FAULT_BEFORE, LEASED_EUNAVAIL,
	    "cannot start the plugin");
	settle(f);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.status, 400);
	assert_non_null(strstr(answer.err.text, "cannot start the plugin"));
	assert_int_equal(docs(f, "connection") + docs(f, "candidate"), 0);
	answer_clear(&answer);
}

static void
a_stop_while_a_plugin_describes_itself_ends_the_write(void **state)
{
	struct fix *f = *state;
	struct answer answer;

	start(f, ENGINE_WRITE, "config/main", GOOD, &answer);
	fix_close(f);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, LEASED_ECANCELED);
	answer_clear(&answer);
	fix_open(f);
	assert_int_equal(docs(f, "connection") + docs(f, "candidate"), 0);
}

static void
a_write_over_it_keeps_what_the_body_leaves_out(void **state)
{
	struct fix *f = *state;
	const json_t *details;
	struct answer *answer;
	char uuid[64];

	must(f, ENGINE_WRITE, "config/main", GOOD);
	answer = must(f, ENGINE_READ, "config/main", NULL);
	(void)snprintf(
	    uuid, sizeof(uuid), "%s", json_string_value(json_object_get(answer->data, "uuid")));
	must(f, ENGINE_WRITE, "config/main", "{\"username\":\"other\"}");
	answer = must(f, ENGINE_READ, "config/main", NULL);
	details = json_object_get(answer->data, "connection_details");
	assert_string_equal(json_string_value(json_object_get(details, "username")), "other");
	assert_string_equal(json_string_value(json_object_get(details, "host")), "one");
	assert_string_equal(json_string_value(json_object_get(answer->data, "uuid")), uuid);
	assert_int_equal(json_array_size(json_object_get(answer->data, "allowed_roles")), 1);
}

static void
bad_settings_are_refused_before_anything_is_tried(void **state)
{
	struct fix *f = *state;

	refused(f, ENGINE_WRITE, "config/main", "{}", LEASED_EINVAL, "empty plugin name");
	refused(f, ENGINE_WRITE, "config/main", "{\"plugin_name\":\"postgresqll\"}", LEASED_EINVAL,
	    "did you mean");
	refused(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"max_open_connections\":-1}",
	    LEASED_EINVAL, "max_open_connections");
	refused(f, ENGINE_WRITE, "config/main",
	    "{\"plugin_name\":\"postgresql-database-plugin\",\"confirm_move\":true,"
	    "\"verify_connection\":false}",
	    LEASED_EINVAL, "confirm_move needs verify_connection");
	assert_int_equal(f->port_count, 0);
}

static void
of_two_writes_at_once_one_holds_and_the_other_is_told(void **state)
{
	struct fix *f = *state;
	struct answer a, b;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	start(f, ENGINE_WRITE, "config/main", "{\"username\":\"a\"}", &a);
	start(f, ENGINE_WRITE, "config/main", "{\"username\":\"b\"}", &b);
	settle(f);
	assert_int_equal(a.count + b.count, 2);
	assert_int_equal((a.code == 0) + (b.code == 0), 1);
	assert_int_equal(a.code + b.code, LEASED_ECONFLICT);
	assert_int_equal(a.status + b.status, 409);
	assert_int_equal(docs(f, "candidate"), 0);
	answer_clear(&a);
	answer_clear(&b);
}

static void
a_crash_at_any_step_leaves_nothing_but_what_held(void **state)
{
	struct fix *f = *state;
	unsigned step, i;
	struct answer answer;

	for (step = 0; step < 40; step++) {
		start(f, ENGINE_WRITE, "config/main", GOOD, &answer);
		for (i = 0; i < step && answer.count == 0; i++)
			(void)turn(f);
		fix_close(f);
		answer_clear(&answer);
		fix_open(f);
		later(f, 70);
		engine_connections_sweep(f->engines);
		settle(f);
		if (docs(f, "candidate") != 0 || rows(f) != 0)
			fail_msg("step %u leaves a candidate or its canary", step);
		if (i < step)
			break;
	}
	assert_true(step > 4 && step < 40);
	assert_int_equal(docs(f, "connection"), 1);
}

static void
a_candidate_of_a_killed_write_is_not_opened_again(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	unsigned ports;

	start(f, ENGINE_WRITE, "config/main", GOOD, &answer);
	while (docs(f, "candidate") == 0 && answer.count == 0)
		(void)turn(f);
	assert_int_equal(answer.count, 0);
	assert_int_equal(rows(f), 0);
	fix_close(f);
	answer_clear(&answer);
	ports = f->port_count;
	fix_open(f);
	assert_int_equal(f->port_count, ports);
	assert_int_equal(docs(f, "candidate") + docs(f, "rolever"), 0);
}

static void
a_candidate_of_a_killed_write_lives_until_its_canary_has_gone(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	unsigned ports;

	start(f, ENGINE_WRITE, "config/main", GOOD, &answer);
	while (rows(f) == 0 && answer.count == 0)
		(void)turn(f);
	assert_int_equal(answer.count, 0);
	fix_close(f);
	answer_clear(&answer);
	ports = f->port_count;
	fix_open(f);
	assert_int_equal(f->port_count, ports + 1);
	assert_int_equal(docs(f, "candidate"), 1);
	later(f, 70);
	engine_connections_sweep(f->engines);
	settle(f);
	assert_int_equal(rows(f), 0);
	assert_int_equal(docs(f, "candidate") + docs(f, "rolever"), 0);
}

static void
a_connection_with_leases_is_not_deleted(void **state)
{
	struct fix *f = *state;
	int64_t row;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = must(f, ENGINE_READ, "creds/app", NULL)->row;
	refused(f, ENGINE_DELETE, "config/main", NULL, LEASED_EEXIST, "revoke them first");
	must(f, ENGINE_READ, "creds/app", NULL); /* and goes on working */
	revoke(f, row);
	revoke(f, row + 1);
	must(f, ENGINE_DELETE, "config/main", NULL);
	assert_int_equal(docs(f, "connection"), 0);
	must(f, ENGINE_DELETE, "config/main", NULL); /* again is fine */
}

static void
a_credential_and_a_delete_at_once_leave_no_lease_without_its_connection(void **state)
{
	struct fix *f = *state;
	struct answer a, b;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	start(f, ENGINE_READ, "creds/app", NULL, &a);
	start(f, ENGINE_DELETE, "config/main", NULL, &b);
	settle(f);
	assert_int_equal(a.code, 0);
	assert_int_equal(b.code, LEASED_EEXIST);
	revoke(f, a.row);
	answer_clear(&a);
	start(f, ENGINE_DELETE, "config/main", NULL, &b);
	start(f, ENGINE_READ, "creds/app", NULL, &a);
	settle(f);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(b.code, 0);
	assert_int_equal(rows(f), 0);
	answer_clear(&a);
}

static void
a_role_under_trial_and_a_delete_at_once_leave_no_canary_behind(void **state)
{
	struct fix *f = *state;
	struct answer a, b;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	start(f, ENGINE_WRITE, "roles/app", ROLE, &a);
	start(f, ENGINE_DELETE, "config/main", NULL, &b);
	settle(f);
	assert_int_equal(a.code, LEASED_EUNAVAIL);
	assert_int_equal(b.code, 0);
	later(f, 70);
	assert_int_equal(rows(f), 0);
	answer_clear(&a);
}

static void
a_credential_under_way_is_whole_or_gone_when_its_connection_changes(void **state)
{
	struct fix *f = *state;
	struct answer a;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	start(f, ENGINE_READ, "creds/app", NULL, &a);
	(void)store_pump(f->store); /* the INTENT; the mint is on its way to the old port */
	must(
	    f, ENGINE_WRITE, "config/main", "{\"username\":\"other\",\"verify_connection\":false}");
	assert_int_equal(a.count, 1);
	later(f, 2);
	assert_int_equal(rows(f), a.code == 0 ? 1 : 0);
	later(f, 120);
	assert_int_equal(rows(f), 0);
	answer_clear(&a);
}

static void
a_connection_that_does_not_answer_is_counted_as_down(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	assert_int_equal(engines_connections_down(f->engines), 0);
	fake_port_set_down(last_port(f), true);
	assert_int_equal(engines_connections_down(f->engines), 1);
	fake_port_set_down(last_port(f), false);
	assert_int_equal(engines_connections_down(f->engines), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	    T(a_write_is_tried_by_a_canary_and_leaves_no_trace_of_it),
	    T(a_read_shows_no_secret),
	    T(a_refused_trial_says_the_reason_and_changes_nothing),
	    T(an_unreachable_backend_is_the_callers_mistake_too),
	    T(unknown_fields_are_dropped_and_named_with_the_nearest),
	    T(an_unverified_write_drops_and_names_them_as_well),
	    T(a_plugin_that_does_not_start_is_refused_without_a_trace),
	    T(a_stop_while_a_plugin_describes_itself_ends_the_write),
	    T(a_write_over_it_keeps_what_the_body_leaves_out),
	    T(bad_settings_are_refused_before_anything_is_tried),
	    T(of_two_writes_at_once_one_holds_and_the_other_is_told),
	    T(a_crash_at_any_step_leaves_nothing_but_what_held),
	    T(a_candidate_of_a_killed_write_is_not_opened_again),
	    T(a_candidate_of_a_killed_write_lives_until_its_canary_has_gone),
	    T(a_connection_with_leases_is_not_deleted),
	    T(a_connection_that_does_not_answer_is_counted_as_down),
	    T(a_credential_and_a_delete_at_once_leave_no_lease_without_its_connection),
	    T(a_role_under_trial_and_a_delete_at_once_leave_no_canary_behind),
	    T(a_credential_under_way_is_whole_or_gone_when_its_connection_changes),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
