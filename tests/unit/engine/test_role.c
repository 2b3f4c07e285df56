/* Roles, credentials and mounts: who may have which, what is refused with which reason, and what a
 * removal leaves. */
#include "store/store_private.h"
#include "unit/engine/fixture.h"

#define GOOD                                                                                       \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"allowed_roles\":\"*"   \
	"\"}"
#define ROLE "{\"db_name\":\"main\",\"grant_roles\":[\"app\"],\"default_ttl\":60}"

static void
a_role_is_tried_and_read_back(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_int_equal(fake_port_counts(last_port(f)).calls[PLUGIN_OP_CHECK], 1);
	answer = must(f, ENGINE_READ, "roles/app", NULL);
	assert_string_equal(json_string_value(json_object_get(answer->data, "db_name")), "main");
	assert_int_equal(json_integer_value(json_object_get(answer->data, "default_ttl")), 60);
	assert_null(json_object_get(answer->data, "role_version"));
	assert_int_equal(rows(f), 0);
}

static void
bad_roles_are_refused_with_the_reason(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	refused(
	    f, ENGINE_WRITE, "roles/app", "{\"grant_roles\":[\"app\"]}", LEASED_EINVAL, "db_name");
	refused(f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"a/b\",\"grant_roles\":[\"app\"]}",
	    LEASED_EINVAL, "cannot be the name");
	refused(
	    f, ENGINE_WRITE, "roles/app", "{\"db_name\":\"main\"}", LEASED_EINVAL, "grant_roles");
	refused(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"grant_roles\":\"app\",\"default_ttl\":\"2h\",\"max_ttl\":"
	    "\"1h\"}",
	    LEASED_EINVAL, "max_ttl");
	refused(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"creation_statements\":\"CREATE ROLE x\"}", LEASED_EINVAL,
	    "{{name}}");
	refused(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"grant_roles\":\"app\",\"lease_owner\":\"nobody\"}",
	    LEASED_EINVAL, "lease_owner");
	assert_int_equal(docs(f, "role") + docs(f, "rolever"), 0);
}

static void
a_role_that_its_backend_refuses_does_not_hold(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	fake_port_fault(
	    last_port(f), PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EREFUSED, "no ADMIN");
	assert_int_equal(
	    refused(f, ENGINE_WRITE, "roles/app", ROLE, LEASED_EREFUSED, "no ADMIN")->status, 400);
	assert_int_equal(docs(f, "role"), 0);
}

static void
a_role_without_its_connection_is_stored_untried_and_says_so(void **state)
{
	struct fix *f = *state;

	assert_true(warned(must(f, ENGINE_WRITE, "roles/app", ROLE), "not tried"));
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EINVAL, "config/main first");
}

static void
a_credential_has_its_login_and_its_lease(void **state)
{
	struct fix *f = *state;
	struct fake_account *account;
	struct answer *answer;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	answer = must(f, ENGINE_READ, "creds/app", NULL);
	assert_int_equal(answer->duration_s, 60);
	assert_non_null(strstr(answer->lease_id, "database/creds/app/"));
	account = fake_port_account(
	    last_port(f), json_string_value(json_object_get(answer->data, "username")));
	assert_non_null(account);
	assert_string_equal(
	    account->password, json_string_value(json_object_get(answer->data, "password")));
	assert_int_equal(rows(f), 1);
	later(f, 70);
	assert_int_equal(rows(f) + fake_port_account_count(last_port(f)), 0);
}

static void
only_allowed_roles_get_one(void **state)
{
	static const struct {
		const char *allowed;
		bool may;
	} cases[] = {{"[]", false}, {"[\"app\"]", true}, {"[\"*\"]", true}, {"[\"a*\"]", true},
	    {"[\"*p\"]", true}, {"[\"a*p\"]", true}, {"[\"a*x*p\"]", false}, {"[\"ap\"]", false},
	    {"[\"?pp\"]", false}, {"[\"[a]pp\"]", false}, {"[\"b\",\"app\"]", true},
	    {"[\"App\"]", false}};
	struct fix *f = *state;
	char body[128];
	size_t i;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(body, sizeof(body),
		    "{\"allowed_roles\":%s,\"verify_connection\":false}", cases[i].allowed);
		must(f, ENGINE_WRITE, "config/main", body);
		if (cases[i].may)
			must(f, ENGINE_READ, "creds/app", NULL);
		else
			refused(f, ENGINE_READ, "creds/app", NULL, LEASED_EINVAL,
			    "not an allowed role");
	}
}

