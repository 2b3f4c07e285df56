/*
 * The list of revoked certificates when something stands in its way: it could not be made, its
 * mount goes, too many wait for it.
 */
#include "engine/ssh/krl.h"
#include "engine/ssh/mount.h"
#include "store/store_private.h"
#include "unit/engine/ssh_fixture.h"

/* With the daemon stopped: what is read of it next does not open. */
static void
damage_doc(struct fix *f, const char *kind, const char *name)
{
	char text[240];

	(void)snprintf(text, sizeof(text),
	    "UPDATE doc SET sealed = CAST(substr(sealed, 1, 30) || zeroblob(8) ||"
	    " substr(sealed, 39) AS BLOB) WHERE kind = '%s' AND name LIKE '%%/%s'",
	    kind, name);
	fix_close(f);
	assert_int_equal(
	    sqlite3_exec(f->store->writer_db->sqlite, text, NULL, NULL, NULL), SQLITE_OK);
	assert_true(sqlite3_changes(f->store->writer_db->sqlite) > 0);
	fix_open(f);
}

static unsigned
lists_made(struct fix *f)
{
	return (fake_port_counts(last_port(f)).calls[PLUGIN_OP_KRL]);
}

/* Six ask, in the same moment and one behind the other. */
static void
six_are_refused(struct fix *f, const char *part)
{
	struct answer answers[3];

	for (unsigned i = 0; i < 3; i++)
		start(f, ENGINE_READ, "krl", NULL, &answers[i]);
	settle(f);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(answers[i].count, 1);
		assert_int_equal(answers[i].code, LEASED_EUNAVAIL);
		assert_null(answers[i].page);
		answer_clear(&answers[i]);
		(void)refused(f, ENGINE_READ, "krl", NULL, LEASED_EUNAVAIL, part);
	}
}

static void
a_list_that_cannot_be_made_is_not_tried_at_each_request(void **state)
{
	struct fix *f = *state;
	unsigned before;
	char *text;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_READ, "krl", NULL); /* there is one, which becomes an older one */
	revoke(f, sign(f, "app", "")->row);
	before = lists_made(f);
	for (unsigned i = 0; i < 2; i++)
		fake_port_fault(
		    last_port(f), PLUGIN_OP_KRL, FAKE_FAULT_BEFORE, LEASED_ETOOBIG, "too long");
	six_are_refused(f, "an older one is not given out: too long");
	assert_int_equal(lists_made(f), before + 1);
	revoke(f, sign(f, "app", "")->row); /* a next version is no reason to try at once */
	six_are_refused(f, "too long");
	assert_int_equal(lists_made(f), before + 1);
	later(f, 1);
	six_are_refused(f, "too long");
	assert_int_equal(lists_made(f), before + 2);
	later(f, 1);
	six_are_refused(f, "too long");
	assert_int_equal(lists_made(f), before + 2);
	later(f, 1);
	text = serials(f);
	assert_non_null(strchr(text, ','));
	free(text);
	assert_int_equal(lists_made(f), before + 3);
}

static void
a_mount_that_goes_while_its_list_is_made_starts_no_worker(void **state)
{
	struct fix *f = *state;
	struct answer answer, gone;
	unsigned ports;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	revoke(f, sign(f, "app", "")->row);
	start(f, ENGINE_READ, "krl", NULL, &answer); /* the store has not answered yet */
	assert_int_equal(answer.count, 0);
	engine_ssh_unmounted(f->engines, LIST_FIRST(&f->engines->ssh)->id);
	ports = f->port_count;
	settle(f);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(answer.err.text, "removed"));
	assert_int_equal(f->port_count, ports);
	answer_clear(&answer);
	unmount_ask(f, "ssh/", &gone);
	later(f, 1);
	assert_int_equal(gone.count, 1);
	answer_clear(&gone);
}

/* ---- bans that cannot be read ---- */

