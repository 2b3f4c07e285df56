/*
 * Hosts that the list of revoked keys is brought to: which of them, when, how many at a time, by
 * what workers and with what certificate. What a worker does there is tests/integration's.
 */
#include "engine/ssh/push.h"
#include "store/store_private.h"
#include "unit/engine/ssh_fixture.h"

static struct ssh_mount *
the_mount(struct fix *f)
{
	struct ssh_mount *mount = LIST_FIRST(&f->engines->ssh);

	assert_non_null(mount);
	return (mount);
}

/* The workers that go to hosts; NULL: none yet. */
static struct fake_port *
pushers(struct fix *f)
{
	for (unsigned i = f->port_count; i-- > 0;)
		if (json_object_get(f->configs[i], "ports") != NULL)
			return (f->ports[i]);
	return (NULL);
}

static void
host(struct fix *f, const char *name, int port)
{
	char path[64], body[400];

	(void)snprintf(path, sizeof(path), "hosts/%s", name);
	(void)snprintf(body, sizeof(body),
	    "{\"address\": \"%s\", \"port\": %d, \"host_key\": \"%s\"}", name, port, KEY_A);
	must(f, ENGINE_WRITE, path, body);
}

/* List and certificate are there, and what is due is under way; its number. */
static unsigned
push_some(struct fix *f)
{
	for (unsigned i = 0; i < 3; i++) {
		(void)engine_ssh_push_tick(the_mount(f));
		if (pushers(f) != NULL && fake_port_pending(pushers(f), PLUGIN_OP_PUSH) > 0)
			break;
		settle(f);
	}
	return (pushers(f) != NULL ? fake_port_pending(pushers(f), PLUGIN_OP_PUSH) : 0);
}

static const char *
state_of(struct fix *f, const char *name)
{
	static char text[32];
	char path[64];

	(void)snprintf(path, sizeof(path), "hosts/%s", name);
	(void)snprintf(
	    text, sizeof(text), "%s", text_at(must(f, ENGINE_READ, path, NULL)->data, "state"));
	return (text);
}

static void
change(struct fix *f)
{
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	revoke(f, sign(f, "app", "")->row);
}

/* ---- who goes there ---- */

static void
who_goes_to_hosts_has_no_key_of_the_ca_and_a_certificate_for_nothing_else(void **state)
{
	struct fix *f = *state;
	const json_t *params;
	json_t *certificate;

	host(f, "web1", 2222);
	assert_int_equal(push_some(f), 1);
	for (unsigned i = 0; i < f->port_count; i++) {
		const json_t *ports = json_object_get(f->configs[i], "ports");

		assert_true(
		    ports == NULL || json_object_size(json_object_get(f->configs[i], "keys")) == 0);
		assert_true(ports == NULL || json_array_size(ports) == 1);
	}
	params = fake_port_params(pushers(f), PLUGIN_OP_PUSH);
	assert_string_equal(text_at(json_object_get(params, "host"), "user"), "leased-krl");
	assert_true(strlen(text_at(params, "list")) > 0);
	certificate =
	    json_loads(text_at(json_object_get(params, "identity"), "certificate"), 0, NULL);
	assert_non_null(certificate);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(certificate, "principals"), 0)),
	    "leased-krl");
	assert_string_equal(
	    text_at(json_object_get(certificate, "critical_options"), "force-command"),
	    "internal-sftp");
	assert_int_equal(json_object_size(json_object_get(certificate, "extensions")), 0);
	assert_true(json_integer_value(json_object_get(certificate, "valid_before")) -
			json_integer_value(json_object_get(certificate, "valid_after")) <=
		    900);
	/* No lease ever has that number. */
	assert_true(strtoull(text_at(certificate, "serial"), NULL, 10) > INT64_MAX);
	json_decref(certificate);
}

static void
a_certificate_is_made_again_before_it_ends(void **state)
{
	struct fix *f = *state;
	unsigned before;

	host(f, "web1", 22);
	assert_int_equal(push_some(f), 1);
	settle(f);
	before = fake_port_counts(f->ports[0]).calls[PLUGIN_OP_GENERATE];
	later(f, 100);
	change(f);
	assert_int_equal(push_some(f), 1);
	assert_int_equal(fake_port_counts(f->ports[0]).calls[PLUGIN_OP_GENERATE], before);
	settle(f);
	later(f, 250);
	change(f);
	assert_int_equal(push_some(f), 1);
	assert_true(fake_port_counts(f->ports[0]).calls[PLUGIN_OP_GENERATE] > before);
	settle(f);
}