static void
wrong_paths_and_operations_mint_nothing(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	refused(f, ENGINE_READ, "creds/other", NULL, LEASED_EINVAL, "unknown role: other");
	assert_int_equal(
	    refused(f, ENGINE_WRITE, "creds/app", "{}", LEASED_EINVAL, "unsupported")->status, 405);
	assert_int_equal(
	    refused(f, ENGINE_READ, "creds", NULL, LEASED_ENOENT, "unsupported path")->status, 404);
	refused(f, ENGINE_READ, "creds/app/x", NULL, LEASED_ENOENT, "unsupported path");
	assert_int_equal(rows(f), 0);
}

static void
the_cap_of_a_role_holds(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app",
	    "{\"db_name\":\"main\",\"grant_roles\":\"app\",\"max_leases\":1}");
	must(f, ENGINE_READ, "creds/app", NULL);
	refused(f, ENGINE_READ, "creds/app", NULL, LEASED_ELIMIT, "max_leases of this role");
	must(f, ENGINE_WRITE, "roles/app", "{\"max_leases\":2}"); /* its canary does not count */
	must(f, ENGINE_READ, "creds/app", NULL);
}

static void
lists_name_what_is_there(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	assert_null(must(f, ENGINE_LIST, "roles", NULL)->data);
	must(f, ENGINE_WRITE, "roles/b", ROLE);
	must(f, ENGINE_WRITE, "roles/a", ROLE);
	answer = must(f, ENGINE_LIST, "roles/", NULL);
	assert_int_equal(json_array_size(json_object_get(answer->data, "keys")), 2);
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(answer->data, "keys"), 0)), "a");
}

static void
role_versions_go_when_neither_role_nor_lease_needs_them(void **state)
{
	struct fix *f = *state;
	int64_t row;
	unsigned i;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = must(f, ENGINE_READ, "creds/app", NULL)->row;
	must(f, ENGINE_WRITE, "roles/app", "{\"default_ttl\":120}");
	must(f, ENGINE_WRITE, "roles/app", "{\"default_ttl\":180}");
	assert_int_equal(docs(f, "rolever"), 3);
	engine_rolevers_sweep(f->engines);
	settle(f);
	assert_int_equal(docs(f, "rolever"), 3); /* seen once: it may still be on its way */
	engine_rolevers_sweep(f->engines);
	settle(f);
	assert_int_equal(docs(f, "rolever"), 2); /* the lease's and the role's */
	revoke(f, row);
	for (i = 0; i < 2; i++) {
		engine_rolevers_sweep(f->engines);
		settle(f);
	}
	assert_int_equal(docs(f, "rolever"), 1);
	must(f, ENGINE_READ, "creds/app", NULL);
}

static void
an_unchanged_role_makes_no_new_version(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	for (int i = 0; i < 3; i++)
		must(f, ENGINE_WRITE, "roles/app", ROLE);
	assert_int_equal(docs(f, "rolever"), 1);
	/* What only the role itself says belongs to no version. */
	must(f, ENGINE_WRITE, "roles/app", "{\"max_leases\":5}");
	assert_int_equal(docs(f, "rolever"), 1);
	must(f, ENGINE_WRITE, "roles/app", "{\"default_ttl\":120}");
	assert_int_equal(docs(f, "rolever"), 2);
	must(f, ENGINE_READ, "creds/app", NULL);
}

static int
on_statement(unsigned kind, void *counter, void *stmt, void *text)
{
	(void)kind;
	(void)text;
	if (strstr(sqlite3_sql(stmt), " FROM lease WHERE id =") != NULL)
		++*(unsigned *)counter;
	return (0);
}

/* How many lease rows a sweep reads. */
static unsigned
sweep_reads(struct fix *f)
{
	unsigned count = 0;

	sqlite3_trace_v2(f->store->reader_db->sqlite, SQLITE_TRACE_STMT, on_statement, &count);
	engine_rolevers_sweep(f->engines);
	settle(f);
	sqlite3_trace_v2(f->store->reader_db->sqlite, 0, NULL, NULL);
	return (count);
}

static void
a_sweep_walks_the_leases_of_a_role_once_for_all_its_versions(void **state)
{
	struct fix *f = *state;
	char body[64];
	unsigned reads;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (int i = 0; i < 10; i++)
		must(f, ENGINE_READ, "creds/app", NULL);
	must(f, ENGINE_WRITE, "roles/app", "{\"default_ttl\":120}");
	must(f, ENGINE_WRITE, "roles/app", "{\"default_ttl\":130}");
	assert_int_equal(docs(f, "rolever"), 3);
	reads = sweep_reads(f);
	assert_true(reads >= 10);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(body, sizeof(body), "{\"default_ttl\":%d}", 200 + i);
		must(f, ENGINE_WRITE, "roles/app", body);
	}
	assert_int_equal(sweep_reads(f), reads);
	assert_int_equal(sweep_reads(f), reads);
	assert_int_equal(docs(f, "rolever"), 2); /* the leases' and the role's */
}

