/*
 * What `lease ssh` makes of files: when a certificate is renewed, what is written into ssh's
 * configuration, the head of a list of revoked keys, and files that are replaced whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "ssh/config.h"
#include "ssh/ensure.h"
#include "ssh/file.h"
#include "ssh/krl.h"
#include "ssh/sign.h"

/* A certificate that ssh-keygen made, and a key file for it. */
struct pair {
	char certificate[8192];
	struct leased_secret *key;
	struct sshwire_certificate read;
};

static void
pair_read(struct pair *pair)
{
	struct keypair keys = {.seed = leased_secret_new_empty(KEYPAIR_SEED_LEN)};
	struct leased_err err = LEASED_ERR_INIT;
	FILE *file = fopen(SEEDS "/sshwire_certificate/ed25519", "r");

	memset(pair, 0, sizeof(*pair));
	if (file == NULL || fread(pair->certificate, 1, sizeof(pair->certificate) - 1, file) == 0)
		abort();
	(void)fclose(file);
	assert_int_equal(sshwire_certificate_read_line(pair->certificate, &pair->read, &err), 0);
	memcpy(keys.public, pair->read.key.blob + pair->read.key.blob_len - KEYPAIR_PUBLIC_LEN,
	    KEYPAIR_PUBLIC_LEN);
	assert_non_null(pair->key = keypair_file(&keys, ""));
	keypair_clear(&keys);
}

static void
pair_clear(struct pair *pair)
{
	sshwire_certificate_clear(&pair->read);
	leased_secret_free(pair->key);
}

static enum ensure_state
judge(const struct pair *pair, uint64_t now, unsigned percent)
{
	uint8_t public[KEYPAIR_PUBLIC_LEN];

	return (ensure_judge(
	    leased_secret_reveal(pair->key), pair->certificate, (time_t)now, percent, public));
}

static void
a_certificate_is_good_until_a_fifth_of_its_life_is_left(void **state)
{
	struct pair pair;
	uint64_t begin, end, fifth;

	(void)state;
	pair_read(&pair);
	begin = pair.read.valid_after;
	end = pair.read.valid_before;
	fifth = (end - begin) / 5;
	assert_int_equal(judge(&pair, begin, 20), ENSURE_GOOD);
	assert_int_equal(judge(&pair, end - fifth - 2, 20), ENSURE_GOOD);
	assert_int_equal(judge(&pair, end - fifth + 1, 20), ENSURE_RENEW);
	assert_int_equal(judge(&pair, end - 1, 20), ENSURE_RENEW);
	assert_int_equal(judge(&pair, end, 20), ENSURE_MAKE);
	assert_int_equal(judge(&pair, begin - 1, 20), ENSURE_MAKE);
	pair_clear(&pair);
}

static void
files_that_do_not_belong_together_are_made_anew(void **state)
{
	struct keypair other = {.seed = NULL};
	struct leased_secret *text;
	uint8_t public[KEYPAIR_PUBLIC_LEN];
	struct pair pair;
	time_t now;

	(void)state;
	pair_read(&pair);
	now = (time_t)pair.read.valid_after + 1;
	assert_int_equal(keypair_generate(&other, NULL), 0);
	assert_non_null(text = keypair_file(&other, ""));
	assert_int_equal(
	    ensure_judge(leased_secret_reveal(text), pair.certificate, now, 20, public),
	    ENSURE_MAKE);
	assert_int_equal(
	    ensure_judge(leased_secret_reveal(pair.key), NULL, now, 20, public), ENSURE_MAKE);
	assert_int_equal(ensure_judge(NULL, pair.certificate, now, 20, public), ENSURE_MAKE);
	pair.certificate[strlen(pair.certificate) / 2] = '\0';
	assert_int_equal(judge(&pair, (uint64_t)now, 20), ENSURE_MAKE);
	leased_secret_free(text);
	keypair_clear(&other);
	pair_clear(&pair);
}

static void
percent_of_a_life_does_not_overflow(void **state)
{
	struct sshwire_certificate certificate = {.valid_after = 0, .valid_before = UINT64_MAX};

	(void)state;
	assert_true(sign_has_life(&certificate, 1, 99));
	certificate.valid_before = UINT64_MAX - 1;
	assert_true(sign_has_life(&certificate, 1, 99));
	assert_false(sign_has_life(&certificate, -5, 0) && certificate.valid_after > 0);
}

static void
expect_text(char *got, const char *wanted)
{
	assert_non_null(got);
	assert_string_equal(got, wanted);
	free(got);
}

static void
a_block_replaces_its_older_self_and_no_other(void **state)
{
	char *first = config_put_block(NULL, "prod", "A\n"), *second, *third, *without;

	(void)state;
	assert_non_null(first);
	second = config_put_block(first, "prod2", "B\n");
	third = config_put_block(second, "prod", "C\n");
	assert_non_null(strstr(third, "# >>> prod\nC\n# <<<\n"));
	assert_non_null(strstr(third, "# >>> prod2\nB\n# <<<\n"));
	assert_null(strstr(third, "A\n"));
	expect_text(config_put_block(third, "prod", "C\n"), third);
	without = config_put_block(third, "prod2", NULL);
	expect_text(config_put_block(without, "prod", "A\n"), first);
	free(without);
	free(first);
	free(second);
	free(third);
}

