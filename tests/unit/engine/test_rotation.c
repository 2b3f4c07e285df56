/*
 * Rotations: whatever is lost in the middle, what static-creds tells logs in, and of the two
 * passwords of a connection's own login one always does.
 */
#include "store/store_private.h"
#include "unit/engine/fixture.h"

#define CONFIG                                                                                     \
	"{\"plugin_name\":\"postgresql-database-plugin\",\"host\":\"one\",\"username\":\"admin\"," \
	"\"password\":\"first\",\"allowed_roles\":\"*\"}"
#define STATIC "{\"db_name\":\"main\",\"username\":\"report\",\"rotation_period\":60}"

static struct fake_account *
account_add(struct fix *f, const char *name, const char *password)
{
	struct fake_account *account = fake_port_account(last_port(f), name);

	if (account == NULL)
		account = fake_port_add_account(last_port(f), name);
	(void)snprintf(account->password, sizeof(account->password), "%s", password);
	return (account);
}

static const char *
password_of(struct fix *f, const char *name)
{
	return (fake_port_account(last_port(f), name)->password);
}

static void
set_up(struct fix *f)
{
	must(f, ENGINE_WRITE, "config/main", CONFIG);
	account_add(f, "admin", "first");
	account_add(f, "report", "before");
}

static void
with_static(struct fix *f)
{
	set_up(f);
	must(f, ENGINE_WRITE, "static-roles/report", STATIC);
}

/* What is told must be what the backend has; it may be rotated right afterwards. */
static void
told_is_good(struct fix *f)
{
	struct answer *answer;
	const char *told;
	char before[128];

	(void)snprintf(before, sizeof(before), "%s", password_of(f, "report"));
	answer = ask(f, ENGINE_READ, "static-creds/report", NULL);
	if (answer->code != 0) {
		assert_int_equal(answer->code, LEASED_EUNAVAIL);
		return;
	}
	told = json_string_value(json_object_get(answer->data, "password"));
	if (strcmp(told, before) != 0)
		assert_string_equal(told, password_of(f, "report"));
}

static void
told_and_good(struct fix *f)
{
	must(f, ENGINE_READ, "static-creds/report", NULL);
	told_is_good(f);
}

static struct store_doc *
doc_of(struct fix *f, const char *kind, const char *name)
{
	struct store_doc **page = NULL, *found = NULL;
	size_t count = 0, i;

	assert_int_equal(
	    store_doc_list(store_db(f->store), kind, "", NULL, 8, &page, &count, NULL), 0);
	for (i = 0; i < count; i++)
		if (strcmp(strchr(page[i]->name, '/') + 1, name) == 0)
			found = page[i];
		else
			store_doc_free(page[i]);
	free(page);
	assert_non_null(found);
	return (found);
}

/* The next start finds the backend as it is. */
static void
die_and_start(struct fix *f)
{
	char report[128], admin[128];

	(void)snprintf(report, sizeof(report), "%s", password_of(f, "report"));
	(void)snprintf(admin, sizeof(admin), "%s", password_of(f, "admin"));
	fix_close(f);
	fix_open(f);
	account_add(f, "report", report);
	account_add(f, "admin", admin);
}

/* One of the two that are kept is the administrator's. */
static void
one_of_two_is_good(struct fix *f)
{
	struct store_doc *doc = doc_of(f, "connection", "main");
	const json_t *details = json_object_get(doc->data, "details");
	const char *current = json_string_value(json_object_get(details, "password"));
	const char *candidate = engine_rotation_text(doc, "candidate");

	if (strcmp(current, password_of(f, "admin")) != 0)
		assert_string_equal(candidate, password_of(f, "admin"));
	store_doc_free(doc);
}

static void
a_static_role_owns_its_accounts_password(void **state)
{
	struct fix *f = *state;
	struct answer *answer;

	with_static(f);
	assert_string_not_equal(password_of(f, "report"), "before");
	answer = must(f, ENGINE_READ, "static-creds/report", NULL);
	assert_int_equal(json_integer_value(json_object_get(answer->data, "rotation_period")), 60);
	assert_in_range(json_integer_value(json_object_get(answer->data, "ttl")), 1, 60);
	told_and_good(f);
}