/* Counts the calls of the read that is queued when a write before it is through. */
static struct {
	int (*run)(struct store_read *, struct store_db *, struct leased_err *);
	struct store *store;
	unsigned calls;
} counted;

static int
counted_run(struct store_read *read, struct store_db *db, struct leased_err *err)
{
	counted.calls++;
	return (counted.run(read, db, err));
}

static void
on_many_written(struct store_op *op, int result, const struct leased_err *err)
{
	struct store_read *read = counted.store->reads.first;

	(void)op;
	(void)err;
	assert_int_equal(result, 0);
	assert_non_null(read);
	counted.run = read->run;
	counted.calls = 0;
	read->run = counted_run;
}

/* Enough to list that a walk over them is long. */
static int
many_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct store_doc doc = {.kind = (char *)(uintptr_t) "role"}, *app = NULL;
	struct store_doc **first = NULL;
	char name[ENGINE_DOC_NAME_SIZE + 8];
	size_t count = 0;
	int r;

	(void)op;
	r = store_doc_list(store_txn_db(txn), "role", "", NULL, 1, &first, &count, err);
	assert_int_equal(count, 1);
	app = first[0];
	free(first);
	doc.data = app->data;
	doc.name = name;
	for (int i = 0; i < 6000 && r == 0; i++) {
		doc.id = 0;
		(void)snprintf(name, sizeof(name), "%s-%d", app->name, i);
		r = store_doc_put(txn, &doc, err);
	}
	store_doc_free(app);
	return (r);
}

static void
a_long_list_gives_others_their_turn(void **state)
{
	struct fix *f = *state;
	struct store_op many = {.run = many_run, .done = on_many_written};
	struct answer list = {0};

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	counted.store = f->store;
	store_submit(f->store, &many);
	start(f, ENGINE_LIST, "roles/", NULL, &list);
	settle(f);
	assert_int_equal(list.count, 1);
	assert_int_equal(json_array_size(json_object_get(list.data, "keys")), 6001);
	assert_true(counted.calls > 1);
	answer_clear(&list);
}

static void
an_unmount_ends_leases_and_leaves_no_document(void **state)
{
	struct fix *f = *state;
	struct answer removed, late;

	must(f, ENGINE_WRITE, "config/main", GOOD);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_READ, "creds/app", NULL);
	start(f, ENGINE_WRITE, "config/other", GOOD, &late);
	start(f, ENGINE_WRITE, "roles/other", ROLE, &late);
	late.count = 0;
	unmount_ask(f, "database/", &removed);
	settle(f);
	later(f, 130);
	assert_int_equal(removed.count, 1);
	if (removed.code == LEASED_EUNAVAIL) { /* a canary was in the way */
		unmount_ask(f, "database/", &removed);
		settle(f);
	}
	assert_int_equal(removed.code, 0);
	assert_int_equal(rows(f), 0);
	assert_int_equal(docs(f, "mount"), 1); /* identity/, which always is there */
	assert_int_equal(
	    docs(f, "connection") + docs(f, "candidate") + docs(f, "role") + docs(f, "rolever"), 0);
	answer_clear(&late);
	mount_ask(f, "database/", "{\"type\":\"database\"}", &removed);
	settle(f);
	assert_int_equal(removed.code, 0);
}

static void
two_mounts_at_one_path_are_told_apart(void **state)
{
	struct fix *f = *state;
	struct answer a, b;

	mount_ask(f, "pg/", "{\"type\":\"database\"}", &a);
	mount_ask(f, "pg/", "{\"type\":\"database\"}", &b);
	settle(f);
	assert_int_equal(a.code, 0);
	assert_int_equal(b.code, LEASED_EEXIST);
	assert_non_null(strstr(b.err.text, "path is already in use at pg/"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)
	    T(a_role_is_tried_and_read_back),
	    T(bad_roles_are_refused_with_the_reason),
	    T(a_role_that_its_backend_refuses_does_not_hold),
	    T(a_role_without_its_connection_is_stored_untried_and_says_so),
	    T(a_credential_has_its_login_and_its_lease),
	    T(only_allowed_roles_get_one),
	    T(wrong_paths_and_operations_mint_nothing),
	    T(the_cap_of_a_role_holds),
	    T(lists_name_what_is_there),
	    T(role_versions_go_when_neither_role_nor_lease_needs_them),
	    T(an_unchanged_role_makes_no_new_version),
	    T(a_sweep_walks_the_leases_of_a_role_once_for_all_its_versions),
	    T(a_long_list_gives_others_their_turn),
	    T(two_mounts_at_one_path_are_told_apart),
	    T(an_unmount_ends_leases_and_leaves_no_document),
#undef T
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
