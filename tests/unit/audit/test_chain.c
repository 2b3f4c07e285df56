/*
 * The chain, by what its verifier finds: whatever is done to the lines between their first and
 * their last is named.
 */
#include "unit/audit/fixture.h"

#define RECORDS 30
#define LARGE (8 * AUDIT_LINE_MAX)

/* The lines of a log with RECORDS records behind its opening one. */
struct lines {
	char *bytes;
	size_t len;
	const char *at[RECORDS + 2];
	size_t lens[RECORDS + 2], count;
};

static void
lines_take(struct fixture *f, struct lines *lines)
{
	char path[64];
	const char *end;

	assert_int_equal(fixture_audit(f), 0);
	for (int i = 0; i < RECORDS; i++) {
		(void)snprintf(path, sizeof(path), "database/creds/%d", i);
		assert_int_equal(fixture_record(f, AUDIT_REQUEST, path), 0);
	}
	fixture_audit_end(f);
	lines->bytes = fixture_read(f, &lines->len);
	lines->count = 0;
	for (const char *at = lines->bytes; at < lines->bytes + lines->len; at = end) {
		end = (const char *)memchr(at, '\n', lines->len) + 1;
		assert_true(lines->count < RECORDS + 2);
		lines->at[lines->count] = at;
		lines->lens[lines->count++] = (size_t)(end - at);
	}
	assert_int_equal(lines->count, RECORDS + 1);
}

static char *
joined(const struct lines *lines, const size_t *order, size_t count, size_t *ret_len)
{
	char *bytes = malloc(2 * lines->len);
	size_t len = 0;

	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++) {
		memcpy(bytes + len, lines->at[order[i]], lines->lens[order[i]]);
		len += lines->lens[order[i]];
	}
	*ret_len = len;
	return (bytes);
}

static int64_t
faults_of_order(struct fixture *f, const struct lines *lines, const size_t *order, size_t count)
{
	size_t len = 0;
	char *bytes = joined(lines, order, count, &len);
	int64_t faults = fixture_verify_bytes(f, bytes, len);

	free(bytes);
	return (faults);
}

static void
what_was_written_has_no_fault(void **state)
{
	struct fixture *f = *state;
	struct lines lines;

	lines_take(f, &lines);
	assert_int_equal(fixture_verify_bytes(f, lines.bytes, lines.len), 0);
	assert_int_equal(f->report.lines, RECORDS + 1);
	assert_int_equal(f->report.first_seq, 1);
	assert_int_equal(f->report.last_seq, RECORDS + 1);
	assert_int_equal(fixture_verify_bytes(f, "", 0), 1); /* somebody has emptied it */
	free(lines.bytes);
}

static void
each_line_that_is_taken_out_moved_or_repeated_is_found(void **state)
{
	struct fixture *f = *state;
	struct lines lines;
	size_t order[RECORDS + 2];

	lines_take(f, &lines);
	for (size_t gone = 1; gone < RECORDS; gone++) {
		for (size_t i = 0, n = 0; i <= RECORDS; i++)
			if (i != gone)
				order[n++] = i;
		assert_int_not_equal(faults_of_order(f, &lines, order, RECORDS), 0);
		for (size_t i = 0; i <= RECORDS; i++)
			order[i] = i == gone ? gone + 1 : i == gone + 1 ? gone : i;
		assert_int_not_equal(faults_of_order(f, &lines, order, RECORDS + 1), 0);
		for (size_t i = 0; i <= RECORDS + 1; i++)
			order[i] = i <= gone ? i : i - 1;
		assert_int_not_equal(faults_of_order(f, &lines, order, RECORDS + 2), 0);
	}
	free(lines.bytes);
}

static void
each_byte_that_is_changed_is_found(void **state)
{
	struct fixture *f = *state;
	struct lines lines;

	lines_take(f, &lines);
	for (size_t i = 0; i < lines.len; i += 7) {
		char was = lines.bytes[i];

		lines.bytes[i] = was == '\n' ? 'x' : (char)(was ^ 1);
		if (fixture_verify_bytes(f, lines.bytes, lines.len) == 0)
			fail_msg("the byte at %zu is not missed", i);
		lines.bytes[i] = was;
	}
	free(lines.bytes);
}

static void
line_of_another_key_is_found(void **state)
{
	struct fixture *f = *state;
	struct seal_root *root = seal_root_new_random();
	struct audit_chain chain = {.seq = 5};
	struct jenc out = {0};
	struct lines lines;
	struct seal *other = NULL;
	uint8_t *blob = NULL;
	size_t len = 0, kept;
	char *bytes;

	lines_take(f, &lines);
	assert_int_equal(seal_new(root, &other, &blob, &len, NULL), 0);
	kept = (size_t)(lines.at[5] - lines.bytes);
	assert_true(audit_line_parse(lines.at[4], lines.lens[4] - 1, &(struct audit_line){0}));
	memcpy(chain.mac, lines.at[4] + lines.lens[4] - 3 - AUDIT_MAC_LEN, AUDIT_MAC_LEN);
	assert_int_equal(audit_chain_add(&chain, other, "{\"a\":1}", 7, &out, NULL), 0);
	assert_non_null(bytes = malloc(lines.len + out.len));
	memcpy(bytes, lines.bytes, kept);
	memcpy(bytes + kept, out.bytes, out.len);
	assert_int_not_equal(fixture_verify_bytes(f, bytes, kept + out.len), 0);
	free(bytes);
	free(blob);
	free(lines.bytes);
	jenc_clear(&out);
	seal_free(other);
	seal_root_free(root);
}

static void
rotated_files_are_one_chain_and_their_order_counts(void **state)
{
	struct fixture *f = *state;
	struct lines lines;
	size_t order[RECORDS + 1];

	lines_take(f, &lines);
	for (size_t i = 0; i <= RECORDS; i++)
		order[i] = (i + 11) % (RECORDS + 1);
	/* The later one alone is whole; with the earlier one behind it, it is not. */
	assert_int_equal(faults_of_order(f, &lines, order, RECORDS - 10), 0);
	assert_int_equal(f->report.first_seq, 12);
	assert_int_not_equal(faults_of_order(f, &lines, order, RECORDS + 1), 0);
	free(lines.bytes);
}

static void
text_that_is_no_line_of_ours_is_a_fault_whatever_it_is(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = {"x", "\n", "{}\n", "{\"mac\":\"\"}\n",
	    "{\"time\":\"\",\"seq\":0,\"prev\":\"\",\"mac\":\"\"}\n"};
	char *large = malloc(LARGE);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_not_equal(fixture_verify_bytes(f, texts[i], strlen(texts[i])), 0);
	assert_non_null(large);
	memset(large, 'x', LARGE);
	assert_int_not_equal(fixture_verify_bytes(f, large, LARGE), 0);
	free(large);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_written_has_no_fault),
	    TEST(each_line_that_is_taken_out_moved_or_repeated_is_found),
	    TEST(each_byte_that_is_changed_is_found),
	    TEST(line_of_another_key_is_found),
	    TEST(rotated_files_are_one_chain_and_their_order_counts),
	    TEST(text_that_is_no_line_of_ours_is_a_fault_whatever_it_is),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