static void
it_is_rotated_each_period_and_after_a_restart(void **state)
{
	struct fix *f = *state;
	char before[128];

	with_static(f);
	(void)snprintf(before, sizeof(before), "%s", password_of(f, "report"));
	later(f, 55);
	assert_string_equal(password_of(f, "report"), before);
	later(f, 10);
	assert_string_not_equal(password_of(f, "report"), before);
	told_and_good(f);
	(void)snprintf(before, sizeof(before), "%s", password_of(f, "report"));
	wclock_fake_advance(&f->clock, INT64_C(70000000));
	die_and_start(f);
	later(f, 2);
	assert_string_not_equal(password_of(f, "report"), before);
	told_and_good(f);
}

static void
a_crash_at_any_moment_leaves_a_password_that_is_told_and_good(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	unsigned steps, i;

	with_static(f);
	for (steps = 0; steps < 14; steps++) {
		start(f, ENGINE_WRITE, "rotate-role/report", NULL, &answer);
		for (i = 0; i < steps; i++)
			(void)turn(f);
		die_and_start(f);
		answer_clear(&answer);
		told_is_good(f);
		later(f, 3);
		told_and_good(f);
	}
}

static void
a_crash_at_any_moment_leaves_the_connection_a_login(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	unsigned steps, i;

	with_static(f);
	for (steps = 0; steps < 16; steps++) {
		start(f, ENGINE_WRITE, "rotate-root/main", NULL, &answer);
		for (i = 0; i < steps; i++) {
			(void)turn(f);
			one_of_two_is_good(f);
		}
		die_and_start(f);
		answer_clear(&answer);
		one_of_two_is_good(f);
		later(f, 3);
		one_of_two_is_good(f);
	}
	must(f, ENGINE_WRITE, "rotate-root/main", NULL);
	assert_string_not_equal(password_of(f, "admin"), "first");
}

static void
a_call_that_is_cut_is_settled_by_logins(void **state)
{
	static const enum fake_fault faults[] = {
	    FAKE_FAULT_BEFORE, FAKE_FAULT_AFTER, FAKE_FAULT_LATE};
	static const enum plugin_op ops[] = {PLUGIN_OP_SET_PASSWORD, PLUGIN_OP_CHECK};
	static const int codes[] = {LEASED_ECRASHED, LEASED_ETIMEDOUT, LEASED_EUNAVAIL};
	struct fix *f = *state;
	unsigned i;

	with_static(f);
	for (i = 0; i < 18; i++) {
		if (faults[i % 3] == FAKE_FAULT_LATE && codes[i / 6] == LEASED_EUNAVAIL)
			continue; /* a worker that answers is done */
		fake_port_fault(last_port(f), ops[i / 3 % 2], faults[i % 3], codes[i / 6], "cut");
		(void)ask(f, ENGINE_WRITE, "rotate-role/report", NULL);
		told_is_good(f);
		(void)fake_port_land(last_port(f));
		told_is_good(f);
		fake_port_fault(last_port(f), ops[i / 3 % 2], faults[i % 3], codes[i / 6], "cut");
		(void)ask(f, ENGINE_WRITE, "rotate-root/main", NULL);
		one_of_two_is_good(f);
		(void)fake_port_land(last_port(f));
		one_of_two_is_good(f);
		later(f, 5);
		told_and_good(f);
	}
	must(f, ENGINE_WRITE, "rotate-role/report", NULL);
	told_and_good(f);
}

static void
a_refusal_keeps_the_old_password_and_is_tried_again(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	char before[128];

	with_static(f);
	(void)snprintf(before, sizeof(before), "%s", password_of(f, "report"));
	fake_port_fault(last_port(f), PLUGIN_OP_SET_PASSWORD, FAKE_FAULT_BEFORE, LEASED_EDENIED,
	    "GRANT something");
	refused(f, ENGINE_WRITE, "rotate-role/report", NULL, LEASED_EREFUSED, "GRANT something");
	assert_string_equal(password_of(f, "report"), before);
	told_and_good(f);
	answer = must(f, ENGINE_READ, "static-roles/report", NULL);
	assert_non_null(json_object_get(answer->data, "last_error"));
	later(f, 3);
	assert_string_not_equal(password_of(f, "report"), before);
	answer = must(f, ENGINE_READ, "static-roles/report", NULL);
	assert_null(json_object_get(answer->data, "last_error"));
}