static void
nothing_is_signed_while_bans_cannot_be_read(void **state)
{
	struct fix *f = *state;
	char *a = body_of(KEY_A, ""), *b = body_of(KEY_B, "");
	static const char part[] = "bans of this mount could not be read";

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "bans/lost", a);
	must(f, ENGINE_WRITE, "bans/other", "{\"key_id\": \"some\"}");
	settle(f);
	damage_doc(f, "ssh-ban", "lost");
	(void)refused(f, ENGINE_WRITE, "sign/app", a, LEASED_EUNAVAIL, part);
	(void)refused(f, ENGINE_WRITE, "sign/app", b, LEASED_EUNAVAIL, part);
	(void)refused(f, ENGINE_WRITE, "issue/app", "{}", LEASED_EUNAVAIL, part);
	(void)refused(f, ENGINE_WRITE, "bans/more", b, LEASED_EUNAVAIL, part);
	(void)refused(f, ENGINE_READ, "krl", NULL, LEASED_EUNAVAIL, "could not be made");
	must(f, ENGINE_DELETE, "bans/lost", NULL);
	later(f, 3);
	must(f, ENGINE_WRITE, "sign/app", a);
	must(f, ENGINE_WRITE, "bans/lost", a); /* once, and it can be taken back */
	(void)refused(f, ENGINE_WRITE, "sign/app", a, LEASED_EDENIED, "this key is banned");
	must(f, ENGINE_DELETE, "bans/lost", NULL);
	must(f, ENGINE_WRITE, "sign/app", a);
	assert_non_null(strstr(must(f, ENGINE_READ, "krl", NULL)->page, "some"));
	free(a);
	free(b);
}

static void
an_entry_of_the_list_that_does_not_open_stays_on_it(void **state)
{
	struct fix *f = *state;
	char *before, *after;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 3; i++)
		revoke(f, sign(f, "app", "")->row);
	before = serials(f);
	damage_doc(f, "ssh-revoked", "%");
	after = serials(f);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static uint64_t
quarantined(struct fix *f)
{
	struct store_health health;

	store_health_get(f->store, &health);
	return (health.quarantined);
}

/* That nothing is opened shows in that nothing is found damaged. */
static void
what_the_list_before_was_made_of_is_not_opened_again(void **state)
{
	struct fix *f = *state;
	long long rows_of[4];
	char *text, wanted[80];

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 4; i++)
		rows_of[i] = (long long)sign(f, "app", i == 3 ? "'ttl': '60s'" : "")->row;
	revoke(f, rows_of[1]);
	revoke(f, rows_of[3]);
	free(serials(f));
	assert_int_equal(sqlite3_exec(f->store->writer_db->sqlite,
			     "UPDATE doc SET sealed = zeroblob(80) WHERE kind = 'ssh-revoked'",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	revoke(f, rows_of[2]);
	revoke(f, rows_of[0]); /* before the first that is known */
	text = serials(f);
	(void)snprintf(wanted, sizeof(wanted), "%lld,%lld,%lld,%lld", rows_of[0],
	    rows_of[1] - rows_of[0], rows_of[2] - rows_of[1], rows_of[3] - rows_of[2]);
	assert_string_equal(text, wanted);
	free(text);
	assert_int_equal(quarantined(f), 0);
	later(f, 90); /* and their ends are known, too */
	revoke(f, sign(f, "app", "")->row);
	text = serials(f);
	*strrchr(wanted, ',') = '\0';
	assert_memory_equal(text, wanted, strlen(wanted));
	free(text);
	settle(f);
	assert_int_equal(docs(f, "ssh-revoked"), 3); /* it opens them */
}

/* The n-th allocation of a start fails. */
static void
bans_hold_behind_a_start_without_memory(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	char *a = body_of(KEY_A, "");
	unsigned refusals = 0;
	bool failed = true;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "bans/lost", a);
	settle(f);
	for (unsigned long n = 1; failed; n++) {
		while (!LIST_EMPTY(&f->engines->ssh))
			engine_ssh_free(f->engines);
		failalloc_arm(n);
		engine_ssh_start(f->engines);
		failed = failalloc_disarm();
		settle(f);
		start(f, ENGINE_WRITE, "sign/app", a, &answer);
		settle(f);
		assert_int_equal(answer.count, 1);
		if (answer.code == LEASED_EUNAVAIL)
			refusals++;
		else
			assert_int_equal(answer.code, LEASED_EDENIED);
		answer_clear(&answer);
	}
	assert_true(refusals > 5);
	free(a);
}

