/* A configuration that leads to another server: refused while leases are on the old one, until an
 * operator says that the new one has taken over. */
#include "store/store_private.h"
#include "unit/engine/fixture.h"

#define ON(server)                                                                                 \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"" server                       \
	"\",\"allowed_roles\":\"*\"}"
#define CONFIRM(server) "{\"host\":\"" server "\",\"confirm_move\":true}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":3600}"

static int64_t
lease_on(struct fix *f, const char *config)
{
	must(f, ENGINE_WRITE, "config/main", config);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	return (must(f, ENGINE_READ, "creds/app", NULL)->row);
}

static void
without_leases_a_move_needs_no_word(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", ON("one"));
	must(f, ENGINE_WRITE, "config/main", ON("two"));
}

static void
with_leases_on_the_old_server_it_is_refused_and_nothing_changes(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	int64_t row = lease_on(f, ON("one"));

	answer =
	    refused(f, ENGINE_WRITE, "config/main", ON("two"), LEASED_EMOVED, "confirm_move=true");
	assert_int_equal(answer->status, 400);
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(answer->data, "connection_details"), "host")),
	    "one");
	revoke(f, row);
	must(f, ENGINE_WRITE, "config/main", ON("two"));
}

static void
it_is_refused_after_a_restart_as_well(void **state)
{
	struct fix *f = *state;

	(void)lease_on(f, ON("one"));
	fix_close(f);
	fix_open(f);
	refused(f, ENGINE_WRITE, "config/main", ON("two"), LEASED_EMOVED, "confirm_move=true");
}

static void
after_confirm_move_old_leases_end_on_the_new_server(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	fix_close(f);
	fix_open(f); /* and it is remembered */
	revoke(f, row);
	assert_int_equal(rows(f), 0);
}

static void
a_later_write_needs_no_word_again_and_a_further_move_does(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	must(f, ENGINE_WRITE, "config/main", "{\"username\":\"other\"}");
	refused(f, ENGINE_WRITE, "config/main", ON("three"), LEASED_EMOVED, "confirm_move=true");
	must(f, ENGINE_WRITE, "config/main", CONFIRM("three"));
	must(f, ENGINE_WRITE, "config/main", CONFIRM("one")); /* and back */
	revoke(f, row);
}

static void
an_unconfirmed_move_behind_an_unverified_write_deletes_nothing(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	must(f, ENGINE_WRITE, "config/main", "{\"host\":\"two\",\"verify_connection\":false}");
	later(f, 3700);
	assert_int_equal(rows(f), 1); /* overdue, and not called gone */
	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	later(f, 120);
	assert_int_equal(rows(f), 0);
	(void)row;
}

static void
sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static size_t
known_servers(struct fix *f)
{
	struct store_doc *doc = NULL;
	struct store_server *servers = NULL;
	size_t count = 0;
	struct leased_err err = LEASED_ERR_INIT;
	char name[ENGINE_DOC_NAME_SIZE];
	const char *rest;

	engine_doc_name(engines_route(f->engines, "database/x", &rest)->id, "main", name);
	assert_int_equal(store_doc_get(store_db(f->store), "connection", name, &doc, &err), 0);
	assert_int_equal(store_server_list(store_db(f->store), doc->id, &servers, &count, &err), 0);
	store_server_list_free(servers, count);
	store_doc_free(doc);
	return (count);
}

/* A row that is read while it is damaged is found out. */
static void
a_write_that_stays_on_its_server_reads_no_lease(void **state)
{
	struct fix *f = *state;
	struct store_health health;

	(void)lease_on(f, ON("one"));
	sql(f, "UPDATE lease SET sealed = zeroblob(60)");
	must(f, ENGINE_WRITE, "config/main", "{\"username\":\"other\"}");
	store_health_get(f->store, &health);
	assert_int_equal(health.quarantined, 0);
	must(f, ENGINE_WRITE, "config/main", ON("two")); /* this one looks for itself */
	store_health_get(f->store, &health);
	assert_int_equal(health.quarantined, 1);
}