static void
a_first_password_that_is_refused_leaves_no_role(void **state)
{
	struct fix *f = *state;

	set_up(f);
	fake_port_fault(last_port(f), PLUGIN_OP_SET_PASSWORD, FAKE_FAULT_BEFORE, LEASED_EDENIED,
	    "GRANT something");
	refused(f, ENGINE_WRITE, "static-roles/report", STATIC, LEASED_EDENIED, "GRANT something");
	assert_int_equal(docs(f, "static"), 0);
	assert_string_equal(password_of(f, "report"), "before");
	must(f, ENGINE_WRITE, "static-roles/report", STATIC);
}

static void
those_who_ask_at_once_share_and_none_is_forgotten(void **state)
{
	struct fix *f = *state;
	struct answer answers[6];
	unsigned i;

	with_static(f);
	for (i = 0; i < 4; i++)
		start(f, ENGINE_WRITE, "rotate-role/report", NULL, &answers[i]);
	start(f, ENGINE_READ, "static-creds/report", NULL, &answers[4]);
	start(f, ENGINE_DELETE, "static-roles/report", NULL, &answers[5]);
	settle(f);
	for (i = 0; i < 6; i++) {
		assert_int_equal(answers[i].count, 1);
		answer_clear(&answers[i]);
	}
}

static void
requests_are_answered_when_leased_stops(void **state)
{
	struct fix *f = *state;
	struct answer answers[3];
	unsigned i;

	with_static(f);
	start(f, ENGINE_WRITE, "rotate-role/report", NULL, &answers[0]);
	start(f, ENGINE_READ, "static-creds/report", NULL, &answers[1]);
	start(f, ENGINE_WRITE, "rotate-root/main", NULL, &answers[2]);
	(void)turn(f);
	(void)turn(f);
	die_and_start(f);
	for (i = 0; i < 3; i++) {
		assert_int_equal(answers[i].count, 1);
		answer_clear(&answers[i]);
	}
	settle(f);
	told_and_good(f);
}

static void
lack_of_memory_at_any_place_loses_no_password(void **state)
{
	static const char *const paths[] = {"rotate-role/report", "rotate-root/main"};
	struct fix *f = *state;
	struct answer answer;
	unsigned long n;
	bool failed;
	unsigned i;

	with_static(f);
	for (i = 0; i < 2; i++)
		for (n = 1, failed = true; failed; n++) {
			assert_in_range(n, 1, 3000);
			failalloc_arm(n);
			start(f, ENGINE_WRITE, paths[i], NULL, &answer);
			settle(f);
			failed = failalloc_disarm();
			later(f, 8);
			assert_int_equal(answer.count, 1);
			answer_clear(&answer);
			told_and_good(f);
			one_of_two_is_good(f);
		}
}

/* ---- a restored store ---- */

#define DAILY "{\"db_name\":\"main\",\"username\":\"report\",\"rotation_period\":86400}"
#define UNTOUCHED                                                                                  \
	"{\"db_name\":\"main\",\"username\":\"other\",\"rotation_period\":86400,"                  \
	"\"skip_import_rotation\":true}"

/* As a release of the hold leaves the store; the store's tests show that it does. */
static void
restored_and_released(struct fix *f)
{
	wclock_fake_advance(&f->clock, INT64_C(1000000));
	f->store->hold.hold.restored_wall_ms = wclock_wall_ms(&f->clock.clock);
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite,
		"UPDATE rotation SET next_at = 1 WHERE account <> ''", NULL, NULL, NULL),
	    SQLITE_OK);
}