/* ---- who waits ---- */

static unsigned
answered(const struct answer *answers, unsigned from, unsigned to)
{
	unsigned count = 0;

	for (unsigned i = from; i < to; i++)
		count += answers[i].count;
	return (count);
}

static void
too_many_who_wait_are_told_soon_and_more_at_once(void **state)
{
	struct fix *f = *state;
	unsigned max = engine_ssh_waiters_max(), most = max + max / 2;
	struct answer *answers = calloc(most + 1, sizeof(*answers));
	char etag[64];

	assert_non_null(answers);
	assert_true(max > 1 && max <= SSH_WAITERS_MAX);
	(void)snprintf(etag, sizeof(etag), "\"%lld\"", version(f));
	if_none_match = etag;
	prefer = "wait=30";
	for (unsigned i = 0; i <= most; i++)
		start(f, ENGINE_READ, "krl", NULL, &answers[i]);
	assert_int_equal(answered(answers, 0, most), 0);
	assert_int_equal(answers[most].count, 1);
	later(f, 4);
	assert_int_equal(answered(answers, 0, most), 0);
	for (unsigned i = 0; i < 2 + SSH_CROWDED_WAIT_MS / 1000 + most / 64; i++)
		later(f, 1);
	assert_int_equal(answered(answers, max, most), most - max);
	later(f, 31);
	for (unsigned i = 0; i < most / 64; i++)
		settle(f);
	assert_int_equal(answered(answers, 0, most), most);
	for (unsigned i = 0; i <= most; i++) {
		assert_string_equal(answers[i].etag, etag);
		answer_clear(&answers[i]);
	}
	free(answers);
}

static void
all_who_wait_hear_of_a_change_a_number_in_a_turn(void **state)
{
	struct fix *f = *state;
	struct answer answers[200];
	char etag[64];
	int64_t row;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = sign(f, "app", "")->row;
	(void)snprintf(etag, sizeof(etag), "\"%lld\"", version(f));
	if_none_match = etag;
	prefer = "wait=30";
	for (unsigned i = 0; i < 200; i++)
		start(f, ENGINE_READ, i % 2 == 0 ? "krl" : "krl.sig", NULL, &answers[i]);
	if_none_match = prefer = NULL;
	revoke(f, row);
	must(f, ENGINE_READ, "krl", NULL);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(answers[i].count, 1);
		assert_non_null(answers[i].page);
		assert_string_not_equal(answers[i].etag, etag);
		answer_clear(&answers[i]);
	}
}

/* A ban is a change that nobody has to wait for here. */
static void
no_turn_tells_more_than_a_number_of_those_who_wait(void **state)
{
	struct fix *f = *state;
	struct answer answers[200], ban;
	unsigned before = 0, now;
	char etag[64];

	(void)snprintf(etag, sizeof(etag), "\"%lld\"", version(f));
	if_none_match = etag;
	prefer = "wait=30";
	for (unsigned i = 0; i < 200; i++)
		start(f, ENGINE_READ, "krl", NULL, &answers[i]);
	if_none_match = prefer = NULL;
	start(f, ENGINE_WRITE, "bans/x", "{\"key_id\": \"some\"}", &ban);
	for (unsigned i = 0; i < 10 && ban.count == 0; i++)
		(void)store_pump(f->store);
	for (unsigned i = 0; i < 10; i++) /* while the list is made, which takes its time */
		(void)engine_ssh_tick(f->engines);
	for (unsigned i = 0; i < 60; i++, before = now) {
		(void)turn(f);
		now = answered(answers, 0, 200);
		assert_true(now - before <= 65); /* and the one who had it made */
	}
	assert_int_equal(before, 200);
	for (unsigned i = 0; i < 200; i++) {
		assert_non_null(answers[i].page);
		answer_clear(&answers[i]);
	}
	assert_int_equal(ban.count, 1);
	answer_clear(&ban);
}