static void
nobody_else_gets_that_principal(void **state)
{
	struct fix *f = *state;

	role(f, "any", "'allow_user_certificates': true, 'allowed_users': '*'");
	no_sign(f, "any", "'valid_principals': 'web,leased-krl'", "leased-krl is who brings");
	role(f, "own", "'allow_user_certificates': true, 'default_user': 'leased-krl'");
	no_sign(f, "own", "", "leased-krl is who brings");
}

/* ---- when ---- */

static void
a_host_gets_each_version_once_and_is_asked_again_from_time_to_time(void **state)
{
	struct fix *f = *state;

	assert_int_equal(engine_ssh_push_tick(the_mount(f)), -1);
	host(f, "web1", 22);
	assert_string_equal(state_of(f, "web1"), "waiting");
	assert_int_equal(push_some(f), 1);
	settle(f);
	assert_string_equal(state_of(f, "web1"), "current");
	assert_int_equal(push_some(f), 0);
	change(f);
	assert_int_equal(push_some(f), 1);
	settle(f);
	assert_int_equal(push_some(f), 0);
	later(f, 700);
	assert_int_equal(push_some(f), 1);
	settle(f);
	assert_string_equal(state_of(f, "web1"), "current");
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_int_equal(push_some(f), 1);
	settle(f);
}

static void
what_failed_is_said_and_tried_again_later_and_later(void **state)
{
	struct fix *f = *state;
	const json_t *told;

	host(f, "web1", 22);
	assert_int_equal(push_some(f), 1);
	assert_true(fake_port_answer(pushers(f), PLUGIN_OP_PUSH, LEASED_EDENIED, NULL));
	told = must(f, ENGINE_READ, "hosts/web1", NULL)->data;
	assert_string_equal(text_at(told, "state"), "failing");
	assert_true(strlen(text_at(told, "last_error")) > 0);
	assert_int_equal(json_integer_value(json_object_get(told, "failures")), 1);
	assert_int_equal(push_some(f), 0);
	later(f, 1);
	assert_int_equal(push_some(f), 1);
	assert_true(fake_port_answer(pushers(f), PLUGIN_OP_PUSH, LEASED_EDENIED, NULL));
	change(f); /* no reason to hurry */
	later(f, 1);
	assert_int_equal(push_some(f), 0);
	later(f, 1);
	assert_int_equal(push_some(f), 1);
	settle(f);
	assert_string_equal(state_of(f, "web1"), "current");
	assert_int_equal(engine_ssh_push_wait_ms(1), 1000);
	assert_int_equal(engine_ssh_push_wait_ms(6), 32000);
	assert_int_equal(engine_ssh_push_wait_ms(7), 60000);
	assert_int_equal(engine_ssh_push_wait_ms(1000), 60000);
}

static void
hosts_that_have_not_answered_yet_leave_room_for_those_that_have(void **state)
{
	struct fix *f = *state;
	char name[16];

	for (unsigned i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "web%u", i);
		host(f, name, 22);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(push_some(f), SSH_PUSH_DOUBTFUL);
		settle(f);
	}
	assert_int_equal(push_some(f), 0);
	for (unsigned i = 0; i < 6; i++) {
		(void)snprintf(name, sizeof(name), "deaf%u", i);
		host(f, name, 22);
	}
	assert_int_equal(push_some(f), SSH_PUSH_DOUBTFUL);
	for (unsigned i = 0; i < SSH_PUSH_PARALLEL; i++)
		fake_port_fault(pushers(f), PLUGIN_OP_PUSH, FAKE_FAULT_HANG, 0, "");
	change(f); /* and all hang from here on */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_port_pending(pushers(f), PLUGIN_OP_PUSH), SSH_PUSH_DOUBTFUL);
		(void)engine_ssh_push_tick(the_mount(f));
		settle(f);
	}
	assert_int_equal(fake_port_pending(pushers(f), PLUGIN_OP_PUSH), SSH_PUSH_PARALLEL);
}

/* More of them than there are turns for. */
static void
hosts_that_fail_do_not_take_the_turn_of_one_that_nobody_went_to_yet(void **state)
{
	struct fix *f = *state;
	char name[16];

	host(f, "new", 22);
	for (unsigned i = 0; i < SSH_PUSH_DOUBTFUL; i++) {
		(void)snprintf(name, sizeof(name), "bad%u", i);
		host(f, name, 22);
	}
	assert_int_equal(push_some(f), SSH_PUSH_DOUBTFUL);
	/* All of these have failed once, and are due again with the one that had no turn. */
	for (unsigned i = 0; i < SSH_PUSH_DOUBTFUL; i++)
		assert_true(fake_port_answer(pushers(f), PLUGIN_OP_PUSH, LEASED_EDENIED, NULL));
	later(f, 5);
	assert_int_equal(push_some(f), SSH_PUSH_DOUBTFUL);
	assert_string_equal(state_of(f, "new"), "sending");
}