static void
password_of_the_backup_that_logs_in_stays_as_long_as_it_would_have(void **state)
{
	struct fix *f = *state;
	char before[128];

	set_up(f);
	must(f, ENGINE_WRITE, "static-roles/report", DAILY);
	(void)snprintf(before, sizeof(before), "%s", password_of(f, "report"));
	later(f, 3600);
	restored_and_released(f);
	assert_true(warned(must(f, ENGINE_READ, "static-creds/report", NULL), "not been tried"));
	later(f, 3);
	assert_string_equal(password_of(f, "report"), before);
	assert_null(must(f, ENGINE_READ, "static-creds/report", NULL)->warnings);
	wclock_fake_advance(&f->clock, INT64_C(82700) * 1000000);
	later(f, 3);
	assert_string_equal(password_of(f, "report"), before);
	wclock_fake_advance(&f->clock, INT64_C(100) * 1000000);
	later(f, 3);
	assert_string_not_equal(password_of(f, "report"), before);
	told_and_good(f);
}

static void
password_of_the_backup_that_does_not_log_in_is_warned_of_and_rotated(void **state)
{
	struct fix *f = *state;

	set_up(f);
	must(f, ENGINE_WRITE, "static-roles/report", DAILY);
	account_add(f, "report", "by the original, after the backup");
	f->store->hold.hold.held = true;
	assert_true(warned(must(f, ENGINE_READ, "static-creds/report", NULL), "--takeover"));
	f->store->hold.hold.held = false;
	restored_and_released(f);
	fake_port_set_down(last_port(f), true);
	later(f, 20);
	assert_string_equal(password_of(f, "report"), "by the original, after the backup");
	assert_true(warned(must(f, ENGINE_READ, "static-creds/report", NULL), "not been tried"));
	fake_port_set_down(last_port(f), false);
	later(f, 70);
	assert_string_not_equal(password_of(f, "report"), "by the original, after the backup");
	told_and_good(f);
	assert_null(must(f, ENGINE_READ, "static-creds/report", NULL)->warnings);
}

static void
lack_of_memory_while_it_is_tried_loses_no_password(void **state)
{
	struct fix *f = *state;
	unsigned long n;
	bool failed = true;

	set_up(f);
	must(f, ENGINE_WRITE, "static-roles/report", DAILY);
	for (n = 1; failed; n++) {
		assert_in_range(n, 1, 3000);
		if (n % 2 == 0)
			account_add(f, "report", "by the original, after the backup");
		restored_and_released(f);
		failalloc_arm(n);
		later(f, 1);
		failed = failalloc_disarm();
		later(f, 10);
		told_and_good(f);
		assert_null(must(f, ENGINE_READ, "static-creds/report", NULL)->warnings);
	}
}

static void
password_that_was_never_ours_is_not_touched_by_a_restore(void **state)
{
	struct fix *f = *state;

	set_up(f);
	account_add(f, "other", "somebody's");
	must(f, ENGINE_WRITE, "static-roles/other", UNTOUCHED);
	restored_and_released(f);
	later(f, 10);
	assert_string_equal(password_of(f, "other"), "somebody's");
	wclock_fake_advance(&f->clock, INT64_C(86400) * 1000000);
	later(f, 3);
	assert_string_not_equal(password_of(f, "other"), "somebody's");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_static_role_owns_its_accounts_password),
	    TEST(it_is_rotated_each_period_and_after_a_restart),
	    TEST(a_crash_at_any_moment_leaves_a_password_that_is_told_and_good),
	    TEST(a_crash_at_any_moment_leaves_the_connection_a_login),
	    TEST(a_call_that_is_cut_is_settled_by_logins),
	    TEST(a_refusal_keeps_the_old_password_and_is_tried_again),
	    TEST(a_first_password_that_is_refused_leaves_no_role),
	    TEST(those_who_ask_at_once_share_and_none_is_forgotten),
	    TEST(requests_are_answered_when_leased_stops),
	    TEST(lack_of_memory_at_any_place_loses_no_password),
	    TEST(password_of_the_backup_that_logs_in_stays_as_long_as_it_would_have),
	    TEST(password_of_the_backup_that_does_not_log_in_is_warned_of_and_rotated),
	    TEST(lack_of_memory_while_it_is_tried_loses_no_password),
	    TEST(password_that_was_never_ours_is_not_touched_by_a_restore),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