/* A file that was cut within the line that begins a block. */
static void
a_block_that_was_cut_is_replaced_whole(void **state)
{
	char *first = config_put_block(NULL, "prod", "A\n"), *cut = strdup(first), *mended;

	(void)state;
	assert_non_null(cut);
	strstr(cut, "# >>> prod\n")[strlen("# >>> prod")] = '\0';
	mended = config_put_block(cut, "prod", "A\n");
	expect_text(mended != NULL ? strdup(mended) : NULL, first);
	expect_text(config_put_block(mended, "prod", "A\n"), first);
	free(mended);
	free(cut);
	free(first);
}

static void
a_file_of_somebody_else_is_not_ours_to_change(void **state)
{
	(void)state;
	assert_null(config_put_block("Host x\n", "prod", "A\n"));
}

static void
the_include_stands_first_and_once(void **state)
{
	static const char line[] = "Include ~/.ssh/lease.conf\n";

	(void)state;
	expect_text(config_put_include("", line), line);
	expect_text(config_put_include("Host x\n", line), "Include ~/.ssh/lease.conf\nHost x\n");
	expect_text(config_put_include("A\nInclude ~/.ssh/lease.conf\nB", line),
	    "A\nInclude ~/.ssh/lease.conf\nB");
	expect_text(config_put_include("#Include ~/.ssh/lease.conf\n", line),
	    "Include ~/.ssh/lease.conf\n#Include ~/.ssh/lease.conf\n");
	expect_text(config_drop_include("A\nInclude ~/.ssh/lease.conf\nB", line), "A\nB");
	expect_text(config_drop_include("A\n", line), "A\n");
}

static void
the_empty_list_is_read_and_none_that_is_cut(void **state)
{
	struct sshwire_writer writer = {0};
	struct sshwire_krl_head head = {.version = 9};
	size_t len;

	(void)state;
	krl_put_empty(&writer, 1700000000);
	assert_false(writer.failed);
	for (len = 0; len < writer.len; len++)
		assert_int_equal(
		    sshwire_krl_read_head(writer.bytes, len, &head, NULL), LEASED_EINVAL);
	assert_int_equal(head.version, 9);
	assert_int_equal(sshwire_krl_read_head(writer.bytes, writer.len, &head, NULL), 0);
	assert_int_equal(head.version, 0);
	assert_int_equal(head.date, 1700000000);
	writer.bytes[11] = 2; /* the format */
	assert_int_equal(
	    sshwire_krl_read_head(writer.bytes, writer.len, &head, NULL), LEASED_EINVAL);
	sshwire_writer_clear(&writer);
}

/* A host that took the list of another mount would forget what the first one revokes. */
static void
a_list_is_of_another_when_it_names_no_key_that_the_first_one_names(void **state)
{
	static const struct {
		const char *a, *b;
		bool other;
	} rows[] = {{"revoked by leased: K1 K2", "revoked by leased: K3 K2", false},
	    {"revoked by leased: K1", "revoked by leased: K1", false},
	    {"revoked by leased: K1 K2", "revoked by leased: K3", true},
	    {"revoked by leased: K1", "revoked by leased: K11 1", true},
	    {"revoked by leased: K1", "revoked by leased", false}, /* of an older version */
	    {"", "revoked by leased: K1", false},
	    {"revoked by leased: ", "revoked by leased: ", false}};
	struct sshwire_krl_head a = {0}, b = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)strlcpy(a.comment, rows[i].a, sizeof(a.comment));
		(void)strlcpy(b.comment, rows[i].b, sizeof(b.comment));
		assert_int_equal(sshwire_krl_is_of_another(&a, &b), rows[i].other);
		assert_int_equal(sshwire_krl_is_of_another(&b, &a), rows[i].other);
	}
}

static int
refuse(const char *path, struct leased_err *err)
{
	assert_int_equal(access(path, R_OK), 0);
	return (leased_err_set(err, LEASED_EINVAL, "no"));
}

static void
what_is_refused_leaves_the_file_and_nothing_beside_it(void **state)
{
	char directory[] = "/tmp/test-files.XXXXXX", path[64], *text = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	size_t len = 0;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/f", directory);
	assert_int_equal(file_read(path, &text, &len, &err), LEASED_ENOENT);
	assert_int_equal(file_replace(path, "old", 3, 0600, NULL, &err), 0);
	assert_int_equal(file_replace(path, "new", 3, 0600, refuse, &err), LEASED_EINVAL);
	assert_int_equal(file_read(path, &text, &len, &err), 0);
	assert_string_equal(text, "old");
	free(text);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_certificate_is_good_until_a_fifth_of_its_life_is_left),
	    cmocka_unit_test(files_that_do_not_belong_together_are_made_anew),
	    cmocka_unit_test(percent_of_a_life_does_not_overflow),
	    cmocka_unit_test(a_block_replaces_its_older_self_and_no_other),
	    cmocka_unit_test(a_block_that_was_cut_is_replaced_whole),
	    cmocka_unit_test(a_file_of_somebody_else_is_not_ours_to_change),
	    cmocka_unit_test(the_include_stands_first_and_once),
	    cmocka_unit_test(the_empty_list_is_read_and_none_that_is_cut),
	    cmocka_unit_test(a_list_is_of_another_when_it_names_no_key_that_the_first_one_names),
	    cmocka_unit_test(what_is_refused_leaves_the_file_and_nothing_beside_it),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
