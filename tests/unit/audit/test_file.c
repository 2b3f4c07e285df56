/*
 * The device: who may see its file, what a crash leaves in it, renaming it, and what was cut away.
 */
#include "unit/audit/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "support/failalloc.h"

static void
file_is_made_for_its_owner_alone_and_refused_when_others_may_read_it(void **state)
{
	struct fixture *f = *state;
	struct stat status;

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(stat(f->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	fixture_audit_end(f);
	assert_int_equal(chmod(f->path, 0640), 0);
	assert_int_equal(fixture_audit(f), LEASED_EINVAL);
}

static void
links_and_what_is_no_file_are_refused(void **state)
{
	struct fixture *f = *state;
	char other[128];

	(void)snprintf(other, sizeof(other), "%s.1", f->path);
	fixture_write(f, "", 0);
	assert_int_equal(rename(f->path, other), 0);
	assert_int_equal(symlink(other, f->path), 0);
	assert_int_equal(fixture_audit(f), LEASED_EINVAL);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(link(other, f->path), 0);
	assert_int_equal(fixture_audit(f), LEASED_EINVAL);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(fixture_audit(f), LEASED_EINVAL);
}

static void
file_of_somebody_else_is_not_written_to(void **state)
{
	static const char text[] = "root:x:0:0\nsomething: else\n";
	struct fixture *f = *state;
	size_t len = 0;
	char *bytes;

	fixture_write(f, text, strlen(text));
	assert_int_equal(fixture_audit(f), LEASED_EINVAL);
	bytes = fixture_read(f, &len);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(bytes, text, len);
	free(bytes);
}

/* One start after another that the store knows nothing of, each with a record of its own. */
static void
start_and_write(struct fixture *f)
{
	struct audit_chain head;
	struct audit_file file;

	audit_chain_init(&head);
	assert_int_equal(
	    audit_file_open(&file, f->path, store_seal(f->store), &f->clock.clock, &head, NULL), 0);
	assert_int_equal(audit_file_write(&file, "{\"a\":1}", 7, NULL), 0);
	audit_file_close(&file);
	free(file.path);
}

/* Whatever part of the last line a crash left, the next start closes it. */
static void
tail_that_is_torn_at_any_byte_is_closed_by_a_record(void **state)
{
	struct fixture *f = *state;
	size_t len = 0, last;
	char *bytes;

	start_and_write(f);
	bytes = fixture_read(f, &len);
	for (last = len - 1; bytes[last - 1] != '\n'; last--)
		continue;
	for (size_t cut = last; cut < len; cut++) {
		fixture_write(f, bytes, cut);
		start_and_write(f);
		start_and_write(f);
		if (fixture_verify(f) != 0)
			fail_msg("cut at %zu of %zu: %s", cut, len, f->faults);
		assert_int_equal(f->report.torn, cut > last && cut < len - 1 ? 1 : 0);
	}
	free(bytes);
}

static void
first_line_of_all_may_be_torn(void **state)
{
	struct fixture *f = *state;

	fixture_write(f, "{\"time\":\"2026-", 14);
	assert_int_equal(fixture_audit(f), 0);
	fixture_audit_end(f);
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(f->report.torn, 1);
}

static void
record_that_closes_a_tail_may_be_torn_as_well(void **state)
{
	struct fixture *f = *state;
	size_t len = 0, whole;
	char *bytes;

	assert_int_equal(fixture_audit(f), 0);
	fixture_audit_end(f);
	bytes = fixture_read(f, &whole);
	fixture_write(f, bytes, whole);
	free(bytes);
	bytes = fixture_read(f, &len);
	assert_non_null(bytes = realloc(bytes, len + 64));
	memcpy(bytes + len, "{\"time\":\"2026-\n{\"time\":\"2027", 29);
	fixture_write(f, bytes, len + 29);
	free(bytes);
	assert_int_equal(fixture_audit(f), 0);
	fixture_audit_end(f);
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(f->report.torn, 1);
}

static void
line_that_was_changed_is_not_excused_as_torn(void **state)
{
	struct fixture *f = *state;
	size_t len = 0;
	char *bytes;

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "a"), 0);
	fixture_audit_end(f);
	bytes = fixture_read(f, &len);
	bytes[len - 200] ^= 1;
	fixture_write(f, bytes, len);
	free(bytes);
	assert_int_equal(fixture_audit(f), 0);
	fixture_audit_end(f);
	assert_int_not_equal(fixture_verify(f), 0);
}