static void
a_host_that_is_deleted_or_changed_is_not_gone_to_any_more(void **state)
{
	struct fix *f = *state;

	host(f, "web1", 22);
	host(f, "web2", 22);
	assert_int_equal(push_some(f), 2);
	fake_port_fault(pushers(f), PLUGIN_OP_PUSH, FAKE_FAULT_HANG, 0, "");
	fake_port_fault(pushers(f), PLUGIN_OP_PUSH, FAKE_FAULT_HANG, 0, "");
	must(f, ENGINE_DELETE, "hosts/web1", NULL);
	assert_int_equal(fake_port_pending(pushers(f), PLUGIN_OP_PUSH), 1);
	host(f, "web2", 2222);
	assert_int_equal(fake_port_pending(pushers(f), PLUGIN_OP_PUSH), 0);
	assert_int_equal(fake_port_counts(pushers(f)).canceled, 2);
	assert_int_equal(push_some(f), 1);
	assert_true(fake_port_answer(pushers(f), PLUGIN_OP_PUSH, 0, "{\"changed\": true}"));
	assert_string_equal(state_of(f, "web2"), "current");
	assert_int_equal(push_some(f), 0);
}

static void
a_copy_of_a_store_goes_to_no_host(void **state)
{
	struct fix *f = *state;

	host(f, "web1", 22);
	f->store->hold.hold.held = true;
	assert_int_equal(push_some(f), 0);
	f->store->hold.hold.held = false;
	assert_int_equal(push_some(f), 1);
	settle(f);
}

static void
a_write_of_a_host_without_memory_is_whole_or_not_there(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	unsigned failures = 0;
	bool failed = true;

	for (unsigned long n = 1; failed && n < 400; n++) {
		failalloc_arm(n);
		start(f, ENGINE_WRITE, "hosts/web1",
		    "{\"address\": \"web1\", \"host_key\": \"" KEY_A "\"}", &answer);
		settle(f);
		failed = failalloc_disarm();
		assert_int_equal(answer.count, 1);
		failures += answer.code != 0;
		assert_true(failed || answer.code == 0);
		answer_clear(&answer);
	}
	assert_false(failed);
	assert_true(failures > 0);
	host(f, "web1", 22);
	assert_int_equal(push_some(f), 1);
	settle(f);
	assert_string_equal(state_of(f, "web1"), "current");
}

static void
rounds(struct fix *f)
{
	for (unsigned i = 0; i < 6; i++) {
		(void)engine_ssh_push_tick(the_mount(f));
		settle(f);
	}
}

static void
what_memory_was_short_for_is_made_up_for(void **state)
{
	struct fix *f = *state;
	unsigned long n = 0;
	bool failed = true;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	host(f, "web1", 22);
	while (failed && ++n < 2000) {
		revoke(f, sign(f, "app", "")->row);
		later(f, 400); /* so that the certificate is made, too */
		failalloc_arm(n);
		rounds(f);
		failed = failalloc_disarm();
		later(f, 61);
		rounds(f);
		assert_string_equal(state_of(f, "web1"), "current");
	}
	assert_false(failed);
	assert_true(n > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SSH_TEST(who_goes_to_hosts_has_no_key_of_the_ca_and_a_certificate_for_nothing_else),
	    SSH_TEST(nobody_else_gets_that_principal),
	    SSH_TEST(a_certificate_is_made_again_before_it_ends),
	    SSH_TEST(a_host_gets_each_version_once_and_is_asked_again_from_time_to_time),
	    SSH_TEST(what_failed_is_said_and_tried_again_later_and_later),
	    SSH_TEST(hosts_that_have_not_answered_yet_leave_room_for_those_that_have),
	    SSH_TEST(hosts_that_fail_do_not_take_the_turn_of_one_that_nobody_went_to_yet),
	    SSH_TEST(a_host_that_is_deleted_or_changed_is_not_gone_to_any_more),
	    SSH_TEST(a_copy_of_a_store_goes_to_no_host),
	    SSH_TEST(what_memory_was_short_for_is_made_up_for),
	    SSH_TEST(a_write_of_a_host_without_memory_is_whole_or_not_there),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