/* What reads a document allocates. */
static void
who_waits_for_what_has_not_changed_reads_nothing(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	char etag[64];

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	(void)snprintf(etag, sizeof(etag), "\"%lld\"", version(f));
	if_none_match = etag;
	prefer = "wait=30";
	start(f, ENGINE_READ, "krl", NULL, &answer);
	settle(f);
	failalloc_arm(1);
	for (unsigned i = 0; i < 5; i++)
		assert_true(engine_ssh_tick(f->engines) > 0);
	assert_false(failalloc_disarm());
	revoke(f, sign(f, "app", "")->row);
	settle(f);
	assert_int_equal(answer.count, 1);
	assert_string_not_equal(answer.etag, etag);
	answer_clear(&answer);
}

/* ---- versions ---- */

static void
no_number_of_changes_runs_ahead_of_the_clock(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 20; i++)
		revoke(f, sign(f, "app", "")->row); /* within one second */
	assert_true(version(f) <= (wclock_wall_ms(&f->clock.clock) + 1000) * 1000);
	assert_true(version(f) >= (wclock_wall_ms(&f->clock.clock) - 1000) * 1000);
}

/* As a restore leaves the store; the store's tests show that it does. */
static void
a_restored_list_gets_a_version_above_the_original_s_when_the_hold_ends(void **state)
{
	struct fix *f = *state;
	long long old, new;
	char *before, *after;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	revoke(f, sign(f, "app", "")->row);
	old = version(f);
	before = serials(f);
	later(f, 60); /* of which the original made use, and the copy knows nothing */
	f->store->hold.hold.restored_wall_ms = wclock_wall_ms(&f->clock.clock);
	f->store->hold.hold.held = true;
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_int_equal(version(f), old); /* the original may live, and know more */
	f->store->hold.hold.held = false;
	engines_restore_released(f->engines);
	settle(f);
	new = version(f);
	assert_true(new > old + 59000000);
	after = serials(f);
	assert_string_equal(before, after);
	engines_restore_released(f->engines);
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_int_equal(version(f), new);
	free(before);
	free(after);
}

static void
a_restored_list_that_a_kill_left_without_gets_its_version_at_the_start(void **state)
{
	struct fix *f = *state;
	long long old = version(f);

	later(f, 60);
	f->store->hold.hold.restored_wall_ms = wclock_wall_ms(&f->clock.clock);
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_true(version(f) > old + 59000000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SSH_TEST(a_list_that_cannot_be_made_is_not_tried_at_each_request),
	    SSH_TEST(a_mount_that_goes_while_its_list_is_made_starts_no_worker),
	    SSH_TEST(nothing_is_signed_while_bans_cannot_be_read),
	    SSH_TEST(an_entry_of_the_list_that_does_not_open_stays_on_it),
	    SSH_TEST(what_the_list_before_was_made_of_is_not_opened_again),
	    SSH_TEST(bans_hold_behind_a_start_without_memory),
	    SSH_TEST(too_many_who_wait_are_told_soon_and_more_at_once),
	    SSH_TEST(all_who_wait_hear_of_a_change_a_number_in_a_turn),
	    SSH_TEST(no_turn_tells_more_than_a_number_of_those_who_wait),
	    SSH_TEST(who_waits_for_what_has_not_changed_reads_nothing),
	    SSH_TEST(no_number_of_changes_runs_ahead_of_the_clock),
	    SSH_TEST(a_restored_list_gets_a_version_above_the_original_s_when_the_hold_ends),
	    SSH_TEST(a_restored_list_that_a_kill_left_without_gets_its_version_at_the_start),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