static void
records_cut_from_the_end_while_leased_was_stopped_are_missed(void **state)
{
	struct fixture *f = *state;
	size_t len = 0, cut;
	char *bytes;

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "a"), 0);
	fixture_audit_end(f);
	bytes = fixture_read(f, &len);
	for (cut = len - 1; bytes[cut - 1] != '\n'; cut--)
		continue;
	fixture_write(f, bytes, cut);
	free(bytes);
	assert_int_equal(fixture_audit(f), 0);
	fixture_audit_end(f);
	assert_int_equal(fixture_verify(f), 1);
	assert_non_null(strstr(f->faults, "records 2 to 2 were missing"));
}

static void
chain_goes_on_in_a_new_file_when_the_old_one_is_renamed(void **state)
{
	struct fixture *f = *state;
	char other[128];

	(void)snprintf(other, sizeof(other), "%s.1", f->path);
	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "a"), 0);
	assert_int_equal(rename(f->path, other), 0);
	assert_int_equal(audit_file_follow(&f->audit->file, false, NULL), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "b"), 0);
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(f->report.first_seq, 3);
	/* What cannot be opened leaves it in the file that it has. */
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_not_equal(audit_file_follow(&f->audit->file, false, NULL), 0);
	assert_int_not_equal(fixture_record(f, AUDIT_REQUEST, "c"), 0);
	assert_false(audit_healthy(f->audit));
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "d"), 0);
	assert_true(audit_healthy(f->audit));
	assert_int_equal(fixture_verify(f), 0);
}

static void
file_that_its_path_leaves_is_astray_until_another_opens_there(void **state)
{
	struct fixture *f = *state;
	char other[128];

	(void)snprintf(other, sizeof(other), "%s.1", f->path);
	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(rename(f->path, other), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(audit_file_follow(&f->audit->file, false, NULL), 0);
	assert_true(audit_is_astray(f->audit) && audit_healthy(f->audit));
	assert_false(audit_is_shut_out(f->audit));
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "a"), 0);
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(audit_file_follow(&f->audit->file, false, NULL), 0);
	assert_false(audit_is_astray(f->audit));
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "b"), 0);
	assert_int_equal(fixture_verify(f), 0);
}

static void
chain_is_known_by_the_store_when_the_file_was_taken_away(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, "a"), 0);
	fixture_audit_end(f);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(f->report.first_seq, 3);
}

static int
open_and_write(void *arg)
{
	struct fixture *f = arg;
	struct audit_chain head;
	struct audit_file file;
	int r;

	audit_chain_init(&head);
	r = audit_file_open(&file, f->path, store_seal(f->store), &f->clock.clock, &head, NULL);
	if (r == 0)
		r = audit_file_write(&file, "{\"a\":1}\n{\"b\":2}", 15, NULL);
	audit_file_close(&file);
	free(file.path);
	return (r);
}

static void
file_survives_each_allocation_that_fails(void **state)
{
	struct fixture *f = *state;

	assert_true(failalloc_each(open_and_write, f) > 2);
	assert_int_equal(fixture_verify(f), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(file_is_made_for_its_owner_alone_and_refused_when_others_may_read_it),
	    TEST(links_and_what_is_no_file_are_refused),
	    TEST(file_of_somebody_else_is_not_written_to),
	    TEST(tail_that_is_torn_at_any_byte_is_closed_by_a_record),
	    TEST(first_line_of_all_may_be_torn),
	    TEST(record_that_closes_a_tail_may_be_torn_as_well),
	    TEST(line_that_was_changed_is_not_excused_as_torn),
	    TEST(records_cut_from_the_end_while_leased_was_stopped_are_missed),
	    TEST(chain_goes_on_in_a_new_file_when_the_old_one_is_renamed),
	    TEST(file_that_its_path_leaves_is_astray_until_another_opens_there),
	    TEST(chain_is_known_by_the_store_when_the_file_was_taken_away),
	    TEST(file_survives_each_allocation_that_fails),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