static void
a_server_whose_leases_have_ended_is_forgotten(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));

	assert_int_equal(known_servers(f), 1);
	revoke(f, row);
	must(f, ENGINE_WRITE, "config/main", ON("two"));
	assert_int_equal(known_servers(f), 0);
	row = must(f, ENGINE_READ, "creds/app", NULL)->row;
	assert_int_equal(known_servers(f), 1);
	must(f, ENGINE_WRITE, "config/main", CONFIRM("three"));
	must(f, ENGINE_READ, "creds/app", NULL);
	assert_int_equal(known_servers(f), 2);
	revoke(f, row);
}

static void
leases_from_before_servers_were_kept_are_read(void **state)
{
	struct fix *f = *state;

	(void)lease_on(f, ON("one"));
	sql(f,
	    "DELETE FROM server; INSERT INTO meta (name, value) VALUES ('servers-unknown', '1')");
	refused(f, ENGINE_WRITE, "config/main", ON("two"), LEASED_EMOVED, "confirm_move=true");
}

/* ---- the server behind a connection is exchanged, and nobody wrote a word ---- */

static void
a_server_that_was_exchanged_is_flagged_and_nothing_is_made_or_deleted_there(void **state)
{
	struct fix *f = *state;
	int64_t row = lease_on(f, ON("one"));
	struct answer *answer;
	unsigned minted = fake_port_counts(last_port(f)).calls[PLUGIN_OP_MINT];

	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_string_equal(json_string_value(json_object_get(answer->data, "server")), "one");
	assert_null(json_object_get(answer->data, "moved_to"));
	fake_port_set_server(last_port(f), "two");
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_string_equal(json_string_value(json_object_get(answer->data, "moved_to")), "two");
	assert_true(warned(answer, "confirm_move=true"));
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EMOVED, "confirm_move=true");
	refused(f, ENGINE_WRITE, "roles/other", ROLE, LEASED_EMOVED, "confirm_move=true");
	assert_int_equal(fake_port_counts(last_port(f)).calls[PLUGIN_OP_MINT], minted);
	later(f, 3700);
	assert_int_equal(rows(f), 1); /* overdue, and not called gone */
	/* It is back: nobody has to do a thing. */
	fake_port_set_server(last_port(f), "one");
	answer = must(f, ENGINE_READ, "config/main", NULL);
	assert_null(json_object_get(answer->data, "moved_to"));
	later(f, 120);
	assert_int_equal(rows(f), 0);
	revoke(f, must(f, ENGINE_READ, "creds/app", NULL)->row);
	(void)row;
}

static void
an_unverified_write_over_an_exchanged_server_is_warned_of_and_changes_nothing(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	(void)lease_on(f, ON("one"));
	fake_port_set_server(last_port(f), "two");
	answer = must(f, ENGINE_WRITE, "config/main",
	    "{\"username\":\"other\",\"host\":\"two\",\"verify_connection\":false}");
	assert_true(warned(answer, "confirm_move=true"));
	fake_port_set_server(last_port(f), "two");
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EMOVED, "confirm_move=true");
	must(f, ENGINE_WRITE, "config/main", CONFIRM("two"));
	must(f, ENGINE_READ, "creds/app", NULL);
}

static void
a_write_that_leads_elsewhere_without_leases_is_warned_of(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", ON("one"));
	assert_false(warned(must(f, ENGINE_WRITE, "config/main", ON("one")), "another server"));
	assert_true(warned(must(f, ENGINE_WRITE, "config/main", ON("two")), "another server"));
	assert_false(
	    warned(must(f, ENGINE_WRITE, "config/main", CONFIRM("three")), "another server"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	    T(without_leases_a_move_needs_no_word),
	    T(with_leases_on_the_old_server_it_is_refused_and_nothing_changes),
	    T(it_is_refused_after_a_restart_as_well),
	    T(after_confirm_move_old_leases_end_on_the_new_server),
	    T(a_later_write_needs_no_word_again_and_a_further_move_does),
	    T(an_unconfirmed_move_behind_an_unverified_write_deletes_nothing),
	    T(a_write_that_stays_on_its_server_reads_no_lease),
	    T(a_server_whose_leases_have_ended_is_forgotten),
	    T(leases_from_before_servers_were_kept_are_read),
	    T(a_server_that_was_exchanged_is_flagged_and_nothing_is_made_or_deleted_there),
	    T(an_unverified_write_over_an_exchanged_server_is_warned_of_and_changes_nothing),
	    T(a_write_that_leads_elsewhere_without_leases_is_warned_of),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
